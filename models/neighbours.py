"""What the neighbours of a behavior node say, as inputs of trees (kind ``xgbgraph``).

XGBGraph (GADBench, NeurIPS 2023) gives boosted trees the values of a node beside aggregates over its
neighbours, from message passing without parameters. There the nodes of one large graph are classified and
all have the same features. Here one order is a graph of 137 behaviors, each with a meaning of its own:

- the neighbours of a node are those that the catalogue's template pairs join to it;
- what stands for a neighbour is its one component that pair terms read too, on a scale that all share: the
  place of its hard bin, from -1 for the lowest to 1 for the highest. A mean of raw values, seconds with
  counts, would mean nothing. Words without an order have a place too, which only says whether they differ;
- a neighbour that is absent sends nothing.

Labels take part in where bins lie and in nothing else. The weight of evidence of a bin (its log odds of
fraud) was tried as the scale: it tells trees the labels of the rows that it was counted on, and ranked worse
on held-out rows, in and out of fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from riskgraph.models.binning import fit_edges
from riskgraph.models.layout import WIDTH, Layout
from riskgraph.models.rows import Rows

_CHUNK_ROWS = 4096
_LAYOUT = Layout.of_catalog()
_JOINED: list[list[int]] = [[] for _ in range(_LAYOUT.nodes)]
for _a, _b in _LAYOUT.ends.tolist():
    _JOINED[_a].append(_b)
    _JOINED[_b].append(_a)
_FLAT = np.array([other for joined in _JOINED for other in joined])
_START = np.cumsum([0, *(len(joined) for joined in _JOINED[:-1])])
# A single neighbour's aggregates are its own value once more.
_SEVERAL = np.array([len(joined) > 1 for joined in _JOINED])


@dataclass(frozen=True, eq=False)
class NeighbourInputs:
    """Values of the order and aggregates over neighbours.

    Attributes:
        edges: float32[12, 137], -inf and the inner bin edges of the component that stands for each node, then
            NaN.
    """

    edges: NDArray[np.float32]

    @classmethod
    def fit(cls, rows: Rows) -> NeighbourInputs:
        """The hard bins of training rows."""
        return cls(fit_edges(rows.components, rows.label, rows.weight).matrix[:, _LAYOUT.stand_in])

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """float64[137, 13]: what stands for a node in each of its bins; NaN where it is absent."""
        count = 1 + np.isfinite(self.edges).sum(axis=0)[:, None]
        # A node of one bin tells that it is there, and nothing else.
        out = (2 * np.arange(WIDTH) - 1 - count) / np.maximum(count - 1, 1)
        out[:, 0] = np.nan
        return np.asarray(out, dtype=np.float64)

    def __call__(self, components: NDArray[np.float32]) -> NDArray[np.float32]:
        """Components, then mean, max and min over neighbours and the mean of their means, float32[N, 775]."""
        parts = [
            self._with_neighbours(components[start : start + _CHUNK_ROWS])
            for start in range(0, max(1, len(components)), _CHUNK_ROWS)
        ]
        return np.concatenate(parts)

    def _with_neighbours(self, components: NDArray[np.float32]) -> NDArray[np.float32]:
        sent = self.places[np.arange(_LAYOUT.nodes), _bins(components, self.edges)][:, _FLAT]
        mean = _mean(sent)
        aggregates = [mean, np.fmax.reduceat(sent, _START, axis=1), np.fmin.reduceat(sent, _START, axis=1)]
        aggregates.append(_mean(mean[:, _FLAT]))
        columns = [part[:, _SEVERAL].astype(np.float32) for part in aggregates]
        return np.concatenate([components, *columns], axis=1)


def _bins(components: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bins uint8[N, 137] of the components that stand for nodes; 0 is absent."""
    values = components[:, _LAYOUT.stand_in]
    bins = np.zeros(values.shape, dtype=np.uint8)
    for row in edges:
        bins += values >= row
    return bins


def _mean(sent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the neighbours of each node that sent something, float64[N, 137]; NaN where none did."""
    there = ~np.isnan(sent)
    count = np.add.reduceat(there, _START, axis=1, dtype=np.float64)
    total = np.add.reduceat(np.where(there, sent, 0.0), _START, axis=1)
    out: NDArray[np.float64] = np.full(count.shape, np.nan)
    return np.divide(total, count, out=out, where=count > 0)
