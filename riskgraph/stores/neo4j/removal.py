"""Taking orders out of the graph with all that hangs on them: erasure and retention.

GDPR Art. 17, 5(1)(e); PIPL Art. 47, 19. A notice of the journal's outbox names what goes by hashes; an
order's time may also be over by its day. Entities that no order is left of go too; of the others the counts
go down, and what is a hub no longer has all its edges again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, LiteralString

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.past import DAY_S
from riskgraph.stores.neo4j.nodes import BATCH as MADE_AT_ONCE
from riskgraph.stores.neo4j.nodes import clear_nodes, make_nodes
from riskgraph.stores.neo4j.rows import ENTITY_KINDS, OrderRow
from riskgraph.stores.neo4j.schema import Writes

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

# Each may have 137 nodes: more would not fit the heap of a small server.
BATCH = 100

_NAMED = """
MATCH (o:Order) WHERE o.erasure_key IN $orders RETURN o.key AS key LIMIT $limit
UNION
MATCH (a:Account) WHERE a.erasure_key IN $subjects
MATCH (o:Order) WHERE o.account = a.digest AND o.at IS NOT NULL RETURN o.key AS key LIMIT $limit
"""
_OVER = "MATCH (o:Order) WHERE o.day < $day RETURN o.key LIMIT $limit"
_DUE = "MATCH (o:Order) WHERE o.day < $day RETURN count(o)"
_TAKE_DECISIONS = "MATCH (d:Decision) WHERE d.erasure_key IN $names DETACH DELETE d"
_TAKE_OUTCOMES = "MATCH (x:Outcome) WHERE x.erasure_key IN $names DETACH DELETE x"
_EARLY_OVER = """
MATCH (x:Outcome) WHERE x.reported_at < $before AND NOT EXISTS { (x)-[:OF]->() }
DELETE x RETURN count(*)
"""
_HAS_OPTIONAL = "MATCH (o:Order) WHERE o.erasure_key IN $names RETURN o.key"
# The lock comes first: whoever makes an order's nodes meanwhile waits, and then finds no order.
_LOCK = """
UNWIND $keys AS key
MATCH (o:Order {key: key})
SET o.removed = true
RETURN o { .account, .device, .card, .address, .phone, .ip, .merchant }
"""
_TAKE_BEHAVIORS = "UNWIND $keys AS key MATCH (:Order {key: key})-[:HAS]->(b:Behavior) DETACH DELETE b"
_TAKE_ORDERS = """
UNWIND $keys AS key
MATCH (o:Order {key: key})
OPTIONAL MATCH (d:Decision)-[:ABOUT]->(o)
DETACH DELETE d, o
"""
_TAKE_THEIR_OUTCOMES = "MATCH (x:Outcome) WHERE x.order_key IN $keys DETACH DELETE x"
_STRIP = """
UNWIND $rows AS row
MATCH (o:Order {key: row.key})
SET o.device = null, o.facts = row.facts, o.vec = row.vec
WITH o
OPTIONAL MATCH (d:Decision)-[:ABOUT]->(o)
REMOVE d.first
WITH DISTINCT o
MATCH (o)-[r:ON_DEVICE]->() DELETE r
"""
_DEVICES = "MATCH (o:Order) WHERE o.key IN $keys AND o.device IS NOT NULL RETURN o { .device }"
_WITH_NODES = "MATCH (o:Order) WHERE o.key IN $keys AND o.nodes RETURN o.key"
_UNLINK: dict[str, LiteralString] = {
    "account": """
UNWIND $rows AS row
MATCH (e:Account {digest: row.digest})
SET e.orders = e.orders - row.count
WITH e
CALL (e) {
  OPTIONAL MATCH (o:Order) WHERE o.account = e.digest AND o.at IS NOT NULL
  RETURN o.at AS newest ORDER BY o.account DESC, o.at DESC LIMIT 1
}
SET e.hub = e.orders > $cap, e.last_seen = newest
WITH e
CALL (e) {
  WITH e, COUNT { (e)<-[:PLACED_BY]-() } AS edges
  WITH e, edges WHERE e.orders <= $cap AND edges < e.orders
  MATCH (o:Order) WHERE o.account = e.digest AND o.at IS NOT NULL AND NOT EXISTS { (o)-[:PLACED_BY]->() }
  CREATE (o)-[:PLACED_BY]->(e)
  RETURN count(o) AS linked
}
WITH e WHERE e.orders < 1
DETACH DELETE e
""",
    "device": """
