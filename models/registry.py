"""Models on disk, and which of them is champion: one record of promotions, replaced in one step.

Nothing is ever taken off the record: going back is an entry of its own, so that it shows who decided
at any time and who changed it.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, astuple, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from riskgraph.core.errors import Conflict, Invalid, ModelUnavailable, NotFound
from riskgraph.models.card import CARD_FILE, Card, read_card
from riskgraph.models.compiled import settle

POINTER_FILE = "champion.json"
MODES = ("observe", "enforce")
PROMOTE, ROLLBACK = "promote", "rollback"


@dataclass(frozen=True, slots=True)
class Champion:
    """One entry of the record: who serves from then on.

    Attributes:
        name: Name on the model's card.
        folder: Folder of the model, relative to the models folder.
        at: When it became champion, ISO 8601.
        by: Who made it champion.
        mode: ``observe`` or ``enforce``.
        event: ``promote``, or ``rollback`` where an earlier promotion was gone back to.
        record: Name of the signed record beside the model.
    """

    name: str
    folder: str
    at: str
    by: str
    mode: str
    event: str = PROMOTE
    record: str = ""


def shipped_champion() -> Path:
    """Folder of the model that ships in the package, trained on simulated orders.

    Raises:
        ModelUnavailable: If this installation carries none.
    """
    folder = Path(str(resources.files("riskgraph.models").joinpath("champion")))
    if not (folder / CARD_FILE).is_file():
        raise ModelUnavailable(f"{folder}: this installation ships no model; train one")
    return folder


def list_models(models: Path) -> list[tuple[Path, Card]]:
    """Model folders below ``models`` with their cards, by name; folders without a card are skipped.

    Raises:
        ModelUnavailable: If a card is damaged.
    """
    folders = sorted(p.parent for p in models.glob(f"*/{CARD_FILE}"))
    return [(folder, read_card(folder)) for folder in folders]


def champion(models: Path) -> Champion | None:
    """The current champion, or none if nothing was promoted."""
    history = _history(models)
    return history[-1] if history else None


def promote(
    models: Path, folder: str, *, by: str, at: str, mode: str = "observe", record: str = ""
) -> Champion:
    """Make a model the champion; the ones before stay on record, :func:`rollback` goes back to them.

    Raises:
        Invalid: If the mode is unknown, or the folder lies outside ``models``.
        ModelUnavailable: If the folder holds no sound model.
    """
    if mode not in MODES:
        raise Invalid(f"unknown mode {mode!r}; known: {', '.join(MODES)}", field="mode")
    if not _is_name(folder):
        raise Invalid(f"{folder!r} is not the name of a folder in {models}", field="folder")
    entry = Champion(_sound(models / folder), folder, at, by, mode, record=record)
    _write(models, [*_history(models), entry])
    return entry


def rollback(models: Path, *, by: str, at: str) -> Champion:
    """Go back to the model, and the mode, that served before the promotion in force.

    Raises:
        NotFound: If nothing was promoted.
        Conflict: If there is no champion before it.
        ModelUnavailable: If the earlier model's folder is gone or damaged.
    """
    before = earlier(models)
    name = _sound(models / before.folder)
    entry = replace(before, name=name, at=at, by=by, event=ROLLBACK)
    _write(models, [*_history(models), entry])
    return entry


def earlier(models: Path) -> Champion:
    """The promotion that a rollback would go back to.

    Raises:
        NotFound: If nothing was promoted.
        Conflict: If there is no champion before the one in force.
    """
    standing = _standing(_history(models))
    if not standing:
        raise NotFound("nothing was promoted, so there is nothing to go back from")
    if len(standing) == 1:
        raise Conflict(f"{standing[0].name} is the first champion; there is none before it to go back to")
    return standing[-2]


def _standing(history: list[Champion]) -> list[Champion]:
    """The promotions not gone back from, oldest first: each rollback undoes the last that stands."""
    standing: list[Champion] = []
    for entry in history:
        if entry.event == ROLLBACK:
            standing.pop()
        else:
            standing.append(entry)
    return standing


def _sound(folder: Path) -> str:
    """Name of the model in a folder, read whole: a damaged model must not become champion."""
    from riskgraph.models import load_model

    return load_model(folder).card.name


def _is_name(text: str) -> bool:
    """Serving joins names to the folder of models: a path in one would lead out of it."""
    return text not in ("", "..") and Path(text).name == text


def _history(models: Path) -> list[Champion]:
    path = models / POINTER_FILE
    try:
        data: list[dict[str, Any]] = json.loads(path.read_bytes())["champions"]
        history = [Champion(**entry) for entry in data]
        for entry in history:
            if not all(isinstance(value, str) for value in astuple(entry)):
                raise ValueError(f"{entry} is not made of texts")
            if not (_is_name(entry.folder) and _is_name(entry.record or "none")):
                raise ValueError(f"{entry.folder!r} or {entry.record!r} is not the name of anything in it")
        _standing(history)
        return history
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, IndexError) as wrong:
        raise ModelUnavailable(f"{path}: damaged ({wrong})") from wrong


def _write(models: Path, history: list[Champion]) -> None:
    data = {"champions": [asdict(entry) for entry in history]}
    # In the same folder, since a rename is one step only within a file system.
    with tempfile.NamedTemporaryFile(dir=models, suffix=".json", delete=False) as file:
        file.write((json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())
    settle(Path(file.name), models / POINTER_FILE)
