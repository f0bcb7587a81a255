"""A process that is killed while writing has kept every promise it made."""

from __future__ import annotations

import pytest

from riskgraph.stores.crash import run_kills


def check(result, rounds):
    assert result.kills == rounds
    assert result.acknowledged >= rounds
    assert result.lost == 0
    assert result.problems == ()


def test_no_acknowledged_decision_is_lost_to_twenty_kills(tmp_path):
    check(run_kills(20, tmp_path, seed=2), 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_no_acknowledged_decision_is_lost_to_two_hundred_kills(tmp_path, seed):
    check(run_kills(40, tmp_path, seed=10 + seed), 40)
