"""Raw or drawn records on the scale of a release: what an attacker compares with it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.subgraph import State
from riskgraph.sandbox.absence import PARTS
from riskgraph.sandbox.attack.published import Published
from riskgraph.sandbox.frame import COMPONENT_COUNT
from riskgraph.sandbox.shape import Shape
from riskgraph.sandbox.strata import COUNT, Pattern, patterns, suppress

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Raw:
    """N records as their owner knows them.

    Attributes:
        components: float32[N, 259], NaN where absent. states: uint8[N, 137].
        availability: object[N]. label: int8[N].
        unit, component: int64[N], persons and components.
    """

    components: Floats
    states: NDArray[np.uint8]
    availability: NDArray[np.object_]
    label: NDArray[np.int8]
    unit: NDArray[np.int64]
    component: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Raw:
        return Raw(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Records:
    """N records on the scale of one release.

    Attributes:
        raw: Their values, without the blocks that their stratum lost.
        stratum: int16[N], released pattern code.
        code: uint8[N, 259], 0 where absent, else 1 + bin. z: float32[N, 259], latent, 0 where absent.
        place: float32[N, 259], rank on the released marginal, 0 to 1; -1 where absent.
    """

    raw: Raw
    stratum: NDArray[np.int16]
    code: NDArray[np.uint8]
    z: Floats
    place: Floats

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def label(self) -> NDArray[np.int8]:
        return self.raw.label

    @property
    def unit(self) -> NDArray[np.int64]:
        return self.raw.unit

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """bool[N, 259]."""
        out: NDArray[np.bool_] = self.code > 0
        return out

    @cached_property
    def flags(self) -> tuple[Floats, Floats]:
        """Whether each node or part could be there and whether it is: float32[N, 141] both."""
        nodes = (self.raw.states == State.PRESENT).astype(np.float32)
        could = [np.ones_like(nodes), *(nodes[:, [node]] for node, _ in PARTS)]
        there = [nodes, *(self.present[:, [j]] & (nodes[:, [n]] > 0) for n, j in PARTS)]
        return np.hstack(could), np.hstack(there).astype(np.float32)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Records:
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "raw"}
        return Records(raw=self.raw.take(rows), **columns)

    def join(self, other: Records) -> Records:
        """These records, then those."""
        columns = {f.name: _stack(self, other, f.name) for f in fields(self) if f.name != "raw"}
        raw = Raw(**{f.name: _stack(self.raw, other.raw, f.name) for f in fields(Raw)})
        return Records(raw=raw, **columns)


def _stack(first: object, second: object, name: str) -> Any:
    return np.concatenate([getattr(first, name), getattr(second, name)])


def encode(published: Published, raw: Raw) -> Records:
    """Put records on the released scale, as anybody can who has the release."""
    before = patterns(raw.states, raw.availability)
    stratum = _released_strata(published)[before]
    values, states = raw.components.copy(), raw.states.copy()
    suppress(values, states, before, stratum)
    code = np.empty(values.shape, dtype=np.uint8)
    z, place = np.empty_like(values), np.empty_like(values)
    for j, (scale, shape) in enumerate(zip(published.scales, published.shapes, strict=True)):
        column = np.ascontiguousarray(values[:, j])
        code[:, j] = scale.code(column)
        z[:, j] = scale.latent(code[:, j])
        place[:, j] = _ranks(shape, column)
    kept = Raw(values, states, raw.availability, raw.label, raw.unit, raw.component)
    return Records(kept, stratum, code, z, place)


def centroid_places(published: Published) -> Floats:
    """float32[G, 259]: R1's centroids as ranks on the released marginals; -1 where absent."""
    columns = zip(published.shapes, published.groups.centroid.T, strict=True)
    return np.column_stack([_ranks(shape, column) for shape, column in columns])


def _released_strata(published: Published) -> NDArray[np.int16]:
    """int16[24]: each pattern, or what is left of it when it loses blocks until it was released."""
    released = set(published.groups.stratum.tolist())
    out = np.empty(COUNT, dtype=np.int16)
    for code in range(COUNT):
        pattern = Pattern.of(code)
        while pattern.code not in released and (smaller := pattern.smaller()):
            pattern = smaller
        out[code] = pattern.code
    return out


def _ranks(shape: Shape, values: Floats) -> Floats:
    """Rank of each value on the mean of both classes' released marginals; -1 where absent."""
    share = shape.share.sum(axis=0)
    top = np.cumsum(share) / max(float(share.sum()), 1e-12)
    # A cell of one value has no inside: its two ends are a hair apart, so that ranks rise with values.
    x = np.column_stack([shape.lower, np.maximum(shape.upper, shape.lower + 1e-9)]).ravel()
    y = np.column_stack([top - share / max(float(share.sum()), 1e-12), top]).ravel()
    order = np.argsort(x, kind="stable")
    ranks = np.interp(values.astype(np.float64), x[order], np.maximum.accumulate(y[order]))
    return np.where(np.isnan(values), -1.0, ranks).astype(np.float32)


def nodes_of(components: NDArray[np.intp]) -> NDArray[np.intp]:
    """Node of each component."""
    return np.array(catalog().component_node, dtype=np.intp)[components]


FLAGS = NODE_COUNT + len(PARTS)
WIDTH = COMPONENT_COUNT
