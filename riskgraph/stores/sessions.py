"""Sessions of the browser SDK: sums of behavior, in a file of their own beside the journal.

Nothing raw lies here: tokens and nonces are hashed, consent ids and order keys are keyed digests, and what a
session sent is added up and not kept one by one. Rows go a day after their session has expired.

A *print* (:mod:`riskgraph.stores.replays`) lies under a random mark of its session. It stays for 30 days, and
names nobody once the session's row has gone, or its mark at a withdrawal.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from riskgraph.core.behavior import Flush, Sums
from riskgraph.core.door import DIGEST_BYTES, Door
from riskgraph.core.errors import Conflict, Forbidden, SessionExpired, StorageUnavailable
from riskgraph.stores.replays import LEFT_BY_FLUSHES, LEFT_IN_ALL, Print, forget_oldest, leave, replayed
from riskgraph.stores.schema import BUSY_MS, check_sqlite, storage_errors

T = TypeVar("T")
_LOG = logging.getLogger("riskgraph.stores.sessions")
EXPIRES_S = 14_400.0
DAY_S = 86_400.0
KEPT_S, PRINTS_S, WITHDRAWN_S = DAY_S, 30 * DAY_S, 400 * DAY_S
MAX_FLUSHES = 2_000
MOST_BYTES = 1 << 30
APPLICATION_ID, SCHEMA_VERSION = 0x52474B02, 2
TABLES = """
CREATE TABLE sessions(sid INTEGER PRIMARY KEY, token BLOB NOT NULL UNIQUE, nonce BLOB NOT NULL,
    merchant TEXT NOT NULL, origin TEXT NOT NULL, key_id TEXT NOT NULL, consent BLOB NOT NULL,
    consent_at REAL NOT NULL, shared INTEGER NOT NULL, purposes BLOB NOT NULL,
    opened REAL NOT NULL, expires REAL NOT NULL, order_name BLOB, mark BLOB,
    printed INTEGER NOT NULL DEFAULT 0, withdrawn INTEGER NOT NULL DEFAULT 0, sums BLOB);
CREATE INDEX sessions_expires ON sessions(expires);
CREATE INDEX sessions_consent ON sessions(consent);
CREATE INDEX sessions_order ON sessions(order_name) WHERE order_name IS NOT NULL;
CREATE TABLE flushes(sid INTEGER REFERENCES sessions ON DELETE CASCADE, seq INTEGER,
    PRIMARY KEY(sid, seq)) WITHOUT ROWID;
CREATE TABLE withdrawn(consent BLOB, consent_at REAL, since REAL NOT NULL,
    PRIMARY KEY(consent, consent_at)) WITHOUT ROWID;
CREATE TABLE prints(digest BLOB, mark BLOB, name TEXT NOT NULL, bits REAL NOT NULL, at REAL NOT NULL,
    PRIMARY KEY(digest, mark)) WITHOUT ROWID;
CREATE INDEX prints_at ON prints(at);
"""
# What is over its time, by table; the parameter is now.
OVER = {
    "sessions": f"expires < ? - {KEPT_S}",
    "prints": f"at < ? - {PRINTS_S}",
    "withdrawn": f"since < ? - {WITHDRAWN_S}",
}
_PRAGMAS = {"journal_mode": "WAL", "synchronous": "NORMAL", "foreign_keys": True, "secure_delete": True}
_RECORD = "consent=? AND consent_at=?"
_COLUMNS = (
    "sid, token, nonce, merchant, origin, key_id, consent, consent_at, shared, purposes, opened, "
    "expires, order_name, mark, printed, withdrawn, sums"
)


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is kept. Times in epoch seconds; ``purposes`` as the consent record states them.

    Attributes:
        consent: Keyed digest of merchant and consent id.
        consent_at: When that consent was given.
        shared: Whether other shoppers may have that very record, so that it names nobody.
        order_name: Of the order that named it first, see :func:`order_name`.
        mark: Of its prints; None once it was withdrawn.
        printed: How many prints it left.
        sums: Empty where nothing came yet, or it was withdrawn.
    """

    token: bytes
    nonce: bytes
    merchant: str
    origin: str
    key_id: str
    consent: bytes
    consent_at: float
    purposes: Mapping[str, bool]
    opened: float
    expires: float
    shared: bool = False
    order_name: bytes | None = None
    mark: bytes | None = None
    printed: int = 0
    withdrawn: bool = False
    sums: Sums | None = None
    sid: int = 0

    def granted(self) -> list[str]:
        return [purpose for purpose, given in self.purposes.items() if given]


