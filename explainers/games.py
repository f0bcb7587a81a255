"""Shapley values of a score that is no sum of terms, against the order with all nodes absent.

The players are the nodes that the order has. Trees are explained exactly, leaf by leaf; any other model
by permutations of the nodes, each with its reverse, which is an estimate that states its error.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.report import PERMUTATIONS, TREES, Attribution, DecisionReport, Explained
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import Game, GameScore, Leaves, OrderScore, RiskScore
from riskgraph.explainers.shapley import ExactExplainer

PAIRS, SEED = 4, 0
# Bounds the inputs that a model holds at once.
_ROWS = 2048
_NO_PAIRS = np.zeros(len(catalog().pairs))
_OPTIONAL = np.array([node.consent_needed for node in catalog()])


class AnyExplainer:
    """The method that fits a score: closed form of terms, leaves of trees, else permutations.

    Attributes:
        pairs: Permutations with their reverses, for a model that is neither terms nor trees.

    Args:
        pairs: As the attribute.
        seed: Of the permutations, the same for every order so that a replay gives the same values.

    Raises:
        Invalid: If there are fewer than two pairs, of which no error could be told.
    """

    def __init__(self, pairs: int = PAIRS, seed: int = SEED) -> None:
        if pairs < 2:
            raise Invalid(f"an error needs at least 2 pairs of permutations, got {pairs}", field="pairs")
        self.pairs, self._seed = pairs, seed
        self._exact = ExactExplainer()

    def explain(self, score: OrderScore) -> Attribution:
        """Attribute ``logit - offset`` to the nodes (GDPR Art. 15(1)(h); PIPL Art. 24)."""
        if isinstance(score, RiskScore):
            return self._exact.explain(score)
        if score.leaves is not None:
            return _attribution(score, leaf_values(score.leaves()), Explained(TREES))
        phi, error, asked = permutation_values(score, self.pairs, self._seed)
        return _attribution(score, phi, Explained(PERMUTATIONS, self._seed, 1 + asked, error))


def explainer_of(record: DecisionReport, pairs: int = PAIRS) -> AnyExplainer:
    """The explainer as it was when a decision was made; ``pairs`` where the record does not tell.

    Permutations ask for ``2 pairs (n - 1) + 2`` coalitions of n nodes, and for two orders besides.
    """
    told = record.score.get("explained")
    if told is None or told["method"] != PERMUTATIONS:
        return AnyExplainer(pairs)
    players = int(OrderSubgraph.unpack(record.subgraph).present.sum())
    if players > 1:
        pairs = (told["evaluations"] - 4) // (2 * (players - 1))
    return AnyExplainer(pairs, told["seed"])


def _attribution(score: GameScore, phi: NDArray[np.float64], how: Explained) -> Attribution:
    gap = abs(float(np.add.reduce(phi)) - (score.logit - score.offset))
    # One evaluation more: only the model can tell what the order scores without optional data.
    bare = float(score.game((score.present & ~_OPTIONAL)[None])[0])
    how = replace(how, evaluations=how.evaluations + 1, optional=score.logit - bare)
    return Attribution(phi, phi, _NO_PAIRS, gap, how)


def leaf_values(leaves: Leaves) -> NDArray[np.float64]:
    """float64[137]: exact Shapley values of a game of leaves.

    A leaf of value w that asks for u nodes and excludes v gives ``w (u-1)! v! / (u+v)!`` to each of the u
    and ``-w u! (v-1)! / (u+v)!`` to each of the v: interventional TreeSHAP with one reference row
    (Lundberg et al. 2020), all inputs of a node being one player.
    """
    count = len(leaves.value)
    asked = np.bincount(leaves.leaf[leaves.there], minlength=count)
    excluded = np.bincount(leaves.leaf[~leaves.there], minlength=count)
    u, v = asked[leaves.leaf], excluded[leaves.leaf]
    shares = _leaf_shares(int((asked + excluded).max(initial=0)))
    share = np.where(leaves.there, shares[u - 1, v], -shares[v - 1, u])
    weights = leaves.value[leaves.leaf] * share
    return np.bincount(leaves.node, weights=weights, minlength=NODE_COUNT).astype(np.float64)


@lru_cache(maxsize=8)
def _leaf_shares(most: int) -> NDArray[np.float64]:
    """float64[most + 1, most + 1]: ``a! b! / (a + b + 1)!``, where one of a + b + 1 nodes is the player."""
    sizes = range(most + 1)
    return np.array([[1.0 / ((a + b + 1) * comb(a + b, a)) for b in sizes] for a in sizes])


def permutation_values(
    score: GameScore, pairs: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Shapley values by permutations of the nodes that are there, each beside its reverse.

    The mean over a permutation and its reverse is exact where no three nodes interact; the standard error
    is that of the mean over the pairs (Mitchell et al. 2022, antithetic sampling).

    Args:
        score: The game.
        pairs: How many permutations, reverses not counted; at least 2.
        seed: Of the draw.

    Returns:
        Values float64[137], their standard errors float64[137], and how many coalitions were asked for.
    """
    phi, error = np.zeros(NODE_COUNT), np.zeros(NODE_COUNT)
    players = np.flatnonzero(score.present)
    count = len(players)
    if not count:
        return phi, error, 0
    # place[row, player]: how many come before the player in this permutation.
    place = np.random.default_rng(seed).permuted(np.tile(np.arange(count), (pairs, 1)), axis=1)
    place = np.stack([place, count - 1 - place], axis=1).reshape(2 * pairs, count)
    joined = place[:, None, :] < np.arange(1, count)[:, None]
    masks = np.zeros((2 * pairs * (count - 1) + 2, NODE_COUNT), dtype=bool)
    masks[:-2, players] = joined.reshape(-1, count)
    masks[-1, players] = True
    logits = _ask(score.game, masks)
    values = np.empty((2 * pairs, count + 1))
    values[:, 0], values[:, count] = logits[-2:]
    values[:, 1:count] = logits[:-2].reshape(2 * pairs, count - 1)
    gained = np.take_along_axis(np.diff(values, axis=1), place, axis=1)
    each = gained.reshape(pairs, 2, count).mean(axis=1)
    phi[players], error[players] = each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(pairs)
    return phi, error, len(masks)


def _ask(game: Game, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.concatenate([game(masks[start : start + _ROWS]) for start in range(0, len(masks), _ROWS)])
