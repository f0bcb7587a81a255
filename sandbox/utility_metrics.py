"""AUC and recall on a coarse ROC grid, raw beside release, with intervals; no score leaves here.

A fraud order's *position* is the share of honest orders that score above it, ties half. AUC and
recall of any set of fraud orders follow from their positions, whichever model each was scored by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RECALL_FPR = 0.0038
# At most 200 steps: a finer curve would be a list of scores.
FPR_GRID = np.unique(np.concatenate([[0.0, RECALL_FPR], np.logspace(-4, 0, 198)]))
_MIDDLE = (FPR_GRID[1:] + FPR_GRID[:-1]) / 2
LEVEL = 0.95

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Where the fraud orders of a test stand among the honest ones.

    Attributes:
        order: intp[H], honest orders by rising score.
        below, upto: intp[F], honest orders that score less than a fraud order, or at most as much.
    """

    order: NDArray[np.intp]
    below: NDArray[np.intp]
    upto: NDArray[np.intp]

    @classmethod
    def of(cls, scores: Floats, is_fraud: Bools) -> Ranking:
        """Rank the scores float64[N] of a test."""
        honest = scores[~is_fraud]
        order = np.argsort(honest, kind="stable")
        ends = (np.searchsorted(honest[order], scores[is_fraud], side=s) for s in ("left", "right"))
        return cls(order, *ends)

    def credits(self, honest_weight: Floats) -> Floats:
        """float64[2, F]: what each fraud order adds to AUC, and to recall at 0.38 % FPR.

        The weighted mean of the first is the area under the ROC curve by the trapezoidal rule on
        the grid (Mann-Whitney, with positions rounded to the grid's steps).
        """
        total = np.concatenate([[0.0], np.cumsum(honest_weight[self.order])])
        position = 1.0 - (total[self.below] + total[self.upto]) / (2.0 * max(total[-1], 1e-12))
        step = np.clip(np.searchsorted(FPR_GRID, position, side="left") - 1, 0, len(_MIDDLE) - 1)
        return np.stack([1.0 - _MIDDLE[step], (position <= RECALL_FPR).astype(np.float64)])


@dataclass(frozen=True, eq=False)
class Trials:
    """Rankings of one model: ``known[source][seed]``, ``unseen[source][seed][fold]``.

    Source 0 was trained on raw rows, source 1 on the release. ``fold``: int64[F], which fold left
    the kind of each fraud order out, -1 for none.
    """

    known: Sequence[Sequence[Ranking]]
    unseen: Sequence[Sequence[Sequence[Ranking]]]
    fold: Ints

    def credits(self, honest_weight: Floats) -> Floats:
        """float64[2 novelties, 2 sources, seeds, 2 figures, F]; unseen is NaN where no fold is."""
        seeds = len(self.known[0])
        out = np.full((2, 2, seeds, 2, len(self.fold)), np.nan)
        for source in range(2):
            for seed in range(seeds):
                out[0, source, seed] = self.known[source][seed].credits(honest_weight)
                for fold, ranking in enumerate(self.unseen[source][seed]):
                    mine = self.fold == fold
                    out[1, source, seed][:, mine] = ranking.credits(honest_weight)[:, mine]
        return out


@dataclass(frozen=True, eq=False)
class Sample:
    """The test orders as the figures see them.

    Attributes:
        is_fraud: bool[N]. component: int64[N], dense.
        cells: Which fraud orders each cell holds, bool[C, F], and whether as unseen, bool[C].
    """

    is_fraud: Bools
    component: Ints
    cells: Bools
    unseen: Bools

    def figures(self, trials: Trials, weight: Floats, seeds: Ints) -> Floats:
        """float64[C, 2 figures, 2 sources], means over the given training seeds.

        Args:
            trials: Rankings of one model.
            weight: float64[components], how often each counts.
            seeds: int64[S], places of seeds; one may come twice.
        """
        rows = weight[self.component]
        credit = trials.credits(rows[~self.is_fraud])[:, :, seeds].mean(axis=2)
        fraud = rows[self.is_fraud] * self.cells
        share = fraud / np.maximum(fraud.sum(axis=1, keepdims=True), 1e-12)
        # Unseen credit is missing outside of the folds, where no unseen cell looks.
        mean = np.einsum("cf,nsmf->cnms", share, np.nan_to_num(credit))
        return np.asarray(mean[np.arange(len(self.cells)), self.unseen.astype(np.intp)])

    def compare(self, trials: Trials, reps: int, rng: np.random.Generator) -> Floats:
        """float64[C, 2 figures, 5]: raw, release, loss, and the loss's 95 % interval.

        Paired bootstrap: whole components are drawn, and training seeds among those that were run,
        the same for both sources. The interval never excludes the figure.
        """
        count, seeds = int(self.component.max()) + 1, len(trials.known[0])
        point = self.figures(trials, np.ones(count), np.arange(seeds))
        draws = np.empty((reps, len(self.cells), 2))
        for rep in range(reps):
            weight = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
            drawn = self.figures(trials, weight, rng.integers(0, seeds, seeds))
            draws[rep] = drawn[..., 0] - drawn[..., 1]
        loss = point[..., 0] - point[..., 1]
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return np.stack(
            [point[..., 0], point[..., 1], loss, np.minimum(low, loss), np.maximum(high, loss)], axis=-1
        )
