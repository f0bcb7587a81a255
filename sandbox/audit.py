"""The sandbox's audit log: signed JSON lines, one per release or refusal."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import CheckFailed

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
    """Append one signed record to a log, numbered after the records that are there."""
    seq = len(path.read_bytes().splitlines()) if path.exists() else 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        log.write(signed_line({**record, "seq": seq}, signer))


def verify_audit(path: Path, verifier: Verifier) -> list[dict[str, Any]]:
    """Read a log.

    Raises:
        CheckFailed: If a line is not canonical, is out of order or its signature does not hold;
            the line is named.
    """
    records = []
    lines = path.read_bytes().split(b"\n")
    if lines.pop() != b"":
        raise CheckFailed(f"{path.name}: the last line is cut off", field=path.name)
    for number, line in enumerate(lines):
        where = f"{path.name} line {number + 1}"
        try:
            record = json.loads(line)
            signature = base64.b64decode(record.pop("sig"), validate=True)
            body = canonical_json(record)
            whole = canonical_json({**record, "sig": base64.b64encode(signature).decode()})
        except (ValueError, KeyError, AttributeError, TypeError, binascii.Error) as error:
            raise CheckFailed(f"{where} cannot be read", field=path.name) from error
        if whole != line or not verifier.verify(body, signature):
            raise CheckFailed(f"{where}: the signature does not hold", field=path.name)
        if record.get("seq") != number:
            raise CheckFailed(f"{where}: a record is missing or out of order", field=path.name)
        records.append(record)
    return records
