"""Models on disk, and which of them is champion: one pointer file, replaced in one step."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from riskgraph.core.errors import Conflict, Invalid, ModelUnavailable, NotFound
from riskgraph.models.card import CARD_FILE, Card, read_card
from riskgraph.models.compiled import settle

POINTER_FILE = "champion.json"
MODES = ("observe", "enforce")


@dataclass(frozen=True, slots=True)
class Champion:
    """Who serves.

    Attributes:
        name: Name on the model's card.
        folder: Folder of the model, relative to the models folder.
        at: When it was promoted, ISO 8601.
        by: Who promoted it.
        mode: ``observe`` or ``enforce``.
    """

    name: str
    folder: str
    at: str
    by: str
    mode: str


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


def promote(models: Path, folder: str, *, by: str, at: str, mode: str = "observe") -> Champion:
    """Make a model the champion; the ones before stay on record for :func:`rollback`.

    Raises:
        Invalid: If the mode is unknown, or the folder lies outside ``models``.
        ModelUnavailable: If the folder holds no sound model.
    """
    from riskgraph.models import load_model

    if mode not in MODES:
        raise Invalid(f"unknown mode {mode!r}; known: {', '.join(MODES)}", field="mode")
    if Path(folder).name != folder:
        raise Invalid(f"{folder!r} is not the name of a folder in {models}", field="folder")
    entry = Champion(load_model(models / folder).card.name, folder, at, by, mode)
    _write(models, [*_history(models), entry])
    return entry


def rollback(models: Path) -> Champion:
    """Take the last promotion back; the champion before it serves again.

    Raises:
        NotFound: If nothing was promoted.
        Conflict: If there is no champion before it.
    """
    history = _history(models)
    if not history:
        raise NotFound(f"{models}: nothing was promoted, there is nothing to take back")
    if len(history) == 1:
        raise Conflict(f"{models}: {history[0].name} is the first champion, there is none before it")
    _write(models, history[:-1])
    return history[-2]


def _history(models: Path) -> list[Champion]:
    path = models / POINTER_FILE
    try:
        data: list[dict[str, Any]] = json.loads(path.read_bytes())["champions"]
        return [Champion(**entry) for entry in data]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as wrong:
        raise ModelUnavailable(f"{path}: damaged ({wrong})") from wrong


def _write(models: Path, history: list[Champion]) -> None:
    data = {"champions": [asdict(entry) for entry in history]}
    with tempfile.NamedTemporaryFile(dir=models, suffix=".json", delete=False) as file:
        file.write((json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())
    settle(Path(file.name), models / POINTER_FILE)
