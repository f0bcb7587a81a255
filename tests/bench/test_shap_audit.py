"""The audit with shap: it holds on what is right, and fails on what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("shap")
pytest.importorskip("torch")

from riskgraph import bootstrap
from riskgraph.bench import shap_audit
from riskgraph.bench.shap_audit import Check, audit, drawn_orders
from riskgraph.core.report import Attribution
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.games import AnyExplainer
from riskgraph.explainers.referee import deviation
from riskgraph.settings import Settings
from tests.explainers.helpers import GameScorer
from tests.models.helpers import random_model, random_tree_model
from tests.support.cli import riskgraph

Wrong = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def quiet(*_: object) -> None: ...


@pytest.fixture(autouse=True)
def few_coalitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shap_audit, "MAX_EXACT", 6)
    monkeypatch.setattr(shap_audit, "TREE_ROWS", 400)


def wrong_by(monkeypatch: pytest.MonkeyPatch, wrong: Wrong) -> None:
    right = AnyExplainer.explain

    def explain(self: AnyExplainer, score: object) -> Attribution:
        told = right(self, score)
        return replace(told, phi=wrong(told.phi))

    monkeypatch.setattr(AnyExplainer, "explain", explain)


def test_the_model_that_ships_and_trees_agree_with_shap() -> None:
    model = bootstrap.serving_model(Settings())[0]
    checks = audit(model, 2, 3, AnyExplainer(), quiet)
    assert [(c.players, c.shap) for c in checks] == [
        ("nodes", "exact"), ("nodes", "permutation"), ("nodes", "exact"), ("inputs", "tree"),
    ]  # fmt: skip
    assert all(c.held and c.exact for c in checks), checks


def test_trees_that_serve_are_audited_themselves(tmp_path: Path) -> None:
    checks = audit(random_tree_model(tmp_path, 1), 1, 0, AnyExplainer(), quiet)
    assert [(c.players, c.shap, c.held) for c in checks] == [
        ("nodes", "exact", True),
        ("inputs", "tree", True),
    ]
    assert len({c.model for c in checks}) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda phi: phi * (1 + 1e-5),
        lambda phi: phi + np.where(phi == phi.max(), 1e-5, np.where(phi == phi.min(), -1e-5, 0.0)),
        lambda phi: phi * np.nan,
    ],
    ids=["scaled", "shifted from one node to another", "nan"],
)
def test_a_wrong_attribution_does_not_hold(
    tmp_path: Path, wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(tmp_path, 2)
    wrong_by(monkeypatch, wrong)
    checks = [
        c for c in audit(model, 1, 0, AnyExplainer(), quiet) if c.players == "nodes" and c.shap == "exact"
    ]
    assert checks
    assert not any(c.held for c in checks)


def shuffled(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    wrong, players = phi.copy(), np.flatnonzero(phi)
    wrong[players] = np.roll(phi[players], 1)
    return wrong


@pytest.mark.parametrize(("wrong", "held"), [(np.copy, True), (shuffled, False)], ids=["right", "shuffled"])
def test_an_estimate_is_held_to_the_error_that_it_states(
    wrong: Wrong, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_by(monkeypatch, wrong)
    estimated = list(shap_audit._nodes("game", GameScorer(3), 3, 0, AnyExplainer(), quiet))
    assert [c.exact for c in estimated] == [False]
    assert estimated[0].additivity <= shap_audit.MAX_ADDITIVITY
    assert estimated[0].held is held


def test_the_estimates_that_are_audited_are_of_as_many_permutations_as_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[AnyExplainer] = []
    monkeypatch.setattr(shap_audit, "audit", lambda *given: asked.append(given[3]) or [])
    monkeypatch.setenv("RISKGRAPH_PERMUTATION_PAIRS", "7")
    riskgraph("audit", "shap", "--json", home=tmp_path)
    score = GameScorer(3).score(drawn_orders(1, 0)[0], shap_audit.CLASS)
    assert (asked[0].explain(score).phi == AnyExplainer(7).explain(score).phi).all()


def test_the_numbers_of_the_global_generator_are_left_alone(tmp_path: Path) -> None:
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    audit(random_model(tmp_path, 2), 1, 0, AnyExplainer(), quiet)
    assert (np.random.random(3) == expected).all()


def test_small_scores_are_held_to_the_same_share() -> None:
    phi = np.array([3e-8, -1e-8])
    assert deviation(phi, phi, 0.0, 2e-8).error == 0.0
    assert deviation(phi, phi + 1e-9, 0.0, 2e-8).error > 1e-2
    assert deviation(phi, phi, 0.0, 3e-8).additivity > 0.1
    assert deviation(phi, np.zeros(2), 0.0, 0.0).error == np.inf


def test_drawn_orders_are_valid_and_the_same_for_a_seed() -> None:
    first, again = drawn_orders(3, 7), drawn_orders(3, 7)
    assert first == again
    assert all(OrderSubgraph.unpack(order.pack()) == order for order in first)
    assert first != drawn_orders(3, 8)


def test_the_command_tells_what_held_and_exits_with_three_where_it_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = riskgraph("audit", "shap", "--orders", "1", "--json", home=tmp_path)
    told = json.loads(ran.out)
    assert (ran.code, told["held"], len(told["checks"])) == (0, True, 4)
    bad = Check("m", "nodes", "exact", 1, 0.5, 0.0, exact=True, of_limit=5e5)
    monkeypatch.setattr(shap_audit, "audit", lambda *_: [bad])
    ran = riskgraph("audit", "shap", "--json", home=tmp_path)
    assert ran.code == 3
    assert json.loads(ran.out)["checks"][0]["held"] is False
    assert "m (nodes, exact)" in ran.err
