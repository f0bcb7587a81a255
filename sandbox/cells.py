"""An independent count of the persons behind every released cell of R3 and R4.

Like ``count``, it shares no code with what makes the tables: it takes the tables as they are released and
puts each used row, by its value, into the cells that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.subgraph import State
from riskgraph.sandbox.bounds import component_bounds

if TYPE_CHECKING:
    from riskgraph.sandbox.shape import Shape
    from riskgraph.sandbox.tables import Tables

_CLASSES = ("honest", "fraud")
_NOT_BOTH = 17
_DIGITS = 3

Ints = NDArray[np.int64]
# What a cell is, and the persons behind it.
Cell = tuple[str, int]


@dataclass(frozen=True)
class UsedRows:
    """The N rows that a release was made from.

    Attributes:
        person: int64[N], by the independent count. label: int8[N]. stratum: int16[N].
        values: float32[259, N], NaN where absent. states: uint8[137, N].
    """

    person: Ints
    label: NDArray[np.int8]
    stratum: NDArray[np.int16]
    values: NDArray[np.float32]
    states: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CellCount:
    """How many cells were counted, the fewest persons behind one, and which one that is."""

    cells: int
    min_cell_units: int
    thinnest_cell: str

    def as_dict(self) -> dict[str, Any]:
        """For the certificate. Which cell is thinnest would tell the exact count of a cell with noise."""
        return {"cells": self.cells, "min_cell_units": self.min_cell_units}


class _Crowd:
    """Rows of one class (and perhaps stratum): counts the persons in each of a few cells."""

    def __init__(self, person: Ints) -> None:
        names, self._place = np.unique(person, return_inverse=True)
        self._persons = len(names)

    def count(self, cell: NDArray[np.int64], cells: int) -> Ints:
        """int64[cells], persons with a row in each cell; rows in no cell have -1."""
        seen = np.zeros((self._persons, cells + 1), dtype=np.bool_)
        seen[self._place, cell] = True
        out: Ints = seen[:, :cells].sum(axis=0)
        return out

    def among(self, rows: NDArray[np.intp]) -> int:
        """Persons behind some rows."""
        seen = np.zeros(self._persons, dtype=np.bool_)
        seen[self._place[rows]] = True
        return int(np.count_nonzero(seen))


def count_cells(rows: UsedRows, tables: Tables, pairs: NDArray[np.intp]) -> CellCount:
    """Count the persons behind every cell of R3 and R4 that says something.

    Not counted: bounds that the catalogue makes public, shares of exactly 0 or 1 (a fact about a whole
    class or stratum), and the last entry of a pair's table, which is the class less the other entries.

    Args:
        rows: The rows that were used.
        tables: What is to be released.
        pairs: intp[P, 2], the components of each pair of R4.
    """
    found = [
        *_shape_cells(rows, tables),
        *_pair_cells(rows, tables, pairs),
        *_cause_cells(rows, tables),
        *_part_cells(rows, tables),
    ]
    name, fewest = min(found, key=lambda cell: cell[1])
    return CellCount(len(found), fewest, name)


def _crowds(rows: UsedRows) -> list[tuple[NDArray[np.intp], _Crowd]]:
    places = [np.flatnonzero(rows.label == label) for label in (0, 1)]
    return [(place, _Crowd(rows.person[place])) for place in places]


def _bins(edges: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Bin of each value, ``(edge below, edge above]``; -1 where it is absent."""
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="left"))


def _shape_cells(rows: UsedRows, tables: Tables) -> Iterator[Cell]:
    crowds = _crowds(rows)
    for j, (scale, shape) in enumerate(zip(tables.scales, tables.shapes, strict=True)):
        if _tells_nothing(j, shape):
            continue
        name = catalog().components[j]
        for label, (places, crowd) in enumerate(crowds):
            values = rows.values[j].take(places)
            bins = _bins(scale.edges, values)
            if len(scale.z) > 1 or label == 0:
                for b, persons in enumerate(crowd.count(bins, len(scale.z)).tolist()):
                    yield f"R3 {_CLASSES[label]} {name} bin {b}", persons
            if label == 0:
                for c, persons in _inner_cells(shape, bins, values, crowd):
                    yield f"R3 honest {name} cell {c}", persons


