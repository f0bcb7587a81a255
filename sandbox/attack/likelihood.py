"""How well each released group explains a record, and the nearest drawn row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from riskgraph.sandbox.attack.published import GroupTable, Published
from riskgraph.sandbox.attack.records import Records
from riskgraph.sandbox.groups import MEAN_NOISE

_LEAST_SHARE = 0.02
_CHUNK = 256

Floats = NDArray[np.float32]


def variance(groups: GroupTable) -> Floats:
    """float32[G, 259]: spread of a row around a group's noised mean."""
    out: Floats = np.maximum(np.square(groups.sd), np.float32(0.05**2)) + np.float32(MEAN_NOISE**2)
    return out


def log_likelihood(groups: GroupTable, records: Records) -> Floats:
    """float32[N, G]: of normal values and independent presence, by R2 alone."""
    precise = 1 / variance(groups)
    present = records.present.astype(np.float32)
    out = records.z @ (precise * groups.mean).T
    out -= 0.5 * (np.square(records.z) @ precise.T)
    out -= 0.5 * (present @ (precise * np.square(groups.mean) - np.log(precise)).T)
    share = np.clip(groups.presence, _LEAST_SHARE, 1 - _LEAST_SHARE)
    could, there = records.flags
    out += there @ np.log(share / (1 - share)).T + could @ np.log(1 - share).T
    return np.asarray(out, dtype=np.float32)


def fitting(published: Published, records: Records, *, own_class: bool) -> NDArray[np.bool_]:
    """bool[N, G]: groups of a record's stratum, and of its class where that is known."""
    groups = published.groups
    out: NDArray[np.bool_] = records.stratum[:, None] == groups.stratum
    if own_class:
        out &= records.label[:, None] == groups.label
    return out


def masked(values: Floats, allowed: NDArray[np.bool_]) -> Floats:
    """Values of allowed places, elsewhere a number below all of them."""
    # A record whose stratum has no group of its class has nothing to lose: all its places stay equal.
    return np.where(allowed, values, np.float32(-1e9))


def posterior(values: Floats) -> Floats:
    """float32[N, G]: chance of each group from its log likelihood."""
    out: Floats = np.exp(values - values.max(axis=1, keepdims=True))
    out /= out.sum(axis=1, keepdims=True)
    return out


def nearest(
    queries: Floats, candidates: Floats, hidden: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.intp], Floats]:
    """The nearest candidate of each query by Euclidean distance.

    Args:
        queries: float32[N, C].
        candidates: float32[M, C].
        hidden: intp[N], a column that each query does not know; it does not count.

    Returns:
        intp[N], places of the candidates, and float32[N], squared distances.
    """
    columns = np.ascontiguousarray(candidates.T) if hidden is not None else None
    norm = np.square(candidates).sum(axis=1)
    best = np.empty(len(queries), dtype=np.intp)
    distance = np.empty(len(queries), dtype=np.float32)
    for rows in chunks(len(queries)):
        apart = norm - 2 * (queries[rows] @ candidates.T)
        if hidden is not None and columns is not None:
            for line, (query, j) in enumerate(zip(queries[rows], hidden[rows], strict=True)):
                apart[line] -= np.square(columns[j] - query[j])
        best[rows] = apart.argmin(axis=1)
        distance[rows] = apart.min(axis=1) + np.square(queries[rows]).sum(axis=1)
    return best, np.maximum(distance, 0)


def chunks(count: int) -> Iterator[slice]:
    """Runs of rows whose products with all candidates fit into memory."""
    return (slice(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))
