"""What refusing consent costs honest shoppers, on file beside a model and quoted in its reports."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from riskgraph.core.canonical import canonical_json
from riskgraph.models.card import PHASES

PARITY_FILE = "refusal_parity.json"
PARITY_SCHEMA = "refusal_parity/1"
_LOG = logging.getLogger("riskgraph.models")
_RATES = ("granted", "refused", "ratio")


def write_parity(folder: Path, measured: Mapping[str, Any]) -> Path:
    """Put a measurement on file beside its model, in place of an earlier one."""
    path = folder / PARITY_FILE
    data = {"schema": PARITY_SCHEMA, **measured}
    data["sha256"] = _digest(data)
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def read_parity(folder: Path, model_sha256: str, tree_sha256: str) -> dict[str, dict[str, Any]]:
    """By phase (``pre_auth``, ``post_auth``), what is on file of this model under this tree.

    Each has ``measured`` (day), ``world``, ``seed``, ``provenance``, ``honest`` (orders), ``sha256`` of the
    file, and ``rejected`` and ``reviewed``: shares of the same orders ``granted`` and ``refused``, and their
    ``ratio`` (None unless orders were stopped in both ways). Each is a value with the lower and the upper end
    of its 95 % interval.

    Empty where nothing is on file, or what is belongs to another model or tree: a report then says so. The
    digest finds damage, not forgery.
    """
    path = folder / PARITY_FILE
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_bytes())
        if data["schema"] != PARITY_SCHEMA or data["sha256"] != _digest(data):
            raise ValueError("wrong schema, or altered after it was written")
        if (data["model_sha256"], data["tree_sha256"]) != (model_sha256, tree_sha256):
            raise ValueError("measured with another model or decision tree")
        return {phase: _facts(data, phase) for phase in PHASES if data["phases"].get(phase)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        _LOG.warning("%s is not on file: %s", path, wrong)
        return {}


def _facts(data: Mapping[str, Any], phase: str) -> dict[str, Any]:
    row = data["phases"][phase]
    facts = {key: str(data[key]) for key in ("world", "provenance", "sha256")}
    rates = {key: {rate: _interval(row[key][rate]) for rate in _RATES} for key in ("rejected", "reviewed")}
    measured = date.fromisoformat(data["measured"]).isoformat()
    return {**facts, "measured": measured, "seed": int(data["seed"]), "honest": int(row["honest"]), **rates}


def _interval(value: Any) -> list[float] | None:
    """Value, lower and upper end; None where there is no such figure."""
    if value is None:
        return None
    middle, lower, upper = (float(part) for part in value)
    if not 0 <= lower <= middle <= upper:
        raise ValueError(f"{value} is no figure with its interval")
    return [middle, lower, upper]


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json({k: v for k, v in data.items() if k != "sha256"})).hexdigest()
