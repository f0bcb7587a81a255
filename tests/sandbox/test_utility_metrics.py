"""AUC and recall on the grid, and the paired bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.eval.metrics import auc, roc_curve
from riskgraph.sandbox.utility_metrics import FPR_GRID, RECALL_FPR, Ranking, Sample, Trials


def _scores(seed: int, shift: float, honest: int = 4000, fraud: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    is_fraud = np.repeat([False, True], [honest, fraud])
    return rng.normal(0, 1, len(is_fraud)) + shift * is_fraud, is_fraud


def _mean(scores: np.ndarray, is_fraud: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    honest = np.ones(int((~is_fraud).sum())) if weight is None else weight
    return Ranking.of(scores, is_fraud).credits(honest).mean(axis=1)


def test_the_grid_has_at_most_200_steps_and_the_point_that_is_asked_for() -> None:
    assert len(FPR_GRID) <= 201
    assert RECALL_FPR in FPR_GRID
    assert (FPR_GRID[0], FPR_GRID[-1]) == (0.0, 1.0)


@given(st.integers(0, 10_000), st.floats(0, 4))
def test_the_figures_are_those_of_the_whole_curve_but_for_the_grid(seed: int, shift: float) -> None:
    scores, is_fraud = _scores(seed, shift)
    area, recall = _mean(scores, is_fraud)
    assert area == pytest.approx(auc(scores, is_fraud), abs=2e-3)
    assert recall == pytest.approx(roc_curve(scores, is_fraud).recall_at_fpr(RECALL_FPR), abs=6e-3)


@given(st.integers(0, 10_000))
def test_only_the_order_of_scores_counts(seed: int) -> None:
    scores, is_fraud = _scores(seed, 1.0, 300, 60)
    np.testing.assert_array_equal(_mean(scores, is_fraud), _mean(np.exp(3 * scores), is_fraud))


def test_scores_that_are_all_alike_are_worth_a_coin() -> None:
    _, is_fraud = _scores(1, 0.0)
    area, recall = _mean(np.zeros(len(is_fraud)), is_fraud)
    assert area == pytest.approx(0.5, abs=0.02)
    assert recall == 0


@given(st.integers(0, 10_000))
def test_a_weight_of_two_is_an_order_that_comes_twice(seed: int) -> None:
    scores, is_fraud = _scores(seed, 1.0, 500, 80)
    times = np.random.default_rng(seed).integers(0, 3, 500)
    twice = np.concatenate([np.repeat(scores[~is_fraud], times), scores[is_fraud]])
    again = np.repeat([False, True], [int(times.sum()), 80])
    np.testing.assert_allclose(
        _mean(scores, is_fraud, times.astype(float)), _mean(twice, again), rtol=0, atol=1e-12
    )


def _sample(is_fraud: np.ndarray, size: int = 10) -> Sample:
    count = int(is_fraud.sum())
    component = np.random.default_rng(0).permutation(len(is_fraud)) // size
    cells = np.stack([np.ones(count, bool), np.arange(count) % 2 == 0])
    return Sample(is_fraud, component.astype(np.int64), cells, np.array([False, False]))


def _trials(is_fraud: np.ndarray, *sources: list[np.ndarray]) -> Trials:
    known = [[Ranking.of(scores, is_fraud) for scores in seeds] for seeds in sources]
    none = [[[] for _ in seeds] for seeds in sources]
    return Trials(known, none, np.full(int(is_fraud.sum()), -1))


def test_equal_models_lose_nothing_with_certainty() -> None:
    scores, is_fraud = _scores(2, 1.5)
    found = _sample(is_fraud).compare(
        _trials(is_fraud, [scores, -scores], [scores, -scores]), 30, np.random.default_rng(0)
    )
    assert not found[..., 2:].any()


def test_a_real_loss_is_told_from_none_and_its_interval_covers_the_truth() -> None:
    better, is_fraud = _scores(3, 2.0, 8000, 1500)
    worse = better - 0.7 * is_fraud
    found = _sample(is_fraud, 3).compare(_trials(is_fraud, [better], [worse]), 200, np.random.default_rng(0))
    # Phi(2 / sqrt 2) - Phi(1.3 / sqrt 2): areas of two normal classes that lie 2 and 1.3 apart.
    _, _, loss, low, high = found[0, 0]
    assert 0 < low < 0.9214 - 0.8210 < high
    assert loss == pytest.approx(0.1004, abs=0.02)


def test_unseen_fraud_is_judged_by_the_model_that_left_its_kind_out() -> None:
    scores, is_fraud = _scores(4, 3.0, 1000, 200)
    fold = np.arange(200) % 2
    blind = np.where(is_fraud, -10.0, scores)
    seen = [[Ranking.of(scores, is_fraud)]] * 2
    # Fold 0 was left out by a model that then finds nothing, fold 1 by one that finds all.
    unseen = [[[Ranking.of(blind, is_fraud), Ranking.of(np.where(is_fraud, 10.0, scores), is_fraud)]]] * 2
    cells = np.stack([fold == 0, fold == 1])
    sample = Sample(is_fraud, np.arange(1200), cells, np.array([True, True]))
    found = sample.figures(Trials(seen, unseen, fold), np.ones(1200), np.array([0]))
    assert found[0].max() < 0.03
    assert found[1].min() > 0.99
