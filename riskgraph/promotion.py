"""Which models there are and which one decides. Works with the core install."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from riskgraph import bootstrap
from riskgraph.core.errors import Conflict, Invalid
from riskgraph.models import registry
from riskgraph.models.card import Card, read_card
from riskgraph.models.compiled import flush
from riskgraph.settings import Settings


def shipped_card() -> dict[str, Any]:
    """Card of the model that ships in the package."""
    return read_card(registry.shipped_champion()).to_json()


def list_models(settings: Settings) -> list[dict[str, Any]]:
    """The shipped model and those in the models folder, with the one that serves marked."""
    folder = bootstrap.models_folder(settings)
    current = registry.champion(folder)
    shipped = registry.shipped_champion()
    rows = [_model_row(shipped, read_card(shipped), "observe", current is None)]
    for path, card in registry.list_models(folder):
        serves = current is not None and path.name == current.folder
        rows.append(_model_row(path, card, current.mode if current and serves else "observe", serves))
    return rows


def _model_row(path: Path, card: Card, mode: str, champion: bool) -> dict[str, Any]:
    facts = {"name": card.name, "kind": card.kind, "provenance": card.provenance}
    return {**facts, "mode": mode, "champion": champion, "folder": str(path)}


def promote(model: Path, by: str, mode: str, settings: Settings) -> dict[str, Any]:
    """Copy a model into the models folder and make it champion.

    Raises:
        Invalid: If a model of simulated origin shall enforce.
        Conflict: If another model of that folder's name is there.
    """
    card = read_card(model)
    if mode == "enforce" and card.provenance == bootstrap.SIMULATED:
        raise Invalid("a model trained on simulated orders may only observe real shoppers", field="enforce")
    folder = bootstrap.models_folder(settings)
    target = folder / f"{card.name}-{card.digest[:12]}"
    if target.exists() and read_card(target).digest != card.digest:
        raise Conflict(f"{target} holds another model; remove it first")
    if not target.exists():
        _copy_whole(model, target)
    return asdict(registry.promote(folder, target.name, by=by, at=_now(), mode=mode))


def _copy_whole(model: Path, target: Path) -> None:
    """Copy a folder so that a kill at any point leaves a whole one at ``target``, or none.

    What a kill can leave is a folder with a dot before its name; it is never read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".promote-", dir=target.parent) as temporary:
        copy = Path(temporary) / target.name
        shutil.copytree(model, copy)
        for path in filter(Path.is_file, copy.rglob("*")):
            flush(path)
        copy.replace(target)


def rollback(by: str, settings: Settings) -> dict[str, Any]:
    """Go back to the model that decided before the promotion in force; it goes on record.

    Raises:
        NotFound: If nothing was promoted.
        Conflict: If the first promotion is in force.
        ModelUnavailable: If the earlier model's folder is gone or damaged.
    """
    folder = bootstrap.models_folder(settings)
    left = registry.champion(folder)
    entry = registry.rollback(folder, by=by, at=_now())
    return {**asdict(entry), "instead_of": left and left.name}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
