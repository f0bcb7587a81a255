"""Step 9: weights of drawn rows moved until the template pairs show their released joint tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.sandbox.bins import COARSE_BINS
from riskgraph.sandbox.draw import ClassDraw
from riskgraph.sandbox.pairs import APART, pair_ends
from riskgraph.sandbox.tables import Tables

ROUNDS = (10, 25)
CLIP = ((0.2, 5.0), (0.1, 10.0))


@dataclass(frozen=True)
class Target:
    """What drawn rows of one class should show of one pair.

    Attributes:
        ends: Its two components.
        lookup: uint8[5, 5], released cell of each two coarse codes; 17 where not both are present.
        wanted: float64[18], weight per released cell.
    """

    ends: tuple[int, int]
    lookup: NDArray[np.uint8]
    wanted: NDArray[np.float64]

    def cells(self, draw: ClassDraw) -> NDArray[np.uint8]:
        """uint8[M], the released cell of each row."""
        a, b = (draw.coarse[end] for end in self.ends)
        return self.lookup.ravel().take(a * np.uint8(len(self.lookup)) + b)

    def weights(self, draw: ClassDraw, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[18], weight of the rows in each released cell."""
        return np.bincount(self.cells(draw), weights=weight, minlength=APART + 1).astype(np.float64)


def targets(tables: Tables, draw: ClassDraw, label: int) -> dict[int, Target]:
    """Targets of the pairs that have two cells to balance, by index of the pair.

    How many rows have both ends of a pair stays as drawn: R2 tells that better.
    """
    out = {}
    for p, ends in enumerate(pair_ends().tolist()):
        wanted = tables.pairs.total[label, p].copy()
        # With one cell there is nothing to balance.
        if np.count_nonzero(wanted[:APART]) < 2:
            continue
        lookup = np.full((COARSE_BINS + 1, COARSE_BINS + 1), APART, dtype=np.uint8)
        lookup[1:, 1:] = tables.pairs.cell[label, p].reshape(COARSE_BINS, COARSE_BINS)
        target = Target((ends[0], ends[1]), lookup, wanted)
        drawn = target.weights(draw, draw.rows.weight)
        wanted[:APART] *= drawn[:APART].sum() / wanted[:APART].sum()
        wanted[APART] = drawn[APART]
        out[p] = target
    return out


def rake(tables: Tables, draw: ClassDraw, label: int) -> NDArray[np.float64]:
    """Iterative proportional fitting of one class (Deming and Stephan 1940), weights clipped.

    How many rows lie in each stratum stays as drawn: clipping would let whole blocks drift.

    Returns:
        float64[M], weights that sum to the class's rows.
    """
    start = draw.rows.weight
    low, high = (start.mean() * c for c in CLIP[label])
    weight = start.copy()
    constraints = [(t.cells(draw), _reachable(t, draw)) for t in targets(tables, draw, label).values()]
    strata = np.unique(tables.groups.stratum[draw.group], return_inverse=True)[1]
    sizes = np.bincount(strata, weights=start)
    for _ in range(ROUNDS[label]):
        for cell, wanted in constraints:
            now = np.bincount(cell, weights=weight, minlength=APART + 1)
            weight *= np.where(now > 0, wanted / np.maximum(now, 1e-9), 1.0)[cell]
        # Every round, not at the end: the next round then spreads what was cut off over other rows.
        np.clip(weight, low, high, out=weight)
        weight *= (sizes / np.bincount(strata, weights=weight))[strata]
    return weight


def _reachable(target: Target, draw: ClassDraw) -> NDArray[np.float64]:
    """Wanted weights, without cells that no row was drawn for: their mass goes to the others."""
    drawn, wanted = target.weights(draw, draw.rows.weight), target.wanted.copy()
    wanted[:APART] = np.where(drawn[:APART] > 0, wanted[:APART], 0.0)
    wanted[:APART] *= drawn[:APART].sum() / max(wanted[:APART].sum(), 1e-9)
    return wanted
