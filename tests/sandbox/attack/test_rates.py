"""Areas, rates and intervals against brute force and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.sandbox.attack.rates import (
    Rate,
    area,
    area_interval,
    mean_interval,
    per_person,
    residual,
    wilson,
)

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


@given(_SCORES, _SCORES, st.integers(1, 3))
def test_a_weight_counts_as_that_many_rows(members: list[int], controls: list[int], times: int) -> None:
    score = np.array([*members, *controls], dtype=np.float64)
    member = np.repeat([True, False], [len(members), len(controls)])
    weight = np.where(np.arange(len(score)) == 0, times, 1).astype(np.float64)
    repeated = np.repeat(np.arange(len(score)), weight.astype(int))
    assert area(score, member, weight) == pytest.approx(area(score[repeated], member[repeated]))


def test_wilson_gives_what_the_textbook_gives() -> None:
    # Newcombe (Statistics in Medicine 17, 1998), table I: 81 of 263 is .2553 to .3662; 0 of 20 is 0 to .1611.
    some, none = wilson(263, 81), wilson(20, 0)
    assert (some.lower, some.upper) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert (none.lower, none.upper) == (pytest.approx(0.0, abs=1e-9), pytest.approx(0.1611, abs=1e-4))
    assert (wilson(0, 0).lower, wilson(0, 0).upper) == (0.0, 1.0)


@given(st.integers(1, 5000), st.data())
def test_wilsons_interval_holds_the_rate(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    found = wilson(trials, successes)
    assert found.lower - 1e-9 <= successes / trials <= found.upper + 1e-9


@given(st.integers(1, 1000), st.integers(1, 1000), st.floats(0, 1), st.floats(0, 0.99))
def test_the_risk_over_controls_is_none_at_equal_rates_and_all_when_every_trial_wins(
    n: int, m: int, attack: float, control: float
) -> None:
    mine, other = Rate(attack, 0.01), Rate(control, 0.01)
    found = residual(mine, other)
    assert found.value == pytest.approx((attack - control) / (1 - control), abs=1e-9)
    assert residual(other, other).value == 0
    assert residual(Rate(1.0, 0.0), other).value == pytest.approx(1)
    assert found.error >= 0.01


def test_an_interval_over_persons_is_wider_than_one_over_rows() -> None:
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(60), 20)
    member = person < 30
    score = rng.standard_normal(60)[person] + member
    by_person = area_interval(score, member, person, np.random.default_rng(2))
    by_row = area_interval(score, member, np.arange(len(score)), np.random.default_rng(2))
    assert by_person.lower < by_person.value < by_person.upper
    assert by_person.upper - by_person.lower > 2 * (by_row.upper - by_row.lower)


def test_a_mean_over_rows_keeps_each_persons_rows_together() -> None:
    value = np.repeat([0.0, 1.0], 50)
    found = mean_interval(value, np.repeat([0, 1], 50), np.random.default_rng(3))
    assert (found.value, found.lower, found.upper) == (0.5, 0.0, 1.0)


def test_a_persons_score_is_the_mean_of_its_rows() -> None:
    mean, first = per_person(np.array([1.0, 5.0, 3.0]), np.array([8, 4, 8]))
    assert mean.tolist() == [5.0, 2.0]
    assert first.tolist() == [1, 0]
