"""Hard bins: how a component becomes a small whole number, in training and in the tables alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from riskgraph.models.layout import MAX_BINS, Layout
from riskgraph.models.layout import WIDTH as WIDTH
from riskgraph.models.rows import COLUMNS, BinnedRows, ListedRows, Rows
from riskgraph.models.rows import COMPONENT_COUNT as COMPONENT_COUNT


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
        return _matrix(self.inner)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """int64[259]: bins in use, absent not counted."""
        return np.array([len(edges) + 1 for edges in self.inner], dtype=np.int64)

    def apply(self, components: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Bins of components float32[N, 259] as uint8[N, 259]."""
        return _bins(components, self.matrix)

    def of_rows(self, components: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bins uint8[N, 259] of components float32[N, 259], or of rows that are in bins already."""
        if components.dtype == np.uint8:
            return cast("NDArray[np.uint8]", components)
        return self.apply(cast("NDArray[np.float32]", components))


def _matrix(inner: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    out = np.full((MAX_BINS, len(inner)), np.nan, dtype=np.float32)
    out[0] = -np.inf
    for column, edges in enumerate(inner):
        out[1 : 1 + len(edges), column] = edges
    return out


def _bins(components: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.uint8]:
    bins = np.zeros(components.shape, dtype=np.uint8)
    for row in matrix:
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
    return BinEdges(tuple(_inner(components, layout.words, _half_and_half(label, weight))), layout)


def edges_of(rows: Rows | BinnedRows, edges: BinEdges | None = None) -> BinEdges:
    """The given edges, else those of the catalogue's components fitted on the rows.

    Raises:
        TypeError: If the rows are in bins already and no edges are given.
    """
    if edges is not None:
        return edges
    if not isinstance(rows, Rows):
        raise TypeError("rows in bins come with the edges of these bins")
    return fit_edges(rows.components, rows.label, rows.weight)


def read_binned(
    train: ListedRows, others: Sequence[ListedRows], layout: Layout | None = None
) -> tuple[BinEdges, list[BinnedRows]]:
    """Fit the edges as :func:`fit_edges` does, and read all rows in bins.

    Values are read ``COLUMNS`` components at a time, of all rows: so edges are exact quantiles, and what is
    in memory is 259 bytes a row, and about 150 while it is read, instead of 1.2 kB.

    Args:
        train: Rows to fit the edges on.
        others: Further rows of the same sources.
        layout: Of the components, that of the catalogue if left out.

    Returns:
        The edges, and the rows in bins, ``train`` first.
    """
    layout = layout or Layout.of_catalog()
    mixed = _half_and_half(train.label, train.weight)
    inner: list[NDArray[np.float32]] = []
    bins = [np.empty((len(rows), len(layout.components)), dtype=np.uint8) for rows in (train, *others)]
    for first in range(0, len(layout.components), COLUMNS):
        part = slice(first, first + COLUMNS)
        inner += _inner(train.columns(part), layout.words[part], mixed)
        matrix = _matrix(inner[part])
        for rows, out in zip((train, *others), bins, strict=True):
            out[:, part] = _bins(rows.columns(part), matrix)
    read = [
        BinnedRows(out, rows.availability, rows.label, rows.weight, rows.cluster)
        for rows, out in zip((train, *others), bins, strict=True)
    ]
    return BinEdges(tuple(inner), layout), read


def _inner(
    components: NDArray[np.float32], words: NDArray[np.int64], mixed: NDArray[np.float64]
) -> list[NDArray[np.float32]]:
    return [
        _category_edges(count) if count else _quantile_edges(column, mixed)
        for count, column in zip(words.tolist(), components.T, strict=True)
    ]


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
