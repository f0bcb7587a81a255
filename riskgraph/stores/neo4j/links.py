"""One order and the others behind its entities, from the graph; for people, not for verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.links import OrderLinks, order_links
from riskgraph.stores.neo4j.rows import past_of

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

_ORDER = "MATCH (o:Order {key: $key}) RETURN o.facts, o.outcomes"
_VEC = "MATCH (o:Order {key: $key}) RETURN o.vec"
# What was decided, as the journal has it, also where a review came to another verdict.
_VERDICTS = """
MATCH (d:Decision)-[:ABOUT]->(o:Order) WHERE o.key IN $keys
RETURN o.key, coalesce(d.decided, d.verdict) ORDER BY d.at
"""
_BEHIND: dict[str, LiteralString] = {
    "account": "MATCH (o:Order) WHERE o.account = $digest RETURN o.facts, o.outcomes LIMIT $limit",
    "device": "MATCH (o:Order) WHERE o.device = $digest RETURN o.facts, o.outcomes LIMIT $limit",
    "card": "MATCH (o:Order) WHERE o.card = $digest RETURN o.facts, o.outcomes LIMIT $limit",
    "address": "MATCH (o:Order) WHERE o.address = $digest RETURN o.facts, o.outcomes LIMIT $limit",
    "phone": "MATCH (o:Order) WHERE o.phone = $digest RETURN o.facts, o.outcomes LIMIT $limit",
}
_COUNT: dict[str, LiteralString] = {
    "account": "MATCH (e:Account {digest: $digest}) RETURN e.orders",
    "device": "MATCH (e:Device {digest: $digest}) RETURN e.orders",
    "card": "MATCH (e:Card {digest: $digest}) RETURN e.orders",
    "address": "MATCH (e:Address {digest: $digest}) RETURN e.orders",
    "phone": "MATCH (e:Phone {digest: $digest}) RETURN e.orders",
}


async def read_vec(tx: AsyncManagedTransaction, key: str) -> bytes | None:
    """The packed subgraph of an order; None if it is not there."""
    rows = await (await tx.run(_VEC, key=key)).values()
    return bytes(rows[0][0]) if rows else None


async def read_links(tx: AsyncManagedTransaction, key: str, most: int) -> OrderLinks | None:
    """The order with at most ``most`` others; None if it is not there."""
    rows = await (await tx.run(_ORDER, key=key)).values()
    if not rows:
        return None
    own = past_of(*rows[0])
    counts, found = {}, []
    for kind, digest in own.links():
        ((counts[kind],),) = await (await tx.run(_COUNT[kind], digest=digest.hex())).values()
        if counts[kind] <= HUB_ORDERS:
            asked = {"digest": digest.hex(), "limit": HUB_ORDERS}
            found += [past_of(*row) for row in await (await tx.run(_BEHIND[kind], asked)).values()]
    keys = [own.key, *{past.key for past in found}]
    verdicts = dict(await (await tx.run(_VERDICTS, keys=keys)).values())
    return order_links(own, counts, found, lambda _: verdicts, most)
