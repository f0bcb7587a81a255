"""A world becomes NDJSON: one file a part, one body a line, and a manifest of where it came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.eval.worlds.exchange import write_origin
from riskgraph.eval.worlds.exporter import order_bodies, outcome_bodies
from riskgraph.eval.worlds.extras import arrow, parquet
from riskgraph.eval.worlds.ndjson import Body, encoded, located, no_cycles
from riskgraph.eval.worlds.parallel import Workers
from riskgraph.eval.worlds.reader import World, cast
from riskgraph.eval.worlds.schema import all_order_types, node_columns, outcome_types
from riskgraph.eval.worlds.writer import Progress, new_folder, quiet

ROWS = 1_000
# As the parser of requests has it (core.order.Reader.time).
FIRST_YEAR, LAST_YEAR = 1990, 2100
_FIRST, _LAST = (
    int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1e6) for year in (FIRST_YEAR, LAST_YEAR + 1)
)


@dataclass(frozen=True)
class _Part:
    """One parquet file, the NDJSON file that it becomes, and its entity kinds."""

    source: Path
    target: Path
    kinds: dict[str, str]


def export_ndjson(world: World, out: Path, progress: Progress = quiet, *, workers: int = 1) -> Path:
    """Write a world as ``orders-*.ndjson``, ``outcomes-*.ndjson`` and a ``manifest.json``.

    The bodies are those that a shop would post (contracts, sections 2 and 3). The oracle and what
    riskgraph computes itself are never part of them, nor are values whose purpose was not granted.
    The manifest carries what bodies cannot say: provenance, seed, configuration, column names.

    Args:
        world: The world.
        out: A folder that does not exist yet, or is empty.
        progress: Called with (step, done, total), in orders and outcomes.
        workers: Processes that write; the bytes are the same with any number.

    Raises:
        Invalid: Rows are out of time order or twice there, or hold what no body can; named by file.
        Conflict: If ``out`` is not empty.
    """
    if world.packed:
        raise Invalid("a packed world has no bodies to write: it keeps no raw values", field="packed")
    # What an import could not bring back in this order must not leave.
    for _ in world.parts(["placed_at", "order_id"]):
        pass
    with new_folder(Path(out)) as folder, Workers(workers) as pool:
        columns = {"orders": _columns(world.order_files), "outcomes": _columns(world.outcome_files)}
        for stem, sources, write in (
            ("orders", world.order_files, _write_orders),
            ("outcomes", world.outcome_files, _write_outcomes),
        ):
            kinds = world.manifest["entities"]
            parts = [_Part(path, folder / f"{path.stem}.ndjson", kinds) for path in sources]
            done, total = 0, row_counts(world)[stem]
            progress(stem, done, total)
            for rows in pool.map(write, parts):
                done += rows
                progress(stem, done, total)
        write_origin(folder, world.manifest, columns)
    return Path(out)


def row_counts(world: World) -> dict[str, int]:
    """Rows of orders and of outcomes, from the files' footers."""
    stems = {"orders": world.order_files, "outcomes": world.outcome_files}
    return {stem: sum(parquet().read_metadata(p).num_rows for p in paths) for stem, paths in stems.items()}


def _columns(paths: list[Path]) -> list[str]:
    """Names of all columns, as first seen.

    Raises:
        Invalid: If some histograms of a node lie there without the others; a body holds all or none.
    """
    names: dict[str, None] = {}
    for path in paths:
        columns = parquet().read_schema(path).names
        for node in catalog():
            lacking = [c for c in node_columns(node) if c not in columns]
            if 0 < len(lacking) < len(node_columns(node)):
                name = f"observed/{path.name}"
                raise Invalid(
                    f"{name}: column {lacking[0]} is missing beside others of {node.id}", field=name
                )
        names |= dict.fromkeys(columns)
    return list(names)


def batches(path: Path, types: dict[str, Any]) -> Iterator[Any]:
    """Arrow tables of at most 1,000 rows of one observed file, of which every row fits a body.

    Raises:
        Invalid: Naming the column that does not.
    """
    pa, name = arrow(), f"observed/{path.name}"
    with parquet().ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS):
            table = cast(pa.Table.from_batches([batch]), types, name)
            _check_sayable(table)
            yield table


def _check_sayable(table: Any) -> None:
    """Refuse what no body can hold, before it is lost in one."""
    pa, infinite = arrow(), float("inf")
    for column in table.column_names:
        values, kind = table[column], table[column].type
        if pa.types.is_floating(kind) and not (abs(values.fill_null(0.0).to_numpy()) < infinite).all():
            raise Invalid(f"column {column} holds a number that is not finite", field=column)
        if pa.types.is_fixed_size_list(kind) and values.combine_chunks().flatten().null_count:
            raise Invalid(f"column {column} lacks some of its 16 counts", field=column)
        if pa.types.is_timestamp(kind):
            micros = values.drop_null().cast(pa.int64()).to_numpy()
            if not ((micros >= _FIRST) & (micros < _LAST)).all():
                raise Invalid(
                    f"column {column} holds a time outside {FIRST_YEAR}..{LAST_YEAR}, which no "
                    "request may hold",
                    field=column,
                )


@no_cycles()
def _write_orders(part: _Part) -> int:
    tables = batches(part.source, all_order_types())
    return _write(part, (body for table in tables for body in order_bodies(table, part.kinds)))


@no_cycles()
def _write_outcomes(part: _Part) -> int:
    tables = batches(part.source, outcome_types())
    return _write(part, (body for table in tables for body in outcome_bodies(table)))


def _write(part: _Part, bodies: Iterable[Body]) -> int:
    rows = 0
    try:
        with part.target.open("wb") as stream:
            for body in bodies:
                stream.write(encoded(body) + b"\n")
                rows += 1
    except Invalid as error:
        raise located(error, f"observed/{part.source.name}") from None
    return rows
