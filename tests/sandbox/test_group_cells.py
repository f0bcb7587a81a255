"""Facts that groups tell, alone or together, are counted by the persons whom they are about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.subgraph import State
from riskgraph.sandbox.absence import PARTS
from riskgraph.sandbox.cells import UsedRows, seen_again
from riskgraph.sandbox.group_cells import _together, told_cells, told_persons
from riskgraph.sandbox.groups import Pools
from riskgraph.sandbox.strata import COUNT

GROUPS, PERSONS = 4, 240
COMPONENTS = len(catalog().components)
# a node of one component, and so that component
NODE = next(n.index for n in catalog() if len(n.components) == 1)
COLUMN = catalog().component_slices[NODE].start
PART_NODE, PART = PARTS[0]


def used(group: NDArray[np.int64], person: NDArray[np.int64] | None = None) -> UsedRows:
    """Honest rows in stratum 0, each of a person of its own, in which everything is there."""
    count = len(group)
    return UsedRows(
        person=np.arange(count) if person is None else person,
        group=group.astype(np.int32),
        label=np.zeros(count, dtype=np.int8),
        stratum=np.zeros(count, dtype=np.int16),
        values=np.zeros((COMPONENTS, count), dtype=np.float32),
        states=np.full((NODE_COUNT, count), State.PRESENT, dtype=np.uint8),
    )


def tables(**pools: Any) -> Any:
    """Every group tells all by itself."""
    alone = {
        "mean": np.zeros((GROUPS, COMPONENTS), dtype=np.int8),
        "parts": np.zeros((GROUPS, len(PARTS)), dtype=np.int8),
        "nodes": np.full((2, COUNT, NODE_COUNT), np.nan),
    }
    label = np.zeros(GROUPS, dtype=np.int8)
    everything = np.ones((COMPONENTS, COMPONENTS), dtype=np.bool_)
    groups = SimpleNamespace(label=label, units=np.full(GROUPS, PERSONS // GROUPS))
    return SimpleNamespace(groups=groups, pools=Pools(**{**alone, **pools}), correlated=everything)


def fewest(rows: UsedRows, what: Any) -> dict[str, int]:
    """The fewest persons behind each kind of cell."""
    cells = told_cells(told_persons(rows, what), what)
    return {kind: int(behind.min()) for kind, behind in cells if behind.size}


def lacking(rows: UsedRows, node: int, who: NDArray[np.bool_]) -> UsedRows:
    rows.states[node, who] = State.NOT_DELIVERED
    rows.values[catalog().component_slices[node], who] = np.nan
    return rows


def some(rows: UsedRows, mine: NDArray[np.bool_]) -> UsedRows:
    return UsedRows(**{name: column[..., mine] for name, column in vars(rows).items()})


everybody = np.arange(PERSONS)
evenly = everybody % GROUPS


def test_a_mean_is_about_the_persons_of_its_group_who_have_the_component() -> None:
    rows = lacking(used(evenly), NODE, (evenly == 2) & (everybody >= 40))
    assert fewest(rows, tables())["R2 means"] == 10


def test_a_mean_that_groups_tell_together_is_about_the_persons_of_all_of_them() -> None:
    rows = lacking(used(evenly), NODE, everybody >= 80)
    pool = np.zeros((GROUPS, COMPONENTS), dtype=np.int8)
    assert fewest(rows, tables(mean=pool))["R2 means"] == 20
    pool[:, COLUMN] = 1
    assert fewest(rows, tables(mean=pool))["R2 means"] == 60
    pool[:, COLUMN] = -1
    assert fewest(rows, tables(mean=pool))["R2 means"] == 60


def test_a_person_in_two_groups_of_a_pool_counts_once() -> None:
    rows = lacking(used(evenly, everybody // 2), NODE, everybody >= 80)
    pool = np.zeros((GROUPS, COMPONENTS), dtype=np.int8)
    pool[:, COLUMN] = 1
    found = told_persons(rows, tables(mean=pool))[0]
    assert found[COLUMN].tolist() == [40] * GROUPS


def test_a_person_of_both_classes_counts_once_where_both_classes_tell_something_together() -> None:
    rows = lacking(used(evenly, everybody // 4), NODE, everybody >= 80)
    rows.label[:] = evenly % 2
    what = tables()
    what.groups.label[:] = np.arange(GROUPS) % 2
    told = {}
    for number in (1, 3):
        pool = np.zeros((GROUPS, COMPONENTS), dtype=np.int8)
        pool[:, COLUMN] = number
        what.pools.mean[:] = pool
        told[number] = told_persons(rows, what)[0][COLUMN].tolist()
    assert told == {1: [40] * GROUPS, 3: [20] * GROUPS}


def test_no_part_of_the_rows_makes_a_person_of_both_classes_count_again_in_a_pool_of_both() -> None:
    rows = used(evenly, everybody // 4)
    rows.label[:] = evenly % 2
    what = tables()
    what.groups.label[:] = np.arange(GROUPS) % 2
    what.pools.mean[:, COLUMN] = 3
    # honest rows lie in one part, those of fraud in the other
    halves = [told_persons(some(rows, rows.label == label), what) for label in (0, 1)]
    bounds = np.array([0, PERSONS // 2, PERSONS])
    people = np.concatenate([rows.person[rows.label == label] for label in (0, 1)])
    again = seen_again(people, bounds)
    assert again == PERSONS // 4
    both = [sum(parts) for parts in zip(*halves, strict=True)]
    whole, means = told_persons(rows, what), dict(told_cells(both, what, again))["R2 means"]
    assert means.min() == whole[0][COLUMN].min() == PERSONS // 4


@pytest.mark.parametrize(("side", "count"), [(State.PRESENT, 7), (State.NOT_DELIVERED, PERSONS - 7)])
def test_a_share_of_a_node_is_about_those_with_it_and_those_without(side: State, count: int) -> None:
    rows = lacking(used(evenly), NODE, everybody >= count)
    assert fewest(rows, tables())["R2 shares of nodes"] == 7
    nodes = np.full((2, COUNT, NODE_COUNT), np.nan)
    nodes[0, 0, NODE] = 0.0 if side == State.PRESENT else 1.0
    assert fewest(rows, tables(nodes=nodes))["R2 shares of nodes"] == PERSONS


def test_strata_that_tell_one_share_of_a_node_are_counted_together() -> None:
    rows = lacking(used(evenly), NODE, everybody % 3 == 0)
    rows.stratum[:] = everybody % 8
    assert fewest(rows, tables())["R2 shares of nodes"] == 10
    nodes = np.full((2, COUNT, NODE_COUNT), np.nan)
    nodes[0, :8, NODE] = 0.4
    told = told_persons(rows, tables(nodes=nodes))[2]
    assert told[:, NODE, :8].tolist() == [[160] * 8, [80] * 8]


def test_a_share_of_a_part_told_together_is_about_both_sides() -> None:
    rows = used(evenly)
    rows.values[PART, everybody < 9] = np.nan
    pool = np.zeros((GROUPS, len(PARTS)), dtype=np.int8)
    assert fewest(rows, tables(parts=pool))["R2 shares of parts"] == 60
    pool[:, 0] = 1
    assert fewest(rows, tables(parts=pool))["R2 shares of parts"] == 9
    pool[:, 0] = -1
    assert fewest(rows, tables(parts=pool))["R2 shares of parts"] == 60


def test_counts_of_parts_of_the_rows_add_up() -> None:
    rows = lacking(used(evenly), NODE, everybody % 3 == 0)
    whole = told_persons(rows, tables())
    halves = [told_persons(some(rows, mine), tables()) for mine in (everybody < 100, everybody >= 100)]
    for both, one, other in zip(whole[:3], *(half[:3] for half in halves), strict=True):
        assert np.array_equal(both, one + other)


@given(st.integers(0, 1000), st.integers(1, 300), st.integers(1, 90), st.integers(1, 90))
def test_of_two_components_never_more_persons_are_counted_than_have_both(
    seed: int, count: int, people: int, sure: int
) -> None:
    rng = np.random.default_rng(seed)
    held, person = rng.random((4, count)) < rng.random((4, 1)), rng.integers(0, people, count)
    found = _together(held, person, sure)
    for a in range(4):
        for b in range(4):
            persons = len(np.unique(person[held[a] & held[b]]))
            assert min(persons, sure) <= found[a, b] <= persons


def test_where_groups_are_large_as_many_persons_are_made_sure_of_as_the_smallest_has() -> None:
    """One person with three orders makes the bound by rows low; k may be any number from 50 on."""
    again = np.zeros(2, dtype=np.int64)
    rows, what = used(np.append(evenly, again), np.append(everybody, again)), tables()
    what.groups.units[:] = 150
    assert fewest(rows, what)["R3 correlation"] >= 150


def test_components_that_few_persons_have_together_are_counted_if_they_count_as_correlated() -> None:
    rows = lacking(used(evenly), NODE, everybody >= 120)
    lacking(rows, PART_NODE, everybody < 100)
    what = tables()
    assert fewest(rows, what)["R3 correlation"] == 20
    what.correlated[COLUMN] = what.correlated[:, COLUMN] = False
    assert fewest(rows, what)["R3 correlation"] == 140
