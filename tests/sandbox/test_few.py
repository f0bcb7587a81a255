"""Planted histories in which few persons have something: what groups and causes of absence tell of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.subgraph import State
from riskgraph.sandbox.absence import CAUSES, PARTS, fit_absence, tally_absence
from riskgraph.sandbox.bins import NOISE_SD, Binned, FineTally, Scale, all_edges, merge_bins, round_up
from riskgraph.sandbox.count import GroupCount
from riskgraph.sandbox.draw import _states
from riskgraph.sandbox.frame import COMPONENT_COUNT, Frame
from riskgraph.sandbox.groups import Groups, _shared, noised_groups, sum_groups
from riskgraph.sandbox.manifest import certificate
from riskgraph.sandbox.partition import Grouped, Partition, Persons, summarise
from riskgraph.sandbox.strata import COUNT, SDK, Pattern, blocked, suppress
from riskgraph.sandbox.tally import Tally

K = 50
NODE = int(np.flatnonzero(~blocked().any(axis=0))[0])
VALUE = catalog().component_slices[NODE].start
PARTED, PART = PARTS[1]
STEP = 5.0
_SCALE = Scale(np.zeros(1, np.float32), np.array([-STEP, STEP], np.float32), np.arange(2, dtype=np.int8))
Flags = NDArray[np.bool_]


def frame_of(
    unit: NDArray[np.int64], stratum: NDArray[np.int64], has: Flags, *, node: int = NODE,
    causes: NDArray[np.uint8] | None = None, label: NDArray[np.int64] | None = None,
) -> Frame:  # fmt: skip
    """Rows of which one node is there or not; all other nodes are there, with low values."""
    label = np.zeros(len(unit), np.int64) if label is None else label
    order = np.lexsort((stratum, unit, label))
    states = np.full((NODE_COUNT, len(unit)), State.PRESENT, dtype=np.uint8)
    states[node] = np.where(has, State.PRESENT, CAUSES[1] if causes is None else causes)
    values = np.full((COMPONENT_COUNT, len(unit)), -1, dtype=np.float32)
    values[np.ix_(np.array(catalog().component_node) == node, ~has)] = np.nan
    return Frame(
        source=np.arange(len(unit)), label=label[order].astype(np.int8), unit=unit[order],
        component=unit[order], stratum=stratum[order].astype(np.int16), values=values[:, order],
        states=states[:, order],
    )  # fmt: skip


def rare(frame: Frame, node: int = NODE) -> NDArray[np.float64]:
    """Share that stands for each stratum of the honest class, NaN where a group tells its own."""
    shared = len(frame.item_starts) - len(frame.unit_starts)
    found: NDArray[np.float64] = tally_absence(frame).rare_shares(np.array([shared, 0]), K)[0, :, node]
    return found


def crowds(sizes: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """So many persons in each stratum or group, of one order each."""
    return np.arange(sum(sizes)), np.repeat(np.arange(len(sizes)), sizes)


def first_of_each(place: NDArray[np.int64], counts: list[int]) -> Flags:
    """The first so many rows of each stratum or group."""
    return np.concatenate([np.arange((place == p).sum()) < n for p, n in enumerate(counts)])


def test_persons_of_strata_that_tell_their_own_share_do_not_stand_for_a_pooled_one() -> None:
    unit, stratum = crowds([200, 100, 100])
    told = rare(frame_of(unit, stratum, first_of_each(stratum, [60, 10, 10])))
    assert np.isnan(told[0])
    assert told[[1, 2]].tolist() == [0.0, 0.0]


def test_who_has_a_node_in_two_strata_stands_for_a_pooled_share_once() -> None:
    unit, stratum = np.tile(np.arange(150), 2), np.repeat([0, 1], 150)
    assert rare(frame_of(unit, stratum, unit < 30))[[0, 1]].tolist() == [0.0, 0.0]


def test_who_lacks_a_node_for_three_causes_lacks_it_once() -> None:
    unit = np.repeat(np.arange(200), 3)
    causes = np.tile(np.array(CAUSES, dtype=np.uint8), 200)
    assert rare(frame_of(unit, np.zeros(600, np.int64), unit >= 20, causes=causes))[0] == 1.0


def test_a_share_is_pooled_where_enough_persons_have_a_node_though_all_of_them_stand_in_many_strata() -> None:
    unit, stratum = np.tile(np.arange(200), 3), np.repeat([0, 1, 2], 200)
    told = rare(frame_of(unit, stratum, unit // 40 == stratum))
    assert told[:3].tolist() == [0.2, 0.2, 0.2]


def test_a_stratum_that_lacks_a_block_takes_no_part_in_a_pooled_share() -> None:
    node, gone = int(SDK[0]), Pattern(0, 0, 0, 0).code
    unit, place = crowds([200, 100, 100])
    stratum = np.array([gone, Pattern(0, 2, 0, 0).code, Pattern(0, 2, 0, 1).code])[place]
    told = rare(frame_of(unit, stratum, first_of_each(place, [0, 30, 30]), node=node), node)
    assert np.isnan(told[gone])
    assert set(told[~np.isnan(told)].tolist()) == {0.3}


def _with_patterns(people: list[int], label: list[int]) -> Frame:
    """Persons of four orders who show the first, the first two, ... components of a context node."""
    unit, kind = (np.repeat(column, 4) for column in crowds(people))
    frame = frame_of(
        unit, np.zeros(len(unit), np.int64), np.ones(len(unit), bool), label=np.array(label)[kind]
    )
    place = catalog().component_slices[PARTED]
    for i in range(place.stop - place.start):
        frame.values[place.start + i, kind[frame.unit * 4] < i] = np.nan
    return frame


def test_a_pattern_of_parts_is_told_of_k_persons_with_noise_and_of_fewer_not() -> None:
    tally = tally_absence(_with_patterns([300, 40, 100], [0, 0, 0]))
    shares = []
    for seed in (1, 2):
        masks, share = fit_absence(tally, K, np.random.default_rng(seed)).parts[PARTED]
        assert masks.tolist() == [1, 7]
        assert abs(share[0, 0] - 0.75) < 0.05
        assert share[0, 0] != 0.75
        shares.append(share[0, 0])
    assert shares[0] != shares[1]


def test_a_class_of_few_persons_takes_the_patterns_of_the_other() -> None:
    tally = tally_absence(_with_patterns([300, 100, 40], [0, 0, 1]))
    masks, share = fit_absence(tally, K, np.random.default_rng(0)).parts[PARTED]
    assert masks.tolist() == [1, 3]
    assert share[0].tolist() == share[1].tolist()


def grouped(frame: Frame, group: NDArray[np.int64], high: Flags) -> Grouped:
    """Groups of rows, all of one stratum and class; of ``VALUE`` some rows lie in the upper of two bins."""
    codes = (~np.isnan(frame.values)).astype(np.uint8)
    codes[VALUE] += high & (codes[VALUE] > 0)
    binned = Binned((_SCALE,) * COMPONENT_COUNT, (), codes)
    first = np.unique(group, return_index=True)[1]
    split = Partition(group[frame.item_starts].astype(np.int32), frame.label[first], frame.stratum[first], {})
    return Grouped(frame, binned, summarise(frame, binned), split)


def told_of(made: Grouped, seed: int = 0) -> tuple[Groups, NDArray[np.float32], NDArray[np.float32]]:
    """R2, and the exact means and spreads."""
    rng = np.random.default_rng(seed)
    absence = tally_absence(made.frame)
    scales = made.binned.scales
    groups, _, mean, sd = noised_groups(sum_groups(made), made.items, made.split, absence, scales, K, rng)
    return groups, mean, sd


def one_class(sizes: list[int], having: list[int], high: list[int] | None = None) -> Grouped:
    """Groups of persons with an order each, of whom the first so many have the node."""
    unit, group = crowds(sizes)
    frame = frame_of(unit, np.zeros(len(unit), np.int64), first_of_each(group, having))
    return grouped(frame, group, first_of_each(group, high or [0] * len(sizes)))


def test_a_node_that_three_persons_have_is_told_of_nobody() -> None:
    told, _, _ = told_of(one_class([60, 60, 60, 60], [3, 0, 0, 0]))
    assert told.presence[:, NODE].tolist() == [0.0] * 4


def test_a_share_of_presence_carries_the_noise_of_rows() -> None:
    made = one_class([60, 60, 60, 60], [30, 30, 30, 30])
    shares = np.array([told_of(made, seed)[0].presence[:, NODE] for seed in range(40)])
    assert abs(shares.std() / (NOISE_SD / 60) - 1) < 0.25


def _parts(having: list[int]) -> Grouped:
    """Groups in each of which 30 persons have a context node, and so many its part."""
    unit, group = crowds([60] * len(having))
    frame = frame_of(unit, np.zeros(len(unit), np.int64), unit % 60 < 30, node=PARTED)
    frame.values[PART, ~first_of_each(group, having)] = np.nan
    return grouped(frame, group, np.zeros(len(unit), bool))


def test_groups_with_few_holders_of_a_node_tell_alike_how_many_have_its_part() -> None:
    made, column = _parts([30, 30, 30, 0, 0, 0]), NODE_COUNT + 1
    draws = np.array([told_of(made, seed)[0].presence[:, column] for seed in range(200)])
    assert (np.ptp(draws, axis=1) == 0).all()
    assert abs(draws.mean() - 0.5) < 0.01
    # 180 rows have the node: 5 of them are more than 2 %
    assert abs(draws[:, 0].std() / (NOISE_SD / 180) - 1) < 0.2


def test_a_part_that_few_holders_lack_is_told_of_everybody() -> None:
    told, _, _ = told_of(_parts([30, 30, 30, 30, 20, 10]))
    assert told.presence[:, NODE_COUNT + 1].tolist() == [1.0] * 6


def test_groups_in_which_few_have_a_component_tell_one_mean_and_spread() -> None:
    """Else the value of the three persons of the first group would be told."""
    told, exact, _ = told_of(one_class([60] * 20, [3] * 20, [3] + [0] * 19))
    for column in (exact[:, VALUE], told.mean[:, VALUE], told.sd[:, VALUE]):
        assert len(set(column.tolist())) == 1
    assert abs(exact[0, VALUE] + 0.9 * STEP) < 1e-5


def test_where_few_persons_have_a_component_in_all_nothing_is_told_of_their_values() -> None:
    told = [told_of(one_class([60] * 4, [10] * 4, [10] * 4), seed)[0] for seed in range(5)]
    assert np.abs([t.mean[:, VALUE] for t in told]).max() < 1
    assert np.abs([t.sd[:, VALUE] - 1 for t in told]).max() < 0.3


def test_who_stands_in_two_strata_stands_for_a_pooled_mean_once() -> None:
    unit, group = np.tile(np.arange(100), 2), np.repeat([0, 1], 100)
    frame = frame_of(unit, group, unit < 30)
    made = grouped(frame, frame.stratum.astype(np.int64), np.ones(200, bool))
    assert np.abs(told_of(made)[0].mean[:, VALUE]).max() < 1


def test_a_class_of_too_few_holders_tells_the_mean_of_both_classes() -> None:
    unit, group = crowds([60] * 6)
    label = (group >= 4).astype(np.int64)
    frame = frame_of(unit, np.zeros(360, np.int64), unit % 60 < 20, label=label)
    told, _, _ = told_of(grouped(frame, group, group >= 4))
    assert len(set(told.mean[:, VALUE].tolist())) == 1
    assert abs(told.mean[0, VALUE] + STEP / 3) < 2


def test_released_means_and_spreads_are_not_the_exact_ones() -> None:
    made = one_class([60] * 4, [60] * 4, [1] * 4)
    told, mean, sd = told_of(made)
    assert np.all(told.mean[:, VALUE] != mean[:, VALUE])
    assert np.all(told.sd[:, VALUE] != sd[:, VALUE])


def _tally(fraud: int) -> FineTally:
    """Of the first component: 300 honest persons and a few of the fraud class, in two bins."""
    rows = np.zeros((COMPONENT_COUNT, 2, 16), dtype=np.int64)
    rows[0, 0, 1:3], rows[0, 1, 1] = (200, 100), fraud
    start = 1 << 16
    key, number = [2, 4, start + 2], [200, 100, fraud]
    return FineTally(rows, Tally(np.array(key), np.array(number)))


def test_what_is_told_of_a_class_is_the_same_whether_nobody_or_few_of_it_have_a_component() -> None:
    edges = [np.zeros(1, np.float32), *[np.empty(0, np.float32)] * (COMPONENT_COUNT - 1)]
    noise = np.zeros((COMPONENT_COUNT, 2, 16))
    for fraud in (0, 30):
        scales, support = merge_bins(edges, _tally(fraud), K, noise)
        assert support[0].rows.tolist() == [[300.0], [300.0]]
        assert scales[0].z.tolist() == [0.0]


def test_no_edge_of_a_bin_is_the_value_of_an_order() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random((2, 500)) * 3000).astype(np.float32)
    edges = all_edges([list(values)] * COMPONENT_COUNT)[1].astype(np.float64)
    assert len(edges) > 5
    assert np.allclose(round_up(edges), edges, rtol=1e-6)


def test_the_largest_person_and_component_are_told_to_a_twentieth() -> None:
    counted = GroupCount(1, 50, 40, 116, max_component_share=21 / 116, max_unit_share=10 / 116)
    assert counted.as_dict() | {"max_component_share": 0.2, "max_unit_share": 0.1} == counted.as_dict()
    rows = np.ones(60, dtype=np.int64)
    rows[:2] = 10, 7
    unit = np.arange(60)
    items = Persons(rows, unit, np.maximum(unit, 9), np.zeros(60, np.int8), np.zeros(60, np.int16))
    empty = np.zeros((1, 0), np.float32)
    groups = Groups(
        items.label[:1],
        items.stratum[:1],
        np.array([75]),
        np.array([60]),
        np.array([51]),
        empty,
        empty,
        empty,
    )
    held = certificate(K, items, np.zeros(60, np.int32), groups, counted.as_dict())
    assert (held["max_unit_share"], held["max_component_share"]) == (0.15, 0.35)


def test_an_absent_node_of_which_no_cause_is_told_was_not_delivered() -> None:
    frame = frame_of(np.arange(400), np.zeros(400, np.int64), np.arange(400) >= 30)
    absence = fit_absence(tally_absence(frame), K, np.random.default_rng(0))
    tables = SimpleNamespace(groups=SimpleNamespace(stratum=frame.stratum[:1]), absence=absence)
    there = np.ones((NODE_COUNT, 20), dtype=np.bool_)
    there[NODE, ::2] = False
    states = _states(tables, 0, np.zeros(20, np.intp), there, np.random.default_rng(0))  # type: ignore[arg-type]
    assert set(states[NODE, ::2].tolist()) == {int(State.NOT_DELIVERED)}
    assert set(states[NODE, 1::2].tolist()) == {int(State.PRESENT)}


def test_rows_that_lose_blocks_have_no_node_and_no_value_of_these_blocks_left() -> None:
    before, after = [], []
    for code in range(COUNT):
        smaller: Pattern | None = Pattern.of(code)
        while smaller is not None:
            before.append(code)
            after.append(smaller.code)
            smaller = smaller.smaller()
    values = np.ones((len(before), COMPONENT_COUNT), dtype=np.float32)
    states = np.full((len(before), NODE_COUNT), State.PRESENT, dtype=np.uint8)
    was, now = np.array(before, np.int16), np.array(after, np.int16)
    suppress(values, states, was, now)
    lost = blocked()[now] & ~blocked()[was]
    assert (states[lost] != State.PRESENT).all()
    assert np.isnan(values[lost[:, catalog().component_node]]).all()
    kept = ~blocked()[now]
    assert (states[kept] == State.PRESENT).all()
    assert (values[kept[:, catalog().component_node]] == 1).all()
    # who lost the front end looks like those who never had one
    fronts = np.array([Pattern.of(c).front for c in before]), np.array([Pattern.of(c).front for c in after])
    assert set(states[(fronts[0] > 0) & (fronts[1] == 0)][:, SDK].ravel().tolist()) == {State.NOT_DELIVERED}


def test_who_stands_in_both_classes_counts_once_where_they_share_a_pool() -> None:
    unit = np.array([1, 1, 2, 3, 1, 3, 4])
    label = np.array([0, 0, 0, 0, 1, 1, 1], dtype=np.int8)
    items = Persons(np.ones(7, dtype=np.int64), unit, unit, label, np.zeros(7, np.int16))
    assert _shared(items, np.ones(len(unit), dtype=bool)).tolist() == [1, 0, 3]
