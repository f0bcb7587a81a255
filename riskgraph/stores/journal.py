"""The journal as the feed reads it, and the name under which the graph keeps how far it came.

A file that was put back from a backup, or copied and used in two places, has other events under numbers that
the graph has seen. So its place in the graph says which event and which log it belongs to; a journal that
does not go on from there takes a name of its own and is fed from its beginning, which repeats nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, TypedDict

import apsw
import msgspec

from riskgraph.core.merkle import frontier
from riskgraph.core.past import PastOrder
from riskgraph.stores.codec import decode_past
from riskgraph.stores.graph import After
from riskgraph.stores.insert import select_in
from riskgraph.stores.log import StoredTiles
from riskgraph.stores.schema import feed_name
from riskgraph.stores.subjects import Read
from riskgraph.stores.writer import Writer

_TABLE = "CREATE TABLE IF NOT EXISTS feeds(one INTEGER PRIMARY KEY CHECK(one = 1), name TEXT NOT NULL)"
_EVENTS = (
    "SELECT seq, event_id, type, v, at, decision_id, subject_key, payload FROM outbox "
    "WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
)
_LAST = "SELECT coalesce(max(seq), 0) FROM outbox"
_EVENT_ID = "SELECT event_id FROM outbox WHERE seq=?"
_LEAVES = "SELECT coalesce(max(leaf) + 1, 0) FROM log"


class Event(TypedDict):
    """A row of the outbox with its payload decoded (contracts, section 6)."""

    seq: int
    event_id: str
    type: str
    v: int
    at: float
    decision_id: str | None
    subject_key: str | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Anchor:
    """To which journal a place belongs: the event there, hashed, and the log as it was then."""

    event: str
    leaves: int
    root: str


class Journal:
    """What a feed needs of an embedded store; for any thread.

    Args:
        read: Works on a reading connection.
        writer: The store's.
    """

    def __init__(self, read: Read, writer: Writer) -> None:
        self._read, self._writer = read, writer

    def name(self) -> str:
        """The journal's name; a random one is made and kept in the file if it has none."""
        return self._writer.call(partial(_take_name, None)).result()

    def known_name(self) -> str | None:
        """The journal's name if it has one; none is made."""
        found: str | None = self._read(feed_name)
        return found

    def rename(self, old: str) -> str:
        """Another name in the place of ``old``, or the one that another process has taken meanwhile."""
        return self._writer.call(partial(_take_name, old)).result()

    def events(self, after: int, until: int, limit: int) -> list[Event]:
        """Events with ``after < seq <= until``, oldest first."""
        return list(self._read(partial(_events, after, until, limit)))

    def last(self) -> int:
        """The newest event's number."""
        return int(self._read(lambda connection: connection.execute(_LAST).get))

    def orders(self, keys: Sequence[str]) -> dict[str, tuple[PastOrder, bytes]]:
        """Facts and packed subgraph by key; what was taken out is not there."""
        found: dict[str, tuple[PastOrder, bytes]] = self._read(partial(_orders, keys))
        return found

    def anchor(self, seq: int) -> Anchor:
        """What the place ``seq`` belongs to."""
        found: Anchor = self._read(partial(_anchor, seq))
        return found

    def goes_on(self, seq: int, anchor: Anchor) -> bool:
        """Whether this journal is the one that a place belongs to; events that were erased say nothing."""
        return bool(self._read(partial(_goes_on, seq, anchor)))


def _take_name(old: str | None, connection: apsw.Connection, after: After) -> str:
    connection.execute(_TABLE)
    known = feed_name(connection)
    if known is not None and known != old:
        return known
    made = secrets.token_hex(8)
    connection.execute("INSERT OR REPLACE INTO feeds VALUES(1, ?)", (made,))
    return made


def _events(after: int, until: int, limit: int, connection: apsw.Connection) -> list[Event]:
    return [
        Event(seq=seq, event_id=name, type=kind, v=version, at=at, decision_id=decision, subject_key=subject,
              payload=msgspec.json.decode(payload))
        for seq, name, kind, version, at, decision, subject, payload
        in connection.execute(_EVENTS, (after, until, limit))
    ]  # fmt: skip


def _orders(keys: Sequence[str], connection: apsw.Connection) -> Mapping[str, tuple[PastOrder, bytes]]:
    rows = select_in(connection, "SELECT key, facts, vec FROM orders WHERE key IN", list(dict.fromkeys(keys)))
    return {key: (decode_past(facts), vec) for key, facts, vec in rows}


def _anchor(seq: int, connection: apsw.Connection) -> Anchor:
    name = connection.execute(_EVENT_ID, (seq,)).get
    leaves = connection.execute(_LEAVES).get
    return Anchor(_hashed(name), leaves, _root(leaves, connection))


def _goes_on(seq: int, anchor: Anchor, connection: apsw.Connection) -> bool:
    if connection.execute(_LAST).get < seq or connection.execute(_LEAVES).get < anchor.leaves:
        return False
    here = _hashed(connection.execute(_EVENT_ID, (seq,)).get)
    same = not here or not anchor.event or here == anchor.event
    return same and _root(anchor.leaves, connection) == anchor.root


def _hashed(name: str | None) -> str:
    return "" if name is None else sha256(name.encode()).hexdigest()


def _root(leaves: int, connection: apsw.Connection) -> str:
    return frontier(leaves, StoredTiles(connection)).root.hex()
