"""Linked scores: what earlier orders of other accounts looked like by themselves, told to a later order.

An experiment: further components of the cross-order nodes. In a graph-additive model the logit of an order by
itself (all terms but those of cross-order nodes) is free, and would be logged with each decision.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.table import OrderTable
from riskgraph.models.compiled import Tables, table_logits
from riskgraph.models.layout import Layout

DAYS = 30
_DAY_US = 86_400_000_000
# Column of the table, and the node whose component a score becomes.
LINKS = (("device", "B131"), ("address", "B132"), ("card", "B133"))
CROSS_ORDER = ("B131", "B132", "B133", "B134", "B135", "B136", "B137")

Floats = NDArray[np.float64]


def order_only(tables: Tables, components: NDArray[np.float32]) -> Floats:
    """Logits float64[N] without the terms of cross-order nodes, offset left out."""
    layout = tables.edges.layout
    cross = np.array([catalog()[node].index for node in CROSS_ORDER])
    own, pairs = tables.own.copy(), tables.pairs.copy()
    own[np.isin(layout.node, cross)] = 0.0
    pairs[np.isin(layout.ends, cross).any(axis=1)] = 0.0
    return table_logits(replace(tables, own=own, pairs=pairs).flat(), tables.edges, components)


def linked_scores(table: OrderTable, logit: Floats) -> NDArray[np.float32]:
    """Mean and highest logit of earlier orders of other accounts in 30 days, by shared thing.

    Args:
        table: N orders in time order.
        logit: float64[N], of each order by itself.

    Returns:
        float32[N, 6]: mean and maximum by device, by address, by card; NaN where there is no such order.
    """
    columns = [_linked(getattr(table, name), table, logit) for name, _ in LINKS]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _linked(thing: NDArray[np.int64], table: OrderTable, logit: Floats) -> Floats:
    out = np.full((len(table), 2), np.nan)
    rows = np.argsort(thing, kind="stable")
    rows = rows[thing[rows] >= 0]
    starts = np.flatnonzero(np.diff(thing[rows], prepend=-1))
    for mine in np.split(rows, starts[1:]):
        if len(mine) > 1:
            out[mine] = _within(table.placed_at[mine], table.account[mine], logit[mine])
    return out


def _within(placed_at: NDArray[np.int64], account: NDArray[np.int64], logit: Floats) -> Floats:
    """Mean and maximum over earlier orders of one thing, for each of its orders."""
    out = np.full((len(logit), 2), np.nan)
    first = np.searchsorted(placed_at, placed_at - DAYS * _DAY_US, side="left")
    # what is placed in the same microsecond is not earlier
    last = np.searchsorted(placed_at, placed_at, side="left")
    for i, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        others = logit[low:high][account[low:high] != account[i]]
        if len(others):
            out[i] = others.mean(), others.max()
    return out


def with_links(layout: Layout) -> Layout:
    """The layout with six further components, two of each of the three nodes; pairs stay."""
    names = [f"{node}.linked_{kind}" for _, node in LINKS for kind in ("mean", "most")]
    node = np.repeat([catalog()[name].index for _, name in LINKS], 2)
    count = len(names)
    hidden = np.concatenate([layout.hidden, np.zeros((2, count), dtype=np.bool_)], axis=1)
    return replace(
        layout,
        components=(*layout.components, *names),
        node=np.concatenate([layout.node, node]),
        words=np.concatenate([layout.words, np.zeros(count, dtype=np.int64)]),
        ordered=np.concatenate([layout.ordered, np.ones(count, dtype=np.bool_)]),
        signs=np.concatenate([layout.signs, np.ones(count, dtype=np.int8)]),
        never_raise=np.concatenate([layout.never_raise, np.zeros(count, dtype=np.bool_)]),
        optional=np.concatenate([layout.optional, np.zeros(count)]),
        hidden=hidden,
    )
