"""Taking a person's data out of the store, so that no byte of them is left in any of its files.

GDPR Art. 17; PIPL Art. 47. What is taken out is named in the log by its leaves alone, so the log still
verifies. Grounds to keep (GDPR Art. 17(3)(b), (e); PIPL Art. 47(2)) are holds: see :func:`hold`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import apsw

from riskgraph.core.errors import Conflict, StorageUnavailable
from riskgraph.core.outcome import Outcome
from riskgraph.core.past import DAY_S, PastOrder
from riskgraph.core.spelling import parts
from riskgraph.stores.codec import decode_past, encode_row
from riskgraph.stores.graph import OUTBOX, OUTCOME_COLUMNS, After, outcome_of
from riskgraph.stores.insert import insert, select_in
from riskgraph.stores.log import Log, leaf_ranges
from riskgraph.stores.rows import EVENT_VERSION, KIND_CODE
from riskgraph.stores.schema import feed_name

ERASED = "subject.erased"
REQUEST, RETENTION = "erasure_request", "retention"
GROUNDS = {
    "legal_duty": "kept as a law demands (GDPR Art. 17(3)(b); PIPL Art. 47(2); E-commerce Law Art. 31)",
    "legal_claim": "kept for legal claims (GDPR Art. 17(3)(e); PIPL Art. 47(2))",
}
# Kept for its own sake: the meter bills calls, and names neither order nor person once it was made anonymous.
_OWN_WAY = ("decisions", "outbox", "meter")
_KEYS = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Extent:
    """All that belongs to a subject.

    Attributes:
        accounts: Account digests.
        keys: Order keys.
        decisions: ``(seq, decision_id, subject)``.
    """

    accounts: tuple[bytes, ...]
    keys: tuple[str, ...]
    decisions: tuple[tuple[int, str, bytes], ...]

    @property
    def subjects(self) -> tuple[bytes, ...]:
        """Under whose keys the decisions are sealed, and the accounts."""
        return tuple(dict.fromkeys([*self.accounts, *(row[2] for row in self.decisions)]))

    @property
    def decision_ids(self) -> list[str]:
        return [row[1] for row in self.decisions]


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was taken out."""

    orders: int
    decisions: int
    outcomes: int
    events: int


def extent(accounts: Sequence[bytes], keys: Sequence[str], connection: apsw.Connection) -> Extent:
    """What belongs to accounts, and to the persons behind orders; a guest's order stands for itself.

    Args:
        accounts: Digests as the door makes them.
        keys: Order keys; where such an order has an account, all of that account is meant.
        connection: Any connection to the store.
    """
    found = dict.fromkeys(keys)
    who = dict.fromkeys(accounts)
    for key in keys:
        # Also who ordered at a later attempt, or when the order itself is gone already.
        who |= dict.fromkeys(subjects_of(key, connection))
    linked = "SELECT key FROM oe JOIN orders USING(oid) WHERE kind=? AND digest=?"
    for account in who:
        for (key,) in connection.execute(linked, (KIND_CODE["account"], account)):
            found[key] = None
        # No index: an erasure is rare, and each index costs every decision a page.
        for (key,) in connection.execute("SELECT key FROM decisions WHERE subject=?", (account,)):
            found[key] = None
    query = f"SELECT seq, decision_id, subject FROM decisions WHERE key {_KEYS} ORDER BY seq"
    rows = connection.execute(query, (json.dumps(list(found)),))
    decisions = tuple([(seq, name, subject) for seq, name, subject in rows])
    return Extent(tuple(who), tuple(found), decisions)


def subjects_of(key: str, connection: apsw.Connection) -> list[bytes]:
    """The account of an order and whose decisions on it are; a guest has a subject of its own."""
    facts = connection.execute("SELECT facts FROM orders WHERE key=?", (key,)).get
    account = None if facts is None else decode_past(facts).account
    deciding = connection.execute("SELECT DISTINCT subject FROM decisions WHERE key=?", (key,))
    return list(dict.fromkeys([*([] if account is None else [account]), *(s for (s,) in deciding)]))


