"""Audit log, ledger and certificates of an installation, wired; needs the extra ``lab``."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riskgraph import bootstrap
from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Conflict, Invalid, NotFound
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import (
    Ledger,
    Release,
    append_audit,
    check_ledger,
    check_logged,
    empty_record,
    read_log,
    stamp,
    verify_audit,
    verify_copy,
)
from riskgraph.sandbox.audit import AUDIT, check_chained
from riskgraph.sandbox.certificate import check_choice, render_certificate
from riskgraph.sandbox.published import told
from riskgraph.sandbox.utility_metrics import RECALL_FPR
from riskgraph.settings import Settings

Record = dict[str, Any]


def log_path(settings: Settings) -> Path:
    """The sandbox's audit log."""
    return settings.home / "sandbox-audit.jsonl"


def ledger_path(settings: Settings) -> Path:
    """Folder of the ledger of used records."""
    return settings.home / "sandbox-ledger"


def audit(
    release: Path | None, settings: Settings, public_key: Path | None = None, expect: str | None = None
) -> list[Record]:
    """Verify and return the record of a release, or all records of this installation.

    With the own key a release's record must be in the own log, and the log's records must agree with
    the ledger.

    Args:
        release: A release; None for the whole log.
        settings: Where log and ledger lie.
        public_key: Key of another installation, for one of its releases or a copy of its log.
        expect: Hash of a record that the log must hold.

    Raises:
        CheckFailed: If something does not hold; line or file are named.
        NotFound: If nothing was ever recorded here, or the log is gone.
        Invalid: If ``expect`` comes with a release.
    """
    verifier, log = bootstrap.open_verifier(settings, public_key), log_path(settings)
    if release is not None:
        if expect is not None:
            raise Invalid("--expect is asked of the whole log; leave the release out", field="--expect")
        Release.open(release, verifier)
        record = verify_copy(release / AUDIT, verifier)
        if public_key is None:
            check_logged(log, release / AUDIT)
        return [record]
    if not log.exists():
        raise NotFound(f"{log} is not there: nothing was recorded in this home, or the log was removed")
    records = verify_audit(log, verifier, expect)
    check_ledger(ledger_path(settings), records)
    return records


def _event(event: str, purpose: str, **fields: Any) -> Record:
    record = empty_record()
    record["actor"]["code_commit"] = bootstrap.code_version()
    return {**record, "ts": stamp(time.time()), "event": event, "purpose": purpose, **fields}


def check_log(settings: Settings) -> None:
    """See before any work that the log can be continued.

    Raises:
        CheckFailed: If it was begun by a version without a chain.
    """
    check_chained(log_path(settings))


def log_read(card: Mapping[str, Any], settings: Settings) -> None:
    """Put on record which model was made of which releases; ``card`` is as training returns it."""
    signer, digest = bootstrap.open_signer(settings), hashlib.sha256(canonical_json(card)).hexdigest()
    for release in card["releases"]:
        consumer = {"model_id": card["name"], "model_sha256": digest, "ts": stamp(time.time())}
        # Training has opened the release, which checks every digest.
        fields = {
            "output": {"release_id": release["release_id"]},
            "consumers": [{**consumer, "digest_ok": True}],
        }
        append_audit(log_path(settings), _event("read", "training of fraud models", **fields), signer)


def log_cost(result: Mapping[str, Any], settings: Settings) -> None:
    """Put on record that models were fitted on raw orders inside the sandbox, and what was measured."""
    asked = {**result["request"], "provenance": result["provenance"], "judged_by": result["judged_by"]}
    # single kinds of fraud stay with who asked: the record is shown in certificates
    known = [
        {
            "model": cell["model"],
            "unseen": cell["unseen"],
            "fraud_orders": told(cell["orders"], result["request"]["k"]),
            **{f"auc_{name}": cell["auc"][name] for name in ("raw", "release", "loss")},
            "recall_at_fpr": {
                "fpr": RECALL_FPR,
                **{n: cell["recall"][n] for n in ("raw", "release", "loss")},
            },
            "ci": {name: [cell[name]["lower"], cell[name]["upper"]] for name in ("auc", "recall")},
        }
        for cell in result["cells"]
        if cell["kind"] == "all"
    ]
    append_audit(
        log_path(settings),
        _event("cost", "what training on a release costs", input=asked, utility=known),
        bootstrap.open_signer(settings),
    )


