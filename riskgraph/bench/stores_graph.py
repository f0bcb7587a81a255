"""What Neo4j takes from the journal, whether all of it arrives once, and what it tells a decision."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from riskgraph import bootstrap, graph_database
from riskgraph.bench import Figure
from riskgraph.bench.fault_proxy import Fault, FaultProxy, Mode
from riskgraph.bench.stores_ground import Ground
from riskgraph.bench.stores_server import ANSWER_S, Server, count, run
from riskgraph.core.order import Order
from riskgraph.core.past import PastOrder
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.ports import Progress
from riskgraph.stores import open_store
from riskgraph.stores.crash import synthetic_secrets
from riskgraph.stores.neo4j import nodes
from riskgraph.stores.neo4j.connect import Connection
from riskgraph.stores.neo4j.feed import Feed
from riskgraph.stores.neo4j.journal import Journal
from riskgraph.stores.neo4j.load import Part, load
from riskgraph.stores.neo4j.rows import order_row
from riskgraph.stores.neo4j.store import Neo4jStore
from riskgraph.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

NO_NODES, FLAGGED, ALL = nodes.Policy("sample", 0.0), nodes.Policy("flagged"), nodes.Policy("all")
FAULTS = 40
BROKEN: tuple[Fault, ...] = ("cut", "reset", "refuse", "cut")
READY_S = 120.0
_ORDERS = "MATCH (o:Order) RETURN count(o)"
_DISTINCT = "MATCH (o:Order) RETURN count(DISTINCT o.key)"
_DECISIONS = "MATCH (d:Decision)-[:ABOUT]->(:Order) RETURN count(d)"
_DECISIONS_DISTINCT = "MATCH (d:Decision) RETURN count(DISTINCT d.id)"
_MADE = "MATCH (o:Order) WHERE o.nodes RETURN count(o)"
_BEHAVIORS = "MATCH (:Order)-[:HAS]->(b:Behavior) RETURN count(b)"
_LINKS = "MATCH (:Order)-[r:PLACED_BY|ON_DEVICE|PAID_WITH|DELIVERED_TO|REACHED_AT]->() RETURN count(r)"
_LINKS_DISTINCT = """
MATCH (o:Order)-[r:PLACED_BY|ON_DEVICE|PAID_WITH|DELIVERED_TO|REACHED_AT]->(e)
WITH DISTINCT o, type(r) AS kind, e RETURN count(*)
"""
_KEYS = "MATCH (o:Order) RETURN o.key ORDER BY o.key LIMIT $limit"
_VECS = "MATCH (o:Order) WHERE o.key IN $keys RETURN o.key, o.vec"


def feeding(ground: Ground) -> list[Figure]:
    """Orders through the outbox: packed alone, and with the behavior nodes that the policy flags."""
    with _journal(ground) as journal:
        packed = _drained(ground, journal, NO_NODES)
        backlog = _drained(ground, journal, FLAGGED)
    orders, note = ground.sizes.backlog, f"{ground.sizes.backlog:,} decisions of simulated orders"
    told = f"{note}; {backlog.status.materialised} flagged orders got their 137 nodes"
    return [
        Figure("packed_orders_s", orders / packed.seconds, "1/s", f"{note}, feed from an empty graph"),
        Figure("backlog_10k_s", backlog.seconds * 10_000 / orders, "s", told),
    ]


def exactly_once(ground: Ground) -> list[Figure]:
    """Rows twice and rows missing after the feed wrote through a proxy that cut, reset and refused."""
    server = Server.given()
    server.wiped()
    with _journal(ground) as journal, FaultProxy(*server.address) as proxy:
        behind = server.at(proxy.port)
        failures = 0
        with behind.connected() as neo4j:
            failures = _through_faults(Feed(journal, neo4j, FLAGGED), neo4j, proxy, ground.progress)
        with server.connected() as neo4j:
            twice = _twice(neo4j)
            there = count(neo4j, _ORDERS), count(neo4j, _DECISIONS)
        last = journal.events(0, journal.last(), 10**9)
    keys = {event["payload"]["order_key"] for event in last if event["type"] == "decision.recorded"}
    decided = sum(event["type"] == "decision.recorded" for event in last)
    lost = max(0, len(keys) - there[0]) + max(0, decided - there[1])
    note = f"{len(keys):,} orders and {decided:,} decisions in the journal; {failures} writes failed"
    return [
        Figure("duplicates", twice, "rows", f"{note}; orders, decisions, edges and behavior nodes"),
        Figure("lost", lost, "rows", note),
    ]


def _twice(neo4j: Connection) -> int:
    made, behaviors = count(neo4j, _MADE), count(neo4j, _BEHAVIORS)
    return (
        count(neo4j, _ORDERS)
        - count(neo4j, _DISTINCT)
        + count(neo4j, _DECISIONS)
        - count(neo4j, _DECISIONS_DISTINCT)
        + count(neo4j, _LINKS)
        - count(neo4j, _LINKS_DISTINCT)
        + abs(behaviors - 137 * made)
    )


def _through_faults(feed: Feed, neo4j: Connection, proxy: FaultProxy, progress: Progress) -> int:
    """Drain while faults come and go; returns how many steps failed."""
    chance, failures = random.Random(7), 0
    for number in range(FAULTS):
        progress("faults", number, FAULTS)
        kind = chance.choice(BROKEN)
        proxy.set(Mode(kind, after=chance.randrange(4_000)))
        try:
            run(neo4j, asyncio.wait_for(feed.step(), 20.0))
        except Exception:  # that is what the faults are for
            failures += 1
        proxy.set(Mode())
        run(neo4j, feed.step())
    run(neo4j, feed.drain())
    return failures


def materialising(ground: Ground) -> list[Figure]:
    """Behavior nodes and edges through the feed, beside the same rows by bare statements of the same size."""
    size = ground.sizes.shown
    server = Server.given()
    with _journal(ground) as journal:
        _drained(ground, journal, NO_NODES)
        with server.connected() as neo4j:
            feed = Feed(journal, neo4j, ALL)
            run(neo4j, feed.again())
            through, began = 0, time.perf_counter()
            while through < size and run(neo4j, feed.step()):
                through = feed.status.materialised
                ground.progress("behavior nodes", through, size)
            seconds = time.perf_counter() - began
            edges = count(neo4j, "MATCH (:Behavior)-[r]->(:Behavior) RETURN count(r)") / max(through, 1)
        _drained(ground, journal, NO_NODES)
        with server.connected() as neo4j:
            bare = _bare_rate(neo4j, through)
    note = f"{through:,} simulated orders, 137 nodes and {edges:.0f} edges each"
    rate = through / seconds
    return [
        Figure("materialise_orders_s", rate, "1/s", note + "; baseline: bare UNWIND", baseline=bare),
        Figure(
            "materialise_ratio", rate / bare, "1", f"{note}; by a bare UNWIND of the same rows, {bare:.0f}/s"
        ),
    ]


def _bare_rate(neo4j: Connection, orders: int) -> float:
    """Orders a second whose rows lie ready, written by the one statement and nothing else."""
    keys = [key for (key,) in run(neo4j, neo4j.fetch(_KEYS, {"limit": orders}, ANSWER_S))]
    vecs = run(neo4j, neo4j.fetch(_VECS, {"keys": keys}, ANSWER_S))
    rows = [nodes.behavior_row(key, OrderSubgraph.unpack(bytes(vec))) for key, vec in vecs]

    async def write(tx: AsyncManagedTransaction, part: Sequence[Any]) -> None:
        await (await tx.run(nodes.WRITE, rows=part)).consume()

    began = time.perf_counter()
    for start in range(0, len(rows), nodes.BATCH):
        run(neo4j, neo4j.write(partial(write, part=rows[start : start + nodes.BATCH])))
    return len(rows) / (time.perf_counter() - began)


def round_trip(ground: Ground) -> list[Figure]:
    """Nodes and edges read back beside the packed subgraph, and their score beside the stored one."""
    size = ground.sizes.returned
    server = Server.given()
    with _journal(ground) as journal:
        _drained(ground, journal, NO_NODES)
        with server.connected() as neo4j:
            feed = Feed(journal, neo4j, ALL)
            run(neo4j, feed.again())
            while feed.status.materialised < size and run(neo4j, feed.step()):
                ground.progress("behavior nodes", feed.status.materialised, size)
    settings = server.settings(ground.settings, ground.backlog, "all")
    told = graph_database.check(settings, size, ground.progress)
    equal = min(told["equal"], told["same_score"]) / told["checked"]
    note = (
        f"{told['checked']:,} simulated orders: {told['equal']:,} equal in nodes and edges, "
        f"{told['same_score']:,} of {told['scored']:,} with the stored score"
    )
    return [Figure("roundtrip_equal", equal, "1", note)]


def reading(ground: Ground) -> list[Figure]:
    """Contexts that Neo4j takes part in, orders asked one after another."""
    server, held = Server.given(), ground.shared
    server.wiped()
    with server.connected() as neo4j:
        run(neo4j, _load(neo4j, ground))
    settings = server.settings(ground.settings, held.store.path, "sample:0")
    held.store.close()
    store = open_store(settings.store, synthetic_secrets(), neo4j=bootstrap.neo4j_options(settings))
    assert isinstance(store, Neo4jStore)
    try:
        _await_ready(store)
        ms, shared = asyncio.run(_timed(store, held.next_orders))
    finally:
        store.close()
    note = (
        f"{len(ms)} simulated orders, each once, after {held.orders:,} of which {held.hub_orders:,} went to "
        f"one address; {shared} answered by Neo4j within its deadline"
    )
    return [Figure(f"neo4j_context_p{q}_ms", float(np.quantile(ms, q / 100)), "ms", note) for q in (50, 99)]


def _await_ready(store: Neo4jStore) -> None:
    until = time.monotonic() + READY_S
    while not store.shares():
        if time.monotonic() > until:
            raise TimeoutError(f"Neo4j was not ready in {READY_S:.0f} s: {store.shared_state()}")
        time.sleep(0.05)


async def _timed(store: Neo4jStore, orders: Sequence[Order]) -> tuple[list[float], int]:
    warm = len(orders) // 10
    taken, shared = [], 0
    for number, order in enumerate(orders):
        began = time.perf_counter()
        context = await store.read_context(order)
        if number >= warm:
            taken.append((time.perf_counter() - began) * 1e3)
            shared += context.source == "neo4j"
    return taken, shared


async def _load(neo4j: Connection, ground: Ground) -> None:
    size, vec = ground.sizes.shared, OrderSubgraph.build({}, {}).pack()
    parts = (
        Part([order_row(PastOrder.of(order), vec) for order in orders], outcomes)
        for orders, outcomes in ground.history(size)
    )
    async for done in load(neo4j, parts):
        ground.progress("load into Neo4j", done.read, size)


class _Drained:
    """How a feed wrote all that waited."""

    def __init__(self, feed: Feed, seconds: float) -> None:
        self.status, self.seconds = feed.status, seconds


def _drained(ground: Ground, journal: Journal, policy: nodes.Policy) -> _Drained:
    """Write the whole journal into an empty graph."""
    server = Server.given()
    server.wiped()
    with server.connected() as neo4j:
        feed, began = Feed(journal, neo4j, policy), time.perf_counter()
        while run(neo4j, feed.step()):
            ground.progress("feed", feed.status.packed, feed.status.last)
        return _Drained(feed, time.perf_counter() - began)


@contextmanager
def _journal(ground: Ground) -> Iterator[Journal]:
    store = SqliteStore(ground.backlog, bootstrap.open_secrets(ground.settings))
    try:
        yield Journal(store._read, store._writer)
    finally:
        store.close()


PARTS = {
    feeding: ("packed_orders_s", "backlog_10k_s"),
    exactly_once: ("duplicates", "lost"),
    materialising: ("materialise_orders_s", "materialise_ratio"),
    round_trip: ("roundtrip_equal",),
    reading: ("neo4j_context_p50_ms", "neo4j_context_p99_ms"),
}
