"""What a folder of exported NDJSON says about the world it came from (``manifest.json`` beside the lines)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.eval.worlds.ndjson import files
from riskgraph.eval.worlds.schema import all_order_types, outcome_types
from riskgraph.eval.worlds.writer import file_sha256

SCHEMA = "riskgraph-ndjson/1"
STEMS = ("orders", "outcomes")
# A world says these anew, about its own files.
_OF_FILES = {"schema", "catalog", "files"}


@dataclass(frozen=True)
class Origin:
    """What bodies cannot tell.

    Attributes:
        facts: The world's manifest without what it says of its files; provenance among them.
        columns: Column names of the world's orders and outcomes, in file order; empty if unknown.
    """

    facts: Mapping[str, Any] = field(default_factory=lambda: {"provenance": "merchant"})
    columns: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        return bool(self.columns)


def write_origin(folder: Path, manifest: Mapping[str, Any], columns: Mapping[str, list[str]]) -> None:
    """Write ``manifest.json`` over the NDJSON files that lie in ``folder``."""
    said = {
        "schema": SCHEMA,
        "world": {name: value for name, value in manifest.items() if name not in _OF_FILES},
        "columns": columns,
        "files": {path.name: file_sha256(path) for stem in STEMS for path in files(folder, stem)},
    }
    text = json.dumps(said, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def read_origin(folder: Path) -> Origin:
    """Origin of an export; a folder without a manifest is a merchant's own history.

    Raises:
        Invalid: If the manifest is not one of an export.
        CheckFailed: If the lines are not those that were exported: what the manifest says, the
            provenance above all, would be said of something else.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        return Origin()
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Invalid(f"manifest.json is no JSON: {error}", field="manifest.json") from error
    if not isinstance(said, dict) or said.get("schema") != SCHEMA:
        raise Invalid(f"manifest.json: schema must be {SCHEMA!r}", field="manifest.json:schema")
    for name in ("world", "columns", "files"):
        if not isinstance(said.get(name), dict):
            raise Invalid(f"manifest.json: {name} must be an object", field=f"manifest.json:{name}")
    _check_world(said["world"])
    _check_columns(said["columns"])
    _check_files(folder, said["files"])
    return Origin(said["world"], said["columns"])


def _check_world(facts: dict[str, Any]) -> None:
    if facts.get("provenance") not in ("simulated", "merchant"):
        raise Invalid(
            "manifest.json: world.provenance must be simulated or merchant",
            field="manifest.json:world.provenance",
        )
    if not isinstance(facts.get("entities"), dict):
        raise Invalid("manifest.json: world.entities must be an object", field="manifest.json:world.entities")


def _check_columns(columns: dict[str, Any]) -> None:
    for stem, known in (("orders", all_order_types()), ("outcomes", outcome_types())):
        names = columns.get(stem)
        if not isinstance(names, list) or not set(map(str, names)) <= set(known):
            where = f"manifest.json:columns.{stem}"
            raise Invalid(f"manifest.json: columns.{stem} must list columns of a world", field=where)


def _check_files(folder: Path, listed: dict[str, Any]) -> None:
    found = {path.name: path for stem in STEMS for path in files(folder, stem)}
    for name in sorted(found.keys() ^ listed.keys()):
        what = "is not listed in manifest.json" if name in found else "is listed in manifest.json but missing"
        raise CheckFailed(f"{name} {what}: export the world again", field=name)
    for name, path in found.items():
        if file_sha256(path) != listed[name]:
            raise CheckFailed(
                f"{name} differs from its digest in manifest.json: export the world again", field=name
            )
