"""The sandbox's audit log: signed JSON lines, each bound to the one before by its hash.

A record's ``hash`` is the SHA-256 of its canonical JSON (RFC 8785) without ``hash`` and ``sig``; its
``prev_hash`` is the hash of the record before it in the installation's log. The copy inside a release is
the very line of the log and so keeps its place in the chain.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import CheckFailed

try:
    from fcntl import LOCK_EX, flock
except ImportError:  # not on every system; where it is missing, let one process write at a time
    flock = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from riskgraph.ports import Signer, Verifier

SCHEMA = "riskgraph.sandbox.audit/2"
AUDIT = "audit.jsonl"
EVENTS = ("release", "refusal", "read", "attack", "cost", "proposal", "erase")
FIRST = "0" * 64  # prev_hash of the first record
Record = dict[str, Any]


def empty_record() -> Record:
    """A record in which nothing is known yet: null wherever nothing was measured.

    ``not_measured`` may give the reason by the name of the field.
    """
    uid = os.getuid() if hasattr(os, "getuid") else None
    return {
        "schema": SCHEMA,
        "ts": None,
        "event": None,
        "actor": {"service": "sandbox", "uid": uid, "code_commit": None},
        "purpose": "training of fraud models",
        "legal_basis": {"gdpr": None, "pipl": None, "other": None, "further_rules": None},
        "consent_policy_version": None,
        "input": None,
        "fields": None,
        "algorithm": None,
        "output": None,
        "k_check": None,
        "diversity": None,
        "dominance": None,
        "loss": None,
        "utility": None,
        "risk": None,
        "composition": None,
        "mapping_destroyed_at": None,
        "raw_ttl": None,
        "verdict": None,
        "refused_reasons": [],
        "approvals": None,
        "consumers": [],
        "not_measured": {},
    }


def sealed_line(record: Mapping[str, Any], signer: Signer, seq: int = 0, prev_hash: str = FIRST) -> bytes:
    """One line of a log: the record with its place in the chain, its hash and a signature."""
    body = {**record, "seq": seq, "prev_hash": prev_hash, "key_id": signer.key_id}
    body["hash"] = hashlib.sha256(canonical_json(body)).hexdigest()
    signature = base64.b64encode(signer.sign(canonical_json(body))).decode()
    return canonical_json({**body, "sig": signature}) + b"\n"


@contextmanager
def next_entry(path: Path, record: Mapping[str, Any], signer: Signer) -> Iterator[bytes]:
    """The record's line as it will stand in the log; it is appended when the block ends without an error.

    The log is locked meanwhile, so that no other record can take its place in the chain.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as log:
        if flock is not None:
            # Held until the file is closed: two writers must not take the same number.
            flock(log, LOCK_EX)
        seq, prev_hash, torn = _end_of(log, path.name)
        line = sealed_line(record, signer, seq, prev_hash)
        yield line
        log.write(b"\n" + line if torn else line)
        log.flush()
        os.fsync(log.fileno())


def append_audit(path: Path, record: Mapping[str, Any], signer: Signer) -> Record:
    """Append one signed record to a log, chained to the record before; returns it as written.

    The record is on the disk when this returns. A kill in between can leave the line torn: the next
    record then begins a new one, and the torn line keeps its number, so that it shows.

    Raises:
        CheckFailed: If the log was begun by a version without a chain.
    """
    with next_entry(path, record, signer) as line:
        pass
    written: Record = json.loads(line)
    return written


def check_chained(path: Path | None) -> None:
    """See before any work that a log, if there is one, can be continued.

    Raises:
        CheckFailed: If it was begun by a version without a chain.
    """
    if path is not None and path.exists():
        with path.open("rb") as log:
            _end_of(log, path.name)


def _end_of(log: IO[bytes], name: str) -> tuple[int, str, bool]:
    """Number and ``prev_hash`` of the next record, and whether the last line lacks its end."""
    log.seek(0)
    lines = log.read().split(b"\n")
    torn = lines[-1] != b""
    seq = len(lines) - 1 + torn
    for line in reversed(lines):
        try:
            record = json.loads(line)
        except ValueError:
            continue  # torn; the chain goes on from the last record that is whole
        return seq, _hash_of(record, name), torn
    return seq, FIRST, torn


def _has_hash(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("hash"), str)


def _hash_of(record: Any, name: str) -> str:
    if not _has_hash(record):
        raise CheckFailed(
            f"{name}: a record without a hash. The log was begun by an earlier version, whose records form "
            "no chain: move the file aside and keep it; the next record then begins a new log",
            field=name,
        )
    return str(record["hash"])


