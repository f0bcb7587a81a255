"""Who counts as one person."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, ReleaseRequest, admit, count_units, describe, find_units, write_release
from riskgraph.sandbox.count import _clans, _persons
from riskgraph.sandbox.intake import microseconds
from riskgraph.sandbox.partition import (
    MAX_UNIT_SHARE,
    Items,
    Shortage,
    is_crowd,
    orders_cap,
    partition,
    too_few,
)
from riskgraph.sandbox.units import new_units_per_day, newest

Row = tuple[int, int, int, int]
UNTIL = date(2026, 6, 30)
REQUEST = ReleaseRequest(until=UNTIL, seed=1, provenance="simulated", now=0.0, code="test")
DAY = 86_400_000_000
pytestmark = pytest.mark.usefixtures("without_pairs")


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
    assert "3 persons in 2 components" in describe([clean, fraud])
    assert describe([fraud], {"cap": 3, "residual": 0}).splitlines()[1] == "left out: 3 cap"


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


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=60), st.integers(1, 6))
@settings(max_examples=120, deadline=None)
def test_the_newest_orders_of_each_unit_stay(rows: list[tuple[int, int]], most: int) -> None:
    key, placed = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    kept = newest(key, placed, most)
    for one in set(key.tolist()):
        # Of orders of one time the later in the table is the newer.
        mine = sorted((int(placed[i]), i) for i in np.flatnonzero(key == one))
        assert [i for _, i in mine[-most:]] == sorted(
            np.flatnonzero(kept & (key == one)).tolist(), key=lambda i: (placed[i], i)
        )


@given(st.integers(50, 400), st.data())
@settings(max_examples=80, deadline=None)
def test_under_the_cap_no_unit_is_above_a_fifth_of_any_group_of_k(k: int, data: Any) -> None:
    cap = orders_cap(k)
    extra = data.draw(st.lists(st.integers(1, cap), min_size=0, max_size=30))
    rows = np.array([1] * (k - 1) + [cap, *extra], dtype=np.int64)
    assert rows.max() <= MAX_UNIT_SHARE * rows.sum()
    assert is_crowd(np.arange(len(rows)), rows, k)
    # One order more would not be safe.
    worst = np.array([1] * (k - 1) + [cap + 1], dtype=np.int64)
    assert worst.max() > MAX_UNIT_SHARE * worst.sum()


def test_a_unit_gives_at_most_its_cap_of_each_class_and_the_rest_is_counted(world: OrderTable) -> None:
    account = np.where(np.arange(len(world)) % 4 == 0, 7, world.account)
    table = dataclasses.replace(world, account=account)
    unit = find_units(table).unit
    intake, everything = (
        admit(table, until=UNTIL, unit=unit, cap=12, policy=Policy.default()),
        admit(table, until=UNTIL, policy=Policy.default()),
    )
    key = unit[intake.rows] * 2 + table.label[intake.rows]
    assert np.unique(key, return_counts=True)[1].max() == 12
    assert intake.dropped["cap"] == len(intake.over_cap) == len(everything.rows) - len(intake.rows) > 0
    assert sorted([*intake.rows, *intake.over_cap]) == everything.rows.tolist()
    for label in (0, 1):
        mine = (unit == unit[0]) & (table.label == label)
        kept, left = (table.placed_at[rows][mine[rows]] for rows in (intake.rows, intake.over_cap))
        assert len(kept) == 12
        assert kept.min() >= left.max()


def test_a_person_above_the_cap_is_not_to_be_found_by_subtraction(
    make_world: Callable[..., OrderTable], signer: Any, tmp_path: Path
) -> None:
    table = make_world(3, 3_000, 900, 900, 300)
    first = int(table.account[table.label == 0][0])
    account = np.where((table.label == 0) & (np.arange(len(table)) % 30 == 0), first, table.account)
    table = dataclasses.replace(table, account=account)
    made = write_release(table, tmp_path / "release", REQUEST, signer, policy=Policy.default())
    asked, inside = made.manifest["input"], made.manifest["timings"]["rows"]
    assert asked["dropped"]["cap"] % 50 == 0
    assert asked["dropped"]["cap"] >= 50
    told = sum(c["orders"] for c in asked["classes"])
    assert 0 <= inside - told < 100
    assert asked["accepted"] - told == asked["dropped"]["cap"]
    assert asked["records"] < len(table) < asked["records"] + 50 * len(asked["dropped"])
    assert not any("largest" in name for c in asked["classes"] for name in c)
    assert made.manifest["algorithm"]["orders_per_unit_and_class"] == 12
    assert made.certificate["max_unit_share"] <= 0.2


def test_the_pace_counts_units_that_are_new_in_the_later_half() -> None:
    # Days 0 to 10: units 0 to 9 are new on day 0, 10 and 11 after day 5; the rest come again.
    unit = np.array([*range(10), *range(10), 10, 11])
    day = np.array([0] * 10 + [8] * 10 + [7, 10])
    assert new_units_per_day(unit, day * DAY) == pytest.approx(2 / 5)
    assert new_units_per_day(unit[:1], day[:1] * DAY) == 0.0
    assert new_units_per_day(unit[:0], day[:0] * DAY) == 0.0


def _few_fraud(make_world: Callable[..., OrderTable], persons: int) -> OrderTable:
    """Fraud of exactly so many persons, one order each, evenly over 50 days."""
    table = make_world(1, 2_000, persons, 900, 1, 1)
    fraud = np.flatnonzero(table.label == 1)
    alone = table.account.copy()
    alone[fraud] = 10**7 + np.arange(len(fraud))
    placed = table.placed_at.copy()
    placed[fraud] = microseconds(UNTIL - timedelta(days=121)) + np.arange(len(fraud)) * 50 * DAY // len(fraud)
    return dataclasses.replace(
        table, account=alone, device=alone, card=alone, address=alone, placed_at=placed
    )  # fmt: skip


@pytest.mark.parametrize("persons", [40, 80])
def test_a_class_with_too_few_units_is_told_how_many_and_how_many_days_are_missing(
    make_world: Callable[..., OrderTable], signer: Any, tmp_path: Path, persons: int
) -> None:
    with pytest.raises(Shortage) as caught:
        write_release(
            _few_fraud(make_world, persons), tmp_path / "release", REQUEST, signer, policy=Policy.default()
        )
    missing, per_day = 100 - persons, persons / 50
    assert caught.value.missing == missing
    assert f"at least {missing} more fraud person" in caught.value.message
    days = int(caught.value.message.split("about ")[1].split(" more day")[0])
    assert days == pytest.approx(missing / per_day, rel=0.1)
    assert not (tmp_path / "release").exists()


def test_where_nobody_new_comes_a_longer_window_is_not_promised(
    make_world: Callable[..., OrderTable], signer: Any, tmp_path: Path
) -> None:
    table, told = _few_fraud(make_world, 40), []
    old = np.where(table.label == 1, table.placed_at.min() - 60 * DAY, table.placed_at)
    table = dataclasses.replace(table, placed_at=old)
    with pytest.raises(Shortage, match="waiting will not help"):
        write_release(table, tmp_path / "release", REQUEST, signer, tell=told.append, policy=Policy.default())
    # Who is counted is told before anything is partitioned, and so before the refusal.
    assert "fraud: 40 orders of 40 persons in 40 components" in told[0]


def test_advice_does_not_contradict_itself_and_names_why_most_orders_were_left_out() -> None:
    short = too_few(1, 99, 40, 0, 50, 1)
    assert "at least 1 more fraud person that share" in short.message.replace("shares", "share")
    assert short.message.endswith("is missing")
    assert "longer" not in short.message
    nobody = short.at_pace(0.0, {"no_consent": 70, "cap": 3}).message
    assert nobody.count("window") == 1
    assert nobody.endswith("waiting will not help; of the orders left out most are no_consent: 70)")
    assert "at 1 new fraud person a day" in short.at_pace(1.0, {}).message
    barred = short.at_pace(5.0, {"barred": 900, "no_consent": 70}).message
    assert barred.endswith("(the [training] table of merchant.toml bars 900 orders)")
    assert "largest component" not in too_few(1, 0, 0, 0, 50, 100).message


@pytest.mark.parametrize(
    ("strata", "missing"),
    [
        ({3: [1] * 30}, 70),  # two groups of 50 in one stratum
        ({3: [1] * 45, 8: [1] * 40}, 15),  # or one in each of two
        ({3: [90] + [1] * 20}, 70),  # as many again as the ring has, less those that stand apart
        ({3: [180] + [1] * 20}, 100),  # or two groups that have nothing to do with it
        ({3: [30, 30, 30, 30]}, 1),  # enough persons, but of four rings
    ],
)
def test_what_is_missing_is_the_least_that_would_do(strata: dict[int, list[int]], missing: int) -> None:
    rings = [(code, size) for code, sizes in strata.items() for size in sizes]
    sizes = np.array([size for _, size in rings])
    count = int(sizes.sum())
    items = Items(
        total=np.zeros((count, 259), dtype=np.float32),
        nodes=np.zeros((count, 137), dtype=np.float32),
        rows=np.ones(count, dtype=np.int64),
        unit=np.arange(count),
        component=np.repeat(np.arange(len(sizes)), sizes),
        label=np.ones(count, dtype=np.int8),
        stratum=np.repeat(np.array([code for code, _ in rings], dtype=np.int16), sizes),
    )
    honest = dataclasses.replace(
        items, label=np.zeros(count, dtype=np.int8), component=np.arange(count), stratum=items.stratum * 0
    )
    with pytest.raises(Shortage) as caught:
        partition(_joined(*[honest] * 4, items), 50, np.random.default_rng(1))
    assert (caught.value.label, caught.value.missing) == (1, missing)
    assert f"at least {missing} more fraud person" in caught.value.message


def _joined(*parts: Items) -> Items:
    columns = {f.name: [getattr(part, f.name) for part in parts] for f in dataclasses.fields(Items)}
    joined = Items(**{name: np.concatenate(values) for name, values in columns.items()})
    return dataclasses.replace(joined, unit=np.arange(len(joined.unit)), component=_apart(parts))


def _apart(parts: tuple[Items, ...]) -> np.ndarray:
    return np.concatenate([part.component + 10_000 * i for i, part in enumerate(parts)])
