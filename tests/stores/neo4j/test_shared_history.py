"""Contexts with Neo4j's help are those that one store of all orders gives."""

from __future__ import annotations

import threading
from dataclasses import replace
from random import Random

import msgspec
import pytest

from riskgraph.core.context import SHARED_NODES
from riskgraph.core.order import Order
from riskgraph.core.past import PastOrder
from riskgraph.stores.codec import encode_past
from riskgraph.stores.crash import synthetic_secrets
from riskgraph.stores.neo4j.asking import ASK
from riskgraph.stores.neo4j.history import MOST_LINKS, parameters
from riskgraph.stores.sqlite import SqliteStore
from tests.stores.builders import DAY, HOUR, NOW, an_order, an_outcome, digest
from tests.stores.neo4j.held import context_of, record
from tests.stores.streams import crowded_order, random_order, random_stream
from tests.support.until import until

EVER = 1e12


def read(store, order):
    context = context_of(store, order)
    assert context.source == "neo4j"
    return context


def same(found, expected):
    assert replace(found, source="") == replace(expected, source="")


def probes(maker, seed, count=15):
    chance = Random(1000 + seed)
    return [maker(chance, 10_000 + n, NOW - chance.random() * 30 * DAY) for n in range(count)]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("maker", [random_order, crowded_order])
@pytest.mark.parametrize("seed", range(2))
def test_of_one_service_they_are_the_local_ones_however_far_the_feed_is(beside, seed, maker, share):
    for number, fact in enumerate(random_stream(seed, 120, make=maker)):
        record(beside, fact, number)
    beside.pump(share)
    for order in probes(maker, seed):
        same(read(beside, order), beside.context(order))


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("maker", [random_order, crowded_order])
@pytest.mark.parametrize("seed", range(3))
def test_of_two_services_the_shared_nodes_are_those_of_one_store_of_all_orders(
    open_beside, tmp_path, seed, maker, share
):
    here, there = open_beside("a", keep_s=EVER), open_beside("b", keep_s=EVER)
    whole = SqliteStore(tmp_path / "whole.db", synthetic_secrets(), keep_s=EVER)
    chance = Random(seed)
    homes = {}
    for number, fact in enumerate(random_stream(seed, 120, make=maker)):
        # Attempts of an order come where its first came: the two would otherwise record it with two facts.
        # What becomes of an order may be told to either service; one that lags knows only what it was told.
        key = fact.key if isinstance(fact, Order) else fact.order_key if share < 1 else f"x{number}"
        store = homes.setdefault(key, chance.choice((here, there)))
        for recorded in (store, whole):
            record(recorded, fact, number)
    there.pump()
    here.pump(share)
    until(here.shares)
    for order in probes(maker, seed):
        found, local, expected = read(here, order), here.context(order), whole.context(order)
        # Whether B137 applies at all is told by the merchants of this service alone.
        for node in SHARED_NODES - ({"B137"} - local.values.keys()):
            assert found.values.get(node) == expected.values.get(node), node
        assert {n: v for n, v in found.values.items() if n not in SHARED_NODES} == {
            n: v for n, v in local.values.items() if n not in SHARED_NODES
        }
    whole.close()


def test_two_services_see_one_anothers_orders_and_outcomes(open_beside):
    here, there = open_beside("a"), open_beside("b")
    record(there, an_order("x", HOUR, account="bob", card="c"), 1)
    record(here, an_order("y", 2 * HOUR, account="eve", card="c"), 1)
    there.pump()
    until(here.shares)
    seen = read(here, an_order(account="ann", card="c")).values
    assert seen["B133"]["accounts_30d"] == 2
    assert seen["B133"]["fraud_share"] == 0
    assert seen["B136"] == "3+"
    record(there, an_outcome("y", "chargeback_fraud", 60), 2)
    here.pump()
    there.pump()
    seen = read(here, an_order(account="ann", card="c")).values
    assert seen["B133"]["fraud_share"] == 0.5
    assert seen["B136"] == "1"


def test_an_order_of_another_service_is_no_part_of_its_own_history(open_beside):
    here, there = open_beside("a"), open_beside("b")
    record(there, an_order("x", HOUR, account="bob", card="c"), 1)
    there.pump()
    until(here.shares)
    again = replace(an_order("x", account="bob", card="c"), attempt=2)
    assert read(here, again).values["B133"]["orders_30d"] == 0


