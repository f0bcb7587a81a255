"""What every store promises: the same contexts, and commits that hold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random

import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.context import compute_context
from riskgraph.core.errors import Conflict
from riskgraph.core.history import MemoryHistory
from riskgraph.core.order import Order
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.sqlite import SqliteStore
from tests.stores.builders import DAY, HOUR, NOW, an_order, an_outcome, attempt
from tests.stores.streams import crowded_order, random_order, random_stream

EVER = 1e12


class MemoryStore:
    """MemoryHistory behind the calls of a store."""

    def __init__(self):
        self.history = MemoryHistory()

    def append(self, entry):
        self.history.add_order(entry.order)

    def append_outcomes(self, outcomes):
        return sum(self.history.add_outcome(outcome) for outcome in outcomes)

    def context(self, order):
        return compute_context(order, self.history)

    def close(self):
        self.history = MemoryHistory()


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    opened = (
        MemoryStore()
        if request.param == "memory"
        else SqliteStore(tmp_path / "store.db", synthetic_secrets())
    )
    yield opened
    opened.close()


@pytest.fixture
def sqlite(tmp_path):
    opened = SqliteStore(tmp_path / "store.db", synthetic_secrets())
    yield opened
    opened.close()


def entry(order, decision_id=None):
    return synthetic_entry(order, decision_id or f"d-{order.order_id}-{order.attempt}")


def feed(store, stream):
    for number, fact in enumerate(stream):
        if isinstance(fact, Order):
            # Random attempts may repeat; each decision here has a key of its own.
            store.append(replace(entry(fact, f"d{number}"), idempotency_key=f"k{number}"))
        else:
            store.append_outcomes([fact])


@pytest.mark.parametrize("maker", [random_order, crowded_order])
@pytest.mark.parametrize("seed", range(3))
def test_memory_and_sqlite_give_identical_contexts(seed, maker, tmp_path):
    stream = random_stream(seed, 150, make=maker)
    memory, store = MemoryStore(), SqliteStore(tmp_path / "store.db", synthetic_secrets())
    for number, fact in enumerate(stream):
        if isinstance(fact, Order):
            assert store.context(fact) == memory.context(fact)
        feed(memory, [fact])
        if isinstance(fact, Order):
            store.append(replace(entry(fact, f"d{number}"), idempotency_key=f"k{number}"))
        else:
            store.append_outcomes([fact])
    store.close()


@pytest.mark.parametrize("maker", [random_order, crowded_order])
@pytest.mark.parametrize("seed", range(2))
def test_contexts_are_the_same_after_a_restart(seed, maker, tmp_path):
    stream = random_stream(seed, 150, make=maker)
    memory, store = MemoryStore(), SqliteStore(tmp_path / "store.db", synthetic_secrets(), keep_s=EVER)
    feed(memory, stream)
    feed(store, stream)
    store.close()
    store = SqliteStore(tmp_path / "store.db", synthetic_secrets(), keep_s=EVER)
    chance = Random(seed)
    for number in range(60):
        order = maker(chance, 10_000 + number, NOW - chance.random() * 70 * DAY)
        assert store.context(order) == memory.context(order)
    store.close()


@pytest.mark.parametrize("maker", [random_order, crowded_order])
def test_a_restart_keeps_the_newest_orders_exact_with_the_default_memory(maker, tmp_path):
    stream = random_stream(11, 200, make=maker)
    memory, store = MemoryStore(), SqliteStore(tmp_path / "store.db", synthetic_secrets())
    feed(memory, stream)
    feed(store, stream)
    store.close()
    store = SqliteStore(tmp_path / "store.db", synthetic_secrets())
    newest = max(f.placed_at for f in stream if isinstance(f, Order))
    chance = Random(11)
    for number in range(40):
        order = maker(chance, 10_000 + number, newest + chance.random() * HOUR)
        assert store.context(order) == memory.context(order)
    store.close()


def test_an_outcome_counts_once_and_only_for_its_order(store):
    store.append(entry(an_order("a", DAY, card="c")))
    fraud = an_outcome("a", "confirmed_fraud", HOUR)
    assert store.append_outcomes([fraud, fraud, fraud._replace(order_key="m|web|b")]) == 2
    assert store.append_outcomes([fraud]) == 0
    assert store.context(an_order(card="c")).values["B133"]["fraud_share"] == 1
    assert store.context(an_order(card="c")).values["B136"] == "1"


def test_outcomes_that_arrive_before_their_order_are_found(store):
    store.append_outcomes([an_outcome("a", "confirmed_fraud", HOUR)])
    store.append(entry(an_order("a", DAY, card="c")))
    assert store.context(an_order(card="c")).values["B136"] == "1"


def test_attempts_and_phases_of_one_order_count_once(store):
    first = an_order("a", 600, card="c")
    for again in (first, attempt(first, 2, 60), replace(first, phase="post_auth")):
        store.append(entry(again, f"d{again.attempt}{again.phase}"))
    assert store.context(an_order(card="c")).values["B133"]["orders_1h"] == 1
    assert "B088" not in store.context(attempt(first, 3, 300)).values


def test_one_order_placed_by_another_merchant_under_the_same_id_is_another_order(store):
    store.append(entry(an_order("a", HOUR, card="c")))
    twin = an_order("a", 60, card="c", merchant_id="other")
    assert store.context(twin).values["B133"]["orders_1h"] == 1


def test_a_decision_is_read_back_as_it_was_committed(sqlite):
    order = an_order("a", line="3c")
    given = entry(order)
    sqlite.append(given)
    stored = sqlite.read_record(given.decision.decision_id)
    assert stored.report == given.decision.report
    assert stored.answer == given.answer
    assert sqlite.replay(given.idempotency_key) == (given.body_sha256, given.answer)
    assert sqlite.subgraph(order.key) == given.subgraph
    assert sqlite.decision(stored.decision_id, "m")["answer"] == given.answer
    assert sqlite.decision(stored.decision_id, None)["verdict"] == "accept"


def test_another_merchants_decision_is_not_there(sqlite):
    sqlite.append(entry(an_order("a")))
    assert sqlite.decision("d-a-1", "other") is None
    assert sqlite.decision("unknown", None) is None
    assert sqlite.read_record("unknown") is None
    assert sqlite.replay("unknown") is None
    assert sqlite.subgraph("unknown") is None


def test_a_taken_idempotency_key_is_a_conflict_and_writes_nothing(sqlite):
    sqlite.append(entry(an_order("a")))
    other = replace(
        entry(an_order("b", card="c"), "d-b"), idempotency_key=entry(an_order("a")).idempotency_key
    )
    with pytest.raises(Conflict):
        sqlite.append(other)
    assert [row["decision_id"] for row in sqlite.decisions()] == ["d-a-1"]
    assert sqlite.subgraph(other.order.key) is None
    assert len(sqlite.events()) == 1
    assert sqlite.metered() == {("m", "key-1"): 1}


def test_fifty_concurrent_writers_of_one_key_leave_one_decision(sqlite):
    entries = [replace(entry(an_order(f"o{i}"), f"d{i}"), idempotency_key="same") for i in range(50)]
    with ThreadPoolExecutor(50) as pool:
        errors = list(pool.map(lambda e: sqlite.submit(e).exception(), entries))
    assert sum(error is None for error in errors) == 1
    assert sum(isinstance(error, Conflict) for error in errors) == 49
    assert len(sqlite.decisions()) == len(sqlite.events()) == 1


def test_concurrent_writers_and_readers_lose_nothing(sqlite):
    orders = [an_order(f"o{i}", 1000 - i, account=str(i % 5), card="c") for i in range(200)]

    def write_and_read(order):
        sqlite.append(entry(order))
        return sqlite.context(replace(order, order_id="probe", placed_at=NOW)).values["B133"]["orders_1h"]

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(write_and_read, orders))
    assert min(seen) >= 1
    assert len(sqlite.decisions(limit=1000)) == 200
    assert sqlite.context(an_order(card="c")).values["B133"]["orders_1h"] == 200


def test_everything_is_there_after_a_restart(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synthetic_secrets())
    waiting = [store.submit(entry(an_order(f"o{i}", i))) for i in range(50)]
    store.append_outcomes([an_outcome("o1", "refund")])
    store.close()
    assert all(future.exception() is None for future in waiting)
    store = SqliteStore(tmp_path / "store.db", synthetic_secrets())
    assert len(store.decisions()) == 50
    assert [e["type"] for e in store.events()].count("outcome.recorded") == 1
    assert store.integrity_problems() == []
    store.close()


def test_the_computed_nodes_are_those_of_the_catalogue(store):
    context = store.context(an_order(card="c", device="d"))
    expected = {n.id for n in catalog() if n.computed_by == "riskgraph"}
    assert context.values.keys() | context.absent.keys() == expected
