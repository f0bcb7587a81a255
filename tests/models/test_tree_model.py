from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import Scale
from riskgraph.explainers.brute import brute_force, keep_only
from riskgraph.explainers.games import AnyExplainer
from riskgraph.explainers.referee import check_attribution
from riskgraph.models import load_model
from riskgraph.models.boosting import LEVELS, find_levels, on_scale, to_levels
from riskgraph.models.train import _train_rows
from riskgraph.models.trees import Forest, TreeModel, tree_inputs, write_forest
from tests.models.helpers import (
    planted_rows,
    random_card,
    random_components,
    random_forest,
    random_model,
    random_subgraph,
)

ensemble = pytest.importorskip("sklearn.ensemble")
threadpool_limits = pytest.importorskip("threadpoolctl").threadpool_limits
ORIGIN = {"provenance": "merchant", "releases": [], "window": {}}
CLASS = "pre_auth/front_end"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    _train_rows([planted_rows(6000, 3)[0]], ORIGIN, folder, kind="gbdt", seed=1, epochs=30)
    return folder


def test_numpy_trees_equal_scikit_learn() -> None:
    rows = planted_rows(4000, 2)[0]
    classifier = ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0)
    with threadpool_limits(limits=1):
        classifier.fit(tree_inputs(rows.components), rows.label)
    for components in (rows.components, random_components(3000, 9, absent=0.6)):
        expected = classifier.decision_function(tree_inputs(components))
        np.testing.assert_allclose(Forest.of(classifier).logits(components), expected, rtol=0, atol=1e-9)
        assert np.ptp(expected) > 0.5


def test_trees_on_level_numbers_and_on_values_agree() -> None:
    components, label = planted_rows(3000, 4)[0].components, planted_rows(3000, 4)[0].label
    levels = find_levels(components)
    classifier = ensemble.HistGradientBoostingClassifier(max_iter=15, random_state=0)
    with threadpool_limits(limits=1):
        classifier.fit(tree_inputs(to_levels(components, levels)), label)
    for some in (components, random_components(2000, 8, absent=0.5)):
        expected = classifier.decision_function(tree_inputs(to_levels(some, levels)))
        got = on_scale(Forest.of(classifier), levels).logits(some)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
    assert max(len(ends) for ends in levels) == LEVELS - 1


def test_a_stored_forest_loads_without_pickle_and_scores(folder: Path) -> None:
    model = load_model(folder)
    assert isinstance(model, TreeModel)
    assert model.provenance == "merchant"
    components = random_components(100, 1)
    logit, probability = model.score_batch(components, np.full(100, CLASS, dtype=object))
    expected = model.card.classes[CLASS].offset + model.forest.logits(components)
    np.testing.assert_array_equal(logit, expected)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logit)), rtol=1e-12)


def wild_forest(seed: int) -> Forest:
    """Trees over many inputs: labels without a pattern, so that nearly every node is asked for."""
    components = random_components(1500, seed, absent=0.4)
    label = np.random.default_rng(seed).integers(0, 2, 1500)
    classifier = ensemble.HistGradientBoostingClassifier(max_iter=30, min_samples_leaf=5, random_state=0)
    with threadpool_limits(limits=1):
        classifier.fit(tree_inputs(components), label)
    return Forest.of(classifier)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_reasons_of_trees_are_those_of_all_coalitions(seed: int) -> None:
    model, subgraph = TreeModel(random_card(), wild_forest(seed)), random_subgraph(seed, absent=0.1)
    asked = AnyExplainer().explain(model.score(subgraph, CLASS))
    # The nodes that count most in this order: a handful of any nodes might not be asked for at all.
    nodes = np.argsort(-np.abs(asked.phi))[:10].tolist()
    small = keep_only(subgraph, nodes)
    told = AnyExplainer().explain(model.score(small, CLASS))
    assert np.abs(told.phi - brute_force(small, model, CLASS)).max() <= 1e-6
    assert np.abs(told.phi).sum() > 0.1
    assert (told.how.method, told.gap <= 1e-9, told.how.error) == ("trees", True, None)


def test_shap_agrees_with_the_reasons_of_trees() -> None:
    pytest.importorskip("shap")
    model = TreeModel(random_card(), wild_forest(6))
    small = keep_only(random_subgraph(6, absent=0.1), list(range(60, 71)))
    phi = AnyExplainer().explain(model.score(small, CLASS)).phi
    assert phi.any()
    assert check_attribution(phi, small, model, CLASS) <= 1e-6


def test_trees_of_the_same_order_and_of_permutations_agree() -> None:
    model, subgraph = TreeModel(random_card(), wild_forest(4)), random_subgraph(4)
    score = model.score(subgraph, CLASS)
    exact = AnyExplainer().explain(score).phi
    drawn = AnyExplainer(pairs=64).explain(replace(score, leaves=None))
    assert drawn.how.error is not None
    assert np.abs(drawn.phi - exact).max() <= 5 * drawn.how.error.max()
    assert drawn.gap <= 1e-9


def test_a_context_node_with_a_part_left_out_is_explained(folder: Path) -> None:
    components = random_components(1, 5, absent=0.0)
    part = catalog().component_slices[catalog()["B131"].index]
    components[0, part.start] = np.nan
    model = TreeModel(random_card(), wild_forest(5))
    states, shares = np.zeros(137, np.uint8), np.zeros((catalog().histogram_count, 16), np.uint8)
    told = AnyExplainer().explain(model.score(OrderSubgraph(states, components[0], shares), CLASS))
    assert told.gap <= 1e-9


