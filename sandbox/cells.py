"""An independent count of the persons behind every released cell of R2, R3 and R4.

Like ``count``, it shares no code with what makes the tables: it takes the tables as they are released and
puts each used row, by its value, into the cells that it belongs to. What subtraction gives is a cell too:
every set of cells of a joint table that its marginals and the cells that are shown determine together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.bounds import category_components, component_bounds
from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import State
from riskgraph.sandbox.group_cells import told_cells, told_persons

if TYPE_CHECKING:
    from riskgraph.sandbox.bins import Scale
    from riskgraph.sandbox.shape import Shape
    from riskgraph.sandbox.tables import Tables

_CLASSES = ("honest", "fraud")
# A joint table as rows and columns of codes, 0 for absent; of its entries one is the rest, and one no cell.
_CODES = 5
_REST, _NOT_BOTH = 16, 17
_DIGITS = 3
_EXACT = 1e-9

Ints = NDArray[np.int64]
# What a cell is, and the persons behind it.
Cell = tuple[str, int]


@dataclass(frozen=True)
class UsedRows:
    """The N rows that a release was made from.

    Attributes:
        person: int64[N], by the independent count. group: int32[N]. label: int8[N]. stratum: int16[N].
        values: float32[259, N], NaN where absent. states: uint8[137, N].
    """

    person: Ints
    group: NDArray[np.int32]
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


@dataclass(frozen=True)
class PersonsSeen:
    """Persons among some rows; those of several parts add up where no person of a class lies in two.

    Attributes:
        cells: Each cell of R3, and the persons in it.
        told: Persons behind what groups tell and behind correlations, see :func:`told_persons`.
        patterns: For each class, and in it each pair of R4, int64[2, n]: which entries of the joint table a
            person has rows in, as bits, rising; and the persons who have rows in just these.
    """

    cells: list[Cell]
    told: list[Ints]
    patterns: list[Ints]


def count_cells(rows: UsedRows, tables: Tables, pairs: NDArray[np.intp]) -> CellCount:
    """Count the persons behind every cell of R2, R3 and R4 that says something.

    Not counted: bounds and words that the catalogue makes public, shares of exactly 0, and the last entry
    of a pair's table, which is the class less the other entries.

    Args:
        rows: The rows that were used.
        tables: What is to be released.
        pairs: intp[P, 2], the components of each pair of R4.
    """
    return count_seen([persons_seen(rows, tables, pairs)], tables, pairs)


def persons_seen(rows: UsedRows, tables: Tables, pairs: NDArray[np.intp]) -> PersonsSeen:
    """The persons among some rows, by cell; arguments as of :func:`count_cells`."""
    cells = [*_shape_cells(rows, tables), *_cause_cells(rows, tables), *_part_cells(rows, tables)]
    return PersonsSeen(cells, told_persons(rows, tables), list(_patterns(rows, tables, pairs)))


def count_seen(
    parts: Iterable[PersonsSeen], tables: Tables, pairs: NDArray[np.intp], again: int = 0
) -> CellCount:
    """The count over all rows, from those of their parts, in which ``again`` persons stand a second time."""
    others = iter(parts)
    first = next(others)
    persons = np.array([n for _, n in first.cells], dtype=np.int64)
    patterns = [[pattern] for pattern in first.patterns]
    for part in others:
        persons += [n for _, n in part.cells]
        for sums, told in zip(first.told, part.told, strict=True):
            sums += told
        for known, pattern in zip(patterns, part.patterns, strict=True):
            known.append(pattern)
    found = [(name, n) for (name, _), n in zip(first.cells, persons.tolist(), strict=True)]
    found += _pair_cells([_joined(known) for known in patterns], tables, pairs)
    kinds = [(kind, behind) for kind, behind in told_cells(first.told, tables, again) if behind.size]
    found += [(kind, int(behind.min())) for kind, behind in kinds]
    name, fewest = min(found, key=lambda cell: cell[1])
    return CellCount(len(found) - len(kinds) + sum(behind.size for _, behind in kinds), fewest, name)


def parted(person: Ints, label: NDArray[np.int8], bounds: NDArray[np.intp]) -> bool:
    """Whether a person of a class has rows in two parts: they would be counted twice.

    Args:
        person: int64[N], of each row, part by part.
        label: int8[N].
        bounds: intp[C + 1], first row of each part, and the end.
    """
    key, part = person * 2 + label, np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return len(np.unique(key)) != len(np.unique(key * len(bounds) + part))


def seen_again(person: Ints, bounds: NDArray[np.intp]) -> int:
    """How often persons have rows in a further part."""
    part = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return len(np.unique(person * len(bounds) + part)) - len(np.unique(person))


def _crowds(rows: UsedRows) -> list[tuple[NDArray[np.intp], _Crowd]]:
    places = [np.flatnonzero(rows.label == label) for label in (0, 1)]
    return [(place, _Crowd(rows.person[place])) for place in places]


def _bins(edges: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Bin of each value, ``(edge below, edge above]``; -1 where it is absent."""
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="left"))


