"""An independent count of the persons behind every released cell of R3 and R4.

Like ``count``, it shares no code with what makes the tables: it takes the tables as they are released and
puts each used row, by its value, into the cells that it belongs to. What subtraction gives is a cell too: a
line of a joint table, as its marginal tells it, less the cells of the line that are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
# A joint table as rows and columns of codes, 0 for absent; of its entries one is the rest, and one no cell.
_CODES = 5
_REST, _NOT_BOTH = 16, 17
_DIGITS = 3

Ints = NDArray[np.int64]
# What a cell is, the persons behind it, and 0 if it says nothing unless other rows are in it too.
Cell = tuple[str, int, int]


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
        out: Ints = self.seen(cell, cells).sum(axis=1)
        return out

    def seen(self, cell: NDArray[np.integer[Any]], cells: int) -> NDArray[np.bool_]:
        """bool[cells, persons], who has a row in each cell; rows in no cell have -1."""
        seen = np.zeros((cells + 1, self._persons), dtype=np.bool_)
        seen[cell, self._place] = True
        return seen[:cells]

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
    return worst_cell([persons_by_cell(rows, tables, pairs)])


def persons_by_cell(rows: UsedRows, tables: Tables, pairs: NDArray[np.intp]) -> list[Cell]:
    """All cells of the tables, in their order, with the persons among some rows; see :func:`count_cells`."""
    return [
        *_shape_cells(rows, tables),
        *_pair_cells(rows, tables, pairs),
        *_cause_cells(rows, tables),
        *_part_cells(rows, tables),
    ]


def worst_cell(parts: Iterable[list[Cell]]) -> CellCount:
    """The count over all rows from those of chunks; no person of a class may have rows in two."""
    names: list[str] = []
    whole: NDArray[np.int64] | None = None
    for part in parts:
        names = [name for name, *_ in part]
        counts = np.array([cell[1:] for cell in part], dtype=np.int64)
        whole = counts if whole is None else whole + counts
    if whole is None:
        raise ValueError("there are no rows")
    told = np.flatnonzero(whole[:, 1])
    least = int(told[np.argmin(whole[told, 0])])
    return CellCount(len(told), int(whole[least, 0]), names[least])


def parted(person: Ints, label: NDArray[np.int8], bounds: NDArray[np.intp]) -> bool:
    """Whether a person of a class has rows in two chunks: their persons would be counted twice.

    Args:
        person: int64[N], of each row, chunk by chunk.
        label: int8[N].
        bounds: intp[C + 1], first row of each chunk, and the end.
    """
    key, chunk = person * 2 + label, np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return len(np.unique(key)) != len(np.unique(key * len(bounds) + chunk))


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
                    yield f"R3 {_CLASSES[label]} {name} bin {b}", persons, 1
            if label == 0:
                for c, persons in _inner_cells(shape, bins, values, crowd):
                    yield f"R3 honest {name} cell {c}", persons, 1


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
            coarse[j] = np.append(tables.scales[j].coarse + 1, np.int8(0))[bins]
        for p, (a, b) in enumerate(pairs.tolist()):
            seen = crowd.seen(coarse[a] * np.int8(_CODES) + coarse[b], _CODES**2)
            told = np.flatnonzero(tables.pairs.total[label, p, :_NOT_BOTH] > 0).tolist()
            for what, persons, said in _table_cells(tables.pairs.cell[label, p], told, seen):
                yield f"R4 {_CLASSES[label]} {names[a]} x {names[b]} {what}", persons, said


def _table_cells(cell: NDArray[np.uint8], told: list[int], seen: NDArray[np.bool_]) -> Iterator[Cell]:
    """Each entry of a joint table that is told, and what each line hides, with the persons behind it."""

    def persons(codes: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(seen[codes.ravel()].any(axis=0)))

    place = np.full((_CODES, _CODES), _NOT_BOTH, dtype=np.uint8)
    place[1:, 1:] = cell.reshape(_CODES - 1, _CODES - 1)
    for c in told:
        yield f"cell {c}", persons(place == c), 1
    for name, line in _lines(place):
        # those that lack the other end lie in the marginal too
        yield f"line {name}", persons(line & (place >= _REST)), persons(line & (place == _REST))


def _lines(place: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Rows and columns with a cell that is shown; those that share one are one line."""
    for axis, table in (("row", place), ("column", place.T)):
        shown = [set(codes.tolist()) - {_REST, _NOT_BOTH} for codes in table]
        first = 1
        for code in range(1, _CODES):
            if code + 1 < _CODES and shown[code] & shown[code + 1]:
                continue
            line = np.zeros(place.shape, dtype=np.bool_)
            (line if axis == "row" else line.T)[first : code + 1] = True
            if shown[code]:
                yield f"{axis} {first}", line
            first = code + 1


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
                yield f"{where} {causes[c].word}", int(persons[causes[c]]), 1


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
                    yield name, crowd.among(np.flatnonzero(same)), 1
