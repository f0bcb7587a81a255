"""Whatever happens between a service and Neo4j, contexts are answered and nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from random import Random
from urllib.parse import urlsplit

import pytest

from riskgraph.bench.fault_proxy import FaultProxy, Mode
from tests.stores.builders import DAY, HOUR, NOW, an_order, an_outcome
from tests.stores.neo4j.held import context_of, record
from tests.stores.streams import crowded_order, random_stream
from tests.support.until import until

FAULTS = [
    Mode("delay", seconds=5.0),
    Mode("half_open"),
    Mode("reset"),
    Mode("refuse"),
    Mode("cut", after=0),
    Mode("cut", after=21),
]
ORDER = an_order(account="ann", card="c")


@pytest.fixture
def proxy(neo4j):
    server = urlsplit(neo4j.uri)
    with FaultProxy(server.hostname, server.port) as opened:
        yield opened


@pytest.fixture
def far(proxy, open_beside):
    """A store behind the proxy, which knows of another service's order through Neo4j alone."""
    other = open_beside("other")
    record(other, an_order("x", HOUR, account="bob", card="c"), 1)
    other.pump()
    store = open_beside("far", uri=f"bolt://127.0.0.1:{proxy.port}", deadline_s=0.5)
    until(store.shares)
    return store


def accounts(context):
    return context.values["B133"]["accounts_30d"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda mode: f"{mode.fault}-{mode.after}")
def test_contexts_are_local_during_a_fault_and_shared_again_after_it(far, proxy, fault):
    until(lambda: context_of(far, ORDER).source == "neo4j")
    assert accounts(context_of(far, ORDER)) == 1
    proxy.set(fault)
    failed = 0
    while far.breaker.closed:
        assert context_of(far, ORDER) == far.context(ORDER)
        failed += 1
    assert failed <= 3
    assert far.shared_state()["breaker"] == "open"
    assert far.shared_state()["last_error"]
    record(far, an_order("y", HOUR, account="eve", card="c"), 1)
    context = context_of(far, ORDER)
    assert (context.source, accounts(context)) == ("local", 1)
    proxy.set(Mode())
    far.let_go()
    until(far.shares)
    until(lambda: context_of(far, ORDER).source == "neo4j")
    assert accounts(context_of(far, ORDER)) == 2
    until(lambda: far.feed.status.packed == far.feed_end())
    assert far.shared_state()["feed_lag_events"] == 0


def test_what_was_recorded_during_an_outage_is_read_after_it_as_if_there_had_been_none(open_beside, proxy):
    store = open_beside(uri=f"bolt://127.0.0.1:{proxy.port}")
    store.let_go()
    stream = random_stream(3, 80, make=crowded_order)
    for number, fact in enumerate(stream):
        if number == len(stream) // 2:
            proxy.set(Mode("refuse"))
        record(store, fact, number)
    proxy.set(Mode())
    until(store.shares)
    until(lambda: store.feed.status.packed == store.feed_end())
    chance = Random(3)
    for number in range(10):
        order = crowded_order(chance, 10_000 + number, NOW - chance.random() * 10 * DAY)
        context = context_of(store, order)
        assert context == replace(store.context(order), source="neo4j")


def test_other_work_goes_on_while_an_order_waits(far, proxy):
    async def both():
        proxy.set(Mode("half_open"))
        reading = asyncio.create_task(far.read_context(replace(ORDER, late=True)))
        for _ in range(10):
            await asyncio.sleep(0)
        waiting = not reading.done()
        return waiting, await reading

    waiting, context = asyncio.run(both())
    assert waiting
    assert context.source == "local"


def test_a_client_that_is_in_a_hurry_waits_for_a_part_of_its_patience_alone(far, proxy):
    proxy.set(Mode("half_open"))
    asyncio.run(far.read_context(replace(ORDER, timeout_ms=40)))
    assert far.breaker.last_error == "no answer within 10 ms"


def test_a_store_opens_and_works_while_the_server_is_down(open_beside, proxy):
    proxy.set(Mode("refuse"))
    store = open_beside(uri=f"bolt://127.0.0.1:{proxy.port}")
    record(store, an_order("y", HOUR, account="eve", card="c"), 1)
    assert context_of(store, ORDER) == store.context(ORDER)
    assert context_of(store, ORDER).source == "local"
    until(lambda: store.shared_state()["feed_error"])
    assert store.shared_state() == {
        "breaker": "open",
        "open_s": store.shared_state()["open_s"],
        "erasure_pending": True,
        "feed_lag_events": None,
        "last_error": None,
        "feed_error": "ServiceUnavailable",
    }
    store.let_go()
    proxy.set(Mode())
    until(store.shares)
    until(lambda: context_of(store, ORDER).source == "neo4j")


def test_a_store_closes_while_the_server_says_nothing(far, proxy):
    proxy.set(Mode("half_open"))
    context_of(far, ORDER)
    far.close()
    assert f"riskgraph-neo4j-{far.path.name}" not in [thread.name for thread in threading.enumerate()]
    far.close()


def test_nothing_of_an_erased_person_is_read_back(open_beside):
    store = open_beside()
    record(store, an_order("x", DAY, account="bob", card="c"), 1)
    record(store, an_outcome("x", "confirmed_fraud", HOUR), 2)
    store.pump()
    until(store.shares)
    until(lambda: context_of(store, ORDER).source == "neo4j")
    assert context_of(store, ORDER).values["B136"] == "1"
    store.subjects.erase([an_order(account="bob").entities.account], [], 0.0)
    context = context_of(store, ORDER)
    assert (context.source, accounts(context), context.values["B136"]) == ("local", 0, "3+")
    assert store.shared_state()["erasure_pending"]
    store.pump()
    until(lambda: context_of(store, ORDER).source == "neo4j")
    context = context_of(store, ORDER)
    assert (accounts(context), context.values["B136"]) == (0, "3+")


def test_an_answer_that_a_busy_loop_does_not_get_to_opens_no_breaker(beside, monkeypatch):
    asked = []
    ask = beside._connection.ask
    monkeypatch.setattr(beside._connection, "ask", lambda *given: asked.append(ask(*given)) or asked[-1])

    async def busy():
        end = time.monotonic() + 0.2
        reading = asyncio.create_task(beside.read_context(replace(ORDER, timeout_ms=800)))
        await asyncio.sleep(0)
        # Other work, until the answer is there and the order's time is over.
        until(lambda: asked[-1].done() and time.monotonic() > end)
        return await reading

    for number in range(1, 5):
        assert asyncio.run(busy()).source == "local"
        assert len(asked) == number
    assert beside.breaker.closed
