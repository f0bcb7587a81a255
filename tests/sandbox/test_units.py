"""Who counts as one person."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.table import OrderTable
from riskgraph.sandbox import count_units, describe, find_units
from riskgraph.sandbox.count import _clans, _persons

Row = tuple[int, int, int, int]


def _table(rows: list[Row], label: int = 0) -> OrderTable:
    """Orders as (account, device, card, address); everything else is empty."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    count = columns.shape[1]
    return OrderTable(
        order_id=np.array([f"o{i}" for i in range(count)], dtype=object),
        placed_at=np.zeros(count, dtype=np.int64),
        components=np.full((count, 259), np.nan, dtype=np.float32),
        states=np.full((count, 137), 2, dtype=np.uint8),
        availability=np.full(count, "pre_auth/no_front_end", dtype=object),
        account=columns[0],
        device=columns[1],
        card=columns[2],
        address=columns[3],
        label=np.full(count, label, dtype=np.int8),
        training_consent=np.ones(count, dtype=np.bool_),
        jurisdiction=np.zeros(count, dtype=np.int8),
        purposes=np.full((count, 4), -1, dtype=np.int8),
        objected=np.zeros(count, dtype=np.bool_),
    )


def _same(values: np.ndarray, a: int, b: int) -> bool:
    return bool(values[a] == values[b])


def test_accounts_that_share_a_card_are_one_person() -> None:
    units = find_units(_table([(1, 1, 7, 1), (2, 2, 7, 2), (3, 3, 8, 3)]))
    assert _same(units.unit, 0, 1)
    assert not _same(units.unit, 0, 2)


def test_a_shared_device_alone_or_a_shared_address_alone_merges_nobody() -> None:
    units = find_units(_table([(1, 5, -1, 1), (2, 5, -1, 2), (3, 6, -1, 2)]))
    assert len(set(units.unit.tolist())) == 3


def test_a_shared_device_and_address_make_one_person_even_from_different_orders() -> None:
    units = find_units(_table([(1, 5, -1, 1), (1, 9, -1, 4), (2, 5, -1, 3), (2, 8, -1, 4)]))
    assert len(set(units.unit.tolist())) == 1


@pytest.mark.parametrize(("accounts", "persons"), [(8, 1), (9, 9)])
def test_a_card_on_more_than_eight_accounts_merges_nobody(accounts: int, persons: int) -> None:
    units = find_units(_table([(i, i, 7, i) for i in range(accounts)]))
    assert len(set(units.unit.tolist())) == persons
    assert len(set(units.component.tolist())) == 1


def test_an_order_without_an_account_is_a_unit_of_its_own() -> None:
    units = find_units(_table([(-1, 1, 1, 1), (-1, 1, 1, 1), (4, 1, 1, 1)]))
    assert len(set(units.unit.tolist())) == 3
    assert len(set(units.component.tolist())) == 1


@pytest.mark.parametrize(("orders", "components"), [(500, 1), (501, 501)])
def test_an_address_on_more_than_500_orders_is_cut_from_components(orders: int, components: int) -> None:
    units = find_units(_table([(i, i, i, 7) for i in range(orders)]))
    assert len(set(units.component.tolist())) == components


def test_merging_is_transitive() -> None:
    units = find_units(_table([(1, 1, 7, 1), (2, 2, 7, 2), (2, 2, 8, 2), (3, 3, 8, 3)]))
    assert len(set(units.unit.tolist())) == 1


def test_counts_per_class_name_the_largest_unit_and_component() -> None:
    table = _table([(1, 1, 1, 1), (1, 1, 1, 1), (2, 2, 2, 1), (3, 3, 3, 3)], label=1)
    clean, fraud = count_units(find_units(table), table.label)
    assert (clean.orders, clean.units) == (0, 0)
    assert (fraud.units, fraud.components, fraud.largest_unit, fraud.largest_component) == (3, 2, 2, 2)
    assert "3 units in 2 components" in describe([clean, fraud])


entity = st.integers(-1, 12)
rows = st.lists(st.tuples(st.integers(-1, 25), entity, entity, entity), min_size=1, max_size=60)


def _partition(values: np.ndarray) -> set[frozenset[int]]:
    sets: dict[int, set[int]] = {}
    for place, value in enumerate(values.tolist()):
        sets.setdefault(value, set()).add(place)
    return {frozenset(s) for s in sets.values()}


@given(rows)
@settings(max_examples=150, deadline=None)
def test_the_independent_counter_finds_the_same_persons_and_components(given_rows: list[Row]) -> None:
    table = _table(given_rows)
    units = find_units(table)
    assert _partition(units.unit) == _partition(_persons(table))
    assert _partition(units.component) == _partition(_clans(table, _persons(table)))


@given(rows, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_units_do_not_depend_on_the_order_of_rows_or_the_codes(given_rows: list[Row], random: object) -> None:
    table = _table(given_rows)
    order = np.arange(len(table))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = dataclasses.replace(table.take(order), card=np.where(table.card >= 0, table.card + 77, -1)[order])
    back = np.argsort(order)
    assert _partition(find_units(table).unit) == _partition(find_units(moved).unit[back])


@given(rows)
@settings(max_examples=60, deadline=None)
def test_all_orders_of_an_account_belong_to_one_unit_and_a_unit_to_one_component(
    given_rows: list[Row],
) -> None:
    table = _table(given_rows)
    units = find_units(table)
    for account in set(table.account[table.account >= 0].tolist()):
        assert len(set(units.unit[table.account == account].tolist())) == 1
    for unit in set(units.unit.tolist()):
        assert len(set(units.component[units.unit == unit].tolist())) == 1
