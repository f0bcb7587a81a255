"""R3: class marginals on bins, the shape inside a bin, and the correlation of honest residuals.

Every cell stands for at least k units. Inside a bin both classes take the honest shape. The
correlation is pooled over honest residuals only: a fraud-class correlation gives fraud persons away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.bounds import category_components, component_bounds, whole_components
from riskgraph.sandbox.absence import FLAG_COUNT, PARTS
from riskgraph.sandbox.bins import CODES, NOISE_SD, Binned, Scale, Support, distinct_rows, round_up
from riskgraph.sandbox.frame import COMPONENT_COUNT, Frame
from riskgraph.sandbox.partition import orders_cap

MAX_CELLS = 4
SHRINK = 0.03
_SAMPLE = 20_000
_CHUNK = 4096

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """Released cells of one component, in rising order of value.

    Attributes:
        lower, upper: float64[C]; a cell covers ``(lower, upper]``, or one value when they agree.
        bin: int8[C], the bin that the cell lies in.
        share: float64[2, C], share of each class's present rows; sums to 1 (or 0 where none is).
        whole: Whether the component takes whole numbers only.
    """

    lower: Doubles
    upper: Doubles
    bin: NDArray[np.int8]
    share: Doubles
    whole: bool


class _Cells(NamedTuple):
    """Cells of one component, as arrays: the bin that each lies in, its ends, and its weight."""

    bin: Ints
    lower: Doubles
    upper: Doubles
    weight: Doubles


@dataclass(frozen=True)
class _Sorted:
    """One component of each honest unit's first row.

    Attributes:
        values: float64[n], sorted, without absent ones, so that a cell's size is in units.
        cuts: int64[B + 1]; bin ``b`` holds ``values[cuts[b]:cuts[b + 1]]``.
        under, over: float64[B], edges of the bins; NaN where one is open.
    """

    values: Doubles
    cuts: Ints
    under: Doubles
    over: Doubles


def _sorted(values: Floats, edges: Floats) -> _Sorted:
    values = np.sort(values)
    values = values[: np.searchsorted(values, np.nan)]
    cuts = np.concatenate([[0], np.searchsorted(values, edges, side="right"), [len(values)]])
    ends = np.concatenate([[np.nan], edges, [np.nan]])
    return _Sorted(values.astype(np.float64), cuts, ends[:-1], ends[1:])


def _runs(honest: _Sorted, bins: Ints, k: int, rng: np.random.Generator) -> _Cells:
    """Cells of bins of numbers: up to four runs of at least ``k`` units each."""
    start, size = honest.cuts[bins], np.diff(honest.cuts)[bins]
    parts = np.clip(size // k, 1, MAX_CELLS)
    owner = np.repeat(np.arange(len(bins)), parts)
    turn = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
    first, stop = (start[owner] + size[owner] * t // parts[owner] for t in (turn, turn + 1))
    lowest, highest = honest.values[first], honest.values[stop - 1]
    runs = np.column_stack([first, stop]).ravel()
    mean, spread = (
        np.add.reduceat(np.append(honest.values**power, 0.0), runs)[::2] / (stop - first) for power in (1, 2)
    )
    mean, spread = _noised(mean, np.sqrt(np.maximum(spread - mean**2, 0.0)), stop - first, rng)
    # the outer end of an open bin would be one person's value: mirror the other end instead
    lower = np.where(turn > 0, round_up(lowest), honest.under[bins][owner])
    upper = np.where(turn < parts[owner] - 1, round_up(highest), honest.over[bins][owner])
    for i in np.flatnonzero(np.isnan(lower) & np.isnan(upper)):
        lower[i], upper[i] = mean[i] - 2 * spread[i], mean[i] + 2 * spread[i]
    lower, upper = (
        np.where(np.isnan(lower), 2 * mean - upper, lower),
        np.where(np.isnan(upper), 2 * mean - lower, upper),
    )
    single = lowest == highest
    lower = np.where(single, lowest, np.minimum(lower, mean))
    upper = np.where(single, lowest, np.maximum(upper, mean))
    # runs of a bin are as large as one another; by one unit more or less their sum would be told
    return _Cells(bins[owner], lower, upper, np.ones(len(owner)))


def _noised(mean: Doubles, spread: Doubles, size: Ints, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Means and spreads of so many units, moved by what ``NOISE_SD`` of them would move."""
    noise = rng.normal(0, NOISE_SD, (2, len(mean))) * spread / size
    return mean + noise[0], np.abs(spread + noise[1])


