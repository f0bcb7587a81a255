"""Attribution of models that are no sums of terms, against all coalitions."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT
from riskgraph.core.errors import Invalid
from riskgraph.core.report import Explained
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import GameScore, Leaves, Thresholds
from riskgraph.explainers.brute import brute_force, keep_only
from riskgraph.explainers.games import AnyExplainer
from riskgraph.explainers.shapley import ExactExplainer
from tests.explainers.helpers import GameScorer, RandomScorer, random_subgraph

AVAILABILITY = "pre_auth/front_end"
seeds = st.integers(0, 10_000)


def small(seed: int, size: int) -> OrderSubgraph:
    subgraph = random_subgraph(seed, share=0.8)
    nodes = np.random.default_rng(seed).permutation(np.flatnonzero(subgraph.present))[:size]
    return keep_only(subgraph, nodes.tolist())


def leaf_game(leaves: Leaves, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A game of leaves by what its definition says."""
    out = np.zeros(len(masks))
    for leaf, value in enumerate(leaves.value):
        mine = leaves.leaf == leaf
        holds = (masks[:, leaves.node[mine]] == leaves.there[mine]).all(axis=1)
        out += value * holds
    return out


def all_coalitions(game: Any, players: list[int]) -> NDArray[np.float64]:
    """Shapley values from their definition, for a game over masks."""
    phi, n = np.zeros(NODE_COUNT), len(players)
    for player in players:
        others = [p for p in players if p != player]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for kept in combinations(others, size):
                masks = np.zeros((2, NODE_COUNT), dtype=bool)
                masks[:, list(kept)] = True
                masks[1, player] = True
                without, with_it = game(masks)
                phi[player] += weight * (with_it - without)
    return phi


@settings(max_examples=20, deadline=None)
@given(seed=seeds, share=st.floats(0.0, 1.0))
def test_the_contributions_of_any_game_sum_to_its_logit(seed: int, share: float) -> None:
    score = GameScorer(seed).score(random_subgraph(seed, share), AVAILABILITY)
    assert AnyExplainer().explain(score).gap <= 1e-9


@settings(max_examples=10, deadline=None)
@given(seed=seeds, size=st.integers(0, 9))
def test_permutations_are_exact_where_no_three_nodes_interact(seed: int, size: int) -> None:
    scorer, subgraph = GameScorer(seed, deep=0.0), small(seed, size)
    told = AnyExplainer(pairs=2, seed=seed).explain(scorer.score(subgraph, AVAILABILITY))
    assert np.abs(told.phi - brute_force(subgraph, scorer, AVAILABILITY)).max() <= 1e-6
    assert told.how.error is not None
    assert told.how.error.max() <= 1e-9


def test_permutations_give_the_closed_form_of_a_whole_order_that_is_a_sum_of_terms() -> None:
    subgraph = random_subgraph(3, 0.7)
    exact = ExactExplainer().explain(RandomScorer(3).score(subgraph, AVAILABILITY))
    told = AnyExplainer().explain(GameScorer(3, deep=0.0).score(subgraph, AVAILABILITY))
    assert np.abs(told.phi - exact.phi).max() <= 1e-9


@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_the_error_of_an_estimate_is_stated_and_fits_the_true_one(seed: int) -> None:
    scorer, subgraph = GameScorer(seed, deep=1.0), small(seed, 9)
    told = AnyExplainer(pairs=64, seed=seed).explain(scorer.score(subgraph, AVAILABILITY))
    true = brute_force(subgraph, scorer, AVAILABILITY)
    assert told.how.error is not None
    assert told.how.error.max() > 1e-6
    # Root mean square over the nodes: a single estimate may well lie two or three errors off.
    assert np.sqrt(((told.phi - true) ** 2).sum() / (told.how.error**2).sum()) < 3.0


def test_an_estimate_comes_nearer_with_more_permutations() -> None:
    scorer, subgraph = GameScorer(2, deep=1.0), small(2, 10)
    score, true = scorer.score(subgraph, AVAILABILITY), brute_force(subgraph, scorer, AVAILABILITY)
    few, many = (np.abs(AnyExplainer(pairs=n).explain(score).phi - true).max() for n in (2, 512))
    assert many < few / 3


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    score = GameScorer(4, deep=1.0).score(random_subgraph(4, 0.3), AVAILABILITY)
    first, again, other = (AnyExplainer(seed=seed).explain(score) for seed in (0, 0, 1))
    assert first.phi.tobytes() == again.phi.tobytes()
    assert first.phi.tobytes() != other.phi.tobytes()
    assert (first.how.seed, other.how.seed) == (0, 1)


def test_evaluations_are_counted_and_asked_in_few_calls() -> None:
    scorer = GameScorer(5, deep=1.0)
    score = scorer.score(random_subgraph(5, 0.6), AVAILABILITY)
    before = scorer.asked
    told = AnyExplainer(pairs=4).explain(score)
    count = int(score.present.sum())
    # Every prefix of four permutations and their reverses, both ends once, the score, and no optional data.
    assert told.how.evaluations == 8 * (count - 1) + 2 + 2
    assert scorer.asked - before == told.how.evaluations - 1
    assert scorer.calls <= 4


def test_nodes_that_are_not_there_have_no_share() -> None:
    subgraph = random_subgraph(6, refused=("behavior", "location"))
    told = AnyExplainer().explain(GameScorer(6, deep=1.0).score(subgraph, AVAILABILITY))
    assert (told.phi[~subgraph.present] == 0.0).all()
    assert not told.pairs.any()


def test_an_order_without_any_node_has_nothing_to_explain() -> None:
    told = AnyExplainer().explain(GameScorer(1).score(random_subgraph(1, 0.0), AVAILABILITY))
    assert not told.phi.any()
    assert told.gap <= 1e-9


def test_one_pair_of_permutations_tells_no_error_and_is_refused() -> None:
    with pytest.raises(Invalid, match="at least 2"):
        AnyExplainer(pairs=1)


def test_a_sum_of_terms_keeps_its_closed_form() -> None:
    score = RandomScorer(7).score(random_subgraph(7), AVAILABILITY)
    told, exact = AnyExplainer().explain(score), ExactExplainer().explain(score)
    assert told.how == Explained("closed_form", None, 1, None, None)
    assert told.phi.tobytes() == exact.phi.tobytes()


@settings(max_examples=25, deadline=None)
@given(seed=seeds, size=st.integers(1, 6), leaves=st.integers(1, 12))
def test_leaves_of_any_conditions_are_explained_exactly(seed: int, size: int, leaves: int) -> None:
    rng = np.random.default_rng(seed)
    players = np.sort(rng.choice(NODE_COUNT, size, replace=False))
    asked = rng.random((leaves, size)) < 0.6
    leaf, place = np.nonzero(asked)
    game = Leaves(rng.normal(size=leaves), leaf, players[place], rng.random(len(leaf)) < 0.6)
    present = np.zeros(NODE_COUNT, dtype=bool)
    present[players] = True
    ends = leaf_game(game, np.stack([np.zeros_like(present), present]))
    score = GameScore(
        AVAILABILITY, ends[0], ends[1], 0.5, Thresholds(0.5, 0.8), present,
        lambda masks: leaf_game(game, masks), lambda: game,
    )  # fmt: skip
    told = AnyExplainer().explain(score)
    assert told.gap <= 1e-9
    assert np.abs(told.phi - all_coalitions(lambda m: leaf_game(game, m), players.tolist())).max() <= 1e-9
    assert (told.how.method, told.how.error, told.how.seed) == ("trees", None, None)
