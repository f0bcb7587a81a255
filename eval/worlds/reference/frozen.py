"""The digest that freezes the reference learners: over their code, rules and settings."""

from __future__ import annotations

import hashlib
import json
from importlib import resources

_OUTSIDE = ("frozen.json", "frozen.py", "__init__.py")


def files() -> dict[str, str]:
    """SHA-256 of every file that decides what the learners do."""
    here = resources.files(__package__)
    found = [
        e for e in here.iterdir() if e.name.endswith((".py", ".csv", ".json")) and e.name not in _OUTSIDE
    ]
    return {e.name: hashlib.sha256(e.read_bytes()).hexdigest() for e in sorted(found, key=lambda e: e.name)}


def digest() -> str:
    """SHA-256 over names and digests of those files, as they are now."""
    return hashlib.sha256(json.dumps(files(), sort_keys=True).encode()).hexdigest()


def changed() -> list[str]:
    """Files that are not as they were frozen; none when the committed digest holds."""
    text = resources.files(__package__).joinpath("frozen.json").read_text(encoding="utf-8")
    committed: dict[str, str] = json.loads(text)["files"]
    now = files()
    return sorted(name for name in committed | now if committed.get(name) != now.get(name))
