"""Areas, rates and intervals against brute force and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.sandbox.attack import rates
from riskgraph.sandbox.attack.rates import area, areas, holm, mean, per_person, risk, share

_SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(_SCORES, _SCORES)
def test_the_area_is_the_share_of_pairs_in_which_the_member_scores_higher(
    members: list[int], controls: list[int]
) -> None:
    score = np.array([*members, *controls], dtype=np.float64)
    member = np.repeat([True, False], [len(members), len(controls)])
    pairs = [(a > b) + (a == b) / 2 for a in members for b in controls]
    assert area(score, member) == pytest.approx(np.mean(pairs))
    assert area(-score, member) == pytest.approx(1 - np.mean(pairs))


def alone(count: int) -> np.ndarray:
    return np.arange(count)


def test_an_area_over_persons_with_one_row_each_has_delongs_variance() -> None:
    rng = np.random.default_rng(1)
    score, member = rng.standard_normal(300) + np.repeat([0.5, 0.0], 150), np.repeat([True, False], 150)
    above = (score[member][:, None] > score[~member]).astype(np.float64)
    expected = np.sqrt(above.mean(axis=1).var() / 150 + above.mean(axis=0).var() / 150)
    found = areas([(score, member, alone(300))])
    assert found.value == pytest.approx(above.mean())
    assert found.error == pytest.approx(expected)


def bootstrap(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], persons: int) -> float:
    """Standard error of a mean area when whole persons are drawn again, in all releases at once."""
    rng, found = np.random.default_rng(2), []
    for _ in range(400):
        times = np.bincount(rng.integers(persons, size=persons), minlength=persons)
        drawn = [np.repeat(np.arange(len(u)), times[u]) for *_, u in parts]
        found.append(np.mean([area(s[d], m[d]) for (s, m, _), d in zip(parts, drawn, strict=True)]))
    return float(np.std(found))


def test_the_error_over_several_releases_is_that_of_a_bootstrap_over_persons() -> None:
    rng = np.random.default_rng(1)
    own, parts = rng.standard_normal(200), []
    for _ in range(3):
        first = rng.random(200) < 0.5
        for member in (first, ~first):
            person = np.repeat(np.arange(200), 3)
            score = own[person] + 0.3 * rng.standard_normal(600) + 0.2 * member[person]
            parts.append((score, member[person], person))
    found = areas(parts)
    assert found.error == pytest.approx(bootstrap(parts, 200), rel=0.25)


def test_an_interval_over_persons_is_wider_than_one_over_rows() -> None:
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(60), 20)
    member = person < 30
    score = rng.standard_normal(60)[person] + member
    by_person, by_row = areas([(score, member, person)]), areas([(score, member, alone(1200))])
    assert by_person.lower < by_person.value < by_person.upper
    assert by_person.error > 2 * by_row.error


def test_a_mean_over_rows_keeps_each_persons_rows_together() -> None:
    value = np.repeat([0.0, 1.0], 50)
    found = mean(value, np.repeat([0, 1], 50))
    assert found.value == 0.5
    assert found.error == pytest.approx(0.5 / np.sqrt(2))
    assert found.error > 5 * mean(value, alone(100)).error


def test_a_rate_of_one_trial_a_person_has_the_interval_of_the_textbook() -> None:
    # Agresti and Coull (1998): p = (x + z²/2) / (n + z²), error² = p (1 - p) / (n + z²); z² = 3.8415.
    won = np.repeat([1.0, 0.0], [81, 182])
    found = share(won, alone(263), alone(263))
    rate = (81 + 1.92073) / (263 + 3.84146)
    assert found.rate == pytest.approx(rate, abs=1e-6)
    assert (found.pull**2).sum() + found.added == pytest.approx(rate * (1 - rate) / 266.84146, rel=1e-6)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 8), st.data())
def test_the_risk_is_none_at_equal_rates_and_its_interval_never_vanishes(
    persons: int, others: int, each: int, data: st.DataObject
) -> None:
    won = float(data.draw(st.sampled_from([0.0, 1.0])))
    value, unit = np.full((persons + others) * each, won), np.repeat(np.arange(persons + others), each)
    for scaled in (False, True):
        found = risk(value, unit < persons, unit, scaled=scaled)
        assert found.error > 0
        if persons == others:
            assert found.value == pytest.approx(0, abs=1e-9)


def test_several_trials_of_a_person_that_go_together_count_as_one() -> None:
    rng = np.random.default_rng(5)
    luck = (rng.random(400) < 0.3).astype(np.float64)
    once = risk(luck, alone(400) < 200, alone(400), scaled=True)
    person = np.repeat(np.arange(400), 8)
    eight = risk(luck[person], person < 200, person, scaled=True)
    assert eight.error == pytest.approx(once.error, rel=1e-9)
    assert eight.error > 2 * risk(luck[person], person < 200, alone(3200), scaled=True).error


def test_the_interval_over_persons_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(6), 0
    person = np.repeat(np.arange(300), 6)
    for _ in range(300):
        # persons differ much, members win .1 more often
        own = np.clip(rng.normal(0.4, 0.2, 300), 0, 0.9) + 0.1 * (np.arange(300) < 150)
        won = (rng.random(1800) < own[person]).astype(np.float64)
        found = risk(won, person < 150, person, scaled=False)
        held += found.lower <= 0.1 <= found.upper
    assert 0.91 <= held / 300 <= 0.99


def test_holm_shows_what_the_textbook_shows() -> None:
    # .05 over 4, 3, 2, 1: .01 and .013 pass, .03 does not, and what follows it does not either
    assert holm([0.03, 0.01, 0.04, 0.013]) == [False, True, False, True]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_shows_no_more_than_each_test_alone_and_no_less_than_bonferroni(p: list[float]) -> None:
    for shown, value in zip(holm(p), p, strict=True):
        assert shown or value > 0.05 / len(p)
        assert not shown or value <= 0.05


def test_a_p_value_is_small_only_above_the_bound() -> None:
    found = rates.Estimate(0.05, 0.01)
    assert found.above(0.02) < 0.002
    assert found.above(0.08) > 0.99
    assert rates.Estimate(0.05, 0.0).above(0.02) == 0
    assert rates.Estimate(0.05, 0.0).above(0.05) == 1


def test_a_persons_score_is_the_mean_of_its_rows() -> None:
    mean, first = per_person(np.array([1.0, 5.0, 3.0]), np.array([8, 4, 8]))
    assert mean.tolist() == [5.0, 2.0]
    assert first.tolist() == [1, 0]
