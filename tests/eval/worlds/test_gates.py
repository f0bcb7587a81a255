"""The gates: thresholds that nobody sets for himself, a guard that is missed when gone, certificates."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from riskgraph.core.door import Door
from riskgraph.core.errors import CheckFailed, Conflict
from riskgraph.core.outcome import Outcome, label_at
from riskgraph.eval.worlds import Oracle, World, gates, order_table, preset, reference
from riskgraph.eval.worlds.gates import Figure, Material, likeness, people, strength
from riskgraph.eval.worlds.gates.certificates import row
from riskgraph.eval.worlds.gates.figure import crossed_flags, halves
from riskgraph.eval.worlds.gates.guard import label_guard, label_time
from riskgraph.eval.worlds.gates.likeness import Sample, two_sample_auc

ALL_HELD = [Figure(gate, "a figure", seed, 0.5, 0.0, 1.0) for gate in gates.GATES for seed in (1, 2)]


@pytest.fixture(scope="module")
def material(small_world: World, door: Door) -> Material:
    return Material.of(small_world, door)


def with_oracle(material: Material, **changes: np.ndarray) -> Material:
    return replace(material, oracle=Oracle(**{**vars(material.oracle), **changes}))


def test_at_a_fixed_false_positive_rate_that_share_of_honest_orders_is_flagged() -> None:
    rng = np.random.default_rng(0)
    fraud = rng.random(40_000) < 0.05
    scores = rng.normal(size=40_000) + 3 * fraud
    flagged = crossed_flags(scores, fraud, rng.random(40_000) < 0.5, 0.0038)
    assert flagged[~fraud].mean() == pytest.approx(0.0038, abs=0.0012)
    # Two normal curves three apart, at the 99.62 % point.
    assert flagged[fraud].mean() == pytest.approx(0.63, abs=0.05)


def test_tied_orders_are_flagged_by_lot_until_the_budget_is_spent() -> None:
    rng = np.random.default_rng(0)
    fraud = rng.random(40_000) < 0.1
    scores = np.where(fraud, 1.0, rng.random(40_000) < 0.02)
    flagged = crossed_flags(scores, fraud, rng.random(40_000) < 0.5, 0.01)
    assert flagged[~fraud].mean() == pytest.approx(0.01, abs=0.002)
    assert flagged[fraud].mean() == pytest.approx(0.5, abs=0.06)


def test_an_absent_value_is_never_flagged() -> None:
    scores = np.full(400, np.nan)
    assert not crossed_flags(scores, np.arange(400) < 200, np.arange(400) % 2 == 0, 0.5).any()


def test_orders_of_one_account_lie_in_one_half() -> None:
    account = np.repeat(np.arange(300), 3)
    half = halves(account)
    assert all(len(set(half[account == a])) == 1 for a in range(300))
    assert 0.4 < half.mean() < 0.6
    assert halves(np.full(100, -1)).mean() == 0.5


def test_a_figure_that_does_not_exist_does_not_hold() -> None:
    assert not Figure(3, "trees", 1, math.nan, 0.25, 0.7).held
    assert Figure(3, "trees", 1, 0.25, 0.25, 0.7).held


def test_a_gate_holds_when_all_its_figures_hold_at_every_seed() -> None:
    assert all(gates.holds(ALL_HELD).values())
    one_bad = [*ALL_HELD, Figure(5, "look-alike", 3, 0.99, 0.75, 0.97)]
    assert [g for g, held in gates.holds(one_bad).items() if not held] == [5]
    assert not any(gates.holds([]).values())


def test_a_component_that_gives_fraud_away_is_found_and_named(material: Material) -> None:
    table = material.table.take(np.arange(len(material.table)))
    table.components[:, 0] = np.where(material.oracle.is_fraud, 0.0, 9.0)
    leaky, graph = strength.single_components(replace(material, table=table))
    assert leaky.value > 0.95
    assert not leaky.held
    assert "B001.n low" in leaky.more
    assert graph.more.startswith(("B131", "B132", "B133", "B134", "B135", "B136", "B137"))


def test_trees_on_the_order_and_with_relations_are_measured_on_later_orders_only(material: Material) -> None:
    assert np.isnan(material.alone[~material.later]).all()
    assert not material.flags(material.alone)[~material.later].any()
    whole, cost = strength.with_relations(material)
    assert (whole.gate, cost.gate) == (4, 6)
    assert strength.order_alone(material)[0].value < whole.value


def test_no_label_of_a_world_rests_on_a_later_report(material: Material, small_world: World) -> None:
    early, held = label_time(material, small_world.outcomes())
    assert early.value == 0
    assert held.value > 0
    assert early.held
    assert held.held


def test_a_world_read_without_the_label_time_guard_is_caught(
    small_world: World, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_table, "label_at", lambda outcomes, at: label_at(outcomes, math.inf))
    # later reports are not even kept
    kept = order_table._outcomes
    monkeypatch.setattr(order_table, "_outcomes", lambda world, at: kept(world, math.inf))
    early, _ = label_time(Material.of(small_world, door), small_world.outcomes())
    assert early.value > 0
    assert not early.held


def test_the_guard_counts_fraud_and_clean_labels_that_came_too_early() -> None:
    def told(key: str, kind: str, at: float) -> Outcome:
        return Outcome(f"{key}-{kind}", key, kind, at, at)

    outcomes = [told("a", "confirmed_fraud", 5), told("b", "confirmed_fraud", 15), told("c", "paid", 1)]
    label = np.array([1, 1, 0], dtype=np.int8)
    assert label_guard(["a", "b", "c"], label, outcomes, known_at=10) == (2, 1)


def test_samples_of_one_kind_are_not_told_apart_and_shifted_ones_are() -> None:
    rng = np.random.default_rng(0)
    one, other, shifted = (
        Sample(rng.normal(mean, 1, (600, 5)).astype(np.float32), np.arange(600)) for mean in (0, 0, 1.5)
    )
    assert two_sample_auc(one, other) == pytest.approx(0.5, abs=0.06)
    assert two_sample_auc(one, shifted) > 0.95
    assert math.isnan(two_sample_auc(one, Sample(one.features[:10], one.owner[:10])))


def test_people_who_can_be_recognised_do_not_make_two_samples_differ() -> None:
    rng = np.random.default_rng(0)

    def sample() -> Sample:
        owner = np.repeat(np.arange(60), 10)
        # Each owner's orders are nearly the same, and unlike everybody else's.
        return Sample(
            (rng.normal(size=(60, 4))[owner] + rng.normal(0, 0.01, (600, 4))).astype(np.float32), owner
        )

    assert two_sample_auc(sample(), sample()) == pytest.approx(0.5, abs=0.12)


def test_an_odd_type_that_trips_a_rule_often_enough_holds_and_is_told_with_the_rule(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = np.where(material.oracle.is_fraud, None, "ordinary").astype(object)
    honest = np.flatnonzero(~material.oracle.is_fraud)
    kinds[honest[:100]], kinds[honest[100:200]] = "odd", "plain"
    held = np.zeros((len(kinds), len(reference.rules())), dtype=np.bool_)
    held[honest[:30], 4] = True
    held[honest[::50], 4] = True
    monkeypatch.setattr(reference, "trips", lambda table: held)
    figures = {f.name: f for f in people.odd_people(with_oracle(material, honest_type=kinds))}
    assert figures["oddest rule of odd"].held
    assert reference.rules()[4].name in figures["oddest rule of odd"].more
    assert not figures["oddest rule of plain"].held


@pytest.mark.parametrize(
    ("recalls", "failing"),
    [
        ((0.8, 0.6, 0.45, 0.3), set()),
        ((0.6, 0.6, 0.6, 0.6), {"fall with camouflage", "largest step, share of the fall"}),
        ((0.9, 0.88, 0.2, 0.18), {"largest step, share of the fall"}),
        ((0.8, 0.2, 0.7, 0.1), {"rise beyond the intervals", "largest step, share of the fall"}),
    ],
)
def test_recall_must_fall_with_camouflage_by_degrees(
    material: Material, monkeypatch: pytest.MonkeyPatch, recalls: tuple[float, ...], failing: set[str]
) -> None:
    from riskgraph.eval.intervals import Interval

    rows = [
        (low, high, Interval(r, r - 0.04, r + 0.04))
        for (low, high), r in zip(people.CAMOUFLAGE, recalls, strict=True)
    ]
    monkeypatch.setattr(people, "recall_by_camouflage", lambda _: rows)
    assert {f.name for f in people.camouflage(material) if not f.held} == failing


def test_a_world_with_too_few_gangs_says_nothing_about_camouflage(material: Material) -> None:
    assert not any(f.held for f in people.camouflage(material) if f.name == "fall with camouflage")


def test_a_world_of_another_configuration_is_not_read(tmp_path: Path, door: Door) -> None:
    config = preset("demo").scaled(orders=200)
    folder = tmp_path / "seed-1"
    folder.mkdir()
    from riskgraph.eval.worlds import simulate

    simulate(config, 1, folder)
    with pytest.raises(Conflict, match="another configuration"):
        next(gates.certify(config.scaled(orders=300), [1, 2], tmp_path, door))


def test_certified_configurations_are_as_they_were_certified() -> None:
    # Never edit a certified configuration: add a new one under a new name.
    assert gates.broken(gates.certified()) == []


def test_an_edited_configuration_is_noticed() -> None:
    config = preset("bench")
    given = gates.certificate(config, [1, 2], ALL_HELD)
    again = gates.Certificate(**json.loads(json.dumps(asdict(given))))
    assert gates.broken([again], {"bench": config}) == []
    assert gates.broken([again], {"bench": replace(config, shift_scale=1.39)}) == ["bench"]
    assert gates.broken([again], {}) == ["bench"]
    assert gates.broken([replace(again, reference_sha256="0" * 64)], {"bench": config}) == ["bench"]


def test_a_configuration_with_a_failing_gate_gets_no_certificate() -> None:
    with pytest.raises(CheckFailed, match="gates 5 do not hold"):
        gates.certificate(preset("bench"), [1], [*ALL_HELD, Figure(5, "look-alike", 1, 0.99, 0.75, 0.97)])


def test_a_row_of_the_table_is_plain_json() -> None:
    written = row(Figure(8, "fall", 1, math.nan, low=0.1))
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["high"] is None
    assert written["value"] is None
    assert written["held"] is False


def test_the_look_alike_is_the_odd_type_that_is_hardest_to_tell(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = likeness.odd_types(material)
    assert "ordinary" not in types
    order = iter(0.9 - 0.01 * i for i in range(10_000))
    monkeypatch.setattr(likeness, "two_sample_auc", lambda one, other: next(order))
    assert all(f.more == types[-1] for f in likeness.look_alikes(material))
