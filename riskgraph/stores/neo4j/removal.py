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

from riskgraph.core.errors import Conflict
from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.outcome import FRAUD_KINDS
from riskgraph.core.past import DAY_S
from riskgraph.stores.erasure import outcome_sha256
from riskgraph.stores.journal import Event
from riskgraph.stores.neo4j.nodes import BATCH as MADE_AT_ONCE
from riskgraph.stores.neo4j.nodes import clear_nodes, make_nodes
from riskgraph.stores.neo4j.rows import ENTITY_KINDS, OrderRow, decode_outcome
from riskgraph.stores.neo4j.schema import Writes

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

# Each may have 137 nodes: more would not fit the heap of a small server.
BATCH = 100

_NAMED = """
MATCH (o:Order) WHERE o.erasure_key IN $orders RETURN o.key AS key LIMIT $limit
UNION
MATCH (a:Account) WHERE a.erasure_key IN $subjects
MATCH (o:Order) WHERE o.account = a.digest AND o.at <= $until RETURN o.key AS key LIMIT $limit
"""
_ACCOUNTS = "MATCH (o:Order) WHERE o.key IN $keys AND o.account IS NOT NULL RETURN o.account ORDER BY o.key"
_OVER = "MATCH (o:Order) WHERE o.day < $day RETURN o.key LIMIT $limit"
_DUE = "MATCH (o:Order) WHERE o.day < $day RETURN count(o)"
_TAKE_DECISIONS = "MATCH (d:Decision) WHERE d.erasure_key IN $names DETACH DELETE d"
_TAKE_OUTCOMES = "MATCH (x:Outcome) WHERE x.erasure_key IN $names DETACH DELETE x"
# The lock comes first, then what other outcomes have come to it meanwhile.
_THEIR_ORDERS = """
MATCH (x:Outcome)-[:OF]->(o:Order) WHERE x.erasure_key IN $names
WITH DISTINCT o ORDER BY o.key
SET o.locked = true
REMOVE o.locked
RETURN o.key, o.outcomes
"""
_LEAVE_OUTCOMES = """
UNWIND $rows AS row
MATCH (o:Order {key: row.key})
SET o.outcomes = row.outcomes
FOREACH (_ IN CASE WHEN row.fraud THEN [] ELSE [1] END | REMOVE o:Fraud)
"""
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
# What is counted down must be what this transaction takes away: it is read under the order's lock.
_LOCK_LINKS = """
UNWIND $keys AS key
MATCH (o:Order {key: key})
SET o.locked = true
REMOVE o.locked
RETURN o { .device, .ip }
"""
_FORGET_NETWORK = """
UNWIND $keys AS key
MATCH (o:Order {key: key})
SET o.ip = null
WITH o
MATCH (o)-[r:FROM_NETWORK]->() DELETE r
"""
_DECIDED = """
MATCH (d:Decision)-[:ABOUT]->(o:Order) WHERE d.erasure_key IN $names AND o.ip IS NOT NULL
RETURN DISTINCT o.key
"""
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
        at: When it was given, epoch seconds.
        subjects: Accounts; all orders go that they had placed by a day later. A journal that is fed again
            repeats its notices, and who came back since has ordered anew.
        orders: Orders that go.
        outcomes: Outcomes, for those whose orders do not go.
        decisions: Decisions that go; their orders stay.
        optional: Orders of which the optional values go.
    """

    at: float
    subjects: Sequence[str] = ()
    orders: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    decisions: Sequence[str] = ()
    optional: Sequence[str] = ()

    @classmethod
    def of(cls, event: Event) -> Notice:
        """A notice from its event; earlier releases named fewer things."""
        names = ("subject_sha256", "order_sha256", "outcome_sha256", "decision_sha256", "optional_sha256")
        return cls(event["at"], *[event["payload"].get(name, ()) for name in names])


async def erase_some(tx: AsyncManagedTransaction, notice: Notice, limit: int = BATCH) -> int:
    """Take out some of the orders that a notice names, and return how many; 0 once there are none."""
    # A day, since the clocks of services differ.
    asked = {
        "orders": list(notice.orders),
        "subjects": list(notice.subjects),
        "until": notice.at + DAY_S,
        "limit": limit,
    }
    keys = [key for (key,) in await (await tx.run(_NAMED, asked)).values()][:limit]
    await remove_orders(tx, keys)
    return len(keys)


async def erase_rest(tx: AsyncManagedTransaction, notice: Notice) -> None:
    """Take out the decisions that a notice names, and outcomes whose orders did not go.

    An order's network came with a decision's event, which the journal keeps as long as the decision.
    """
    names = list(notice.decisions)
    decided = [key for (key,) in await (await tx.run(_DECIDED, names=names)).values()]
    await _forget_networks(tx, sorted(decided))
    await (await tx.run(_TAKE_DECISIONS, names=names)).consume()
    if notice.outcomes:
        await _take_outcomes(tx, list(notice.outcomes))


async def _take_outcomes(tx: AsyncManagedTransaction, names: Sequence[str]) -> None:
    gone, rows = set(names), []
    for key, records in await (await tx.run(_THEIR_ORDERS, names=names)).values():
        kept = [(text, decode_outcome(text)) for text in records or ()]
        kept = [(text, outcome) for text, outcome in kept if outcome_sha256(outcome) not in gone]
        fraud = any(outcome.kind in FRAUD_KINDS for _, outcome in kept)
        rows.append({"key": key, "outcomes": [text for text, _ in kept] or None, "fraud": fraud})
    await (await tx.run(_LEAVE_OUTCOMES, rows=rows)).consume()
    await (await tx.run(_TAKE_OUTCOMES, names=names)).consume()


async def optional_orders(tx: AsyncManagedTransaction, notice: Notice) -> list[str]:
    """Keys of the orders of which a notice takes out the optional values."""
    return [key for (key,) in await (await tx.run(_HAS_OPTIONAL, names=list(notice.optional))).values()]


async def strip(tx: AsyncManagedTransaction, orders: Sequence[OrderRow]) -> None:
    """Put orders as the journal has them now, without device and network, in the place of what was there.

    Behavior nodes are made again from what is left.
    """
    keys = sorted(row.key for row in orders)
    links = await _forget_networks(tx, keys)
    bare = [{name: row.properties[name] for name in ("key", "facts", "vec")} for row in orders]
    await (await tx.run(_STRIP, rows=bare)).consume()
    await _unlink(tx, "device", links)
    shown = [key for (key,) in await (await tx.run(_WITH_NODES, keys=keys)).values()]
    await clear_nodes(tx, shown)
    for start in range(0, len(shown), MADE_AT_ONCE):
        await make_nodes(tx, shown[start : start + MADE_AT_ONCE])


async def _forget_networks(tx: AsyncManagedTransaction, keys: Sequence[str]) -> list[Mapping[str, Any]]:
    """Lock orders, take their networks out, and return the digests of network and device that they had."""
    links = [row for (row,) in await (await tx.run(_LOCK_LINKS, keys=keys)).values()]
    await (await tx.run(_FORGET_NETWORK, keys=keys)).consume()
    await _unlink(tx, "ip", links)
    return links


async def remove_guests(tx: AsyncManagedTransaction, keys: Sequence[str]) -> int:
    """Delete guests' orders by key, with outcomes whose order never came, and return how many orders.

    A notice names an order by what is in it, so it reaches none that the journal does not have.

    Raises:
        Conflict: If one is of an account, which a notice of erasure names as a whole.
    """
    found = await (await tx.run(_ACCOUNTS, keys=list(keys))).values()
    if found:
        raise Conflict(
            f"{len(found)} of these orders are of accounts: riskgraph subject erase --account-digest "
            f"{found[0][0]} takes out all that the person of the first ordered"
        )
    return await remove_orders(tx, keys)


async def remove_orders(tx: AsyncManagedTransaction, keys: Sequence[str]) -> int:
    """Delete orders with their nodes, decisions and outcomes, and bring their entities up to date.

    An order whose key is given twice is counted down once.

    Returns:
        How many orders there were.
    """
    if not keys:
        return 0
    named = {"keys": sorted(set(keys))}
    gone = [row for (row,) in await (await tx.run(_LOCK, named)).values()]
    for statement in (_TAKE_BEHAVIORS, _TAKE_ORDERS, _TAKE_THEIR_OUTCOMES):
        await (await tx.run(statement, named)).consume()
    for kind in ENTITY_KINDS:
        await _unlink(tx, kind, gone)
    return len(gone)


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