def read_log(path: Path, verifier: Verifier) -> tuple[list[Record], list[int]]:
    """All whole records of a log, and the numbers of lines that a kill cut off while they were written.

    Raises:
        CheckFailed: If a record is missing, changed, out of order or not signed by this key; the line
            is named. If a line was whole when the next record was written, and is not now.
    """
    *lines, rest = path.read_bytes().split(b"\n")
    records: list[Record] = []
    torn = [len(lines) + 1] if rest else []
    prev_hash, before = FIRST, 0
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
        except ValueError:
            torn.append(number + 1)
            continue
        where = f"{path.name} line {number + 1}"
        _check_line(where, line, record, verifier, path.name)
        if record["seq"] != number:
            raise CheckFailed(f"{where}: a record is missing or out of order", field=path.name)
        if record["prev_hash"] != prev_hash:
            follows = "was whole when it was written" if number > before else "is not the record it follows"
            raise CheckFailed(
                f"{where}: the chain is broken, a record is missing or out of order; "
                f"line {max(1, min(number, before + 1))} {follows}",
                field=path.name,
            )
        prev_hash, before = record["hash"], number + 1
        records.append(record)
    return records, sorted(torn)


def verify_audit(path: Path, verifier: Verifier, expect: str | None = None) -> list[Record]:
    """Read a log and check its chain, its signatures and that it is whole.

    Args:
        path: The log.
        verifier: Checks the signatures.
        expect: Hash of a record that was there once; a shortened log lacks it.

    Raises:
        CheckFailed: As of :func:`read_log`; if ``expect`` is not in the log; if lines are cut off, then
            every other line has been found to hold.
    """
    records, torn = read_log(path, verifier)
    if expect is not None and all(record["hash"] != expect for record in records):
        raise CheckFailed(
            f"{path.name} holds no record with the hash {expect:.80}: it was shortened or replaced since",
            field=path.name,
        )
    if torn:
        raise CheckFailed(
            f"{path.name} line {', '.join(map(str, torn))}: cut off, by a kill while it was written or by "
            "hand; every other line holds",
            field=path.name,
        )
    return records


def verify_copy(path: Path, verifier: Verifier) -> Record:
    """The one record that a release carries, checked; its place in the chain is that of the log.

    Raises:
        CheckFailed: If it is not one whole record, or its hash or signature does not hold.
    """
    line, end, rest = path.read_bytes().partition(b"\n")
    try:
        record = json.loads(line)
    except ValueError as error:
        raise CheckFailed(f"{path.name} cannot be read", field=path.name) from error
    if not end or rest:
        raise CheckFailed(f"{path.name} is not one record", field=path.name)
    if not _has_hash(record):
        raise CheckFailed(
            f"{path.name} holds a record without a hash: the release was made by an earlier version; make "
            "it anew",
            field=path.name,
        )
    _check_line(path.name, line, record, verifier, path.name)
    checked: Record = record
    return checked


def check_logged(log: Path, copy: Path) -> None:
    """Check that the record of a release is in the log of the installation that made it.

    Raises:
        CheckFailed: If it is not: the log was shortened or replaced since.
    """
    line = copy.read_bytes().rstrip(b"\n")
    if not log.exists() or line not in log.read_bytes().split(b"\n"):
        raise CheckFailed(
            f"{log} does not hold the record of this release: the log was shortened or replaced since, or "
            "the release was made by this key in another home",
            field=log.name,
        )


def _check_line(where: str, line: bytes, record: Any, verifier: Verifier, field: str) -> None:
    """Check form, hash and signature of one line."""
    if not isinstance(record, dict):
        raise CheckFailed(f"{where} cannot be read", field=field)
    _hash_of(record, where)
    try:
        signed = {name: value for name, value in record.items() if name != "sig"}
        hashed = {name: value for name, value in signed.items() if name != "hash"}
        signature = base64.b64decode(record["sig"], validate=True)
        digest = hashlib.sha256(canonical_json(hashed)).hexdigest()
        whole = canonical_json(record)
        body = canonical_json(signed)
        placed = isinstance(record["seq"], int) and isinstance(record["prev_hash"], str)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise CheckFailed(f"{where} cannot be read", field=field) from error
    if whole != line or not placed or not verifier.verify(body, signature):
        raise CheckFailed(f"{where}: the signature does not hold", field=field)
    if digest != record["hash"]:
        raise CheckFailed(f"{where}: the hash does not hold", field=field)
