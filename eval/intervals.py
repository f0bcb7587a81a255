"""Intervals by cluster bootstrap: whole gangs and whole honest accounts are drawn, not orders.

Fraud comes in gangs whose orders are caught or missed together, so intervals that treat orders as
independent are far too short. Fraud and honest clusters are drawn apart, each as often as there
are (stratified cluster bootstrap; Field and Welsh 2007). Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.metrics import Bools, Floats, Ints
from riskgraph.ports import Progress

REPS = 2_000
LEVEL = 0.95
# 1e-5 to 1, dense where fraud work looks.
FPR_GRID: Floats = np.concatenate([[0.0], np.logspace(-5, 0, 251)])


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval; NaN where it is not defined."""

    value: float
    lower: float
    upper: float

    def outward(self) -> Interval:
        """The interval with ends of four decimals, not shorter: with all digits they answer guesses."""
        return Interval(
            self.value, float(np.floor(self.lower * 1e4) / 1e4), float(np.ceil(self.upper * 1e4) / 1e4)
        )


@dataclass(frozen=True, eq=False)
class Clusters:
    """What is drawn as a whole.

    Attributes:
        code: int64[N], 0..C-1; a cluster is all fraud or all honest.
        is_fraud: bool[C].
    """

    code: Ints
    is_fraud: Bools

    def take(self, rows: Bools) -> Clusters:
        """The clusters of some orders, numbered anew."""
        kept, code = np.unique(self.code[rows], return_inverse=True)
        return Clusters(code.astype(np.int64), self.is_fraud[kept])


def cluster_orders(is_fraud: Bools, gang: Ints, account: Ints) -> Clusters:
    """Fraud by gang, or by account where there is no gang; honest orders by account.

    An order with neither (code -1) is a cluster of its own.
    """
    # The kind keeps a gang and an account of the same number apart.
    kind = np.where(is_fraud & (gang >= 0), 0, np.where(is_fraud, 1, 2))
    name = np.where(kind == 0, gang, account)
    alone = name < 0
    kind, name = np.where(alone, kind + 3, kind), np.where(alone, np.arange(len(name)), name)
    kept, code = np.unique(np.stack([kind, name], axis=1), axis=0, return_inverse=True)
    return Clusters(code.reshape(-1).astype(np.int64), kept[:, 0] % 3 < 2)


def percentile_interval(value: float, draws: Floats) -> Interval:
    """Percentile interval of bootstrap draws; never excludes the figure itself."""
    # A draw can hold no order of a thin slice; its share does not exist and says nothing.
    finite = draws[np.isfinite(draws)]
    if not len(finite) or not np.isfinite(value):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, min(float(low), value), max(float(high), value))


def ratio_interval(
    hit: Bools, among: Bools, clusters: Clusters, *, reps: int = REPS, seed: int = 0,
    trials: Callable[[int], int] = int,
) -> Interval:  # fmt: skip
    """Share of ``hit`` orders among ``among`` orders, with its cluster-bootstrap interval.

    Clusters with equal sums are interchangeable, so how often each kind of sum is drawn is one
    multinomial draw: exact, and fast for any number of orders. Where no cluster (or every one)
    hits, resampling cannot see the other side: that end is the exact binomial bound with clusters
    as trials (Clopper and Pearson 1934), or with so many of them as ``trials`` lets count: the end gives
    their number away.
    """
    tops, whole = (_per_cluster(part, clusters) for part in (hit & among, among))
    n = int((whole > 0).sum())
    if not n:
        return Interval(float("nan"), float("nan"), float("nan"))
    value = float(tops.sum() / whole.sum())
    # Every draw of such a sample gives the same figure, and an interval of length zero would be a lie.
    if value in (0.0, 1.0):
        far = _unseen(trials(n))
        return Interval(value, 0.0 if value == 0 else 1.0 - far, far if value == 0 else 1.0)
    return percentile_interval(value, _drawn_ratio(tops, whole, clusters, reps, seed))


def difference_interval(
    first: Bools, second: Bools, among: Bools, clusters: Clusters, *, reps: int = REPS, seed: int = 0
) -> Interval:
    """Share of ``first`` minus share of ``second`` among the same orders, drawn in pairs.

    Where the two agree on every order, each end is as far as a share of zero could be (see
    :func:`ratio_interval`).
    """
    tops = _per_cluster(first & among, clusters) - _per_cluster(second & among, clusters)
    whole = _per_cluster(among, clusters)
    n = int((whole > 0).sum())
    if not n:
        return Interval(float("nan"), float("nan"), float("nan"))
    if not tops.any():
        return Interval(0.0, -_unseen(n), _unseen(n))
    value = float(tops.sum() / whole.sum())
    return percentile_interval(value, _drawn_ratio(tops, whole, clusters, reps, seed))


def _per_cluster(rows: Bools, clusters: Clusters) -> Floats:
    sums = np.bincount(clusters.code, weights=rows, minlength=len(clusters.is_fraud))
    return np.asarray(sums, dtype=np.float64)


def _unseen(clusters: int) -> float:
    """Upper end of a share that none of so many trials showed (Clopper and Pearson 1934)."""
    return float(1.0 - ((1.0 - LEVEL) / 2.0) ** (1.0 / clusters))


