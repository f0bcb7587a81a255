"""Checking the log against everything that it stands for: leaves, tree, signature, sealed reports, erasures.

Whoever holds the wrapping key and the right to write the file can change a report only where its leaf, its
tree and the signed head change with it, and the head needs the signing key.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import CheckFailed, Invalid, StorageUnavailable
from riskgraph.core.merkle import EMPTY_ROOT, HASH_BYTES, Frontier, leaf_hash
from riskgraph.core.report import DecisionReport
from riskgraph.core.tree_head import TreeHead
from riskgraph.ports import LogSigner, Verifier
from riskgraph.stores.codec import decode_record
from riskgraph.stores.log import erased_ranges, parse_head
from riskgraph.stores.schema import SCHEMA_VERSION, connect, storage_errors
from riskgraph.stores.sealing import Secrets, Vault

MAX_PROBLEMS = 100
# As bytes: what was altered may be no text any more.
_TEXTS = ("decision_id", "key", "trace_id", "idempotency_key", "body_sha256", "merchant_id")
_COLUMNS = ", ".join(
    [*(f"CAST({name} AS BLOB)" for name in _TEXTS), "ts", "CAST(verdict AS BLOB)", "subject"]
)
_OTHERS = (6, 8)
_LEAVES = (
    f"SELECT leaf, hash, body, seq, {_COLUMNS}, sealed, wrapped FROM log "
    "LEFT JOIN log_records USING(leaf) LEFT JOIN decisions ON seq = leaf "
    "LEFT JOIN subject_keys USING(subject) ORDER BY leaf"
)
_STRAY = (
    "SELECT seq, CAST(decision_id AS BLOB), 'decision is not in the log' FROM decisions "
    "WHERE seq NOT IN (SELECT leaf FROM log) "
    "UNION ALL SELECT leaf, NULL, 'record is not in the log' FROM log_records "
    "WHERE leaf NOT IN (SELECT leaf FROM log) ORDER BY 1 LIMIT 100"
)
# Committed with each decision, and made anonymous or deleted with it: else it was taken away beside the log.
_LEFT_BEHIND = (
    "SELECT CAST(decision_id AS BLOB), 'it was billed, but there is no decision' FROM meter "
    "WHERE decision_id <> '' AND decision_id NOT IN (SELECT decision_id FROM decisions) "
    "UNION ALL SELECT CAST(decision_id AS BLOB), 'it was announced, but there is no decision' FROM outbox "
    "WHERE type='decision.recorded' AND decision_id NOT IN (SELECT decision_id FROM decisions) LIMIT 100"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not hold. ``seq`` is the leaf; None where it is the whole log."""

    seq: int | None
    decision_id: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of the log found.

    Attributes:
        head: The newest signed head; None for a log without a leaf, or where it cannot be read.
        decisions: Leaves whose report is there and fits.
        erased: Leaves whose report was erased on record.
        records: Leaves that say what was erased.
        problems: What does not hold, in the order of leaves, at most 100; empty when all is well.
    """

    head: TreeHead | None
    decisions: int
    erased: int
    records: int
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        problems = [{"seq": p.seq, "decision_id": p.decision_id, "problem": p.problem} for p in self.problems]
        return {
            "holds": not problems,
            "decisions": self.decisions,
            "erased": self.erased,
            "records": self.records,
            "tree_head": None if self.head is None else self.head.to_json(),
            "first": problems[0] if problems else None,
            "problems": problems,
        }


class _Check:
    """One walk over all leaves."""

    def __init__(self, secrets: Secrets, kept: TreeHead | None, connection: apsw.Connection) -> None:
        self.connection = connection
        self.verifier: LogSigner = secrets.signer
        self.vault, self.kept = Vault(secrets.wrapping_key), kept
        self.problems: list[Problem] = []
        self.edge, self.decisions, self.gone, self.records = Frontier(), 0, 0, 0
        self.tiles: dict[tuple[int, int], bytes] = {
            (level, tile): hashed
            for level, tile, hashed in connection.execute("SELECT level, tile, hash FROM log_tiles")
        }
        self.starts, self.ends = _all_erased(connection)

    def note(self, seq: int | None, problem: str, decision_id: str | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(seq, decision_id, problem))

    def leaves(self) -> None:
        for leaf, hashed, body, *decision in self.connection.execute(_LEAVES):
            if leaf != self.edge.size:
                self.note(self.edge.size, "the leaf is missing, and all that follow are out of place")
                return
            if not isinstance(hashed, bytes) or len(hashed) != HASH_BYTES:
                self.note(leaf, "the leaf is no hash")
                return
            self.leaf(leaf, hashed, body, decision)
            for level, tile, made in self.edge.append(hashed):
                if self.tiles.pop((level, tile), None) != made:
                    self.note(leaf, f"tile {level}.{tile} of the log does not follow from its leaves")
            if self.kept is not None and self.edge.size == self.kept.size:
                self.earlier(self.kept)
        for level, tile in sorted(self.tiles):
            self.note(None, f"tile {level}.{tile} of the log has no leaves")

    def leaf(self, leaf: int, hashed: bytes, body: Any, decision: Sequence[Any]) -> None:
        seq, *columns, sealed, wrapped = decision
        row = [_text(value) if i not in _OTHERS else value for i, value in enumerate(columns)]
        erased = self.is_erased(leaf)
        if body is not None:
            self.records += 1
            if seq is not None:
                self.note(leaf, "both a decision and a record of erasure are here", row[0])
            if not isinstance(body, bytes) or leaf_hash(body) != hashed:
                self.note(leaf, "the record of an erasure was altered")
        elif seq is None:
            self.gone += erased
            if not erased:
                self.note(leaf, "the decision is missing, and no record says that it was erased")
        elif erased:
            self.note(leaf, "the decision is named as erased and still there", row[0])
        else:
            problem = self.decision(hashed, row, sealed, wrapped)
            self.decisions += problem is None
            if problem is not None:
                self.note(leaf, problem, row[0])

    def decision(self, hashed: bytes, row: list[Any], sealed: Any, wrapped: Any) -> str | None:
        try:
            found = self.vault.open(sealed, row, row[-1], wrapped)
        except (CheckFailed, TypeError) as wrong:
            return getattr(wrong, "message", "a column has another type")
        if leaf_hash(found.nonce + found.record) != hashed:
            return "the report does not fit its leaf"
        try:
            report, answer = decode_record(found.record), json.loads(found.answer)
        except ValueError:
            return "the report or the answer cannot be read"
        return _contradiction(row, report, answer)

    def is_erased(self, leaf: int) -> bool:
        at = bisect_right(self.starts, leaf) - 1
        return at >= 0 and leaf <= self.ends[at]

    def earlier(self, kept: TreeHead) -> None:
        if self.edge.root != kept.root:
            self.note(None, f"the log does not go on from the kept tree head of {kept.size} leaves")

    def head(self) -> TreeHead | None:
        for seq, decision_id, problem in self.connection.execute(_STRAY):
            self.note(seq, problem, None if decision_id is None else _text(decision_id))
        for decision_id, problem in self.connection.execute(_LEFT_BEHIND):
            self.note(None, problem, _text(decision_id))
        body: Any = self.connection.execute("SELECT body FROM tree_head").get
        if body is None:
            if self.edge.size:
                self.note(None, "the signed tree head is missing")
            if self.kept is not None and self.kept.size:
                self.note(None, f"the log is empty, and a kept tree head has {self.kept.size} leaves")
            return None
        try:
            head = parse_head(body)
        except (Invalid, TypeError):
            self.note(None, "the signed tree head cannot be read")
            return None
        if canonical_json(head.to_json()) != body:
            self.note(None, "the signed tree head was altered")
        elif not self.verifier.verify(head.signed, head.signature):
            self.note(None, f"the tree head is not signed by a key of this installation ({head.key_id})")
        elif not self.verifier.signs_now(head.signed, head.signature):
            self.note(None, f"the tree head was signed with key {head.key_id} after that was retired")
        elif (head.size, head.root) != (self.edge.size, self.edge.root):
            self.note(None, f"the leaves are not those of the signed tree head of {head.size} leaves")
        if self.kept is not None:
            _check_kept(self.kept, head, self.verifier, self)
        return head


def _check_kept(kept: TreeHead, head: TreeHead, verifier: Verifier, check: _Check) -> None:
    if not verifier.verify(kept.signed, kept.signature):
        check.note(None, "the kept tree head is not signed by a key of this installation")
    if kept.size > head.size:
        check.note(
            None, f"the log was shortened: a kept tree head has {kept.size} leaves, this one {head.size}"
        )
    elif kept.size == 0 and kept.root != EMPTY_ROOT:
        check.note(None, "the kept tree head of an empty log has another root")


def _text(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _contradiction(row: Sequence[Any], report: DecisionReport, answer: Any) -> str | None:
    """Where row, report and answer do not say the same; each alone is authenticated with the others."""
    decision_id, _, trace_id, _, _, merchant, _, verdict, _ = row
    score, told = report.score, report.order
    of_report = (report.decision_id, told.get("trace_id", trace_id), told.get("merchant_id", merchant))
    if of_report != (decision_id, trace_id, merchant) or score.get("verdict", verdict) != verdict:
        return "the row and its report are of different decisions"
    if not isinstance(answer, dict) or (answer.get("decision_id"), answer.get("verdict")) != (
        decision_id,
        verdict,
    ):
        return "the stored answer is of another decision"
    return None


def _all_erased(connection: apsw.Connection) -> tuple[list[int], list[int]]:
    """First and last leaves of what is on record as erased, in order and merged."""
    ranges = sorted(
        r for (body,) in connection.execute("SELECT body FROM log_records") for r in erased_ranges(body)
    )
    starts: list[int] = []
    ends: list[int] = []
    for first, last in ranges:
        if ends and first <= ends[-1]:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return starts, ends


def verify_file(path: Path, secrets: Secrets, kept: TreeHead | None = None) -> Verified:
    """Check a store that need not be in order; it is read only.

    Raises:
        StorageUnavailable: If the file cannot be read as a store of this release.
    """
    if not path.exists():
        raise StorageUnavailable(f"there is no store at {path}")
    with storage_errors(f"cannot read {path}"):
        connection = connect(path, write=False)
        try:
            if connection.pragma("user_version") != SCHEMA_VERSION:
                raise StorageUnavailable(
                    f"{path} is no store of this release; open it with riskgraph serve first"
                )
            return verify(secrets, connection, kept)
        finally:
            connection.close()


def verify(secrets: Secrets, connection: apsw.Connection, kept: TreeHead | None = None) -> Verified:
    """Check the whole log.

    Args:
        secrets: The installation's; public keys of its earlier signers count.
        connection: Any connection to the store; one snapshot is read.
        kept: A tree head that somebody kept: the log must go on from it.
    """
    with connection:
        check = _Check(secrets, kept, connection)
        check.leaves()
        head = check.head()
    return Verified(head, check.decisions, check.gone, check.records, tuple(check.problems))
