"""Reports of a model that is no sum of terms."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.report import DecisionReport
from riskgraph.core.verdict import GameScore, Leaves
from riskgraph.explainers.games import AnyExplainer
from riskgraph.explainers.graph_svg import graph_svg
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.record import attribution_of
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render, schema
from riskgraph.stores.codec import decode_record, encode_record
from tests.explainers.helpers import GameScorer, random_subgraph, some_record

DEMO = MerchantProfile.demo()
VALIDATOR = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker())
SUBGRAPH = random_subgraph(2, refused=("motion",))
OPTIONAL = np.array([node.consent_needed for node in catalog()])


def scored(deep: float = 1.0) -> GameScore:
    return GameScorer(2, deep).score(SUBGRAPH, "pre_auth/front_end")


def as_leaves(score: GameScore) -> GameScore:
    """One leaf a node, worth what the node adds alone: trees of depth one."""
    alone = np.diag(score.present)[score.present]
    value = score.game(alone) - score.offset
    nodes = np.flatnonzero(score.present)
    leaves = Leaves(value, np.arange(len(nodes)), nodes, np.ones(len(nodes), dtype=bool))
    sums = np.zeros(len(score.present))
    sums[nodes] = value
    return replace(
        score,
        logit=score.offset + float(value.sum()),
        game=lambda masks: score.offset + masks @ sums,
        leaves=lambda: leaves,
    )


def record_of(method: str) -> DecisionReport:
    return some_record(2, subgraph=SUBGRAPH, score=as_leaves(scored()) if method == "trees" else scored())


def report(record: DecisionReport, audience: str = "compliance", lang: str = "en") -> dict[str, Any]:
    return render(record, audience=audience, law="both", lang=lang, merchant=DEMO)


@pytest.mark.parametrize("method", ["trees", "permutations"])
@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_reports_follow_the_schema_and_have_a_page(method: str, lang: str, audience: str) -> None:
    record = record_of(method)
    VALIDATOR.validate(report(record, audience, lang))
    page = render_html(record, audience=audience, law="both", lang=lang, merchant=DEMO)
    assert ("<h3>Pairs" in page, "<h3>成对" in page) == (False, False)
    assert "<svg" in graph_svg(record, lang)


@pytest.mark.parametrize(("lang", "word", "share"), [("en", "exact", "exactly"), ("zh", "精确", "精确计算")])
def test_exact_contributions_are_called_exact(lang: str, word: str, share: str) -> None:
    told = report(record_of("trees"), lang=lang)
    shares = told["compliance"]["attribution"]
    assert (shares["method_id"], shares["seed"], shares["error"]) == ("trees", None, None)
    assert word in shares["method"]
    assert share in told["logic_summary"]["text"]


@pytest.mark.parametrize(("lang", "word"), [("en", "estimate"), ("zh", "估计")])
def test_an_estimate_is_called_one_and_states_seed_evaluations_and_error(lang: str, word: str) -> None:
    record = record_of("permutations")
    told = report(record, lang=lang)
    shares, attribution = told["compliance"]["attribution"], attribution_of(record)
    assert attribution is not None
    assert attribution.how.error is not None
    assert (shares["method_id"], shares["seed"]) == ("permutations", 0)
    assert shares["evaluations"] == attribution.how.evaluations > 100
    assert shares["error"]["largest"] == attribution.how.error.max() > 0
    assert shares["error"]["nodes"][0]["standard_error"] == shares["error"]["largest"]
    assert f"{attribution.how.error.max():.1e}" in shares["method"]
    assert word in shares["method"]
    assert word in told["logic_summary"]["text"]
    page = render_html(record, audience="compliance", law="both", lang=lang, merchant=DEMO)
    assert shares["method"] in page
    assert word in report(record, "subject", lang)["logic_summary"]["text"]


@pytest.mark.parametrize("method", ["trees", "permutations"])
def test_a_stored_record_gives_the_same_report_and_attribution(method: str) -> None:
    record = record_of(method)
    stored = decode_record(encode_record(record))
    assert report(stored) == report(record)
    score = as_leaves(scored()) if method == "trees" else scored()
    again, kept = AnyExplainer().explain(score), attribution_of(stored)
    assert kept is not None
    assert kept.phi.tobytes() == again.phi.tobytes()
    assert (kept.how.error is None) == (method == "trees")
    assert replace(kept.how, error=None) == replace(again.how, error=None)
    assert json.loads(json.dumps(dict(record.score))) == dict(record.score)


@pytest.mark.parametrize("method", ["trees", "permutations"])
def test_reasons_are_single_nodes_and_contributions_sum_to_the_score(method: str) -> None:
    told = report(record_of(method))
    assert told["reasons"]
    assert all(r["interaction_of"] == [] for r in told["reasons"] + told["mitigating_factors"])
    shares, nodes = told["compliance"]["attribution"], told["compliance"]["nodes"]
    assert shares["pair_phi"] == []
    assert {row["own"] for row in nodes} == {None}
    total = shares["base_value"] + sum(row["phi"] for row in nodes)
    assert total == pytest.approx(shares["value"], abs=1e-6)


def test_taking_optional_data_away_asks_the_model_and_does_not_add_shares() -> None:
    score = scored()
    told = report(record_of("permutations"))["compliance"]["optional_data"]
    bare = float(score.game((score.present & ~OPTIONAL)[None])[0])
    assert told["contribution"] == pytest.approx(score.logit - bare, abs=1e-12)
    shares = AnyExplainer().explain(score).phi[OPTIONAL].sum()
    assert abs(told["contribution"] - shares) > 1e-3


def test_a_refused_node_has_no_share_in_a_game_either() -> None:
    gate = report(record_of("permutations"))["consent_gate"]
    assert gate["features"]
    assert (gate["contribution_of_refused"], gate["flipped"]) == (0.0, False)


@pytest.mark.parametrize(
    ("lang", "claimed", "said"), [("en", "neither raised", "not told"), ("zh", "既没有", "不知道")]
)
def test_no_more_is_said_of_a_refusal_than_holds_of_any_model(lang: str, claimed: str, said: str) -> None:
    statement = report(record_of("permutations"), lang=lang)["consent_gate"]["statement"]
    assert said in statement
    assert claimed not in statement
