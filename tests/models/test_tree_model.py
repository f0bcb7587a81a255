from pathlib import Path

import numpy as np
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, ModelUnavailable
from riskgraph.models import load_model
from riskgraph.models.boosting import LEVELS, find_levels, on_scale, to_levels
from riskgraph.models.train import _train_rows
from riskgraph.models.trees import Forest, TreeModel, tree_inputs
from tests.models.helpers import planted_rows, random_components, random_model

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
    assert not model.explainable
    assert model.provenance == "merchant"
    components = random_components(100, 1)
    logit, probability = model.score_batch(components, np.full(100, CLASS, dtype=object))
    expected = model.card.classes[CLASS].offset + model.forest.logits(components)
    np.testing.assert_array_equal(logit, expected)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logit)), rtol=1e-12)


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


def test_tables_are_no_trees(tmp_path: Path) -> None:
    random_model(tmp_path, 1)
    with pytest.raises(ModelUnavailable, match="has no trees"):
        TreeModel.load(tmp_path)
