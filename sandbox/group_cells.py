"""An independent count of the persons behind what groups tell, alone or together, and behind correlations.

Shares no code with what makes R2 but the list of parts: it is told which groups tell a fact together, and
counts the persons of their rows, by value, whom that fact is about. Counts of parts of the rows add up where
no person of a class lies in two parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT
from riskgraph.core.subgraph import State
from riskgraph.sandbox.absence import PARTS

if TYPE_CHECKING:
    from riskgraph.sandbox.cells import UsedRows
    from riskgraph.sandbox.tables import Tables

# So many persons, or as many as every group has, are enough to be sure of; fewer are counted one by one.
_SURE = 64
_POOLS = (1, 2, 3)
_BOTH = 3

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class _Runs:
    """Rows sorted by a key and their person; a run is the rows of one person and key."""

    def __init__(self, key: Ints, person: Ints) -> None:
        self.order = np.lexsort((person, key))
        key, person = key[self.order], person[self.order]
        new = np.ones(len(key), dtype=np.bool_)
        new[1:] = (np.diff(key) != 0) | (np.diff(person) != 0)
        self.starts = np.flatnonzero(new)
        self.key, self.person = key[self.starts], person[self.starts]

    def having(self, rows: Bools) -> Bools:
        """bool[columns, runs], which runs have a row for which a column of bool[columns, N] is true."""
        out = np.empty((len(rows), len(self.starts)), dtype=np.bool_)
        for told, column in zip(out, rows, strict=True):
            np.logical_or.reduceat(column[self.order], self.starts, out=told)
        return out

    def persons(self, having: Bools, keys: int) -> Ints:
        """int64[columns, keys], persons of each key among the runs that are true."""
        return np.stack([np.bincount(self.key[column], minlength=keys) for column in having])


def told_persons(rows: UsedRows, tables: Tables) -> list[Ints]:
    """Persons among some rows behind what is told; those of parts of the rows add up.

    Args:
        rows: The rows, with their groups.
        tables: What is to be released.

    Returns:
        Of each group, or of all that tell it together, who has a component: int64[259, G]; has the node of a
        part that may be left out, has the part, lacks it: int64[3, parts, G]; of each class and stratum who
        has a node, or lacks it: int64[2, 137, 48]; of honest persons those who have two components in one
        row, at least: int64[259, 259].
    """
    held, places = ~np.isnan(rows.values), np.flatnonzero(rows.label == 0)
    return [
        *_by_group(rows, held, tables),
        _by_stratum(rows, tables.pools.nodes),
        _together(held[:, places], rows.person[places], max(_SURE, int(tables.groups.units.min()))),
    ]


def _by_group(rows: UsedRows, held: Bools, tables: Tables) -> Iterator[Ints]:
    pools, runs = tables.pools, _Runs(rows.group.astype(np.int64), rows.person)
    label, groups = tables.groups.label.astype(np.int64), len(tables.groups.label)
    who = runs.person * 2 + label[runs.key]
    having = runs.having(held)
    out = runs.persons(having, groups)
    for j, (told, column) in enumerate(zip(out, having, strict=True)):
        _pool(told, pools.mean[:, j], column, runs.key, who, runs.person)
    yield out
    nodes, parts = np.array(PARTS).T
    there = rows.states[nodes] == State.PRESENT
    sides = (there, held[parts], there & ~held[parts])
    having = np.stack([runs.having(side) for side in sides])
    out = np.stack([runs.persons(side, groups) for side in having])
    for told, side in zip(out, having, strict=True):
        for p in range(len(parts)):
            _pool(told[p], pools.parts[:, p], side[p], runs.key, who, runs.person)
    yield out


def _pool(told: Ints, pool: NDArray[np.int8], having: Bools, group: Ints, who: Ints, person: Ints) -> None:
    """Put the persons of a pool in place of those of each of its groups; of both classes each person once."""
    for number in _POOLS:
        mine = pool == number
        if mine.any():
            names = person if number == _BOTH else who
            told[mine] = len(np.unique(names[having & mine[group]]))


def _by_stratum(rows: UsedRows, together: NDArray[np.float64]) -> Ints:
    """Who has and lacks each node; strata of a class that tell one share are counted as one."""
    strata = together.shape[1]
    runs = _Runs(rows.label.astype(np.int64) * strata + rows.stratum, rows.person)
    there = rows.states == State.PRESENT
    having = [runs.having(side) for side in (there, ~there)]
    out = np.stack([runs.persons(side, 2 * strata) for side in having])
    for label, node in np.argwhere((~np.isnan(together)).any(axis=1)):
        shares = together[label, :, node]
        for share in np.unique(shares[~np.isnan(shares)]):
            mine = np.zeros(2 * strata, dtype=np.bool_)
            mine[label * strata + np.flatnonzero(shares == share)] = True
            for told, side in zip(out, having, strict=True):
                told[node, mine] = len(np.unique(runs.person[side[node] & mine[runs.key]]))
    return out


def _together(held: Bools, person: Ints, sure: int) -> Ints:
    """Persons with a row in which two columns of bool[259, n] are true, at least; exact below ``sure``."""
    patterns, place = np.unique(np.packbits(held, axis=1), axis=0, return_inverse=True)
    order = np.argsort(person, kind="stable")
    seen = np.unpackbits(patterns, axis=1, count=held.shape[1]).view(np.bool_)[:, order]
    person = person[order]
    most = int(np.unique(person, return_counts=True)[1].max(initial=1))
    as_float = seen.astype(np.float32)
    rows = (as_float @ as_float.T).astype(np.int64)
    persons = -(-rows // most)
    for a, b in np.argwhere(np.triu((rows > 0) & (rows < most * sure))):
        mine = person[seen[a] & seen[b]]
        persons[a, b] = persons[b, a] = 1 + np.count_nonzero(np.diff(mine))
    return persons[np.ix_(place, place)]


def told_cells(persons: list[Ints], tables: Tables, again: int = 0) -> Iterator[tuple[str, Ints]]:
    """The persons behind all that is told, kind by kind, with a name for the kind.

    Of what groups of both classes tell together ``again`` is taken off: so often persons may have been
    counted a second time, in another part of the rows.

    Not counted: groups whose pool tells nothing, shares of exactly 0 and 1 in place of those of a few, a node
    that nobody in a class and stratum has, or lacks, and components that count as uncorrelated.
    """
    pools = tables.pools
    by_component, by_part, by_stratum, together = persons
    yield "R2 means", (by_component - again * (pools.mean.T == _BOTH))[pools.mean.T >= 0]
    # alone a group tells the share among those who have the node, and its noise hides a few of them
    behind = np.where(pools.parts.T == 0, by_part[0], by_part[1:].min(axis=0))
    yield "R2 shares of parts", (behind - again * (pools.parts.T == _BOTH))[pools.parts.T >= 0]
    shares = pools.nodes.transpose(2, 0, 1).reshape(NODE_COUNT, -1)
    told = np.isnan(shares) | ((shares > 0) & (shares < 1))
    yield "R2 shares of nodes", by_stratum[told & (by_stratum > 0)]
    yield "R3 correlation", together[np.triu(tables.correlated, 1)]