def log_proposal(proposal: Mapping[str, Any], digest: str, settings: Settings) -> None:
    """Put on record that pairs were looked for on raw orders inside the sandbox, and what was told."""
    asked = {"provenance": proposal["provenance"], **proposal["window"]}
    asked |= {name: proposal[name] for name in ("k", "asked", "seed")}
    out = {"sha256": digest, "catalog": proposal["catalog"], "pairs": [p["nodes"] for p in proposal["pairs"]]}
    record = _event("proposal", "pairs of nodes for the catalogue", input=asked, output=out)
    append_audit(log_path(settings), record, bootstrap.open_signer(settings))


def without_erased(table: OrderTable, settings: Settings) -> OrderTable:
    """The orders that were not erased: nothing more is learned from those (GDPR Art. 17; PIPL Art. 47)."""
    if not ledger_path(settings).exists():
        return table
    return table.take(~_ledger(settings).is_erased(table.order_id))


def _ledger(settings: Settings) -> Ledger:
    signer, code = bootstrap.open_signer(settings), bootstrap.code_version()
    return Ledger(ledger_path(settings), log_path(settings), signer, code, stamp(time.time()))


def erase(orders: Sequence[str], settings: Settings) -> Record:
    """Bar orders from every later release, and put that on record; no release is made again."""
    named = sorted(set(orders))
    if not named or not all(named):
        raise Invalid("no order was named, or one without an id", field="order")
    return _ledger(settings).erase(named)


def certificate(
    release: Path, out: Path, *, lang: str, form: str, settings: Settings, public_key: Path | None = None
) -> dict[str, Any]:
    """Write the certificate of a verified release; later records of the own log are part of it.

    Raises:
        Invalid: If language or format is unknown.
        CheckFailed: If the release, or the own log, does not hold.
        Conflict: If ``out`` exists.
        ExtraMissing: If a PDF is asked for without the extra ``pdf``.
    """
    check_choice(lang, form)
    verifier, log = bootstrap.open_verifier(settings, public_key), log_path(settings)
    if out.exists():
        raise Conflict(f"{out} exists; a certificate is never overwritten", field="out")
    opened = Release.open(release, verifier)
    record = verify_copy(release / AUDIT, verifier)
    later: list[Record] | None = None
    if public_key is None:
        check_logged(log, release / AUDIT)
        # A line that a kill cut off tells nothing, and keeps nobody from a certificate.
        later = [r for r in read_log(log, verifier)[0] if _speaks_of(r, opened)]
    content = render_certificate(opened, record, later, lang=lang, form=form)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(content)
    return {"release_id": opened.release_id, "path": str(out), "format": form, "lang": lang}


def _speaks_of(record: Record, release: Release) -> bool:
    """Whether a record is about a release, or about the procedure that made it: attacks and costs."""
    if record["event"] == "erase":
        held = record["composition"]["releases_holding"]
        return any(entry["release_id"] == release.release_id for entry in held)
    if record["event"] in ("attack", "cost") and record["output"] is None:
        asked, same_code = record["input"] or {}, record["actor"]["code_commit"] == release.manifest["code"]
        # what is attacked and measured is made in one piece, and groups of chunks differ
        whole = release.manifest["algorithm"].get("chunked") is None
        return whole and same_code and asked.get("k") == release.k
    return record["event"] in ("read", "attack") and record["output"]["release_id"] == release.release_id
