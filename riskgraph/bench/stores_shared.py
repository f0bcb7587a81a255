"""How long a context takes that is read with Neo4j's help, one hub among its entities."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing

import numpy as np
from numpy.typing import NDArray

from riskgraph import graph_database
from riskgraph.bench import Figure
from riskgraph.bench.stores_graph import Server, graph_of, serving, until
from riskgraph.bench.stores_ground import WARM_UP, Ground, frozen, with_outcomes
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.core.past import PastOrder
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.ports import Progress
from riskgraph.stores.neo4j.connect import Connection
from riskgraph.stores.neo4j.load import Part, load
from riskgraph.stores.neo4j.rows import order_row
from riskgraph.stores.neo4j.store import Neo4jStore

LOADED_S = 3600.0
LOOK_S, CLOSED_S = 0.02, 60.0
_NOTHING_KEPT = OrderSubgraph.build({}, {}).pack()


def neo4j_context(ground: Ground) -> list[Figure]:
    """Contexts of one of two services: half of the orders are in its journal, and all are in Neo4j."""
    server, sizes = Server.from_environment(), ground.sizes
    world = ground.world(sizes.shared + sizes.lookups)
    journal = ground.folder / "shared" / "riskgraph.db"
    settings = server.settings(ground.settings, journal, "flagged")
    with graph_of(server):
        stream = ground.with_hub(world, sizes.hub_every)
        start = time.perf_counter()
        with graph_database.connected(settings) as neo4j:
            half = _loaded(neo4j, with_outcomes(stream, world, sizes.shared), sizes.shared, ground.progress)
        seconds = time.perf_counter() - start
        with serving(settings) as (_, store):
            for orders, outcomes in half:
                store.load(orders, outcomes, lambda *_: None)
            until(store.shares, "Neo4j being asked")
            ms, sources = _read(store, list(stream))
    hub = -(-sizes.shared // sizes.hub_every)
    told = ", ".join(f"{count} {source}" for source, count in sources.items())
    note = (
        f"{len(ms)} simulated orders, each once, after {sizes.shared:,} of which {hub:,} went to one "
        f"address; half of them are this service's own; context: {told}; "
        f"loaded at {sizes.shared / seconds:,.0f}/s"
    )
    return [Figure(f"neo4j_context_p{q}_ms", float(np.quantile(ms, q / 100)), "ms", note) for q in (50, 99)]


_Parts = Iterator[tuple[list[Order], list[Outcome]]]


def _loaded(
    neo4j: Connection, parts: _Parts, total: int, progress: Progress
) -> list[tuple[list[Order], list[Outcome]]]:
    """Load all into Neo4j; every second part is for the journal too."""
    half: list[tuple[list[Order], list[Outcome]]] = []

    def rows() -> Iterator[Part]:
        for number, (orders, outcomes) in enumerate(parts):
            if number % 2:
                half.append((orders, outcomes))
            yield Part([order_row(PastOrder.of(order), _NOTHING_KEPT) for order in orders], outcomes)

    async def work() -> None:
        async with aclosing(load(neo4j, rows())) as steps:
            async for done in steps:
                progress("load", min(done.read, total), total)

    neo4j.submit(work()).result(LOADED_S)
    return half


def _read(store: Neo4jStore, orders: Sequence[Order]) -> tuple[NDArray[np.float64], Counter[str]]:
    """Milliseconds of each order's context, each once, and where they were read; a tenth goes before.

    An order that waited in vain counts with its wait. Those that would not ask, since the breaker is open,
    would count as quick: none is read then.
    """

    async def work() -> tuple[list[float], Counter[str]]:
        taken, sources = [], Counter[str]()
        for number, order in enumerate(orders):
            async with asyncio.timeout(CLOSED_S):
                while not store.shares():
                    await asyncio.sleep(LOOK_S)
            start = time.perf_counter_ns()
            found = await store.read_context(order)
            if number >= len(orders) // WARM_UP:
                taken.append((time.perf_counter_ns() - start) / 1e6)
                sources[found.source] += 1
        return taken, sources

    with frozen():
        taken, sources = asyncio.run(work())
    return np.array(taken), sources


PARTS = {neo4j_context: ("neo4j_context_p50_ms", "neo4j_context_p99_ms")}
