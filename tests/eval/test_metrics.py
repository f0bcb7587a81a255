from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from riskgraph.eval.metrics import (
    Confusion,
    area,
    auc,
    average_precision,
    brier,
    expected_calibration_error,
    flagged,
    gangs_caught,
    roc_curve,
)

SCORED = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(fraud for _, fraud in rows) < len(rows)
)


def columns(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([s / 6 for s, _ in rows]), np.array([f for _, f in rows])


@given(SCORED)
def test_area_and_precision_agree_with_scikit_learn_on_scores_with_many_ties(rows):
    scores, fraud = columns(rows)
    assert auc(scores, fraud) == pytest.approx(roc_auc_score(fraud, scores), abs=1e-12)
    assert roc_curve(scores, fraud).auc == pytest.approx(roc_auc_score(fraud, scores), abs=1e-12)
    assert average_precision(scores, fraud) == pytest.approx(
        average_precision_score(fraud, scores), abs=1e-12
    )


@given(SCORED)
def test_points_of_the_curve_count_the_orders_at_and_above_their_threshold(rows):
    scores, fraud = columns(rows)
    roc = roc_curve(scores, fraud)
    for fp, tp, threshold in zip(roc.fp, roc.tp, roc.threshold, strict=True):
        assert fp == ((scores >= threshold) & ~fraud).sum()
        assert tp == ((scores >= threshold) & fraud).sum()
    assert (roc.fp[-1], roc.tp[-1]) == ((~fraud).sum(), fraud.sum())


def test_straight_runs_of_the_curve_are_left_out_and_the_area_stays_exact():
    rng = np.random.default_rng(3)
    fraud = rng.random(5_000) < 0.02
    scores = rng.normal(size=5_000) + 2 * fraud
    roc = roc_curve(scores, fraud)
    assert len(roc.fp) < 2.2 * fraud.sum()
    assert area(roc.fp, roc.tp) == pytest.approx(roc_auc_score(fraud, scores), abs=1e-12)


def test_recall_at_a_fixed_rate_reads_the_curve_and_shares_out_ties():
    scores = np.array([9.0, 8.0, 7.0, 5.0, 5.0, 5.0, 1.0])
    fraud = np.array([1, 1, 0, 1, 0, 0, 0], dtype=bool)
    roc = roc_curve(scores, fraud)
    assert roc.recall_at_fpr(0.0) == pytest.approx(2 / 3)
    assert roc.recall_at_fpr(0.25) == pytest.approx(2 / 3)
    assert roc.recall_at_fpr(0.5) == pytest.approx(2 / 3 + 1 / 6)


def test_a_figure_with_nothing_to_divide_by_is_not_a_number():
    scores, honest = np.array([0.1, 0.9]), np.array([False, False])
    assert math.isnan(auc(scores, honest))
    assert math.isnan(roc_curve(scores, honest).recall_at_fpr(0.01))
    assert math.isnan(average_precision(scores, honest))
    assert math.isnan(Confusion.of(honest, honest).recall)
    assert math.isnan(Confusion.of(honest, honest).precision)


def test_the_confusion_gives_recall_rate_precision_and_base_rate():
    fraud = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], dtype=bool)
    hit = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 0], dtype=bool)
    counts = Confusion.of(hit, fraud)
    assert counts == Confusion(tp=2, fp=1, fn=1, tn=6)
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.fpr == pytest.approx(1 / 7)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.base_rate == pytest.approx(0.3)
    assert counts.precision_at(counts.base_rate) == pytest.approx(counts.precision)


def test_precision_at_the_reference_is_about_a_fifth_when_one_order_in_a_thousand_is_fraud():
    assert Confusion(tp=927, fp=38, fn=73, tn=9_962).precision_at(0.001) == pytest.approx(0.196, abs=0.001)


def test_flagged_counts_rejects_alone_or_reviews_too():
    verdicts = np.array(["accept", "review", "reject"], dtype=object)
    assert flagged(verdicts, "reject").tolist() == [False, False, True]
    assert flagged(verdicts, "reject_or_review").tolist() == [False, True, True]


def test_a_gang_is_caught_when_half_of_its_orders_are_flagged():
    gang = np.array([7, 7, 3, 3, 3, -1, 9])
    hit = np.array([1, 0, 1, 0, 0, 1, 1], dtype=bool)
    codes, caught = gangs_caught(hit, gang)
    assert dict(zip(codes.tolist(), caught.tolist(), strict=True)) == {3: False, 7: True, 9: True}


def test_brier_score_agrees_with_scikit_learn():
    rng = np.random.default_rng(5)
    probability, fraud = rng.random(400), rng.random(400) < 0.3
    assert brier(probability, fraud) == pytest.approx(brier_score_loss(fraud, probability))


def test_calibration_error_is_small_for_honest_probabilities_and_names_the_shift_of_others():
    rng = np.random.default_rng(8)
    probability = rng.random(60_000) * 0.6
    fraud = rng.random(60_000) < probability
    assert expected_calibration_error(probability, fraud) < 0.01
    assert expected_calibration_error(probability + 0.3, fraud) == pytest.approx(0.3, abs=0.01)
