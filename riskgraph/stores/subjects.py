"""What is held about one subject: found, given out, kept on an order to keep, and taken out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import apsw

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Conflict
from riskgraph.core.past import FACTS
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.stores import erasure
from riskgraph.stores.codec import decode_past, decode_record
from riskgraph.stores.erasure import Extent
from riskgraph.stores.graph import OUTCOME_COLUMNS, After
from riskgraph.stores.reads import SEALED_SELECT, StoredDecision, opened
from riskgraph.stores.sealing import Vault
from riskgraph.stores.writer import Writer

T = TypeVar("T")
Read = Callable[[Callable[[apsw.Connection], Any]], Any]
_IN = "IN (SELECT value FROM json_each(?))"
_EVENTS = "seq, event_id, type, at, decision_id, subject_key, payload"


@dataclass(frozen=True, slots=True)
class Held:
    """Everything that the store holds about a subject; digests as hex, times in epoch seconds.

    Attributes:
        accounts: Account digests.
        holds: Orders to keep these data, by subject.
        orders: Facts that later contexts read, and the values of the nodes.
        outcomes: What became of the orders.
        decisions: As committed, with their records.
        events: Rows of the outbox.
        calls: Rows of the meter.
        others: Rows of every table that hangs on decisions, by table.
    """

    accounts: list[str]
    holds: dict[str, dict[str, Any]]
    orders: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]
    decisions: list[StoredDecision]
    events: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    others: dict[str, list[dict[str, Any]]]


class SubjectBook:
    """The store from the side of those whose data it holds.

    Args:
        read: Works on a reading connection.
        writer: The store's.
        vault: Opens what is sealed.
        reload: Reads the indexes in memory anew.
    """

    def __init__(
        self, read: Read, writer: Writer, vault: Vault, reload: Callable[[apsw.Connection], None]
    ) -> None:
        self._read, self._writer, self._vault, self._reload = read, writer, vault, reload

    def extent(self, accounts: Sequence[bytes], keys: Sequence[str]) -> Extent:
        """See :func:`riskgraph.stores.erasure.extent`."""
        found: Extent = self._read(partial(erasure.extent, accounts, keys))
        return found

    def held(self, accounts: Sequence[bytes], keys: Sequence[str], at: float) -> Held:
        """Everything about a subject (GDPR Art. 15, 20; PIPL Art. 45)."""
        found: Held = self._read(partial(_held, accounts, keys, at, self._vault))
        return found

    def refuse_held(self, accounts: Sequence[bytes], keys: Sequence[str], at: float) -> None:
        """Check that no hold forbids an erasure; one that does has it on record.

        Raises:
            Conflict: If a hold keeps the data.
        """

        def check(connection: apsw.Connection) -> None:
            erasure.refuse_held(erasure.extent(accounts, keys, connection).subjects, at, connection)

        try:
            self._read(check)
        except Conflict:
            self._note_refused(accounts, keys, at)
            raise

    def _note_refused(self, accounts: Sequence[bytes], keys: Sequence[str], at: float) -> None:
        self._writer.call(partial(erasure.note_refused, accounts, keys, at, self._writer.log)).result()

    def erase(
        self, accounts: Sequence[bytes], keys: Sequence[str], at: float, *, wipe: bool = True
    ) -> dict[str, Any]:
        """Take a subject out of the store, and out of the memory of this process.

        Args:
            accounts: Digests as the door makes them.
            keys: Order keys.
            at: Now, epoch seconds.
            wipe: Also rewrite the file at once; else its free pages hold bytes of the subject until
                :meth:`wipe` or the next start.

        Returns:
            How much was taken out, and whether the file is wiped.

        Raises:
            Conflict: If a hold keeps it.
            StorageUnavailable: If nothing was committed, or all was and the file could not be wiped yet.
        """

        def work(connection: apsw.Connection, after: After) -> erasure.Erased:
            erased = erasure.erase(accounts, keys, at, self._writer.log, connection, after)
            after.append(lambda: self._reload(connection))
            return erased

        try:
            erased = self._writer.call(work).result()
        except Conflict:
            self._note_refused(accounts, keys, at)
            raise
        if wipe:
            self.wipe()
        return {**asdict(erased), "wiped": wipe}

    def wipe(self) -> None:
        """See :func:`riskgraph.stores.erasure.purge`; nothing is done where nothing is due."""
        due = "SELECT count(*) FROM purge_due"
        if self._read(lambda connection: connection.execute(due).get):
            self._writer.alone(erasure.purge).result()

    def hold(
        self,
        accounts: Sequence[bytes],
        keys: Sequence[str],
        ground: str,
        by: str,
        at: float,
        until: float | None,
    ) -> int:
        """Keep a subject's data; returns how many subjects that are."""
        subjects = self.extent(accounts, keys).subjects
        return self._writer.call(
            partial(erasure.hold, subjects, ground, by, at, until, self._writer.log)
        ).result()

    def release(self, accounts: Sequence[bytes], keys: Sequence[str], at: float) -> int:
        """End holds; returns how many there were."""
        subjects = self.extent(accounts, keys).subjects
        return self._writer.call(partial(erasure.release, subjects, at, self._writer.log)).result()


