"""Step 1 of the release: common bins for both classes, each with at least k units of either.

Edges are quantiles of the 50/50 mix of the classes, so that the tail where fraud lives is resolved;
neighbours are merged until both classes have k units in every bin. ``z`` is the standardised normal
score of a bin's mid-rank under the mix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from riskgraph.core.bounds import category_components, component_bounds
from riskgraph.sandbox.frame import COMPONENT_COUNT, Frame, code_masks
from riskgraph.sandbox.tally import Tally

MAX_BINS = 11
COARSE_BINS = 4
NOISE_SD = 5.0
CODES = 16
_SAMPLE = 6000
_COLUMNS = 37
_MASKS = 1 << CODES

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scale:
    """Bins of one component. Bin ``i`` of B is ``(edges[i-1], edges[i]]``, open at both ends.

    Attributes:
        edges: float32[B-1].
        z: float32[B], latent value of each bin.
        coarse: int8[B], coarse bin (at most 4) of each bin.
    """

    edges: Floats
    z: Floats
    coarse: NDArray[np.int8]

    def code(self, values: Floats) -> Codes:
        """uint8, 0 where absent, else 1 + bin."""
        codes = (~np.isnan(values)).view(np.uint8).copy()
        for edge in self.edges:
            # with a dozen edges, comparing with each is many times faster than a binary search
            codes += (values > edge).view(np.uint8)
        return codes

    def latent(self, codes: Codes) -> Floats:
        """float32: z of each code, 0 where absent."""
        out: Floats = np.append(np.float32(0), self.z).take(codes, mode="clip")
        return out


@dataclass(frozen=True)
class Support:
    """What stands behind one component, honest orders first.

    Attributes:
        rows: float64[2, B], rows of each class in each bin, with noise of ``NOISE_SD``: all that is told of
            a component follows from these. A class of which under k units have it takes the other's.
        units: int64[2, B], units.
        holders: int64[2], units of each class that have the component at all.
    """

    rows: NDArray[np.float64]
    units: Ints
    holders: Ints


@dataclass(frozen=True)
class Binned:
    """All components on bins: ``scales`` and ``support`` (259 each) and codes uint8[259, N]."""

    scales: tuple[Scale, ...]
    support: tuple[Support, ...]
    codes: Codes

    def blocks(self) -> Iterator[slice]:
        """All components in runs that are small enough for the cache."""
        return (slice(j, j + _COLUMNS) for j in range(0, COMPONENT_COUNT, _COLUMNS))

    def latent(self, columns: slice) -> Floats:
        """float32[C, N]: z of some components, 0 where absent."""
        pairs = zip(self.scales[columns], self.codes[columns], strict=True)
        return np.stack([scale.latent(codes) for scale, codes in pairs])

    @cached_property
    def presence(self) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """bool[D, N], the different patterns of presence, and intp[259], which one each component has."""
        return distinct_rows(self.codes > 0)


def round_up(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """To three significant digits, away from minus infinity: an edge must not be one order's value."""
    size = np.where(values == 0, 1.0, np.abs(values))
    step = 10.0 ** (np.floor(np.log10(size)) - 2)
    out: NDArray[np.float64] = np.where(values == 0, 0.0, np.ceil(values / step - 1e-6) * step)
    return out


