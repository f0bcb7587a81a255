"""Families from a folder: each file is loaded, checked, and named in every error."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from riskgraph.core.errors import Invalid, NotFound
from riskgraph.eval.worlds.config import epoch
from riskgraph.eval.worlds.families import FAMILIES
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import DRIVERS, Archetype
from riskgraph.eval.worlds.scene import Scene

LABELS = ("confirmed_fraud", "chargeback_fraud")
_SHARES = ("position_fails", "marketplace")
_TRAIT_SHARES = ("chases_launches", "awake", "night", "stopped", "invited", "refunded")
_TRAITS = ("declines", "guesses_cards", "guesses_passwords", "one_time_codes", "tunnels")


def load_families(folder: Path) -> tuple[Family, ...]:
    """The families of a folder, by file name. Their code is run: load only what you would run.

    Files whose name starts with an underscore are left aside.

    Raises:
        NotFound: If the folder holds no Python file.
        Invalid: If a file fails or states a family wrongly; the file and what is wrong are named.
    """
    paths = sorted(p for p in Path(folder).glob("*.py") if not p.name.startswith("_"))
    if not paths:
        raise NotFound(f"{folder} holds no family file (*.py)", field="families")
    families: dict[str, Family] = {}
    for path in paths:
        family = load_family(path)
        if family.name in families:
            raise _taken(path, family, families[family.name].source)
        families[family.name] = family
    return tuple(families.values())


def load_family(path: Path) -> Family:
    """The family of one file, whose code is run.

    Raises:
        OSError: If the file cannot be read.
        Invalid: If it fails or states a family wrongly; the file and what is wrong are named.
    """
    family = _load(Path(path))
    if family.name in FAMILIES or family.name == "honest":
        raise _taken(path, family, "riskgraph")
    return family


def perform(family: Family, scene: Scene, gang: Gang) -> None:
    """Let one gang act, and see that it placed the orders that were planned for it.

    Raises:
        Invalid: If a family from a file fails or places another number of orders.
    """
    before = scene.cast.visits.count
    try:
        family.play(scene, gang)
    except Exception as error:
        if not family.source:
            raise
        text = f"play failed for a gang of {gang.size} orders: {_text(error)}"
        raise _wrong(Path(family.source), text) from error
    placed = scene.cast.visits.count - before
    if placed != gang.size:
        text = f"play placed {placed} orders for a gang of {gang.size}: call scene.place once"
        raise _wrong(Path(family.source or family.name), text)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _taken(path: Path, family: Family, by: str) -> Invalid:
    return _wrong(path, f"the name {family.name!r} is taken by {by}")


def _wrong(path: Path, text: str) -> Invalid:
    return Invalid(f"{path.name}: {text}", field=path.name)


def _load(path: Path) -> Family:
    code = path.read_bytes()
    name = f"riskgraph_family_{hashlib.sha256(code).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _wrong(path, "is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Registered, since dataclasses look their own module up.
    sys.modules[name] = module
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _wrong(path, f"cannot be loaded: {_text(error)}") from error
    finally:
        sys.dont_write_bytecode = written
        del sys.modules[name]
    family = getattr(module, "FAMILY", None)
    if not isinstance(family, Family):
        raise _wrong(path, "FAMILY is missing: a family file ends with FAMILY = Family(Archetype(…), play)")
    for text in _faults(family):
        raise _wrong(path, text)
    return replace(family, source=path.name, sha256=hashlib.sha256(code).hexdigest())


def _faults(family: Family) -> list[str]:
    """What is wrong with a family, the first thing first."""
    kind = family.archetype
    if not isinstance(kind, Archetype):
        return ["the first argument of Family must be an Archetype"]
    if not callable(family.play):
        return ["play must be a function of (scene, gang)"]
    for field in ("name", "family"):
        if not (isinstance(getattr(kind, field), str) and getattr(kind, field).isidentifier()):
            return [
                f"{field} must be a word of letters, digits and underscores, got {getattr(kind, field)!r}"
            ]
    try:
        return [text for holds, text in _figures(family, kind) if not holds]
    except (TypeError, ValueError) as error:
        return [f"a figure has the wrong type: {error}"]


def _is_date(text: str | None) -> bool:
    try:
        return text is None or epoch(text) > 0
    except ValueError:
        return False


def _figures(family: Family, kind: Archetype) -> list[tuple[bool, str]]:
    low, high = kind.reported
    shortest, longest = kind.window_days
    unknown = [driver for driver, _ in kind.shifts if driver not in DRIVERS]
    parts: list[tuple[str, Any]] = [(n, getattr(kind, n)) for n in _SHARES]
    parts += [(n, getattr(family, n)) for n in _TRAIT_SHARES]
    return [
        (0 < kind.share < 1, f"share must lie between 0 and 1, got {kind.share}"),
        (
            kind.orders_per_account >= 1,
            f"orders_per_account must be 1 or more, got {kind.orders_per_account}",
        ),
        (0 < shortest <= longest, f"window_days must be (shortest, longest) days, got {kind.window_days}"),
        (
            isinstance(kind.bursts, int) and kind.bursts >= 1,
            f"bursts must be a whole number from 1, got {kind.bursts}",
        ),
        (0 < kind.delay_days < math.inf, f"delay_days must be more than 0, got {kind.delay_days}"),
        (0 <= low <= high <= 1, f"reported must be (lowest, highest) share, got {kind.reported}"),
        (kind.report in LABELS, f"report must be one of {', '.join(LABELS)}, got {kind.report!r}"),
        (not unknown, f"shifts names unknown drivers {unknown}; known are {', '.join(DRIVERS)}"),
        (all(math.isfinite(s) for _, s in kind.shifts), "shifts must be finite numbers"),
        (
            isinstance(family.placed_against, str),
            f"placed_against must be a model's SHA-256, got {family.placed_against!r}",
        ),
        (0 < family.burst_hours < math.inf, f"burst_hours must be more than 0, got {family.burst_hours}"),
        (_is_date(kind.starts), f"starts must be an ISO date such as 2026-07-01, got {kind.starts!r}"),
        *((0 <= value <= 1, f"{name} must lie between 0 and 1, got {value}") for name, value in parts),
        *((getattr(family, t) >= 0, f"{t} must be 0 or more, got {getattr(family, t)}") for t in _TRAITS),
    ]
