"""Step 9: weights of drawn rows moved until the template pairs show their released joint tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.sandbox.draw import ClassDraw
from riskgraph.sandbox.pairs import APART, coarse_codes, joint_cells, pair_ends
from riskgraph.sandbox.tables import Tables

ROUNDS = (10, 25)
CLIP = ((0.2, 5.0), (0.1, 10.0))


def rake(tables: Tables, draw: ClassDraw, label: int) -> NDArray[np.float64]:
    """Iterative proportional fitting of one class (Deming and Stephan 1940), weights clipped.

    How many rows have both ends of a pair, and how many lie in each stratum, stays as drawn: R2
    tells that better, and clipping would let whole blocks drift.

    Returns:
        float64[M], weights that sum to the class's rows.
    """
    start = draw.rows.weight
    low, high = (start.mean() * c for c in CLIP[label])
    weight = start.copy()
    coarse = {e: coarse_codes(tables.scales[e], codes) for e, codes in draw.codes.items()}
    constraints = _constraints(tables, coarse, start, label)
    strata = np.unique(draw.stratum, return_inverse=True)[1]
    sizes = np.bincount(strata, weights=start)
    for _ in range(ROUNDS[label]):
        for cell, wanted in constraints:
            now = np.bincount(cell, weights=weight, minlength=APART + 1)
            weight *= np.where(now > 0, wanted / np.maximum(now, 1e-9), 1.0)[cell]
        # Every round, not at the end: the next round then spreads what was cut off over other rows.
        np.clip(weight, low, high, out=weight)
        weight *= (sizes / np.bincount(strata, weights=weight))[strata]
    return weight


def _constraints(
    tables: Tables, coarse: dict[int, NDArray[np.uint8]], start: NDArray[np.float64], label: int
) -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Released cell of each row and wanted weight per cell, for each pair with two cells to balance."""
    out = []
    for p, (a, b) in enumerate(pair_ends()):
        wanted = tables.pairs.total[label, p].copy()
        # With one cell there is nothing to move weight between.
        if np.count_nonzero(wanted[:APART]) < 2:
            continue
        lookup = np.append(tables.pairs.cell[label, p], np.array([APART, APART], dtype=np.uint8))
        cell = lookup[joint_cells(coarse[int(a)], coarse[int(b)])]
        drawn = np.bincount(cell, weights=start, minlength=APART + 1)
        # A cell that no row was drawn for cannot be filled by weights; its mass goes to the others.
        wanted[:APART] = np.where(drawn[:APART] > 0, wanted[:APART], 0.0)
        wanted[:APART] *= drawn[:APART].sum() / max(wanted[:APART].sum(), 1e-9)
        wanted[APART] = drawn[APART]
        out.append((cell, wanted))
    return out
