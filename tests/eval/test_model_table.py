from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from riskgraph.core.errors import Invalid
from riskgraph.eval.intervals import Clusters, difference_interval
from riskgraph.eval.metrics import share
from riskgraph.eval.model_table import READINGS, Contest, ModelTable, freeze, judge, model_table
from riskgraph.eval.window import Truth, Window
from tests.eval.backtest_toy import Toy, ToyScorer, make_toy

EARLY, LATE = Window(date(2026, 5, 1), date(2026, 7, 31)), Window(date(2026, 8, 1), date(2026, 10, 31))


def with_a_new_kind(toy: Toy) -> Truth:
    """The toy's truth, where a third of the gangs is of a kind that begins in July and is idle before."""
    truth = toy.truth
    placed = dict(zip(toy.table.order_id, toy.table.placed_at, strict=True))
    late = np.array([placed[i] for i in truth.order_id]) >= datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1e6
    gang = np.array([int(g[1:]) if g else -1 for g in truth.gang_id])
    kind = truth.archetype.copy()
    kind[truth.is_fraud & (gang % 3 == 0) & late] = "brushing"
    fields = ("order_id", "is_fraud", "gang_id", "camouflage", "honest_type")
    return Truth(**{name: getattr(truth, name) for name in fields}, archetype=kind)


@pytest.fixture(scope="module")
def contest() -> Contest:
    toy = make_toy(orders=12_000)
    return Contest(toy.table, with_a_new_kind(toy), EARLY, LATE, {"brushing"}, reps=100)


@pytest.fixture(scope="module")
def table(contest: Contest) -> ModelTable:
    return model_table(judge({"good": ToyScorer(), "poor": ToyScorer(noise=6.0, name="toy-2")}, contest))


def figures(table: ModelTable, name: str = "good") -> Any:
    return table.rows[name].figures


def test_a_kind_that_was_left_out_is_new(table: ModelTable) -> None:
    assert set(table.orders.archetype[table.new]) == {"brushing"}
    assert {row["archetype"]: row["new"] for row in figures(table)["archetype"]} == {
        "brushing": True, "card_testing": False, "proxy_buying": False,
    }  # fmt: skip


def test_the_threshold_is_frozen_on_the_earlier_window_alone(contest: Contest, table: ModelTable) -> None:
    (inside,) = np.nonzero(EARLY.mask(contest.table.placed_at))
    early = contest.table.take(inside)
    truth = dict(zip(contest.truth.order_id, contest.truth.is_fraud, strict=True))
    honest = np.array([not truth[i] for i in early.order_id])
    reached = (
        ToyScorer().score_batch(early.components, early.availability)[1]
        >= table.rows["good"].figures["thresholds"][0]
    )
    assert 0 < share((reached & honest).sum(), honest.sum()) <= 0.0038
    assert reached[honest].sum() == int(0.0038 * honest.sum())


def test_recall_of_new_and_known_kinds_is_counted_apart(table: ModelTable) -> None:
    novelty = {row["kinds"]: row for row in figures(table)["novelty"]}
    fraud, new, hits = table.orders.is_fraud, table.new, table.rows["good"].hits
    for reading in READINGS:
        for word, among in (("new", new), ("known", fraud & ~new)):
            told = novelty[word][f"recall_{reading}"]
            assert told["value"] == pytest.approx((hits[reading] & among).sum() / among.sum())
            assert told["lower"] <= told["value"] <= told["upper"]
    assert novelty["new"]["fraud"] + novelty["known"]["fraud"] == fraud.sum()


def test_what_is_flagged_by_reject_or_review_holds_what_is_rejected(table: ModelTable) -> None:
    hits = table.rows["good"].hits
    assert not (hits["reject"] & ~hits["reject_or_review"]).any()
    honest = ~table.orders.is_fraud
    review = hits["reject_or_review"] & ~hits["reject"]
    assert figures(table)["honest_review_share"]["value"] == pytest.approx(review[honest].mean())


def test_beside_every_recall_stand_rate_precision_and_base_rate(table: ModelTable) -> None:
    fraud = table.orders.is_fraud
    for reading, row in figures(table)["overall"].items():
        hit = table.rows["good"].hits[reading]
        assert row["fpr"]["value"] == pytest.approx(hit[~fraud].mean())
        assert row["precision"]["value"] == pytest.approx(fraud[hit].mean())
        assert row["base_rate"] == pytest.approx(fraud.mean())
        assert 0 < row["gangs"]["caught"] <= row["gangs"]["count"]


def test_classes_of_availability_hold_all_orders(table: ModelTable) -> None:
    rows = figures(table)["availability"]
    assert sum(row["fraud"] + row["honest"] for row in rows) == len(table.orders)
    assert len(rows) == 3


def test_only_kinds_of_honest_people_with_enough_orders_are_judged(table: ModelTable) -> None:
    slices = {row["honest_type"]: row for row in figures(table)["honest_type"]}
    assert {name: row["judged"] for name, row in slices.items()} == {
        name: row["honest"] >= 500 for name, row in slices.items()
    }
    worst = figures(table)["slice_fpr_max"]["score"]
    assert worst["value"] == max(row["fpr_score"]["value"] for row in slices.values() if row["judged"])


