"""Rows of the journal as the graph has them, and the write of many at once (ADR 0033).

Nodes are created once: what is there already is asked first, and a unique constraint refuses what another
service writes in between; the whole transaction is then tried again. Entities alone are merged. Edges are
created in the transaction that creates their order, at most 500 an entity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, LiteralString

import msgspec

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.outcome import FRAUD_KINDS, Outcome
from riskgraph.core.past import DAY_S, LINK_KINDS, PastOrder
from riskgraph.core.spelling import parts
from riskgraph.stores.codec import decode_past, encode_bands, encode_past
from riskgraph.stores.erasure import order_sha256, outcome_sha256

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

ENTITY_KINDS = (*LINK_KINDS, "ip", "merchant")
Row = dict[str, Any]
decode_outcome = msgspec.json.Decoder(Outcome).decode

_THERE = """
RETURN COLLECT { MATCH (o:Order) WHERE o.key IN $orders RETURN o.key } AS orders,
  COLLECT { MATCH (d:Decision) WHERE d.id IN $decisions RETURN d.id } AS decisions,
  COLLECT { MATCH (x:Outcome) WHERE x.id IN $outcomes RETURN x.id } AS outcomes,
  COLLECT { MATCH (x:Outcome) WHERE x.order_key IN $orders RETURN x { .* } } AS of_orders
"""
_WAITING = """
MATCH (x:Outcome) WHERE NOT EXISTS { (x)-[:OF]->() }
MATCH (o:Order {key: x.order_key})
RETURN x { .* } ORDER BY x.id LIMIT $limit
"""
# The lock comes first: another service may do the same.
_JOIN = """
UNWIND $rows AS row
MATCH (x:Outcome {id: row.id})
SET x.locked = true
REMOVE x.locked
WITH x, row WHERE NOT EXISTS { (x)-[:OF]->() }
MATCH (o:Order {key: x.order_key})
SET o.outcomes = coalesce(o.outcomes, []) + row.record
CREATE (x)-[:OF]->(o)
FOREACH (_ IN CASE WHEN row.fraud THEN [1] ELSE [] END | SET o:Fraud)
RETURN count(x)
"""
_ORDERS = "UNWIND $rows AS row CREATE (o:Order) SET o = row"
_DECISIONS = """
UNWIND $rows AS row
MATCH (o:Order {key: row.order_key})
CREATE (d:Decision)-[:ABOUT]->(o) SET d = row.properties, d.first = row.first
"""
_REVIEWS = """
UNWIND $rows AS row
MATCH (d:Decision {id: row.id})
SET d.decided = coalesce(d.decided, d.verdict), d.verdict = row.verdict, d.action = row.action,
  d.mode = row.mode
"""
# An objection reaches the orders of a person through any of them, also one of which nothing else is known.
_OBJECTED = """
UNWIND $rows AS row
MATCH (o:Order {key: row.order_key})
SET o.objected = true, o.jurisdiction = coalesce(o.jurisdiction, row.facts.jurisdiction),
  o.phase = coalesce(o.phase, row.facts.phase), o.simulated = coalesce(o.simulated, row.facts.simulated),
  o.granted = coalesce(o.granted, []), o.refused = coalesce(o.refused, [])
"""
# An order at a time: a list that grows outcome by outcome is written anew each time.
_OUTCOMES = """
UNWIND $rows AS row
OPTIONAL MATCH (o:Order {key: row.order_key})
SET o.outcomes = coalesce(o.outcomes, []) + row.records
FOREACH (_ IN CASE WHEN o IS NOT NULL AND row.fraud THEN [1] ELSE [] END | SET o:Fraud)
WITH o, row
UNWIND row.outcomes AS properties
CREATE (x:Outcome) SET x = properties
FOREACH (_ IN CASE WHEN o IS NULL THEN [] ELSE [1] END | CREATE (x)-[:OF]->(o))
"""
_ATTACH = """
UNWIND $rows AS row
MATCH (o:Order {key: row.order_key})
SET o.outcomes = coalesce(o.outcomes, []) + row.records
FOREACH (_ IN CASE WHEN row.fraud THEN [1] ELSE [] END | SET o:Fraud)
WITH o, row
UNWIND row.outcomes AS properties
MATCH (x:Outcome {id: properties.id})
CREATE (x)-[:OF]->(o)
"""
# Setting last_seen locks the entity, so what is counted next is what stays.
_LINK: dict[str, LiteralString] = {
    "account": """
