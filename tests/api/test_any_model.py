"""A service over a model that is no sum of terms."""

from __future__ import annotations

from dataclasses import replace

import pytest

from riskgraph.core.report import PERMUTATIONS, TREES
from tests.api.conftest import order
from tests.explainers.helpers import GameScorer

METHODS = {TREES: "leaf by leaf", PERMUTATIONS: "standard error"}


@pytest.fixture(params=list(METHODS))
def game_shop(request, tree_shop):
    """The shop, and how its model is explained."""
    if request.param == PERMUTATIONS:
        line = tree_shop.service.line
        tree_shop.service.line = replace(line, scorer=GameScorer(3, deep=1.0))
    return tree_shop, request.param


def fetch(shop, decision, **query):
    link = f"/v1/decisions/{decision['decision_id']}/report"
    return shop.client.get(link, params=query, headers=shop.headers("compliance"))


def test_an_order_gets_a_verdict_with_single_nodes_as_reasons(game_shop):
    shop, _ = game_shop
    answer = shop.decide(order()).json()
    assert (answer["degraded"], answer["degraded_cause"]) == (False, None)
    assert answer["reasons"]
    assert all(len(reason["nodes"]) == 1 and reason["text"] for reason in answer["reasons"])


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_its_reports_exist_for_both_readers_and_say_how_they_were_made(game_shop, lang):
    shop, method = game_shop
    decision = shop.decide(order()).json()
    for audience in ("subject", "compliance"):
        for form in ("json", "html"):
            assert (
                fetch(shop, decision, audience=audience, law="both", lang=lang, format=form).status_code
                == 200
            )
    told = fetch(shop, decision, audience="compliance", law="both", lang=lang, format="json").json()
    shares = told["compliance"]["attribution"]
    assert (shares["method_id"], shares["error"] is None) == (method, method == TREES)
    assert shares["additivity_gap"] <= 1e-6
    assert lang == "zh" or METHODS[method] in shares["method"]


def test_what_refusing_all_would_have_meant_is_what_refusing_all_means(tree_shop):
    shop = tree_shop
    asked = order()
    granted = shop.decide(asked).json()
    told = fetch(shop, granted, audience="compliance", law="both", lang="en", format="json").json()
    purposes = dict.fromkeys(asked["consent"]["purposes"], False)
    refused = shop.decide(order(order_id="A-2", consent=asked["consent"] | {"purposes": purposes})).json()
    assert refused["availability_class"].endswith("/refused")
    assert told["compliance"]["optional_data"]["probability"] == pytest.approx(refused["score"], abs=1e-3)


def test_a_model_whose_shares_do_not_add_up_gives_a_degraded_review(tree_shop):
    shop = tree_shop
    scorer = shop.service.line.scorer

    class Off:
        versions, provenance, scale = scorer.versions, scorer.provenance, scorer.scale

        def score(self, subgraph, availability):
            score = scorer.score(subgraph, availability)
            return replace(score, logit=score.logit + 1e-5)

    shop.service.line = replace(shop.service.line, scorer=Off())
    answer = shop.decide(order()).json()
    assert (answer["verdict"], answer["degraded_cause"]) == ("review", "explanation_inexact")
