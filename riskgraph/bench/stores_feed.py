"""What the feed writes into Neo4j a second, whether it is all there once, and whether it reads back equal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString

import apsw

from riskgraph import graph_check, graph_database
from riskgraph.bench import Figure
from riskgraph.bench.fault_proxy import FaultProxy, Mode
from riskgraph.bench.stores_graph import Graph, Server, graph_of, serving, until
from riskgraph.bench.stores_ground import Ground, decide_all
from riskgraph.core.errors import CheckFailed
from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.past import PastOrder
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.pipeline import Line
from riskgraph.stores.codec import decode_past
from riskgraph.stores.neo4j.nodes import behavior_row
from riskgraph.stores.neo4j.store import Neo4jStore
from riskgraph.stores.schema import connect

NODES = 137
CUTS, CUT_EVERY_S = 10, 0.3
RAW_AT_ONCE = 50
# One statement of the same nodes and as many relationships, by nothing that has to be right twice.
_RAW = """
UNWIND $rows AS row
CREATE (o:RawOrder {key: row.key})
WITH o, row
CALL (o, row) {
  UNWIND row.behaviors AS behavior
  CREATE (o)-[:HAS]->(b:Behavior:$(behavior.family)) SET b = behavior.properties
  RETURN collect(b) AS behaviors
}
CALL (row, behaviors) {
  UNWIND row.edges AS edge
  WITH behaviors[edge[0]] AS source, behaviors[edge[1]] AS target
  CREATE (source)-[:CAUSAL]->(target)
}
"""
_UNRAW = """
MATCH (o:RawOrder) WITH o LIMIT 5
MATCH (o)-[:HAS]->(b) DETACH DELETE b, o RETURN count(*)
"""
_ORDERS = "MATCH (o:Order) RETURN o.key"
_DECISIONS = "MATCH (d:Decision)-[:ABOUT]->(:Order) RETURN d.id"
_OUTCOMES = "MATCH (x:Outcome)-[:OF]->(:Order) RETURN x.id"
# How often an order hangs on entities of each kind, hubs left out: they have counts in place of edges.
_LINKS = """
MATCH (o:Order)-[:PLACED_BY|ON_DEVICE|PAID_WITH|DELIVERED_TO|REACHED_AT]->(e) WHERE NOT e.hub
RETURN o.key, e.digest
"""
_BACK = "MATCH (f:Feed) SET f.nodes = 0"
_SHOWN = "MATCH (o:Order)-[:HAS]->(b:Behavior) RETURN o.key, count(b), count(DISTINCT b.id)"


@dataclass(slots=True)
class Drained:
    """A backlog's way into the graph, in seconds since the server came back.

    Attributes:
        orders: Decided while the server refused.
        shown: Those with behavior nodes.
        first_s: Until the first of them were there; before that the feed had not noticed.
        rate: Orders a second from then on until all were packed.
        drained_s: Until all were there with all behavior nodes.
    """

    orders: int
    shown: int = 0
    first_s: float = 0.0
    rate: float = 0.0
    drained_s: float = 0.0


def backlog(ground: Ground) -> list[Figure]:
    """A backlog after an outage; then more orders while connections break, and what is there at the end."""
    server, sizes = Server.from_environment(), ground.sizes
    journal = ground.folder / "backlog" / "riskgraph.db"
    with graph_of(server) as graph, FaultProxy(*server.address) as proxy:
        settings = server.settings(ground.settings, journal, "flagged", proxy.port)
        with serving(settings) as (service, store):
            # A server that has just started plans its statements, so it has seen some orders before.
            _decide(ground, service.line, 0, sizes.disturbed)
            _until_fed(store)
            drained = _backlog(ground, service.line, store, proxy)
            events = _disturbed(ground, service.line, store, proxy)
            _until_fed(store)
        doubled, lost = compared(graph, journal)
    note = f"{drained.orders:,} simulated decisions that waited while the server refused"
    whole = (
        f"{note}, policy flagged: {drained.shown} with behavior nodes; {drained.rate:,.0f} packed orders/s "
    )
    whole += "through the proxy; from the server's return on, "
    whole += f"{drained.first_s:.1f} s until the feed noticed included"
    counted = f"{note}, and {events} more events while {CUTS} connections broke"
    return [
        Figure("backlog_10k_s", drained.drained_s, "s", whole),
        Figure("duplicates", sum(doubled.values()), "", f"{counted}: {_words(doubled)}"),
        Figure("lost", sum(lost.values()), "", f"{counted}: {_words(lost)}"),
    ]


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _decide(ground: Ground, line: Line, first: int, count: int) -> set[str]:
    """Decide some orders; the decisions' ids."""
    answers = decide_all(ground.bodies(first, count), line)
    names = set()
    for answer in answers:
        names.add(answer.decision.decision_id)
        ground.progress("decide", len(names), count)
    return names


