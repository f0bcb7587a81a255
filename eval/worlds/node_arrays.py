"""Node values of many orders at once: checked and made into columns, as strict as one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, Form, NodeSpec, catalog
from riskgraph.core.components import MAX_COUNT
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.schema import node_columns, node_type

_HISTOGRAM_KEYS = {"n", "bins"}
_NUMBERS = {int, float}
Values = list[Any]


class Unfit(Exception):
    """Some value does not fit its node; ``OrderSubgraph.build`` says which and why."""


def node_arrays(signals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Arrow columns of delivered node values (by node id), null where an order has none.

    Columns of nodes that no order delivers are left out.

    Raises:
        Unfit: Exactly if ``OrderSubgraph.build`` refuses the values of one of the orders.
    """
    found: dict[str, tuple[list[int], Values]] = {}
    for row, delivered in enumerate(signals):
        for key, value in delivered.items():
            rows, values = found.get(key) or found.setdefault(key, ([], []))
            rows.append(row)
            values.append(value)
    columns: dict[str, Any] = {}
    for key, (rows, values) in found.items():
        node = catalog()[key]
        columns |= _MAKERS[node.form](node, np.array(rows), values, len(signals))
    return columns


def _mask(rows: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    mask = np.ones(count, dtype=np.bool_)
    mask[rows] = False
    return mask


def _numbers(node: NodeSpec, rows: NDArray[np.int64], values: Values, count: int) -> dict[str, Any]:
    if not set(map(type, values)) <= _NUMBERS:
        raise Unfit(node.id)
    try:
        given = np.array(values, dtype=np.float64)
    except OverflowError:
        raise Unfit(node.id) from None
    low, high = node.bounds
    # Said this way round, so that NaN does not fit.
    if not (given.min() >= low and given.max() <= high):
        raise Unfit(node.id)
    return {node.id: _scattered(node, rows, given, count)}


def _flags(node: NodeSpec, rows: NDArray[np.int64], values: Values, count: int) -> dict[str, Any]:
    if set(map(type, values)) != {bool}:
        raise Unfit(node.id)
    return {node.id: _scattered(node, rows, np.array(values), count)}


def _scattered(node: NodeSpec, rows: NDArray[np.int64], given: NDArray[Any], count: int) -> Any:
    all_rows = np.zeros(count, dtype=given.dtype)
    all_rows[rows] = given
    return arrow().array(all_rows, node_type(node), mask=_mask(rows, count))


def _words(node: NodeSpec, rows: NDArray[np.int64], values: Values, count: int) -> dict[str, Any]:
    if set(map(type, values)) != {str} or not set(values) <= set(node.words):
        raise Unfit(node.id)
    all_rows = np.full(count, None, dtype=object)
    all_rows[rows] = values
    return {node.id: arrow().array(all_rows, node_type(node))}


def _histograms(node: NodeSpec, rows: NDArray[np.int64], values: Values, count: int) -> dict[str, Any]:
    if len(node.histograms) == 1:
        return {node.id: _bins(node, rows, values, count)}
    names = {h.name for h in node.histograms}
    if not all(type(v) is dict and v.keys() == names for v in values):
        raise Unfit(node.id)
    return {
        column: _bins(node, rows, [v[h.name] for v in values], count)
        for h, column in zip(node.histograms, node_columns(node), strict=True)
    }


def _bins(node: NodeSpec, rows: NDArray[np.int64], values: Values, count: int) -> Any:
    all_rows = np.zeros((count, BIN_COUNT), dtype=np.int32)
    all_rows[rows] = _counts(node, values)
    pa = arrow()
    flat, mask = pa.array(all_rows.ravel()), pa.array(_mask(rows, count))
    return pa.FixedSizeListArray.from_arrays(flat, BIN_COUNT, mask=mask)


def _counts(node: NodeSpec, values: Values) -> NDArray[np.int64]:
    """int64[rows, 16]."""
    if not all(type(v) is dict and v.keys() == _HISTOGRAM_KEYS for v in values):
        raise Unfit(node.id)
    bins = [v["bins"] for v in values]
    if not all(type(b) is list and len(b) == BIN_COUNT for b in bins):
        raise Unfit(node.id)
    flat = list(chain.from_iterable(bins))
    if set(map(type, flat)) != {int} or min(flat) < 0 or max(flat) > MAX_COUNT:
        raise Unfit(node.id)
    counts = np.array(flat, dtype=np.int64).reshape(-1, BIN_COUNT)
    totals = counts.sum(axis=1).tolist()
    if 0 in totals or totals != [v["n"] for v in values]:
        raise Unfit(node.id)
    return counts


_MAKERS: dict[Form, Callable[[NodeSpec, NDArray[np.int64], Values, int], dict[str, Any]]] = {
    Form.NUMBER: _numbers,
    Form.FLAG: _flags,
    Form.CLASS: _words,
    Form.HISTOGRAM: _histograms,
}
