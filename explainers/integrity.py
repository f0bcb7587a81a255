"""``integrity`` of a rendered report, and checking it (GDPR Art. 5(1)(f), 32; PIPL Art. 51).

Two things are signed. The log holds one leaf for the record of each decision, and its tree head is signed:
the record behind a report was neither replaced nor taken away. A report is rendered from that record for one
reader, so its own bytes are signed as well. That signature is over the canonical JSON of ``integrity``
without ``signature.value``, which holds the digest of the rest of the report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Invalid
from riskgraph.core.merkle import included
from riskgraph.core.tree_head import TreeHead
from riskgraph.ports import Signer, Verifier

ALGORITHM = "Ed25519"
SCHEMA = "decision_report/1"
HOLDS, FAILS, UNKNOWN = "holds", "fails", "unknown"
ON_RECORD, ERASED, MISSING, ELSEWHERE = "on_record", "erased", "missing", "elsewhere"

# ``verifier(key_id)``: the public key of that id; None for one that is not known.
Keys = Callable[[str], Verifier | None]
# ``retired_at(key_id)``: when the key of that id was retired, ISO 8601; None for the one that signs now.
RetiredAt = Callable[[str], str | None]
# ``place(leaf_index, decision_id, leaf_hash)``: what the log holds there; the hash is "" where none is told.
Place = Callable[[int, str, str], str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What ties a report to the log.

    Attributes:
        signer: Signs the report; one key, whose id belongs to its signatures.
        proof: ``leaf_index``, ``leaf_hash``, ``inclusion_proof`` and ``tree_head`` of the decision's record,
            hashes in hex.
        verify_url: Page on which anyone can check the report; None where there is none.
    """

    signer: Signer
    proof: Mapping[str, Any]
    verify_url: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        what: ``digest``, ``signature``, ``tree_head``, ``inclusion`` or ``log``.
        result: ``holds``, ``fails`` or ``unknown``.
        why: A code for the page's sentence about it.
        retired_at: When the key of a signature that holds was retired, ISO 8601; None where it signs now.
    """

    what: str
    result: str
    why: str
    retired_at: str | None = None


def integrity(report: Mapping[str, Any], evidence: Evidence | None, audience: str) -> dict[str, Any]:
    """The ``integrity`` of a report: its digest, and with evidence who signed it and where it is on record.

    The shopper gets the number of the record and the page; whoever audits gets the proof as well.
    """
    made: dict[str, Any] = {"canonical_sha256": canonical_sha256(report), "excludes": ["integrity"]}
    if evidence is None:
        return made
    names = ("leaf_index",) if audience == "subject" else tuple(evidence.proof)
    made["log"] = {name: evidence.proof[name] for name in names}
    made["verify_url"] = evidence.verify_url
    made["signature"] = {"algorithm": ALGORITHM, "key_id": evidence.signer.key_id}
    made["signature"]["value"] = evidence.signer.sign(signed_bytes(made)).hex()
    return made


def signed_bytes(integrity: Mapping[str, Any]) -> bytes:
    """What a report's signature is over: canonical JSON (RFC 8785) without the signature itself."""
    signature = {key: value for key, value in integrity["signature"].items() if key != "value"}
    return canonical_json({**integrity, "signature": signature})


def canonical_sha256(report: Mapping[str, Any]) -> str:
    """Digest over the canonical JSON of a report without its ``integrity`` (GDPR Art. 5(1)(f), 32)."""
    hashed = {key: value for key, value in report.items() if key != "integrity"}
    return hashlib.sha256(canonical_json(hashed)).hexdigest()


