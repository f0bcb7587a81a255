import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torch_geometric")
pytest.importorskip("sklearn")

from riskgraph.models.bagging import Candidate, fit_bagged, plain_rows
from riskgraph.models.compiled import sigmoid
from riskgraph.models.distill import TreeRecipe, distil, fit_trees, in_parts
from riskgraph.models.fit import Recipe
from riskgraph.models.layout import Layout

QUICK = Recipe(epochs=40, steps=1, rate=0.1, own_shrink=0.1, pair_shrink=0.2)
LAYOUT = Layout.plain([f"x{i}" for i in range(5)])


def table(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values whose label follows the first, and whether the second and third are on the same side."""
    rng = np.random.default_rng(seed)
    x = rng.random((count, 5)).astype(np.float32)
    logit = 3 * x[:, 0] - 1.5 + np.where((x[:, 1] > 0.5) == (x[:, 2] > 0.5), 1.5, -1.5)
    x[rng.random((count, 5)) < 0.05] = np.nan
    return x, rng.random(count) < sigmoid(logit)


def loss(logits: np.ndarray, label: np.ndarray) -> float:
    return float(np.logaddexp(0, np.where(label, -logits, logits)).mean())


def test_a_candidate_with_pairs_is_taken_where_they_pay() -> None:
    x, label = table(2500, 1)
    candidates = [Candidate(0, QUICK), Candidate(2, QUICK)]
    model = fit_bagged(plain_rows(x, label.astype(np.int8)), LAYOUT, candidates, bags=3)
    assert model.chosen.pairs == 2
    assert [1, 2] in model.tables.edges.layout.ends.tolist()
    unseen, truth = table(1000, 2)
    alone = fit_bagged(plain_rows(x, label.astype(np.int8)), LAYOUT, candidates[:1], bags=3)
    assert loss(model.logits(unseen), truth) < loss(alone.logits(unseen), truth) - 0.05


def test_an_averaged_model_obeys_the_signs_of_its_layout() -> None:
    from dataclasses import replace

    x, label = table(1500, 3)
    falling = replace(LAYOUT, signs=np.full(5, -1, dtype=np.int8))
    model = fit_bagged(plain_rows(x, label.astype(np.int8)), falling, [Candidate(0, QUICK)], bags=2)
    assert (np.diff(model.tables.own[0, 1:]) <= 1e-12).all()


def test_parts_are_the_value_where_it_lies_in_them_and_absent_elsewhere() -> None:
    x = np.array([[1.0], [np.nan], [20.0], [35.0]], dtype=np.float32)
    x = np.concatenate([x, np.arange(60, dtype=np.float32)[:, None]])
    wide, layout = in_parts(x, Layout.plain(["x"], [], words=[0]), np.arange(4, 64))
    assert layout.components == ("x", "x.part0", "x.part1", "x.part2")
    assert layout.node.tolist() == [0, 0, 0, 0]
    assert layout.stand_in.tolist() == [0]
    np.testing.assert_array_equal(wide[:, 0], x[:, 0])
    assert (~np.isnan(wide[:, 1:])).sum(axis=1).tolist()[:4] == [1, 0, 1, 1]


def test_words_and_few_values_are_not_parted() -> None:
    x = np.stack([np.arange(60) % 3, np.arange(60) % 5], axis=1).astype(np.float32)
    wide, layout = in_parts(x, Layout.plain(["word", "count"], [(0, 1)], words=[3, 0]), np.arange(60))
    assert wide.shape == (60, 2)
    assert layout.ends.tolist() == [[0, 1]]
    assert layout.words.tolist() == [3, 0]


def test_trees_read_no_label_but_those_they_are_given() -> None:
    x, label = table(900, 4)
    train, held_out = np.arange(500), np.arange(500, 700)
    other = label.copy()
    other[700:] = ~other[700:]
    recipe = TreeRecipe(rounds=30, seeds=1)
    first, again = (fit_trees(x, y, train, held_out, recipe) for y in (label, other))
    np.testing.assert_array_equal(first, again)


def test_a_taught_network_comes_near_its_teacher_on_rows_that_neither_saw() -> None:
    x, label = table(3000, 5)
    seen = np.arange(2000)
    teacher = fit_trees(x, label, seen[:1500], seen[1500:], TreeRecipe(rounds=200, seeds=1))
    network, wide = distil(x, teacher, LAYOUT, seen[:1500], seen, pairs=3)
    unseen = np.arange(2000, 3000)
    logits = network.logits(wide[unseen])
    assert np.corrcoef(logits, teacher[unseen])[0, 1] > 0.95
    assert loss(logits, label[unseen]) < loss(teacher[unseen], label[unseen]) + 0.02


def test_what_the_teacher_says_of_rows_not_learned_from_changes_nothing() -> None:
    x, label = table(1200, 6)
    seen = np.arange(800)
    teacher = fit_trees(x, label, seen[:600], seen[600:], TreeRecipe(rounds=50, seeds=1))
    changed = teacher.copy()
    changed[800:] = 5.0
    quick = Recipe(epochs=5, steps=1, rate=0.05)
    first, again = (
        distil(x, t, LAYOUT, seen, seen, pairs=2, recipe=quick)[0].tables.flat() for t in (teacher, changed)
    )
    np.testing.assert_array_equal(first, again)


def test_a_sure_teacher_is_taught_from_at_a_temperature_and_its_scale_comes_back() -> None:
    x, _ = table(1500, 7)
    sure = np.nan_to_num(12.0 * (x[:, 0] - 0.5))
    rows = np.arange(1500)
    network, wide = distil(x, 3 * sure, LAYOUT, rows, rows, pairs=1)
    logits = network.logits(wide)
    assert np.corrcoef(logits, sure)[0, 1] > 0.97
    assert 0.7 < np.std(logits) / np.std(3 * sure) < 1.3
