"""A feed that goes as far as a test says."""

from __future__ import annotations

import asyncio

import msgspec

from riskgraph.core.outcome import FRAUD_KINDS, Outcome
from riskgraph.core.spelling import parts
from riskgraph.stores.codec import decode_past, encode_bands, encode_past

INDEXES = [
    "CREATE CONSTRAINT order_key IF NOT EXISTS FOR (o:Order) REQUIRE o.key IS UNIQUE",
    "CREATE CONSTRAINT address_digest IF NOT EXISTS FOR (a:Address) REQUIRE a.digest IS UNIQUE",
    *(
        f"CREATE INDEX order_{kind} IF NOT EXISTS FOR (o:Order) ON (o.{kind}, o.at)"
        for kind in ("account", "device", "card", "address", "phone")
    ),
    *(
        f"CREATE INDEX fraud_{kind} IF NOT EXISTS FOR (o:Fraud) ON (o.{kind})"
        for kind in ("account", "card", "address", "phone")
    ),
    *(f"CREATE INDEX address_part_{i} IF NOT EXISTS FOR (a:Address) ON (a.part_{i})" for i in range(4)),
]
ORDERS = """
UNWIND $rows AS row
MERGE (o:Order {key: row.key}) ON CREATE SET o += row
"""
ADDRESSES = """
UNWIND $rows AS row
MERGE (a:Address {digest: row.digest}) ON CREATE SET a += row
"""
OUTCOMES = """
UNWIND $rows AS row
MATCH (o:Order {key: row.key}) WHERE NOT row.told IN coalesce(o.outcomes, [])
SET o.outcomes = coalesce(o.outcomes, []) + [row.told]
FOREACH (_ IN CASE WHEN row.fraud THEN [1] ELSE [] END | SET o:Fraud)
"""


class HandFeed:
    """Copies the journal's events into Neo4j when told to."""

    def __init__(self, store, connection):
        self.store, self.connection = store, connection
        self.packed = 0
        self.last_error = None
        self._late = []

    async def run(self):
        await asyncio.Event().wait()

    def pump(self, share=1.0):
        """Copy the first ``share`` of the events that are not there yet."""
        events = self.store.events(self.packed, 1_000_000)
        for event in events[: round(len(events) * share)]:
            self._copy(event)
            self.packed = event["seq"]
        return self

    def _copy(self, event):
        if event["type"] == "decision.recorded":
            for (facts,) in self.store._fetch(
                "SELECT facts FROM orders WHERE key=?", event["payload"]["order_key"]
            ):
                past = decode_past(facts)
                past.outcomes = []
                self.write([past])
                self.tell_late()
        elif event["type"] == "outcome.recorded":
            key, name = event["payload"]["order_key"], event["payload"]["outcome_id"]
            query = (
                "SELECT outcome_id, order_key, kind, effective_at, reported_at, reason, source, reverses "
                "FROM outcomes WHERE order_key=? AND outcome_id=?"
            )
            told = [Outcome(*row) for row in self.store._fetch(query, key, name)]
            self._late += told
            self.tell(told)

    def tell_late(self):
        """Outcomes that came before their orders."""
        self.tell(self._late)

    def write(self, orders):
        rows = [
            {
                "key": past.key,
                "at": past.at,
                "facts": encode_past(past),
                **{kind: digest.hex() for kind, digest in past.links()},
            }
            for past in orders
        ]
        doors = [
            {
                "digest": past.address.hex(),
                "bands": encode_bands(past.bands),
                **{f"part_{i}": part for i, part in enumerate(parts(past.bands))},
            }
            for past in orders
            if past.address and past.bands
        ]
        self.run_all([(ORDERS, rows), (ADDRESSES, doors)])

    def tell(self, outcomes):
        rows = [
            {"key": o.order_key, "told": msgspec.json.encode(o).decode(), "fraud": o.kind in FRAUD_KINDS}
            for o in outcomes
        ]
        self.run_all([(OUTCOMES, rows)])

    def run_all(self, steps):
        async def work(tx):
            for query, rows in steps:
                await tx.run(query, {"rows": rows})

        self.connection.submit(self.connection.write(work)).result(30)