def erase(
    accounts: Sequence[bytes],
    keys: Sequence[str],
    at: float,
    log: Log,
    connection: apsw.Connection,
    after: After,
) -> Erased:
    """Take out all of a subject, and tell every reader of the outbox; a second time there is nothing to do.

    Readers of a shared graph are told of accounts even so: it may hold orders that came some other way.

    Raises:
        Conflict: If a hold keeps it; nothing is taken out.
    """
    whole = extent(accounts, keys, connection)
    refuse_held(whole.subjects, at, connection)
    announced = announce(
        at, connection, accounts=whole.accounts, keys=whole.keys, decisions=whole.decision_ids
    )
    erased = remove_orders(whole.keys, connection, whole.accounts)
    erased = Erased(erased.orders, len(whole.decisions), erased.outcomes, erased.events)
    remove_decisions(whole.decisions, REQUEST, at, log, connection)
    for subject in whole.subjects:
        # Two persons may have decisions on one order; the other's further ones stay readable.
        if not connection.execute("SELECT EXISTS(SELECT 1 FROM decisions WHERE subject=?)", (subject,)).get:
            connection.execute("DELETE FROM subject_keys WHERE subject=?", (subject,))
            connection.execute("DELETE FROM holds WHERE subject=?", (subject,))
    if any((erased.orders, erased.decisions, erased.outcomes, erased.events)):
        if not whole.decisions:
            # Every process that has the store open reads its history anew when the log has grown.
            _note("erased", REQUEST, at, log, connection, leaves=[])
        note_purge(at, connection)
    elif not whole.accounts or feed_name(connection) is None:
        connection.execute("DELETE FROM outbox WHERE event_id=?", (announced,))
    return erased


