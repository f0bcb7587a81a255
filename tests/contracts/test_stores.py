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
from tests.support.until import until

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


class Opener:
    """Opens stores of one kind, again and again on one file, and closes what is open after the test."""

    def __init__(self, kind, path, request):
        self.kind, self.path = kind, path
        # Asked for here, so that without a server only what needs one is skipped.
        self.server = request.getfixturevalue("neo4j") if kind == "neo4j" else None
        self.store = None

    def __call__(self, **given):
        self.close()
        if self.kind == "memory":
            self.store = MemoryStore()
        elif self.kind == "sqlite":
            self.store = SqliteStore(self.path, synthetic_secrets(), **given)
        else:
            from tests.stores.neo4j.held import open_held

            self.store = open_held(self.server, self.path, **given)
        return self.store

    def close(self):
        if self.store is not None:
            self.store.close()


def fixture_of(*kinds):
    @pytest.fixture(params=kinds)
    def opened(request, tmp_path):
        opener = Opener(request.param, tmp_path / "store.db", request)
        yield opener
        if opener.kind == "neo4j":
            check_fed(opener.store)
        opener.close()

    return opened


open_any = fixture_of("memory", "sqlite", "neo4j")
open_durable = fixture_of("sqlite", "neo4j")


@pytest.fixture
def store(open_any):
    return open_any()


@pytest.fixture
def durable(open_durable):
    return open_durable()


def settle(store):
    """Let a store beside Neo4j have there all that it has here, and ask for it."""
    if hasattr(store, "pump"):
        store.pump()
        until(store.shares)


def answered(store, order):
    """What a service answers with."""
    if not hasattr(store, "pump"):
        return store.context(order)
    from tests.stores.neo4j.held import context_of

    return context_of(store, order)


def context(store, order):
    """The same; with Neo4j's help it is what it is without, while nobody writes."""
    answers = [answered(store, order)]

    def asked():
        if (answers[-1].source == "neo4j") != store.shares():
            answers.append(answered(store, order))
            return False
        return True

    if hasattr(store, "pump") and list(order.entities.items()):
        # On a busy machine an answer may be late: the breaker opens, and closes again.
        until(asked)
    found = replace(answers[-1], source="local")
    assert found == store.context(order)
    return found


def check_fed(store):
    """Neo4j ends with the very decisions and orders that the journal has, each once."""
    if store._closed:
        return
    settle(store)
    for here, there in (
        ("SELECT decision_id FROM decisions", "MATCH (d:Decision)-[:ABOUT]->(:Order) RETURN d.id"),
        ("SELECT key FROM orders", "MATCH (o:Order) RETURN o.key"),
    ):
        found = store._connection.submit(store._connection.fetch(there, {}, 30.0)).result(60)
        assert sorted(map(tuple, found)) == sorted(store._fetch(here))


def entry(order, decision_id=None):
    return synthetic_entry(order, decision_id or f"d-{order.order_id}-{order.attempt}")


def feed(store, stream, first=0):
    for number, fact in enumerate(stream, first):
        if isinstance(fact, Order):
            # Random attempts may repeat; each decision here has a key of its own.
            store.append(replace(entry(fact, f"d{number}"), idempotency_key=f"k{number}"))
        else:
            store.append_outcomes([fact])


@pytest.mark.parametrize("maker", [random_order, crowded_order])
@pytest.mark.parametrize("seed", range(3))
def test_all_stores_give_the_contexts_of_a_history_in_memory(seed, maker, open_durable):
    stream = random_stream(seed, 150, make=maker)
    memory, store = MemoryStore(), open_durable()
    for number, fact in enumerate(stream):
        if isinstance(fact, Order):
            assert context(store, fact) == memory.context(fact)
        feed(memory, [fact])
        feed(store, [fact], number)
        if number == len(stream) // 2:
            # From here on the first half is in Neo4j, and the second here alone.
            settle(store)


@pytest.mark.parametrize("maker", [random_order, crowded_order])
@pytest.mark.parametrize("seed", range(2))
def test_contexts_are_the_same_after_a_restart(seed, maker, open_durable):
    stream = random_stream(seed, 150, make=maker)
    memory, store = MemoryStore(), open_durable(keep_s=EVER)
    feed(memory, stream)
    feed(store, stream)
    settle(store)
    store = open_durable(keep_s=EVER)
    settle(store)
    chance = Random(seed)
    for number in range(60):
        order = maker(chance, 10_000 + number, NOW - chance.random() * 70 * DAY)
        assert context(store, order) == memory.context(order)


@pytest.mark.parametrize("maker", [random_order, crowded_order])
def test_a_restart_keeps_the_newest_orders_exact_with_the_default_memory(maker, open_durable):
    stream = random_stream(11, 200, make=maker)
    memory, store = MemoryStore(), open_durable()
    feed(memory, stream)
    feed(store, stream)
    store = open_durable()
    settle(store)
    newest = max(f.placed_at for f in stream if isinstance(f, Order))
    chance = Random(11)
    for number in range(40):
        order = maker(chance, 10_000 + number, newest + chance.random() * HOUR)
        assert context(store, order) == memory.context(order)


