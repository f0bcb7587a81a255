"""The embedded store: entity history, decisions, outcomes, events, meter and keys in one file."""

from __future__ import annotations

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from riskgraph.core.context import OrderContext, compute_context
from riskgraph.core.errors import StorageUnavailable
from riskgraph.core.links import OrderLinks
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.core.past import PastOrder
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.tree_head import TreeHead
from riskgraph.ports import Entry, Progress, ShadowScore
from riskgraph.stores import keys, links, shadow
from riskgraph.stores.bulk import batches, write_history
from riskgraph.stores.codec import decode_record
from riskgraph.stores.graph import load_indexes, write_outcomes
from riskgraph.stores.journal import Event, Journal
from riskgraph.stores.log import place_of, proof_of
from riskgraph.stores.migration import migrate
from riskgraph.stores.reads import (
    DECISION_COLUMNS,
    DECISION_SELECT,
    SEALED_SELECT,
    Decoded,
    SqliteHistory,
    StoredDecision,
    enforced,
    opened,
)
from riskgraph.stores.retention import RetentionBook
from riskgraph.stores.reviews import ReviewBook
from riskgraph.stores.rows import entry_rows
from riskgraph.stores.schema import connect, prepare, storage_errors, unavailable
from riskgraph.stores.sealing import Secrets, Vault
from riskgraph.stores.subjects import SubjectBook
from riskgraph.stores.verify import Verified, verify
from riskgraph.stores.writer import Writer

_LOG = logging.getLogger("riskgraph.stores")
T = TypeVar("T")
KEEP_S = 2 * 3600.0
KEY_MAX_AGE_S = 0.5
_LAST_SEQ = 2**63 - 1