def hashed(token: str) -> bytes:
    """SHA-256: a token has 144 random bits, so a slow or keyed hash would add nothing."""
    return sha256(token.encode()).digest()


def order_name(door: Door, order_key: str) -> bytes:
    """What stands for an order here."""
    return door.digest("session.order", order_key)


class SessionStore:
    """Sessions in one SQLite file; for many threads and several processes.

    It is opened at its first use: a service whose file is damaged decides orders all the same.

    Args:
        path: The file; made, readable by its owner only, if it is not there.
        most_bytes: What may lie in it; beyond, sessions and flushes are refused until something has gone, and
            prints have half of it.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path, self.most_bytes = path, most_bytes
        self._full = False
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None

    @classmethod
    def beside(cls, journal: Path, most_bytes: int = MOST_BYTES) -> SessionStore:
        """The store of a journal: each has its own, also where several lie in one folder."""
        return cls(journal.with_name(f"{journal.name}-sessions"), most_bytes)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def open(self, session: Session) -> None:
        """Keep a new session.

        Raises:
            Forbidden: If this consent was withdrawn.
            StorageUnavailable: If nothing was committed, or the file has no more room.
        """

        def work(connection: apsw.Connection) -> None:
            self._refuse_full(connection)
            gone = f"SELECT EXISTS(SELECT 1 FROM withdrawn WHERE {_RECORD})"
            if connection.execute(gone, (session.consent, session.consent_at)).get:
                raise withdrawn()
            connection.execute(
                f"INSERT INTO sessions({_COLUMNS}) "
                "VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, 0, 0, NULL)",
                (
                    session.token, session.nonce, session.merchant, session.origin, session.key_id,
                    session.consent, session.consent_at, session.shared,
                    msgspec.json.encode(session.purposes), session.opened, session.expires,
                    os.urandom(DIGEST_BYTES),
                ),
            )  # fmt: skip

        self._write(work)

    def find(self, token: str) -> Session | None:
        """The session of a token, expired or withdrawn ones too."""
        with self._opened() as connection:
            return _find(hashed(token), connection)

    def count(self, session: Session, flush: Flush, prints: Sequence[Print], at: float) -> bool:
        """Add a flush to the sums of its session; False if it was counted before.

        Args:
            session: As :meth:`find` gave it.
            flush: Checked and allowed.
            prints: Of its histograms.
            at: Now, epoch seconds.

        Raises:
            Forbidden: If the session was withdrawn meanwhile.
            SessionExpired: If its time is over.
            Conflict: If another session sent these histograms, or this one has had 2,000 flushes.
            StorageUnavailable: If nothing was committed, or the file has no more room.
        """

        def work(connection: apsw.Connection) -> bool:
            self._refuse_full(connection)
            return _count(session.token, flush, prints, at, connection)

        return self._write(work)

    def withdraw(self, session: Session, at: float) -> None:
        """Forget what was gathered under a consent, in every session that rests on the same record.

        A record is its id and its time: an id may be guessed. Of a shared record this session alone is
        emptied, and no later one refused: nobody must withdraw for somebody else.

        Raises:
            StorageUnavailable: If nothing was committed.
        """

        def work(connection: apsw.Connection) -> None:
            where, mine = _same_record(session)
            if not session.shared:
                connection.execute("INSERT OR IGNORE INTO withdrawn VALUES(?, ?, ?)", (*mine, at))
            these = f"SELECT sid FROM sessions WHERE {where}"
            connection.execute(f"DELETE FROM flushes WHERE sid IN ({these})", mine)
            connection.execute(f"UPDATE sessions SET withdrawn=1, sums=NULL, mark=NULL WHERE {where}", mine)

        self._write(work, wipe=True)

    def bind(self, token: str, name: bytes, merchant: str) -> Session | None:
        """The session for an order: the first of its merchant that names it has it; None for any other.

        Raises:
            StorageUnavailable: If it cannot be read or bound.
        """
        with self._opened() as connection:
            found = _find(hashed(token), connection)
        if found is None or found.merchant != merchant or found.order_name is not None:
            return found if found is not None and found.order_name == name else None

        def work(connection: apsw.Connection) -> Session | None:
            free = "UPDATE sessions SET order_name=? WHERE token=? AND order_name IS NULL"
            connection.execute(free, (name, found.token))
            now = _find(found.token, connection)
            return now if now is not None and now.order_name == name else None

        return self._write(work)

    def vouch(self, session: Session, prints: Sequence[Print], at: float) -> bool:
        """Whether the sums that an order is about to get are no copy of another session's; they leave prints.

        What was sent in flushes too small to tell anything is one visit in the end.

        Args:
            session: As :meth:`bind` gave it.
            prints: Of the histograms of its sums.
            at: Now, epoch seconds.

        Raises:
            StorageUnavailable: If that cannot be read or kept.
        """

        def work(connection: apsw.Connection) -> bool:
            now = _find(session.token, connection)
            if now is None or now.mark is None or replayed(now.mark, prints, connection):
                return False
            left = leave(now.mark, prints, LEFT_IN_ALL - now.printed, at, connection)
            connection.execute("UPDATE sessions SET printed=printed+? WHERE sid=?", (left, now.sid))
            return True

        return not prints or self._write(work)

    def erase(self, names: Sequence[bytes], *, wipe: bool = True) -> int:
        """Take out the sessions of orders; returns how many there were.

        Others under the same consent record, of another tab or an earlier page, go along: they are of the
        same person, and no order will ever name them.

        Args:
            names: See :func:`order_name`.
            wipe: Rewrite the file at once; else that is left to :meth:`wipe`.
        """

        def work(connection: apsw.Connection) -> int:
            erased = 0
            for one in self._named(names, connection):
                where, mine = _same_record(one)
                connection.execute(f"DELETE FROM sessions WHERE {where}", mine)
                erased += connection.changes()
            return erased

        if not self.path.exists():
            return 0
        erased = self._write(work, wipe=True)
        if erased and wipe:
            self.wipe()
        return erased

    def wipe(self) -> None:
        """Rewrite the file; orders go without their sessions meanwhile.

        Rows that go are overwritten at once; copies that SQLite left when it rearranged pages go with this.
        """
        if self.path.exists():
            with self._opened() as connection, suppress(apsw.BusyError, apsw.LockedError):
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def of_orders(self, names: Sequence[bytes]) -> list[Session]:
        """The sessions of orders that are still kept."""
        if not self.path.exists():
            return []
        with self._opened() as connection:
            return self._named(names, connection)

    @staticmethod
    def _named(names: Sequence[bytes], connection: apsw.Connection) -> list[Session]:
        query = f"SELECT {_COLUMNS} FROM sessions WHERE order_name=?"
        return [_session(row) for name in names for row in connection.execute(query, (name,))]

    def purge(self, at: float) -> dict[str, int]:
        """Take out what is over its time; returns how many sessions, prints and withdrawals that were.

        Where prints have more than their half of the file, the oldest go before their time.
        """

        def work(connection: apsw.Connection) -> dict[str, int]:
            counts = {}
            for table, where in OVER.items():
                connection.execute(f"DELETE FROM {table} WHERE {where}", (at,))
                counts[table] = connection.changes()
            if used_bytes(connection) > self.most_bytes // 2:
                counts["prints"] += forget_oldest(self.most_bytes // 2, connection)
            return counts

        if not self.path.exists():
            return dict.fromkeys(OVER, 0)
        return self._write(work, wipe=True)

    def due(self, at: float) -> dict[str, int]:
        """What :meth:`purge` would take out."""
        if not self.path.exists():
            return dict.fromkeys(OVER, 0)
        with self._opened() as connection:
            rows = {t: f"SELECT count(*) FROM {t} WHERE {where}" for t, where in OVER.items()}
            return {table: connection.execute(query, (at,)).get for table, query in rows.items()}

    def _refuse_full(self, connection: apsw.Connection) -> None:
        full = used_bytes(connection) > self.most_bytes
        if full and not self._full:
            _LOG.error("%s has all that RISKGRAPH_SESSIONS_MIB gives it: sessions are refused", self.path)
        self._full = full
        if full:
            raise StorageUnavailable("there is no more room for sessions: come again later")

    def _write(self, work: Callable[[apsw.Connection], T], *, wipe: bool = False) -> T:
        """One transaction; of what must go, on the disk when it returns, and an empty write-ahead log."""
        with self._opened() as connection:
            if wipe:
                connection.execute("PRAGMA synchronous=FULL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                done = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                if wipe:
                    connection.execute("PRAGMA synchronous=NORMAL")
            if wipe:
                # A reader of another process may be in the way: the commit is on the disk, and bytes of what
                # went stay in the log until the next time.
                with suppress(apsw.BusyError):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return done

    @contextmanager
    def _opened(self) -> Iterator[apsw.Connection]:
        """The connection, for one thread at a time."""
        with self._lock, storage_errors(f"sessions in {self.path}"):
            if self._connection is None:
                self._connection = _connect(self.path)
            yield self._connection


def used_bytes(connection: apsw.Connection) -> int:
    """What lies in the file; free pages are filled again before it grows."""
    pages = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
    return pages * int(connection.pragma("page_size"))


def _same_record(session: Session) -> tuple[str, tuple[Any, ...]]:
    """Which sessions rest on the same consent record, and so are of the same person: condition and values."""
    return ("sid=?", (session.sid,)) if session.shared else (_RECORD, (session.consent, session.consent_at))


def withdrawn() -> Forbidden:
    return Forbidden("this consent was withdrawn: ask for a new one", code="consent_withdrawn")


def expired() -> SessionExpired:
    return SessionExpired("the session has expired: open a new one")


def _connect(path: Path) -> apsw.Connection:
    check_sqlite(apsw.sqlite_lib_version())
    path.parent.mkdir(parents=True, exist_ok=True)
    # Only the owner may read behavior; SQLite gives its WAL the same mode.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = apsw.Connection(str(path), statementcachesize=100)
    try:
        connection.set_busy_timeout(BUSY_MS)
        # A power cut may cost the last flushes, never a withdrawal, an erasure or a purge: see ``_write``.
        # One by one: of several in a string, apsw runs none after the first that gives a row.
        for name, value in _PRAGMAS.items():
            connection.pragma(name, value)
        # One process makes the tables; another that comes at the same moment finds them.
        connection.execute("BEGIN IMMEDIATE")
        _prepare(path, connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(path: Path, connection: apsw.Connection) -> None:
    """Make the tables in an empty file, or check whose file it is."""
    found = connection.pragma("application_id"), connection.pragma("user_version")
    if found == (APPLICATION_ID, SCHEMA_VERSION):
        return
    if connection.execute("SELECT count(*) FROM sqlite_master").get:
        raise StorageUnavailable(f"{path} is no file of sessions of this release: move it away")
    connection.execute(TABLES)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}")


def _find(token: bytes, connection: apsw.Connection) -> Session | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM sessions WHERE token=?", (token,)).fetchone()
    return None if row is None else _session(row)


def _session(row: tuple[Any, ...]) -> Session:
    named = dict(zip(_COLUMNS.split(", "), row, strict=True))
    sums = named.pop("sums")
    purposes, gone = msgspec.json.decode(named.pop("purposes")), bool(named.pop("withdrawn"))
    shared = bool(named.pop("shared"))
    read = None if sums is None else Sums(**msgspec.json.decode(sums))
    return Session(purposes=purposes, shared=shared, withdrawn=gone, sums=read, **named)


def _count(
    token: bytes, flush: Flush, prints: Sequence[Print], at: float, connection: apsw.Connection
) -> bool:
    now = _find(token, connection)
    if now is None or now.withdrawn:
        raise withdrawn()
    if at >= now.expires:
        raise expired()
    known = "SELECT EXISTS(SELECT 1 FROM flushes WHERE sid=? AND seq=?)"
    if connection.execute(known, (now.sid, flush.seq)).get:
        return False
    if connection.execute("SELECT count(*) FROM flushes WHERE sid=?", (now.sid,)).get >= MAX_FLUSHES:
        raise Conflict(f"a session has at most {MAX_FLUSHES} flushes", code="session_full")
    mark = now.mark or b""
    if replayed(mark, prints, connection):
        raise Conflict("another session sent these histograms, count for count", code="behavior_replayed")
    sums = now.sums or Sums()
    sums.add(flush)
    connection.execute("INSERT INTO flushes VALUES(?, ?)", (now.sid, flush.seq))
    packed = msgspec.json.encode(asdict(sums))
    left = leave(mark, prints, LEFT_BY_FLUSHES - now.printed, at, connection)
    update = "UPDATE sessions SET sums=?, printed=printed+? WHERE sid=?"
    connection.execute(update, (packed, left, now.sid))
    return True
