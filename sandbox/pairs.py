"""R4: joint tables of the catalogue's template pairs, per class, on at most 4 coarse bins each.

Cells count rows in which both ends are present. Cells under k units go to one rest cell; all counts
carry noise of sd 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.sandbox.bins import COARSE_BINS, Binned, Codes, Scale
from riskgraph.sandbox.frame import Frame

NOISE_SD = 5.0
CELLS = COARSE_BINS * COARSE_BINS
REST = CELLS
APART = CELLS + 1


@dataclass(frozen=True)
class PairTables:
    """Released pair tables.

    Attributes:
        cell: uint8[2, 284, 16]: the released cell that each coarse cell counts towards: itself, or
            16 for the rest cell.
        total: float64[2, 284, 18]: rows in each released cell; 16 the rest cell, 17 the rows in
            which not both ends are present.
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


def _release(counts: NDArray[np.float64], seen: NDArray[np.uint32], k: int) -> NDArray[np.uint8]:
    """Released cell of each coarse cell; a rest of under k units takes the smallest large cell along.

    Args:
        counts: float64[16], rows in each coarse cell.
        seen: uint32[units], bit per coarse cell in which the unit has a row.
        k: Least number of units.
    """

    def units(cells: NDArray[np.intp]) -> int:
        bits = np.uint32(sum(1 << int(c) for c in cells))
        return int(np.count_nonzero(seen & bits))

    size = np.array([units(np.array([c])) for c in range(CELLS)])
    cell = np.where(size < k, REST, np.arange(CELLS)).astype(np.uint8)
    large = sorted(np.flatnonzero(size >= k), key=lambda c: -counts[c])
    rest = np.flatnonzero(cell == REST)
    while counts[rest].any() and large and units(rest) < k:
        cell[large.pop()] = REST
        rest = np.flatnonzero(cell == REST)
    if counts[rest].any() and units(rest) < k:
        cell[:] = APART  # nothing of this pair can be told
    return cell


def fit_pairs(frame: Frame, binned: Binned, k: int, rng: np.random.Generator) -> PairTables:
    """Count, merge and noise the tables of all template pairs."""
    ends = pair_ends()
    coarse = {int(e): coarse_codes(binned.scales[e], binned.codes[e]) for e in np.unique(ends)}
    cell = np.empty((2, len(ends), CELLS), dtype=np.uint8)
    total = np.zeros((2, len(ends), APART + 1))
    for p, (a, b) in enumerate(ends):
        joint = joint_cells(coarse[int(a)], coarse[int(b)])
        bits = np.bitwise_or.reduceat(np.left_shift(1, joint, dtype=np.uint32), frame.unit_starts)
        for label in (0, 1):
            counts = np.bincount(joint[frame.rows_of(label)], minlength=APART + 1).astype(np.float64)
            seen = bits[frame.units_of(label)]
            cell[label, p] = _release(counts[:CELLS], seen, k)
            total[label, p] = _noised(counts, cell[label, p], rng)
    return PairTables(cell, total)


def _noised(
    counts: NDArray[np.float64], cell: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Counts by released cell with noise; the cells and the rest of the class sum to its rows."""
    out = np.zeros(APART + 1)
    np.add.at(out, cell, counts[:CELLS])
    filled = out > 0
    out[filled] = np.maximum(out[filled] + rng.normal(0, NOISE_SD, int(filled.sum())), 0.0)
    out[:APART] *= min(1.0, counts.sum() / max(out[:APART].sum(), 1e-9))
    out[APART] = counts.sum() - out[:APART].sum()
    return out