UNWIND $rows AS row
MERGE (e:Account {digest: row.digest}) ON CREATE SET e.orders = 0, e.erasure_key = row.erasure_key
SET e.last_seen = CASE WHEN e.last_seen > row.last_seen THEN e.last_seen ELSE row.last_seen END
WITH e, row.keys AS keys, e.orders AS before
SET e.orders = before + size(keys), e.hub = before + size(keys) > $cap
WITH e, keys[..CASE WHEN before < $cap THEN $cap - before ELSE 0 END] AS linked
UNWIND linked AS key
MATCH (o:Order {key: key}) CREATE (o)-[:PLACED_BY]->(e)
""",
    "device": """
UNWIND $rows AS row
MERGE (e:Device {digest: row.digest}) ON CREATE SET e.orders = 0
SET e.last_seen = CASE WHEN e.last_seen > row.last_seen THEN e.last_seen ELSE row.last_seen END
WITH e, row.keys AS keys, e.orders AS before
SET e.orders = before + size(keys), e.hub = before + size(keys) > $cap
WITH e, keys[..CASE WHEN before < $cap THEN $cap - before ELSE 0 END] AS linked
UNWIND linked AS key
MATCH (o:Order {key: key}) CREATE (o)-[:ON_DEVICE]->(e)
""",
    "card": """
UNWIND $rows AS row
MERGE (e:Card {digest: row.digest}) ON CREATE SET e.orders = 0
SET e.last_seen = CASE WHEN e.last_seen > row.last_seen THEN e.last_seen ELSE row.last_seen END
WITH e, row.keys AS keys, e.orders AS before
SET e.orders = before + size(keys), e.hub = before + size(keys) > $cap
WITH e, keys[..CASE WHEN before < $cap THEN $cap - before ELSE 0 END] AS linked
UNWIND linked AS key
MATCH (o:Order {key: key}) CREATE (o)-[:PAID_WITH]->(e)
""",
    # The bands that came first stand, as they do in the journal.
    "address": """
UNWIND $rows AS row
MERGE (e:Address {digest: row.digest}) ON CREATE SET e.orders = 0
SET e.last_seen = CASE WHEN e.last_seen > row.last_seen THEN e.last_seen ELSE row.last_seen END
FOREACH (_ IN CASE WHEN e.bands IS NULL AND row.bands IS NOT NULL THEN [1] ELSE [] END |
  SET e.bands = row.bands, e.part_0 = row.parts[0], e.part_1 = row.parts[1], e.part_2 = row.parts[2],
    e.part_3 = row.parts[3])
WITH e, row.keys AS keys, e.orders AS before
SET e.orders = before + size(keys), e.hub = before + size(keys) > $cap
WITH e, keys[..CASE WHEN before < $cap THEN $cap - before ELSE 0 END] AS linked
UNWIND linked AS key
MATCH (o:Order {key: key}) CREATE (o)-[:DELIVERED_TO]->(e)
""",
    "phone": """
UNWIND $rows AS row
MERGE (e:Phone {digest: row.digest}) ON CREATE SET e.orders = 0
SET e.last_seen = CASE WHEN e.last_seen > row.last_seen THEN e.last_seen ELSE row.last_seen END
WITH e, row.keys AS keys, e.orders AS before
SET e.orders = before + size(keys), e.hub = before + size(keys) > $cap
WITH e, keys[..CASE WHEN before < $cap THEN $cap - before ELSE 0 END] AS linked
UNWIND linked AS key
MATCH (o:Order {key: key}) CREATE (o)-[:REACHED_AT]->(e)
""",
    "ip": """
UNWIND $rows AS row
MERGE (e:Ip {digest: row.digest}) ON CREATE SET e.orders = 0
SET e.last_seen = CASE WHEN e.last_seen > row.last_seen THEN e.last_seen ELSE row.last_seen END
WITH e, row.keys AS keys, e.orders AS before
SET e.orders = before + size(keys), e.hub = before + size(keys) > $cap
WITH e, keys[..CASE WHEN before < $cap THEN $cap - before ELSE 0 END] AS linked
UNWIND linked AS key
MATCH (o:Order {key: key}) CREATE (o)-[:FROM_NETWORK]->(e)
""",
    "merchant": """
