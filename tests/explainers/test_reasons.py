"""Which reasons a verdict gets, and that none rests on what is not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.report import Attribution
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.verdict import Verdict
from riskgraph.explainers.reasons import SEED_CODE, band_of, choose_reasons
from riskgraph.explainers.shapley import ExactExplainer, pair_sums
from tests.explainers.helpers import RandomScorer, random_subgraph, some_record

SEED_PAIR = ("B110", "B085")


def attribution_with(own: dict[str, float], pairs: dict[tuple[str, str], float] | None = None) -> Attribution:
    own_terms, pair_terms = np.zeros(NODE_COUNT), np.zeros(len(catalog().pairs))
    for key, value in own.items():
        own_terms[catalog()[key].index] = value
    for (a, b), value in (pairs or {}).items():
        ends = sorted((catalog()[a].index, catalog()[b].index))
        pair_terms[catalog().pair_index[ends[0], ends[1]]] = value
    return Attribution(own_terms + 0.5 * pair_sums(pair_terms), own_terms, pair_terms, 0.0)


def far_order(band: str = "km1000", location: str = "unavailable", **values: Any) -> OrderSubgraph:
    return OrderSubgraph.build({"B110": band, "B085": location, **values}, {})


def test_a_far_address_with_an_unconfirmed_location_is_one_reason() -> None:
    chosen = choose_reasons(attribution_with({"B110": 0.2}, {SEED_PAIR: 1.8}), far_order(), Verdict.REVIEW)
    first = chosen.reasons[0]
    assert (first.code, first.nodes, first.direction, first.band) == (SEED_CODE, SEED_PAIR, "risk", "strong")
    # What the distance adds by itself belongs to the same fact.
    assert [r.share for r in chosen.reasons] == [pytest.approx(1.0)]


@pytest.mark.parametrize(("band", "location"), [("km5", "unavailable"), ("km1000", "granted")])
def test_the_seed_reason_needs_both_facts(band: str, location: str) -> None:
    chosen = choose_reasons(attribution_with({}, {SEED_PAIR: 1.0}), far_order(band, location), Verdict.REJECT)
    assert chosen.reasons[0].code == "location_permission_state_with_ship_history_distance_band"


TWO = {"B064": 3.0, "B060": 2.0}


def chosen_of(
    order: OrderSubgraph, own: dict[str, float], pairs: dict[tuple[str, str], float] | None = None
) -> list[tuple[tuple[str, ...], Any]]:
    """Nodes and share of each reason of a review."""
    chosen = choose_reasons(attribution_with(own, pairs), order, Verdict.REVIEW)
    return [(r.nodes, pytest.approx(r.share)) for r in chosen.reasons]


def test_a_term_that_shares_a_node_with_a_larger_reason_adds_to_it() -> None:
    order = OrderSubgraph.build(TWO, {})
    own, pairs = {"B064": 1.0, "B060": 0.4}, {("B064", "B060"): 0.6}
    assert chosen_of(order, own, pairs) == [(("B064",), 0.8), (("B060",), 0.2)]
    assert choose_reasons(attribution_with(own, pairs), order, Verdict.REVIEW).other_share == pytest.approx(0)


def test_a_pair_that_outweighs_its_ends_speaks_for_both() -> None:
    order = OrderSubgraph.build(TWO, {})
    assert chosen_of(order, {"B064": 0.5, "B060": 0.4}, {("B064", "B060"): 0.6}) == [(("B060", "B064"), 1.0)]


def test_a_fact_that_many_terms_share_outranks_one_large_term() -> None:
    order = far_order(B114=0.0, B064=3.0)
    assert chosen_of(order, {"B064": 0.5}, {SEED_PAIR: 0.4, ("B110", "B114"): 0.3}) == [
        (("B110", "B085", "B114"), 0.7 / 1.2),
        (("B064",), 0.5 / 1.2),
    ]


def test_no_principal_factor_hides_behind_a_larger_one() -> None:
    order = OrderSubgraph.build(TWO, {})
    assert chosen_of(order, {"B064": 1.0}, {("B064", "B060"): 0.9}) == [(("B064", "B060"), 1.0)]


def test_a_small_term_is_told_only_where_every_node_of_it_is_named() -> None:
    order = OrderSubgraph.build({**TWO, "B071": 1.0}, {})
    own, pairs = {"B064": 1.0}, {("B064", "B060"): 0.04}
    (unnamed,) = chosen_of(order, own, pairs)
    assert unnamed == (("B064",), 1 / 1.04)
    assert chosen_of(order, {**own, "B060": 0.06}, pairs) == [
        (("B064",), 1.04 / 1.1),
        (("B060",), 0.06 / 1.1),
    ]


def test_a_pair_between_two_reasons_belongs_to_the_larger() -> None:
    order = OrderSubgraph.build(TWO, {})
    own, pairs = {"B064": 1.0, "B060": 0.9}, {("B064", "B060"): 0.1}
    assert chosen_of(order, own, pairs) == [(("B064",), 0.55), (("B060",), 0.45)]


def test_what_reasons_name_is_not_told_again_for_the_other_side() -> None:
    order = OrderSubgraph.build({**TWO, "B071": 1.0, "B092": "y3"}, {})
    given = attribution_with({"B064": 1.2, "B060": -0.5, "B092": -0.4}, {("B064", "B060"): 0.9})
    chosen = choose_reasons(given, order, Verdict.REVIEW)
    assert [r.nodes for r in chosen.reasons] == [("B064", "B060")]
    assert [(r.nodes, r.share) for r in chosen.mitigating] == [(("B092",), pytest.approx(0.4 / 0.9))]


def test_equal_facts_stand_in_the_order_of_the_catalogue() -> None:
    order = OrderSubgraph.build(TWO, {})
    assert [nodes for nodes, _ in chosen_of(order, {"B064": 1.0, "B060": 1.0})] == [("B060",), ("B064",)]


def test_a_reason_stands_for_a_twentieth_at_least() -> None:
    order = OrderSubgraph.build(TWO, {})
    assert [nodes for nodes, _ in chosen_of(order, {"B064": 0.94, "B060": 0.06})] == [("B064",), ("B060",)]
    assert [nodes for nodes, _ in chosen_of(order, {"B064": 0.96, "B060": 0.04})] == [("B064",)]


def test_small_terms_are_dropped_but_never_the_largest() -> None:
    values = {n.id: 1.0 for n in catalog() if n.family == "FOC"}
    terms = {n.id: 0.01 for n in catalog() if n.family == "FOC"}
    many = {n.id: 0.001 for n in catalog() if n.form == "number" and n.id not in values}
    subgraph = OrderSubgraph.build({**values, **{k: catalog()[k].bounds[0] for k in many}}, {})
    one_large = choose_reasons(attribution_with({**terms, "B071": 1.0}), subgraph, Verdict.REVIEW)
    assert [r.nodes for r in one_large.reasons] == [("B071",)]
    all_small = choose_reasons(
        attribution_with({**dict.fromkeys(many, 0.01), "B071": 0.011}), subgraph, Verdict.REVIEW
    )
    assert [r.nodes for r in all_small.reasons] == [("B071",)]
    assert all_small.reasons[0].share < 0.05


def test_an_accepted_order_gets_relief_as_its_reasons_and_risk_beside_them() -> None:
    subgraph = OrderSubgraph.build({"B092": "y3", "B064": 1.0}, {})
    chosen = choose_reasons(attribution_with({"B092": -1.0, "B064": 0.5}), subgraph, Verdict.ACCEPT)
    assert [(r.nodes, r.direction) for r in chosen.reasons] == [(("B092",), "relief")]
    assert [(r.nodes, r.direction) for r in chosen.mitigating] == [(("B064",), "risk")]


def test_a_rejected_order_gets_risk_as_its_reasons_and_relief_beside_them() -> None:
    subgraph = OrderSubgraph.build({"B092": "y3", "B064": 1.0}, {})
    chosen = choose_reasons(attribution_with({"B092": -1.0, "B064": 0.5}), subgraph, Verdict.REJECT)
    assert [(r.nodes, r.direction) for r in chosen.reasons] == [(("B064",), "risk")]
    assert [(r.nodes, r.direction) for r in chosen.mitigating] == [(("B092",), "relief")]


def test_a_term_claimed_for_an_absent_node_gives_no_reason() -> None:
    subgraph = OrderSubgraph.build({"B092": "d0"}, {"B085": State.REFUSED})
    lying = attribution_with({"B092": 0.1, "B085": 5.0}, {SEED_PAIR: 3.0})
    assert [r.nodes for r in choose_reasons(lying, subgraph, Verdict.REJECT).reasons] == [("B092",)]


def test_an_order_without_any_present_node_has_no_reason() -> None:
    chosen = choose_reasons(attribution_with({}), OrderSubgraph.build({}, {}), Verdict.REVIEW)
    assert (chosen.reasons, chosen.mitigating, chosen.other_share) == ((), (), 0.0)


@given(seed=st.integers(0, 10_000), verdict=st.sampled_from(list(Verdict)))
def test_reasons_are_few_real_and_rest_on_present_nodes(seed: int, verdict: Verdict) -> None:
    subgraph = random_subgraph(seed, refused=("location", "motion"))
    score = RandomScorer(seed).score(subgraph, "pre_auth/front_end")
    chosen = choose_reasons(ExactExplainer().explain(score), subgraph, verdict)
    assert 1 <= len(chosen.reasons) <= 4
    for reason in (*chosen.reasons, *chosen.mitigating):
        assert all(subgraph.state(node) is State.PRESENT for node in reason.nodes)
        assert reason.band == band_of(reason.share)
    total = sum(r.share for r in chosen.reasons) + chosen.other_share
    assert total == pytest.approx(1.0)


@given(seed=st.integers(0, 10_000), verdict=st.sampled_from(list(Verdict)))
def test_no_fact_is_told_twice_or_on_both_sides_and_shares_are_of_terms_that_are_told(
    seed: int, verdict: Verdict
) -> None:
    subgraph = random_subgraph(seed)
    found = ExactExplainer().explain(RandomScorer(seed).score(subgraph, "pre_auth/front_end"))
    chosen = choose_reasons(found, subgraph, verdict)
    sign = -1 if verdict is Verdict.ACCEPT else 1
    own = dict(
        zip([n.id for n in catalog()], np.maximum(sign * found.own, 0) * subgraph.present, strict=True)
    )
    pairs = np.maximum(sign * found.pairs, 0) * subgraph.present_pairs
    mass = sum(own.values()) + pairs.sum()
    named = [node for reason in chosen.reasons for node in reason.nodes]
    both = named + [node for reason in chosen.mitigating for node in reason.nodes]
    assert len(both) == len(set(both))
    ends = [{catalog().nodes[p.a].id, catalog().nodes[p.b].id} for p in catalog().pairs]
    told = sum(own[node] for node in named) + sum(
        g for g, e in zip(pairs, ends, strict=True) if e <= set(named)
    )
    assert sum(r.share for r in chosen.reasons) <= told / mass + 1e-9
    assert [r.share for r in chosen.reasons] == sorted([r.share for r in chosen.reasons], reverse=True)


@given(seed=st.integers(0, 10_000))
def test_reasons_are_the_same_when_they_are_chosen_again(seed: int) -> None:
    assert some_record(seed) == some_record(seed)
