"""R4: joint tables of the catalogue's template pairs, per class, on at most 4 coarse bins each.

Cells count rows in which both ends are present. Neighbouring bins may be merged, and what is not shown
lies in one rest cell, so that no set of cells that is told by subtraction, in however many steps, stands
for fewer than k units. A count gives only the shape of a table, with noise of sd 5 in each cell; the
size comes from R2, else two tables that share an end would tell how many rows lack the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.sandbox.bins import COARSE_BINS, NOISE_SD, Binned, Codes, Scale
from riskgraph.sandbox.frame import Frame
from riskgraph.sandbox.subtraction import fixed_sets
from riskgraph.sandbox.tally import Tally

CELLS = COARSE_BINS * COARSE_BINS
REST = CELLS
APART = CELLS + 1
WIDTH = COARSE_BINS + 1
_MASKS = 1 << WIDTH**2


@dataclass(frozen=True)
class PairTables:
    """Released pair tables.

    Attributes:
        cell: uint8[2, 284, 16]: the released cell that each coarse cell counts towards: the first of
            those that it is merged with, or 16 for the rest cell, or 17 if nothing is told.
        total: float64[2, 284, 18]: rows in each released cell; 16 the rest cell, 17 the rows in
            which not both ends are present, by R2.
    """

    cell: NDArray[np.uint8]
    total: NDArray[np.float64]


@lru_cache(maxsize=1)
def pair_ends() -> NDArray[np.intp]:
    """intp[284, 2]: component that stands for each end of a pair (contracts, section 6)."""
    nodes = catalog().nodes
    return np.array(
        [
            [catalog().component_index[f"{nodes[i].id}.{nodes[i].pair_component}"] for i in (p.a, p.b)]
            for p in catalog().pairs
        ]
    )


def coarse_codes(scale: Scale, codes: Codes) -> Codes:
    """uint8[N], 0 where absent, else 1 + coarse bin, of one component's codes."""
    table = np.concatenate([[0], scale.coarse + 1]).astype(np.uint8)
    out: Codes = table[codes]
    return out


def joint_cells(first: Codes, second: Codes) -> Codes:
    """uint8[N]: coarse cell 0..15 of a pair of coarse codes, 17 where not both are present."""
    cells = (first - 1) * COARSE_BINS + (second - 1)
    cells[(first == 0) | (second == 0)] = APART
    return cells


@dataclass(frozen=True)
class _Grid:
    """A table whose neighbouring coarse bins are merged in one way.

    Attributes:
        cell: uint8[16], the first coarse cell of the merged cell that each coarse cell lies in.
        bits: For each merged cell the bits of its coarse cells, ``5 first + second``.
        lines: The whole table, then its rows and columns: the merged cells of each, and the bits of
            what belongs to the line but lacks the other end.
    """

    cell: Codes
    bits: dict[int, int]
    lines: tuple[tuple[frozenset[int], int], ...]


def _grid(first: NDArray[np.intp], second: NDArray[np.intp]) -> _Grid:
    """The grid of a run number for each of the four coarse bins of both ends."""
    starts = [np.searchsorted(runs, runs) for runs in (first, second)]
    cell = (starts[0][:, None] * COARSE_BINS + starts[1]).astype(np.uint8)
    bits: dict[int, int] = {}
    for i, j in np.ndindex(COARSE_BINS, COARSE_BINS):
        bits[int(cell[i, j])] = bits.get(int(cell[i, j]), 0) | 1 << (i + 1) * WIDTH + j + 1
    lines = [(frozenset(bits), 0)]
    for axis, place in product((0, 1), range(COARSE_BINS)):
        run = np.flatnonzero(starts[axis] == place)
        if len(run):
            lacking = sum(1 << (int(i) + 1) * (WIDTH, 1)[axis] for i in run)
            lines.append((frozenset(cell.take(run, axis).ravel().tolist()), lacking))
    return _Grid(cell.ravel(), bits, tuple(lines))