UNWIND $rows AS row
MERGE (e:Merchant {id: row.digest}) ON CREATE SET e.orders = 0
SET e.last_seen = CASE WHEN e.last_seen > row.last_seen THEN e.last_seen ELSE row.last_seen END
WITH e, row.keys AS keys, e.orders AS before
SET e.orders = before + size(keys), e.hub = before + size(keys) > $cap
WITH e, keys[..CASE WHEN before < $cap THEN $cap - before ELSE 0 END] AS linked
UNWIND linked AS key
MATCH (o:Order {key: key}) CREATE (o)-[:AT_MERCHANT]->(e)
""",
}


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as the graph has it.

    Attributes:
        properties: Of ``(:Order)``.
        bands: MinHash bands of the address, packed; None where there are none.
        parts: The four parts of these bands, by which other spellings are found.
    """

    properties: Row
    bands: bytes | None = None
    parts: Sequence[int] = ()

    @property
    def key(self) -> str:
        return str(self.properties["key"])


@dataclass(slots=True)
class Packed:
    """What one transaction writes.

    Attributes:
        orders: Each key once.
        decisions: See :func:`decision_row`; only those of orders that are there or among ``orders``.
        outcomes: Each id once; their orders may come later.
        reviews: ``id`` of a decision with the ``verdict``, ``action`` and ``mode`` that stand now.
        objections: ``order_key`` and ``facts`` (as ``stores.rows.training_facts`` has them) of orders whose
            shopper objected, at whichever attempt.
    """

    orders: list[OrderRow] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    reviews: list[Row] = field(default_factory=list)
    objections: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Written:
    """How many nodes were new."""

    orders: int = 0
    decisions: int = 0
    outcomes: int = 0


