"""What reports on real people tell, looked at by somebody who has report.json and subtracts."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.eval import backtest_report
from riskgraph.eval.backtest import BacktestResult, Origin
from riskgraph.eval.backtest_report import verify_report
from riskgraph.eval.cells import ACCEPT, REJECT, REVIEW, SOFTENED, Persons, Told, parts_of
from riskgraph.sandbox.subtraction import fixed_sets
from tests.eval.backtest_toy import KNOWN_AT, WINDOW, Toy, ToyScorer, ToySigner, backtest, bands, make_toy
from tests.eval.test_backtest_report import resign

REAL = Origin("merchant", KNOWN_AT, trained_until=date(2026, 6, 30))
DAY = 86_400e6


@dataclass
class Shop:
    """A history whose persons are its accounts, and whose fraud hangs together by gang."""

    toy: Toy
    noise: float
    gate: float

    def verdicts(self, table: Any, probability: Any) -> Any:
        verdict = bands(table, probability)
        verdict[(verdict == "reject") & (probability < self.gate)] = "review"
        return verdict

    def report(self, *, drawn: bool = False, **given: Any) -> BacktestResult:
        out = Path(tempfile.mkdtemp()) / "report"
        undrawn = patch.object(backtest_report, "_write_pictures", lambda *_: None)
        with nullcontext() if drawn else undrawn:
            told = {"truth": None, "origin": REAL, "reps": 20} | given
            return backtest(self.toy, out, scorer=ToyScorer(self.noise), verdicts=self.verdicts, **told)


def make_shop(
    seed: int, *, orders: int = 8_000, gangs: int = 300, accounts: int = 3, noise: float = 2.5,
    alike: float = 0.3, ring: float = 0.0, gate: float = 0.0, busy: int = 3,
) -> Shop:  # fmt: skip
    """``alike`` of the gangs look honest; ``ring`` of the fraud is of one gang of many accounts."""
    toy, rng = make_toy(orders, gangs=gangs, seed=seed), np.random.default_rng(seed)
    table = toy.table
    fraud = table.device >= 0
    # A device on more than 500 orders links nobody.
    joins = fraud & (rng.random(orders) < ring) & (np.cumsum(fraud) <= 400 / max(ring, 0.01))
    gang = np.where(joins | (table.device == 0), 0, table.device)
    spread = np.where(gang == 0, 400, accounts)
    account = np.where(
        fraud,
        orders + gang * 1_000 + rng.integers(0, spread, orders),
        rng.integers(0, orders // busy, orders),
    )
    components = table.components.copy()
    hidden = fraud & (gang < alike * gangs)
    components[hidden, catalog().component_index["B069.value"]] -= 5.0
    return Shop(
        replace(toy, table=replace(table, account=account, device=gang, components=components)), noise, gate
    )


class Reader:
    """Somebody who knows the orders, and for whom each told number is a set of them."""

    def __init__(self, shop: Shop, report: dict[str, Any]) -> None:
        table = shop.toy.table
        self.table, self.report = table, report
        self.inside = WINDOW.mask(table.placed_at)
        self.age = (KNOWN_AT.timestamp() * 1e6 - table.placed_at) / DAY
        self.used = self.inside & (self.age >= 60) & (table.label >= 0)
        self.fraud, self.honest = self.used & (table.label == 1), self.used & (table.label == 0)
        _, self.score = ToyScorer(shop.noise).score_batch(table.components, None)
        verdict = shop.verdicts(table, self.score)
        self.reject, self.review = verdict == "reject", verdict == "review"
        self.flagged = {"reject": self.reject, "reject_or_review": self.reject | self.review}
        self.softened = self.review & (self.score >= 0.9)

    def few(self, rows: np.ndarray) -> bool:
        """Whether some orders, but not enough, stand behind a number; counted in plain Python."""
        whose = {int(self.table.account[i]): int(self.table.device[i]) for i in np.flatnonzero(rows)}
        groups = Counter(("gang", d) if d >= 0 else ("account", a) for a, d in whose.items())
        crowd = len(whose) >= 50 and len(groups) >= 5 and 2 * max(groups.values()) <= len(whose)
        return bool(whose) and not crowd

    def headline(self) -> Iterator[tuple[int | None, np.ndarray]]:
        metrics = self.report["metrics"]
        yield metrics["fraud"], self.fraud
        yield metrics["honest"], self.honest
        for kind, hit in self.flagged.items():
            cells = metrics["frozen"][kind]
            yield cells["tp"], hit & self.fraud
            yield cells["fn"], ~hit & self.fraud
            yield cells["fp"], hit & self.honest
            yield cells["tn"], ~hit & self.honest
            yield from self.share(cells["recall"], hit, self.fraud)
            yield from self.share(cells["fpr"], hit, self.honest)
        yield metrics["softened_by_a_gate"]["fraud"], self.softened & self.fraud
        yield metrics["softened_by_a_gate"]["honest"], self.softened & self.honest
        yield from self.share(metrics["review_share_honest"], self.review, self.honest)

    def share(
        self, figure: Any, hit: np.ndarray, among: np.ndarray
    ) -> Iterator[tuple[int | None, np.ndarray]]:
        value, whole = figure["value"], int(among.sum())
        yield (None if value is None else round(value * whole)), hit & among
        bounded = figure["lower"], figure["upper"]
        if value is None and None not in bounded and whole:
            assert bounded[0] <= (hit & among).sum() / whole <= bounded[1]

    def curve(self) -> Iterator[tuple[int | None, np.ndarray]]:
        points = self.report["roc"]["points"]
        for fp, tp, least in list(zip(points["fp"], points["tp"], points["threshold"], strict=True))[1:]:
            yield tp, self.fraud & (self.score >= least)
            yield fp, self.honest & (self.score >= least)
        sums = {0, *np.add(points["fp"], points["tp"]).tolist()}
        bins = self.report["metrics"]["calibration"]["bins"]
        # Bins of calibration are whole steps of the curve, so they tell nothing beside it.
        assert set(np.cumsum([b["orders"] for b in reversed(bins)]).tolist()) <= sums

    def rows(self, name: str) -> Iterator[tuple[int | None, np.ndarray]]:
        for row in self.report["slices"][name]:
            mine = self.of_row(name, row)
            yield row["orders"], mine & (self.fraud if name == "gang_novelty" else self.used)
            if "fraud" in row:
                yield row["fraud"], mine & self.fraud
                yield row["orders"] - row["fraud"], mine & self.honest
                yield from self.share(row["review_share_honest"], self.review, mine & self.honest)
            for kind, hit in self.flagged.items():
                yield from self.share(row[f"recall_{kind}"], hit, mine & self.fraud)
                if "fraud" in row:
                    yield from self.share(row[f"fpr_{kind}"], hit, mine & self.honest)

    def of_row(self, name: str, row: dict[str, Any]) -> np.ndarray:
        if name == "availability":
            return np.isin(self.table.availability.astype(str), row["availability"].split(", "))
        if name == "gang_novelty":
            early = (self.table.placed_at < WINDOW.start_us) & (self.table.label == 1)
            known = np.isin(self.table.device, self.table.device[early])
            return known if row["gangs"] == "active_before" else ~known
        first, _, last = row["week"].partition("/")
        start = date.fromisoformat(first)
        end = date.fromisoformat(last) + timedelta(days=1) if last else start + timedelta(days=7)
        days = (self.table.placed_at // DAY).astype(int)
        return (days >= (start - date(1970, 1, 1)).days) & (days < (end - date(1970, 1, 1)).days)

    def left_out(self) -> Iterator[tuple[int | None, np.ndarray]]:
        reasons = {
            "outside the window": ~self.inside,
            "younger than 60 days at the label cut-off": self.inside & (self.age < 60),
            "unlabelled": self.inside & (self.age >= 60) & (self.table.label < 0),
        }
        rows = self.report["rows"]
        yield rows["in_table"], np.ones(len(self.used), dtype=bool)
        yield rows["in_window"], self.inside
        yield rows["used"], self.used
        for entry in rows["excluded"]:
            yield entry["count"], np.logical_or.reduce([reasons[r] for r in entry["reason"].split("; ")])
        yield self.report["metrics"]["fraud"], self.fraud
        for tier in self.report["label_tiers"]:
            mine = self.inside & (self.age >= tier["from_days"]) & (self.age < (tier["to_days"] or np.inf))
            yield tier["orders"], mine
            for name, label in (("labelled_fraud", 1), ("labelled_clean", 0), ("unlabelled", -1)):
                yield tier[name], mine & (self.table.label == label)

    def gangs(self) -> Iterator[tuple[int | None, np.ndarray]]:
        for kind, hit in self.flagged.items():
            entry = self.report["metrics"]["frozen"][kind]["gangs"]
            names = np.unique(self.table.device[self.fraud])
            caught = [g for g in names if 2 * hit[self.fraud & (self.table.device == g)].sum()
                      >= (self.fraud & (self.table.device == g)).sum()]  # fmt: skip
            assert entry["caught"] in (None, len(caught))
            mine = self.fraud & np.isin(self.table.device, caught)
            yield (None if entry["caught"] is None else int(mine.sum())), mine
        yield int(self.fraud.sum()), self.fraud

    def subtracted(self, told: Iterator[tuple[int | None, np.ndarray]]) -> list[np.ndarray]:
        """Sets whose numbers follow from told ones by any sums and differences, each as its orders."""
        sets = []
        for number, rows in told:
            if number is not None:
                assert number == rows.sum()
                sets.append(rows)
        atoms, place = np.unique(np.array(sets), axis=1, return_inverse=True)
        place = place.reshape(-1)
        kept = atoms.any(axis=0)
        follow = fixed_sets(atoms[:, kept], np.ones(int(kept.sum()), dtype=bool))
        return [np.isin(place, np.flatnonzero(kept)[one]) for one in follow]


def told(reader: Reader) -> dict[str, list[tuple[int | None, np.ndarray]]]:
    """Numbers of the report that belong together, each table with the headline."""
    head = list(reader.headline())
    tables = {name: [*head, *reader.rows(name)] for name in ("availability", "week", "gang_novelty")}
    return {"curve": [*head, *reader.curve()], "gangs": list(reader.gangs()),
            "left out": list(reader.left_out()), **tables}  # fmt: skip


SHOPS = st.builds(
    make_shop,
    st.integers(0, 10_000),
    orders=st.sampled_from([4_000, 8_000, 12_000]),
    gangs=st.sampled_from([60, 200, 600]),
    accounts=st.integers(1, 4),
    noise=st.sampled_from([0.0, 2.5, 5.0]),
    alike=st.sampled_from([0.0, 0.3, 0.6]),
    ring=st.sampled_from([0.0, 0.3, 0.6]),
    gate=st.sampled_from([0.0, 0.93, 0.99]),
    busy=st.sampled_from([1, 3, 12]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(shop=SHOPS)
def test_no_number_of_few_real_persons_follows_from_a_report_by_sums_and_differences(shop: Shop) -> None:
    try:
        report = json.loads((shop.report().path / "report.json").read_bytes())
    except Invalid:
        reject()
    reader = Reader(shop, report)
    for name, numbers in told(reader).items():
        for rows in reader.subtracted(iter(numbers)):
            assert not reader.few(rows), f"{name}: {rows.sum()} orders"


def shop_of_newcomers(seed: int, again: int) -> Shop:
    """Every honest person orders once, but for some who order twice; none is flagged."""
    shop, rng = make_shop(seed, noise=0.5), np.random.default_rng(seed)
    table, components = shop.toy.table, shop.toy.table.components.copy()
    honest = table.device < 0
    account = np.where(honest, 10**7 + np.arange(len(table)), table.account)
    counted = np.flatnonzero(honest & (table.label == 0) & WINDOW.mask(table.placed_at))
    first, second = rng.choice(counted, (2, again), replace=False)
    account[second] = account[first]
    components[honest, catalog().component_index["B069.value"]] -= 6.0
    return replace(shop, toy=replace(shop.toy, table=replace(table, account=account, components=components)))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1_000), again=st.integers(1, 20))
def test_neither_an_end_of_an_interval_nor_the_bootstrap_tells_how_few_came_again(
    seed: int, again: int
) -> None:
    report = dict(shop_of_newcomers(seed, again).report().report)
    rows = [row["fpr_reject"] for name in ("week", "availability") for row in report["slices"][name]]
    assert len(rows) > 1
    # All that an end can be, whoever came again: what whole fifties of accounts give.
    ends = {np.ceil(1e4 * (1 - 0.025 ** (1 / accounts))) / 1e4 for accounts in range(50, 5_000, 50)}
    assert {row["upper"] for row in rows} <= ends
    assert report["bootstrap"]["honest_clusters"] % 50 == 0


def test_a_gang_that_is_not_alone_is_not_told_by_the_number_of_gangs() -> None:
    shop = make_shop(3, gangs=60)
    reader = Reader(shop, dict(shop.report().report))
    gangs = reader.report["metrics"]["frozen"]["reject"]["gangs"]
    assert gangs["count"] == len(np.unique(reader.table.device[reader.fraud]))
    table = shop.toy.table
    fraud = table.device >= 0
    device = np.where(fraud, np.arange(len(table)), -1)
    counted = np.flatnonzero(fraud & (table.label == 1) & WINDOW.mask(table.placed_at))
    device[counted[1]] = device[counted[0]]
    account = np.where(fraud, 10**7 + np.arange(len(table)), table.account)
    lonely = replace(shop.toy, table=replace(table, device=device, account=account))
    report = dict(replace(shop, toy=lonely).report().report)
    for entry in report["metrics"]["frozen"].values():
        assert entry["gangs"]["count"] is None
        assert entry["gangs"]["caught"] is None
    assert all(row["count"] is None for row in report["slices"]["gang_novelty"])
    orders, clusters = report["metrics"]["fraud"], report["bootstrap"]["fraud_clusters"]
    assert clusters == orders - 1 - (orders - 1) % 50


def test_a_mean_score_does_not_tell_how_many_orders_have_one_of_two_scores() -> None:
    shop = make_shop(3)
    report = dict(shop.report().report)["metrics"]["calibration"]
    for told in (report["brier"], *(b["probability"] for b in report["bins"])):
        assert told == float(f"{told:.3g}")


def test_the_curve_verifies_and_lies_a_little_below_the_exact_one() -> None:
    shop = make_shop(3, orders=30_000, gangs=900)
    result = shop.report(drawn=True, baselines={"poor": ToyScorer(noise=8.0)})
    assert verify_report(result.path, ToySigner()) == []
    reader, area = Reader(shop, dict(result.report)), result.report["metrics"]["ranking"]["auc"]
    fraud, honest = reader.score[reader.fraud], reader.score[reader.honest]
    exact = float((fraud[:, None] > honest).mean())
    assert exact - 0.03 < area["value"] < exact
    assert area["lower"] < area["value"] < area["upper"]
    assert 1 < result.report["cells"]["roc_steps"] <= 200


def test_thresholds_of_the_curve_are_nobodys_score() -> None:
    shop = make_shop(3, orders=30_000, gangs=900)
    report = shop.report().report
    told_here = [t for t in report["roc"]["points"]["threshold"] if t]
    assert not set(told_here) & set(Reader(shop, dict(report)).score.tolist())
    odds = [20 * np.log(t / (1 - t)) for t in told_here if t not in (0.6, 0.9)]
    assert odds == pytest.approx(np.round(odds), abs=1e-6)


def test_a_signed_step_of_fewer_than_fifty_orders_is_found(tmp_path: Path) -> None:
    path = make_shop(3, orders=30_000, gangs=900).report().path
    report = json.loads((path / "report.json").read_bytes())
    report["roc"]["points"]["fp"].insert(1, 3)
    report["roc"]["points"]["tp"].insert(1, 60)
    resign(path, report)
    assert verify_report(path, ToySigner()) == ["a step of the ROC curve has fewer than 50 orders of a class"]


def test_an_area_that_is_withheld_comes_without_a_curve() -> None:
    # So good a model that the fraud it misses is of few persons.
    path = make_shop(4, alike=0.0, noise=0.0).report(drawn=True).path
    report = json.loads((path / "report.json").read_bytes())
    assert report["metrics"]["ranking"]["auc"]["value"] is None
    assert report["baselines"][0]["outcome"] == "withheld"
    assert any("longer window" in note for note in report["cells"]["notes"])
    assert verify_report(path, ToySigner()) == []
    points = report["roc"]["points"]
    points["fp"].insert(1, 100)
    points["tp"].insert(1, 100)
    resign(path, report)
    assert verify_report(path, ToySigner()) == ["the report withholds the area and tells a curve"]


@pytest.mark.parametrize(("lang", "words"), [("en", "fewer than 50 persons (≤"), ("zh", "少于 50 人 (≤")])
def test_the_page_says_how_few_and_gives_the_bound(lang: str, words: str) -> None:
    page = (make_shop(3).report(lang=lang).path / "report.html").read_text("utf-8")
    assert words in page
    assert "{few}" not in page


def test_of_simulated_orders_everything_is_told(report_once: BacktestResult) -> None:
    report = (report_once.path / "report.json").read_text()
    assert '"cells"' not in report
    assert "withheld" not in report
    # An exact curve: some step is of a single order.
    points = report_once.report["roc"]["points"]
    assert min(np.add(np.diff(points["fp"]), np.diff(points["tp"]))) == 1


def test_a_window_of_few_frauds_is_refused_and_says_what_would_help() -> None:
    with pytest.raises(Invalid, match=r"fraudulent orders .* fewer than 50 persons.*longer window"):
        make_shop(5, orders=2_000, gangs=20, accounts=1).report()


def test_a_crowd_is_of_fifty_persons_of_five_groups_none_above_half() -> None:
    person = np.arange(100)
    groups = Persons(person, np.repeat(np.arange(5), 20))
    assert groups.crowd(person)
    assert not groups.crowd(person[:49])
    assert not groups.crowd(person[:80]), "four groups"
    ring = Persons(person, np.where(person < 50, 0, person))
    assert ring.crowd(person)
    assert not ring.crowd(person[:-1])
    assert not Persons(np.zeros(100, dtype=np.int64), person).crowd(person), "one person"


def test_rows_that_put_answers_together_do_not_leave_few_between_them_and_all_orders() -> None:
    # In the first week a gate softens all rejects, in the last there are reviews alone: together they could
    # be told of each week, but all softened ones less those of the first week are twenty.
    cells = [(0, SOFTENED, 100), (1, SOFTENED, 20), (1, REVIEW, 100), (2, REVIEW, 100)]
    cells += [(week, ACCEPT, 500) for week in range(3)]
    honest = sum(orders for *_, orders in cells)
    week = np.concatenate([*(np.full(n, w) for w, _, n in cells), np.repeat(np.arange(3), 100)])
    answer = np.concatenate([*(np.full(n, a) for _, a, n in cells), np.full(300, REJECT)])
    everyone = np.arange(len(week))
    persons, fraud = Persons(everyone, everyone), everyone >= honest
    parts = parts_of(persons, answer, ~fraud), parts_of(persons, answer, fraud)
    found = Told(persons, fraud, answer, parts, np.zeros_like(everyone), np.zeros(1)).rows(week, ordered=True)
    assert found is not None
    groups, told = found
    sets = [~fraud & np.isin(answer, list(part)) for part in parts[False]]
    sets += [~fraud & np.isin(week, group) & np.isin(answer, list(part))
             for group in groups for part in told.parts[False]]  # fmt: skip
    follow = fixed_sets(np.array([s for s in sets if s.any()]), np.ones(len(week), dtype=bool))
    assert min(int(rows.sum()) for rows in follow if rows.any()) >= 50
