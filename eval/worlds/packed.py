"""A packed world: each order's whole subgraph in one column, and entities as keyed hashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from riskgraph.core.outcome import Outcome
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.intake import stamps
from riskgraph.eval.worlds.schema import ENTITY_COLUMNS, PURPOSE_COLUMNS, all_order_types, outcome_types
from riskgraph.eval.worlds.writer import ROWS_PER_FILE, new_folder, write_manifest, write_parts

HASHED = "hashed"
COLUMNS = (
    "merchant_id", "order_id", "channel_code", "phase", "placed_at", "jurisdiction", "amount_value",
    "amount_currency", *ENTITY_COLUMNS, *PURPOSE_COLUMNS.values(), "objected", "subgraph",
)  # fmt: skip
Row = Mapping[str, Any]


def write_packed_world(
    out: Path, orders: Iterable[Row], outcomes: Iterable[Outcome], facts: Mapping[str, Any]
) -> dict[str, int]:
    """Write a world whose orders carry their subgraphs packed.

    Args:
        out: A folder that does not exist yet, or is empty.
        orders: Rows with ``COLUMNS``, in time order; ``placed_at`` in epoch seconds, entities as hex.
        outcomes: Read after all orders.
        facts: Further facts of the manifest, ``provenance`` among them; looked at when all is read.

    Returns:
        Counts of orders and outcomes.

    Raises:
        Conflict: If ``out`` is not empty.
    """
    counts = {"orders": 0, "outcomes": 0}
    with new_folder(out) as folder:
        (folder / "observed").mkdir()
        tables = (_orders(rows, counts) for rows in _blocks(orders))
        write_parts(tables, folder / "observed", "orders")
        told = sorted(outcomes, key=lambda outcome: (outcome.reported_at, outcome.order_key))
        write_parts((_outcomes(rows, counts) for rows in _blocks(told)), folder / "observed", "outcomes")
        entities = dict.fromkeys(ENTITY_COLUMNS, HASHED)
        write_manifest(folder, {**facts, "packed": True, "entities": entities, "counts": counts})
    return counts


def _blocks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """At most so many rows as a file has; one empty block where there are none."""
    left = iter(rows)
    block = list(islice(left, ROWS_PER_FILE))
    yield block
    while block := list(islice(left, ROWS_PER_FILE)):
        yield block


def _orders(rows: list[Row], counts: dict[str, int]) -> Any:
    counts["orders"] += len(rows)
    pa, types = arrow(), all_order_types()
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    made = {name: pa.array(columns[name], types[name]) for name in COLUMNS if name != "placed_at"}
    return pa.table({**made, "placed_at": stamps(columns["placed_at"])}).select(list(COLUMNS))


def _outcomes(rows: list[Outcome], counts: dict[str, int]) -> Any:
    counts["outcomes"] += len(rows)
    pa, types = arrow(), outcome_types()
    keys = [outcome.order_key.split("|") for outcome in rows]
    columns: dict[str, list[Any]] = {
        **{
            name: [key[i] for key in keys]
            for i, name in enumerate(("merchant_id", "channel_code", "order_id"))
        },
        **{
            name: [getattr(o, name) for o in rows]
            for name in ("outcome_id", "kind", "reason", "source", "reverses")
        },
    }
    made = {name: pa.array(values, types[name]) for name, values in columns.items()}
    moments = {name: stamps([getattr(o, name) for o in rows]) for name in ("effective_at", "reported_at")}
    return pa.table(made | moments).select(list(types))
