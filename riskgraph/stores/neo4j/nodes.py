"""The 137 behavior nodes of an order and the typed edges between them: written, read back, taken out.

They are for people and for queries; what an order was scored from is its packed subgraph, and they can be
made from that again.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from riskgraph.core.catalog import BIN_COUNT, NODE_COUNT, Form, NodeSpec, catalog
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.stores.neo4j.schema import Writes

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

SETTING = "RISKGRAPH_NEO4J_NODES"
# Small, since the driver packs a transaction's parameters in one go on the loop that hot reads share; larger
# ones were no faster.
BATCH = 10
PAGE = 500
Row = dict[str, Any]
Edge = tuple[str, str, str]
_STATES = {state.word: state for state in State}
_WORDS = [state.word for state in State]
_BOOK = catalog()
# What is the same for all orders: by node its name, and where its values lie; by type the ends of edges.
_NODES = [
    (
        node,
        {"id": node.id, "name": node.name, "name_zh": node.name_zh},
        part,
        slice(rows.start * BIN_COUNT, rows.stop * BIN_COUNT),
    )
    for node, part, rows in zip(_BOOK.nodes, _BOOK.component_slices, _BOOK.histogram_slices, strict=True)
]
_ENDS = {
    kind: [(edge.source, edge.target) for edge in _BOOK.edges if edge.type == kind]
    for kind in _BOOK.edge_types
}

# The first SET takes the lock; only then is asked whether the nodes are there. Whoever takes the order out
# meanwhile waits, and then finds all of them.
_LOCK = """
UNWIND $keys AS key
MATCH (o:Order {key: key})
SET o.locked = true
REMOVE o.locked
WITH o WHERE o.nodes IS NULL
SET o.nodes = true
RETURN o.key, o.vec
"""
# Types are written out: in Neo4j 5.26.0 CREATE ()-[:$(type)]->() gives all rows the type of the first.
WRITE = """
UNWIND $rows AS row
MATCH (o:Order {key: row.key})
CALL (o, row) {
  UNWIND row.behaviors AS behavior
  CREATE (o)-[:HAS]->(b:Behavior:$(behavior.family)) SET b = behavior.properties
  RETURN collect(b) AS behaviors
}
CALL (row, behaviors) {
  UNWIND row.temporal_next AS edge
  WITH behaviors[edge[0]] AS source, behaviors[edge[1]] AS target
  CREATE (source)-[:TEMPORAL_NEXT]->(target)
}
CALL (row, behaviors) {
  UNWIND row.same_page AS edge
  WITH behaviors[edge[0]] AS source, behaviors[edge[1]] AS target
  CREATE (source)-[:SAME_PAGE]->(target)
}
CALL (row, behaviors) {
  UNWIND row.same_entity AS edge
  WITH behaviors[edge[0]] AS source, behaviors[edge[1]] AS target
  CREATE (source)-[:SAME_ENTITY]->(target)
}
CALL (row, behaviors) {
  UNWIND row.causal AS edge
  WITH behaviors[edge[0]] AS source, behaviors[edge[1]] AS target
  CREATE (source)-[:CAUSAL]->(target)
}
CALL (row, behaviors) {
  UNWIND row.corroborates AS edge
  WITH behaviors[edge[0]] AS source, behaviors[edge[1]] AS target
  CREATE (source)-[:CORROBORATES]->(target)
}
CALL (row, behaviors) {
  UNWIND row.consistency AS edge
  WITH behaviors[edge[0]] AS source, behaviors[edge[1]] AS target
  CREATE (source)-[:CONSISTENCY]->(target)
}
CALL (row, behaviors) {
  UNWIND row.found AS edge
  WITH behaviors[edge[0]] AS source, behaviors[edge[1]] AS target
  CREATE (source)-[:FOUND]->(target)
}
"""
_READ = """
MATCH (:Order {key: $key})-[:HAS]->(b:Behavior)
RETURN b.id, b.state, b.components, b.shares ORDER BY b.id
"""
_READ_EDGES = """
MATCH (:Order {key: $key})-[:HAS]->(a:Behavior)-[r]->(b:Behavior)
RETURN type(r), a.id, b.id
"""
_CLEAR = """
MATCH (o:Order) WHERE o.key IN $keys AND o.nodes
REMOVE o.nodes
WITH o
MATCH (o)-[:HAS]->(b:Behavior)
DETACH DELETE b
"""
# What a verdict was before a review changed it is what the feed goes by.
_PAGE = """
MATCH (o:Order) WHERE o.key > $after
WITH o ORDER BY o.key LIMIT $limit
OPTIONAL MATCH (d:Decision)-[:ABOUT]->(o)
RETURN o.key, o:Fraud, o.nodes, collect(coalesce(d.decided, d.verdict)) ORDER BY o.key
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """Of which orders behavior nodes are made.

    Attributes:
        kind: ``all``, ``flagged`` (the verdict is not accept) or ``sample``.
        share: Of ``sample``: the share of orders, by the hash of their key.
    """

    kind: str
    share: float = 1.0

    @classmethod
    def parse(cls, text: str, field: str = SETTING) -> Policy:
        """Read ``all``, ``flagged`` or ``sample:P``; ``field`` is where it was asked for.

        Raises:
            Invalid: If it is none of these, or P is no share from 0 to 1.
        """
        kind, colon, rest = text.strip().partition(":")
        if kind in ("all", "flagged") and not colon:
            return cls(kind)
        if kind != "sample":
            raise Invalid(f"{field} is all, flagged or sample:P, not {text!r:.40}", field=field)
        try:
            share = float(rest)
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            raise Invalid(
                f"{field} sample:P takes a share from 0 to 1, as in sample:0.1, not {rest!r:.40}",
                field=field,
            )
        return cls(kind, share)

    def chooses(self, order_key: str, verdict: str) -> bool:
        """Whether an order's nodes are made; the same order is always chosen alike."""
        if self.kind == "sample":
            return int.from_bytes(sha256(order_key.encode()).digest()[:8]) < self.share * 2**64
        return self.kind == "all" or verdict != "accept"


