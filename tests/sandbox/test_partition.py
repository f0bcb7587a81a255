"""Groups are crowds of persons."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from riskgraph.core.errors import CheckFailed
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, admit, find_units
from riskgraph.sandbox.bins import NOISE_SD, coarse_bins, distinct_rows, round_up
from riskgraph.sandbox.count import GroupCount, independent_count
from riskgraph.sandbox.frame import build_frame, code_masks
from riskgraph.sandbox.partition import Grouped, is_crowd
from riskgraph.sandbox.strata import COUNT, Pattern, merge_patterns
from riskgraph.sandbox.tables import group_rows

UNTIL = date(2026, 6, 30)
K = 50
MakeWorld = Callable[..., OrderTable]


def _grouped(table: OrderTable, seed: int = 3, k: int = K) -> Grouped:
    frame = build_frame(table, admit(table, until=UNTIL, policy=Policy.default()), find_units(table), k)
    return group_rows(frame, k, np.random.default_rng(seed))


def _counted(table: OrderTable, grouped: Grouped) -> GroupCount:
    return independent_count(table, grouped.frame.source, grouped.row_group)


@given(
    seed=st.integers(0, 10_000),
    fraud_people=st.integers(120, 400),
    honest_people=st.integers(150, 900),
    gang=st.integers(1, 6),
)
@settings(max_examples=12, deadline=None)
def test_every_group_of_every_world_is_a_crowd_by_the_independent_count(
    make_world: MakeWorld, seed: int, fraud_people: int, honest_people: int, gang: int
) -> None:
    table = make_world(seed, 1_500, 600, honest_people, fraud_people, gang)
    try:
        grouped = _grouped(table, seed)
    except CheckFailed:
        persons = [len(set(find_units(table).unit[table.label == c].tolist())) for c in (0, 1)]
        event(f"refused at {min(persons) // 100} hundred persons")
        assert min(persons) < 260
        return
    count = _counted(table, grouped)
    assert count.min_units >= K
    assert count.min_components >= 5
    assert count.max_component_share <= 0.5
    assert count.max_unit_share <= 0.2
    labels = [set(grouped.frame.label[grouped.row_group == g].tolist()) for g in range(count.groups)]
    assert all(len(kinds) == 1 for kinds in labels)


def test_rows_of_one_person_and_stratum_stay_in_one_group(world: OrderTable) -> None:
    grouped = _grouped(world)
    frame = grouped.frame
    keys = list(zip(frame.label.tolist(), frame.unit.tolist(), frame.stratum.tolist(), strict=True))
    homes: dict[tuple[int, int, int], set[int]] = {}
    for key, group in zip(keys, grouped.row_group.tolist(), strict=True):
        homes.setdefault(key, set()).add(group)
    assert all(len(groups) == 1 for groups in homes.values())
    assert len(homes) < len(keys)


def test_too_few_fraud_persons_are_refused_with_their_number(make_world: MakeWorld) -> None:
    table = make_world(1, 2_000, 1_500, 900, 80)
    persons = len(set(find_units(table).unit[table.label == 1].tolist()))
    with pytest.raises(CheckFailed, match=rf"fraud class has {persons} persons.*100 persons.*missing"):
        _grouped(table)


def test_many_fraud_orders_from_one_ring_are_refused(make_world: MakeWorld) -> None:
    table = make_world(1, 2_000, 1_500, 900, 300)
    one_address = np.where(table.label == 1, 5_000_000 + np.arange(len(table)) % 4, table.address)
    with pytest.raises(CheckFailed, match="fraud class has"):
        _grouped(dataclasses.replace(table, address=one_address))


def test_fake_accounts_on_few_cards_do_not_count_as_persons(make_world: MakeWorld) -> None:
    table = make_world(1, 2_000, 1_500, 900, 300)
    shared = np.where(table.label == 1, 9_000_000 + table.account // 8, table.card)
    with pytest.raises(CheckFailed, match="fraud class has"):
        _grouped(dataclasses.replace(table, card=shared))


def test_a_dominant_person_is_no_crowd() -> None:
    component = np.arange(60)
    rows = np.ones(60, dtype=np.int64)
    assert is_crowd(component, rows, K)
    rows[0] = 16
    assert not is_crowd(component, rows, K)


def test_a_component_above_half_is_no_crowd() -> None:
    rows = np.ones(60, dtype=np.int64)
    component = np.arange(60)
    component[:30] = 0
    assert is_crowd(component, rows, K)
    component[:31] = 0
    assert not is_crowd(component, rows, K)


def test_a_rare_pattern_loses_blocks_in_both_classes_alike() -> None:
    mouse, touch = Pattern(0, 2, 0, 1).code, Pattern(0, 2, 1, 1).code
    pattern = np.array([mouse] * 200 + [touch] * 90, dtype=np.int16)
    label = np.array([0, 1] * 100 + [0] * 80 + [1] * 10, dtype=np.int8)
    target = merge_patterns(pattern, np.arange(290), label, K)
    assert target[touch] == mouse
    assert target[mouse] == mouse


def test_suppression_ends_in_patterns_that_both_classes_show(make_world: MakeWorld) -> None:
    table = make_world(4, 2_000, 900, 1_200, 260)
    grouped = _grouped(table)
    frame = grouped.frame
    for code in set(frame.stratum.tolist()) - {0}:
        for label in (0, 1):
            units = frame.unit[(frame.stratum == code) & (frame.label == label)]
            assert len(set(units.tolist())) >= K
    assert set(frame.stratum.tolist()) <= set(range(COUNT))


def test_each_bin_has_k_persons_of_both_classes_unless_it_is_the_only_one(world: OrderTable) -> None:
    grouped = _grouped(world)
    frame = grouped.frame
    for scale, codes in zip(grouped.binned.scales, grouped.binned.codes, strict=True):
        if len(scale.z) == 1:
            continue
        for code in range(1, len(scale.z) + 1):
            for label in (0, 1):
                hit = (codes == code) & (frame.label == label)
                assert len(set(frame.unit[hit].tolist())) >= K


def test_coarse_bins_are_runs_and_balance_the_shares() -> None:
    found = coarse_bins(np.array([0.3, 0.05, 0.05, 0.2, 0.1, 0.3]))
    assert found.tolist() == [0, 1, 1, 1, 2, 3] or found.tolist() == [0, 1, 1, 2, 2, 3]


@given(st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False))
def test_a_released_edge_is_not_below_the_value_it_came_from(value: float) -> None:
    rounded = float(round_up(np.array([value]))[0])
    assert value - 1e-6 * abs(value) <= rounded <= value + 0.011 * abs(value)


def test_bins_know_the_rows_and_units_of_both_classes(world: OrderTable) -> None:
    grouped = _grouped(world)
    frame, binned = grouped.frame, grouped.binned
    for j, support in enumerate(binned.support):
        for label in (0, 1):
            codes, unit = binned.codes[j, frame.rows_of(label)], frame.unit[frame.rows_of(label)]
            inside = [codes == b + 1 for b in range(len(binned.scales[j].z))]
            off = support.rows[label] - [int(i.sum()) for i in inside]
            assert np.abs(off).max() < 6 * NOISE_SD
            assert off.any() or not len(codes[codes > 0])
            assert support.units[label].tolist() == [len(set(unit[i].tolist())) for i in inside]
            assert support.holders[label] == len(set(unit[codes > 0].tolist()))


@given(
    codes=st.lists(st.lists(st.integers(0, 7), min_size=6, max_size=6), min_size=1, max_size=11),
    starts=st.sets(st.integers(1, 5)),
)
def test_a_mask_has_a_bit_for_every_code_of_a_run(codes: list[list[int]], starts: set[int]) -> None:
    cuts = [0, *sorted(starts), 6]
    masks = code_masks(np.array(codes, dtype=np.uint8), np.array(cuts[:-1]), np.uint8)
    runs = [[set(row[a:b]) for a, b in pairwise(cuts)] for row in codes]
    assert masks.tolist() == [[sum(1 << c for c in run) for run in row] for row in runs]


def test_rows_of_the_same_flags_are_found_once() -> None:
    flags = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1], [1, 1, 1]], dtype=np.bool_)
    distinct, place = distinct_rows(flags)
    assert len(distinct) == 3
    assert np.array_equal(distinct[place], flags)
