"""The audit with shap: it holds on what is right, and fails on what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("shap")
pytest.importorskip("torch")

from riskgraph import bootstrap
from riskgraph.bench import sampler_audit, shap_audit
from riskgraph.bench.sampler_audit import Sampled
from riskgraph.bench.shap_audit import Check, audit, drawn_orders
from riskgraph.core.report import Attribution
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.games import AnyExplainer
from riskgraph.explainers.referee import deviation
from riskgraph.models.graph_model import GraphModel
from riskgraph.models.rows import split
from riskgraph.settings import Settings
from tests.explainers.helpers import GameScorer
from tests.models.helpers import planted_rows, random_card, random_model, random_tree_model
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


right_or_not = pytest.mark.parametrize(
    ("wrong", "held"), [(np.copy, True), (shuffled, False)], ids=["right", "shuffled"]
)


@right_or_not
def test_an_estimate_is_held_to_the_error_that_it_states(
    wrong: Wrong, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_by(monkeypatch, wrong)
    estimated = list(shap_audit._nodes("game", GameScorer(3), 3, 0, AnyExplainer(), quiet))
    assert [c.exact for c in estimated] == [False]
    assert estimated[0].additivity <= shap_audit.MAX_ADDITIVITY
    assert estimated[0].held is held


@pytest.mark.parametrize("pairs", [2, 3, 8])
def test_a_right_estimate_from_few_permutations_holds(pairs: int) -> None:
    explainer = AnyExplainer(pairs)
    for seed in range(4):
        (check,) = shap_audit._nodes("game", GameScorer(seed, deep=2.0), 6, seed, explainer, quiet)
        assert check.held, check


@pytest.mark.parametrize("pairs", [2, 3, 5, 24])
def test_the_interval_of_an_estimate_covers_as_often_whatever_the_number_of_pairs(pairs: int) -> None:
    drawn = np.random.default_rng(pairs).normal(size=(200_000, pairs))
    error = drawn.std(axis=1, ddof=1) / np.sqrt(pairs)
    missed = np.abs(drawn.mean(axis=1)) > shap_audit.standard_errors(pairs) * error
    # 12.7 are expected in 200,000; a factor of 4 for all would let 31,000 of two pairs miss.
    assert missed.sum() < 40


@pytest.fixture(scope="module")
def trained_network(tmp_path_factory: pytest.TempPathFactory) -> GraphModel:
    pytest.importorskip("torch_geometric")
    from riskgraph.models.fit_graph import GraphRecipe, fit_graph
    from riskgraph.models.graph_network import Sizes

    recipe = GraphRecipe(epochs=4, rate=1e-2, sizes=Sizes(width=6, layers=2, heads=2, hidden=8))
    fit = fit_graph("gatv2", *split(planted_rows(1500, 7)[0], 0), seed=0, recipe=recipe)
    folder = tmp_path_factory.mktemp("gatv2")
    fit.write(folder, replace(random_card(), kind="gatv2"))
    return GraphModel.load(folder)


@right_or_not
def test_a_trained_network_is_audited_as_it_serves(
    trained_network: GraphModel, wrong: Wrong, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_by(monkeypatch, wrong)
    first = audit(trained_network, 2, 0, AnyExplainer(16), quiet)[0]
    assert (first.model.split()[0], first.players, first.exact) == ("gatv2", "nodes", False)
    # Beside a sum of terms permutations would be exact; here three and more nodes interact.
    assert first.error > 1e-9
    assert first.held is held


def test_permutations_of_the_gate_come_near_to_exact_values_of_trees() -> None:
    trees = sampler_audit.taught_trees(bootstrap.serving_model(Settings())[0], 0)
    found = sampler_audit.beside_exact("trees", trees, drawn_orders(20, 0), quiet)
    assert found.held, found
    assert 0 < found.relative_l2 < found.worst_relative_l2
    assert 4_000 < found.evaluations <= sampler_audit.EVALUATIONS


@pytest.mark.parametrize("share", [0.1, np.nan], ids=["too far", "nan"])
def test_permutations_that_are_off_fail_the_gate(
    tmp_path: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = sampler_audit.permutation_values

    def wrong(*given: Any) -> Any:
        phi, error, asked = right(*given)
        return phi * (1 + share), error, asked

    trees, orders = random_tree_model(tmp_path, 1), drawn_orders(2, 0)
    # As many evaluations as bring a right estimate near.
    monkeypatch.setattr(sampler_audit, "EVALUATIONS", 40_000)
    assert sampler_audit.beside_exact("trees", trees, orders, quiet).held
    monkeypatch.setattr(sampler_audit, "permutation_values", wrong)
    assert not sampler_audit.beside_exact("trees", trees, orders, quiet).held


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
    assert told["sampler"]["held"]
    assert told["sampler"]["relative_l2"] <= sampler_audit.MAX_RELATIVE_L2
    bad = Check("m", "nodes", "exact", 1, 0.5, 0.0, exact=True, of_limit=5e5)
    monkeypatch.setattr(shap_audit, "audit", lambda *_: [bad])
    ran = riskgraph("audit", "shap", "--json", home=tmp_path)
    assert ran.code == 3
    assert json.loads(ran.out)["checks"][0]["held"] is False
    assert "m (nodes, exact)" in ran.err
    monkeypatch.setattr(shap_audit, "audit", lambda *_: [])
    far = Sampled("g", 3, 9, 0.5, 0.01, 0.6, 0.02)
    monkeypatch.setattr(sampler_audit, "audit_sampler", lambda *_: far)
    ran = riskgraph("audit", "shap", "--json", home=tmp_path)
    assert (ran.code, json.loads(ran.out)["sampler"]["held"]) == (3, False)
    assert "relative L2 error 0.500" in ran.err
