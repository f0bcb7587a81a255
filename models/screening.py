"""Which pairs of components are worth a pair term, told by what additive terms leave over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from riskgraph.models.compiled import Tables, sigmoid, table_logits
from riskgraph.models.layout import WIDTH
from riskgraph.models.rows import Rows

Floats = NDArray[np.float64]


def pair_gains(bins: NDArray[np.uint8], residual: Floats, curvature: Floats, *, ridge: float = 1.0) -> Floats:
    """How much the best two-by-two table over each pair of components would lower the loss.

    FAST of GA2M (Lou, Caruana, Gehrke, Hooker 2013, section 4), with the second-order gain of a logistic
    loss: over every cut of both components, ``max of sum over quadrants G^2 / (H + ridge)``, G the sum
    of residuals and H that of curvatures. Rows where either is absent take no part.

    Args:
        bins: uint8[M, C], 0 where absent.
        residual: float64[M], weight times label less probability, of a model without pairs.
        curvature: float64[M], weight times ``p (1 - p)``.
        ridge: Keeps small quadrants from winning by chance.

    Returns:
        float64[C, C], symmetric, zero on the diagonal.
    """
    count = bins.shape[1]
    # One column per bin but absent: all tables of a component with all others are one matrix product.
    hot = (bins[:, :, None] == np.arange(1, WIDTH, dtype=np.uint8)).astype(np.float32)
    flat = hot.reshape(len(bins), -1)
    weights = np.stack([residual, curvature]).astype(np.float32)
    out = np.zeros((count, count))
    for a in range(count):
        tables = np.stack([(hot[:, a] * w[:, None]).T @ flat for w in weights]).astype(np.float64)
        out[a] = _best_cut(tables.reshape(2, WIDTH - 1, count, WIDTH - 1), ridge)
    np.fill_diagonal(out, 0.0)
    return (out + out.T) / 2


def _best_cut(tables: Floats, ridge: float) -> Floats:
    """Gain of the best cut, float64[C], of tables float64[2, 12, C, 12]."""
    gain = sum(g**2 / (np.maximum(h, 0.0) + ridge) for g, h in _quadrants(tables))
    best: Floats = np.asarray(gain).max(axis=(0, 2))
    return best


def _quadrants(tables: Floats) -> tuple[Floats, ...]:
    """Both low, first low, second low, both high; of every cut of tables float64[2, 12, C, 12]."""
    below = tables.cumsum(1).cumsum(3)
    row, column, whole = below[:, :, :, -1:], below[:, -1:], below[:, -1:, :, -1:]
    return below, row - below, column - below, whole - row - column + below


def best_pairs(gains: Floats, count: int) -> list[tuple[int, int]]:
    """The pairs of largest gain, best first, each as (lower, higher) place."""
    first, second = np.triu_indices(len(gains), 1)
    order = np.argsort(-gains[first, second], kind="stable")[:count]
    return [(int(first[i]), int(second[i])) for i in order]


@dataclass(frozen=True, eq=False)
class LeftOver:
    """What a model without pairs leaves over on M rows.

    Attributes:
        bins: uint8[M, C], 0 where absent; one component a node, the one that stands for it in pairs.
        label: int8[M]. weight: float64[M].
        chance: float64[M], what the model says.
    """

    bins: NDArray[np.uint8]
    label: NDArray[np.int8]
    weight: Floats
    chance: Floats

    @classmethod
    def of(cls, tables: Tables, bias: Floats | float, rows: Rows) -> LeftOver:
        """Of a fit without pairs, with its offset for each row, float64[M]."""
        edges = tables.edges
        chance = sigmoid(table_logits(tables.flat(), edges, rows.components) + bias)
        bins = edges.apply(rows.components)[:, edges.layout.stand_in]
        return cls(bins, rows.label, rows.weight, chance)

    @cached_property
    def residual(self) -> Floats:
        """float64[M], weight times label less chance."""
        return self.weight * (self.label - self.chance)

    @cached_property
    def curvature(self) -> Floats:
        """float64[M], weight times ``p (1 - p)``."""
        return self.weight * self.chance * (1 - self.chance)

    def redrawn(self, level: Floats) -> LeftOver:
        """The same rows with labels that follow the model: fraud where its chance is above float64[M]."""
        return replace(self, label=(level < self.chance).astype(np.int8))

    def interactions(self, a: int, b: int, *, ridge: float = 1.0) -> Floats:
        """How much each cut of two components would lower the loss beyond any two additive terms.

        Of the gain of :func:`pair_gains` the part that belongs to the contrast of the four quadrants,
        ``(sum of signed G / H)^2 / (sum of 1 / H)`` with ``H`` plus ridge: what shrinkage leaves of a
        component's own effect lowers the loss in every pair of it, and would rank them all high.

        Returns:
            float64[12, 12]; at [i, j] low is up to bin i + 1 of the first and j + 1 of the second.
        """
        cell = self.bins[:, a].astype(np.intp) * WIDTH + self.bins[:, b]
        weights = (self.residual, self.curvature)
        tables: Floats = np.stack([np.bincount(cell, w, WIDTH * WIDTH).astype(np.float64) for w in weights])
        present = tables.reshape(2, WIDTH, 1, WIDTH)[:, 1:, :, 1:]
        means, spans = [], []
        for g, h in _quadrants(present):
            spans.append(1.0 / (np.maximum(h, 0.0) + ridge))
            means.append(g * spans[-1])
        contrast = means[0] - means[1] - means[2] + means[3]
        return np.asarray(contrast**2 / sum(spans), dtype=np.float64)[:, 0]