def template_edges(graph: OrderSubgraph) -> list[Edge]:
    """``(type, from, to)`` by node id: the template's edges of which both ends are present."""
    nodes = _BOOK.nodes
    return [(kind.upper(), nodes[a].id, nodes[b].id) for kind, ends in _edges(graph).items() for a, b in ends]


def _edges(graph: OrderSubgraph) -> dict[str, list[tuple[int, int]]]:
    """By type, the places of the two ends."""
    here = graph.present.tolist()
    return {kind: [pair for pair in ends if here[pair[0]] and here[pair[1]]] for kind, ends in _ENDS.items()}


def behavior_row(key: str, graph: OrderSubgraph) -> Row:
    """An order's behavior nodes and edges as parameters of the write."""
    states, parts = graph.states.tolist(), graph.components.tolist()
    shares = graph.shares.reshape(-1).tolist()
    behaviors = []
    for node, named, part, bins in _NODES:
        state = states[node.index]
        properties: Row = {**named, "state": _WORDS[state]}
        if state == State.PRESENT:
            properties["value"] = words(node, parts[part])
            properties["components"] = parts[part]
            if node.form is Form.HISTOGRAM:
                properties["shares"] = shares[bins]
        behaviors.append({"family": node.family, "properties": properties})
    return {"key": key, "behaviors": behaviors, **_edges(graph)}


def words(node: NodeSpec, parts: Sequence[float]) -> str:
    """A present node's value for people: a word, yes or no, a number, or components by name."""
    if node.words:
        return node.words[int(parts[0])]
    if node.form is Form.FLAG:
        return "yes" if parts[0] else "no"
    if len(parts) == 1:
        return f"{parts[0]:g}"
    named = zip(node.components, parts, strict=True)
    return ", ".join([f"{name} {part:.4g}" for name, part in named if part == part])


