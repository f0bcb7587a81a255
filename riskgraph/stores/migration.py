"""From schema 3, with open reports and without a log, to schema 4; in one transaction, or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import apsw

from riskgraph.core.door import DIGEST_BYTES
from riskgraph.core.merkle import HASH_BYTES, leaf_hash
from riskgraph.stores import reviews
from riskgraph.stores.codec import decode_past, decode_record, encode_plain
from riskgraph.stores.insert import insert
from riskgraph.stores.log import TABLES, Log
from riskgraph.stores.rows import KIND_CODE
from riskgraph.stores.schema import DECISIONS, MIGRATED_VERSION, SCHEMA_VERSION
from riskgraph.stores.sealing import Secrets, Vault
from riskgraph.stores.writer import DECISION_COLUMNS

_BATCH = 500
_OLD = (
    "SELECT d.seq, decision_id, d.key, trace_id, idempotency_key, body_sha256, merchant_id, d.ts, verdict, "
    "answer, record, facts FROM decisions_3 d LEFT JOIN orders o ON o.key = d.key "
    "WHERE d.seq > ? ORDER BY d.seq LIMIT ?"
)
_ACCOUNTS = "SELECT DISTINCT digest FROM oe WHERE kind=? AND digest >= ? AND digest <= ? LIMIT 2"


def migrate(secrets: Secrets, connection: apsw.Connection) -> None:
    """Seal every report and enter it into the log, in the order of their decisions.

    What lay open is dropped, and ``purge_due`` says that its bytes are still to be wiped from the file.

    Raises:
        apsw.Error: If anything failed; the file is then as it was.
    """
    with connection:
        if connection.pragma("user_version") != MIGRATED_VERSION:
            return  # another process was first
        connection.execute(f"ALTER TABLE decisions RENAME TO decisions_3; {DECISIONS} {TABLES}")
        if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name='reviews'").get:
            connection.execute(reviews.TABLES)
        log, vault = Log(secrets.signer), Vault(secrets.wrapping_key)
        for rows in _batches(connection):
            _seal(rows, vault, log, connection)
        log.sign(connection)
        connection.execute("INSERT INTO purge_due VALUES(?)", (time.time(),))
        connection.execute(f"DROP TABLE decisions_3; PRAGMA user_version={SCHEMA_VERSION}")


def _batches(connection: apsw.Connection) -> Iterator[list[tuple[Any, ...]]]:
    last: Any = -1
    while rows := list(connection.execute(_OLD, (last, _BATCH))):
        yield rows
        last = rows[-1][0]


def _subject(record: bytes, facts: bytes | None, connection: apsw.Connection) -> bytes:
    """Whose decision it is: the account of the attempt itself, as its record tells it.

    The order's facts are those of its first attempt, which another account or a guest may have made. The
    record has the first bytes of the digest alone; where they fit no account, or several, the decision is a
    subject of its own, as a guest's is.
    """
    first = None if facts is None else decode_past(facts).account
    told = _entities(record)
    if told is None:
        return first or os.urandom(DIGEST_BYTES)
    tag = bytes.fromhex(told.get("account", ""))
    if not tag:
        return os.urandom(DIGEST_BYTES)
    if first is not None and first.startswith(tag):
        return first
    last = tag.ljust(DIGEST_BYTES, b"\xff")
    known: list[Any] = connection.execute(_ACCOUNTS, (KIND_CODE["account"], tag, last)).fetchall()
    return bytes(known[0][0]) if len(known) == 1 else os.urandom(DIGEST_BYTES)


def _entities(record: bytes) -> dict[str, str] | None:
    """Pseudonyms of an order's entities; None where the record tells none, or cannot be read."""
    try:
        return decode_record(record).order.get("entities")
    except ValueError:
        return None


def _seal(rows: list[tuple[Any, ...]], vault: Vault, log: Log, connection: apsw.Connection) -> None:
    subjects = [_subject(record, facts, connection) for *_, record, facts in rows]
    ciphers = vault.ciphers(subjects, connection)
    made, leaves = [], []
    for leaf, ((_, *columns, answer, record, _), subject) in enumerate(
        zip(rows, subjects, strict=True), log.size
    ):
        nonce, row = os.urandom(HASH_BYTES), (*columns, subject)
        plain = encode_plain(nonce, record, answer)
        made.append((leaf, *row, vault.seal(ciphers[subject], plain, row)))
        leaves.append(leaf_hash(nonce + record))
    insert(connection, DECISION_COLUMNS, made)
    log.append(leaves, connection)
