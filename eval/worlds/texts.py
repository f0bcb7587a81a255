"""Texts of a world: what somebody wrote, as far as it is not an entity.

None of them becomes a column of an ``OrderTable`` (``order_id`` does, as an opaque key); they are read
so that the sandbox can search them and say what it found. Entities are left out: they are hashed whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from riskgraph.eval.worlds.extras import arrow, compute, parquet
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.schema import ENTITY_COLUMNS, order_types, outcome_types

_BATCH = 20_000
_LINKS = {*ENTITY_COLUMNS, "card_bin"}


def texts(world: World) -> dict[str, Counter[str]]:
    """How often each text stands in each field, without digits: ``{"items.category": {"toys": 7}, …}``.

    Digits say nothing about a special category, and without them ids are few. Fields of outcomes are
    named ``outcomes.reason`` and so on.
    """
    found: dict[str, Counter[str]] = {}
    for before, paths, types in (
        ("", world.order_files, order_types()),
        ("outcomes.", world.outcome_files, outcome_types()),
    ):
        for path in paths:
            for field, column in _columns(path, types):
                found.setdefault(before + field, Counter()).update(_counted(column))
    return found


def _columns(path: Path, types: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    kinds = arrow().types
    with parquet().ParquetFile(path) as file:
        known = file.schema_arrow
        wanted = [n for n in known.names if n in types and n not in _LINKS and _has_text(types[n])]
        for batch in file.iter_batches(_BATCH, columns=wanted):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if kinds.is_null(column.type):
                    continue
                if not (kinds.is_list(column.type) or kinds.is_large_list(column.type)):
                    yield name, column
                    continue
                rows = column.flatten()
                for field in rows.type:
                    if _is_text(field.type):
                        yield f"{name}.{field.name}", rows.field(field.name)


def _is_text(kind: Any) -> bool:
    types = arrow().types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind))


def _has_text(kind: Any) -> bool:
    if arrow().types.is_list(kind):
        inner = kind.value_type
        return arrow().types.is_struct(inner) and any(_is_text(field.type) for field in inner)
    return _is_text(kind)


def _counted(column: Any) -> dict[str, int]:
    plain = column.cast(arrow().string()).drop_null()
    counts = compute().value_counts(compute().replace_substring_regex(plain, "[0-9]+", ""))
    return {row["values"]: row["counts"] for row in counts.to_pylist()}
