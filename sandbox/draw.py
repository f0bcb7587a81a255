"""Step 7: rows drawn from the released tables alone; then come swaps and raking to R4.

Drawing is post-processing: it tells nothing that the tables do not tell. Both classes are drawn the
same way, so that a model cannot learn the sampler.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.subgraph import State
from riskgraph.sandbox.absence import CAUSES, PARTS
from riskgraph.sandbox.frame import COMPONENT_COUNT
from riskgraph.sandbox.pairs import coarse_codes, pair_ends
from riskgraph.sandbox.shape import Shape
from riskgraph.sandbox.strata import Pattern
from riskgraph.sandbox.tables import Tables

# Honest and fraud. More rows, of less weight each, give swaps room within a group and fill the cells of
# the joint tables (docs/decisions/0020).
DRAWS = (3, 12)
# A large class has cells full enough: it is drawn fewer times, so that memory stays bounded.
DRAWN_MOST = 300_000
_NODE = np.array(catalog().component_node)
_PURPOSES = sorted({n.purpose for n in catalog()})
_PURPOSE = np.array([_PURPOSES.index(n.purpose) for n in catalog()])

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ReleasedRows:
    """Drawn training rows.

    Attributes:
        components: float32[M, 259], NaN where absent. states: uint8[M, 137].
        availability: object[M]. label: int8[M].
        weight: float64[M], sums to the class's raw rows in each class.
        cluster: int32[M], fraud cluster, -1 for honest rows.
    """

    components: Floats
    states: NDArray[np.uint8]
    availability: NDArray[np.object_]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    cluster: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class ClassDraw:
    """Rows of one class before raking.

    Attributes:
        rows: With equal weights.
        group: intp[M]. coarse: 1 + coarse bin of the components that pairs use, 0 where absent,
            ``{component: uint8[M]}``.
        latent: float32[M, 400], standard normals that the rows were made from.
    """

    rows: ReleasedRows
    group: NDArray[np.intp]
    coarse: dict[int, NDArray[np.uint8]]
    latent: Floats


def _quantile(shape: Shape, label: int, u: Floats) -> tuple[Floats, NDArray[np.uint8]]:
    """Values and 1 + bin at the ranks ``u`` in (0, 1) of one class's released marginal."""
    share = shape.share[label]
    top = np.cumsum(share)
    cell = np.minimum(np.searchsorted(top, u * top[-1], side="left"), len(share) - 1)
    inside = np.clip((u * top[-1] - (top - share)[cell]) / np.maximum(share[cell], 1e-12), 1e-6, 1.0)
    value = shape.lower[cell] + inside * (shape.upper - shape.lower)[cell]
    if shape.whole:
        # Up, since a cell of whole numbers lies above its lower edge; the margin forgives float noise.
        value = np.ceil(value - 1e-9)
    return value.astype(np.float32), (shape.bin[cell] + 1).astype(np.uint8)


def _ranks(latent: Floats) -> Floats:
    """Rank of each value, in (0, 1)."""
    out = np.empty(len(latent), dtype=np.float32)
    # Ranks among the drawn rows: the released marginal is then met exactly, not only on average.
    out[np.argsort(latent)] = (np.arange(len(latent), dtype=np.float32) + 0.5) / max(1, len(latent))
    return out


def _latent(correlation: Floats, count: int, rng: np.random.Generator) -> Floats:
    """float32[400, count] of correlated standard normals."""
    factor = np.linalg.cholesky(correlation.astype(np.float64)).astype(np.float32)
    out: Floats = factor @ rng.standard_normal((len(factor), count), dtype=np.float32)
    return out