_RUNS = [np.cumsum([0, *cuts]) for cuts in product((0, 1), repeat=COARSE_BINS - 1)]
# bool[10, 25]: each row and column of a table of two coarse codes, 0 for absent.
_MARGINALS = np.array(
    [(np.indices((WIDTH, WIDTH))[axis] == code).ravel() for axis in (0, 1) for code in range(WIDTH)]
)
_BITS = 1 << np.arange(WIDTH**2)
_GRIDS = tuple(_grid(first, second) for first, second in product(_RUNS, _RUNS))


class _Crowd:
    """Units of one class by the cells that they have a row in."""

    def __init__(self, seen: Tally, k: int) -> None:
        self.kinds, self.number = seen.key, seen.number
        self.k, self.known = k, {0: 0}

    def units(self, bits: int) -> int:
        if bits not in self.known:
            self.known[bits] = int(self.number[(self.kinds & bits) != 0].sum())
        return self.known[bits]

    def units_of_each(self, sets: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[n], units that have a row in any cell of each of n sets, given as bits."""
        out: NDArray[np.int64] = ((self.kinds & sets[:, None]) != 0) @ self.number
        return out

    def pool(self, grid: _Grid) -> Codes | None:
        """uint8[16], released cell of each coarse cell, or None if the rest would be too small."""
        size = {cell: self.units(bits) for cell, bits in grid.bits.items()}
        shown = {cell for cell, units in size.items() if units >= self.k}
        before = -1
        while before != len(shown):
            before = len(shown)
            for line, lacking in grid.lines:
                hidden = sum(grid.bits[cell] for cell in line - shown)
                if self.units(hidden) and line & shown and self.units(hidden | lacking) < self.k:
                    shown.remove(min(line & shown, key=lambda cell: (size[cell], cell)))
        if 0 < self.units(sum(grid.bits[cell] for cell in grid.bits.keys() - shown)) < self.k:
            return None
        return np.where(np.isin(grid.cell, list(shown)), grid.cell, REST).astype(np.uint8)

    def tells_of_few(self, cell: Codes) -> bool:
        """Whether exact marginals and released cells fix a set of 1 to k - 1 units, some with both ends."""
        size = np.array([self.units(int(bit)) for bit in _BITS])
        table = np.full((WIDTH, WIDTH), APART)
        table[1:, 1:] = cell.reshape(COARSE_BINS, COARSE_BINS)
        place = table.ravel()
        known = np.vstack([_MARGINALS, *(place == number for number in np.unique(place))])
        empty = np.zeros(WIDTH**2, dtype=np.bool_)
        while True:
            sets = fixed_sets(known & ~empty, (size < self.k) & ~empty)
            units = self.units_of_each(sets @ _BITS)
            # a set that nobody is in tells that each of its cells is empty
            nobody = sets[units == 0].any(axis=0)
            if not nobody.any():
                break
            empty |= nobody
        both = sets[:, (place != APART) & (size > 0)].any(axis=1)
        return bool((both & (units < self.k)).any())


def _told(counts: NDArray[np.int64], cell: Codes) -> float:
    """What a table tells beside its marginals: Kullback-Leibler divergence from independence, times rows."""
    alone = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(1, counts.sum())
    seen, expected = (np.bincount(cell, weights=n.ravel(), minlength=CELLS + 1) for n in (counts, alone))
    filled = seen > 0
    return float((seen[filled] * np.log(seen[filled] / expected[filled])).sum())


def pool_cells(counts: NDArray[np.int64], seen: Tally, k: int) -> Codes:
    """Which cells of a table are shown, alone or merged with neighbours, and which go to the rest.

    A marginal less the shown cells of its line tells how many rows the line hides, together with those
    that lack the other end. So what a line hides stands for k units or nobody, and so does the rest, and
    so does every set of cells that lines and shown cells fix together. Of all ways to merge neighbouring
    bins the one is taken that tells most.

    Args:
        counts: int64[4, 4], rows in each coarse cell.
        seen: Units by mask, in which bit ``5 first + second`` is set for each two coarse codes that a unit
            has a row with.
        k: Least number of units.

    Returns:
        uint8[16], the released cell of each coarse cell; 17 everywhere if nothing can be told.
    """
    crowd, best, most = _Crowd(seen, k), np.full(CELLS, APART, dtype=np.uint8), 0.0
    grids = sorted(((_told(counts, g.cell), -i) for i, g in enumerate(_GRIDS)), reverse=True)
    for bound, place in grids:
        # pooling takes information away and never adds any
        if bound <= most:
            break
        cell = crowd.pool(_GRIDS[-place])
        if cell is not None and (told := _told(counts, cell)) > most and not crowd.tells_of_few(cell):
            best, most = cell, told
    return best


@dataclass(frozen=True)
class PairTally:
    """What R4 is made of; those of chunks add up, if no unit of a class lies in two.

    Attributes:
        rows: int64[2, 284, 5, 5], rows of each class by the coarse codes of both ends.
        seen: Units by ``(2 pair + class) << 25 | mask``, a mask of the codes that a unit has a row with.
    """

    rows: NDArray[np.int64]
    seen: Tally

    @classmethod
    def joined(cls, parts: Sequence[PairTally]) -> PairTally:
        """The sum of tallies."""
        return cls(np.sum([p.rows for p in parts], axis=0), Tally.joined([p.seen for p in parts]))


def tally_pairs(frame: Frame, binned: Binned) -> PairTally:
    """Count the rows and units in the cells of all template pairs."""
    ends = pair_ends()
    coarse = {int(e): coarse_codes(binned.scales[e], binned.codes[e]) for e in np.unique(ends)}
    rows = np.zeros((2, len(ends), WIDTH**2), dtype=np.int64)
    seen = []
    for p, (a, b) in enumerate(ends):
        joint = coarse[int(a)] * np.uint8(WIDTH) + coarse[int(b)]
        bits = np.bitwise_or.reduceat(np.left_shift(1, joint, dtype=np.uint32), frame.unit_starts)
        for label in (0, 1):
            rows[label, p] = np.bincount(joint[frame.rows_of(label)], minlength=WIDTH**2)
            kinds = Tally.of(bits[frame.units_of(label)])
            seen.append(Tally(kinds.key + (2 * p + label) * _MASKS, kinds.number))
    key, number = (np.concatenate(part) for part in zip(*((t.key, t.number) for t in seen), strict=True))
    return PairTally(rows.reshape(2, len(ends), WIDTH, WIDTH), Tally(key, number))


def fit_pairs(tally: PairTally, both: NDArray[np.float64], k: int, rng: np.random.Generator) -> PairTables:
    """Pool and noise the tables of all template pairs.

    Args:
        tally: Rows and units of their cells.
        both: float64[2, 284], rows of each class with both ends of each pair, by R2.
        k: Least number of units behind a cell.
        rng: Source of the noise.
    """
    count = len(pair_ends())
    cell = np.empty((2, count, CELLS), dtype=np.uint8)
    total = np.zeros((2, count, APART + 1))
    for p in range(count):
        for label in (0, 1):
            rows = tally.rows[label, p]
            start = (2 * p + label) * _MASKS
            cell[label, p] = pool_cells(rows[1:, 1:], tally.seen.between(start, start + _MASKS), k)
            shape = _noised(rows[1:, 1:].ravel(), cell[label, p], rng)
            total[label, p, :APART] = both[label, p] * shape
            total[label, p, APART] = rows.sum() - total[label, p, :APART].sum()
    return PairTables(cell, total)


def _noised(
    counts: NDArray[np.int64], cell: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.float64]:
    """float64[17]: share of each released cell, from counts with noise; all 0 if nothing is told."""
    out = np.bincount(cell, weights=counts, minlength=APART + 1)[:APART].astype(np.float64)
    filled = out > 0
    out[filled] = np.maximum(out[filled] + rng.normal(0, NOISE_SD, int(filled.sum())), 1.0)
    out /= max(out.sum(), 1.0)
    return out
