"""The sandbox's audit log: signed JSON lines, one per release or refusal."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import CheckFailed

try:
    from fcntl import LOCK_EX, flock
except ImportError:  # not on every system; where it is missing, let one process write at a time
    flock = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from riskgraph.ports import Signer, Verifier

SCHEMA = "riskgraph.sandbox.audit/1"
AUDIT = "audit.jsonl"


def empty_record() -> dict[str, Any]:
    """A record in which nothing is known yet: null wherever this version does not measure."""
    return {
        "schema": SCHEMA,
        "seq": None,
        "ts": None,
        "event": None,
        "actor": {"service": "sandbox", "uid": None, "code_commit": None},
        "purpose": "training of fraud models",
        "legal_basis": {"gdpr": None, "pipl": None},
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
        "approvals": [],
        "consumers": [],
    }


def signed_line(record: Mapping[str, Any], signer: Signer) -> bytes:
    """One line of the log: the record with ``key_id`` and a signature over its canonical JSON."""
    body = {**record, "key_id": signer.key_id}
    signature = base64.b64encode(signer.sign(canonical_json(body))).decode()
    return canonical_json({**body, "sig": signature}) + b"\n"


def append_audit(path: Path, record: Mapping[str, Any], signer: Signer) -> None:
    """Append one signed record to a log, numbered after the lines that are there.

    The record is on the disk when this returns. A kill in between can leave the line torn: the next
    record then begins a new one, and the torn line keeps its number, so that it shows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as log:
        if flock is not None:
            # Held until the file is closed: two writers must not take the same number.
            flock(log, LOCK_EX)
        log.seek(0)
        lines = log.read().split(b"\n")
        torn = lines.pop() != b""
        line = signed_line({**record, "seq": len(lines) + torn}, signer)
        log.write(b"\n" + line if torn else line)
        log.flush()
        os.fsync(log.fileno())


def verify_audit(path: Path, verifier: Verifier) -> list[dict[str, Any]]:
    """Read a log.

    Raises:
        CheckFailed: If a line is not canonical, is out of order or its signature does not hold;
            the line is named. If lines are cut off; then every other line has been found to hold.
    """
    *lines, rest = path.read_bytes().split(b"\n")
    records, torn = [], [len(lines) + 1] if rest else []
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
        except ValueError:
            torn.append(number + 1)
            continue
        where = f"{path.name} line {number + 1}"
        _check_line(where, line, record, verifier, path.name)
        if record.get("seq") != number:
            raise CheckFailed(f"{where}: a record is missing or out of order", field=path.name)
        records.append(record)
    if torn:
        named = ", ".join(map(str, sorted(torn)))
        raise CheckFailed(
            f"{path.name} line {named}: cut off, by a kill while it was written or by hand; "
            "every other line holds",
            field=path.name,
        )
    return records


def _check_line(where: str, line: bytes, record: Any, verifier: Verifier, field: str) -> None:
    """Check form and signature of one line; takes the signature out of the record."""
    try:
        signature = base64.b64decode(record.pop("sig"), validate=True)
        body = canonical_json(record)
        whole = canonical_json({**record, "sig": base64.b64encode(signature).decode()})
    except (ValueError, KeyError, AttributeError, TypeError, binascii.Error) as error:
        raise CheckFailed(f"{where} cannot be read", field=field) from error
    if whole != line or not verifier.verify(body, signature):
        raise CheckFailed(f"{where}: the signature does not hold", field=field)