async def make_nodes(tx: AsyncManagedTransaction, keys: Sequence[str]) -> int:
    """Make the nodes of orders that are there and have none yet, from their packed subgraphs.

    Args:
        tx: The transaction.
        keys: Of orders, few at a time: see ``BATCH``.

    Returns:
        Of how many orders.
    """
    found = await (await tx.run(_LOCK, keys=sorted(keys))).values()
    if found:
        rows = [behavior_row(key, OrderSubgraph.unpack(bytes(vec))) for key, vec in found]
        await (await tx.run(WRITE, rows=rows)).consume()
    return len(found)


async def read_nodes(tx: AsyncManagedTransaction, order_key: str) -> OrderSubgraph | None:
    """The subgraph as its nodes have it; None for an order without nodes.

    Raises:
        CheckFailed: If they are not the 137 nodes of the catalogue, or one has a state or a number of values
            that it cannot have.
        SubgraphError: If their values contradict one another.
    """
    book = _BOOK
    rows = await (await tx.run(_READ, key=order_key)).values()
    if not rows:
        return None
    if [row[0] for row in rows] != sorted(node.id for node in book):
        raise CheckFailed(f"order {order_key} has {len(rows)} behavior nodes, not the {NODE_COUNT} expected")
    states = np.zeros(NODE_COUNT, dtype=np.uint8)
    components = np.full(len(book.components), np.nan, dtype=np.float32)
    shares = np.zeros((book.histogram_count, BIN_COUNT), dtype=np.uint8)
    for name, state, parts, bins in rows:
        place = book[name].index
        try:
            states[place] = _STATES[state]
            if parts is not None:
                components[book.component_slices[place]] = parts
            if bins is not None:
                shares[book.histogram_slices[place]] = np.reshape(bins, (-1, BIN_COUNT))
        except (KeyError, ValueError, TypeError, OverflowError) as wrong:
            raise CheckFailed(f"order {order_key}: node {name} is damaged: {wrong!r:.80}") from wrong
    return OrderSubgraph(states, components, shares)


async def read_edges(tx: AsyncManagedTransaction, order_key: str) -> list[Edge]:
    """``(type, from, to)`` of the edges between an order's behavior nodes."""
    rows = await (await tx.run(_READ_EDGES, key=order_key)).values()
    return [(kind, a, b) for kind, a, b in rows]


async def clear_nodes(tx: AsyncManagedTransaction, keys: Sequence[str]) -> None:
    """Take out the nodes of orders; the orders stay, and their nodes can be made again."""
    await (await tx.run(_CLEAR, keys=list(keys))).consume()


async def rebuild(neo4j: Writes, policy: Policy) -> AsyncGenerator[tuple[int, int, int], None]:
    """Make the nodes of all orders anew that a policy chooses, and take out the others'.

    An order without a decision, as a loaded world has them, counts as accepted unless fraud is on record.
    It may be repeated, and another writer may make nodes meanwhile.

    Yields:
        After some orders how many were looked at, how many have nodes now, and how many had some before.
    """
    looked, made, cleared, after = 0, 0, 0, ""
    while page := await neo4j.write(partial(_page, after=after)):
        for start in range(0, len(page), BATCH):
            part = page[start : start + BATCH]
            there = [key for key, _, nodes, _ in part if nodes]
            chosen = [key for key, fraud, _, verdicts in part if policy.chooses(key, _worst(verdicts, fraud))]
            if there or chosen:
                made += await neo4j.write(partial(_remake, there=there, chosen=chosen))
            cleared += len(there)
        looked, after = looked + len(page), page[-1][0]
        yield looked, made, cleared


def _worst(verdicts: Sequence[str], fraud: bool) -> str:
    """A verdict that stands for all: not accept if any is not."""
    if not verdicts:
        return "reject" if fraud else "accept"
    return next((verdict for verdict in verdicts if verdict != "accept"), "accept")


async def _page(tx: AsyncManagedTransaction, after: str) -> list[list[Any]]:
    return await (await tx.run(_PAGE, after=after, limit=PAGE)).values()


async def _remake(tx: AsyncManagedTransaction, there: Sequence[str], chosen: Sequence[str]) -> int:
    await clear_nodes(tx, there)
    return await make_nodes(tx, chosen)
