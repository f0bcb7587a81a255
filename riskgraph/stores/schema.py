"""Tables of the embedded store, and opening its file: refuse rather than guess.

Entities appear only as keyed hashes. ``oe`` finds the newest orders of an entity in one index
walk; what an order was made of is in its ``facts``. ``spellings`` holds each address once for every
part of its bands, so that other spellings of a door are found.

Each index costs a decision a page in its commit, so there is none that only a rare question would use.
Numbers of ``outbox`` must never come again: whoever deletes sent events keeps the newest one.

A decision's ``seq`` is its leaf in the log. Record and answer lie in ``sealed``, under a key of ``subject``
(see ``sealing``). ``purge_due`` has a row while deleted bytes may still lie in the file (see ``erasure``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from riskgraph.core.errors import StorageUnavailable
from riskgraph.stores import log, reviews

# Older versions can corrupt a WAL that is reset while another connection reads (sqlite.org, 2026).
MIN_SQLITE = (3, 51, 3)
APPLICATION_ID = 0x52474B01
SCHEMA_VERSION = 4
MIGRATED_VERSION = 3
QUICK_CHECK_BYTES = 64 * 1024 * 1024
BUSY_MS = 2000
# FULL syncs the WAL at each commit: an answer survives a power cut, not only a kill.
_WRITING = {"journal_mode": "WAL", "synchronous": "FULL", "wal_autocheckpoint": 4000}

DECISIONS = """
CREATE TABLE decisions(seq INTEGER PRIMARY KEY, decision_id TEXT NOT NULL UNIQUE, key TEXT NOT NULL,
    trace_id TEXT NOT NULL, idempotency_key TEXT NOT NULL UNIQUE, body_sha256 TEXT NOT NULL,
    merchant_id TEXT NOT NULL, ts REAL NOT NULL, verdict TEXT NOT NULL, subject BLOB NOT NULL,
    sealed BLOB NOT NULL);
CREATE TABLE subject_keys(subject BLOB PRIMARY KEY, wrapped BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE holds(subject BLOB PRIMARY KEY, ground TEXT NOT NULL, ordered_by TEXT NOT NULL,
    since REAL NOT NULL, until REAL) WITHOUT ROWID;
CREATE TABLE purge_due(since REAL NOT NULL);
"""
TABLES = """
CREATE TABLE orders(oid INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, ts REAL NOT NULL,
    facts BLOB NOT NULL, vec BLOB NOT NULL);
CREATE INDEX orders_ts ON orders(ts);
CREATE TABLE oe(kind INTEGER, digest BLOB, ts REAL, oid INTEGER,
    PRIMARY KEY(kind, digest, ts, oid)) WITHOUT ROWID;
CREATE TABLE spellings(part INTEGER, address BLOB, bands BLOB NOT NULL,
    PRIMARY KEY(part, address)) WITHOUT ROWID;
CREATE TABLE merchants(merchant TEXT PRIMARY KEY, first REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE outcomes(order_key TEXT, outcome_id TEXT, merchant TEXT NOT NULL, kind TEXT NOT NULL,
    effective_at REAL NOT NULL, reported_at REAL NOT NULL, reason TEXT, source TEXT, reverses TEXT,
    PRIMARY KEY(order_key, outcome_id)) WITHOUT ROWID;
CREATE TABLE reports(merchant TEXT, kind TEXT, first REAL NOT NULL,
    PRIMARY KEY(merchant, kind)) WITHOUT ROWID;
CREATE TABLE fraud_orders(order_key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE outbox(seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, type TEXT NOT NULL,
    v INTEGER NOT NULL, at REAL NOT NULL, decision_id TEXT, subject_key TEXT, payload BLOB NOT NULL);
CREATE TABLE meter(ts REAL NOT NULL, key_id TEXT NOT NULL, merchant_id TEXT NOT NULL, line TEXT,
    decision_id TEXT NOT NULL);
CREATE TABLE keys(key_id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn whatever SQLite or the system reports into StorageUnavailable, naming the cause."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise unavailable(doing, error) from error


def unavailable(doing: str, error: Exception) -> StorageUnavailable:
    """The error for a failed step, with SQLite's name for it."""
    return StorageUnavailable(f"{doing}: {type(error).__name__}: {error}")


def check_sqlite(version: str) -> None:
    """Refuse a SQLite library that may lose or corrupt what was committed.

    Raises:
        StorageUnavailable: If it is older than 3.51.3.
    """
    if tuple(int(part) for part in version.split(".")) < MIN_SQLITE:
        need = ".".join(map(str, MIN_SQLITE))
        raise StorageUnavailable(f"SQLite {version} can corrupt a WAL database: install apsw {need} or newer")


def prepare(path: Path, migrate: Callable[[apsw.Connection], None]) -> None:
    """Make the file with its tables, check the one that is there, or bring an older one up to date.

    Args:
        path: The file.
        migrate: Turns a file of schema 3 into one of this release, within one transaction.

    Raises:
        StorageUnavailable: If the file is corrupt, foreign, of another version or not reachable.
    """
    check_sqlite(apsw.sqlite_lib_version())
    with storage_errors(f"cannot open {path}"):
        if not path.exists() or path.stat().st_size == 0:
            _create(path)
        elif _check(path) == MIGRATED_VERSION:
            connection = connect(path, write=True)
            try:
                migrate(connection)
            finally:
                connection.close()


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Only the owner may read decisions; SQLite gives its WAL the same mode.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA journal_mode=WAL")
    tables = f"{TABLES} {DECISIONS} {log.TABLES} {reviews.TABLES}"
    connection.execute(f"BEGIN; {tables} PRAGMA user_version={SCHEMA_VERSION}; COMMIT")
    connection.close()


def _check(path: Path) -> int:
    """The file's schema version, if it is one that can be read or migrated; the file is left as it is."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        # Closing must not checkpoint: a damaged file stays as it was found.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.set_busy_timeout(BUSY_MS)
        if connection.pragma("application_id") != APPLICATION_ID:
            raise StorageUnavailable(f"{path} is not a riskgraph store")
        version: int = connection.pragma("user_version")
        if version not in (MIGRATED_VERSION, SCHEMA_VERSION):
            raise StorageUnavailable(f"{path} has schema {version}, this release reads {SCHEMA_VERSION}")
        if path.stat().st_size <= QUICK_CHECK_BYTES:
            found = connection.execute("PRAGMA quick_check(1)").get
            if found != "ok":
                raise StorageUnavailable(f"{path} is corrupt, restore it from a backup: {found}")
        return version
    finally:
        connection.close()


def feed_name(connection: apsw.Connection) -> str | None:
    """The name under which the file is fed to a graph; None if it never was, and has no such table then."""
    if connection.execute("SELECT EXISTS(SELECT 1 FROM sqlite_master WHERE name='feeds')").get == 0:
        return None
    found: str | None = connection.execute("SELECT name FROM feeds").get
    return found


def connect(path: Path, *, write: bool) -> apsw.Connection:
    """A connection for the one writer, or a read-only one for a reading thread."""
    flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=400)
    connection.set_busy_timeout(BUSY_MS)
    # Else a new value for ``ts < ?`` has its statement compiled again: the plan might depend on it.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    if write:
        for name, value in _WRITING.items():
            connection.pragma(name, value)
    # In KiB. One by one: of several pragmas in a string, none runs after the first that gives a row.
    connection.pragma("cache_size", -16_000 if write else -8_000)
    return connection
