"""Random streams: one per part of a world, so that a change in one part leaves the others alone."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator of its own for the named part under ``seed``."""
    # Not hash(): it is salted anew in every process.
    words = [zlib.crc32(str(name).encode()) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


def sigmoid(x: Floats) -> Floats:
    """Logistic function, clipped so that exp cannot overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -40.0, 40.0))), dtype=np.float64)


def chance(rng: np.random.Generator, p: Floats | float, n: int) -> Bools:
    """N independent yes/no draws with probability ``p``."""
    return np.asarray(rng.random(n) < p, dtype=np.bool_)


def pick(rng: np.random.Generator, weights: Floats | tuple[float, ...] | list[float], n: int) -> Ints:
    """N indexes drawn with the given weights."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    found = np.searchsorted(edges, rng.random(n) * edges[-1], side="right")
    # Rounding can carry the highest draw beyond the last edge.
    return np.asarray(np.minimum(found, len(edges) - 1), dtype=np.int64)


def pick_rows(rng: np.random.Generator, weights: Floats) -> Ints:
    """One index per row of a [N, K] weight matrix."""
    edges = np.cumsum(weights, axis=1)
    draws = rng.random(len(weights)) * edges[:, -1]
    found = (draws[:, None] >= edges).sum(axis=1)
    return np.asarray(np.minimum(found, weights.shape[1] - 1), dtype=np.int64)
