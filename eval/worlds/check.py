"""Checks on a world's folder; every error names the file and the column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import CheckFailed, Invalid, NotFound, SensitiveField, UnknownField
from riskgraph.core.sensitive import is_sensitive
from riskgraph.eval.worlds.extras import arrow, parquet
from riskgraph.eval.worlds.schema import REQUIRED, SCHEMA, all_order_types, node_columns, outcome_types
from riskgraph.eval.worlds.writer import file_sha256

_GRF_COLUMNS = {c for n in catalog() if n.family == "GRF" for c in (n.id, *node_columns(n))}
_REQUIRED_OUTCOME = (
    "outcome_id",
    "merchant_id",
    "channel_code",
    "order_id",
    "kind",
    "effective_at",
    "reported_at",
)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, with the fields that every reader needs.

    Raises:
        NotFound: If there is none.
        Invalid: If a field is missing or wrong.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise NotFound(f"{folder} is no world: manifest.json is missing", field="manifest.json")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Invalid(f"manifest.json is no JSON: {error}", field="manifest.json") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise Invalid(f"manifest.json: schema must be {SCHEMA!r}", field="manifest.json:schema")
    if manifest.get("provenance") not in ("simulated", "merchant"):
        raise Invalid(
            "manifest.json: provenance must be simulated or merchant", field="manifest.json:provenance"
        )
    for name in ("files", "entities"):
        if not isinstance(manifest.get(name), dict):
            raise Invalid(f"manifest.json: {name} must be an object", field=f"manifest.json:{name}")
    bad = [k for k, v in manifest["entities"].items() if v not in ("raw", "opaque", "hashed")]
    if bad:
        raise Invalid(
            f"manifest.json: entities.{bad[0]} must be raw, opaque or hashed",
            field=f"manifest.json:entities.{bad[0]}",
        )
    return manifest


def check_files(folder: Path, manifest: dict[str, Any], *, digests: bool) -> None:
    """Every listed file exists (and has its digest), and no parquet file under ``observed`` is unlisted.

    Raises:
        NotFound: A listed file is missing.
        CheckFailed: A digest differs.
        Invalid: A file is not listed.
    """
    for name, expected in sorted(manifest["files"].items()):
        path = folder / name
        if name.startswith("oracle/") and not path.exists():
            continue  # the oracle may be kept elsewhere
        if not path.is_file():
            raise NotFound(f"{name} is listed in manifest.json but missing", field=name)
        if digests and file_sha256(path) != expected:
            raise CheckFailed(f"{name} differs from its digest in manifest.json", field=name)
    for path in sorted((folder / "observed").glob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        if name not in manifest["files"]:
            raise Invalid(f"{name} is not listed in manifest.json", field=name)


def _check_columns(name: str, schema: Any, known: dict[str, Any], required: tuple[str, ...]) -> None:
    for column in required:
        if column not in schema.names:
            raise Invalid(f"{name}: column {column} is missing", field=f"{name}:{column}")
    unknown = [column for column in schema.names if column not in known or column in _GRF_COLUMNS]
    unknown.sort(key=is_sensitive, reverse=True)  # stable: sensitive ones first
    kind: type[UnknownField] = UnknownField
    for column in unknown:
        if is_sensitive(column):
            kind, told = SensitiveField, f"{column} asks for special-category data; remove the column"
        elif column in _GRF_COLUMNS:
            told = f"{column} is computed by riskgraph alone and cannot be delivered"
        else:
            told = f"column {column} is not part of {SCHEMA}"
        more = f" (refused with it: {', '.join(unknown[1:])})" if len(unknown) > 1 else ""
        raise kind(f"{name}: {told}{more}", field=f"{name}:{column}", names=tuple(unknown))
    for column in schema.names:
        _check_type(name, column, schema.field(column).type, known[column])


def _check_type(name: str, column: str, got: Any, expected: Any) -> None:
    types = arrow().types
    text = types.is_string(expected)
    number = types.is_floating(expected) or types.is_integer(expected)
    fits = got == expected or types.is_null(got)
    fits = fits or (number and (types.is_floating(got) or types.is_integer(got)))
    fits = fits or (text and (types.is_large_string(got) or types.is_dictionary(got)))
    fits = fits or (types.is_timestamp(expected) and types.is_timestamp(got) and got.tz is not None)
    fits = fits or (types.is_fixed_size_list(expected) and _is_list(got))
    fits = fits or (_is_list(expected) and _is_list(got))
    fits = fits or (types.is_fixed_size_binary(expected) and types.is_binary(got))
    if not fits:
        raise Invalid(f"{name}: column {column} is {got}, expected {expected}", field=f"{name}:{column}")


def _is_list(kind: Any) -> bool:
    types = arrow().types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def check_columns(folder: Path, orders: list[Path], outcomes: list[Path]) -> None:
    """Names and types of all columns.

    Raises:
        Invalid: A column is missing, unknown, of the wrong type, or computed by riskgraph alone.
        SensitiveField: A column's name asks for special-category data.
    """
    for paths, known, required in (
        (orders, all_order_types(), REQUIRED),
        (outcomes, outcome_types(), _REQUIRED_OUTCOME),
    ):
        for path in paths:
            name = path.relative_to(folder).as_posix()
            try:
                schema = parquet().read_schema(path)
            except arrow().ArrowInvalid as error:
                raise Invalid(f"{name} is no parquet file: {error}", field=name) from error
            _check_columns(name, schema, known, required)


def check_order(table: Any, last: int | None, seen: set[str], name: str) -> int | None:
    """Orders ascend in time and appear once; returns the last time in microseconds.

    Raises:
        Invalid: If they do not.
    """
    times = table["placed_at"].cast(arrow().int64()).to_pylist()
    for row, (moment, order_id) in enumerate(zip(times, table["order_id"].to_pylist(), strict=True)):
        if moment is None or order_id is None:
            raise Invalid(f"{name}: row {row} has no placed_at or order_id", field=f"{name}:placed_at")
        if last is not None and moment < last:
            raise Invalid(f"{name}: row {row} is not in time order", field=f"{name}:placed_at")
        if order_id in seen:
            raise Invalid(f"{name}: order_id {order_id[:64]} appears twice", field=f"{name}:order_id")
        seen.add(order_id)
        last = moment
    return last
