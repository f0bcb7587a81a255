"""What the utility process does when it is asked for pairs: rank them, and hold back what few persons show.

A *cut* of a pair divides its rows into four quadrants: either node low or high. A cut counts only if each
quadrant holds a crowd of each class, as a group of a release does: at least k persons from at least five
components, no component above half of them and no person above a fifth of the rows. The best such cut is
the pair's gain. So no pair is proposed, or ranked higher, for what fewer show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.ports import PairScreen, PairScreener
from riskgraph.sandbox.partition import is_crowd
from riskgraph.sandbox.utility_process import FITTING, SEARCHING, RawRows, Stopped, Tell

BINS = 12

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Place = tuple[int, int]


@dataclass(frozen=True, eq=False)
class PairJob:
    """What the process is sent to look for pairs.

    Attributes:
        rows: The M rows that would enter a release.
        unit, component: int64[M].
        screener: Fits additive terms. count: Most pairs. k: Persons in a quadrant. seed: Of the fit.
    """

    rows: RawRows
    unit: Ints
    component: Ints
    screener: PairScreener
    count: int
    k: int
    seed: int

    def answer(self, tell: Tell) -> list[list[float]]:
        """One line a pair, best first: both node indexes and the rounded gain."""
        tell(0, 2)
        try:
            screen = self.screener(self.rows, self.seed)
        except Exception as error:
            raise Stopped(FITTING) from error
        tell(1, 2)
        try:
            best = best_pairs(screen, Crowds(self.rows.label, self.unit, self.component, self.k), self.count)
        except Exception as error:
            raise Stopped(SEARCHING) from error
        tell(2, 2)
        return [[a, b, rounded(gain)] for gain, a, b in best]


def rounded(gain: float) -> float:
    """A gain as it is told, to one digit: exact ones would be sums over rows."""
    return float(f"{gain:.0e}")


@dataclass(frozen=True, eq=False)
class Crowds:
    """Who stands behind M rows.

    Attributes:
        label: int8[M]. unit, component: int64[M]. k: Least persons of a crowd.
    """

    label: NDArray[np.int8]
    unit: Ints
    component: Ints
    k: int

    def stands_behind(self, rows: NDArray[np.intp]) -> bool:
        """Whether the persons of some rows of one class are a crowd."""
        _, first, orders = np.unique(self.unit[rows], return_index=True, return_counts=True)
        return is_crowd(self.component[rows][first], orders, self.k) if len(orders) else False

    def hold(self, a: NDArray[np.uint8], b: NDArray[np.uint8], cut: Place) -> bool:
        """Whether each quadrant of a cut holds a crowd of each class."""
        quadrant = 2 * (a > cut[0] + 1) + (b > cut[1] + 1)
        quadrant[(a == 0) | (b == 0)] = 4
        return all(
            self.stands_behind(np.flatnonzero((quadrant == q) & (self.label == c)))
            for c in (1, 0)
            for q in range(4)
        )

    def may_hold(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """bool[12, 12]: cuts whose quadrants have k rows of each class; with fewer there are no k persons."""
        cell = (self.label.astype(np.intp) * (BINS + 1) + a) * (BINS + 1) + b
        rows = np.bincount(cell, minlength=2 * (BINS + 1) ** 2).reshape(2, BINS + 1, BINS + 1)[:, 1:, 1:]
        low = rows.cumsum(1).cumsum(2)
        first, second, whole = low[:, :, -1:], low[:, -1:], low[:, -1:, -1:]
        least = np.min([low, first - low, second - low, whole - first - second + low], axis=(0, 1))
        return np.asarray(least >= self.k)


def best_pairs(screen: PairScreen, crowds: Crowds, count: int) -> list[tuple[float, int, int]]:
    """At most so many pairs that data may propose, with their gains, best first."""
    bounds = sorted(_bounds(screen, crowds), reverse=True)
    best: list[tuple[float, int, int]] = []
    for bound, a, b in bounds:
        if len(best) == count and best[-1][0] >= bound:
            break
        gain = _gain(screen, crowds, a, b)
        if gain > 0:
            best = sorted([*best, (gain, a, b)], reverse=True)[:count]
    return best


def _bounds(screen: PairScreen, crowds: Crowds) -> Iterator[tuple[float, int, int]]:
    """At most what each pair can gain, where any cut can hold."""
    bins = screen.bins
    for a in range(NODE_COUNT):
        for b in range(a + 1, NODE_COUNT):
            if catalog().may_find(a, b):
                may = crowds.may_hold(bins[:, a], bins[:, b])
                if may.any():
                    yield float(screen.interactions(a, b)[may].max()), a, b


def _gain(screen: PairScreen, crowds: Crowds, a: int, b: int) -> float:
    """Gain of the best cut that holds, 0 if none does."""
    first, second = screen.bins[:, a], screen.bins[:, b]
    gains = np.where(crowds.may_hold(first, second), screen.interactions(a, b), 0.0)
    for place in np.argsort(-gains, axis=None, kind="stable"):
        i, j = divmod(int(place), BINS)
        if gains[i, j] <= 0:
            break
        if crowds.hold(first, second, (i, j)):
            return float(gains[i, j])
    return 0.0