def _until_fed(store: Neo4jStore) -> None:
    last = store.journal().last()
    until(lambda: min(store.feed.status.packed, store.feed.status.nodes) >= last, "the feed's end")


def _backlog(ground: Ground, line: Line, store: Neo4jStore, proxy: FaultProxy) -> Drained:
    sizes, shown = ground.sizes, store.feed.status.materialised
    proxy.set(Mode("refuse"))
    done = Drained(len(_decide(ground, line, sizes.disturbed, sizes.decided)))
    before, last = store.feed.status.packed, store.journal().last()
    proxy.set(Mode())
    done.first_s = until(lambda: store.feed.status.packed > before, "the feed's return")
    there = store.feed.status.packed
    packed_s = until(lambda: store.feed.status.packed >= last, "the end of packed orders")
    done.rate = (last - there) / packed_s
    rest_s = until(lambda: store.feed.status.nodes >= last, "the end of behavior nodes")
    done.drained_s, done.shown = done.first_s + packed_s + rest_s, store.feed.status.materialised - shown
    return done


def _disturbed(ground: Ground, line: Line, store: Neo4jStore, proxy: FaultProxy) -> int:
    """Decide more orders, and report what became of them, while connections break; how many events."""
    sizes = ground.sizes
    names = _decide(ground, line, sizes.disturbed + sizes.decided, sizes.disturbed)
    keys = set(decided_keys(store.path, names))
    outcomes = [o for o in ground.world(sizes.served).outcomes() if o.order_key in keys]
    for start in range(CUTS):
        store.append_outcomes(outcomes[start::CUTS])
        # First in the middle of an answer, then between two of them.
        proxy.set(Mode("cut", after=200 * (start + 1)))
        time.sleep(CUT_EVERY_S)
        proxy.set(Mode("reset"))
        proxy.set(Mode())
    return len(names) + len(outcomes)


def decided_keys(journal: Path, decisions: set[str]) -> list[str]:
    """Keys of the orders of some decisions."""
    connection = connect(journal, write=False)
    try:
        rows: list[Any] = connection.execute("SELECT decision_id, key FROM decisions").fetchall()
        return [key for name, key in rows if name in decisions]
    finally:
        connection.close()


def compared(graph: Graph, journal: Path) -> tuple[Counter[str], Counter[str]]:
    """What the graph has twice, and what the journal has that the graph does not, by kind."""
    connection = connect(journal, write=False)
    try:
        orders = [decode_past(facts) for (facts,) in connection.execute("SELECT facts FROM orders")]
        decisions: list[Any] = connection.execute("SELECT decision_id FROM decisions").fetchall()
        outcomes: list[Any] = connection.execute(
            "SELECT order_key || '|' || outcome_id FROM outcomes"
        ).fetchall()
        flagged = _flagged(connection)
    finally:
        connection.close()
    both: dict[str, tuple[Counter[Any], Counter[Any]]] = {
        "orders": (Counter(past.key for past in orders), _counted(graph, _ORDERS)),
        "decisions": (Counter(name for (name,) in decisions), _counted(graph, _DECISIONS)),
        "outcomes": (Counter(name for (name,) in outcomes), _counted(graph, _OUTCOMES)),
        "links": (links_of(orders), _counted(graph, _LINKS)),
    }
    doubled, lost = Counter[str](), Counter[str]()
    for kind, (here, there) in both.items():
        doubled[kind] = (there - here).total()
        lost[kind] = (here - there).total()
    shown = {key: (count, different) for key, count, different in graph.ask(_SHOWN)}
    doubled["behavior nodes"] = sum(count - different for count, different in shown.values())
    lost["behavior nodes"] = sum(NODES - shown.get(key, (0, 0))[1] for key in flagged)
    return doubled, lost


