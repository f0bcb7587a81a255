"""Linked scores: what earlier orders of other accounts looked like by themselves, told to a later order.

An experiment: further components of the cross-order nodes. In a graph-additive model the logit of an order by
itself (all terms but those of cross-order nodes) is free, and would be logged with each decision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable

DAYS = 30
_DAY_US = 86_400_000_000
# Column of the table, and the node whose component a score becomes.
LINKS = (("device", "B131"), ("address", "B132"), ("card", "B133"))

Floats = NDArray[np.float64]


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