def distinct_rows(flags: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """The different rows of bool[R, N], and for each row which one it is."""
    found: dict[bytes, int] = {}
    place = np.array([found.setdefault(row.tobytes(), len(found)) for row in np.packbits(flags, axis=1)])
    return flags[np.unique(place, return_index=True)[1]], place


def _edges(clean: Floats, fraud: Floats, low: float, high: float, category: bool) -> Floats:
    """Inner edges from a sample of each class, without NaN."""
    if category:
        words: Floats = np.arange(low, high, dtype=np.float32)
        return words
    if not len(clean) + len(fraud):
        return np.empty(0, dtype=np.float32)
    # fraud a hair above its value: a plain sort, far faster than an argsort, then keeps the classes apart
    marked = np.sort(np.concatenate([clean, np.nextafter(fraud.astype(np.float64), np.inf)]))
    both = marked.astype(np.float32)
    rank = np.cumsum(np.where(marked == both, 0.5 / max(1, len(clean)), 0.5 / max(1, len(fraud))))
    wanted = rank[-1] * np.arange(1, MAX_BINS) / MAX_BINS
    cuts: Floats = both[np.minimum(np.searchsorted(rank, wanted), len(both) - 1)]
    edges: Floats = np.unique(round_up(cuts.astype(np.float64)).astype(np.float32))
    inner: Floats = edges[edges < both[-1]]
    return inner


def _merge(masks: Sequence[Tally], count: int, k: int) -> tuple[list[list[int]], Ints]:
    """Merge neighbouring bins until both classes have ``k`` units in each.

    Args:
        masks: Units of each class by mask, in which bit ``1 + bin`` is set for a value in that bin.
        count: Bins to start with.
        k: Least number of units.

    Returns:
        The bins that each merged bin is made of, and int64[2, B], units of each class in it.
    """
    bins = [[b] for b in range(count)]

    def support(members: list[int]) -> tuple[int, int]:
        bits = sum(2 << b for b in members)
        clean, fraud = (int(kinds.number[(kinds.key & bits) != 0].sum()) for kinds in masks)
        return clean, fraud

    units = [support(b) for b in bins]
    sizes = [min(u) for u in units]
    while len(bins) > 1 and min(sizes) < k:
        i = sizes.index(min(sizes))
        beside = [j for j in (i - 1, i + 1) if 0 <= j < len(bins)]
        j = min(beside, key=lambda n: sizes[n])
        low = min(i, j)
        bins[low : low + 2] = [bins[low] + bins[low + 1]]
        units[low : low + 2] = [support(bins[low])]
        sizes[low : low + 2] = [min(units[low])]
    return bins, np.array(units).T


def _mix(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[bins]: share of each bin in the 50/50 mix of both classes' present rows, float64[2, bins]."""
    shares = [part / part.sum() for part in rows if part.any()]
    return np.mean(shares, axis=0) if shares else np.full(rows.shape[1], 1.0 / rows.shape[1])


def _scores(mix: NDArray[np.float64]) -> Floats:
    z = ndtri(np.clip(np.cumsum(mix) - mix / 2, 1e-4, 1 - 1e-4))
    z = z - (mix * z).sum()
    spread = np.sqrt((mix * z * z).sum())
    out: Floats = (z / spread if spread > 0 else z).astype(np.float32)
    return out


def coarse_bins(mix: NDArray[np.float64]) -> NDArray[np.int8]:
    """int8[bins]: at most 4 runs of neighbouring bins with the smallest sum of squared shares."""
    count = len(mix)
    if count <= COARSE_BINS:
        return np.arange(count, dtype=np.int8)
    total = np.concatenate([[0.0], np.cumsum(mix)])
    cuts = np.array(list(combinations(range(1, count), COARSE_BINS - 1)))
    ends = np.hstack([np.zeros((len(cuts), 1), int), cuts, np.full((len(cuts), 1), count)])
    best = cuts[int(np.argmin((np.diff(total[ends], axis=1) ** 2).sum(axis=1)))]
    return np.searchsorted(best, np.arange(count), side="right").astype(np.int8)


@dataclass(frozen=True)
class FineTally:
    """What the bins are merged by; those of chunks add up, if no unit of a class lies in two.

    Attributes:
        rows: int64[259, 2, 16], rows of each class with each code.
        masks: Units by ``(2 component + class) << 16 | mask``, a mask of the codes that a unit shows.
    """

    rows: Ints
    masks: Tally

    @classmethod
    def joined(cls, parts: Sequence[FineTally]) -> FineTally:
        """The sum of tallies."""
        return cls(np.sum([p.rows for p in parts], axis=0), Tally.joined([p.masks for p in parts]))

    def of_class(self, component: int, label: int) -> Tally:
        """Units of one class by mask."""
        start = (2 * component + label) * _MASKS
        return self.masks.between(start, start + _MASKS)


def fine_codes(frame: Frame, edges: Sequence[Floats]) -> Codes:
    """uint8[259, N]: codes before any bins are merged."""
    codes = np.empty((COMPONENT_COUNT, len(frame.label)), dtype=np.uint8)
    for fine, row, out in zip(edges, frame.values, codes, strict=True):
        out[:] = Scale(fine, fine, np.empty(0, np.int8)).code(row)
    return codes


def tally_codes(frame: Frame, codes: Codes) -> FineTally:
    """Count rows by code, and units by the codes that they show."""
    masks = code_masks(codes, frame.unit_starts, np.uint16)
    offset = frame.label.view(np.uint8) * np.uint8(CODES)
    rows = [np.bincount(raw + offset, minlength=2 * CODES) for raw in codes]
    key, number = [], []
    for j, mask in enumerate(masks):
        for label in (0, 1):
            kinds = np.bincount(mask[frame.units_of(label)])
            seen = np.flatnonzero(kinds)
            key.append((2 * j + label) * _MASKS + seen)
            number.append(kinds[seen])
    tally = Tally(np.concatenate(key), np.concatenate(number))
    return FineTally(np.reshape(rows, (COMPONENT_COUNT, 2, CODES)), tally)


def bin_noise(rng: np.random.Generator) -> NDArray[np.float64]:
    """float64[259, 2, 16]: noise on the rows of each class in each bin."""
    return rng.normal(0, NOISE_SD, (COMPONENT_COUNT, 2, CODES))


def merge_bins(
    edges: Sequence[Floats], tally: FineTally, k: int, noise: NDArray[np.float64]
) -> tuple[tuple[Scale, ...], tuple[Support, ...]]:
    """Bins with at least ``k`` units of either class, and what stands behind them.

    ``z`` is a function of the rows in bins, which would follow from it exactly: so it takes the noised ones.
    """
    scales, support = [], []
    for j, fine in enumerate(edges):
        masks = [tally.of_class(j, label) for label in (0, 1)]
        bins, units = _merge(masks, len(fine) + 1, k)
        rows = np.add.reduceat(tally.rows[j, :, 1 : len(fine) + 2], [b[0] for b in bins], axis=1)
        holders = [int(kinds.number[kinds.key > 1].sum()) for kinds in masks]
        told = np.where(rows > 0, np.maximum(rows + noise[j, :, : len(bins)], 1.0), 0.0)
        if holders[1] < k:
            told[1] = told[0]
        support.append(Support(told, units, np.array(holders)))
        mix = _mix(told)
        scales.append(Scale(fine[[b[-1] for b in bins[:-1]]], _scores(mix), coarse_bins(mix)))
    return tuple(scales), tuple(support)


def fit_bins(frame: Frame, k: int, rng: np.random.Generator) -> Binned:
    """Bins of all components, fitted on every accepted row."""
    clean = frame.rows_of(0).stop
    picks, noise = sample_rows(clean, len(frame.label), rng), bin_noise(rng)
    edges = all_edges([[row[p] for p in picks] for row in frame.values])
    codes = fine_codes(frame, edges)
    scales, support = merge_bins(edges, tally_codes(frame, codes), k, noise)
    for fine, scale, raw in zip(edges, scales, codes, strict=True):
        table = np.zeros(len(fine) + 2, dtype=np.uint8)
        table[1] = 1
        table[2:] = 1 + np.searchsorted(scale.edges, fine, side="right")
        table.take(raw, out=raw, mode="clip")
    return Binned(scales, support, codes)


def all_edges(samples: Iterable[Sequence[Floats]]) -> list[Floats]:
    """Inner edges of every component before any are merged, from a sample of the rows of each class."""
    (low, high), category = component_bounds(), category_components()
    out = []
    for j, sample in enumerate(samples):
        clean, fraud = (values[~np.isnan(values)] for values in sample)
        out.append(_edges(clean, fraud, float(low[j]), float(high[j]), bool(category[j])))
    return out


def sample_rows(clean: int, count: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Places of a sample of each class; ``clean`` of ``count`` rows are clean and come first."""
    return [_sample(rng, 0, clean), _sample(rng, clean, count)]


def _sample(rng: np.random.Generator, start: int, stop: int) -> NDArray[np.int64]:
    count = min(_SAMPLE, stop - start)
    return np.sort(rng.choice(np.arange(start, stop), count, replace=False))