class SqliteStore:
    """GraphStore, Ledger and key store over one SQLite file; safe to use from many threads.

    One thread writes, and commits together whatever has been queued; each reading thread has its
    own connection, and each statement reads a consistent snapshot.

    Args:
        path: The file; made, readable by its owner only, if it is not there.
        secrets: Keys that reports are sealed and the log is signed with.
        keep_s: How far behind the newest order an order may arrive and still find all windows that are
            held in memory as they were (B068, B089, B112, B129, B130, B135), in seconds.
        wipe: Rewrite the file if an erasure before this start left that to do.

    Raises:
        StorageUnavailable: If the file is corrupt, foreign or of another version; it is left as it
            was. Also if its log was altered, if it was sealed under another wrapping key, or if SQLite is
            older than 3.51.3.
    """

    def __init__(self, path: Path, secrets: Secrets, *, keep_s: float = KEEP_S, wipe: bool = True) -> None:
        self.path = path
        self._local, self._decoded = threading.local(), Decoded()
        self._readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._closed = False
        self._keys: dict[str, tuple[float, dict[str, Any]]] = {}
        # Called when data were taken out, by this process or another; on the writing thread.
        self.when_erased: list[Callable[[], None]] = []
        self._vault = Vault(secrets.wrapping_key)
        prepare(path, partial(migrate, secrets))
        with storage_errors(f"cannot read {path}"):
            connection = connect(path, write=False)
            self._indexes = load_indexes(connection, keep_s)
            connection.close()
        self._keep_s = keep_s
        self._writer = Writer(path, self._indexes, secrets, self._reload)
        parts = self._read, self._writer, self._vault, self._reload
        self.subjects = SubjectBook(*parts)
        self.retention = RetentionBook(*parts, self.subjects)
        self._secrets = secrets
        if wipe:
            self._wipe_what_is_due()
        self.reviews = ReviewBook(self._read, lambda work: self._writer.call(work).result())

    def close(self) -> None:
        """Commit what is queued and close the file; later calls raise StorageUnavailable."""
        self._closed = True
        # The writer last: only then does SQLite put the write-ahead log back into the file.
        try:
            for reader in tuple(self._readers):
                # One that is in a statement just now goes with its thread.
                with suppress(apsw.ThreadingViolationError, apsw.ConnectionClosedError):
                    reader.interrupt()
                    reader.close()
        finally:
            self._writer.close()

    def _wipe_what_is_due(self) -> None:
        """What was erased before a kill must not stay in the file; a reader in the way stops no start."""
        try:
            self.subjects.wipe()
        except StorageUnavailable as wrong:
            _LOG.warning("%s", wrong.message)

    def _reload(self, connection: apsw.Connection) -> None:
        self._indexes.replace(load_indexes(connection, self._keep_s))
        self._decoded.forget()
        for forget in self.when_erased:
            forget()

    def _read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Work on this thread's connection."""
        if self._closed:
            raise StorageUnavailable("the store is closed")
        try:
            connection: apsw.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = connect(self.path, write=False)
                self._readers.add(connection)
            return work(connection)
        except (apsw.Error, OSError) as error:
            raise unavailable(f"cannot read {self.path}", error) from error

    def context(self, order: Order) -> OrderContext:
        """The computed nodes of an order, as things stood just before it was placed."""
        return self._read(
            lambda found: compute_context(order, SqliteHistory(found, self._indexes, self._decoded))
        )

    async def read_context(self, order: Order) -> OrderContext:
        """The same; a store that asks elsewhere meanwhile lets other work go on."""
        return self.context(order)

    def submit(self, entry: Entry) -> Future[None]:
        """Commit a decision with all that belongs to it; the future is done after the commit.

        It holds StorageUnavailable if nothing was committed, and Conflict if the idempotency key
        or the decision id is taken (nothing of the entry is written then).
        """
        return self._writer.submit(entry_rows(entry))

    def append(self, entry: Entry) -> None:
        """Like :meth:`submit`, and wait.

        Raises:
            StorageUnavailable: If nothing was committed.
            Conflict: If the idempotency key or the decision id is taken.
        """
        self.submit(entry).result()

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        """Commit outcomes with their outbox rows; one already there is left alone.

        Returns:
            How many were new.

        Raises:
            StorageUnavailable: If nothing was committed.
        """
        return self._writer.call(partial(write_outcomes, tuple(outcomes), self._indexes)).result()

    def load(self, orders: Sequence[Order], outcomes: Sequence[Outcome], progress: Progress) -> None:
        """Load earlier orders and what became of them, in batches; a repeated load adds nothing.

        Raises:
            StorageUnavailable: If a batch was not committed; those before it are.
        """
        past = [PastOrder.of(order) for order in orders]
        done = 0
        for part, known in batches(past, outcomes):
            self._writer.call(partial(write_history, part, known, self._indexes)).result()
            done += len(part)
            progress("history", done, len(past))

    def _fetch(self, query: str, *args: Any) -> list[Any]:
        return self._read(lambda connection: connection.execute(query, args).fetchall())

    def replay(self, idempotency_key: str) -> tuple[str, bytes] | None:
        """``(body_sha256, answer)`` of an earlier decision under this key."""
        for row in self._fetch(f"{SEALED_SELECT} WHERE idempotency_key=?", idempotency_key):
            named, found = opened(row, self._vault)
            return named["body_sha256"], found.answer
        return None

    def decision(self, decision_id: str, merchant_id: str | None) -> dict[str, Any] | None:
        """A decision's row with ``answer`` (bytes as answered); None if it is another merchant's."""
        for row in self._fetch(f"{SEALED_SELECT} WHERE decision_id=?", decision_id):
            named, found = opened(row, self._vault)
            if merchant_id in (None, named["merchant_id"]):
                return {**named, "answer": found.answer}
        return None

    def decisions(self, merchant_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Rows of the newest decisions, of one merchant or of all, without their blobs."""
        where, args = ("", ()) if merchant_id is None else ("WHERE merchant_id=?", (merchant_id,))
        rows = self._fetch(
            f"{DECISION_SELECT} FROM decisions {where} ORDER BY seq DESC LIMIT ?", *args, limit
        )
        return [dict(zip(DECISION_COLUMNS, row, strict=True)) for row in rows]

    def enforced_merchants(self) -> frozenset[str]:
        """Merchants, simulated ones aside, whose newest decision was made in the mode *enforce*."""
        # It scans all decisions: asked for at a start, where no promotion says it.
        newest = "SELECT max(seq) FROM decisions GROUP BY merchant_id"
        rows = self._fetch(f"{SEALED_SELECT} WHERE seq IN ({newest})")
        merchant = DECISION_COLUMNS.index("merchant_id")
        return frozenset(row[merchant] for row in rows if enforced(row, self._vault))

    def read_record(self, decision_id: str) -> StoredDecision | None:
        """A decision with its decoded report record."""
        for row in self._fetch(f"{SEALED_SELECT} WHERE decision_id=?", decision_id):
            named, found = opened(row, self._vault)
            return StoredDecision(**named, answer=found.answer, report=decode_record(found.record))
        return None

    def subgraph(self, order_key: str) -> OrderSubgraph | None:
        """The subgraph of an order as first recorded."""
        for (packed,) in self._fetch("SELECT vec FROM orders WHERE key=?", order_key):
            return OrderSubgraph.unpack(packed)
        return None

    def links(self, order_key: str, most: int) -> OrderLinks | None:
        """An order with at most ``most`` others behind its entities, as of now; None if it is not there."""
        return self._read(partial(links.links_of, order_key, most))

    def decision_of(self, order_key: str) -> str | None:
        """Id of the newest decision on an order; None if there is none."""
        return self._read(partial(links.decision_of, order_key))

    def first_decision(self, order_key: str) -> str | None:
        """Id of the oldest decision on an order; None if there is none."""
        return self._read(partial(links.first_decision, order_key))

    def events(self, after: int = 0, limit: int = 1000) -> list[Event]:
        """Outbox rows with ``seq > after``, oldest first; ``payload`` decoded (contracts, section 6)."""
        return self.journal().events(after, _LAST_SEQ, limit)

    def journal(self) -> Journal:
        """The store as a feed reads it, for as long as it is open."""
        return Journal(self._read, self._writer)

    def metered(self, since: float = 0.0, until: float = float("inf")) -> dict[tuple[str, str], int]:
        """Billed calls by ``(merchant_id, key_id)`` of orders placed in ``since <= t < until``."""
        query = "SELECT merchant_id, key_id, count(*) FROM meter WHERE ts >= ? AND ts < ? GROUP BY 1, 2"
        return {(merchant, key): count for merchant, key, count in self._fetch(query, since, until)}

    def append_shadow(self, rows: Sequence[ShadowScore]) -> None:
        """Commit what challengers said.

        Raises:
            StorageUnavailable: If nothing was committed.
        """
        self._writer.call(partial(shadow.write, tuple(rows))).result()

    def shadow_scores(self, decision_id: str) -> list[ShadowScore]:
        """What challengers said of one decision."""
        return self._read(partial(shadow.of_decision, decision_id))

    def shadow_verdicts(self) -> list[dict[str, Any]]:
        """Orders by challenger, answered verdict and the challenger's."""
        return self._read(shadow.compared)

    def integrity_problems(self) -> list[str]:
        """What SQLite's full integrity check finds; empty when all is well."""
        return [text for (text,) in self._fetch("PRAGMA integrity_check") if text != "ok"]

    def verify(self, kept: TreeHead | None = None) -> Verified:
        """See :func:`riskgraph.stores.verify.verify`."""
        return self._read(partial(verify, self._secrets, kept=kept))

    def proof(self, decision_id: str) -> dict[str, Any] | None:
        """That a decision is in the log, see :func:`riskgraph.stores.log.proof_of`; None if there is none."""
        for (leaf,) in self._fetch("SELECT seq FROM decisions WHERE decision_id=?", decision_id):
            return self._read(partial(proof_of, leaf))
        return None

    def place(self, leaf: int, decision_id: str, hashed: str) -> str:
        """See :func:`riskgraph.stores.log.place_of`."""
        return self._read(partial(place_of, leaf, decision_id, hashed))

    def put_key(self, key: dict[str, Any]) -> None:
        """Store an API key, or replace it (contracts, section 6: ``key_id``, ``hash``, scopes)."""
        self._writer.call(partial(keys.put, key)).result()
        self._keys.clear()

    def get_key(self, key_id: str) -> dict[str, Any] | None:
        """A stored key, revoked or not; what another process changed shows after half a second."""
        read, key = self._keys.get(key_id, (-math.inf, None))
        now = time.monotonic()
        if now - read > KEY_MAX_AGE_S:
            key = self._read(partial(keys.get, key_id))
            if key is not None:  # only real ids are kept: guesses must not fill the memory
                self._keys[key_id] = now, key
        return key

    def list_keys(self) -> list[dict[str, Any]]:
        """All stored keys by id."""
        return self._read(keys.every)

    def revoke_key(self, key_id: str) -> bool:
        """Mark a key revoked; False if there is none of that id."""
        revoked = self._writer.call(partial(keys.revoke, key_id)).result()
        self._keys.clear()
        return revoked