def test_one_order_scores_as_in_a_batch(folder: Path) -> None:
    model = load_model(folder)
    assert isinstance(model, TreeModel)
    subgraph = random_subgraph(3)
    score = model.score(subgraph, CLASS)
    (logit,), (probability,) = model.score_batch(subgraph.components[None], np.array([CLASS], dtype=object))
    assert (score.logit, score.probability) == (logit, probability)
    nobody, all_of_it = score.game(np.stack([np.zeros(137, bool), np.ones(137, bool)]))
    assert (nobody, all_of_it) == (pytest.approx(score.offset, abs=1e-12), logit)
    assert model.scale(CLASS) == Scale(score.offset, score.thresholds)
    assert model.scale("nowhere") is None
    with pytest.raises(Invalid, match="'nowhere'"):
        model.score(subgraph, "nowhere")


def test_a_forest_of_bare_leaves_has_no_reasons() -> None:
    one = np.zeros(1, dtype=np.int32)
    leaf = Forest(one, one + 0.0, one > 0, one, one, one + 0.25, one, one.astype(np.int64), one + 0.5)
    told = AnyExplainer().explain(TreeModel(random_card(), leaf).score(random_subgraph(1), CLASS))
    assert not told.phi.any()
    assert told.gap <= 1e-12


def test_trees_learn_the_planted_fraud(folder: Path) -> None:
    assert load_model(folder).card.metrics["auroc"] > 0.6


def test_a_node_that_a_merchant_never_delivers_is_no_obstacle(tmp_path: Path) -> None:
    rows = planted_rows(3000, 6)[0]
    gone = catalog().component_slices[catalog()["B033"].index]
    rows.components[:, gone] = np.nan
    _train_rows([rows], ORIGIN, tmp_path, kind="gbdt", seed=1, epochs=5)
    model = load_model(tmp_path)
    assert isinstance(model, TreeModel)
    later = rows.components.copy()
    later[:, gone] = 3.0
    np.testing.assert_array_equal(
        model.forest.logits(later)[:50] - model.forest.logits(rows.components)[:50], np.zeros(50)
    )


def test_presence_joins_the_inputs() -> None:
    components = random_components(50, 4)
    inputs = tree_inputs(components)
    assert inputs.shape == (50, 396)
    assert inputs[:, 259:].mean() == pytest.approx(1 - np.isnan(components[:, [0, 5, 6]]).mean(), abs=0.1)


def test_a_model_of_a_merchant_does_not_call_itself_simulated(folder: Path) -> None:
    assert not any("simulated" in text.lower() for text in load_model(folder).card.limits)


def test_an_unknown_class_is_named(folder: Path) -> None:
    with pytest.raises(Invalid, match="'nowhere'"):
        load_model(folder).score_batch(random_components(1, 1), np.array(["nowhere"], dtype=object))


def test_altered_trees_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("trees.npz", "card.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with (tmp_path / "trees.npz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelUnavailable, match=r"trees\.npz.*altered"):
        TreeModel.load(tmp_path)


def first(array: np.ndarray, value: float) -> np.ndarray:
    return np.concatenate([np.array([value], dtype=array.dtype), array[1:]])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("feature", lambda f: f.feature + 5000, "none of 396"),
        ("feature", lambda f: f.feature - 1, "none of 396"),
        ("left", lambda f: first(f.left, 5000), "hang in one place"),
        ("left", lambda f: np.where(f.left == 3, 0, f.left), "leads back"),
        ("right", lambda f: np.where(f.right == 2, 1, f.right), "hang in one place"),
        ("left", lambda f: first(f.left, 0), "leads back"),
        ("roots", lambda f: f.roots - 1, "negative"),
        ("roots", lambda f: f.roots[:0], "hang in one place"),
        ("depth", lambda f: np.array([10**12]), "deepest"),
        ("depth", lambda f: f.depth - 1, "deepest"),
        ("value", lambda f: f.value * np.nan, "not finite"),
        ("value", lambda f: f.value[:3], r"value is float64\[3\]"),
        ("value", lambda f: f.value.astype(str), "value is <U"),
        ("baseline", lambda f: f.baseline[:0], "baseline is"),
    ],
)
def test_a_file_whose_trees_cannot_be_walked_is_refused(
    tmp_path: Path, name: str, change: Any, message: str
) -> None:
    forest = random_forest(3, trees=4, depth=2)
    write_forest(tmp_path, replace(forest, **{name: change(forest)}), replace(random_card(3), kind="gbdt"))
    with pytest.raises(ModelUnavailable, match=rf"trees\.npz.*{message}"):
        load_model(tmp_path)


def test_a_packed_file_is_never_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "savez", np.savez_compressed)
    write_forest(tmp_path, random_forest(3), replace(random_card(3), kind="gbdt"))
    with pytest.raises(ModelUnavailable, match=r"trees\.npz.*compressed"):
        load_model(tmp_path)


def test_tables_are_no_trees(tmp_path: Path) -> None:
    random_model(tmp_path, 1)
    with pytest.raises(ModelUnavailable, match="has no trees"):
        TreeModel.load(tmp_path)
