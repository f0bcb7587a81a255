"""Rows of a world as dicts, and its nodes as they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.eval.worlds.schema import PURPOSE_COLUMNS, node_columns, order_types

Signals = dict[str, Any]
_NODES = catalog().nodes


def python_rows(table: Any) -> Iterator[dict[str, Any]]:
    """Rows of an order table as dicts; columns that are missing are None."""
    present = set(table.column_names)
    names = [n for n in order_types() if n in present]
    lists = [table[n].to_pylist() for n in names]
    empty = dict.fromkeys(n for n in order_types() if n not in present)
    for values in zip(*lists, strict=True):
        yield {**empty, **dict(zip(names, values, strict=True))}


def wire_values(table: Any, nodes: tuple[NodeSpec, ...]) -> list[Signals]:
    """Delivered node values of every row, as on the wire."""
    out: list[Signals] = [{} for _ in range(table.num_rows)]
    present = set(table.column_names)
    for node in nodes:
        columns = node_columns(node)
        if not present.issuperset(columns):
            continue
        if node.form is Form.HISTOGRAM:
            _histograms(table, node, columns, out)
            continue
        for signals, value in zip(out, table[columns[0]].to_pylist(), strict=True):
            if value is not None:
                signals[node.id] = value
    return out


def _histograms(table: Any, node: NodeSpec, columns: tuple[str, ...], out: list[Signals]) -> None:
    for spec, column in zip(node.histograms, columns, strict=True):
        for signals, bins in zip(out, table[column].to_pylist(), strict=True):
            if bins is None:
                continue
            value = {"n": sum(bins), "bins": bins}
            if spec.name:
                signals.setdefault(node.id, {})[spec.name] = value
            else:
                signals[node.id] = value


def consent_of(row: Mapping[str, Any]) -> dict[str, bool]:
    """Purposes that were asked for."""
    return {p: row[c] for p, c in PURPOSE_COLUMNS.items() if row[c] is not None}


def local_time(moment: datetime, offset_s: int | None) -> datetime:
    """A moment at the shopper's own offset, UTC where the world does not tell it."""
    return moment.astimezone(timezone(timedelta(seconds=offset_s or 0)))