def test_a_poor_model_is_behind_and_the_gap_has_an_interval(table: ModelTable) -> None:
    (gap,) = table.gaps("good").values()
    assert gap["upper"] < 0
    assert gap["value"] == pytest.approx(
        table.rows["poor"].hits["score"][table.new].mean()
        - table.rows["good"].hits["score"][table.new].mean()
    )


def test_verdicts_with_gates_come_from_the_caller(contest: Contest) -> None:
    def nobody(table: Any, probability: Any) -> Any:
        return np.full(len(table), "accept", dtype=object)

    got = model_table(judge({"good": ToyScorer()}, contest, {"good": nobody}))
    assert not got.rows["good"].hits["reject_or_review"].any()
    assert got.rows["good"].hits["score"].any()


def test_orders_that_thresholds_were_frozen_on_do_not_count(contest: Contest) -> None:
    with pytest.raises(Invalid, match="2026-07-31") as told:
        Contest(contest.table, contest.truth, EARLY, Window(date(2026, 7, 31), date(2026, 9, 1)), set())
    assert told.value.field == "judged_on"


def test_a_window_without_fraud_is_refused(contest: Contest) -> None:
    nobody = Window(date(2027, 1, 1), date(2027, 1, 2))
    with pytest.raises(Invalid, match="0 fraudulent and 0 honest"):
        judge({}, Contest(contest.table, contest.truth, EARLY, nobody, set()))


def test_of_several_contests_each_kind_is_new_where_it_was_left_out(contest: Contest) -> None:
    parts = [
        judge({"good": ToyScorer(), str(i): ToyScorer()}, replace(contest, new=kinds))
        for i, kinds in enumerate(({"brushing"}, {"card_testing"}))
    ]
    together, (one, other) = model_table(*parts), [model_table(part) for part in parts]
    assert set(together.rows) == {"good"}
    assert len(together.orders) == 2 * len(one.orders)
    said = {row["kinds"]: row["fraud"] for row in figures(together)["novelty"]}
    assert said["new"] == int(one.new.sum()) + int(other.new.sum())
    hits = [t.rows["good"].hits["score"][t.new].sum() for t in (one, other)]
    recall = figures(together)["novelty"][0]["recall_score"]["value"]
    assert recall == pytest.approx(sum(hits) / said["new"])
    apart = {(row["archetype"], row["new"]): row["fraud"] for row in figures(together)["archetype"]}
    counts = [{row["archetype"]: row["fraud"] for row in figures(t)["archetype"]} for t in (one, other)]
    assert apart[("brushing", True)] == apart[("brushing", False)] == counts[0]["brushing"]
    assert apart[("proxy_buying", False)] == 2 * counts[0]["proxy_buying"]
    # gangs are drawn as often as before: no order counts as evidence twice
    assert together.orders.clusters.is_fraud.sum() == one.orders.clusters.is_fraud.sum()


def test_several_contests_on_the_same_orders_make_no_thin_slice_thick(contest: Contest) -> None:
    part = judge({"good": ToyScorer()}, contest)
    honest = ~part.orders.is_fraud
    rare = np.where(np.cumsum(honest) <= 200, "rare", part.orders.honest_type).astype(object)
    few = replace(
        part, hands={n: replace(h, rows=replace(h.rows, honest_type=rare)) for n, h in part.hands.items()}
    )
    told = {row["honest_type"]: row for row in figures(model_table(few, few, few))["honest_type"]}
    assert told["rare"]["honest"] == 600
    assert not told["rare"]["judged"]


def test_contests_on_different_orders_make_no_table(contest: Contest) -> None:
    later = replace(contest, judged_on=Window(date(2026, 9, 1), date(2026, 10, 31)))
    with pytest.raises(Invalid, match="different orders"):
        model_table(judge({}, contest), judge({}, later))


def test_too_few_honest_orders_set_no_threshold() -> None:
    with pytest.raises(Invalid, match="200 honest orders are too few"):
        freeze(np.linspace(0, 1, 200))


def test_tied_scores_stay_below_the_threshold_together() -> None:
    scores = np.concatenate([np.zeros(9000), np.full(1000, 0.5)])
    assert not (scores >= freeze(scores)).any()


def test_two_models_that_agree_everywhere_still_have_open_ends() -> None:
    hit = np.arange(40) % 2 == 0
    clusters = Clusters(np.repeat(np.arange(20), 2), np.ones(20, dtype=bool))
    found = difference_interval(hit, hit, np.ones(40, dtype=bool), clusters)
    assert found.value == 0
    assert found.upper == -found.lower == pytest.approx(1 - 0.025 ** (1 / 20))


def test_the_interval_of_a_difference_is_that_of_pairs() -> None:
    rng = np.random.default_rng(1)
    clusters, among = Clusters(np.arange(2000), np.ones(2000, dtype=bool)), np.ones(2000, dtype=bool)
    first = rng.random(2000) < 0.5
    second = first & (rng.random(2000) < 0.96)
    found = difference_interval(first, second, among, clusters)
    # Drawn apart, two shares near one half would differ by 0.03 either way by chance alone.
    assert 0 < found.lower < found.value < found.upper < 0.04
