"""An independent count of persons per group.

Shares no code with ``units`` and ``partition``: units are derived again from the raw entity columns
(sparse matrices instead of label propagation) and counted over the row-to-group map that is still in
memory. It must agree before a release is written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from riskgraph.core.table import OrderTable
from riskgraph.sandbox.published import told_share

CHECKER = "scipy.sparse.csgraph over raw entities, version 2"
_MOST_ACCOUNTS = 8
_MOST_ORDERS = 500


@dataclass(frozen=True, slots=True)
class GroupCount:
    """The worst group by each measure.

    Attributes:
        groups: Number of groups.
        min_units, min_components, min_rows: Smallest over groups.
        max_component_share: Largest share of a group's units, or rows, in one component.
        max_unit_share: Largest share of a group's rows that belong to one unit.
    """

    groups: int
    min_units: int
    min_components: int
    min_rows: int
    max_component_share: float
    max_unit_share: float

    def as_dict(self) -> dict[str, Any]:
        """For the certificate, where an exact share would tell the orders of one person or ring."""
        shares = ("max_component_share", "max_unit_share")
        return {**asdict(self), **{name: told_share(getattr(self, name)) for name in shares}}


class PersonCount:
    """Persons and components of a history, derived again from its raw entities.

    Args:
        table: The history, raw entities and all.
        rows: intp[M], positions in the table of the rows that were used.
    """

    def __init__(self, table: OrderTable, rows: NDArray[np.intp]) -> None:
        person = _persons(table)
        self.clan = _clans(table, person)[rows]
        self.person = person[rows]

    def groups(self, group: NDArray[np.int32]) -> GroupCount:
        """Count persons and components in every group: int32[M], the group of each used row."""
        order = np.argsort(group, kind="stable")
        bounds = np.flatnonzero(np.diff(group[order])) + 1
        worst: list[tuple[int, int, int, float, float]] = []
        for members in np.split(order, bounds):
            _, first, orders = np.unique(self.person[members], return_index=True, return_counts=True)
            by_unit = np.unique(self.clan[members][first], return_counts=True)[1]
            by_row = np.unique(self.clan[members], return_counts=True)[1]
            share = max(by_unit.max() / len(first), by_row.max() / len(members))
            worst.append((len(first), len(by_unit), len(members), share, orders.max() / len(members)))
        units, components, sizes, clan_share, unit_share = zip(*worst, strict=True)
        return GroupCount(
            groups=len(worst),
            min_units=min(units),
            min_components=min(components),
            min_rows=min(sizes),
            max_component_share=float(max(clan_share)),
            max_unit_share=float(max(unit_share)),
        )


def _incidence(rows: NDArray[np.int64], entity: NDArray[np.int64], height: int) -> csr_array:
    """0/1 matrix [height, entities] of which row vertex touches which entity."""
    known = entity >= 0
    names, column = np.unique(entity[known], return_inverse=True)
    ones = np.ones(int(known.sum()), dtype=np.int32)
    matrix = coo_array((ones, (rows[known], column)), shape=(height, max(1, len(names)))).tocsr()
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _persons(table: OrderTable) -> NDArray[np.int64]:
    """Person of each order: int64[N]."""
    named = np.flatnonzero(table.account >= 0)
    names, account = np.unique(table.account[named], return_inverse=True)
    together = {}
    for kind in ("card", "device", "address"):
        touches = _incidence(account.astype(np.int64), getattr(table, kind)[named], len(names))
        few = np.asarray(touches.sum(axis=0)).ravel() <= _MOST_ACCOUNTS
        touches = touches[:, np.flatnonzero(few)]
        together[kind] = touches @ touches.T
    links = together["card"] + together["device"].multiply(together["address"])
    merged = connected_components(links, directed=False)[1]
    person = np.arange(len(table), dtype=np.int64) + len(names)
    person[named] = merged[account]
    return person


def _clans(table: OrderTable, person: NDArray[np.int64]) -> NDArray[np.int64]:
    """Component of each order: int64[N]; every order is a vertex beside its person and entities."""
    count = len(table)
    names, place = np.unique(person, return_inverse=True)
    heads, tails, top = [np.arange(count)], [count + place], count + len(names)
    for entity in (table.device, table.card, table.address):
        touches = np.flatnonzero(entity >= 0)
        _, column, orders = np.unique(entity[touches], return_inverse=True, return_counts=True)
        linked = orders[column] <= _MOST_ORDERS
        heads.append(touches[linked])
        tails.append(top + column[linked])
        top += len(orders)
    head, tail = np.concatenate(heads), np.concatenate(tails)
    graph = coo_array((np.ones(len(head), dtype=np.int8), (head, tail)), shape=(top, top))
    found: NDArray[np.int64] = connected_components(graph.tocsr(), directed=False)[1][:count]
    return found


def independent_count(table: OrderTable, rows: NDArray[np.intp], group: NDArray[np.int32]) -> GroupCount:
    """Count persons and components in every group, see :class:`PersonCount`."""
    return PersonCount(table, rows).groups(group)
