"""Objections, cases of human review and their history; all writing runs in the writing thread.

``reviews`` holds each case as it is now, ``review_events`` all that ever happened in it: rows are added
there and never changed. The shopper's words lie in ``contests`` alone and nothing but a reviewer's call
reads them. :func:`forget` is for erasure and for the end of retention.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import apsw
import msgspec

from riskgraph.core.errors import Conflict, NotFound
from riskgraph.core.review import CLOSED, SYSTEM, Case, contested
from riskgraph.stores.codec import decode_past
from riskgraph.stores.graph import OUTBOX, After
from riskgraph.stores.insert import insert
from riskgraph.stores.rows import review_event

TABLES = """
CREATE TABLE reviews(decision_id TEXT PRIMARY KEY, merchant_id TEXT NOT NULL, state TEXT NOT NULL,
    due_at REAL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX reviews_open ON reviews(due_at) WHERE state <> 'closed';
CREATE TABLE review_events(seq INTEGER PRIMARY KEY, decision_id TEXT NOT NULL, round INTEGER NOT NULL,
    at REAL NOT NULL, kind TEXT NOT NULL, actor TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX review_events_of ON review_events(decision_id);
CREATE TABLE contests(contest_id TEXT PRIMARY KEY, decision_id TEXT NOT NULL, round INTEGER NOT NULL,
    wish TEXT NOT NULL, text TEXT NOT NULL, lang TEXT NOT NULL, via TEXT NOT NULL, received_at REAL NOT NULL,
    due_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX contests_of ON contests(decision_id);
"""
CASES = "reviews(decision_id, merchant_id, state, due_at, body)"
EVENTS = "review_events(decision_id, round, at, kind, actor, body)"
EVENT_COLUMNS = ("seq", "round", "at", "kind", "actor", "body")
CONTEST_COLUMNS = ("contest_id", "round", "wish", "text", "lang", "via", "received_at", "due_at")
# So many in one round are no longer objections; whoever has more to say reaches the merchant otherwise.
MAX_CONTESTS = 10
SUBJECT = "subject"
T = TypeVar("T")
Work = Callable[[apsw.Connection], T]
Written = Callable[[apsw.Connection, After], T]
_decoder = msgspec.json.Decoder(Case)


@dataclass(frozen=True, slots=True)
class Contest:
    """An objection as it came in; ``text`` is for the reviewer alone."""

    wish: str
    text: str
    lang: str
    via: str
    received_at: float
    due_at: float


@dataclass(frozen=True, slots=True)
class Filed:
    """An objection on record. ``new`` is false for one that was there in the same words."""

    contest_id: str
    due_at: float
    received_at: float
    new: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What somebody does in a case, with what the history keeps of it."""

    kind: str
    actor: str
    at: float
    change: Callable[[Case], Case]
    body: dict[str, Any]


def file_contest(opening: Case, contest: Contest, connection: apsw.Connection, after: After) -> Filed:
    """Keep an objection and open its case, or another round of it; the same words twice are one objection.

    Args:
        opening: The case as it begins if there is none yet.
        contest: What came in.
        connection: The writing one.
        after: Unused; every piece of the writer's work has it.

    Raises:
        Conflict: If ten objections of this round wait for an answer already.
        NotFound: If the decision was erased meanwhile; nothing is kept.
    """
    _must_be_there(opening.decision_id, connection)
    known = case_of(opening.decision_id, connection)
    rows = [] if known is None or known.state == CLOSED else _contests(known, connection)
    for row in rows:
        if (row["wish"], row["text"]) == (contest.wish, contest.text):
            return Filed(row["contest_id"], row["due_at"], row["received_at"], new=False)
    if len(rows) >= MAX_CONTESTS:
        raise Conflict(f"{MAX_CONTESTS} objections to this decision wait for an answer already")
    case = contested(opening if known is None else known, contest.received_at, contest.due_at)
    filed = Filed(secrets.token_hex(16), case.due_at or contest.due_at, contest.received_at, new=True)
    values = (filed.contest_id, case.decision_id, case.round, contest.wish, contest.text, contest.lang)
    insert(
        connection,
        "contests(contest_id, decision_id, round, wish, text, lang, via, received_at, due_at)",
        [(*values, contest.via, contest.received_at, filed.due_at)],
    )
    _save(case, connection)
    told = {"contest_id": filed.contest_id, "wish": contest.wish, "via": contest.via}
    _note(case, "contested", SUBJECT, contest.received_at, told, connection)
    return filed


def take_step(opening: Case, step: Step, connection: apsw.Connection, after: After) -> Case:
    """Do a step in a case, which a reviewer may open by it; a closed case goes out as ``review.closed``.

    Raises:
        Conflict: If the case does not allow it now; nothing is written.
        Invalid: If the step contradicts itself.
        NotFound: If the decision was erased meanwhile.
    """
    _must_be_there(opening.decision_id, connection)
    known = case_of(opening.decision_id, connection)
    before = opening if known is None else known
    case = step.change(before)
    if case == before and step.kind != "noted":
        return case
    _save(case, connection)
    stands = {"verdict": case.stands.verdict, "action": case.stands.action} if case.state == CLOSED else {}
    _note(case, step.kind, step.actor, step.at, step.body | stands, connection)
    if case.state == CLOSED:
        facts = connection.execute("SELECT facts FROM orders WHERE key=?", (case.order_key,)).get
        past = None if facts is None else decode_past(facts)
        insert(connection, OUTBOX, [review_event(case, past)])
    return case


def _must_be_there(decision_id: str, connection: apsw.Connection) -> None:
    """Whatever hangs on a decision goes with it, so nothing may be added after it is erased."""
    query = "SELECT EXISTS(SELECT 1 FROM decisions WHERE decision_id=?)"
    if not connection.execute(query, (decision_id,)).get:
        raise NotFound(f"no decision {decision_id[:64]}", field="decision_id")


def open_held(cases: Sequence[Case], connection: apsw.Connection) -> None:
    """Open cases of decisions that hold an order, within the transaction of these."""
    insert(connection, CASES, [_row(case) for case in cases])
    insert(connection, EVENTS, [_event(case, "opened", SYSTEM, case.opened_at, {}) for case in cases])


def _row(case: Case) -> tuple[Any, ...]:
    return case.decision_id, case.merchant_id, case.state, case.due_at, msgspec.json.encode(case)


def _save(case: Case, connection: apsw.Connection) -> None:
    tail = "ON CONFLICT DO UPDATE SET state=excluded.state, due_at=excluded.due_at, body=excluded.body"
    insert(connection, CASES, [_row(case)], tail)


def _event(case: Case, kind: str, actor: str, at: float, body: dict[str, Any]) -> tuple[Any, ...]:
    return case.decision_id, case.round, at, kind, actor, msgspec.json.encode(body)


def _note(
    case: Case, kind: str, actor: str, at: float, body: dict[str, Any], connection: apsw.Connection
) -> None:
    insert(connection, EVENTS, [_event(case, kind, actor, at, body)])


def case_of(decision_id: str, connection: apsw.Connection) -> Case | None:
    """The case of a decision as it is now."""
    body = connection.execute("SELECT body FROM reviews WHERE decision_id=?", (decision_id,)).get
    return None if body is None else _decoder.decode(body)


def queue(
    states: Sequence[str], merchant_id: str | None, limit: int, connection: apsw.Connection
) -> list[Case]:
    """Cases in these states, of one merchant or of all, what is due first before the rest."""
    where = f"state IN ({','.join('?' * len(states))})"
    args: list[Any] = list(states)
    if CLOSED not in states:
        where += " AND state <> 'closed'"
    if merchant_id is not None:
        where += " AND merchant_id=?"
        args.append(merchant_id)
    query = f"SELECT body FROM reviews WHERE {where} ORDER BY due_at IS NULL, due_at, decision_id LIMIT ?"
    return [_decoder.decode(body) for (body,) in connection.execute(query, (*args, limit))]


def counts(merchant_id: str | None, now: float, connection: apsw.Connection) -> dict[str, int]:
    """How many cases are not closed, and how many of them are overdue."""
    where, args = ("", ()) if merchant_id is None else (" AND merchant_id=?", (merchant_id,))
    query = f"SELECT count(*), coalesce(sum(due_at < ?), 0) FROM reviews WHERE state <> 'closed'{where}"
    pending, late = next(connection.execute(query, (now, *args)))
    return {"pending": pending, "overdue": late}


def history(decision_id: str, connection: apsw.Connection) -> list[dict[str, Any]]:
    """All that happened in a case, oldest first, in one consistent reading."""
    query = f"SELECT {', '.join(EVENT_COLUMNS)} FROM review_events WHERE decision_id=? ORDER BY seq"
    rows = [dict(zip(EVENT_COLUMNS, row, strict=True)) for row in connection.execute(query, (decision_id,))]
    return [{**row, "body": msgspec.json.decode(row["body"])} for row in rows]


def contests(decision_id: str, connection: apsw.Connection) -> list[dict[str, Any]]:
    """All objections to a decision with their words, oldest first: for reviewers and access requests."""
    query = (
        f"SELECT {', '.join(CONTEST_COLUMNS)} FROM contests WHERE decision_id=? "
        "ORDER BY received_at, contest_id"
    )
    return [dict(zip(CONTEST_COLUMNS, row, strict=True)) for row in connection.execute(query, (decision_id,))]


def _contests(case: Case, connection: apsw.Connection) -> list[dict[str, Any]]:
    return [row for row in contests(case.decision_id, connection) if row["round"] == case.round]


def forget(decision_ids: Sequence[str], connection: apsw.Connection, after: After) -> int:
    """Delete all that is kept of the reviews of these decisions; returns how many had one."""
    gone = 0
    for name in decision_ids:
        for table in ("contests", "review_events", "reviews"):
            connection.execute(f"DELETE FROM {table} WHERE decision_id=?", (name,))
        gone += connection.changes()
    return gone


class ReviewBook:
    """Objections and reviews of one store.

    Args:
        read: Works on a reading connection.
        write: Works in the writer's next transaction, and returns when that is committed.
    """

    def __init__(self, read: Callable[[Work[Any]], Any], write: Callable[[Written[Any]], Any]) -> None:
        self._read, self._write = read, write

    def file(self, opening: Case, contest: Contest) -> Filed:
        """See :func:`file_contest`."""
        filed: Filed = self._write(partial(file_contest, opening, contest))
        return filed

    def step(self, opening: Case, step: Step) -> Case:
        """See :func:`take_step`."""
        case: Case = self._write(partial(take_step, opening, step))
        return case

    def case(self, decision_id: str) -> Case | None:
        """See :func:`case_of`."""
        case: Case | None = self._read(partial(case_of, decision_id))
        return case

    def queue(self, states: Sequence[str], merchant_id: str | None, limit: int) -> list[Case]:
        """See :func:`queue`."""
        cases: list[Case] = self._read(partial(queue, states, merchant_id, limit))
        return cases

    def counts(self, merchant_id: str | None, now: float) -> dict[str, int]:
        """See :func:`counts`."""
        found: dict[str, int] = self._read(partial(counts, merchant_id, now))
        return found

    def history(self, decision_id: str) -> list[dict[str, Any]]:
        """See :func:`history`."""
        rows: list[dict[str, Any]] = self._read(partial(history, decision_id))
        return rows

    def contests(self, decision_id: str) -> list[dict[str, Any]]:
        """See :func:`contests`."""
        rows: list[dict[str, Any]] = self._read(partial(contests, decision_id))
        return rows

    def forget(self, decision_ids: Sequence[str]) -> int:
        """See :func:`forget`."""
        gone: int = self._write(partial(forget, tuple(decision_ids)))
        return gone
