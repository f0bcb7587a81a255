"""Reading the store: the history of an order's entities, and stored decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import apsw
import msgspec

from riskgraph.core.errors import CheckFailed, StorageUnavailable
from riskgraph.core.history import HISTORY_LIMIT, HUB_ORDERS, IndexedHistory
from riskgraph.core.order import Order
from riskgraph.core.past import LINK_KINDS, PastOrder
from riskgraph.core.report import DecisionReport
from riskgraph.core.spelling import parts, unique_alike
from riskgraph.stores.codec import decode_bands, decode_past
from riskgraph.stores.rows import KIND_CODE
from riskgraph.stores.sealing import Opened, Vault

# The order itself as first recorded, and the newest orders of each entity, read in one go.
_PAST = " UNION ALL ".join(
    [
        "SELECT NULL, oid, facts FROM orders WHERE key=?1",
        *(
            f"SELECT '{kind}', oid, facts FROM (SELECT oid AS newest FROM oe WHERE kind={code} "
            f"AND digest=?{code + 4} AND ts < ?2 ORDER BY ts DESC, oid DESC LIMIT ?3) "
            "CROSS JOIN orders ON oid = newest"
            for kind, code in KIND_CODE.items()
        ),
    ]
)
_NEWEST = (
    "SELECT oid, facts FROM (SELECT oid AS newest FROM oe WHERE kind=? AND digest=? AND ts >= ? AND ts < ? "
    "ORDER BY ts DESC, oid DESC LIMIT ?) CROSS JOIN orders ON oid = newest"
)
_SPELLED = "SELECT address, bands FROM spellings WHERE part IN (?,?,?,?)"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM oe WHERE kind=? AND digest=? AND ts < ? LIMIT ?)"
DECODED = 8192
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
SEALED_SELECT = (
    f"{DECISION_SELECT}, subject, sealed, wrapped FROM decisions LEFT JOIN subject_keys USING(subject)"
)
_digests = attrgetter(*LINK_KINDS)


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


def opened(row: tuple[Any, ...], vault: Vault) -> tuple[dict[str, Any], Opened]:
    """A row of ``SEALED_SELECT`` by its columns, and what was sealed beside it.

    Raises:
        StorageUnavailable: If it does not open.
    """
    *columns, sealed, wrapped = row
    try:
        found = vault.open(sealed, columns, columns[-1], wrapped)
    except CheckFailed as wrong:
        told = f"decision {columns[0]} cannot be read: {wrong.message}; see riskgraph audit verify"
        raise StorageUnavailable(told) from wrong
    return dict(zip(DECISION_COLUMNS, columns, strict=False)), found


def enforced(row: tuple[Any, ...], vault: Vault) -> bool:
    """Whether a row of ``SEALED_SELECT`` was decided in the mode *enforce*, and at no simulated merchant.

    One that cannot be read says nothing: damage alone must hold nobody's orders.
    """
    try:
        answer = msgspec.json.decode(opened(row, vault)[1].answer)
    except StorageUnavailable:
        return False
    return bool(answer["mode"] == "enforce" and answer.get("provenance") != "simulated")


class Decoded:
    """Orders that were read lately, decoded: those behind a hub are read again for each of its orders.

    An order is found by its number and its very bytes, so none that was changed since is given out. It is
    shared by all readers and must not be changed by them.
    """

    def __init__(self) -> None:
        self._orders: dict[int, tuple[bytes, PastOrder]] = {}

    def get(self, oid: int, facts: bytes) -> PastOrder:
        """The order of these bytes."""
        kept = self._orders.get(oid)
        if kept is not None and kept[0] == facts:
            return kept[1]
        if len(self._orders) >= DECODED:
            # no order of use is kept: what is read often is soon here again
            self._orders = {}
        past = decode_past(facts)
        self._orders[oid] = facts, past
        return past

    def forget(self) -> None:
        """Keep nothing, as after an erasure."""
        self._orders = {}


class SqliteHistory(IndexedHistory):
    """The history of one order, on one connection; one statement reads it, hub counts apart."""

    def __init__(self, connection: apsw.Connection, indexes: IndexedHistory, kept: Decoded) -> None:
        self.activity, self.frauds, self.reports = indexes.activity, indexes.frauds, indexes.reports
        self.sales, self.doors = indexes.sales, indexes.doors
        self._connection, self._kept = connection, kept
        # an account's orders come back through its device, card, address and phone
        self._decoded: dict[int, PastOrder] = {}

    def read(self, order: Order) -> tuple[PastOrder | None, Mapping[str, Sequence[PastOrder]]]:
        """See :class:`riskgraph.core.history.History`."""
        key, at = order.key, order.placed_at
        values = (key, at, HISTORY_LIMIT + 1, *_digests(order.entities))
        own: PastOrder | None = None
        found: dict[str, list[tuple[float, int, PastOrder]]] = {}
        for kind, oid, facts in self._connection.execute(_PAST, values):
            past = self._past(oid, facts)
            if past.key == key:
                own = past
            else:
                found.setdefault(kind, []).append((past.at, oid, past))
        newest = {
            kind: [row[2] for row in sorted(rows, reverse=True)[:HISTORY_LIMIT]]
            for kind, rows in found.items()
        }
        return own, newest

    def _past(self, oid: int, facts: bytes) -> PastOrder:
        past = self._decoded.get(oid)
        if past is None:
            past = self._decoded[oid] = self._kept.get(oid, facts)
        return past

    def newest(
        self, kind: str, digest: bytes, since: float, before: float, own: PastOrder | None
    ) -> Sequence[PastOrder]:
        """See :class:`riskgraph.core.history.History`."""
        args = (KIND_CODE[kind], digest, since, before, HISTORY_LIMIT + 1)
        rows = [
            (past.at, oid, past)
            for oid, facts in self._connection.execute(_NEWEST, args)
            if (past := self._past(oid, facts)) is not own
        ]
        return [row[2] for row in sorted(rows, reverse=True)[:HISTORY_LIMIT]]

    def alike(self, order: Order) -> Sequence[bytes]:
        """See :class:`riskgraph.core.history.History`."""
        who = order.entities
        if who.address is None or not who.bands:
            return ()
        rows = self._connection.execute(_SPELLED, parts(who.bands))
        return unique_alike(who.address, who.bands, ((other, decode_bands(packed)) for other, packed in rows))

    def is_hub(self, kind: str, digest: bytes, before: float, own: PastOrder | None) -> bool:
        """See :class:`riskgraph.core.history.History`."""
        args = (KIND_CODE[kind], digest, before, HUB_ORDERS + 2)
        count: int = self._connection.execute(_COUNT, args).get
        if own is not None and own.at < before and getattr(own, kind) == digest:
            count -= 1
        return count > HUB_ORDERS
