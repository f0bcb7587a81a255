"""Which pairs of components are worth a pair term, told by what additive terms leave over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.models.layout import WIDTH

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
    below = tables.cumsum(1).cumsum(3)
    row, column, whole = below[:, :, :, -1:], below[:, -1:], below[:, -1:, :, -1:]
    quadrants = (below, row - below, column - below, whole - row - column + below)
    gain = sum(g**2 / (np.maximum(h, 0.0) + ridge) for g, h in quadrants)
    best: Floats = np.asarray(gain).max(axis=(0, 2))
    return best


def best_pairs(gains: Floats, count: int) -> list[tuple[int, int]]:
    """The pairs of largest gain, best first, each as (lower, higher) place."""
    first, second = np.triu_indices(len(gains), 1)
    order = np.argsort(-gains[first, second], kind="stable")[:count]
    return [(int(first[i]), int(second[i])) for i in order]