def _shape_cells(rows: UsedRows, tables: Tables) -> Iterator[Cell]:
    crowds = _crowds(rows)
    for j, (scale, shape) in enumerate(zip(tables.scales, tables.shapes, strict=True)):
        if _tells_nothing(j, scale, shape):
            continue
        name = catalog().components[j]
        for label, (places, crowd) in enumerate(crowds):
            values = rows.values[j].take(places)
            bins = _bins(scale.edges, values)
            if len(scale.z) > 1 or label == 0:
                for b, persons in enumerate(crowd.count(bins, len(scale.z)).tolist()):
                    yield f"R3 {_CLASSES[label]} {name} bin {b}", persons
            if label == 0:
                for c, persons in _inner_cells(shape, _first_words(j, scale), bins, values, crowd):
                    yield f"R3 honest {name} cell {c}", persons


def _tells_nothing(j: int, scale: Scale, shape: Shape) -> bool:
    """Whether the only cell covers just the public bounds of the component, or is its first word."""
    (low, high), words = np.array(component_bounds())[:, j], _first_words(j, scale)
    only = len(shape.bin) == 1
    return bool(only and shape.lower[0] == low and (shape.upper[0] == high or words is not None))


def _inner_cells(
    shape: Shape, first_word: NDArray[np.float64] | None, bins: NDArray[np.int64],
    values: NDArray[np.float32], crowd: _Crowd,
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Each cell that tells more than its bin, and the persons in it; ``first_word`` by bin, of classes."""
    for b, size in enumerate(np.bincount(shape.bin)):
        cells = np.flatnonzero(shape.bin == b)
        lower, upper = float(shape.lower[cells[0]]), float(shape.upper[cells[0]])
        # one value for a whole bin tells what is there, unless it is the first word, whoever shows it
        if size == 1 and (lower != upper or (first_word is not None and lower == first_word[b])):
            continue
        members = np.flatnonzero(bins == b)
        for c in cells.tolist():
            yield c, crowd.among(members[_inside(shape, c, cells, values[members])])


def _inside(shape: Shape, c: int, cells: NDArray[np.intp], values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which values of a bin lie in one of its cells."""
    lower, upper = float(shape.lower[c]), float(shape.upper[c])
    if lower == upper:
        same: NDArray[np.bool_] = values == np.float32(lower)
        return same
    # an outer end is mirrored from the inner one, and so is not where the cell's values end
    mine = np.ones(len(values), dtype=np.bool_)
    if c > cells[0]:
        # closed: persons of one value may have been parted between two cells
        mine &= values >= lower - _step(lower)
    if c < cells[-1]:
        mine &= values <= upper + _step(upper)
    return mine


def _first_words(j: int, scale: Scale) -> NDArray[np.float64] | None:
    """float64[B], first class of each bin; None where a component is no class."""
    low = component_bounds()[0][j]
    return np.append(low, scale.edges + 1.0) if category_components()[j] else None


def _step(edge: float) -> float:
    """How far a released edge may lie from the value that it was rounded from: three digits."""
    return float(10.0 ** (np.floor(np.log10(abs(edge))) - _DIGITS + 1)) if edge else 0.0


def _patterns(rows: UsedRows, tables: Tables, pairs: NDArray[np.intp]) -> Iterator[Ints]:
    ends, bit = np.unique(pairs).tolist(), 1 << np.arange(_CODES**2)
    for places, crowd in _crowds(rows):
        coarse = {}
        for j in ends:
            bins = _bins(tables.scales[j].edges, rows.values[j].take(places))
            coarse[j] = np.append(tables.scales[j].coarse + 1, np.int8(0))[bins]
        for a, b in pairs.tolist():
            seen = crowd.seen(coarse[a] * np.int8(_CODES) + coarse[b], _CODES**2)
            yield np.stack(np.unique(bit @ seen, return_counts=True))


def _joined(parts: list[Ints]) -> Ints:
    """The sum of patterns of several parts."""
    pattern, place = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    persons = np.bincount(place, np.concatenate([part[1] for part in parts]), len(pattern))
    return np.stack([pattern, persons.astype(np.int64)])


def _pair_cells(patterns: list[Ints], tables: Tables, pairs: NDArray[np.intp]) -> Iterator[Cell]:
    names = catalog().components
    for number, (pattern, persons) in enumerate(patterns):
        label, p = divmod(number, len(pairs))
        a, b = pairs[p].tolist()
        seen = (pattern >> np.arange(_CODES**2)[:, None] & 1).astype(np.bool_)
        told = np.flatnonzero(tables.pairs.total[label, p, :_NOT_BOTH] > 0).tolist()
        for what, count in _table_cells(tables.pairs.cell[label, p], told, seen, persons):
            yield f"R4 {_CLASSES[label]} {names[a]} x {names[b]} {what}", count


def _table_cells(
    cell: NDArray[np.uint8], told: list[int], seen: NDArray[np.bool_], persons: Ints
) -> Iterator[Cell]:
    """Each entry of a joint table that is told, then the thinnest set that subtraction gives; their persons.

    A set is named only where it has fewer persons than every entry.

    Args:
        cell: uint8[16], as released.
        told: Its entries that are told.
        seen: bool[25, n], in which entries there are rows of persons of each kind.
        persons: int64[n], of each kind.
    """
    table = np.full((_CODES, _CODES), _NOT_BOTH, dtype=np.uint8)
    table[1:, 1:] = cell.reshape(_CODES - 1, _CODES - 1)
    place = table.ravel()
    entries = [(f"cell {c}", int(persons[seen[place == c].any(axis=0)].sum())) for c in told]
    yield from entries
    if entries:
        sets = _given_sets(place, seen, persons, min(count for _, count in entries))
        yield from sorted(sets, key=lambda found: found[1])[:1]


def _given_sets(
    place: NDArray[np.uint8], seen: NDArray[np.bool_], persons: Ints, under: int
) -> Iterator[Cell]:
    """Sets of under so many persons that rows, columns and entries give by adding and subtracting.

    Tables that agree in all that is told differ by a vector of the null space. So a set is given if a
    random such vector adds up to 0 over it. Sets of those alone who lack an end are left out: they are in R2.
    """
    size = seen @ persons
    line = np.indices((_CODES, _CODES)).reshape(2, -1)
    told = [lines == code for lines in line for code in range(_CODES)]
    told += [place == c for c in np.unique(place)]
    nobody = np.zeros(len(place), dtype=np.bool_)
    rng = np.random.default_rng(0)
    while True:
        vector = np.zeros(len(place), dtype=np.complex128)
        vector[~nobody] = _vector(np.array(told)[:, ~nobody], rng)
        thin = np.flatnonzero(~nobody & (size < under))
        bits = _zero_sums(vector[thin])
        sets = np.zeros((len(bits), len(place)), dtype=np.bool_)
        sets[:, thin] = bits[:, None] >> np.arange(len(thin)) & 1
        empty = sets[~sets[:, size > 0].any(axis=1)].any(axis=0)
        if not empty.any():
            break
        nobody |= empty
    for members in sets[sets[:, (place != _NOT_BOTH) & (size > 0)].any(axis=1)]:
        count = int(persons[seen[members].any(axis=0)].sum())
        if count < under:
            yield f"set {'+'.join(map(str, np.flatnonzero(members)))}", count


def _vector(told: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.complex128]:
    """A random vector that all told sums are 0 over; complex, so that chance makes no sum 0."""
    _, size, basis = np.linalg.svd(told.astype(np.float64))
    null = basis[np.count_nonzero(size > _EXACT) :]
    out: NDArray[np.complex128] = (rng.normal(size=len(null)) + 1j * rng.normal(size=len(null))) @ null
    return out


def _zero_sums(vector: NDArray[np.complex128]) -> Ints:
    """All sets of entries that add up to 0, as bits: two halves that meet (Horowitz and Sahni, JACM 1974)."""
    half = len(vector) // 2
    left, right = _subset_sums(vector[:half]), _subset_sums(vector[half:])
    order = np.argsort(right.real)
    ends = [np.searchsorted(right.real[order], at) for at in (-left.real - _EXACT, -left.real + _EXACT)]
    times = ends[1] - ends[0]
    first = np.repeat(np.arange(len(left)), times)
    run = np.arange(len(first)) - np.repeat(np.cumsum(times) - times, times)
    second = order[np.repeat(ends[0], times) + run]
    met = np.abs(left[first] + right[second]) < _EXACT
    out: Ints = (first | second << half)[met]
    return out


def _subset_sums(vector: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """complex128[2^n], the sum over each subset, at the place that its bits give."""
    out = np.zeros(1, dtype=np.complex128)
    for entry in vector:
        out = np.concatenate([out, out + entry])
    return out


def _cause_cells(rows: UsedRows, tables: Tables) -> Iterator[Cell]:
    causes = (State.NOT_APPLICABLE, State.NOT_DELIVERED, State.REFUSED)
    for label, stratum in zip(*np.nonzero(tables.absence.cause.any(axis=(2, 3))), strict=True):
        places = np.flatnonzero((rows.label == label) & (rows.stratum == stratum))
        crowd = _Crowd(rows.person[places])
        shares = tables.absence.cause[label, stratum]
        for node in np.flatnonzero(shares.any(axis=0)).tolist():
            persons = crowd.count(rows.states[node].take(places).astype(np.int64), len(State))
            for c in np.flatnonzero(shares[:, node]).tolist():
                where = f"R3 {_CLASSES[label]} stratum {stratum} {catalog().nodes[node].id}"
                yield f"{where} {causes[c].word}", int(persons[causes[c]])


def _part_cells(rows: UsedRows, tables: Tables) -> Iterator[Cell]:
    for node, (masks, shares) in tables.absence.parts.items():
        parts = rows.values[catalog().component_slices[node]]
        # a class that tells the other's patterns tells nothing of its own
        alike = np.array_equal(*shares)
        found = []
        for label, (places, crowd) in enumerate(_crowds(rows)):
            there = ~np.isnan(parts[:, places])
            for mask in masks[shares[label] > 0].tolist():
                wanted = (mask >> np.arange(len(parts))[:, None]) & 1 == 1
                same = (there == wanted).all(axis=0)
                name = f"R3 {_CLASSES[label]} {catalog().nodes[node].id} parts {mask}"
                found.append((label, (name, crowd.among(np.flatnonzero(same)))))
        owner = max(found, key=lambda cell: cell[1][1])[0]
        yield from (cell for label, cell in found if not alike or label == owner)
