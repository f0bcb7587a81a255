"""The human baseline: what is judged against it, and how a value becomes a rank and a value again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.baseline import (
    ANY_DEVICE,
    LEAST_UNITS,
    Baseline,
    Quantiles,
    device_classes,
    is_trajectory,
    trajectory_components,
)
from riskgraph.core.baseline_view import BaselineView, Curve, devices_of, rank_distance
from riskgraph.core.bounds import component_bounds
from riskgraph.core.catalog import Form, catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.subgraph import OrderSubgraph, State
from tests.explainers.helpers import random_subgraph
from tests.models.helpers import random_model
from tests.support.baselines import some_baseline

LOW, HIGH = 0.0, 100.0
TRAJECTORY = [node for node in catalog() if is_trajectory(node)]
HERE, THERE = some_baseline(1), some_baseline(2)
FEW = some_baseline(3, lambda component, kind: 200 if component.startswith("B014") else 500)
ELSEWHERE = BaselineView(HERE, THERE)
VIEWS = (BaselineView(FEW, THERE), BaselineView(FEW, FEW), BaselineView(None, FEW))
DEVICE = catalog().component_index["B077.value"]
# Few distinct numbers beside many: real quantiles have flat parts.
_number = st.one_of(st.floats(LOW, HIGH, width=32), st.sampled_from([0.0, 1.0, 50.0]))
_table = st.lists(_number, min_size=2, max_size=21).map(sorted)
_values = st.lists(st.one_of(_number, st.floats(-50, 200, width=32)), min_size=1, max_size=40)


def curve(own: list[float], other: list[float]) -> Curve:
    told = [Quantiles("B033.p50", "phone", 1000, tuple(values)) for values in (own, other)]
    return Curve(*told, LOW, HIGH)


def column(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def an_order(kind: str | None, seed: int = 0, share: float = 1.0) -> OrderSubgraph:
    """An order with all nodes, on a kind of device or on one that is not told."""
    whole = random_subgraph(seed, share, fixed={"B077": kind} if kind else None)
    return whole if kind else whole.without("B077", State.REFUSED)


def test_the_trajectory_nodes_are_movement_and_the_timing_of_pointer_touch_and_keys():
    assert len(TRAJECTORY) == 27
    assert all(
        node.computed_by == "sdk" and node.form in (Form.NUMBER, Form.HISTOGRAM) for node in TRAJECTORY
    )
    ids = {node.id for node in TRAJECTORY}
    # Scrolling is movement though it is navigation; how long a page was read is none.
    assert {"B009", "B014", "B028", "B034", "B042"} <= ids
    assert ids.isdisjoint({"B001", "B020", "B029", "B077", "B084"})


@given(own=_table, other=_table, values=_values)
def test_a_larger_value_never_becomes_a_smaller_one(own, other, values):
    seen = curve(own, other)(column(sorted(values)))
    assert (np.diff(seen) >= 0).all()


@given(own=_table, values=_values)
def test_on_the_same_scale_a_value_stays_what_it_is(own, values):
    given_values = column([min(max(v, LOW), HIGH) for v in values])
    mapped = curve(own, own)(given_values)
    inside = (given_values >= own[0]) & (given_values <= own[-1])
    np.testing.assert_allclose(mapped[inside], given_values[inside], rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(mapped, given_values, rtol=1e-6, atol=1e-4)


@given(own=_table, other=_table, values=_values)
def test_what_honest_shoppers_do_here_stays_within_what_they_do_there(own, other, values):
    mapped, given_values = curve(own, other)(column(values)), column(values)
    assert ((mapped >= LOW) & (mapped <= HIGH)).all()
    inside = (given_values >= column(own)[0]) & (given_values <= column(own)[-1])
    assert (mapped[inside] >= column(other)[0]).all()
    assert (mapped[inside] <= column(other)[-1]).all()


@given(own=st.lists(_number, min_size=3, max_size=21, unique=True).map(sorted), data=st.data())
def test_a_quantile_becomes_the_quantile_of_the_same_rank(own, data):
    other = data.draw(st.lists(_number, min_size=len(own), max_size=len(own)).map(sorted))
    mapped = curve(own, other)(column(own))
    np.testing.assert_allclose(mapped[1:-1], column(other)[1:-1], rtol=1e-6, atol=1e-5)


def test_who_moves_as_no_honest_shopper_does_is_not_taken_for_one():
    slow, quick = [10.0, 20.0, 30.0], [20.0, 40.0, 60.0]
    assert curve(slow, quick)(column([40.0, 0.0])).tolist() == [80.0, 0.0]
    assert curve(quick, slow)(column([80.0, 0.0])).tolist() == [40.0, 0.0]


@pytest.mark.parametrize(("own", "other"), [([10.0, 20.0], [50.0, 50.0]), ([15.0, 15.0], [40.0, 50.0])])
def test_where_nobody_differs_an_overhang_stays_as_long_as_it_is(own, other):
    below, above = curve(own, other)(column([own[0] - 3, own[-1] + 7]))
    assert (below, above) == (other[0] - 3, other[-1] + 7)


def test_a_value_that_many_have_gets_the_middle_of_their_ranks():
    # Half of the shoppers here never correct a key; there the lower half reaches up to 4.
    mapped = curve([0.0, 0.0, 0.0, 5.0, 10.0], [0.0, 2.0, 4.0, 6.0, 8.0])(column([0.0, 5.0]))
    assert mapped.tolist() == [2.0, 6.0]


def test_an_absent_value_stays_absent():
    assert np.isnan(curve([0.0, 1.0], [3.0, 4.0])(column([np.nan]))).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 50), kind=st.sampled_from([*device_classes()[:-1], None]))
def test_the_model_sees_ranks_and_the_order_keeps_its_values(seed, kind):
    order = an_order(kind, seed)
    before = order.pack()
    seen = ELSEWHERE.see(order)
    assert order.pack() == before
    others = np.setdiff1d(np.arange(len(catalog().components)), trajectory_components())
    np.testing.assert_array_equal(seen.components[others], order.components[others])
    np.testing.assert_array_equal(seen.states, order.states)
    low, high = component_bounds()
    for place in trajectory_components():
        assert low[place] <= seen.components[place] <= high[place]
        key = catalog().components[place], kind or ANY_DEVICE
        bend = Curve(HERE.by_place[key], THERE.by_place[key], float(low[place]), float(high[place]))
        assert seen.components[place] == bend(order.components[place : place + 1])[0]


@settings(max_examples=20)
@given(seed=st.integers(0, 50), kind=st.sampled_from([*device_classes()[:-1], None]))
def test_many_orders_are_seen_as_one_is(seed, kind):
    order = an_order(kind, seed, share=0.7)
    for view in VIEWS:
        rows = np.stack([order.components, order.components])
        kinds = devices_of(rows[:, DEVICE])
        whole = [view.see_columns(rows[:, part], part, kinds) for part in (slice(0, 100), slice(100, 259))]
        np.testing.assert_array_equal(np.hstack(whole)[1], view.see(order).components)


def test_by_its_own_baseline_an_order_is_seen_as_it_is():
    order = an_order("phone")
    assert BaselineView(HERE, Baseline.parse(HERE.to_json())).see(order) is order


@pytest.mark.parametrize(("units", "seen"), [(LEAST_UNITS - 1, False), (LEAST_UNITS, True)])
def test_a_kind_of_device_counts_from_500_persons_on(units, seen):
    few = some_baseline(
        1, lambda component, kind: units if (component, kind) == ("B034.p50", "tablet") else 500
    )
    for view in (BaselineView(few, few), BaselineView(few, THERE), BaselineView(THERE, few)):
        assert ("B034" not in view.unseen(an_order("tablet"))) is seen
        assert (view.see(an_order("tablet")).state("B034") is State.PRESENT) is seen
        assert view.unseen(an_order("phone")) == view.unseen(an_order(None)) == []


def test_a_model_that_was_trained_on_few_sees_them_at_its_own_merchant():
    few, order = some_baseline(1, lambda component, kind: 40), an_order("tablet")
    assert BaselineView(few, few, abstain=False).see(order) is order
    with pytest.raises(ValueError, match="own"):
        BaselineView(THERE, few, abstain=False)


@pytest.mark.parametrize("pair", [(None, None), (None, THERE), (THERE, None)])
def test_without_a_baseline_no_trajectory_is_seen_and_all_else_is(pair):
    order = an_order("desktop")
    view = BaselineView(*pair)
    assert view.unseen(order) == [node.id for node in TRAJECTORY]
    expected = order
    for node in TRAJECTORY:
        expected = expected.without(node.id, State.NOT_DELIVERED)
    assert view.see(order) == expected


@settings(max_examples=10)
@given(seed=st.integers(0, 20))
def test_what_is_not_calibrated_adds_exactly_zero(tmp_path_factory, seed):
    model = random_model(tmp_path_factory.mktemp("model"), seed=seed)
    order = an_order("phone", seed, share=0.6)
    score = model.score(BaselineView(None, None).see(order), "pre_auth/front_end")
    hidden = np.array([is_trajectory(node) for node in catalog()])
    assert not score.own_terms[hidden].any()
    touching = [pair.index for pair in catalog().pairs if hidden[pair.a] or hidden[pair.b]]
    assert not score.pair_terms[touching].any()
    bare = order
    for node in TRAJECTORY:
        bare = bare.without(node.id)
    assert score.logit == model.score(bare, "pre_auth/front_end").logit


def test_a_baseline_comes_back_from_its_file(tmp_path):
    made = some_baseline(4, lambda component, kind: 99 if kind == "other" else 700)
    (tmp_path / "baseline.json").write_bytes(made.to_bytes())
    read = Baseline.load(tmp_path / "baseline.json")
    assert read == made
    assert read.baseline_id == made.baseline_id


def test_whose_shoppers_a_baseline_is_of_is_told_in_its_file_and_its_id():
    named = replace(HERE, merchants=("m-17", "m-18"))
    assert Baseline.parse(named.to_json()) == named
    assert named.baseline_id != HERE.baseline_id
    assert "merchants" not in HERE.to_json()


def _changed(**changes):
    return {**HERE.to_json(), **changes}


def _of_rows(change):
    data = json.loads(json.dumps(HERE.to_json()))
    change(data["quantiles"])
    return data


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (_changed(k=49), "altered"),
        (_changed(provenance="real"), "provenance"),
        (_changed(schema="riskgraph.baseline/2"), "schema"),
        ({k: v for k, v in _changed().items() if k != "releases"}, "releases"),
        (_of_rows(lambda rows: rows.pop()), "one table for each"),
        (_of_rows(lambda rows: rows[3].update(component="B014.p99")), "one table for each"),
        (_of_rows(lambda rows: rows[3]["values"].reverse()), "rise"),
        (_of_rows(lambda rows: rows[3]["values"].append(float("nan"))), "rise"),
        (_of_rows(lambda rows: rows[3].update(units=-1)), "units"),
        ([], "no sound baseline"),
    ],
)
def test_what_is_no_sound_baseline_is_refused_and_named(data, told):
    with pytest.raises(Invalid, match=told):
        Baseline.parse(data)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Invalid, match=r"none\.json"):
        Baseline.load(tmp_path / "none.json")


def test_the_distance_of_two_baselines_is_the_largest_difference_of_rank():
    one = HERE
    assert set(rank_distance(one, one).values()) == {0.0}
    key = ("B034.p50", "phone")
    table = one.by_place[key]
    # Everybody is beyond the other's slowest.
    far = replace(table, values=tuple(v + table.values[-1] + 1 for v in table.values))
    rows = tuple(far if q == table else q for q in one.quantiles)
    found = rank_distance(one, replace(one, quantiles=rows))
    assert found.pop(key) == 1.0
    assert set(found.values()) == {0.0}


@given(own=_table, other=_table)
def test_the_distance_is_the_same_both_ways_and_at_most_one(own, other):
    one, two = (
        Baseline(("rel-1",), "merchant", 50, (Quantiles("B034.p50", "phone", 1000, tuple(values)),))
        for values in (own, other)
    )
    (there,), (back,) = rank_distance(one, two).values(), rank_distance(two, one).values()
    assert there == pytest.approx(back)
    assert 0 <= there <= 1
