"""Natural-person units and components: what the k of a release is counted over.

A unit stands for one natural person: an account, merged with every account that shares its card,
or its device *and* its address. A hub, meaning an entity on more than 8 accounts (locker, depot,
forwarder, dormitory network), merges nobody. A component is what hangs together over any shared
entity; only entities on more than 500 orders are cut there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable

HUB_ACCOUNTS = 8
HUB_ORDERS = 500
_DAY = 86_400_000_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """Who stands behind each order.

    Attributes:
        unit: int64[N], dense unit numbers. An order without an account is a unit of its own.
        component: int64[N], dense component numbers; all orders of a unit share one.
    """

    unit: Ints
    component: Ints


@dataclass(frozen=True, slots=True)
class ClassUnits:
    """Units of one label class, printed before anything is partitioned.

    Attributes:
        label: 1 fraud, 0 clean.
        orders, units, components: Counts.
        largest_unit: Orders of the unit that has most.
        largest_component: Units of the component that has most.
    """

    label: int
    orders: int
    units: int
    components: int
    largest_unit: int
    largest_component: int

    def __str__(self) -> str:
        name = "fraud" if self.label else "honest"
        return (
            f"{name}: {self.orders} orders of {self.units} persons in {self.components} components; "
            f"largest person {self.largest_unit} orders, largest component {self.largest_component} persons"
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def connect(count: int, left: Ints, right: Ints) -> Ints:
    """Connected sets of ``count`` vertices under undirected edges, as dense numbers int64[count]."""
    root = np.arange(count, dtype=np.int64)
    while True:
        a, b = root[left], root[right]
        differ = a != b
        if not differ.any():
            break
        np.minimum.at(root, np.maximum(a, b)[differ], np.minimum(a, b)[differ])
        flat = root[root]
        while not np.array_equal(flat, root):
            root, flat = flat, flat[flat]
    return np.unique(root, return_inverse=True)[1].astype(np.int64)


def _holders(entity: Ints, account: Ints) -> tuple[Ints, Ints]:
    """Distinct (entity, account) of entities on 2 to 8 accounts, sorted by entity, then account."""
    known = (entity >= 0) & (account >= 0)
    if not known.any():
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    span = np.int64(account.max() + 1)
    codes = np.unique(entity[known], return_inverse=True)[1].astype(np.int64)
    keys = np.unique(codes * span + account[known])
    entities, accounts = keys // span, keys % span
    fanout = np.bincount(entities)[entities]
    kept = (fanout > 1) & (fanout <= HUB_ACCOUNTS)
    return entities[kept], accounts[kept]


def _shared(entity: Ints, account: Ints) -> Ints:
    """Keys ``low * span + high`` of all pairs of accounts that hold one entity together."""
    entities, accounts = _holders(entity, account)
    span = np.int64(account.max(initial=0) + 1)
    keys = []
    for shift in range(1, HUB_ACCOUNTS):
        same = entities[shift:] == entities[:-shift]
        keys.append(accounts[:-shift][same] * span + accounts[shift:][same])
    return np.unique(np.concatenate(keys))


def _components(table: OrderTable, unit: Ints) -> Ints:
    """Component of each unit: int64[units]."""
    count = int(unit.max(initial=-1)) + 1
    left, right, top = [], [], count
    for entity in (table.device, table.card, table.address):
        known = entity >= 0
        codes = np.unique(entity[known], return_inverse=True)[1]
        small = np.bincount(codes, minlength=1)[codes] <= HUB_ORDERS
        left.append(unit[known][small])
        right.append(top + codes[small])
        top += int(codes.max(initial=-1)) + 1
    return connect(top, np.concatenate(left), np.concatenate(right).astype(np.int64))[:count]


def find_units(table: OrderTable) -> Units:
    """Units and components of all orders of a table.

    Two accounts share device and address when some device is on both and some address is on both,
    in whatever orders; that merges more, and so counts fewer persons, than asking for one order.
    """
    accounts, account = np.unique(table.account, return_inverse=True)
    account = account.astype(np.int64)
    guest = table.account < 0
    account[guest] = -1
    span = np.int64(len(accounts) + 1)
    both = np.intersect1d(_shared(table.device, account), _shared(table.address, account))
    keys = np.concatenate([_shared(table.card, account), both])
    held = np.int64(account.max(initial=0) + 1)
    merged = connect(int(span), keys // held, keys % held)
    unit = merged[account]
    unit[guest] = span + np.arange(int(guest.sum()))
    unit = np.unique(unit, return_inverse=True)[1].astype(np.int64)
    component = np.unique(_components(table, unit), return_inverse=True)[1].astype(np.int64)
    return Units(unit, component[unit])


def count_units(units: Units, label: NDArray[np.int8]) -> tuple[ClassUnits, ...]:
    """Counts per label class, clean first; an empty class counts zero."""
    return tuple(_count_class(units, label == value, value) for value in (0, 1))


def _count_class(units: Units, rows: NDArray[np.bool_], label: int) -> ClassUnits:
    unit, first, orders = np.unique(units.unit[rows], return_index=True, return_counts=True)
    sizes = np.unique(units.component[rows][first], return_counts=True)[1]
    return ClassUnits(
        label,
        int(rows.sum()),
        len(unit),
        len(sizes),
        int(orders.max(initial=0)),
        int(sizes.max(initial=0)),
    )


def newest(key: Ints, placed_at: Ints, most: int) -> NDArray[np.bool_]:
    """bool[N]: the newest ``most`` rows of each key; of rows of one time the later in the table is newer."""
    order = np.lexsort((placed_at, key))
    ordered = key[order]
    # How many rows of the same key come after each one.
    ends = np.searchsorted(ordered, ordered, side="right")
    out = np.empty(len(key), dtype=np.bool_)
    out[order] = ends - np.arange(len(key)) <= most
    return out


def new_units_per_day(unit: Ints, placed_at: Ints) -> float:
    """Units a day that are seen for the first time, over the later half of a history's days.

    The average since its first day would promise too much: everybody is new at first, and then the same
    people come again.

    Args:
        unit: int64[N], unit of each order.
        placed_at: int64[N], microseconds.
    """
    if not len(unit) or placed_at.max() == placed_at.min():
        return 0.0
    order = np.argsort(placed_at, kind="stable")
    _, first = np.unique(unit[order], return_index=True)
    middle = (int(placed_at.min()) + int(placed_at.max())) / 2
    fresh = int((placed_at[order][first] > middle).sum())
    return fresh / ((int(placed_at.max()) - middle) / _DAY)


def describe(counts: Sequence[ClassUnits], dropped: Mapping[str, int] | None = None) -> str:
    """One line per class, and one of the orders that were left out, by reason."""
    lines = [str(c) for c in counts]
    left = [f"{rows} {reason}" for reason, rows in (dropped or {}).items() if rows]
    return "\n".join([*lines, f"left out: {', '.join(left)}"] if left else lines)
