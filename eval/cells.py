"""What a backtest of real people may tell: the rule of the sandbox, for every cell (ADR 0025).

Orders may be counted where there are none, or where a crowd stands behind them: at least 50 persons from
at least 5 components, none of which has more than half of them (``core.units``). Nobody may get at fewer
by subtraction either, so counts are told of *parts*: verdicts, steps of scores and rows of tables are put
together until every part is empty or a crowd. What follows by sums and differences is a sum of parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable
from riskgraph.core.units import LEAST_K, MAX_COMPONENT_SHARE, MIN_COMPONENTS, find_units
from riskgraph.core.verdict import Verdict
from riskgraph.eval.intervals import Clusters, Interval, ratio_interval
from riskgraph.eval.metrics import Bools, Floats, Ints

MOST_STEPS = 200
FEW = "fewer than 50 persons"
RULE = (
    "Of real people only such counts are told as stand for at least 50 persons from at least 5 groups that "
    "share nothing, none of which has more than half of them, and that give no count of fewer by "
    "subtraction. The ROC curve has at most 200 steps of such persons of each class. Area, average precision "
    "and recall at a fixed rate are those of the straight lines between its points: for a curve that bends "
    "as ROC curves do a little less than the exact figures."
)
NO_CURVE = (
    "No curve is told: it takes two steps, each of such persons of both classes, and what is told at the "
    "frozen thresholds must not split them into fewer. A longer window has more persons."
)
# What an order was answered: rejected; would have been but for a gate; reviewed; let go.
REJECT, SOFTENED, REVIEW, ACCEPT = range(4)
KINDS = {
    "reject": frozenset({REJECT}),
    "reject_or_review": frozenset({REJECT, SOFTENED, REVIEW}),
    "review": frozenset({SOFTENED, REVIEW}),
    "softened": frozenset({SOFTENED}),
}
Parts = tuple[frozenset[int], ...]
# Which answers are told apart, the most first. Rejects before reviews: a promotion asks for them.
PARTS: tuple[Parts, ...] = tuple(
    tuple(frozenset(part) for part in parts)
    for parts in (
        ((REJECT,), (SOFTENED,), (REVIEW,), (ACCEPT,)),
        ((REJECT,), (SOFTENED, REVIEW), (ACCEPT,)),
        ((REJECT,), (SOFTENED, REVIEW, ACCEPT)),
        ((REJECT, SOFTENED, REVIEW), (ACCEPT,)),
        ((REJECT, SOFTENED, REVIEW, ACCEPT),),
    )
)
# Scores at which a step may begin are public: log odds of whole twentieths. A threshold that is
# somebody's score would tell it.
_CUTS: Floats = 1.0 / (1.0 + np.exp(-np.arange(-280, 281) / 20))


@dataclass(frozen=True, eq=False)
class Persons:
    """Who stands behind each order.

    Attributes:
        person: int64[N]. component: int64[N].
    """

    person: Ints
    component: Ints

    @classmethod
    def of(cls, table: OrderTable) -> Persons:
        units = find_units(table)
        return cls(units.unit, units.component)

    def take(self, rows: Bools) -> Persons:
        return Persons(self.person[rows], self.component[rows])

    def count(self, rows: Bools | Ints) -> int:
        return len(np.unique(self.person[rows]))

    def crowd(self, rows: Bools | Ints) -> bool:
        """Whether the persons of some orders, given as a mask or as places, are a crowd."""
        # By place instead of by sorting: this is asked some thousand times of all orders of a window.
        component = np.full(int(self.person.max(initial=-1)) + 1, -1, dtype=np.int64)
        component[self.person[rows]] = self.component[rows]
        sizes = np.bincount(component[component >= 0])
        persons = int(sizes.sum())
        if persons < LEAST_K:
            return False
        groups, largest = int((sizes > 0).sum()), int(sizes.max())
        return groups >= MIN_COMPONENTS and largest <= MAX_COMPONENT_SHARE * persons

    def may_tell(self, rows: Bools) -> bool:
        """Whether the number of some orders may be told: of none, or of a crowd."""
        places = np.flatnonzero(rows)
        return not len(places) or self.crowd(places)

    def busiest(self, among: Bools) -> Bools:
        """The orders of the 50 persons who have most of them: fewer persons never have more."""
        person, orders = np.unique(self.person[among], return_counts=True)
        return among & np.isin(self.person, person[np.argsort(-orders, kind="stable")[:LEAST_K]])


@dataclass(frozen=True, eq=False)
class Told:
    """Which answers are told apart of each class of the orders of a window, and the ROC grid.

    Attributes:
        persons: Who stands behind the orders.
        is_fraud: bool[N].
        answer: int64[N], ``REJECT`` to ``ACCEPT``.
        parts: Of honest orders and of fraud.
        step: int64[N], step of the grid that each order lies in, 0 the riskiest.
        floor: float64[S], least score of each step, the last 0. One step is no curve.
    """

    persons: Persons
    is_fraud: Bools
    answer: Ints
    parts: tuple[Parts, Parts]
    step: Ints
    floor: Floats

    @classmethod
    def of(
        cls, persons: Persons, is_fraud: Bools, answer: Ints, probability: Floats, marks: Sequence[float]
    ) -> Told:
        """The most answers that can be told apart, fewer where that would leave no curve.

        Args:
            persons: Who stands behind the orders.
            is_fraud: bool[N].
            answer: int64[N].
            probability: float64[N].
            marks: Frozen thresholds of the scorer; steps begin there first.
        """
        honest, fraud = (parts_of(persons, answer, among) for among in (~is_fraud, is_fraud))
        one = np.zeros(len(answer), dtype=np.int64)
        most = cls(persons, is_fraud, answer, (honest, fraud), one, np.zeros(1))
        for parts in most._coarser():
            told = replace(most, parts=parts)
            step, floor = told._steps(probability, marks)
            if len(floor) > 1:
                return replace(told, step=step, floor=floor)
        return most

    def _coarser(self) -> list[tuple[Parts, Parts]]:
        """Ways to tell these answers or fewer apart, the most first."""
        honest, fraud = ([parts for parts in PARTS if _coarser(parts, mine)] for mine in self.parts)
        return sorted(product(honest, fraud), key=lambda pair: -sum(map(len, pair)))

    def tells(self, kind: str, fraud: bool) -> bool:
        return tells(self.parts[fraud], kind)

    def tells_number(self, gang: Ints, among: Bools) -> bool:
        """Whether it may be told of how many gangs some orders are: the rest is what came again."""
        _, place, orders = np.unique(gang[among], return_inverse=True, return_counts=True)
        return self.persons.take(among).may_tell(orders[place] > 1)

    def withheld(self, hit: Bools, among: Bools, clusters: Clusters, reps: int, seed: int) -> dict[str, Any]:
        """A share that is not told, with the bound that fewer than 50 persons put on it where they do.

        The bound is the upper end of the interval that the orders of the 50 busiest would have.
        It does not depend on who was flagged.
        """
        low = high = float("nan")
        sides = (self.persons.count(hit & among), self.persons.count(among & ~hit))
        if min(sides) < LEAST_K:
            busiest = self.persons.busiest(among)
            most = told_ratio(busiest, among, clusters, reps, seed).upper
            low, high = (0.0, most) if sides[0] < LEAST_K else (round(1.0 - most, 4), 1.0)
        return {**unknown(), "lower": low, "upper": high}

    def _closed(self, code: Ints, rows: tuple[Parts, Parts] = (PARTS[-1], PARTS[-1])) -> bool:
        """Whether counts by a code and counts by answer let nobody get at fewer than a crowd.

        Known are the parts that each row of a table of codes tells apart, in a row of what they are put
        together of, and the finer parts of all orders. Within such a whole a set follows where a union of
        finer parts lies in some rows and nothing else of the whole does, so it comes down to this: the orders
        of each union in rows that hold others of its whole too.

        Args:
            code: int64[N], -1 or more.
            rows: What rows tell apart; of steps nothing.
        """
        for parts, told, among in zip(self.parts, rows, self._classes, strict=True):
            places = np.flatnonzero(among)
            cell = code[places] + 1, self.answer[places]
            table = np.zeros((int(code.max()) + 2, ACCEPT + 1), dtype=np.int64)
            np.add.at(table, cell, 1)
            for whole in {*told, *PARTS[-1]}:
                for union in _unions(tuple(part for part in parts if part <= whole)):
                    mask = _shared(table, union, whole - union)
                    orders = int(table[mask].sum())
                    if orders and (orders < LEAST_K or not self.persons.crowd(places[mask[cell]])):
                        return False
        return True

    @property
    def _classes(self) -> tuple[Bools, Bools]:
        return ~self.is_fraud, self.is_fraud

    def _steps(self, probability: Floats, marks: Sequence[float]) -> tuple[Ints, Floats]:
        """Steps that each hold a crowd of both classes, at most 200, and the least score of each."""
        cuts = np.unique(np.concatenate([_CUTS, marks]))
        order = np.argsort(-probability, kind="stable")
        # How many orders score so much or more: where a cut would end a step.
        ends = np.searchsorted(-probability[order], -cuts, side="right")
        chosen: dict[int, float] = {}
        for cut in [*sorted(marks, reverse=True), *cuts[::-1]]:
            end = int(ends[np.searchsorted(cuts, cut)])
            if end not in chosen and len(chosen) < MOST_STEPS - 1 and self._fits(order, [*chosen, end], end):
                chosen[end] = float(cut)
        stops = sorted(chosen)
        return _numbered(order, stops), np.array([*(chosen[end] for end in stops), 0.0])

    def _fits(self, order: Ints, ends: list[int], end: int) -> bool:
        """Whether a step may end at ``end``, besides those that end at the other ends."""
        stops = [0, *sorted(ends), len(order)]
        at = stops.index(end, 1)
        sides = order[stops[at - 1] : end], order[end : stops[at + 1]]
        classes = [side[self.is_fraud[side] == fraud] for side in sides for fraud in (True, False)]
        if min(map(len, classes)) < LEAST_K or not all(map(self.persons.crowd, classes)):
            return False
        return self._closed(_numbered(order, stops[1:-1]))

    def rows(self, code: Ints, *, ordered: bool) -> tuple[list[list[int]], Told] | None:
        """Codes of a table that make a row together, and the answers that its rows tell apart.

        Args:
            code: int64[N]; -1 for orders that are not in the table.
            ordered: Only neighbours may be put together, as with weeks.

        Returns:
            None where fewer than two rows are left.
        """
        names, sizes = np.unique(code[code >= 0], return_counts=True)
        names = names if ordered else names[np.argsort(sizes, kind="stable")]
        for parts in self._coarser():
            told = replace(self, parts=parts)
            groups = together([[int(n)] for n in names], partial(told._row, code))
            if len(groups) > 1 and self._closed(_grouped(code, groups), parts):
                return sorted(sorted(group) for group in groups), told
        return None

    def _row(self, code: Ints, group: list[int]) -> bool:
        inside = np.isin(code, group)
        return all(
            self.persons.may_tell(inside & among & np.isin(self.answer, list(part)))
            for parts, among in zip(self.parts, self._classes, strict=True)
            for part in parts
        )


def answers(verdict: NDArray[np.object_], softened: Bools | None = None) -> Ints:
    """Verdicts as answers, int64[N]; ``softened`` are reviews that a gate made of rejects."""
    given = np.where(verdict == Verdict.REJECT, REJECT, np.where(verdict == Verdict.REVIEW, REVIEW, ACCEPT))
    return given if softened is None else np.where(softened, SOFTENED, given)


def parts_of(persons: Persons, answer: Ints, among: Bools) -> Parts:
    """The most answers that can be told apart so that each part is empty or a crowd."""
    for parts in PARTS[:-1]:
        if all(persons.may_tell(among & np.isin(answer, list(part))) for part in parts):
            return parts
    return PARTS[-1]


def tells(parts: Parts, kind: str) -> bool:
    """Whether parts give the count of a kind of answer."""
    return all(part <= KINDS[kind] or not part & KINDS[kind] for part in parts)


def told_ratio(hit: Bools, among: Bools, clusters: Clusters, reps: int, seed: int) -> Interval:
    """Share of orders of real people, with an interval that does not count the accounts behind them."""
    return ratio_interval(hit, among, clusters, reps=reps, seed=seed, trials=at_least).outward()


def at_least(clusters: int) -> int:
    """So many gangs or accounts are told: whole fifties, fewer in whole fives.

    Beside a number of orders the exact one would tell how many came again, and that may be one person.
    """
    step = LEAST_K if clusters >= LEAST_K else MIN_COMPONENTS
    return max(clusters - clusters % step, 1)


def unknown() -> dict[str, Any]:
    """A figure that is withheld, as JSON; NaN becomes null."""
    nan = float("nan")
    return {"value": nan, "lower": nan, "upper": nan, "withheld": FEW}


def together(groups: list[list[int]], fits: Callable[[list[int]], bool]) -> list[list[int]]:
    """Groups that do not fit, each put together with the next, or the last with the one before."""
    out: list[list[int]] = []
    held: list[int] = []
    for group in groups:
        held = [*held, *group]
        if fits(held):
            out.append(held)
            held = []
    while held and out:
        held = [*out.pop(), *held]
        if fits(held):
            out.append(held)
            held = []
    return [*out, held] if held else out


def _unions(parts: Parts) -> Iterator[frozenset[int]]:
    """Unions of some of the parts, but not of all."""
    for size in range(1, len(parts)):
        for some in combinations(parts, size):
            yield frozenset[int]().union(*some)


def _shared(table: Ints, union: frozenset[int], others: frozenset[int]) -> Bools:
    """bool[R, A]: cells of some answers in the rows of a table that hold others too."""
    column = np.arange(table.shape[1])
    mine, other = np.isin(column, list(union)), np.isin(column, list(others))
    rows: Bools = np.any(table[:, mine], axis=1) & np.any(table[:, other], axis=1)
    return np.logical_and.outer(rows, mine)


def _numbered(order: Ints, ends: list[int]) -> Ints:
    """Step of each order int64[N], where steps of ordered places end at ``ends``, rising."""
    step = np.empty(len(order), dtype=np.int64)
    step[order] = np.searchsorted(ends, np.arange(len(order)), side="right")
    return step


def _coarser(parts: Parts, than: Parts) -> bool:
    return all(any(part <= whole for whole in parts) for part in than)


def _grouped(code: Ints, groups: list[list[int]]) -> Ints:
    out = np.full(len(code), -1, dtype=np.int64)
    for i, group in enumerate(groups):
        out[np.isin(code, group)] = i
    return out
