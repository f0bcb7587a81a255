"""The fewest things that a shopper could have done otherwise and that would have changed the verdict.

What may be named is the table of :mod:`~riskgraph.explainers.acts`. Whatever is found was scored again by
the model that decided and walked down the same tree, gates included (C-203/22 ¶62; PIPL Art. 24(3)). Among
sets of as few acts the easiest is taken, never the one that clears a threshold by most or least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.report import Counterfactual
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import DecisionTree, GameScore, OrderScore, RiskScore, Verdict, Walk, logit_of
from riskgraph.explainers.acts import Act, Option, acts, acts_sha256, changed, options
from riskgraph.ports import Scorer

EXACT, GREEDY, BOUNDED = "exact", "greedy", "bounded"
MAX_EXACT = 3
# A forest takes .2 ms to score and a network 3: both stay well within a decision's time.
EVALUATIONS = {"trees": 40, "other": 12}
# The closed form and the model add the same terms in another order.
_SLACK = 1e-9


def find_counterfactual(
    subgraph: OrderSubgraph, score: OrderScore, walk: Walk, scorer: Scorer, tree: DecisionTree
) -> Counterfactual | None:
    """The fewest acts that lead to a milder verdict; None for an order that was accepted.

    Of a sum of terms all sets of up to three acts are tried, in closed form but for the model's word on what
    is found, then more acts greedily. A model without terms is asked a bounded number of times.

    Args:
        subgraph: The order.
        score: What ``scorer`` said of it.
        walk: The way that it took through ``tree``.
        scorer: The model that decided.
        tree: The tree that decided.
    """
    if walk.verdict is Verdict.ACCEPT:
        return None
    trial = _Trial(scorer, tree, subgraph, score, walk)
    exact = isinstance(score, RiskScore)
    found = sorted(_closed(trial) if exact else _bounded(trial))
    search = BOUNDED if not exact else EXACT if 0 < len(found) <= MAX_EXACT else GREEDY
    verdict = trial.verdict(found) if found else None
    codes = tuple(trial.options[i].act.code for i in found)
    return Counterfactual(codes, verdict, search, trial.evaluations, acts_sha256())


class _Trial:
    """One order with some acts tried on it."""

    def __init__(
        self, scorer: Scorer, tree: DecisionTree, subgraph: OrderSubgraph, score: OrderScore, walk: Walk
    ) -> None:
        self._scorer, self._tree, self._subgraph, self.score, self._walk = scorer, tree, subgraph, score, walk
        self.options = options(subgraph)
        self._asked: dict[tuple[int, ...], OrderScore] = {}
        self.line = _line(tree, score, walk.verdict)
        self.gated = walk.verdict is Verdict.REJECT and bool(tree.data["gates"])
        self.reject = logit_of(score.thresholds.reject)

    @property
    def evaluations(self) -> int:
        return len(self._asked)

    def scored(self, chosen: Sequence[int]) -> OrderScore:
        """The model's score with some acts."""
        key = tuple(sorted(chosen))
        if key not in self._asked:
            order = changed(self._subgraph, [self.options[i] for i in key])
            self._asked[key] = self._scorer.score(order, self.score.availability)
        return self._asked[key]

    def verdict(self, chosen: Sequence[int]) -> Verdict:
        return self._tree.walk(self.scored(chosen)).verdict

    def changes(self, chosen: Sequence[int]) -> bool:
        """Whether the verdict would have been milder, by the model and the tree."""
        return self.verdict(chosen).milder(self._walk.verdict)

    def below(self, chosen: Sequence[int]) -> bool:
        """The same without the tree's gates, which cost a model without terms many evaluations."""
        return self.scored(chosen).logit < self.line and self.changes(chosen)

    def compatible(self, chosen: Sequence[int]) -> bool:
        return not any(_clash(self.options[a], self.options[b]) for a, b in combinations(chosen, 2))


def _line(tree: DecisionTree, score: OrderScore, verdict: Verdict) -> float:
    """The highest logit below which a band has a milder verdict."""
    edges = {"review": score.thresholds.review, "reject": score.thresholds.reject}
    milder = [
        edges[band["lt"]]
        for band in tree.data["bands"]
        if "lt" in band and Verdict(band["verdict"]).milder(verdict)
    ]
    return logit_of(max(milder)) if milder else -np.inf


def _clash(a: Option, b: Option) -> bool:
    return bool(a.act.nodes & b.act.nodes)


@lru_cache(maxsize=1)
def _neighbours() -> tuple[frozenset[int], ...]:
    ends: list[set[int]] = [set() for _ in range(NODE_COUNT)]
    for pair in catalog().pairs:
        ends[pair.a].add(pair.b)
        ends[pair.b].add(pair.a)
    return tuple(frozenset(nodes) for nodes in ends)


@lru_cache(maxsize=1)
def _linked() -> frozenset[frozenset[str]]:
    """Acts, two and two, between whose nodes there is a pair: only they have effects upon each other."""
    return frozenset(frozenset({a.code, b.code}) for a, b in combinations(acts(), 2) if _touch(a, b))