def _tells_nothing(j: int, shape: Shape) -> bool:
    """Whether the only cell covers just the public bounds of the component."""
    low, high = component_bounds()
    return len(shape.bin) == 1 and shape.lower[0] == low[j] and shape.upper[0] == high[j]


def _inner_cells(
    shape: Shape, bins: NDArray[np.int64], values: NDArray[np.float32], crowd: _Crowd
) -> Iterator[tuple[int, int]]:
    """Each cell of a bin that has several, and the persons in it."""
    for b in np.flatnonzero(np.bincount(shape.bin) > 1):
        cells, members = np.flatnonzero(shape.bin == b), np.flatnonzero(bins == b)
        inside = values[members]
        for c in cells.tolist():
            lower, upper = float(shape.lower[c]), float(shape.upper[c])
            if lower == upper:
                mine = inside == np.float32(lower)
            else:
                # an outer end is mirrored from the inner one, and so is not where the cell's values end
                mine = np.ones(len(members), dtype=np.bool_)
                if c > cells[0]:
                    # closed: persons of one value may have been parted between two cells
                    mine &= inside >= lower - _step(lower)
                if c < cells[-1]:
                    mine &= inside <= upper + _step(upper)
            yield c, crowd.among(members[mine])


def _step(edge: float) -> float:
    """How far a released edge may lie from the value that it was rounded from: three digits."""
    return float(10.0 ** (np.floor(np.log10(abs(edge))) - _DIGITS + 1)) if edge else 0.0


def _pair_cells(rows: UsedRows, tables: Tables, pairs: NDArray[np.intp]) -> Iterator[Cell]:
    names, ends = catalog().components, np.unique(pairs).tolist()
    for label, (places, crowd) in enumerate(_crowds(rows)):
        coarse = {}
        for j in ends:
            bins = _bins(tables.scales[j].edges, rows.values[j].take(places))
            coarse[j] = np.append(tables.scales[j].coarse, np.int8(-1))[bins]
        for p, (a, b) in enumerate(pairs.tolist()):
            both = (coarse[a] >= 0) & (coarse[b] >= 0)
            # the last entry stands for rows that lack an end
            released = np.append(tables.pairs.cell[label, p], np.uint8(_NOT_BOTH)).astype(np.int64)
            cell = released[np.where(both, coarse[a] * np.int64(4) + coarse[b], -1)]
            persons = crowd.count(cell, _NOT_BOTH + 1)
            for c in np.flatnonzero(tables.pairs.total[label, p, :_NOT_BOTH] > 0).tolist():
                yield f"R4 {_CLASSES[label]} {names[a]} x {names[b]} cell {c}", int(persons[c])


def _cause_cells(rows: UsedRows, tables: Tables) -> Iterator[Cell]:
    causes = (State.NOT_APPLICABLE, State.NOT_DELIVERED, State.REFUSED)
    for label, stratum in zip(*np.nonzero(tables.absence.cause.any(axis=(2, 3))), strict=True):
        places = np.flatnonzero((rows.label == label) & (rows.stratum == stratum))
        crowd = _Crowd(rows.person[places])
        shares = tables.absence.cause[label, stratum]
        for node in range(NODE_COUNT):
            told = np.flatnonzero((shares[:, node] > 0) & (shares[:, node] < 1))
            if not len(told):
                continue
            persons = crowd.count(rows.states[node].take(places).astype(np.int64), len(State))
            for c in told.tolist():
                where = f"R3 {_CLASSES[label]} stratum {stratum} {catalog().nodes[node].id}"
                yield f"{where} {causes[c].word}", int(persons[causes[c]])


def _part_cells(rows: UsedRows, tables: Tables) -> Iterator[Cell]:
    for node, (masks, shares) in tables.absence.parts.items():
        parts = rows.values[catalog().component_slices[node]]
        for label, (places, crowd) in enumerate(_crowds(rows)):
            there = ~np.isnan(parts[:, places])
            for mask, share in zip(masks.tolist(), shares[label].tolist(), strict=True):
                if 0 < share < 1:
                    wanted = (mask >> np.arange(len(parts))[:, None]) & 1 == 1
                    same = (there == wanted).all(axis=0)
                    name = f"R3 {_CLASSES[label]} {catalog().nodes[node].id} parts {mask}"
                    yield name, crowd.among(np.flatnonzero(same))
