"""What has been kept for as long as the merchant states, found and taken out.

GDPR Art. 5(1)(e); PIPL Art. 19. Three classes have periods of their own, by the order's jurisdiction:
``report`` (the sealed record with the answer and all that hangs on the decision, counted from its issue),
``contract_record`` (the order in the history with its outcomes, from when it was placed) and ``optional``
(values that needed consent, and the device, in the history). The record of a decision keeps the values that
it was made from for its own period: they are what it documents (PIPL Art. 56). Held data stay, and decisions
of which a review is open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import apsw

from riskgraph.core.catalog import catalog
from riskgraph.core.past import DAY_S
from riskgraph.core.review import CLOSED
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.stores import erasure
from riskgraph.stores.codec import decode_past, decode_record, encode_past
from riskgraph.stores.graph import After
from riskgraph.stores.insert import select_in
from riskgraph.stores.log import Log
from riskgraph.stores.reads import SEALED_SELECT, opened
from riskgraph.stores.rows import KIND_CODE
from riskgraph.stores.sealing import Vault
from riskgraph.stores.subjects import Read, SubjectBook
from riskgraph.stores.writer import Writer

CLASSES = ("report", "contract_record", "optional")
BATCH = 500
_OPTIONAL = tuple(node.id for node in catalog() if node.retention_class == "optional")
# ``periods[class][jurisdiction]``: days.
Periods = Mapping[str, Mapping[str, int]]
_Decision = tuple[int, str, bytes]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Due:
    """What has reached the end of its period.

    Attributes:
        reports: ``(seq, decision_id, subject)``.
        orders: Order keys.
        optional: Keys of orders that still have optional values in the history.
        held: Decisions and orders that stay since somebody ordered to keep them.
        in_review: Decisions that stay since a person still reviews them.
        counts: Of what is due, by class and jurisdiction; ``unknown`` where nothing tells it any more.
    """

    reports: list[_Decision] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    optional: list[str] = field(default_factory=list)
    held: int = 0
    in_review: int = 0
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class _Search:
    """One reading of the store."""

    def __init__(self, periods: Periods, at: float, vault: Vault, connection: apsw.Connection) -> None:
        self.periods, self.at, self.vault, self.connection = periods, at, vault, connection
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in CLASSES}
        self.jurisdictions: dict[str, str] = {}
        self.held = self.in_review = 0

    def over(self, name: str, jurisdiction: str | None, since: float) -> bool:
        """Whether the last day of a period, as reports state it, is over; the longest if nothing tells."""
        periods = self.periods[name]
        days = max(periods.values()) if jurisdiction is None else periods.get(jurisdiction, periods["other"])
        last = datetime.fromtimestamp(since, UTC).date() + timedelta(days=days)
        over = datetime.fromtimestamp(self.at, UTC).date() > last
        if over:
            self.counts[name][jurisdiction or "unknown"] += 1
        return over

    def before(self, *names: str) -> float:
        """Nothing that is younger can be due; an order may be dated a day ahead of its issue."""
        return self.at - DAY_S * (min(min(self.periods[name].values()) for name in names) - 1)

    def is_held(self, subject: bytes | None) -> bool:
        return subject is not None and bool(erasure.holds([subject], self.at, self.connection))

    def reports(self) -> Iterator[_Decision]:
        """Also learns the jurisdiction of each old order."""
        waiting = "SELECT decision_id FROM reviews WHERE state <> ?"
        in_review = {name for (name,) in self.connection.execute(waiting, (CLOSED,))}
        query = SEALED_SELECT.replace("SELECT ", "SELECT seq, ", 1) + " WHERE ts < ? ORDER BY seq"
        for seq, *row in self.connection.execute(query, (self.before(*CLASSES),)):
            named, found = opened(tuple(row), self.vault)
            record, subject = decode_record(found.record), row[-3]
            jurisdiction = self.jurisdictions[named["order_key"]] = str(record.order["jurisdiction"])
            issued = datetime.fromisoformat(record.issued_at).timestamp()
            if not self.over("report", jurisdiction, issued):
                continue
            if self.is_held(subject):
                self.held += 1
            elif named["decision_id"] in in_review:
                self.in_review += 1
            else:
                yield seq, named["decision_id"], subject

    def history(self) -> tuple[list[str], list[str]]:
        """Keys of orders that are due, and of those whose optional values are."""
        orders: list[str] = []
        optional: list[str] = []
        held = erasure.held_orders(self.at, self.connection)
        query = "SELECT key, ts, facts, vec FROM orders WHERE ts < ? ORDER BY ts"
        for key, at, facts, vec in self.connection.execute(
            query, (self.before("contract_record", "optional"),)
        ):
            jurisdiction, past = self.jurisdictions.get(key), decode_past(facts)
            if self.over("contract_record", jurisdiction, at):
                chosen = orders
            elif (past.device or _strippable(vec)) and self.over("optional", jurisdiction, at):
                chosen = optional
            else:
                continue
            if key in held or self.is_held(past.account):
                self.held += 1
            else:
                chosen.append(key)
        return orders, optional


def find_due(periods: Periods, at: float, vault: Vault, connection: apsw.Connection) -> Due:
    """What is due at ``at``, epoch seconds; every record that may be is opened to learn its jurisdiction.

    Raises:
        StorageUnavailable: If a record does not open.
    """
    with connection:
        search = _Search(periods, at, vault, connection)
        reports = list(search.reports())
        orders, optional = search.history()
    counts = {name: dict(found) for name, found in search.counts.items()}
    return Due(reports, orders, optional, search.held, search.in_review, counts)


class RetentionBook:
    """The store from the side of what it has kept for long enough.

    Args:
        read: Works on a reading connection.
        writer: The store's.
        vault: Opens what is sealed.
        reload: Reads the indexes in memory anew.
        subjects: Wipes the file.
    """

    def __init__(
        self,
        read: Read,
        writer: Writer,
        vault: Vault,
        reload: Callable[[apsw.Connection], None],
        subjects: SubjectBook,
    ) -> None:
        self._read, self._writer, self._vault = read, writer, vault
        self._reload, self._subjects = reload, subjects

    def due(self, periods: Periods, at: float) -> Due:
        """See :func:`find_due`."""
        found: Due = self._read(partial(find_due, periods, at, self._vault))
        return found

    def remove(self, due: Due, at: float) -> dict[str, int]:
        """Take out what is due, in steps between which decisions are committed, then wipe the file.

        A process that dies in between leaves whole steps done; the next run does the others.

        Returns:
            How many were taken out, by class; fewer where a hold came in between.

        Raises:
            StorageUnavailable: If a step was not committed, or the file could not be wiped yet.
        """
        log = self._writer.log
        removed = {
            "report": self._each(due.reports, partial(_remove_reports, at, log)),
            "contract_record": self._each(due.orders, partial(_remove_orders, at, log)),
            "optional": self._each(due.optional, partial(_strip, at, log)),
        }
        self._writer.call(partial(self._forget, at)).result()
        self._subjects.wipe()
        return removed

    def _forget(self, at: float, connection: apsw.Connection, after: After) -> None:
        """Keys under which nothing is left go too, and what hangs on decisions that are gone."""
        before = connection.total_changes()
        connection.execute("DELETE FROM subject_keys WHERE subject NOT IN (SELECT subject FROM decisions)")
        for table in erasure.tables_by_decision(connection):
            gone = "decision_id NOT IN (SELECT decision_id FROM decisions)"
            connection.execute(f"DELETE FROM {table} WHERE {gone}")
        if connection.total_changes() > before:
            erasure.note_purge(at, connection)
        after.append(lambda: self._reload(connection))

    def _each(self, rows: Sequence[T], step: Callable[[Sequence[T], apsw.Connection], int]) -> int:
        done = 0
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]

            def work(connection: apsw.Connection, after: After, part: Sequence[T] = part) -> int:
                return step(part, connection)

            done += self._writer.call(work).result()
        return done


def _remove_reports(at: float, log: Log, reports: Sequence[_Decision], connection: apsw.Connection) -> int:
    free = [row for row in reports if not erasure.holds([row[2]], at, connection)]
    if free:
        erasure.announce(at, connection, decisions=[name for _, name, _ in free])
        erasure.remove_decisions(free, erasure.RETENTION, at, log, connection)
        erasure.note_purge(at, connection)
    return len(free)


def _remove_orders(at: float, log: Log, keys: Sequence[str], connection: apsw.Connection) -> int:
    held = erasure.held_orders(at, connection)
    free = [key for key in keys if not _is_held(key, held, at, connection)]
    if free:
        # First: a number of an event must never come again, so the newest must not be among those deleted.
        erasure.announce(at, connection, keys=free)
        erasure.remove_orders(free, connection)
        _note(log, "orders", len(free), at, connection)
    return len(free)


def _strip(at: float, log: Log, keys: Sequence[str], connection: apsw.Connection) -> int:
    held = erasure.held_orders(at, connection)
    free = [key for key in keys if not _is_held(key, held, at, connection)]
    rows = list(select_in(connection, "SELECT oid, facts, vec FROM orders WHERE key IN", free))
    for oid, facts, vec in rows:
        past = decode_past(facts)
        where = (KIND_CODE["device"], past.device, past.at, oid)
        connection.execute("DELETE FROM oe WHERE kind=? AND digest=? AND ts=? AND oid=?", where)
        past.device = None
        bare = OrderSubgraph.unpack(vec)
        for node in _strippable(vec):
            bare = bare.without(node)
        values = (encode_past(past), bare.pack(), oid)
        connection.execute("UPDATE orders SET facts=?, vec=? WHERE oid=?", values)
    if rows:
        erasure.announce(at, connection, optional=free)
        _note(log, "optional", len(rows), at, connection)
    return len(rows)


def _note(log: Log, what: str, count: int, at: float, connection: apsw.Connection) -> None:
    """On record, and so every process that has the store open reads its history anew."""
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    log.note({"event": erasure.RETENTION, "class": what, "count": count, "at": stamp}, connection)
    erasure.note_purge(at, connection)


def _is_held(key: str, held: Collection[str], at: float, connection: apsw.Connection) -> bool:
    facts = connection.execute("SELECT facts FROM orders WHERE key=?", (key,)).get
    account = None if facts is None else decode_past(facts).account
    mine = [] if account is None else [account]
    return key in held or bool(erasure.holds(mine, at, connection))


def _strippable(vec: bytes) -> list[str]:
    graph = OrderSubgraph.unpack(vec)
    return [node for node in _OPTIONAL if graph.state(node).word == "present"]