def announce(
    at: float,
    connection: apsw.Connection,
    *,
    accounts: Sequence[bytes] = (),
    keys: Sequence[str] = (),
    decisions: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> str:
    """Tell readers of the outbox what to erase; to be done before it is.

    Rows must still be there to be named, and numbers of events never come again: the newest must stay.

    Readers hash what they hold and compare: the notice must not hold what it asks to erase. Digests of
    accounts and ids of decisions have 128 random bits, so nobody can guess them from their hashes; an order
    is named as in :func:`order_sha256`.

    Args:
        at: Now, epoch seconds.
        connection: The writing one.
        accounts: Digests; all of their orders are meant.
        keys: Keys of orders that go with their outcomes.
        decisions: Ids of decisions that go; their orders stay unless they are named too.
        optional: Keys of orders of which the optional values go.

    Returns:
        The event's id.
    """
    payload = {
        "subject_sha256": [sha256(account).hexdigest() for account in accounts],
        "order_sha256": _orders_named(keys, connection),
        "outcome_sha256": _outcomes_named(keys, connection),
        "decision_sha256": [sha256(name.encode()).hexdigest() for name in decisions],
        "optional_sha256": _orders_named(optional, connection),
    }
    name = f"{ERASED}:{secrets.token_hex(16)}"
    insert(connection, OUTBOX, [(name, ERASED, EVENT_VERSION, at, None, None, json.dumps(payload).encode())])
    return name


def order_sha256(past: PastOrder) -> str:
    """What names an order in a notice of erasure; whoever has not the order itself cannot guess it.

    Over what never changes of it: not its device, which goes before the rest.
    """
    facts = (past.key, float(past.at), float(past.amount), past.account, past.card, past.address, past.phone)
    return sha256(encode_row(facts)).hexdigest()


def outcome_sha256(outcome: Outcome) -> str:
    """What names an outcome in a notice of erasure.

    Not over its source, which the events of earlier releases do not tell.
    """
    effective, reported = float(outcome.effective_at), float(outcome.reported_at)
    facts = outcome._replace(effective_at=effective, reported_at=reported, source=None)
    return sha256(encode_row(facts)).hexdigest()


def _orders_named(keys: Sequence[str], connection: apsw.Connection) -> list[str]:
    rows = select_in(connection, "SELECT facts FROM orders WHERE key IN", keys)
    return [order_sha256(decode_past(facts)) for (facts,) in rows]


def _outcomes_named(keys: Sequence[str], connection: apsw.Connection) -> list[str]:
    """All of them: a reader may hold an outcome of an order that it was never told of."""
    query = f"SELECT {OUTCOME_COLUMNS} FROM outcomes WHERE order_key IN"
    return [outcome_sha256(outcome_of(row)) for row in select_in(connection, query, keys)]


def note_purge(at: float, connection: apsw.Connection) -> None:
    """What was deleted in this transaction is still to be wiped; known even after a kill."""
    connection.execute("INSERT INTO purge_due VALUES(?)", (at,))


def remove_orders(keys: Sequence[str], connection: apsw.Connection, accounts: Sequence[bytes] = ()) -> Erased:
    """Delete orders with their links, spellings, outcomes and events; and events of accounts."""
    orders = [row for key in keys for row in _remove_order(key, connection)]
    _remove_spellings(orders, connection)
    named = json.dumps(list(keys))
    connection.execute(f"DELETE FROM outcomes WHERE order_key {_KEYS}", (named,))
    outcomes = connection.changes()
    connection.execute(f"DELETE FROM fraud_orders WHERE order_key {_KEYS}", (named,))
    who = json.dumps([account.hex() for account in accounts])
    of_order = "json_extract(CAST(payload AS TEXT), '$.order_key')"
    connection.execute(f"DELETE FROM outbox WHERE subject_key {_KEYS} OR {of_order} {_KEYS}", (who, named))
    return Erased(len(orders), 0, outcomes, connection.changes())


def _remove_order(key: str, connection: apsw.Connection) -> Iterable[PastOrder]:
    row = connection.execute("SELECT oid, facts FROM orders WHERE key=?", (key,)).fetchone()
    if row is None:
        return
    oid, facts = row
    past = decode_past(facts)
    for kind, digest in past.links():
        where = (KIND_CODE[kind], digest, past.at, oid)
        connection.execute("DELETE FROM oe WHERE kind=? AND digest=? AND ts=? AND oid=?", where)
    connection.execute("DELETE FROM orders WHERE oid=?", (oid,))
    yield past


def _remove_spellings(orders: Iterable[PastOrder], connection: apsw.Connection) -> None:
    """Addresses that no other order went to."""
    used = "SELECT EXISTS(SELECT 1 FROM oe WHERE kind=? AND digest=?)"
    for past in orders:
        if past.address is None or connection.execute(used, (KIND_CODE["address"], past.address)).get:
            continue
        for part in parts(past.bands) if past.bands else ():
            connection.execute("DELETE FROM spellings WHERE part=? AND address=?", (part, past.address))


def remove_decisions(
    decisions: Sequence[tuple[int, str, bytes]], ground: str, at: float, log: Log, connection: apsw.Connection
) -> None:
    """Delete decisions with all that hangs on them, and put their leaves on record as erased."""
    if not decisions:
        return
    names = json.dumps([name for _, name, _ in decisions])
    for table in tables_by_decision(connection):
        connection.execute(f"DELETE FROM {table} WHERE decision_id {_KEYS}", (names,))
    connection.execute(f"DELETE FROM outbox WHERE decision_id {_KEYS}", (names,))
    # The call stays on the bill of its day; the order behind it is gone.
    anonymous = f"UPDATE meter SET decision_id='', ts=floor(ts / ?) * ? WHERE decision_id {_KEYS}"
    connection.execute(anonymous, (DAY_S, DAY_S, names))
    seqs = [seq for seq, _, _ in decisions]
    connection.execute(f"DELETE FROM decisions WHERE seq {_KEYS}", (json.dumps(seqs),))
    _note("erased", ground, at, log, connection, leaves=leaf_ranges(seqs))


def _note(event: str, ground: str, at: float, log: Log, connection: apsw.Connection, **more: Any) -> None:
    """Put on record what was done, and of nobody by name."""
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    log.note({"event": event, "ground": ground, "at": stamp, **more}, connection)


def note_refused(
    accounts: Sequence[bytes],
    keys: Sequence[str],
    at: float,
    log: Log,
    connection: apsw.Connection,
    after: After,
) -> None:
    """Put on record that an erasure was asked for and that holds forbade it (GDPR Art. 12(4))."""
    whole = extent(accounts, keys, connection)
    for row in holds(whole.subjects, at, connection).values():
        _note("erasure_refused", row["ground"], at, log, connection)


def tables_by_decision(connection: apsw.Connection) -> list[str]:
    """Every table that hangs on decisions by their id: whoever adds one need not think of erasure."""
    query = (
        "SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c "
        "WHERE m.type='table' AND c.name='decision_id' ORDER BY m.name"
    )
    return [name for (name,) in connection.execute(query) if name not in _OWN_WAY]


def refuse_held(subjects: Sequence[bytes], at: float, connection: apsw.Connection) -> None:
    """Check that nobody has ordered to keep a subject's data.

    Raises:
        Conflict: If somebody has; it says on which ground, who and until when.
    """
    for row in holds(subjects, at, connection).values():
        until = "until it is released" if row["until"] is None else f"until {row['until']}"
        raise Conflict(
            f"these data are {GROUNDS[row['ground']]}, ordered by {row['ordered_by']}, {until}; "
            "riskgraph subject release ends that",
            code="legal_hold",
        )


def hold(
    subjects: Sequence[bytes], ground: str, by: str, at: float, until: float | None, log: Log,
    connection: apsw.Connection, after: After,
) -> int:  # fmt: skip
    """Keep subjects' data against erasure and retention; returns how many subjects."""
    if subjects:
        _note("held", ground, at, log, connection, subjects=len(subjects))
    query = "INSERT OR REPLACE INTO holds VALUES(?, ?, ?, ?, ?)"
    connection.executemany(query, [(subject, ground, by, at, until) for subject in subjects])
    return len(subjects)


def release(subjects: Sequence[bytes], at: float, log: Log, connection: apsw.Connection, after: After) -> int:
    """End holds; returns how many there were."""
    before = connection.total_changes()
    connection.executemany("DELETE FROM holds WHERE subject=?", [(subject,) for subject in subjects])
    ended = connection.total_changes() - before
    if ended:
        _note("released", "hold", at, log, connection, subjects=ended)
    return ended


def held_orders(at: float, connection: apsw.Connection) -> frozenset[str]:
    """Orders with a decision on somebody whose data a hold in force keeps, guests among them."""
    query = (
        "SELECT DISTINCT key FROM decisions WHERE subject IN "
        "(SELECT subject FROM holds WHERE until IS NULL OR until > ?)"
    )
    # Decisions have no index by subject: they are read through only where there is a hold at all.
    there = connection.execute("SELECT EXISTS(SELECT 1 FROM holds)").get
    return frozenset(key for (key,) in connection.execute(query, (at,))) if there else frozenset()


def holds(
    subjects: Sequence[bytes], at: float, connection: apsw.Connection
) -> Mapping[bytes, dict[str, Any]]:
    """Holds of subjects that are in force."""
    query = (
        "SELECT ground, ordered_by, since, until FROM holds WHERE subject=? AND (until IS NULL OR until > ?)"
    )
    found = {}
    for subject in subjects:
        for ground, by, since, until in connection.execute(query, (subject, at)):
            times = [
                None if t is None else datetime.fromtimestamp(t, UTC).isoformat() for t in (since, until)
            ]
            found[subject] = {"ground": ground, "ordered_by": by, "since": times[0], "until": times[1]}
    return found


def purge(connection: apsw.Connection) -> None:
    """Wipe what was deleted: a new file of what is there, and an empty write-ahead log.

    SQLite's secure_delete would not do: when it rearranges a page, copies of rows stay in its gaps.

    Raises:
        StorageUnavailable: If a reader kept the write-ahead log from being emptied; it is still due then.
    """
    connection.execute("VACUUM")
    # The first column is 1 where somebody was in the way.
    if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0]:
        raise StorageUnavailable(
            "the rows are erased, but a reader holds the write-ahead log, where their bytes may remain; "
            "they are wiped at the next start, or by riskgraph retention run"
        )
    connection.execute("DELETE FROM purge_due")
