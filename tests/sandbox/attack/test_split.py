"""Members and controls: nobody is on both sides."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.sandbox import find_units
from riskgraph.sandbox.attack import numbered, split_history


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_no_person_and_no_ring_is_on_both_sides_at_any_seed(make_world: Any, seed: int) -> None:
    table = make_world(2, 1_200, 300, 500, 80)
    split = split_history(table, np.arange(len(table)), seed)
    units = find_units(table)
    for of in (units.unit, units.component):
        assert not set(of[split.first]) & set(of[~split.first])


@pytest.mark.parametrize("label", [0, 1])
def test_both_sides_have_about_half_of_each_class(world: Any, label: int) -> None:
    split = split_history(world, np.arange(len(world)), 5)
    mine = world.label == label
    assert split.first[mine].mean() == pytest.approx(0.5, abs=0.06)


def test_components_of_both_halves_are_of_like_size(world: Any) -> None:
    split = split_history(world, np.arange(len(world)), 5)
    sizes = [
        np.sort(np.unique(split.component[s], return_counts=True)[1]) for s in (split.first, ~split.first)
    ]
    assert abs(len(sizes[0]) - len(sizes[1])) <= 1
    assert np.abs(sizes[0][-500:] - sizes[1][-500:]).mean() < 1


def test_the_seed_decides_who_is_a_member(world: Any) -> None:
    first, again, other = (split_history(world, np.arange(len(world)), s).first for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert 0.3 < (first == other).mean() < 0.7


def test_members_and_controls_come_from_the_same_time(world: Any) -> None:
    split = split_history(world, np.arange(len(world)), 5)
    quartiles = [np.quantile(world.placed_at[s], [0.25, 0.5, 0.75]) for s in (split.first, ~split.first)]
    span = world.placed_at.max() - world.placed_at.min()
    assert (np.abs(quartiles[0] - quartiles[1]) < 0.03 * span).all()


def rekeyed(table: Any, seed: int) -> Any:
    """The same history as a door with another key numbers its entities."""
    rng, changed = np.random.default_rng(seed), {}
    for name in ("account", "device", "card", "address"):
        code = getattr(table, name)
        names = np.unique(code[code >= 0])
        other = rng.permutation(len(names)) + int(rng.integers(1000))
        changed[name] = np.where(code >= 0, other[np.searchsorted(names, np.maximum(code, 0))], -1)
    return dataclasses.replace(table, **changed)


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_halves_persons_and_components_do_not_hang_on_the_doors_key(make_world: Any, seed: int) -> None:
    table = make_world(2, 1_200, 300, 500, 80)
    other = rekeyed(table, seed)
    assert not np.array_equal(table.account, other.account)
    one, two = (split_history(t, np.arange(len(t)), 5) for t in (table, other))
    for name in ("first", "unit", "component"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    for name in ("account", "device", "card", "address"):
        assert np.array_equal(getattr(numbered(table), name), getattr(numbered(other), name)), name