def _states(
    tables: Tables, label: int, group: NDArray[np.intp], there: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """uint8[137, M]: present where the flag says so, else a drawn cause.

    One random number per row and consent purpose picks the cause, since one refusal takes all
    nodes of its purpose.
    """
    pick = rng.random((len(_PURPOSES), len(group)), dtype=np.float32)
    stratum = tables.groups.stratum[group]
    total = np.cumsum(tables.absence.cause[label], axis=1)
    out = np.empty((NODE_COUNT, len(group)), dtype=np.uint8)
    words = np.array([*CAUSES, State.NOT_DELIVERED], dtype=np.uint8)
    for node in range(NODE_COUNT):
        limits = total[stratum, :, node]
        cause = (pick[_PURPOSE[node]][:, None] >= limits).sum(axis=1)
        out[node] = np.where(there[node], State.PRESENT, words[cause])
    return out


def _flags(tables: Tables, group: NDArray[np.intp], latent: Floats) -> NDArray[np.bool_]:
    """bool[141, M]: a flag is set with its group's share, and more often the higher its latent is."""
    # A share of 0 or 1 gives an infinite cut, which is what is meant: never, or always.
    with np.errstate(divide="ignore"):
        cut = ndtri(tables.groups.presence).astype(np.float32)
    return np.stack([latent[i] > -cut[group, i] for i in range(len(latent))])


def _missing_parts(
    tables: Tables, label: int, flags: NDArray[np.bool_], states: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """bool[259, M]: components to leave out, absent nodes and undelivered parts of context nodes."""
    gone: NDArray[np.bool_] = (states != State.PRESENT)[_NODE]
    flag_of = {node: (i, j) for i, (node, j) in enumerate(PARTS, start=NODE_COUNT)}
    for node, (patterns, share) in tables.absence.parts.items():
        place = catalog().component_slices[node]
        bits = np.arange(place.stop - place.start)[:, None]
        mask = np.zeros(states.shape[1], dtype=np.int64)
        flag, part = flag_of.get(node, (0, place.start))
        has = (patterns >> (part - place.start)) & 1 == 1
        for wanted in (False, True):
            mine = flags[flag] == wanted if node in flag_of else np.full(len(mask), wanted)
            told = share[label] > 0
            fitting = told & (has == wanted) if node in flag_of else told
            # where no pattern that is told fits the flag, the pattern is what was seen
            kept = np.flatnonzero(fitting if fitting.any() else told)
            weight = share[label][kept]
            mask[mine] = rng.choice(patterns[kept], size=int(mine.sum()), p=weight / weight.sum())
        gone[place] |= (mask >> bits) & 1 == 0
    return gone


def draw_class(tables: Tables, label: int, rng: np.random.Generator) -> ClassDraw:
    """Rows of one class: honest three times, fraud twelve, with equal weights that restore its size."""
    chosen = np.flatnonzero(tables.groups.label == label)
    size = tables.groups.rows[chosen]
    times = int(np.clip(DRAWN_MOST // size.sum(), 1, DRAWS[label]))
    group = np.repeat(chosen, size * times)
    # Values and flags from one draw: whether a node is there depends on the values (ADR 0008).
    latent = _latent(tables.correlation, len(group), rng)
    flags = _flags(tables, group, latent[COMPONENT_COUNT:])
    states = _states(tables, label, group, flags, rng)
    kept = np.ascontiguousarray(latent.T)
    values = latent[:COMPONENT_COUNT]
    gone = _missing_parts(tables, label, flags, states, rng)
    ends = set(pair_ends().ravel().tolist())
    coarse = {}
    for j, shape in enumerate(tables.shapes):
        values[j] = tables.groups.mean[group, j] + tables.groups.sd[group, j] * values[j]
        there = ~gone[j]
        drawn, place = _quantile(shape, label, _ranks(values[j, there]))
        values[j] = np.nan
        values[j, there] = drawn
        if j in ends:
            coarse[j] = np.zeros(len(group), dtype=np.uint8)
            coarse[j][there] = coarse_codes(tables.scales[j], place)
    names = {int(s): Pattern.of(int(s)).availability for s in np.unique(tables.groups.stratum)}
    rows = ReleasedRows(
        components=np.ascontiguousarray(values.T),
        states=np.ascontiguousarray(states.T),
        availability=np.array([names[int(s)] for s in tables.groups.stratum[group]], dtype=object),
        label=np.full(len(group), label, dtype=np.int8),
        weight=np.full(len(group), 1.0 / times),
        cluster=tables.cluster[group],
    )
    return ClassDraw(rows, group, coarse, kept)


def join(parts: tuple[ReleasedRows, ReleasedRows], rng: np.random.Generator) -> ReleasedRows:
    """Both classes in random order: rows of one group must not lie together."""
    order = rng.permutation(sum(len(p) for p in parts))
    columns = {
        name: np.concatenate([getattr(p, name) for p in parts])[order]
        for name in ReleasedRows.__dataclass_fields__
    }
    return ReleasedRows(**columns)
