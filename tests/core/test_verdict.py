"""The tree gives verdicts from data, and no single node decides a rejection."""

from __future__ import annotations

import copy
import json
import math
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.report import Decision
from riskgraph.core.verdict import (
    DecisionTree,
    GameScore,
    RiskScore,
    Thresholds,
    Verdict,
    canonical_json,
    logit_of,
    survives_any_single_node,
)

TREE = json.loads(resources.files("riskgraph.core").joinpath("data", "tree.json").read_text())
THRESHOLDS = Thresholds(0.3, 0.7)


def score(own: dict[str, float], pairs: dict[tuple[str, str], float] | None = None, offset=-3.0) -> RiskScore:
    terms = np.zeros(259)
    for node, value in own.items():
        terms[catalog().component_slices[catalog()[node].index].start] = value
    pair_terms = np.zeros(284)
    for (a, b), value in (pairs or {}).items():
        ends = sorted((catalog()[a].index, catalog()[b].index))
        pair_terms[catalog().pair_index[tuple(ends)]] = value
    logit = offset + terms.sum() + pair_terms.sum()
    probability = 1 / (1 + math.exp(-logit))
    return RiskScore("pre_auth/front_end", offset, logit, probability, THRESHOLDS, terms, pair_terms)


def walk(s: RiskScore):
    return DecisionTree.parse(TREE).walk(s)


def test_a_low_score_is_accepted_without_action():
    result = walk(score({}))
    assert (result.verdict, result.action) == (Verdict.ACCEPT, "none")
    assert result.path == ("band:0-0.3", "leaf:accept")


def test_a_score_between_the_thresholds_is_reviewed():
    assert walk(score({"B110": 1.5, "B085": 1.3})).verdict is Verdict.REVIEW


def test_a_high_score_on_several_nodes_is_rejected():
    result = walk(score({"B110": 3.0, "B064": 3.0, "B067": 3.0}))
    assert (result.verdict, result.action) == (Verdict.REJECT, "block")
    assert result.path == ("band:0.7-1", "leaf:reject")


def test_a_reject_that_hangs_on_one_node_becomes_a_review():
    result = walk(score({"B064": 9.0}))
    assert result.verdict is Verdict.REVIEW
    assert result.path == ("gate:single_node", "band:0.7-1", "leaf:review")


def test_a_reject_that_hangs_on_one_pair_becomes_a_review():
    assert walk(score({}, {("B110", "B085"): 9.0})).verdict is Verdict.REVIEW


@given(st.lists(st.floats(-3, 6), min_size=4, max_size=4), st.floats(-2, 5))
def test_the_gate_agrees_with_taking_every_node_away_by_hand(values, pair):
    nodes = ("B110", "B085", "B064", "B067")
    full = dict(zip(nodes, values, strict=True))
    s = score(full, {("B110", "B085"): pair})
    worst = s.logit
    for node in nodes:
        rest = {k: v for k, v in full.items() if k != node}
        kept = {} if node in ("B110", "B085") else {("B110", "B085"): pair}
        worst = min(worst, score(rest, kept).logit)
    limit = math.log(0.7 / 0.3)
    if abs(worst - limit) > 1e-9:
        assert survives_any_single_node(s) == (worst >= limit)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda t: t.pop("gates"), "tree.gates"),
        (lambda t: t["gates"][0].update(id="mood"), "tree.gates"),
        (lambda t: t["bands"].pop(), "tree.bands"),
        (lambda t: t["bands"][0].update(verdict="maybe"), "tree.bands"),
        (lambda t: t["patterns"].append({"id": "p-1"}), "tree.patterns"),
    ],
)
def test_a_wrong_tree_is_refused_and_the_part_is_named(change, field):
    tree = copy.deepcopy(TREE)
    change(tree)
    with pytest.raises(Invalid) as refused:
        DecisionTree.parse(tree)
    assert refused.value.field == field


def test_the_hash_of_a_tree_changes_with_its_content_only():
    tree = copy.deepcopy(TREE)
    reordered = dict(reversed(tree.items()))
    assert DecisionTree.parse(reordered).sha256 == DecisionTree.parse(tree).sha256
    tree["bands"][1]["action"] = "hold"
    assert DecisionTree.parse(tree).sha256 != DecisionTree.parse(TREE).sha256


def test_canonical_json_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"x": float("nan")})


@pytest.mark.parametrize(("review", "reject"), [(0.0, 0.5), (0.6, 0.5), (0.5, 1.1)])
def test_thresholds_must_rise(review, reject):
    with pytest.raises(Invalid):
        Thresholds(review, reject)


def test_a_decision_cannot_exist_without_verdict_and_report():
    facts = {"decision_id": "d", "trace_id": "t", "action": "none", "mode": "observe", "score": 0.1}
    rest = {"path": (), "degraded_cause": None, "context": "local", "availability": "pre_auth/front_end"}
    with pytest.raises(TypeError):
        Decision(**facts, **rest)
    with pytest.raises(TypeError, match="without its report"):
        Decision(verdict=Verdict.ACCEPT, report=None, **facts, **rest)
    with pytest.raises(TypeError, match="needs a Verdict"):
        Decision(verdict="accept", report=None, **facts, **rest)


def test_what_a_node_is_worth_to_a_model_without_terms_is_the_logit_without_it() -> None:
    present = np.zeros(NODE_COUNT, dtype=bool)
    present[[2, 5, 9]] = True

    def game(there):
        return -3.0 + 2.0 * there[:, 2] + 4.0 * (there[:, 5] & there[:, 9])

    found = GameScore("pre_auth/front_end", -3.0, 3.0, 0.95, THRESHOLDS, present, game).removal_effects()
    assert found[[2, 5, 9]].tolist() == [2.0, 4.0, 4.0]
    assert np.count_nonzero(found) == 3


def test_a_reject_by_a_model_without_terms_must_survive_any_node_too() -> None:
    present = np.ones(NODE_COUNT, dtype=bool)
    reject = logit_of(THRESHOLDS.reject)

    def scored(by_node):
        def game(there):
            return there @ by_node

        logit = float(by_node.sum())
        return GameScore("pre_auth/front_end", 0.0, logit, 0.999, THRESHOLDS, present, game)

    alone = np.zeros(NODE_COUNT)
    alone[3] = reject + 1
    assert walk(scored(alone)).verdict is Verdict.REVIEW
    assert walk(scored(np.full(NODE_COUNT, 2 * reject / NODE_COUNT))).verdict is Verdict.REJECT


def test_an_accepted_order_is_milder_than_a_reviewed_one_and_that_than_a_rejected_one() -> None:
    accept, review, reject = Verdict.ACCEPT, Verdict.REVIEW, Verdict.REJECT
    milder = {(a, b) for a in Verdict for b in Verdict if a.milder(b)}
    assert milder == {(accept, review), (accept, reject), (review, reject)}
