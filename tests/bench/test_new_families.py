"""Fraud that training never saw: what is left out stays out, and each gets the rows of the same table."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pyarrow")

from riskgraph import bootstrap, chain
from riskgraph.bench import models, new_families
from riskgraph.bench.new_families import CHAMPION, FROZEN, WARM_UP, Field, Ground
from riskgraph.bench.real import Sets
from riskgraph.core.table import OrderTable
from riskgraph.eval.worlds.presets import preset
from riskgraph.models.kinds import DEEP
from riskgraph.sandbox.intake import SETTLED_AFTER
from tests.eval.backtest_toy import ToyScorer, bands, make_toy

KINDS = {"ring": frozenset({"proxy_buying"}), "payment": frozenset({"card_testing"})}
UNTIL = date(2026, 9, 1)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Two toy shops with the same two families."""
    train, late = make_toy(orders=3_000, seed=2), make_toy(orders=12_000)
    place = {order: row for row, order in enumerate(train.truth.order_id)}
    kind = train.truth.archetype[[place[order] for order in train.table.order_id]]
    family = {k: name for name, kinds in KINDS.items() for k in kinds} | {"honest": "honest"}
    settings = bootstrap.simulated_settings(tmp_path_factory.mktemp("home"))
    named = np.array([family[k] for k in kind], dtype=object)
    return Ground(settings, train.table, named, late.table, late.truth, KINDS)


