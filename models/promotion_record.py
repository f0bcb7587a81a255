"""Who promoted a model, on which backtest and for whom: signed, kept beside it, verified at load."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import ModelUnavailable
from riskgraph.models.card import Card
from riskgraph.models.compiled import settle
from riskgraph.ports import Signer, Verifier

SCHEMA = "model_promotion/1"


@dataclass(frozen=True, slots=True)
class PromotionRecord:
    """What is signed when a model is promoted.

    Attributes:
        model: Name on the card.
        model_sha256: Digest of the card, which covers the model's files.
        report_sha256: SHA-256 of the backtest's ``report.json``.
        mode: ``observe`` or ``enforce``.
        merchants: For whom it may enforce; empty when it observes.
        by: Who promotes.
        at: When, ISO 8601.
    """

    model: str
    model_sha256: str
    report_sha256: str
    mode: str
    merchants: tuple[str, ...]
    by: str
    at: str

    @property
    def signed(self) -> bytes:
        """Canonical JSON, the bytes that are signed."""
        return canonical_json({"schema": SCHEMA, **asdict(self)})

    @property
    def name(self) -> str:
        """Name of the file: by content, so that a model promoted twice keeps both."""
        return f"promotion-{hashlib.sha256(self.signed).hexdigest()[:16]}.json"


def write_record(folder: Path, record: PromotionRecord, signer: Signer) -> str:
    """Sign a record and put it beside its model; returns the file's name."""
    data = {
        **json.loads(record.signed),
        "key_id": signer.key_id,
        "signature": signer.sign(record.signed).hex(),
    }
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".json", delete=False) as file:
        file.write((json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())
    settle(Path(file.name), folder / record.name)
    return record.name


def read_record(folder: Path, name: str, mode: str, card: Card, verifier: Verifier) -> PromotionRecord:
    """The record of the promotion in force, verified.

    Args:
        folder: The model's folder.
        name: Name of the record's file.
        mode: Mode that the registry says it was promoted in.
        card: Card of the model as it lies there now.
        verifier: Of the installation that promoted it.

    Raises:
        ModelUnavailable: If there is no record, its signature does not fit, or it speaks of another model
            or mode; the file is named.
    """
    path = folder / name
    if not name:
        raise ModelUnavailable(f"{folder}: promoted without a signature; promote it again")
    try:
        data = json.loads(path.read_bytes())
        record, signature = _parse(data), bytes.fromhex(data["signature"])
    except FileNotFoundError as missing:
        raise ModelUnavailable(f"{path}: the signed record of the promotion is missing") from missing
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise ModelUnavailable(f"{path}: no signed record of a promotion ({wrong})") from wrong
    if not verifier.verify(record.signed, signature):
        raise ModelUnavailable(f"{path}: the signature does not fit, or is of another installation")
    if record.model_sha256 != card.digest:
        raise ModelUnavailable(f"{path}: signed for another model than the one beside it")
    if record.mode != mode:
        raise ModelUnavailable(f"{path}: signed for mode {record.mode!r}, the registry says {mode!r}")
    return record


def _parse(data: Mapping[str, Any]) -> PromotionRecord:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema is {data['schema']!r}, expected {SCHEMA!r}")
    words = ("model", "model_sha256", "report_sha256", "mode", "by", "at")
    return PromotionRecord(
        **{word: str(data[word]) for word in words}, merchants=tuple(str(m) for m in data["merchants"])
    )