UNWIND $rows AS row
MATCH (e:Device {digest: row.digest})
SET e.orders = e.orders - row.count
WITH e
CALL (e) {
  OPTIONAL MATCH (o:Order) WHERE o.device = e.digest AND o.at IS NOT NULL
  RETURN o.at AS newest ORDER BY o.device DESC, o.at DESC LIMIT 1
}
SET e.hub = e.orders > $cap, e.last_seen = newest
WITH e
CALL (e) {
  WITH e, COUNT { (e)<-[:ON_DEVICE]-() } AS edges
  WITH e, edges WHERE e.orders <= $cap AND edges < e.orders
  MATCH (o:Order) WHERE o.device = e.digest AND o.at IS NOT NULL AND NOT EXISTS { (o)-[:ON_DEVICE]->() }
  CREATE (o)-[:ON_DEVICE]->(e)
  RETURN count(o) AS linked
}
WITH e WHERE e.orders < 1
DETACH DELETE e
""",
    "card": """
UNWIND $rows AS row
MATCH (e:Card {digest: row.digest})
SET e.orders = e.orders - row.count
WITH e
CALL (e) {
  OPTIONAL MATCH (o:Order) WHERE o.card = e.digest AND o.at IS NOT NULL
  RETURN o.at AS newest ORDER BY o.card DESC, o.at DESC LIMIT 1
}
SET e.hub = e.orders > $cap, e.last_seen = newest
WITH e
CALL (e) {
  WITH e, COUNT { (e)<-[:PAID_WITH]-() } AS edges
  WITH e, edges WHERE e.orders <= $cap AND edges < e.orders
  MATCH (o:Order) WHERE o.card = e.digest AND o.at IS NOT NULL AND NOT EXISTS { (o)-[:PAID_WITH]->() }
  CREATE (o)-[:PAID_WITH]->(e)
  RETURN count(o) AS linked
}
WITH e WHERE e.orders < 1
DETACH DELETE e
""",
    "address": """
UNWIND $rows AS row
MATCH (e:Address {digest: row.digest})
SET e.orders = e.orders - row.count
WITH e
CALL (e) {
  OPTIONAL MATCH (o:Order) WHERE o.address = e.digest AND o.at IS NOT NULL
  RETURN o.at AS newest ORDER BY o.address DESC, o.at DESC LIMIT 1
}
SET e.hub = e.orders > $cap, e.last_seen = newest
WITH e
CALL (e) {
  WITH e, COUNT { (e)<-[:DELIVERED_TO]-() } AS edges
  WITH e, edges WHERE e.orders <= $cap AND edges < e.orders
  MATCH (o:Order) WHERE o.address = e.digest AND o.at IS NOT NULL AND NOT EXISTS { (o)-[:DELIVERED_TO]->() }
  CREATE (o)-[:DELIVERED_TO]->(e)
  RETURN count(o) AS linked
}
WITH e WHERE e.orders < 1
DETACH DELETE e
""",
    "phone": """
UNWIND $rows AS row
MATCH (e:Phone {digest: row.digest})
SET e.orders = e.orders - row.count
WITH e
CALL (e) {
  OPTIONAL MATCH (o:Order) WHERE o.phone = e.digest AND o.at IS NOT NULL
  RETURN o.at AS newest ORDER BY o.phone DESC, o.at DESC LIMIT 1
}
SET e.hub = e.orders > $cap, e.last_seen = newest
WITH e
CALL (e) {
  WITH e, COUNT { (e)<-[:REACHED_AT]-() } AS edges
  WITH e, edges WHERE e.orders <= $cap AND edges < e.orders
  MATCH (o:Order) WHERE o.phone = e.digest AND o.at IS NOT NULL AND NOT EXISTS { (o)-[:REACHED_AT]->() }
  CREATE (o)-[:REACHED_AT]->(e)
  RETURN count(o) AS linked
}
WITH e WHERE e.orders < 1
DETACH DELETE e
""",
    # Orders have no index by network or merchant: a hub of these keeps what edges and newest time it has.
    "ip": """
UNWIND $rows AS row
MATCH (e:Ip {digest: row.digest})
SET e.orders = e.orders - row.count
SET e.hub = e.orders > $cap
WITH e
CALL (e) {
  OPTIONAL MATCH (e)<-[:FROM_NETWORK]-(o)
  RETURN max(o.at) AS newest, count(o) AS edges
}
SET e.last_seen = CASE WHEN edges = e.orders THEN newest ELSE e.last_seen END
WITH e WHERE e.orders < 1
DETACH DELETE e
""",
    "merchant": """
