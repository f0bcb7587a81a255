"""Hard bins: how a component becomes a small whole number, in training and in the tables alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.models.layout import MAX_BINS, Layout
from riskgraph.models.layout import WIDTH as WIDTH

COMPONENT_COUNT = len(catalog().components)


@dataclass(frozen=True, eq=False)
class BinEdges:
    """Inner edges of each component; bin 0 is *absent*, bin ``1 + number of edges <= x`` else.

    Attributes:
        inner: One float32 vector per component (259), strictly rising, at most 11 long.
        layout: Of the components, that of the catalogue if left out.

    Raises:
        ValueError: If the number of vectors, their length, order or finiteness is wrong.
    """

    inner: tuple[NDArray[np.float32], ...]
    layout: Layout = field(default_factory=Layout.of_catalog)

    def __post_init__(self) -> None:
        names = self.layout.components
        if len(self.inner) != len(names):
            raise ValueError(f"got edges of {len(self.inner)} components, expected {len(names)}")
        for name, edges in zip(names, self.inner, strict=True):
            if len(edges) >= MAX_BINS:
                raise ValueError(f"{name}: got {len(edges)} inner edges, expected at most {MAX_BINS - 1}")
            if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
                raise ValueError(f"{name}: inner edges must be finite and strictly rising")

    @classmethod
    def of(cls, inner: Sequence[Sequence[float] | NDArray[np.float32]]) -> BinEdges:
        return cls(tuple(np.asarray(edges, dtype=np.float32) for edges in inner))

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """float32[12, 259]: -inf, then the inner edges, then NaN.

        ``matrix <= x`` counts to the bin: a NaN on either side compares false, so an absent value
        lands in bin 0 and unused rows never count.
        """
        out = np.full((MAX_BINS, len(self.inner)), np.nan, dtype=np.float32)
        out[0] = -np.inf
        for column, edges in enumerate(self.inner):
            out[1 : 1 + len(edges), column] = edges
        return out

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """int64[259]: bins in use, absent not counted."""
        return np.array([len(edges) + 1 for edges in self.inner], dtype=np.int64)

    def apply(self, components: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Bins of components float32[N, 259] as uint8[N, 259]."""
        bins = np.zeros(components.shape, dtype=np.uint8)
        for row in self.matrix:
            bins += components >= row
        return bins


def fit_edges(
    components: NDArray[np.float32],
    label: NDArray[np.int8],
    weight: NDArray[np.float64],
    layout: Layout | None = None,
) -> BinEdges:
    """Fit the edges on released rows.

    Numbers are cut at weighted quantiles of the 50/50 mix of both classes, so that rare fraud has
    a say in where the bins lie; class and flag nodes get one bin per word.

    Args:
        components: float32[N, 259], NaN where absent.
        label: int8[N], 1 fraud, 0 honest.
        weight: float64[N], positive row weights.
        layout: Of the components, that of the catalogue if left out.
    """
    layout = layout or Layout.of_catalog()
    mixed = _half_and_half(label, weight)
    inner = [
        _category_edges(words) if words else _quantile_edges(column, mixed)
        for words, column in zip(layout.words.tolist(), components.T, strict=True)
    ]
    return BinEdges(tuple(inner), layout)


def _half_and_half(label: NDArray[np.int8], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    mixed = weight.astype(np.float64)
    for value in (0, 1):
        total = mixed[label == value].sum()
        if total > 0:
            mixed[label == value] *= 0.5 / total
    return mixed


def _category_edges(words: int) -> NDArray[np.float32]:
    # Between the words' numbers: a word must never share a bin, whatever the rows happened to hold.
    return np.arange(0.5, words - 1, dtype=np.float32)


def _quantile_edges(values: NDArray[np.float32], weight: NDArray[np.float64]) -> NDArray[np.float32]:
    """At most 11 edges, each the smallest value of its bin; a value with much weight gets a bin."""
    filled = ~np.isnan(values)
    distinct, place = np.unique(values[filled], return_inverse=True)
    # One value tells nothing but presence; it still gets a bin, so that presence can count.
    if len(distinct) < 2:
        return np.empty(0, dtype=np.float32)
    # Few values, mostly counts: quantiles would merge the rare ones.
    if len(distinct) <= MAX_BINS:
        return _between(distinct, np.arange(1, len(distinct)))
    mass = np.bincount(place, weights=weight[filled], minlength=len(distinct))
    below = np.cumsum(mass) / mass.sum()
    cuts = np.searchsorted(below, np.arange(1, MAX_BINS) / MAX_BINS, side="left") + 1
    # A value with much weight is cut to more than once; the bins that it would leave empty are dropped.
    cuts = np.unique(cuts[cuts < len(distinct)])
    return _between(distinct, cuts)


def _between(distinct: NDArray[np.float32], cuts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Edges half way between neighbours; the upper neighbour where float32 has nothing between."""
    low, high = distinct[cuts - 1], distinct[cuts]
    middle = (low + (high - low) / 2).astype(np.float32)
    return np.unique(np.where((middle > low) & (middle <= high), middle, high))