def test_a_hub_of_another_service_is_a_hub_here(open_beside):
    here, there = open_beside("a"), open_beside("b")
    for number in range(502):
        record(there, an_order(f"x{number}", HOUR + number, account=f"a{number}", address="locker"), number)
    there.pump()
    record(here, an_order("bad", DAY, account="eve", address="locker"), 1)
    record(here, an_outcome("bad", "confirmed_fraud", HOUR), 2)
    until(here.shares)
    order = an_order(account="ann", address="locker")
    assert here.context(order).values["B136"] == "1"
    assert read(here, order).values["B136"] == "3+"
    assert read(here, order).values["B132"]["orders_30d"] == 200
    assert read(here, order).values["B134"]["component_size_log2"] == 0


def frauds_behind_a_locker(write, count):
    rows = []
    for number in range(count):
        past = PastOrder.of(an_order(f"x{number}", HOUR + number, account=f"a{number}", address="locker"))
        told = msgspec.json.encode(an_outcome(f"x{number}", "confirmed_fraud", 60)).decode()
        row = {"key": past.key, "at": past.at, "address": past.address.hex()}
        rows.append(row | {"facts": encode_past(past), "outcomes": [told]})
    write("UNWIND $rows AS row CREATE (o:Order:Fraud) SET o = row", rows=rows)


@pytest.mark.parametrize(("others", "hops"), [(500, "1"), (501, "3+")])
def test_frauds_behind_a_hub_are_no_link_and_are_not_read(beside, write, others, hops):
    frauds_behind_a_locker(write, others + 1)
    order = an_order(f"x{others}", account="ann", address="locker")
    assert read(beside, order).values["B136"] == hops
    asked = parameters({"fraud_address": [digest("address", "locker").hex()]}, NOW, order.key)
    ((*_, found),) = beside._connection.ask(ASK, asked, 5.0).result(5.0)
    assert (None if found is None else len(found)) == (None if hops == "3+" else others)


def test_an_order_in_a_ring_too_large_to_ask_about_is_local_and_says_nothing_of_the_server(beside):
    for number in range(200):
        own = {kind: f"{kind}{number}" for kind in ("card", "address", "phone")}
        record(beside, an_order(f"x{number}", HOUR + number, **own), number)
    asked = []
    beside._connection.ask = lambda *given: asked.append(given)
    order = an_order()
    context = context_of(beside, order)
    assert context == beside.context(order)
    assert (asked, beside.breaker.last_error, beside.shares()) == ([], None, True)
    assert MOST_LINKS < 3 * 200


def test_an_order_stands_as_it_is_recorded_here_whatever_another_service_recorded(open_beside):
    here, there = open_beside("a"), open_beside("b")
    record(there, an_order("x", HOUR, account="eve", card="theirs", address="home"), 1)
    there.pump()
    record(here, an_order("x", 2 * HOUR, account="bob", card="ours", address="door"), 1)
    until(here.shares)
    for order in (
        an_order(account="ann", card="theirs", address="door"),
        an_order(account="ann", card="ours", address="home"),
    ):
        same(read(here, order), here.context(order))


def test_an_order_without_entities_asks_nothing_and_is_local(beside):
    context = context_of(beside, an_order(account=None))
    assert context.source == "local"


def test_contexts_are_local_when_neo4j_came_back_from_before_an_erasure(beside):
    record(beside, an_order("x", HOUR, account="ann"), 1)
    beside.pump()
    ask, feed = beside._connection, beside.feed

    def run(query, **parameters):
        return ask.submit(ask.write(lambda tx: values(tx, query, parameters))).result(60)

    async def values(tx, query, parameters):
        return await (await tx.run(query, parameters)).values()

    ((backup,),) = run("MATCH (f:Feed {name: $name}) RETURN properties(f)", name=feed.status.name)
    beside.subjects.erase((digest("account", "ann"),), (), NOW)
    beside.pump()
    assert beside.shares()
    beside.held.end = backup["packed"]
    run("MATCH (f:Feed {name: $name}) SET f = $backup", name=feed.status.name, backup=backup)
    ask.submit(feed.look_again()).result(60)
    assert not beside.shares()
    beside.let_go()
    until(beside.shares)


def test_it_closes_after_the_feed_has_read_what_it_reads(beside):
    reading, go_on, ends = threading.Event(), threading.Event(), []

    def slow():
        reading.set()
        go_on.wait(60)
        ends.append("read")
        return 0

    beside.held.last = slow
    close = beside._writer.close
    beside._writer.close = lambda: (ends.append("closed"), close())
    assert reading.wait(60)
    beside.breaker.failed("away", refused=True)
    closing = threading.Thread(target=beside.close)
    closing.start()
    until(lambda: not beside._connection._thread.is_alive())
    go_on.set()
    closing.join(60)
    assert ends == ["read", "closed"]