def check_report(
    report: Any, keys: Keys, place: Place, retired_at: RetiredAt = lambda key_id: None
) -> list[Finding]:
    """Check a report that somebody holds; the order of the findings is that of the page.

    That a key was retired is told and fails nothing: its reader knows whether they had the report before.

    Raises:
        Invalid: If it is no report, or lacks what could be checked.
    """
    if not isinstance(report, Mapping) or report.get("schema") != SCHEMA:
        raise Invalid(f"this is no report: schema is not {SCHEMA}", field="schema")
    told = report.get("integrity")
    if not isinstance(told, Mapping) or not isinstance(told.get("canonical_sha256"), str):
        raise Invalid("this report has no integrity.canonical_sha256", field="integrity")
    findings = [_digest(report, told), _signature(told, keys, retired_at)]
    log = told.get("log")
    if isinstance(log, Mapping):
        findings += _proof(log, keys, retired_at)
        findings.append(_place(log, report, place))
    return findings


def verdict(findings: list[Finding]) -> str:
    """``fails`` where anything does; ``holds`` where digest and signature both do; else ``unknown``."""
    results = {finding.what: finding.result for finding in findings}
    if FAILS in results.values():
        return FAILS
    return HOLDS if results["digest"] == results["signature"] == HOLDS else UNKNOWN


def _digest(report: Mapping[str, Any], told: Mapping[str, Any]) -> Finding:
    try:
        same = canonical_sha256(report) == told["canonical_sha256"]
    except (ValueError, TypeError):  # a number that canonical JSON has no form for: no report of ours has one
        same = False
    return Finding("digest", HOLDS, "digest_holds") if same else Finding("digest", FAILS, "digest_fails")


def _signature(told: Mapping[str, Any], keys: Keys, retired_at: RetiredAt) -> Finding:
    signature = told.get("signature")
    if signature is None:
        return Finding("signature", UNKNOWN, "signature_missing")
    try:
        known = keys(signature["key_id"])
        if known is None:
            return Finding("signature", UNKNOWN, "key_unknown")
        fits = known.verify(signed_bytes(told), bytes.fromhex(signature["value"]))
        fits = fits and signature["algorithm"] == ALGORITHM
    except (KeyError, TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        return Finding("signature", FAILS, "signature_fails")
    retired = retired_at(signature["key_id"])
    return Finding("signature", HOLDS, "signature_retired" if retired else "signature_holds", retired)


def _proof(log: Mapping[str, Any], keys: Keys, retired_at: RetiredAt) -> list[Finding]:
    """Tree head and inclusion proof, where the reader's report has them (RFC 9162, section 2.1.3.2)."""
    if "tree_head" not in log:
        return []
    try:
        head = TreeHead.of(log["tree_head"])
        known = keys(head.key_id)
        path = [bytes.fromhex(node) for node in log["inclusion_proof"]]
        leaf, index = bytes.fromhex(log["leaf_hash"]), log["leaf_index"]
        there = type(index) is int and included(leaf, index, head.size, path, head.root)
    except (Invalid, KeyError, TypeError, ValueError):
        return [
            Finding("tree_head", FAILS, "tree_head_fails"),
            Finding("inclusion", FAILS, "inclusion_fails"),
        ]
    if known is None:
        signed = Finding("tree_head", UNKNOWN, "key_unknown")
    elif known.verify(head.signed, head.signature):
        retired = retired_at(head.key_id)
        signed = Finding("tree_head", HOLDS, "tree_head_retired" if retired else "tree_head_holds", retired)
    else:
        signed = Finding("tree_head", FAILS, "tree_head_fails")
    return [signed, Finding("inclusion", HOLDS if there else FAILS, f"inclusion_{HOLDS if there else FAILS}")]


def _place(log: Mapping[str, Any], report: Mapping[str, Any], place: Place) -> Finding:
    index, name, hashed = log.get("leaf_index"), report.get("decision_id"), log.get("leaf_hash", "")
    found = ELSEWHERE
    if type(index) is int and 0 <= index < 2**62 and isinstance(name, str) and isinstance(hashed, str):
        found = place(index, name, hashed)
    # What became of the record says nothing about the report, which is as it was issued.
    result = {ON_RECORD: HOLDS, ERASED: UNKNOWN, MISSING: UNKNOWN}.get(found, FAILS)
    return Finding("log", result, f"log_{found}")
