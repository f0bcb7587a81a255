from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from riskgraph.eval.intervals import (
    Clusters,
    cluster_orders,
    percentile_interval,
    ranking_draws,
    ratio_interval,
)
from riskgraph.eval.metrics import FIXED_FPRS, roc_curve

TRUE_RECALL = 0.6


def caught_in_gangs(rng: np.random.Generator, gangs: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each order is caught, and its gang: recall of a gang is beta around 0.6."""
    chance = rng.beta(3.0, 2.0, gangs)
    gang = np.repeat(np.arange(gangs), size)
    return rng.random(gangs * size) < chance[gang], gang


def coverage(by_gang: bool, repeats: int = 200) -> float:
    inside = 0
    for repeat in range(repeats):
        hit, gang = caught_in_gangs(np.random.default_rng([11, repeat]), gangs=80, size=20)
        code = gang if by_gang else np.arange(len(gang))
        clusters = Clusters(code, np.ones(code.max() + 1, dtype=bool))
        found = ratio_interval(hit, np.ones_like(hit), clusters, reps=400, seed=repeat)
        inside += found.lower <= TRUE_RECALL <= found.upper
    return inside / repeats


def test_intervals_over_gangs_hold_the_true_recall_about_as_often_as_they_say():
    assert 0.91 <= coverage(by_gang=True) <= 0.99


def test_intervals_over_single_orders_miss_the_true_recall_far_too_often():
    assert coverage(by_gang=False) < 0.70


def test_a_share_of_nothing_or_of_everything_keeps_an_open_end():
    hit = np.zeros(40, dtype=bool)
    clusters = Clusters(np.repeat(np.arange(20), 2), np.zeros(20, dtype=bool))
    none = ratio_interval(hit, ~hit, clusters)
    every = ratio_interval(~hit, ~hit, clusters)
    assert (none.value, none.lower) == (0.0, 0.0)
    assert none.upper == pytest.approx(1 - 0.025 ** (1 / 20))
    assert (every.value, every.upper) == (1.0, 1.0)
    assert every.lower == pytest.approx(0.025 ** (1 / 20))


def test_a_share_among_no_orders_is_not_a_number():
    hit = np.zeros(4, dtype=bool)
    found = ratio_interval(hit, hit, Clusters(np.arange(4), hit))
    assert math.isnan(found.value)
    assert math.isnan(found.upper)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    hit, gang = caught_in_gangs(np.random.default_rng(2), 60, 15)
    clusters = Clusters(gang, np.ones(60, dtype=bool))
    first, again, other = (ratio_interval(hit, hit | True, clusters, reps=101, seed=s) for s in (1, 1, 2))
    assert first == again
    assert (first.lower, first.upper) != (other.lower, other.upper)


def test_fraud_clusters_by_gang_and_honest_orders_by_account():
    is_fraud = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    gang = np.array([5, 5, -1, -1, -1, -1, -1, -1])
    account = np.array([1, 2, 8, 8, 5, 5, -1, -1])
    clusters = cluster_orders(is_fraud, gang, account)
    code = clusters.code
    assert code[0] == code[1]
    assert code[2] == code[3]
    assert code[4] == code[5]
    assert len(set(code.tolist())) == 5
    assert clusters.is_fraud[code].tolist() == is_fraud.tolist()


def test_drawing_by_kinds_of_sums_is_as_wide_as_drawing_clusters_one_by_one():
    hit, gang = caught_in_gangs(np.random.default_rng(4), 50, 12)
    fast = ratio_interval(hit, hit | True, Clusters(gang, np.ones(50, dtype=bool)), reps=6_000, seed=1)
    rng = np.random.default_rng(9)
    per_gang = np.bincount(gang, weights=hit) / 12
    slow = percentile_interval(hit.mean(), per_gang[rng.integers(50, size=(6_000, 50))].mean(axis=1))
    assert fast.lower == pytest.approx(slow.lower, abs=0.006)
    assert fast.upper == pytest.approx(slow.upper, abs=0.006)


def scored_orders(seed: int = 3) -> tuple[np.ndarray, np.ndarray, Clusters]:
    rng = np.random.default_rng(seed)
    is_fraud = np.arange(6_000) < 600
    gang = np.where(is_fraud, np.arange(6_000) // 12, -1)
    of_gang = rng.normal(2.0, 1.0, 500)
    score = rng.normal(size=6_000) + np.where(is_fraud, of_gang[gang], 0.0)
    return score, is_fraud, cluster_orders(is_fraud, gang, rng.integers(0, 2_500, 6_000))


def test_draws_of_ranking_figures_centre_on_the_figures_of_the_sample():
    score, is_fraud, clusters = scored_orders()
    draws = ranking_draws({"model": score}, is_fraud, clusters, FIXED_FPRS, reps=400)["model"]
    assert draws.auc.mean() == pytest.approx(roc_auc_score(is_fraud, score), abs=0.003)
    assert draws.average_precision.mean() == pytest.approx(average_precision_score(is_fraud, score), abs=0.01)
    roc = roc_curve(score, is_fraud)
    assert draws.recall_at_fpr[0.01].mean() == pytest.approx(roc.recall_at_fpr(0.01), abs=0.02)
    assert (draws.band_lower <= draws.band_upper).all()


def test_area_draws_are_as_wide_as_those_of_a_plain_loop_over_drawn_clusters():
    score, is_fraud, clusters = scored_orders()
    fast = ranking_draws({"m": score}, is_fraud, clusters, FIXED_FPRS, reps=300)["m"].auc
    rng, slow = np.random.default_rng(1), []
    members = [np.flatnonzero(clusters.code == c) for c in range(len(clusters.is_fraud))]
    strata = [np.flatnonzero(clusters.is_fraud), np.flatnonzero(~clusters.is_fraud)]
    for _ in range(300):
        drawn = np.concatenate([members[c] for s in strata for c in rng.choice(s, len(s))])
        slow.append(roc_auc_score(is_fraud[drawn], score[drawn]))
    assert fast.std() == pytest.approx(np.std(slow), rel=0.2)
    four_standard_errors = 4 * np.std(slow) * np.sqrt(2 / 300)
    assert fast.mean() == pytest.approx(np.mean(slow), abs=four_standard_errors)


def test_scorers_are_compared_on_the_same_draws():
    score, is_fraud, clusters = scored_orders()
    blurred = score + np.random.default_rng(6).normal(size=len(score)) * 0.1
    both = ranking_draws({"a": score, "b": blurred}, is_fraud, clusters, FIXED_FPRS, reps=200)
    paired = (both["a"].auc - both["b"].auc).std()
    assert paired < 0.3 * both["a"].auc.std()
    same = ranking_draws({"a": score, "b": score}, is_fraud, clusters, FIXED_FPRS, reps=50)
    assert np.array_equal(same["a"].auc, same["b"].auc)


def test_progress_is_told_up_to_the_last_draw():
    score, is_fraud, clusters = scored_orders()
    told: list[tuple[str, int, int]] = []
    ranking_draws(
        {"a": score}, is_fraud, clusters, FIXED_FPRS, reps=200, progress=lambda *step: told.append(step)
    )
    assert told[-1] == ("bootstrap", 400, 400)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