@pytest.fixture
def seen(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Toys in the place of releases and models; what each was given is kept."""
    kept: dict[str, list[Any]] = {"released": [], "raw": [], "trained": []}

    def released(table: OrderTable, *_: Any, **__: Any) -> OrderTable:
        kept["released"].append(table)
        return table

    def entering(table: OrderTable, request: Any) -> tuple[OrderTable, None]:
        kept["raw"].append((table, request))
        return table, None

    def trained(made: OrderTable, out: Path, kind: str, seed: int, *_: Any) -> ToyScorer:
        kept["trained"].append((kind, seed, made))
        return ToyScorer(noise=2.0 if kind == CHAMPION else 0.5 * len(kind), name=kind)

    monkeypatch.setattr(Ground, "make", lambda *_: ground)
    monkeypatch.setattr(new_families, "UNTIL", UNTIL)
    monkeypatch.setattr(new_families, "FOLDS", 2)
    monkeypatch.setattr(new_families, "write_release", released)
    monkeypatch.setattr(new_families, "entering", entering)
    monkeypatch.setattr(new_families, "train_raw", lambda *_: ToyScorer(name="raw"))
    monkeypatch.setattr(new_families, "_trained", trained)
    monkeypatch.setattr(chain, "TreeVerdicts", lambda *_: bands)
    return kept


def measure(folder: Path, **field: Any) -> dict[str, Any]:
    made = new_families.measure(folder, lambda *_: None, Field(**field), folder / "out")
    return {figure.name: figure for figure in made}


def test_releases_of_the_bench_and_of_the_champion_hold_the_days_after_the_last_sale() -> None:
    told = (Path(__file__).parents[2] / "Makefile").read_text()
    cuts = {f"world-{n}": date.fromisoformat(told.split(f"world-{n} --until ")[1][:10]) for n in (1, 2)}
    assert cuts["world-1"] == new_families.UNTIL
    for world, until in cuts.items():
        last, _ = preset(world).festivals[-1]
        assert until - SETTLED_AFTER >= date.fromisoformat(last) + timedelta(days=13)


def test_each_family_is_left_out_in_one_part(ground: Ground, seen: Any) -> None:
    assert sorted(name for part in ground.parts() for name in part) == sorted(KINDS)


def test_no_order_of_a_family_that_is_left_out_enters_a_release_or_the_raw_rows(
    ground: Ground, seen: dict[str, list[Any]], tmp_path: Path
) -> None:
    measure(tmp_path, kinds=(CHAMPION,), deep=0)
    family = dict(zip(ground.table.order_id, ground.family, strict=True))
    assert len(seen["released"]) == len(seen["raw"]) == 2
    for part, released, (raw, request) in zip(ground.parts(), seen["released"], seen["raw"], strict=True):
        assert {family[order] for order in released.order_id} == {"honest", *KINDS} - set(part)
        before = released.placed_at < chain.midnight(UNTIL) * 1e6
        assert raw.order_id.tolist() == released.order_id[before].tolist()
        assert request.until == UNTIL


def test_thresholds_are_frozen_on_earlier_days_whose_context_is_whole(ground: Ground) -> None:
    contest = ground.contest(["ring"], 0)
    first = date(2026, 5, 1)
    assert contest.new == {"proxy_buying"}
    assert contest.frozen_on.start == first + timedelta(days=WARM_UP)
    assert contest.judged_on.start == contest.frozen_on.end + timedelta(days=1)
    assert contest.frozen_on.end == contest.frozen_on.start + timedelta(days=FROZEN)


def test_every_seed_trains_each_kind_anew_and_orders_are_told_once(
    ground: Ground, seen: dict[str, list[Any]], tmp_path: Path
) -> None:
    figures = measure(tmp_path, kinds=(CHAMPION, "gbdt"), deep=0, seeds=2)
    assert [seed for kind, seed, _ in seen["trained"] if kind == "gbdt"] == [0, 0, 1, 1]
    window = ground.contest([], 0).judged_on
    fraud = ground.truth.order_id[ground.truth.is_fraud]
    judged = np.isin(ground.late.order_id, fraud) & window.mask(ground.late.placed_at)
    assert f"{int(judged.sum()):,} fraud orders of" in figures["new_family_recall"].note
    assert "2 training seed(s)" in figures["new_family_recall"].note
    seeds = json.loads((tmp_path / "out/models.json").read_text())["by_seed"]["gbdt"]
    assert len(seeds) == 2
    both = figures["new_family_recall"].note.split("others: gbdt ")[1].split()[0]
    assert np.mean([row["recall_new"] for row in seeds]) == pytest.approx(float(both), abs=1e-4)
    assert "| gbdt | " in (tmp_path / "out/models.md").read_text().split("each training seed")[1]


def test_beside_a_recall_stands_what_it_was_had_at_and_who_saw_fewer_rows(seen: Any, tmp_path: Path) -> None:
    figures = measure(tmp_path, kinds=(CHAMPION, "gbdt"), deep=1)
    assert tuple(figures) == new_families.NAMES
    gap = figures["gap_to_best"]
    table = json.loads((tmp_path / "out/models.json").read_text())
    gaps = table["recall_for_new_minus_champion"]
    assert set(DEEP) <= set(gaps["first part"])
    assert not set(DEEP) & set(gaps["all parts"])
    trained = {**gaps["first part"], **gaps["all parts"]}
    best = max(g["value"] for name, g in trained.items() if name not in ("raw", "flat_rules"))
    assert gap.value == pytest.approx(best)
    assert gap.lower < gap.value < gap.upper
    assert "at most so many rows of a release, others on all: gbdt 60,000" in gap.note
    rate = table["tables"]["all parts"]["gbdt"]["overall"]["score"]["fpr"]["value"]
    assert f") at {rate:.2%}" in figures["new_family_recall"].note
    assert figures["gap_to_raw"].value == pytest.approx(gaps["all parts"]["raw"]["value"])


def test_where_no_kind_of_honest_person_has_enough_orders_there_is_no_worst(
    ground: Ground, seen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = np.array([f"kind {i % 40}" for i in range(len(ground.truth.order_id))], dtype=object)
    monkeypatch.setattr(
        Ground, "make", lambda *_: replace(ground, truth=replace(ground.truth, honest_type=each))
    )
    worst = measure(tmp_path, kinds=(CHAMPION, "gbdt"), deep=0)["slice_fpr_max"]
    assert worst.value is None
    assert "nobody has enough orders" in worst.note


@pytest.mark.parametrize(("seeds", "deep"), [(1, 1), (3, new_families.FOLDS)])
def test_the_command_asks_for_as_many_processes_and_seeds_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch, seeds: int, deep: int
) -> None:
    seen = []
    monkeypatch.setattr(
        new_families, "measure", lambda folder, progress, field, out: seen.append(field) or []
    )
    models.run({"gap_to_raw"}, lambda *_: None, seeds=seeds, workers=2)
    assert seen == [Field(deep=deep, seeds=seeds, workers=2)]


def asked(*run: Any) -> Any:
    """What a run was asked for, and where it ran."""
    return *run[1:4], os.getpid()


def test_several_processes_take_each_part_with_each_seed_in_the_order_of_one(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(new_families, "_run", asked)
    here, there = (
        cast(list[Any], new_families._every(ground, Field(seeds=2, workers=n), tmp_path, lambda *_: None))
        for n in (1, 2)
    )
    assert [run[:3] for run in there] == [run[:3] for run in here]
    assert {run[3] for run in here} == {os.getpid()}
    assert os.getpid() not in {run[3] for run in there}


def test_a_plain_run_quotes_the_committed_tables_by_their_hash(
    ground: Ground, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(__file__).parents[2]
    kept = json.loads((folder / "riskgraph/bench/tables.json").read_text())
    for name, digest in kept["sha256"].items():
        assert sha256((folder / "docs/tables" / name).read_bytes()).hexdigest() == digest
    figures = new_families.figures(Sets(None, lambda *_: None))
    assert [figure.name for figure in figures] == [row["name"] for row in kept["figures"]]
    for figure, row in zip(figures, kept["figures"], strict=True):
        assert f"three seeds: {row['value']:.4f} (" in figure.note
        assert kept["sha256"]["models.json"][:16] in figure.note
