"""Exact attribution against its definition, an independent library, and the rules of absence."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.verdict import RiskScore
from riskgraph.explainers.brute import brute_force, keep_only
from riskgraph.explainers.referee import check_attribution, shap_values
from riskgraph.explainers.shapley import ExactExplainer
from tests.explainers.helpers import RandomScorer, random_subgraph

AVAILABILITY = "pre_auth/front_end"
needs_shap = pytest.mark.skipif(importlib.util.find_spec("shap") is None, reason="shap is an optional extra")


class TripleScorer(RandomScorer):
    """Adds one interaction of three nodes, which no attribution over pairs can express."""

    def score(self, subgraph: OrderSubgraph, availability: str) -> RiskScore:
        score = super().score(subgraph, availability)
        extra = 1.5 if subgraph.present[[109, 84, 94]].all() else 0.0
        return RiskScore(
            availability,
            score.offset,
            score.logit + extra,
            score.probability,
            score.thresholds,
            score.component_terms,
            score.pair_terms,
        )


def small(seed: int, size: int) -> OrderSubgraph:
    """A connected corner of the template, so that pair terms are there to be shared."""
    around_address = [109, 84, 94, 113, 107, 99, 112, 108, 68, 92, 130, 111, 12, 50][:size]
    subgraph = random_subgraph(seed, share=1.0)
    return keep_only(subgraph, around_address)


@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
def test_the_contributions_of_any_order_sum_to_its_logit(seed: int, share: float) -> None:
    score = RandomScorer(seed).score(random_subgraph(seed, share), AVAILABILITY)
    attribution = ExactExplainer().explain(score)
    assert abs(attribution.phi.sum() - (score.logit - score.offset)) <= 1e-9
    assert attribution.gap <= 1e-9


@given(seed=st.integers(0, 10_000))
def test_absent_and_refused_nodes_contribute_exactly_zero(seed: int) -> None:
    subgraph = random_subgraph(seed, refused=("behavior", "location"))
    score = RandomScorer(seed).score(subgraph, AVAILABILITY)
    attribution = ExactExplainer().explain(score)
    refused = subgraph.states == State.REFUSED
    assert refused.any()
    assert (attribution.phi[~subgraph.present] == 0.0).all()
    assert (attribution.own[refused] == 0.0).all()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 10))
def test_the_closed_form_equals_all_coalitions(seed: int, size: int) -> None:
    scorer, subgraph = RandomScorer(seed), small(seed, size)
    exact = ExactExplainer().explain(scorer.score(subgraph, AVAILABILITY))
    assert np.abs(exact.phi - brute_force(subgraph, scorer, AVAILABILITY)).max() <= 1e-9


def test_the_closed_form_equals_all_coalitions_of_twelve_nodes_with_pairs() -> None:
    scorer, subgraph = RandomScorer(5), small(5, 12)
    assert subgraph.present_pairs.sum() >= 8
    exact = ExactExplainer().explain(scorer.score(subgraph, AVAILABILITY))
    assert np.abs(exact.phi - brute_force(subgraph, scorer, AVAILABILITY)).max() <= 1e-9


def test_a_pair_term_is_shared_by_its_two_ends_in_halves() -> None:
    pair = catalog().pairs[catalog().pair_index[catalog()["B085"].index, catalog()["B110"].index]]
    score = RandomScorer(1).score(keep_only(random_subgraph(1, 1.0), [pair.a, pair.b]), AVAILABILITY)
    attribution = ExactExplainer().explain(score)
    half = attribution.pairs[pair.index] / 2
    assert half != 0.0
    assert attribution.phi[pair.a] == pytest.approx(attribution.own[pair.a] + half, abs=1e-12)
    assert attribution.phi[pair.b] == pytest.approx(attribution.own[pair.b] + half, abs=1e-12)


def test_brute_force_refuses_large_orders() -> None:
    with pytest.raises(Invalid, match="at most 14"):
        brute_force(random_subgraph(1, 1.0), RandomScorer(1), AVAILABILITY)


@needs_shap
def test_shap_agrees_on_a_twelve_node_order() -> None:
    scorer, subgraph = RandomScorer(3), small(3, 12)
    phi = ExactExplainer().explain(scorer.score(subgraph, AVAILABILITY)).phi
    assert check_attribution(phi, subgraph, scorer, AVAILABILITY) <= 1e-6


@needs_shap
def test_shap_agrees_on_a_whole_order() -> None:
    scorer, subgraph = RandomScorer(4), random_subgraph(4, 0.5)
    phi = ExactExplainer().explain(scorer.score(subgraph, AVAILABILITY)).phi
    assert check_attribution(phi, subgraph, scorer, AVAILABILITY) <= 1e-6


@needs_shap
@pytest.mark.parametrize("wrong", ["shifted", "swapped", "nan"])
def test_the_referee_catches_a_wrong_attribution(wrong: str) -> None:
    scorer, subgraph = RandomScorer(3), small(3, 8)
    phi = ExactExplainer().explain(scorer.score(subgraph, AVAILABILITY)).phi.copy()
    first, second = np.flatnonzero(subgraph.present)[:2]
    if wrong == "shifted":
        phi[first] += 1e-5
    elif wrong == "swapped":
        phi[[first, second]] = phi[[second, first]]
    else:
        phi[first] = np.nan
    with pytest.raises(CheckFailed, match="differs from the referee"):
        check_attribution(phi, subgraph, scorer, AVAILABILITY)


@needs_shap
def test_the_referee_catches_a_model_that_is_not_additive_in_pairs() -> None:
    scorer, subgraph = TripleScorer(3), small(3, 6)
    phi = ExactExplainer().explain(scorer.score(subgraph, AVAILABILITY)).phi
    with pytest.raises(CheckFailed):
        check_attribution(phi, subgraph, scorer, AVAILABILITY)


@needs_shap
def test_the_referee_leaves_the_global_random_generator_alone() -> None:
    scorer, subgraph = RandomScorer(4), random_subgraph(4, 0.2)
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr, index]
    shap_values(subgraph, scorer, AVAILABILITY)
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]