def _drawn_ratio(tops: Floats, whole: Floats, clusters: Clusters, reps: int, seed: int) -> Floats:
    """Ratios float64[reps] of sums over clusters drawn with replacement, fraud and honest apart."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((reps, 2))
    for stratum in (clusters.is_fraud, ~clusters.is_fraud):
        inside = stratum & (whole > 0)
        if inside.any():
            drawn += _drawn_sums(np.stack([tops[inside], whole[inside]], axis=1), reps, rng)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(drawn[:, 0] / drawn[:, 1], dtype=np.float64)


def _drawn_sums(sums: Floats, reps: int, rng: np.random.Generator) -> Floats:
    """Totals float64[reps, 2] over clusters drawn with replacement."""
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    drawn = rng.multinomial(len(sums), counts / len(sums), size=reps)
    return np.asarray(drawn @ kinds, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class RankingDraws:
    """Bootstrap draws of one scorer's ranking figures.

    Attributes:
        auc: float64[reps].
        average_precision: float64[reps].
        recall_at_fpr: float64[reps] per fixed false-positive rate.
        band_lower: float64[252], lower end of recall along ``FPR_GRID``.
        band_upper: float64[252], upper end.
    """

    auc: Floats
    average_precision: Floats
    recall_at_fpr: Mapping[float, Floats]
    band_lower: Floats
    band_upper: Floats


def ranking_draws(
    scores: Mapping[str, Floats],
    is_fraud: Bools,
    clusters: Clusters,
    fixed_fprs: tuple[float, ...],
    *,
    reps: int = REPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, RankingDraws]:
    """Bootstrap of ranking figures; all scorers see the same draws, so differences are paired.

    Scores are put into at most about 1,300 bins, fine where the false-positive rate is below 2 %;
    the area moves by less than 1e-4 through that.
    """
    # Counts per bin are all that the figures need, so that no draw has to be sorted.
    binned = {name: _bins(s, is_fraud) for name, s in scores.items()}
    starts = np.cumsum([0, *(int(b.max()) + 1 for b in binned.values())])
    cells = [b + start for b, start in zip(binned.values(), starts[:-1], strict=True)]
    halves = []
    for i, stratum in enumerate((is_fraud, ~is_fraud)):
        # A stream for each class: else the size of one would change the draws of the other.
        rng = np.random.default_rng([seed, i])
        part = [c[stratum] for c in cells]
        code = clusters.take(stratum).code
        halves.append(_histograms(part, code, int(starts[-1]), reps, rng, progress, i))
    return {
        name: _draws(halves[0][:, a:b], halves[1][:, a:b], fixed_fprs)
        for name, a, b in zip(binned, starts[:-1], starts[1:], strict=True)
    }


def _bins(scores: Floats, is_fraud: Bools) -> NDArray[np.int64]:
    """Bin of each score, 0 the riskiest."""
    honest, fraud = np.sort(scores[~is_fraud]), scores[is_fraud]
    tail = honest[-max(1, len(honest) // 50) :]
    ends = [np.quantile(p, np.linspace(0, 1, k), method="nearest")
            for p, k in ((honest, 257), (tail, 769), (fraud, 257)) if len(p)]  # fmt: skip
    edges = np.unique(np.concatenate(ends))
    return np.asarray(len(edges) - np.searchsorted(edges, scores, side="right"), dtype=np.int64)


def _histograms(
    cells: list[Ints], code: Ints, width: int, reps: int, rng: np.random.Generator,
    progress: Progress | None, stratum: int,
) -> Floats:  # fmt: skip
    """Orders per cell, float64[reps, width], with clusters drawn with replacement."""
    size = int(code.max()) + 1 if len(code) else 0
    out = np.zeros((reps, width))
    if not size:
        return out
    keys, counts = np.unique(np.concatenate([code * width + c for c in cells]), return_counts=True)
    owner, cell = keys // width, keys % width
    # Spares a multiplication per draw where no two orders of a cluster share a bin.
    even = bool((counts == 1).all())
    for rep in range(reps):
        weight = np.bincount(rng.integers(size, size=size), minlength=size)[owner]
        out[rep] = np.bincount(cell, weights=weight if even else weight * counts, minlength=width)
        if progress is not None and rep % 100 == 99:
            progress("bootstrap", stratum * reps + rep + 1, 2 * reps)
    return out


def _draws(fraud: Floats, honest: Floats, fixed_fprs: tuple[float, ...]) -> RankingDraws:
    """Figures of each draw, from orders per bin float64[reps, bins], riskiest first."""
    tp, fp = (np.pad(np.cumsum(h, axis=1), ((0, 0), (1, 0))) for h in (fraud, honest))
    with np.errstate(invalid="ignore", divide="ignore"):
        tpr, fpr = tp / tp[:, -1:], fp / fp[:, -1:]
        areas = np.sum(np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]), axis=1) / 2.0
        precision = np.nan_to_num(tp[:, 1:] / (tp[:, 1:] + fp[:, 1:]))
        average = np.sum(np.diff(tpr, axis=1) * precision, axis=1)
    at = np.concatenate([FPR_GRID, fixed_fprs])
    curves = np.stack([np.interp(at, x, y) for x, y in zip(fpr, tpr, strict=True)])
    recall = {f: curves[:, len(FPR_GRID) + i] for i, f in enumerate(fixed_fprs)}
    curves = curves[:, : len(FPR_GRID)]
    low, high = np.quantile(curves, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return RankingDraws(areas, average, recall, low, high)