def test_an_outcome_counts_once_and_only_for_its_order(store):
    store.append(entry(an_order("a", DAY, card="c")))
    fraud = an_outcome("a", "confirmed_fraud", HOUR)
    assert store.append_outcomes([fraud, fraud, fraud._replace(order_key="m|web|b")]) == 2
    assert store.append_outcomes([fraud]) == 0
    assert context(store, an_order(card="c")).values["B133"]["fraud_share"] == 1
    assert context(store, an_order(card="c")).values["B136"] == "1"


def test_outcomes_that_arrive_before_their_order_are_found(store):
    store.append_outcomes([an_outcome("a", "confirmed_fraud", HOUR)])
    store.append(entry(an_order("a", DAY, card="c")))
    assert context(store, an_order(card="c")).values["B136"] == "1"


def test_attempts_and_phases_of_one_order_count_once(store):
    first = an_order("a", 600, card="c")
    for again in (first, attempt(first, 2, 60), replace(first, phase="post_auth")):
        store.append(entry(again, f"d{again.attempt}{again.phase}"))
    assert context(store, an_order(card="c")).values["B133"]["orders_1h"] == 1
    assert "B088" not in context(store, attempt(first, 3, 300)).values


def test_one_order_placed_by_another_merchant_under_the_same_id_is_another_order(store):
    store.append(entry(an_order("a", HOUR, card="c")))
    twin = an_order("a", 60, card="c", merchant_id="other")
    assert context(store, twin).values["B133"]["orders_1h"] == 1


def test_a_decision_is_read_back_as_it_was_committed(durable):
    order = an_order("a", line="3c")
    given = entry(order)
    durable.append(given)
    stored = durable.read_record(given.decision.decision_id)
    assert stored.report == given.decision.report
    assert stored.answer == given.answer
    assert durable.replay(given.idempotency_key) == (given.body_sha256, given.answer)
    assert durable.subgraph(order.key) == given.subgraph
    assert durable.decision(stored.decision_id, "m")["answer"] == given.answer
    assert durable.decision(stored.decision_id, None)["verdict"] == "accept"


def test_another_merchants_decision_is_not_there(durable):
    durable.append(entry(an_order("a")))
    assert durable.decision("d-a-1", "other") is None
    assert durable.decision("unknown", None) is None
    assert durable.read_record("unknown") is None
    assert durable.replay("unknown") is None
    assert durable.subgraph("unknown") is None


def test_a_taken_idempotency_key_is_a_conflict_and_writes_nothing(durable):
    durable.append(entry(an_order("a")))
    other = replace(
        entry(an_order("b", card="c"), "d-b"), idempotency_key=entry(an_order("a")).idempotency_key
    )
    with pytest.raises(Conflict):
        durable.append(other)
    assert [row["decision_id"] for row in durable.decisions()] == ["d-a-1"]
    assert durable.subgraph(other.order.key) is None
    assert len(durable.events()) == 1
    assert durable.metered() == {("m", "key-1"): 1}


def test_fifty_concurrent_writers_of_one_key_leave_one_decision(durable):
    entries = [replace(entry(an_order(f"o{i}"), f"d{i}"), idempotency_key="same") for i in range(50)]
    with ThreadPoolExecutor(50) as pool:
        errors = list(pool.map(lambda e: durable.submit(e).exception(), entries))
    assert sum(error is None for error in errors) == 1
    assert sum(isinstance(error, Conflict) for error in errors) == 49
    assert len(durable.decisions()) == len(durable.events()) == 1


def test_concurrent_writers_and_readers_lose_nothing(durable):
    orders = [an_order(f"o{i}", 1000 - i, account=str(i % 5), card="c") for i in range(200)]
    settle(durable)

    def write_and_read(order):
        durable.append(entry(order))
        return answered(durable, replace(order, order_id="probe", placed_at=NOW)).values["B133"]["orders_1h"]

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(write_and_read, orders))
    assert min(seen) >= 1
    assert len(durable.decisions(limit=1000)) == 200
    assert context(durable, an_order(card="c")).values["B133"]["orders_1h"] == 200


def test_everything_is_there_after_a_restart(open_durable):
    store = open_durable()
    waiting = [store.submit(entry(an_order(f"o{i}", i))) for i in range(50)]
    store.append_outcomes([an_outcome("o1", "refund")])
    store = open_durable()
    assert all(future.exception() is None for future in waiting)
    assert len(store.decisions()) == 50
    assert [e["type"] for e in store.events()].count("outcome.recorded") == 1
    assert store.integrity_problems() == []


def test_the_computed_nodes_are_those_of_the_catalogue(store):
    found = context(store, an_order(card="c", device="d"))
    expected = {n.id for n in catalog() if n.computed_by == "riskgraph"}
    assert found.values.keys() | found.absent.keys() == expected