UNWIND $rows AS row
MATCH (e:Merchant {id: row.digest})
SET e.orders = e.orders - row.count
SET e.hub = e.orders > $cap
WITH e
CALL (e) {
  OPTIONAL MATCH (e)<-[:AT_MERCHANT]-(o)
  RETURN max(o.at) AS newest, count(o) AS edges
}
SET e.last_seen = CASE WHEN edges = e.orders THEN newest ELSE e.last_seen END
WITH e WHERE e.orders < 1
DETACH DELETE e
""",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notice of erasure names, each by SHA-256 in hex; see :func:`riskgraph.stores.erasure.announce`.

    Attributes:
        subjects: Accounts; all of their orders go.
        orders: Orders that go.
        outcomes: Outcomes whose order never came.
        decisions: Decisions that go; their orders stay.
        optional: Orders of which the optional values go.
    """

    subjects: Sequence[str] = ()
    orders: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    decisions: Sequence[str] = ()
    optional: Sequence[str] = ()

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Notice:
        """A notice from its event; earlier releases named fewer things."""
        names = ("subject_sha256", "order_sha256", "outcome_sha256", "decision_sha256", "optional_sha256")
        return cls(*[payload.get(name, ()) for name in names])


async def erase_some(tx: AsyncManagedTransaction, notice: Notice, limit: int = BATCH) -> int:
    """Take out some of the orders that a notice names, and return how many; 0 once there are none."""
    asked = {"orders": list(notice.orders), "subjects": list(notice.subjects), "limit": limit}
    keys = [key for (key,) in await (await tx.run(_NAMED, asked)).values()][:limit]
    await remove_orders(tx, keys)
    return len(keys)


async def erase_rest(tx: AsyncManagedTransaction, notice: Notice) -> None:
    """Take out the decisions that a notice names, and outcomes whose order never came."""
    await (await tx.run(_TAKE_DECISIONS, names=list(notice.decisions))).consume()
    await (await tx.run(_TAKE_OUTCOMES, names=list(notice.outcomes))).consume()


async def optional_orders(tx: AsyncManagedTransaction, notice: Notice) -> list[str]:
    """Keys of the orders of which a notice takes out the optional values."""
    return [key for (key,) in await (await tx.run(_HAS_OPTIONAL, names=list(notice.optional))).values()]


async def strip(tx: AsyncManagedTransaction, orders: Sequence[OrderRow]) -> None:
    """Put orders as the journal has them now, without their device, in the place of what was there.

    Behavior nodes are made again from what is left.
    """
    keys = [row.key for row in orders]
    devices = [row for (row,) in await (await tx.run(_DEVICES, keys=keys)).values()]
    bare = [{name: row.properties[name] for name in ("key", "facts", "vec")} for row in orders]
    await (await tx.run(_STRIP, rows=bare)).consume()
    await _unlink(tx, "device", devices)
    shown = [key for (key,) in await (await tx.run(_WITH_NODES, keys=keys)).values()]
    await clear_nodes(tx, shown)
    for start in range(0, len(shown), MADE_AT_ONCE):
        await make_nodes(tx, shown[start : start + MADE_AT_ONCE])


async def remove_orders(tx: AsyncManagedTransaction, keys: Sequence[str]) -> None:
    """Delete orders with their nodes, decisions and outcomes, and bring their entities up to date."""
    if not keys:
        return
    named = {"keys": sorted(keys)}
    gone = [row for (row,) in await (await tx.run(_LOCK, named)).values()]
    for statement in (_TAKE_BEHAVIORS, _TAKE_ORDERS, _TAKE_THEIR_OUTCOMES):
        await (await tx.run(statement, named)).consume()
    for kind in ENTITY_KINDS:
        await _unlink(tx, kind, gone)


async def _unlink(tx: AsyncManagedTransaction, kind: str, orders: Sequence[Mapping[str, Any]]) -> None:
    counts = Counter(order[kind] for order in orders if order[kind] is not None)
    rows = [{"digest": digest, "count": counts[digest]} for digest in sorted(counts)]
    if rows:
        await (await tx.run(_UNLINK[kind], rows=rows, cap=HUB_ORDERS)).consume()


async def due(tx: AsyncManagedTransaction, day: int) -> int:
    """Orders placed before a day, in days since the epoch, UTC: what :func:`retain` would take out."""
    ((count,),) = await (await tx.run(_DUE, day=day)).values()
    return int(count)


async def retain(neo4j: Writes, day: int, *, dry_run: bool = False) -> int:
    """Take out all orders placed before a day, in transactions of a hundred.

    Args:
        neo4j: Where.
        day: Days since the epoch, UTC.
        dry_run: Only count them.

    Returns:
        How many orders.
    """
    if dry_run:
        return int(await neo4j.write(partial(due, day=day)))
    done = 0
    while count := await neo4j.write(partial(_remove_before, day=day)):
        done += count
    await neo4j.write(partial(_remove_early, day=day))
    return done


async def _remove_before(tx: AsyncManagedTransaction, day: int) -> int:
    keys = [key for (key,) in await (await tx.run(_OVER, day=day, limit=BATCH)).values()]
    await remove_orders(tx, keys)
    return len(keys)


async def _remove_early(tx: AsyncManagedTransaction, day: int) -> None:
    """Outcomes whose order never came, by the day of their report."""
    await (await tx.run(_EARLY_OVER, before=day * DAY_S)).consume()