def order_row(past: PastOrder, vec: bytes, ip: str | None = None) -> OrderRow:
    """An order without its outcomes: they have nodes of their own, see :class:`Packed`.

    Args:
        past: What the journal keeps of it.
        vec: Its packed subgraph.
        ip: Keyed hash of the IP network, as hex; the journal's history does not keep it.
    """
    properties: Row = {
        "key": past.key,
        "erasure_key": order_sha256(past),
        "at": float(past.at),
        "day": int(past.at // DAY_S),
        "merchant": past.merchant,
        "currency": past.currency,
        "amount": float(past.amount),
        **{kind: digest.hex() for kind, digest in past.links()},
        "facts": encode_past(replace(past, outcomes=[])),
        "vec": vec,
    }
    if ip is not None:
        properties["ip"] = ip
    if past.address is None or not past.bands:
        return OrderRow(properties)
    return OrderRow(properties, encode_bands(past.bands), parts(past.bands))


def past_of(facts: bytes, outcomes: Iterable[str] | None) -> PastOrder:
    """Inverse of what an order's node keeps in ``facts`` and ``outcomes``."""
    past = decode_past(facts)
    past.outcomes += map(decode_outcome, outcomes or ())
    return past


def decision_row(order_key: str, decision_id: str, at: float, told: Mapping[str, Any]) -> Row:
    """A decision, from its event's payload; ``first`` if it was made on the order as the history has it."""
    properties = {
        "id": decision_id,
        "erasure_key": sha256(decision_id.encode()).hexdigest(),
        "at": at,
        **{name: told.get(name) for name in ("verdict", "action", "mode", "score")},
        "availability": told.get("availability_class"),
        "model": told.get("model_sha256"),
    }
    return {"order_key": order_key, "first": told.get("first", False), "properties": properties}


def outcome_row(outcome: Outcome) -> Row:
    """Properties of ``(:Outcome)``."""
    return {
        "id": f"{outcome.order_key}|{outcome.outcome_id}",
        "erasure_key": outcome_sha256(outcome),
        "order_key": outcome.order_key,
        "kind": outcome.kind,
        "effective_at": outcome.effective_at,
        "reported_at": outcome.reported_at,
        "reason": outcome.reason,
        "source": outcome.source,
        "reverses": outcome.reverses,
    }


def _outcome_of(row: Mapping[str, Any]) -> Outcome:
    """Inverse of :func:`outcome_row`; a property that is null is not there at all."""
    key = row["order_key"]
    return Outcome(
        row["id"].removeprefix(f"{key}|"), key, row["kind"], row["effective_at"], row["reported_at"],
        row.get("reason"), row.get("source"), row.get("reverses"),
    )  # fmt: skip


async def join_waiting(tx: AsyncManagedTransaction, limit: int = 500) -> int:
    """Put outcomes beside orders that another service wrote at the same moment, and return how many."""
    waiting = [_outcome_of(row) for (row,) in await (await tx.run(_WAITING, limit=limit)).values()]
    rows = [
        {
            "id": f"{outcome.order_key}|{outcome.outcome_id}",
            "record": msgspec.json.encode(outcome).decode(),
            "fraud": outcome.kind in FRAUD_KINDS,
        }
        for outcome in waiting
    ]
    if not rows:
        return 0
    ((joined,),) = await (await tx.run(_JOIN, rows=rows)).values()
    return int(joined)


async def write_packed(tx: AsyncManagedTransaction, packed: Packed) -> Written:
    """Write what is not there yet; a second time there is nothing to do but what reviews say."""
    outcomes = {outcome_row(outcome)["id"]: outcome for outcome in packed.outcomes}
    asked = {
        "orders": [row.key for row in packed.orders],
        "decisions": [row["properties"]["id"] for row in packed.decisions],
        "outcomes": list(outcomes),
    }
    ((orders, decisions, known, early),) = await (await tx.run(_THERE, asked)).values()
    new = _missing(packed.orders, set(orders))
    made = [row for row in packed.decisions if row["properties"]["id"] not in set(decisions)]
    there = set(known)
    fresh = [outcome for name, outcome in outcomes.items() if name not in there]
    await _write_orders(tx, new)
    created = {row.key for row in new}
    if made:
        # The subgraph of an order that was there already is not the one that this decision was made from.
        rows = [{**row, "first": row["first"] and row["order_key"] in created or None} for row in made]
        await (await tx.run(_DECISIONS, rows=rows)).consume()
    waited = [_outcome_of(row) for row in early if row["order_key"] in created]
    if waited:
        await (await tx.run(_ATTACH, rows=_by_order(waited))).consume()
    if fresh:
        await (await tx.run(_OUTCOMES, rows=_by_order(fresh))).consume()
    if packed.objections:
        await (await tx.run(_OBJECTED, rows=packed.objections)).consume()
    if packed.reviews:
        await (await tx.run(_REVIEWS, rows=packed.reviews)).consume()
    return Written(len(new), len(made), len(fresh))


def _missing(orders: Iterable[OrderRow], there: set[str]) -> list[OrderRow]:
    """Each order once, the first of its key, unless it is there."""
    first: dict[str, OrderRow] = {}
    for row in orders:
        if row.key not in there:
            first.setdefault(row.key, row)
    return list(first.values())


async def _write_orders(tx: AsyncManagedTransaction, orders: Sequence[OrderRow]) -> None:
    if not orders:
        return
    await (await tx.run(_ORDERS, rows=[row.properties for row in orders])).consume()
    for kind in ENTITY_KINDS:
        rows = entity_rows(kind, orders)
        if rows:
            await (await tx.run(_LINK[kind], rows=rows, cap=HUB_ORDERS)).consume()


def entity_rows(kind: str, orders: Iterable[OrderRow]) -> list[Row]:
    """Entities of one kind with their orders, oldest first; sorted, so that two writers lock alike."""
    found: dict[str, list[OrderRow]] = {}
    for row in orders:
        digest = row.properties.get(kind)
        if digest is not None:
            found.setdefault(digest, []).append(row)
    return [_entity(kind, digest, found[digest]) for digest in sorted(found)]


def _entity(kind: str, digest: str, orders: list[OrderRow]) -> Row:
    orders.sort(key=lambda row: row.properties["at"])
    entity: Row = {
        "digest": digest,
        "keys": [row.key for row in orders],
        "last_seen": orders[-1].properties["at"],
    }
    if kind == "account":
        entity["erasure_key"] = sha256(bytes.fromhex(digest)).hexdigest()
    if kind == "address":
        spelled = next((row for row in orders if row.bands is not None), orders[0])
        entity |= {"bands": spelled.bands, "parts": spelled.parts}
    return entity


def _by_order(outcomes: Iterable[Outcome]) -> list[Row]:
    """A row an order, sorted, so that two writers lock alike."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.order_key, []).append(outcome)
    return [
        {
            "order_key": key,
            "outcomes": [outcome_row(outcome) for outcome in mine],
            "records": [msgspec.json.encode(outcome).decode() for outcome in mine],
            "fraud": any(outcome.kind in FRAUD_KINDS for outcome in mine),
        }
        for key, mine in sorted(found.items())
    ]
