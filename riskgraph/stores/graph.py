"""Writing orders, their entities and their outcomes; runs in the writing thread only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import apsw

from riskgraph.core.errors import Conflict
from riskgraph.core.history import LONGEST_S, MONTH_S, REASON, IndexedHistory
from riskgraph.core.outcome import FRAUD_KINDS, Outcome
from riskgraph.core.past import PastOrder, merchant_of
from riskgraph.core.spelling import parts
from riskgraph.stores.codec import decode_past, encode_bands, encode_past
from riskgraph.stores.insert import insert, insert_new
from riskgraph.stores.rows import KIND_CODE, OrderRows, outcome_event

After = list[Callable[[], None]]
ORDERS = "orders(key, ts, facts, vec)"
WRITTEN = "key, oid, EXISTS(SELECT 1 FROM outcomes WHERE order_key = orders.key)"
OUTBOX = "outbox(event_id, type, v, at, decision_id, subject_key, payload)"
_KEEP_FIRST = "ON CONFLICT DO UPDATE SET first=min(first, excluded.first)"
OUTCOME_COLUMNS = "order_key, outcome_id, kind, effective_at, reported_at, reason, source, reverses, merchant"


def write_orders(
    connection: apsw.Connection, rows: Sequence[OrderRows], indexes: IndexedHistory, after: After
) -> list[OrderRows]:
    """Insert the orders that are not there yet: a further attempt or phase adds nothing.

    Returns:
        Those that were inserted.
    """
    values = [(r.past.key, r.past.at, r.facts, r.vec) for r in rows]
    written = {key: rest for key, *rest in insert_new(connection, ORDERS, values, WRITTEN)}
    inserted: list[OrderRows] = []
    links: list[tuple[int, bytes, float, int]] = []
    for row in rows:
        past = row.past
        oid, early = written.pop(past.key, (None, 0))
        if oid is None:
            continue
        if early:
            _attach_early(connection, past)
        inserted.append(row)
        links += [(KIND_CODE[kind], digest, past.at, oid) for kind, digest in past.links()]
    if not inserted:
        return []
    new = [row.past for row in inserted]
    insert(connection, "oe(kind, digest, ts, oid)", links)
    _note_spellings(connection, new)
    _note_merchants(connection, new, indexes)
    after.append(partial(_index, indexes, new))
    return inserted


def _note_spellings(connection: apsw.Connection, new: Sequence[PastOrder]) -> None:
    """Rows of addresses that are new; most orders go where an earlier one went and write nothing."""
    spelled = {past.address: past.bands for past in reversed(new) if past.address and past.bands}
    rows = [
        (part, address, encode_bands(bands)) for address, bands in spelled.items() for part in parts(bands)
    ]
    insert(connection, "spellings(part, address, bands)", rows, "ON CONFLICT DO NOTHING")


def _attach_early(connection: apsw.Connection, past: PastOrder) -> None:
    """Outcomes may be reported before their order is filed (``late``); what is on record stands."""
    outcomes = {o.outcome_id: o for o in past.outcomes}
    query = f"SELECT {OUTCOME_COLUMNS} FROM outcomes WHERE order_key=?"
    outcomes |= {o.outcome_id: o for o in map(outcome_of, connection.execute(query, (past.key,)))}
    past.outcomes = list(outcomes.values())
    _write_facts(connection, past)


def _write_facts(connection: apsw.Connection, past: PastOrder) -> None:
    connection.execute("UPDATE orders SET facts=? WHERE key=?", (encode_past(past), past.key))


def outcome_of(row: tuple[object, ...]) -> Outcome:
    """An outcome from its columns, as ``OUTCOME_COLUMNS`` names them."""
    order_key, outcome_id, *rest = row[:8]
    return Outcome(outcome_id, order_key, *rest)  # type: ignore[arg-type]


def _note_merchants(connection: apsw.Connection, new: Sequence[PastOrder], indexes: IndexedHistory) -> None:
    firsts: dict[str, float] = {}
    for past in new:
        firsts[past.merchant] = min(past.at, firsts.get(past.merchant, past.at))
    for merchant, at in firsts.items():
        known = indexes.activity.first(merchant)
        if known is None or at < known:
            connection.execute(
                "INSERT INTO merchants VALUES(?, ?) " + _KEEP_FIRST,
                (merchant, at),
            )


def _index(indexes: IndexedHistory, new: Sequence[PastOrder]) -> None:
    for past in new:
        indexes.note(past)
        if past.outcomes:
            indexes.frauds.add(past)


def write_outcomes(
    outcomes: Sequence[Outcome], indexes: IndexedHistory, connection: apsw.Connection, after: After
) -> int:
    """Insert outcomes, each once an order and id, with their outbox rows; return how many were new."""
    written = 0
    for outcome in outcomes:
        row = (outcome.order_key, outcome.outcome_id, outcome.kind, outcome.effective_at, outcome.reported_at)
        connection.execute(
            f"INSERT OR IGNORE INTO outcomes({OUTCOME_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?)",
            (*row, outcome.reason, outcome.source, outcome.reverses, merchant_of(outcome.order_key)),
        )
        if not connection.changes():
            _check_resent(connection, outcome)
            continue
        written += 1
        past = _attach(connection, outcome)
        insert(connection, OUTBOX, [outcome_event(outcome, past)])
        note_report(connection, outcome, indexes)
        after.append(partial(_learn, indexes, outcome, past))
    return written


def _check_resent(connection: apsw.Connection, outcome: Outcome) -> None:
    query = f"SELECT {OUTCOME_COLUMNS} FROM outcomes WHERE order_key=? AND outcome_id=?"
    (kept,) = connection.execute(query, (outcome.order_key, outcome.outcome_id))
    if outcome_of(kept) != outcome:
        raise Conflict(
            f"outcome {outcome.outcome_id!r:.80} is on record with other facts: send a new outcome_id, with "
            "reverses if it takes the earlier one back",
            field="outcome_id",
        )


def _attach(connection: apsw.Connection, outcome: Outcome) -> PastOrder | None:
    """Put the outcome beside the facts of its order, where one read finds both."""
    found = connection.execute("SELECT facts FROM orders WHERE key=?", (outcome.order_key,)).get
    if outcome.kind in FRAUD_KINDS:
        connection.execute("INSERT OR IGNORE INTO fraud_orders VALUES(?)", (outcome.order_key,))
    if found is None:
        return None
    past = decode_past(found)
    past.outcomes.append(outcome)
    _write_facts(connection, past)
    return past


def note_report(connection: apsw.Connection, outcome: Outcome, indexes: IndexedHistory) -> None:
    merchant, at = merchant_of(outcome.order_key), outcome.reported_at
    for kind in (outcome.kind, *([REASON] if outcome.reason else [])):
        if not indexes.reports.reported(merchant, kind, at):
            connection.execute(
                "INSERT INTO reports VALUES(?, ?, ?) " + _KEEP_FIRST,
                (merchant, kind, at),
            )


def _learn(indexes: IndexedHistory, outcome: Outcome, past: PastOrder | None) -> None:
    indexes.reports.add(outcome)
    if past is not None:
        indexes.frauds.add(past)


def load_indexes(connection: apsw.Connection, keep_s: float) -> IndexedHistory:
    """The in-memory part of the history, rebuilt from the file at start.

    Args:
        connection: Any connection to the store.
        keep_s: How far behind the newest order windows may still end, in seconds.
    """
    indexes = IndexedHistory(keep_s)
    newest = connection.execute("SELECT coalesce(max(ts), 0) FROM orders").get
    recent = "SELECT facts FROM orders WHERE ts >= ? ORDER BY ts, oid"
    for (facts,) in connection.execute(recent, (newest - keep_s - LONGEST_S,)):
        past = decode_past(facts)
        if past.at < newest - keep_s - MONTH_S:
            indexes.doors.add(past)
        else:
            indexes.note(past)
    for merchant, at in connection.execute("SELECT merchant, first FROM merchants"):
        indexes.activity.set_first(merchant, at)
    for merchant, kind, at in connection.execute("SELECT merchant, kind, first FROM reports"):
        indexes.reports.set_first(merchant, kind, at)
    bad = "SELECT facts FROM fraud_orders JOIN orders ON orders.key = fraud_orders.order_key"
    for (facts,) in connection.execute(bad):
        indexes.frauds.add(decode_past(facts))
    return indexes
