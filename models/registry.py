"""Models on disk, and which of them is champion: one signed record of promotions, replaced in one step.

Nothing is ever taken off the record: going back is an entry of its own, so that it shows who decided
at any time and who changed it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from riskgraph.core.baseline import BASELINE_FILE
from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Conflict, Invalid, ModelUnavailable, NotFound
from riskgraph.core.locks import locked
from riskgraph.models.card import CARD_FILE, Card, read_card
from riskgraph.models.compiled import flush, settle
from riskgraph.models.parity import PARITY_FILE
from riskgraph.ports import Signer, Verifier

POINTER_FILE = "champion.json"
LOCK_FILE = ".lock"
SCHEMA = "model_promotions/1"
MODES = ("observe", "enforce")
PROMOTE, ROLLBACK = "promote", "rollback"


@dataclass(frozen=True, slots=True)
class Champion:
    """One entry of the record: who serves from then on, and what that was decided on.

    Attributes:
        name: Name on the model's card.
        folder: Folder of the model, relative to the models folder.
        model_sha256: Digest of the card, which covers the model's files.
        reports_sha256: SHA-256 of the ``report.json`` of each backtest.
        tree_sha256: Digest of the decision tree that the backtests judged by.
        mode: ``observe`` or ``enforce``.
        merchants: For whom it may enforce; empty when it observes.
        by: Who made it champion.
        at: When it became champion, ISO 8601.
        event: ``promote``, or ``rollback`` where an earlier promotion was gone back to.
    """

    name: str
    folder: str
    model_sha256: str
    reports_sha256: tuple[str, ...]
    tree_sha256: str
    mode: str
    merchants: tuple[str, ...]
    by: str
    at: str
    event: str = PROMOTE

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Champion:
        """An entry as it stands in the file.

        Raises:
            ValueError, TypeError: If something in it is not what it should be.
        """
        lists = {key: _texts(data[key]) for key in ("reports_sha256", "merchants")}
        entry = cls(**data | lists)
        _texts([v for k, v in asdict(entry).items() if k not in lists])
        if not _is_name(entry.folder):
            raise ValueError(f"{entry.folder!r} is not the name of a folder in it")
        if entry.mode not in MODES:
            raise ValueError(f"mode is {entry.mode!r}")
        return entry

    def check(self, card: Card, tree_sha256: str) -> None:
        """That what was promoted is what would serve.

        A tree that changed since does not matter to a model that only observes: its verdicts act on nobody.

        Raises:
            ModelUnavailable: If another model lies there, or it would enforce under another tree than it
                was measured with.
        """
        if self.model_sha256 != card.digest:
            raise ModelUnavailable(f"{self.folder}: another model was promoted than the one that lies there")
        if self.mode == "enforce" and self.tree_sha256 != tree_sha256:
            raise ModelUnavailable(
                f"{self.folder}: promoted to enforce under another decision tree "
                f"({self.tree_sha256[:12]}, now {tree_sha256[:12]}); backtest and promote it again"
            )


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


def champion(models: Path, verifier: Verifier) -> Champion | None:
    """The current champion, or none if nothing was promoted.

    Raises:
        ModelUnavailable: If the record is damaged, or its signature does not fit.
    """
    history = promotions(models, verifier)
    return history[-1] if history else None


def promote(models: Path, model: Path, entry: Champion, signer: Signer) -> Champion:
    """Copy a model into its folder and make it the champion; the ones before stay on record.

    Args:
        models: The folder of models, made where there is none.
        model: Where the model lies.
        entry: What goes on record; its folder is the one that the model is copied into.
        signer: Of this installation.

    Raises:
        Invalid: If the mode is unknown, or the folder lies outside ``models``.
        ModelUnavailable: If there is no sound model, or another than the entry names.
    """
    if entry.mode not in MODES:
        raise Invalid(f"unknown mode {entry.mode!r}; known: {', '.join(MODES)}", field="mode")
    if not _is_name(entry.folder):
        raise Invalid(f"{entry.folder!r} is not the name of a folder in {models}", field="folder")
    entry.check(_sound(model), entry.tree_sha256)
    target = models / entry.folder
    with _locked(models):
        history = promotions(models, signer)
        _place(model, target)
        try:
            entry.check(_sound(target), entry.tree_sha256)
        except ModelUnavailable as wrong:
            raise ModelUnavailable(f"{wrong.message}; remove {target} and promote again") from wrong
        _write(models, [*history, entry], signer)
    return entry


def rollback(
    models: Path, *, by: str, at: str, tree_sha256: str, signer: Signer
) -> tuple[Champion, Champion]:
    """Go back to the model, and the mode, that served before the promotion in force.

    Returns:
        The champion from now on, and the one that it takes the place of.

    Raises:
        NotFound: If nothing was promoted.
        Conflict: If there is no champion before it.
        ModelUnavailable: If the earlier model's folder is gone or damaged, or if it would enforce under
            another tree than the one that serves.
    """
    with _locked(models):
        history = promotions(models, signer)
        standing = _standing(history)
        if not standing:
            raise NotFound("nothing was promoted, so there is nothing to go back from")
        if len(standing) == 1:
            raise Conflict(f"{standing[0].name} is the first champion; there is none before it to go back to")
        before, left = standing[-2:]
        # First: what cannot be served must not take the place of a champion that can.
        before.check(_sound(models / before.folder), tree_sha256)
        entry = replace(before, at=at, by=by, event=ROLLBACK)
        _write(models, [*history, entry], signer)
    return entry, left


@contextmanager
def _locked(models: Path) -> Iterator[None]:
    """Held by one process at a time: of two that read the record and write it, one would lose its entry."""
    models.mkdir(parents=True, exist_ok=True)
    with locked(models / LOCK_FILE):
        yield


def _place(model: Path, target: Path) -> None:
    """Copy a model where it is not there yet; what was measured of it since goes after it."""
    measured = model / PARITY_FILE
    if not target.exists():
        _copy_whole(model, target)
    elif measured.is_file() and not model.samefile(target):
        copy = target / f".{PARITY_FILE}"
        shutil.copyfile(measured, copy)
        settle(copy, target / PARITY_FILE)


def _copy_whole(model: Path, target: Path) -> None:
    """Copy a model's files so that a kill at any point leaves a whole folder at ``target``, or none.

    Whatever else lies beside them stays there: nobody vouches for it. What a kill can leave is a folder with
    a dot before its name; it is never read.
    """
    files = {CARD_FILE, PARITY_FILE, BASELINE_FILE, *read_card(model).files}
    with tempfile.TemporaryDirectory(prefix=".promote-", dir=target.parent) as temporary:
        copy = Path(temporary) / target.name
        shutil.copytree(model, copy, ignore=lambda _, names: [name for name in names if name not in files])
        for path in filter(Path.is_file, copy.rglob("*")):
            flush(path)
        copy.replace(target)


def _standing(history: list[Champion]) -> list[Champion]:
    """The promotions not gone back from, oldest first: each rollback undoes the last that stands."""
    standing: list[Champion] = []
    for entry in history:
        if entry.event == ROLLBACK:
            standing.pop()
        else:
            standing.append(entry)
    return standing


def _sound(folder: Path) -> Card:
    """Card of the model in a folder, read whole: a damaged model must not become champion."""
    from riskgraph.models import load_model

    return load_model(folder).card


def _is_name(text: str) -> bool:
    """Serving joins names to the folder of models: a path in one would lead out of it."""
    return text not in ("", "..") and Path(text).name == text


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{values!r} is not made of texts")
    return tuple(values)


def promotions(models: Path, verifier: Verifier) -> list[Champion]:
    """All promotions and rollbacks, oldest first; none if nothing was promoted.

    Raises:
        ModelUnavailable: If the record is damaged, or its signature does not fit.
    """
    path = models / POINTER_FILE
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as wrong:
        raise ModelUnavailable(f"{path}: damaged ({wrong})") from wrong
    try:
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema is {data['schema']!r}, expected {SCHEMA!r}")
        history = [Champion.parse(entry) for entry in data["champions"]]
        _standing(history)
        fits = verifier.verify(_signed(history), bytes.fromhex(data["signature"]))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as wrong:
        raise ModelUnavailable(
            f"{path}: no signed record of promotions ({wrong}); if an earlier version wrote it, move it away "
            "and promote again"
        ) from wrong
    if not fits:
        raise ModelUnavailable(f"{path}: the signature does not fit, or is of another installation")
    return history


def _signed(history: Sequence[Champion]) -> bytes:
    """Canonical JSON, the bytes that are signed."""
    return canonical_json({"schema": SCHEMA, "champions": [asdict(entry) for entry in history]})


def _write(models: Path, history: Sequence[Champion], signer: Signer) -> None:
    signed = _signed(history)
    data = {**json.loads(signed), "key_id": signer.key_id, "signature": signer.sign(signed).hex()}
    # In the same folder, since a rename is one step only within a file system. What a kill leaves of it the
    # next promotion overwrites.
    temporary = models / f".{POINTER_FILE}"
    temporary.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    settle(temporary, models / POINTER_FILE)