def _held(
    accounts: Sequence[bytes], keys: Sequence[str], at: float, vault: Vault, connection: apsw.Connection
) -> Held:
    whole = erasure.extent(accounts, keys, connection)
    named, names = json.dumps(list(whole.keys)), json.dumps(whole.decision_ids)
    who = json.dumps([account.hex() for account in whole.accounts])
    events = (
        f"SELECT {_EVENTS} FROM outbox WHERE decision_id {_IN} OR subject_key {_IN} "
        f"OR json_extract(CAST(payload AS TEXT), '$.order_key') {_IN} ORDER BY seq"
    )
    return Held(
        accounts=[account.hex() for account in whole.accounts],
        holds={
            subject.hex(): told for subject, told in erasure.holds(whole.subjects, at, connection).items()
        },
        orders=list(
            map(_order, connection.execute(f"SELECT facts, vec FROM orders WHERE key {_IN}", (named,)))
        ),
        outcomes=_rows(f"SELECT {OUTCOME_COLUMNS} FROM outcomes WHERE order_key {_IN}", (named,), connection),
        decisions=_decisions(names, vault, connection),
        events=_rows(events, (names, who, named), connection),
        calls=_rows(f"SELECT * FROM meter WHERE decision_id {_IN}", (names,), connection),
        others={
            table: _rows(f"SELECT * FROM {table} WHERE decision_id {_IN}", (names,), connection)
            for table in erasure.tables_by_decision(connection)
        },
    )


def _decisions(names: str, vault: Vault, connection: apsw.Connection) -> list[StoredDecision]:
    rows = connection.execute(f"{SEALED_SELECT} WHERE decision_id {_IN} ORDER BY seq", (names,))
    pairs = [opened(row, vault) for row in rows.fetchall()]
    return [
        StoredDecision(**named, answer=found.answer, report=decode_record(found.record))
        for named, found in pairs
    ]


def _order(row: tuple[bytes, bytes]) -> dict[str, Any]:
    past, graph = decode_past(row[0]), OrderSubgraph.unpack(row[1])
    facts = {name: plain(getattr(past, name)) for name in FACTS if name != "outcomes"}
    return {**facts, "nodes": node_values(graph)}


def node_values(graph: OrderSubgraph) -> dict[str, Any]:
    """Values of the nodes that are present, by id."""
    return {n.id: plain(graph.value(n.id)) for n in catalog() if graph.state(n.id) is State.PRESENT}


def _rows(query: str, args: tuple[Any, ...], connection: apsw.Connection) -> list[dict[str, Any]]:
    cursor = connection.cursor()
    cursor.row_trace = _by_name
    return list(cursor.execute(query, args))


def _by_name(cursor: apsw.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: plain(value) for column, value in zip(cursor.get_description(), row, strict=True)}


def plain(value: Any) -> Any:
    """A value as JSON has it: JSON in bytes is read, other bytes are hex."""
    if isinstance(value, bytes):
        try:
            return json.loads(value)
        except ValueError:
            return value.hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
