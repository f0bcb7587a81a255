from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph.bench import models, real
from riskgraph.eval.real import Fold, by_class
from riskgraph.models.distill import TreeRecipe
from riskgraph.models.fit import Recipe

REAL = {name for names in real.PARTS.values() for name in names}


def quiet(*_: object) -> None: ...


def toy_fold(seed: int, *, graph: bool) -> Fold:
    """Three numbers of which the first tells the label; ``graph`` gives held-out rows."""
    rng = np.random.default_rng(seed)
    label = rng.random(600) < 0.3
    values = rng.random((600, 3)).astype(np.float32)
    values[:, 0] += label
    train, held_out, test = by_class(label, (0.5, 0.2), seed)
    if not graph:
        train, held_out = np.concatenate([train, held_out]), held_out[:0]
    return Fold(f"toy {seed}", ("a", "b", "c"), values, (0, 0, 0), label, train, held_out, test)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    short, taught = Recipe(epochs=25, steps=1, rate=0.1), real.distil
    monkeypatch.setattr(real, "PAIRS", 1)
    monkeypatch.setattr(real, "PLAIN_TREES", TreeRecipe(rounds=20, seeds=1))
    monkeypatch.setattr(real, "TreeRecipe", lambda: TreeRecipe(rounds=20, seeds=1))
    monkeypatch.setattr(real, "CIRCLES", (real.Candidate(0, short),))
    monkeypatch.setattr(real, "distil", lambda *a, **k: taught(*a, **k, recipe=short))


def test_without_data_each_figure_is_there_with_no_value_and_the_reason(tmp_path: Path) -> None:
    figures = models.run(REAL, quiet, data=tmp_path)
    assert {f.name for f in figures} == REAL
    assert all(f.value is None and "is not under the data folder" in f.note for f in figures)


def test_only_the_named_figures_are_given(tmp_path: Path) -> None:
    assert [f.name for f in models.run({"tolokers_best"}, quiet, data=tmp_path)] == ["tolokers_best"]


@pytest.mark.usefixtures("quick")
def test_given_splits_give_means_with_intervals_beside_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real.tolokers, "folds", lambda _: (toy_fold(i, graph=True) for i in range(2)))
    steps: list[tuple[str, int, int]] = []
    rank, precision, best = models.run(
        {"tolokers_auroc", "tolokers_auprc", "tolokers_best"}, lambda *step: steps.append(step)
    )
    for figure in (rank, precision):
        assert figure.value is not None
        assert figure.baseline is not None
        assert figure.lower is not None
        assert figure.upper is not None
        assert figure.value > 0.9
        assert figure.lower < figure.value < figure.upper
        assert "network less trees" in figure.note
    assert best.baseline == real.BEST_GNN
    assert "chosen on validation masks" in best.note
    assert steps[0][1] == 0
    assert steps[-1][1] == steps[-1][2]


@pytest.mark.usefixtures("quick")
def test_test_labels_decide_nothing() -> None:
    fold = toy_fold(3, graph=True)
    before = real._taught(fold)
    fold.label[fold.test] = ~fold.label[fold.test]
    after = real._taught(fold)
    np.testing.assert_array_equal(before.network, after.network)
    np.testing.assert_array_equal(before.trees, after.trees)
    assert real._best_on_held_out([before])[0] == real._best_on_held_out([after])[0]


@pytest.mark.usefixtures("quick")
def test_test_rows_of_a_set_that_is_no_graph_are_never_learned_from() -> None:
    fold = toy_fold(4, graph=False)
    before = real._taught(fold).network[fold.train]
    fold.values[fold.test] = 0.5
    np.testing.assert_array_equal(real._taught(fold).network[fold.train], before)


@pytest.mark.usefixtures("quick")
def test_further_from_what_is_usual_never_lowers_a_score() -> None:
    fold = toy_fold(5, graph=False)
    near = real._outside_usual(fold).network
    fold.values[fold.test] += 3.0
    assert (real._outside_usual(fold).network[fold.test] >= near[fold.test] - 1e-9).all()


def test_missed_are_those_below_the_threshold_that_so_many_others_pass() -> None:
    wanted = np.array([True, True, True, False, False, False])
    logits = np.array([9.0, 4.0, 1.0, 5.0, 2.0, 0.0])
    assert [real._missed(logits, wanted, n) for n in (0, 1, 2, 9)] == [2, 1, 0, 0]


def test_a_single_value_has_no_interval() -> None:
    assert real._mean("x", np.array([0.5]), "", 0.4).lower is None
    figure = real._mean("x", np.array([0.4, 0.6]), "", 0.4)
    assert figure.value == pytest.approx(0.5)
    assert figure.upper == pytest.approx(0.5 + 12.7062 * 0.1, rel=1e-4)