def _categories(honest: _Sorted, bins: Ints, k: int, rng: np.random.Generator) -> _Cells:
    """Cells of bins of classes: the words that k units show, with noise on how many do."""
    words, sizes = np.unique(honest.values, return_counts=True)
    place = np.searchsorted(honest.over[:-1], words)
    kept = np.isin(place, bins) & (sizes >= k)
    weight = np.maximum(sizes[kept] + rng.normal(0, NOISE_SD, int(kept.sum())), 1.0)
    return _Cells(place[kept], words[kept], words[kept], weight)


class Moments(Protocol):
    """Told by all honest rows that have a component in a bin."""

    def mean_sd(self, component: int, bin: int) -> tuple[float, float]:
        """Mean and standard deviation."""


@dataclass(frozen=True)
class RowMoments:
    """Moments by the rows themselves."""

    frame: Frame
    binned: Binned

    def _values(self, component: int, bin: int) -> Doubles:
        rows = self.frame.rows_of(0)
        inside = self.binned.codes[component, rows] == bin + 1
        out: Doubles = self.frame.values[component, rows][inside].astype(np.float64)
        return out

    def mean_sd(self, component: int, bin: int) -> tuple[float, float]:
        values = self._values(component, bin)
        return float(values.mean()), float(values.std())


def _ends(
    everyone: Moments,
    support: Support,
    j: int,
    b: int,
    inner: tuple[float, float],
    k: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The one cell of a bin of which too few honest units tell more; ``inner`` are its public edges.

    A class is then its first word, whoever shows it; a number lies about the mean of k units, else anywhere.
    """
    under, over = (float(v) for v in np.where(np.isnan(inner), np.array(component_bounds())[:, j], inner))
    if category_components()[j]:
        return (under if np.isnan(inner[0]) else under + 1.0,) * 2
    if support.units[0, b] < k:
        return under, over
    exact = np.array(everyone.mean_sd(j, b))[:, None]
    (mean,), (spread,) = _noised(exact[0], exact[1], support.units[:1, b], rng)
    return max(under, float(mean - spread)), min(over, float(mean + spread))


def _component(
    everyone: Moments, support: Support, j: int, honest: _Sorted, k: int, rng: np.random.Generator
) -> _Cells:
    """Cells of component ``j`` in order of their bins, from honest rows; weights sum to 1 in each bin."""
    full = np.flatnonzero(np.diff(honest.cuts) >= k)
    if category_components()[j]:
        found = [_categories(honest, full, k, rng)]
    else:
        found = [_runs(honest, full, k, rng)]
    for b in np.setdiff1d(np.arange(len(honest.under)), found[0].bin).tolist():
        ends = _ends(everyone, support, j, b, (honest.under[b], honest.over[b]), k, rng)
        found.append(_Cells(*(np.array([x]) for x in (b, *ends, 1.0))))
    cells = _Cells(*(np.concatenate(part) for part in zip(*found, strict=True)))
    order = np.argsort(cells.bin, kind="stable")
    weight = cells.weight / np.bincount(cells.bin, weights=cells.weight)[cells.bin]
    return _Cells(cells.bin[order], cells.lower[order], cells.upper[order], weight[order])


def fit_shapes(
    first: Iterable[Floats],
    scales: Sequence[Scale],
    supports: Sequence[Support],
    everyone: Moments,
    k: int,
    rng: np.random.Generator,
) -> tuple[Shape, ...]:
    """Shapes of all 259 components; counts of bins carry the noise that their ``z`` carries.

    Exact shares would be fractions with one denominator, the rows that have the component: it could be
    guessed from them, and the class less it is an exact count of rows that lack it. So would exact means.

    Args:
        first: For each component its values in one row of each honest unit, or of a sample of them.
        scales: The bins.
        supports: What stands behind each bin.
        everyone: Asked about bins that too few of the first rows are in.
        k: Least number of units in a cell.
        rng: Source of the noise.
    """
    shapes = []
    for j, (values, scale, support) in enumerate(zip(first, scales, supports, strict=True)):
        low, high = (float(b[j]) for b in component_bounds())
        cells = _component(everyone, support, j, _sorted(values, scale.edges), k, rng)
        share = np.where(support.rows.sum(axis=1, keepdims=True) > 0, support.rows, 1.0)
        share /= share.sum(axis=1, keepdims=True)
        shapes.append(
            Shape(
                lower=np.clip(cells.lower, low, high),
                upper=np.clip(cells.upper, low, high),
                bin=cells.bin.astype(np.int8),
                share=share[:, cells.bin] * cells.weight,
                whole=bool(whole_components()[j]),
            )
        )
    return tuple(shapes)


def sample_honest(rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Of honest rows those that the correlation is taken from, sorted."""
    out: NDArray[np.intp] = np.sort(rng.choice(rows, min(_SAMPLE, len(rows)), replace=False))
    return out


def levels_of(frame: Frame, binned: Binned, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """uint8[400, n]: bins of the 259 components and the presence flags of some rows, 0 where not seen."""
    return np.concatenate([binned.codes.take(rows, axis=1), _flags(frame, binned, rows)])


@dataclass(frozen=True)
class Seen:
    """A sample of honest rows, those of a unit side by side.

    Attributes:
        levels: uint8[400, n], see :func:`levels_of`. group: int32[n]. unit: int64[n].
    """

    levels: NDArray[np.uint8]
    group: NDArray[np.int32]
    unit: Ints


def honest_correlation(
    seen: Seen, scales: Sequence[Scale], moments: tuple[Floats, Floats, Floats], k: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Correlation of honest residuals within groups, over 259 values and 141 presence flags.

    Args:
        seen: The rows that it is taken from.
        scales: The bins.
        moments: Exact mean and sd, float32[G, 259], and presence shares, float32[G, 141].
        k: Pairs that fewer than k units show together count as uncorrelated.

    Returns:
        float32[400, 400]: pairwise present, eigenvalues clipped, shrunk 3 % to identity; and bool[259, 259],
        the components of which k units show both.
    """
    matrix, few = _pairwise(seen, _residuals(scales, moments), k)
    return _positive(matrix), ~few[:COMPONENT_COUNT, :COMPONENT_COUNT]


def _flags(frame: Frame, binned: Binned, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """uint8[141, n]: presence of the nodes, then of parts: 0 where it cannot be, 1 where not, 2 where so."""
    nodes = frame.present.take(rows, axis=1).view(np.uint8)
    parts = [nodes[node] + (binned.codes[j].take(rows) > 0) for node, j in PARTS]
    return np.vstack([nodes + np.uint8(1), *parts])


def _residuals(scales: Sequence[Scale], moments: tuple[Floats, Floats, Floats]) -> Floats:
    """float32[400, G, 16]: how many sds a row of a group lies off its group at each level, 0 at none."""
    mean, sd, share = moments
    out = np.zeros((COMPONENT_COUNT + FLAG_COUNT, len(mean), CODES), dtype=np.float32)
    for j, scale in enumerate(scales):
        out[j, :, 1 : len(scale.z) + 1] = (scale.z - mean[:, j, None]) / np.maximum(sd[:, j, None], 0.05)
    spread = np.sqrt(np.maximum(share * (1 - share), 1e-4))
    for level in (0, 1):
        out[COMPONENT_COUNT:, :, 1 + level] = ((level - share) / spread).T
    return np.clip(out, -4, 4, out=out)


def _pairwise(rows: Seen, residuals: Floats, k: int) -> tuple[Doubles, NDArray[np.bool_]]:
    """Correlations over the rows in which both columns are seen, and which of them too few units show.

    Args:
        rows: A sample; levels are 0 where a column is not seen.
        residuals: float32[400, G, 16], by group and level.
        k: Pairs that fewer units show together count as uncorrelated.
    """
    levels, group = rows.levels, rows.group
    distinct, place = distinct_rows(levels > 0)
    seen = distinct.astype(np.float32)
    cross, squares = np.zeros((len(levels), len(levels))), np.zeros((len(levels), len(seen)))
    # float32 products of a chunk that fits the cache, summed in float64
    for start in range(0, len(group), _CHUNK):
        part = slice(start, start + _CHUNK)
        at = group[part].astype(np.intp) * CODES
        left = np.stack([t.take(at + v) for t, v in zip(residuals, levels[:, part], strict=True)])
        cross += left @ left.T
        squares += np.square(left, out=left) @ seen[:, part].T
    squares = squares[:, place]
    out: Doubles = cross / np.sqrt(np.maximum(squares * squares.T, 1e-9))
    few = _few_together(distinct, distinct, rows.unit, k)[np.ix_(place, place)]
    few |= _few_on_a_side(rows, residuals, k)
    out[few] = 0.0
    # a flag is a cut latent variable: sin(pi/2 phi) is exact for two median cuts, 1.25 is sqrt(pi/2)
    flags = slice(COMPONENT_COUNT, None)
    out[flags, flags] = np.sin(np.pi / 2 * np.clip(out[flags, flags], -1, 1))
    out[flags, :COMPONENT_COUNT] *= 1.25
    out[:COMPONENT_COUNT, flags] *= 1.25
    return np.clip(out, -1, 1), few


def _few_together(left: NDArray[np.bool_], right: NDArray[np.bool_], unit: Ints, k: int) -> NDArray[np.bool_]:
    """bool[L, R]: whether under k units have a row in which a column of bool[L, n] and one of bool[R, n] are.

    Args:
        left: Columns.
        right: Columns.
        unit: int64[n], rising.
        k: Least number of units.
    """
    rows = left.astype(np.float32) @ right.T.astype(np.float32)
    few: NDArray[np.bool_] = rows < k
    # so many rows are of k units at least; where there are fewer, the units are counted
    for first, second in np.argwhere((rows >= k) & (rows < k * orders_cap(k))).tolist():
        mine = unit[np.flatnonzero(left[first] & right[second])]
        few[first, second] = 1 + np.count_nonzero(np.diff(mine)) < k
    return few


def _few_on_a_side(rows: Seen, residuals: Floats, k: int) -> NDArray[np.bool_]:
    """bool[400, 400]: whether under k units lie on a side of a flag where another column moves.

    A flag is seen in every row, but where all rows of a group have it alike they add nothing. Those that do
    may be one person, and the correlations are then his values.
    """
    flags = np.arange(COMPONENT_COUNT, len(rows.levels))
    moves = residuals[flags].reshape(len(flags), -1, CODES) != 0
    shown = rows.levels[flags]
    moved = np.stack([move[rows.group, level] for move, level in zip(moves, shown, strict=True)])
    sides, side = distinct_rows(np.concatenate([moved & (shown == 2), moved & (shown == 1)]))
    columns, column = distinct_rows(np.concatenate([rows.levels[:COMPONENT_COUNT] > 0, moved]))
    few = _few_together(sides, columns, rows.unit, k)[np.ix_(side, column)]
    on, off = few[: len(flags)], few[len(flags) :]
    out = np.zeros((len(rows.levels), len(rows.levels)), dtype=np.bool_)
    out[flags] |= on | off
    out[:, flags] |= (on | off).T
    return out


def _positive(matrix: Doubles) -> Floats:
    """Nearest usable correlation matrix: clip eigenvalues, rescale, shrink."""
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 1e-3)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    matrix = (1 - SHRINK) * matrix / np.outer(scale, scale)
    np.fill_diagonal(matrix, 1.0)
    return matrix.astype(np.float32)
