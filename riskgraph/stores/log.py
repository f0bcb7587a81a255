"""The log of decisions: one leaf each, one each for what was erased, and the newest signed tree head.

A leaf of a decision is SHA-256(0x00 || nonce || report record). The nonce has 256 random bits and lies sealed
with the record: once both are gone, the leaf tells nothing (EDPB Guidelines 02/2025 on commitments). What
was erased is itself on record: a decision that is missing and not named there was taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import apsw

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Invalid, StorageUnavailable
from riskgraph.core.merkle import EMPTY_ROOT, Frontier, frontier, inclusion_proof, leaf_hash
from riskgraph.core.tree_head import TreeHead
from riskgraph.ports import LogSigner
from riskgraph.stores.insert import insert

RECORD = "riskgraph.log/1"
TABLES = """
CREATE TABLE log(leaf INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE log_tiles(level INTEGER, tile INTEGER, hash BLOB NOT NULL,
    PRIMARY KEY(level, tile)) WITHOUT ROWID;
CREATE TABLE log_records(leaf INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE tree_head(one INTEGER PRIMARY KEY CHECK(one = 1), body BLOB NOT NULL);
"""
_HEAD = "SELECT body FROM tree_head"
_SAVE_HEAD = "INSERT INTO tree_head VALUES(1, ?) ON CONFLICT DO UPDATE SET body=excluded.body"
_LEAVES = "SELECT hash FROM log WHERE leaf >= ? AND leaf < ? ORDER BY leaf"
_TILES = "SELECT hash FROM log_tiles WHERE level=? AND tile >= ? AND tile < ? ORDER BY tile"


class StoredTiles:
    """Tiles of the log on one connection, see :data:`riskgraph.core.merkle.Tiles`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __call__(self, level: int, start: int, end: int) -> Sequence[bytes]:
        asked = (_TILES, (level, start, end)) if level else (_LEAVES, (start, end))
        hashes = [row[0] for row in self._connection.execute(*asked)]
        if len(hashes) != end - start:
            raise StorageUnavailable("the log lacks leaves or tiles; riskgraph audit verify names the first")
        return hashes


def stored_head(connection: apsw.Connection) -> TreeHead | None:
    """The newest tree head; None for a log without a leaf."""
    body = connection.execute(_HEAD).get
    return None if body is None else parse_head(body)


def parse_head(body: bytes) -> TreeHead:
    """A tree head from its JSON.

    Raises:
        Invalid: If it is none.
    """
    try:
        return TreeHead.of(json.loads(body))
    except (ValueError, RecursionError) as wrong:
        raise Invalid("this is no tree head: no JSON", field="tree_head") from wrong


class Log:
    """The writing end of the log; of the writing thread alone, within its transactions.

    Args:
        signer: Signs tree heads.
    """

    def __init__(self, signer: LogSigner) -> None:
        self._signer = signer
        self._edge = Frontier()
        self._head: bytes | None = None
        self._signed = 0
        # Size and root that this process knows to be committed: a log only grows.
        self._committed = (0, EMPTY_ROOT)

    def refresh(self, connection: apsw.Connection) -> bool:
        """Take over what another process has appended; true if there was anything.

        Raises:
            StorageUnavailable: If the edge of the tree does not fit the signed head, or does not go on from
                what this process has committed or seen: nothing is signed over that. Leaves behind full
                tiles are not read again: whether they were altered is for ``verify``.
        """
        body = connection.execute(_HEAD).get
        if body == self._head:
            if self._edge.size != self._signed:
                # Leaves of a transaction that was rolled back.
                self._load(body, connection)
            return False
        self._load(body, connection)
        return True

    def _load(self, body: bytes | None, connection: apsw.Connection) -> None:
        size = connection.execute("SELECT coalesce(max(leaf) + 1, 0) FROM log").get
        edge = frontier(size, StoredTiles(connection))
        if body is not None or size:
            _check_head(body, edge, self._signer)
        held, root = self._committed
        if size < held or frontier(held, StoredTiles(connection)).root != root:
            raise StorageUnavailable(
                f"the log was put back: it does not go on from the {held} leaves that this process has seen; "
                "restart it if the store was restored on purpose, else see riskgraph audit verify"
            )
        self._edge, self._head, self._signed = edge, body, size
        self.committed()

    def committed(self) -> None:
        """What was signed last is in the file now: the log never goes behind it again."""
        self._committed = (self._signed, self._edge.root)

    @property
    def size(self) -> int:
        return self._edge.size

    def mark(self) -> Frontier:
        """The edge as it is now, for :meth:`back_to`."""
        return self._edge.copy()

    def back_to(self, mark: Frontier) -> None:
        """Forget leaves whose savepoint was rolled back."""
        self._edge = mark

    def append(self, hashes: Sequence[bytes], connection: apsw.Connection) -> None:
        """Add leaves."""
        start = self._edge.size
        tiles = [tile for hashed in hashes for tile in self._edge.append(hashed)]
        insert(connection, "log(leaf, hash)", list(enumerate(hashes, start)))
        insert(connection, "log_tiles(level, tile, hash)", tiles)

    def note(self, event: Mapping[str, Any], connection: apsw.Connection) -> None:
        """Put what happened to leaves on record, as a leaf of its own."""
        body = canonical_json({"schema": RECORD, **event})
        connection.execute("INSERT INTO log_records VALUES(?, ?)", (self._edge.size, body))
        self.append([leaf_hash(body)], connection)

    @property
    def head(self) -> TreeHead | None:
        """The newest signed head; None for a log without a leaf."""
        return None if self._head is None else parse_head(self._head)

    def sign(self, connection: apsw.Connection) -> None:
        """Sign what this transaction has appended; the last thing before its commit."""
        if self._edge.size != self._signed:
            self.sign_anew(connection)

    def sign_anew(self, connection: apsw.Connection) -> None:
        """Sign the log as it is, with the key that signs now."""
        body = canonical_json(self._signed_head().to_json())
        connection.execute(_SAVE_HEAD, (body,))
        # If the commit fails, the file still has the head before: refresh sees that it is another.
        self._head, self._signed = body, self._edge.size

    def _signed_head(self) -> TreeHead:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        while True:
            head = TreeHead(self._edge.size, self._edge.root, at, self._signer.key_id)
            head = replace(head, signature=self._signer.sign(head.signed))
            # The keys may have been rotated between the two.
            if self._signer.key_id == head.key_id:
                return head


def _check_head(body: bytes | None, edge: Frontier, signer: LogSigner) -> None:
    try:
        head = None if body is None else parse_head(body)
    except Invalid:
        head = None
    if head is None or (head.size, head.root) != (edge.size, edge.root):
        raise StorageUnavailable(
            "the log does not fit its signed tree head, so it was altered or damaged; "
            "riskgraph audit verify names the first bad record"
        )
    if signer.signs_now(head.signed, head.signature):
        return
    if signer.verify(head.signed, head.signature):
        raise StorageUnavailable(
            f"the log was signed with key {head.key_id} after that was retired: whoever still has the key "
            "may have written another log; restore the store, and see riskgraph audit verify"
        )
    raise StorageUnavailable(
        f"the log was signed with key {head.key_id}, which is not known here: restore report.key, "
        "or put that public key into the folder retired of the secrets"
    )


def leaf_ranges(leaves: Iterable[int]) -> list[list[int]]:
    """Leaves as ``[first, last]`` of each run."""
    ordered = sorted(set(leaves))
    runs = [[v for _, v in run] for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    return [[run[0], run[-1]] for run in runs]


def place_of(leaf: int, decision_id: str, hashed: str, connection: apsw.Connection) -> str:
    """Whether a leaf is the one of a decision: ``on_record``, ``erased``, ``missing`` or ``elsewhere``.

    ``missing`` is a decision that is gone and that no record names as erased.

    Args:
        leaf: Its number.
        decision_id: The decision that is said to be there.
        hashed: The hash that is said to be there, in hex; empty where nobody told one.
        connection: Any connection to the store.
    """
    query = (
        "SELECT CAST(hash AS BLOB), decision_id, body IS NOT NULL, "
        "EXISTS(SELECT 1 FROM decisions WHERE decision_id=?2) "
        "FROM log LEFT JOIN decisions ON seq = leaf LEFT JOIN log_records USING(leaf) WHERE leaf=?1"
    )
    row = connection.execute(query, (leaf, decision_id)).fetchone()
    if row is None or (hashed and hashed != row[0].hex()):
        return "elsewhere"
    _, there, is_record, elsewhere = row
    if there is None:
        if is_record or elsewhere:
            return "elsewhere"
        return "erased" if _is_erased(leaf, connection) else "missing"
    return "on_record" if there == decision_id else "elsewhere"


def _is_erased(leaf: int, connection: apsw.Connection) -> bool:
    # What was erased is told behind it. As bytes: what was altered may be no blob any more, nor then a leaf.
    told = "SELECT CAST(hash AS BLOB), CAST(body AS BLOB) FROM log_records JOIN log USING(leaf)"
    query = f"{told} WHERE leaf > ? ORDER BY leaf"
    return any(
        leaf_hash(body) == hashed and any(first <= leaf <= last for first, last in erased_ranges(body))
        for hashed, body in connection.execute(query, (leaf,))
    )


def erased_ranges(body: Any) -> list[tuple[int, int]]:
    """First and last leaves that a record names as erased; none of what is no such record."""
    try:
        told: Mapping[str, Any] = json.loads(body)
        if told["schema"] == RECORD and told["event"] == "erased":
            return [(int(first), int(last)) for first, last in told["leaves"]]
    except (ValueError, KeyError, TypeError):
        pass
    return []


def proof_of(leaf: int, connection: apsw.Connection) -> dict[str, Any] | None:
    """The leaf's hash, its inclusion proof and the signed head it leads to; None where there is no leaf."""
    head = stored_head(connection)
    if head is None or not 0 <= leaf < head.size:
        return None
    hashed = connection.execute("SELECT hash FROM log WHERE leaf=?", (leaf,)).get
    path = inclusion_proof(leaf, head.size, StoredTiles(connection))
    return {
        "leaf_index": leaf,
        "leaf_hash": hashed.hex(),
        "inclusion_proof": [node.hex() for node in path],
        "tree_head": head.to_json(),
    }
