"""Constraints and indexes of the graph, in numbered steps that each run once (ADR 0033).

A step may only add what every earlier release can live with: several services of other releases may share
the graph. Statements are idempotent, so that two services may take the same step at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, LiteralString, Protocol

from riskgraph.core.errors import StorageUnavailable

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

Work = Callable[["AsyncManagedTransaction"], Awaitable[Any]]


class Writes(Protocol):
    """What writing needs of a connection: a managed transaction, tried again where that helps."""

    async def write(self, work: Work, /) -> Any: ...


STEPS: tuple[tuple[LiteralString, ...], ...] = (
    (
        "CREATE CONSTRAINT schema_name IF NOT EXISTS FOR (s:Schema) REQUIRE s.name IS UNIQUE",
        "CREATE CONSTRAINT feed_name IF NOT EXISTS FOR (f:Feed) REQUIRE f.name IS UNIQUE",
        "CREATE CONSTRAINT order_key IF NOT EXISTS FOR (o:Order) REQUIRE o.key IS UNIQUE",
        "CREATE CONSTRAINT decision_id IF NOT EXISTS FOR (d:Decision) REQUIRE d.id IS UNIQUE",
        "CREATE CONSTRAINT outcome_id IF NOT EXISTS FOR (x:Outcome) REQUIRE x.id IS UNIQUE",
        "CREATE CONSTRAINT account_digest IF NOT EXISTS FOR (e:Account) REQUIRE e.digest IS UNIQUE",
        "CREATE CONSTRAINT device_digest IF NOT EXISTS FOR (e:Device) REQUIRE e.digest IS UNIQUE",
        "CREATE CONSTRAINT card_digest IF NOT EXISTS FOR (e:Card) REQUIRE e.digest IS UNIQUE",
        "CREATE CONSTRAINT address_digest IF NOT EXISTS FOR (e:Address) REQUIRE e.digest IS UNIQUE",
        "CREATE CONSTRAINT phone_digest IF NOT EXISTS FOR (e:Phone) REQUIRE e.digest IS UNIQUE",
        "CREATE CONSTRAINT ip_digest IF NOT EXISTS FOR (e:Ip) REQUIRE e.digest IS UNIQUE",
        "CREATE CONSTRAINT merchant_id IF NOT EXISTS FOR (e:Merchant) REQUIRE e.id IS UNIQUE",
        "CREATE INDEX order_day IF NOT EXISTS FOR (o:Order) ON (o.day)",
        "CREATE INDEX order_account IF NOT EXISTS FOR (o:Order) ON (o.account, o.at)",
        "CREATE INDEX order_device IF NOT EXISTS FOR (o:Order) ON (o.device, o.at)",
        "CREATE INDEX order_card IF NOT EXISTS FOR (o:Order) ON (o.card, o.at)",
        "CREATE INDEX order_address IF NOT EXISTS FOR (o:Order) ON (o.address, o.at)",
        "CREATE INDEX order_phone IF NOT EXISTS FOR (o:Order) ON (o.phone, o.at)",
        "CREATE INDEX fraud_account IF NOT EXISTS FOR (o:Fraud) ON (o.account)",
        "CREATE INDEX fraud_card IF NOT EXISTS FOR (o:Fraud) ON (o.card)",
        "CREATE INDEX fraud_address IF NOT EXISTS FOR (o:Fraud) ON (o.address)",
        "CREATE INDEX fraud_phone IF NOT EXISTS FOR (o:Fraud) ON (o.phone)",
        "CREATE INDEX address_part_0 IF NOT EXISTS FOR (a:Address) ON (a.part_0)",
        "CREATE INDEX address_part_1 IF NOT EXISTS FOR (a:Address) ON (a.part_1)",
        "CREATE INDEX address_part_2 IF NOT EXISTS FOR (a:Address) ON (a.part_2)",
        "CREATE INDEX address_part_3 IF NOT EXISTS FOR (a:Address) ON (a.part_3)",
        "CREATE INDEX outcome_order IF NOT EXISTS FOR (x:Outcome) ON (x.order_key)",
        "CREATE INDEX account_erasure IF NOT EXISTS FOR (a:Account) ON (a.erasure_key)",
        "CREATE INDEX order_erasure IF NOT EXISTS FOR (o:Order) ON (o.erasure_key)",
        "CREATE INDEX decision_erasure IF NOT EXISTS FOR (d:Decision) ON (d.erasure_key)",
        "CREATE INDEX outcome_erasure IF NOT EXISTS FOR (x:Outcome) ON (x.erasure_key)",
    ),
)
SCHEMA_VERSION = len(STEPS)
_NAME = "riskgraph"
# Filling an index of a large graph takes longer than a statement may run: so none waits for it.
_FILLING = """
SHOW INDEXES YIELD name, state WHERE state <> 'ONLINE'
RETURN name, state = 'FAILED' AS failed ORDER BY name
"""
LOOK_S = 0.2
_VERSION = "OPTIONAL MATCH (s:Schema {name: $name}) RETURN coalesce(s.version, 0) AS version"
_DONE = """
MERGE (s:Schema {name: $name}) ON CREATE SET s.version = $version
SET s.version = CASE WHEN s.version > $version THEN s.version ELSE $version END
"""


async def migrate(neo4j: Writes) -> int:
    """Take the steps that the graph lacks, wait for the indexes, and return how many steps that were.

    Raises:
        StorageUnavailable: If a newer release made the graph, or the server cannot fill an index.
    """
    there = await neo4j.write(_version)
    if there > SCHEMA_VERSION:
        raise StorageUnavailable(
            f"Neo4j has schema {there} of the graph, this release knows {SCHEMA_VERSION}: upgrade riskgraph"
        )
    for version, statements in enumerate(STEPS[there:], there + 1):
        for statement in statements:
            await neo4j.write(_run(statement))
        while await neo4j.write(_filling):
            await asyncio.sleep(LOOK_S)
        await neo4j.write(_run(_DONE, name=_NAME, version=version))
    return SCHEMA_VERSION - int(there)


async def _version(tx: AsyncManagedTransaction) -> int:
    rows = await (await tx.run(_VERSION, name=_NAME)).values()
    return int(rows[0][0])


async def _filling(tx: AsyncManagedTransaction) -> bool:
    rows = await (await tx.run(_FILLING)).values()
    failed = [name for name, has_failed in rows if has_failed]
    if failed:
        raise StorageUnavailable(
            f"Neo4j could not fill the index {failed[0]}: its log says why; mend that, and drop the index"
        )
    return bool(rows)


def _run(statement: LiteralString, **parameters: Any) -> Work:
    async def work(tx: AsyncManagedTransaction) -> None:
        await (await tx.run(statement, parameters)).consume()

    return work