def _touch(a: Act, b: Act) -> bool:
    return any(_neighbours()[node] & b.nodes for node in a.nodes)


class _Effects:
    """What acts do to the logit and to each node's removal, in closed form.

    Both are sums of terms of nodes and pairs. So the effect of some acts is the sum of what each does alone
    and of what each two do beyond that, which is nothing unless a pair lies between their nodes.
    """

    def __init__(self, trial: _Trial) -> None:
        self._trial, self.count = trial, len(trial.options)
        n, width = self.count, NODE_COUNT if trial.gated else 0
        self._base = self._of(trial.score)
        self._one, self._two = np.zeros((n, 1 + width)), np.zeros((n, n, 1 + width))
        for i in range(n):
            self._one[i] = self._of(trial.scored((i,))) - self._base
        codes = [option.act.code for option in trial.options]
        for a, b in combinations(range(n), 2):
            if frozenset({codes[a], codes[b]}) in _linked() and trial.compatible((a, b)):
                both = self._of(trial.scored((a, b))) - self._base
                self._two[a, b] = self._two[b, a] = both - self._one[a] - self._one[b]

    def sets(self, size: int) -> Iterator[tuple[int, ...]]:
        """Sets of acts that may change the verdict, the easiest first."""
        every = _sets(self.count, size)
        if not len(every):
            return
        for row in np.flatnonzero(self.depth(every) < _SLACK).tolist():
            chosen = tuple(every[row].tolist())
            if self._trial.compatible(chosen):
                yield chosen

    def depth(self, sets: NDArray[np.intp]) -> NDArray[np.float64]:
        """float64[M]: how far sets intp[M, k] lie above what changes the verdict; negative below."""
        sums = self._base + self._one[sets].sum(axis=1)
        for i, j in combinations(range(sets.shape[1]), 2):
            sums += self._two[sets[:, i], sets[:, j]]
        above: NDArray[np.float64] = sums[:, 0] - self._trial.line
        if self._trial.gated:
            # A reject that hangs on one node is softened.
            worst = sums[:, 1:].max(axis=1, initial=0.0)
            above = np.minimum(above, sums[:, 0] - worst - self._trial.reject)
        return above

    def _of(self, score: OrderScore) -> NDArray[np.float64]:
        if not self._trial.gated:
            return np.array([score.logit])
        return np.concatenate([[score.logit], score.removal_effects()])


@lru_cache(maxsize=128)
def _sets(count: int, size: int) -> NDArray[np.intp]:
    """intp[M, size]: all sets of some acts, the easiest first."""
    return np.array(list(combinations(range(count), size)), dtype=np.intp).reshape(-1, size)


def _closed(trial: _Trial) -> list[int]:
    """The fewest acts of a sum of terms, exact up to three."""
    for i in range(len(trial.options)):
        if trial.changes((i,)):
            return [i]
    effects = _Effects(trial)
    for size in range(2, MAX_EXACT + 1):
        for chosen in effects.sets(size):
            if trial.changes(chosen):
                return list(chosen)
    return _greedy(trial, effects)


def _greedy(trial: _Trial, effects: _Effects) -> list[int]:
    """More acts, each the one that helps most beside those before; then whatever can be spared is."""
    chosen: list[int] = []
    depth = np.inf
    while True:
        rest = [i for i in range(effects.count) if i not in chosen and trial.compatible([*chosen, i])]
        if not rest:
            return []
        depths = effects.depth(np.array([[*chosen, i] for i in rest], dtype=np.intp))
        best = int(depths.argmin())
        if depths[best] >= depth:
            return []
        depth = float(depths[best])
        chosen.append(rest[best])
        if depth < _SLACK and trial.changes(chosen):
            return _pruned(chosen, trial.changes)


def _pruned(chosen: list[int], changes: Callable[[Sequence[int]], bool]) -> list[int]:
    """Without the acts that can be spared, the hardest first."""
    for act in sorted(chosen, reverse=True):
        fewer = [i for i in chosen if i != act]
        if fewer and changes(fewer):
            chosen = fewer
    return chosen


def _bounded(trial: _Trial) -> list[int]:
    """Single acts, then more of those that helped, by a bounded number of evaluations."""
    trees = isinstance(trial.score, GameScore) and trial.score.leaves is not None
    most = EVALUATIONS["trees" if trees else "other"]
    gains: list[tuple[float, int]] = []
    for i in range(min(len(trial.options), most)):
        if trial.below((i,)):
            return [i]
        gains.append((trial.scored((i,)).logit - trial.score.logit, i))
    chosen: list[int] = []
    lowest = trial.score.logit
    for gain, i in sorted(gains):
        more = [*chosen, i]
        if gain >= 0 or trial.evaluations >= most:
            return []
        if not trial.compatible(more) or trial.scored(more).logit >= lowest:
            continue
        chosen, lowest = more, trial.scored(more).logit
        if trial.below(chosen):
            return _pruned(chosen, lambda fewer: trial.evaluations < most and trial.below(fewer))
    return []