def _counted(graph: Graph, query: LiteralString) -> Counter[Any]:
    return Counter(row[0] if len(row) == 1 else tuple(row) for row in graph.ask(query))


def _flagged(connection: apsw.Connection) -> list[str]:
    rows: list[Any] = connection.execute("SELECT key FROM decisions WHERE verdict <> 'accept'").fetchall()
    return [key for (key,) in rows]


def links_of(orders: Sequence[PastOrder]) -> Counter[tuple[str, str]]:
    """How often each order should hang on an entity that is no hub."""
    used = Counter(digest for past in orders for _, digest in past.links())
    return Counter(
        (past.key, digest.hex())
        for past in orders
        for _, digest in past.links()
        if used[digest] <= HUB_ORDERS
    )


def materialise(ground: Ground) -> list[Figure]:
    """Orders whose behavior nodes the feed makes a second, beside one raw statement; then all read back."""
    server, journal = Server.from_environment(), ground.journal("materialise")
    rows = raw_rows(journal, ground.sizes.raw)
    half = len(rows) // 2
    settings = server.settings(ground.settings, journal, "all")
    with graph_of(server) as graph:
        # Orders first, and then all events again for their nodes.
        only_packed = replace(settings, neo4j_nodes="sample:0")
        graph_database.drain(only_packed)
        raw_s = _raw(graph, rows[:half])
        start = time.perf_counter()
        graph.ask(_BACK)
        made = graph_database.drain(settings)["materialised"]
        rate = made / (time.perf_counter() - start)
        raw = len(rows) / (raw_s + _raw(graph, rows[half:]))
        if made != ground.sizes.decided:
            raise CheckFailed(f"{made} of {ground.sizes.decided} orders have behavior nodes")
        checked = graph_check.check_sample(settings, ground.sizes.read_back, ground.progress)
        # Once more into an empty graph, whose server has planned all statements by now.
        graph.wipe()
        start = time.perf_counter()
        packed = graph_database.drain(only_packed)["orders"]
        packed_s = packed / (time.perf_counter() - start)
    note = f"{made:,} simulated orders through the feed, policy all; baseline: {len(rows)} of the same rows "
    note += f"in one raw UNWIND, {RAW_AT_ONCE} a transaction, half before and half after"
    same, size = checked["decisions"][graph_check.SAME], ground.sizes.read_back
    differ = checked["differ"]
    equal = checked["checked"] - checked["without_nodes"] - differ["nodes"] - differ["edges"]
    found = ", ".join(f"{count:,} {name}" for name, count in checked["decisions"].items() if count)
    read = f"{checked['checked']:,} orders, differing: {differ}; decisions: {found}"
    backlog = f"{packed:,} simulated decisions through the outbox, connecting included"
    return [
        Figure("packed_orders_s", packed_s, "1/s", backlog),
        Figure("materialise_orders_s", rate, "1/s", note, baseline=raw),
        Figure("materialise_ratio", rate / raw, "1", note),
        Figure("roundtrip_equal", min(equal, same) / size, "1", read),
    ]


def raw_rows(journal: Path, count: int) -> list[dict[str, Any]]:
    """Parameters of the raw statement, of a journal's first orders."""
    connection = connect(journal, write=False)
    try:
        query = "SELECT key, vec FROM orders ORDER BY oid LIMIT ?"
        found: list[Any] = connection.execute(query, (count,)).fetchall()
    finally:
        connection.close()
    rows = []
    for key, vec in found:
        row = behavior_row(key, OrderSubgraph.unpack(vec))
        behaviors = row.pop("behaviors")
        edges = [pair for name, pairs in row.items() if name != "key" for pair in pairs]
        rows.append({"key": key, "behaviors": behaviors, "edges": edges})
    return rows


def _raw(graph: Graph, rows: Sequence[dict[str, Any]]) -> float:
    start = time.perf_counter()
    for first in range(0, len(rows), RAW_AT_ONCE):
        graph.ask(_RAW, rows=rows[first : first + RAW_AT_ONCE])
    seconds = time.perf_counter() - start
    graph.until_nothing(_UNRAW)
    return seconds


PARTS = {
    backlog: ("backlog_10k_s", "duplicates", "lost"),
    materialise: ("packed_orders_s", "materialise_orders_s", "materialise_ratio", "roundtrip_equal"),
}
