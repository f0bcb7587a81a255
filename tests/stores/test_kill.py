"""A process that is killed while writing has kept every promise it made."""

from __future__ import annotations

import apsw
import pytest

from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import run_kills, synthetic_entry, synthetic_order, synthetic_secrets, torn


def check(result, rounds):
    assert result.kills == rounds
    assert result.acknowledged >= rounds
    assert result.lost == 0
    assert result.problems == ()


def test_no_acknowledged_decision_is_lost_to_twenty_kills(tmp_path):
    check(run_kills(20, tmp_path, seed=2), 20)


@pytest.mark.parametrize(
    ("table", "part"), [("orders", "order"), ("outbox", "event"), ("meter", "meter row")]
)
def test_a_decision_that_lost_a_part_of_its_transaction_is_found(tmp_path, table, part):
    store = SqliteStore(tmp_path / "x.db", synthetic_secrets())
    store.append(synthetic_entry(synthetic_order("o", 1), "d-1"))
    store.close()
    assert torn(tmp_path / "x.db", ["d-1"]) == []
    apsw.Connection(str(tmp_path / "x.db")).execute(f"DELETE FROM {table}")
    assert torn(tmp_path / "x.db", ["d-1"]) == [f"d-1 has no {part}"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_no_acknowledged_decision_is_lost_to_two_hundred_kills(tmp_path, seed):
    check(run_kills(40, tmp_path, seed=10 + seed), 40)
