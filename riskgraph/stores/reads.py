"""Reading the store: the history of an order's entities, and stored decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from riskgraph.core.history import HISTORY_LIMIT, HUB_ORDERS, IndexedHistory
from riskgraph.core.past import PastOrder
from riskgraph.core.report import DecisionReport
from riskgraph.stores.codec import decode_past
from riskgraph.stores.rows import KIND_CODE

_NEWEST = (
    "SELECT orders.oid, orders.facts FROM oe JOIN orders ON orders.oid = oe.oid "
    "WHERE oe.kind=? AND oe.digest=? AND oe.ts < ? ORDER BY oe.ts DESC, oe.oid DESC LIMIT ?"
)
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM oe WHERE kind=? AND digest=? AND ts < ? LIMIT ?)"
DECISION_COLUMNS = (
    "decision_id",
    "order_key",
    "trace_id",
    "idempotency_key",
    "body_sha256",
    "merchant_id",
    "at",
    "verdict",
)
DECISION_SELECT = "SELECT decision_id, key, trace_id, idempotency_key, body_sha256, merchant_id, ts, verdict"


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision as committed, with its report record. ``at`` is ``placed_at``, epoch seconds."""

    decision_id: str
    order_key: str
    trace_id: str
    idempotency_key: str
    body_sha256: str
    merchant_id: str
    at: float
    verdict: str
    answer: bytes
    report: DecisionReport


class SqliteHistory(IndexedHistory):
    """The history of one order, on one connection, inside one read transaction."""

    def __init__(self, connection: apsw.Connection, indexes: IndexedHistory) -> None:
        self.activity, self.frauds, self.reports = indexes.activity, indexes.frauds, indexes.reports
        self._connection = connection
        self._recorded: dict[str, PastOrder | None] = {}
        # an account's orders come back through its device, card, address and phone
        self._decoded: dict[int, PastOrder] = {}

    def recorded(self, key: str) -> PastOrder | None:
        """See :class:`riskgraph.core.history.History`."""
        if key not in self._recorded:
            facts = self._connection.execute("SELECT facts FROM orders WHERE key=?", (key,)).get
            self._recorded[key] = decode_past(facts) if facts else None
        return self._recorded[key]

    def newest(self, kind: str, digest: bytes, before: float, skip: str) -> Sequence[PastOrder]:
        """See :class:`riskgraph.core.history.History`."""
        limit = HISTORY_LIMIT + (self.recorded(skip) is not None)
        seen, found = self._decoded, []
        for oid, facts in self._connection.execute(_NEWEST, (KIND_CODE[kind], digest, before, limit)):
            past = seen.get(oid)
            if past is None:
                past = seen[oid] = decode_past(facts)
            if past.key != skip:
                found.append(past)
        return found[:HISTORY_LIMIT]

    def is_hub(self, kind: str, digest: bytes, before: float, skip: str) -> bool:
        """See :class:`riskgraph.core.history.History`."""
        args = (KIND_CODE[kind], digest, before, HUB_ORDERS + 2)
        count: int = self._connection.execute(_COUNT, args).get
        own = self.recorded(skip)
        if own is not None and own.at < before and getattr(own, kind) == digest:
            count -= 1
        return count > HUB_ORDERS
