"""What the utility process does when it is asked for pairs: rank them, and hold back what few persons show.

A *cut* of a pair divides its rows into four quadrants: either node low or high. A cut counts only if each
quadrant holds a crowd of each class, as a group of a release does: at least k persons from at least five
components, no component above half of them and no person above a fifth of the rows. The best such cut is
the pair's gain. So no pair is proposed, or ranked higher, for what fewer show.

Somebody who asks for twenty pairs would get twenty, found in nothing. So labels are drawn anew from the
additive terms, and only pairs are told that gain more than the best of all pairs does then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.ports import PairScreen, PairScreener
from riskgraph.sandbox.partition import is_crowd
from riskgraph.sandbox.utility_process import FITTING, SEARCHING, RawRows, Stopped, Tell

BINS = 12
# Of labels that follow the additive terms. The best pair of all of them is beaten by chance once in 21 times.
DRAWS = 20

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
            found = self._found(screen)
        except Exception as error:
            raise Stopped(SEARCHING) from error
        tell(2, 2)
        return [[a, b, rounded(gain)] for gain, a, b in found]

    def _found(self, screen: PairScreen) -> list[tuple[float, int, int]]:
        """The best pairs, of those that gain more than any pair does where there is nothing to find."""
        crowds = Crowds(screen.bins, self.rows.label, self.unit, self.component, self.k)
        best = best_pairs(screen, crowds, self.count)
        rng, persons = np.random.default_rng(self.seed), int(self.unit.max()) + 1
        # One level a person: orders of a person mostly have one label, and stand for one.
        drawn = (screen.redrawn(rng.random(persons)[self.unit]) for _ in range(DRAWS if best else 0))
        chance = max((gain for one in drawn for gain, _, _ in best_pairs(one, crowds, 1)), default=0.0)
        return [pair for pair in best if pair[0] > chance]


def rounded(gain: float) -> float:
    """A gain as it is told, to one digit: exact ones would be sums over rows."""
    return float(f"{gain:.0e}")


@dataclass(frozen=True, eq=False)
class Crowds:
    """Who stands behind the cuts of M rows.

    Attributes:
        bins: uint8[M, 137], 0 where absent. label: int8[M]. unit, component: int64[M].
        k: Least persons of a crowd.
    """

    bins: NDArray[np.uint8]
    label: NDArray[np.int8]
    unit: Ints
    component: Ints
    k: int
    _known: dict[tuple[int, int, int, int], bool] = field(default_factory=dict)

    @cached_property
    def candidates(self) -> list[tuple[int, int, NDArray[np.bool_]]]:
        """Pairs that data may propose, with the cuts that may hold, bool[12, 12], where there are any."""
        nodes = range(NODE_COUNT)
        pairs = [(a, b) for a in nodes for b in nodes if a < b and catalog().may_find(a, b)]
        return [(a, b, may) for a, b in pairs if (may := self._may_hold(a, b)).any()]

    def hold(self, a: int, b: int, i: int, j: int) -> bool:
        """Whether each quadrant of a cut holds a crowd of each class."""
        place = (a, b, i, j)
        if place not in self._known:
            first, second = self.bins[:, a], self.bins[:, b]
            quadrant = 2 * (first > i + 1) + (second > j + 1)
            quadrant[(first == 0) | (second == 0)] = 4
            parts = ((quadrant == q) & (self.label == c) for c in (1, 0) for q in range(4))
            self._known[place] = all(self._stands_behind(np.flatnonzero(part)) for part in parts)
        return self._known[place]

    def _stands_behind(self, rows: NDArray[np.intp]) -> bool:
        """Whether the persons of some rows of one class are a crowd."""
        _, first, orders = np.unique(self.unit[rows], return_index=True, return_counts=True)
        return is_crowd(self.component[rows][first], orders, self.k) if len(orders) else False

    def _may_hold(self, a: int, b: int) -> NDArray[np.bool_]:
        """bool[12, 12]: cuts whose quadrants have k rows of each class; with fewer there are no k persons."""
        cell = (self.label.astype(np.intp) * (BINS + 1) + self.bins[:, a]) * (BINS + 1) + self.bins[:, b]
        rows = np.bincount(cell, minlength=2 * (BINS + 1) ** 2).reshape(2, BINS + 1, BINS + 1)[:, 1:, 1:]
        low = rows.cumsum(1).cumsum(2)
        first, second, whole = low[:, :, -1:], low[:, -1:], low[:, -1:, -1:]
        least = np.min([low, first - low, second - low, whole - first - second + low], axis=(0, 1))
        return np.asarray(least >= self.k)


def best_pairs(screen: PairScreen, crowds: Crowds, count: int) -> list[tuple[float, int, int]]:
    """At most so many pairs that data may propose, with their gains, best first."""
    tables = [(np.where(may, screen.interactions(a, b), 0.0), a, b) for a, b, may in crowds.candidates]
    best: list[tuple[float, int, int]] = []
    # from the most that a pair can gain down: where that is no more than what is found, nothing can come
    for gains, a, b in sorted(tables, key=lambda table: -float(table[0].max())):
        if len(best) == count and best[-1][0] >= gains.max():
            break
        gain = _gain(gains, crowds, a, b)
        if gain > 0:
            best = sorted([*best, (gain, a, b)], reverse=True)[:count]
    return best


def _gain(gains: Floats, crowds: Crowds, a: int, b: int) -> float:
    """Gain of the best cut that holds, 0 if none does; of gains float64[12, 12]."""
    for place in np.argsort(-gains, axis=None, kind="stable"):
        i, j = divmod(int(place), BINS)
        if gains[i, j] <= 0:
            break
        if crowds.hold(a, b, i, j):
            return float(gains[i, j])
    return 0.0
