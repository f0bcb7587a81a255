"""A partition of plain records on a few chosen fields, each record counting for one.

What other k-anonymity tools do, for comparison with them. A release never uses it: it counts persons,
over all 259 components (``partition``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from riskgraph.core.errors import Invalid


def partition_records(values: ArrayLike, k: int) -> NDArray[np.int32]:
    """Groups of at least k records that lie close together, by Mondrian's cuts.

    Each group is cut across its widest field, in proportion to whole groups of k, until fewer than
    2 k records are left; equal values may fall on both sides (relaxed multidimensional partitioning,
    LeFevre et al., ICDE 2006).

    Args:
        values: Numbers [N, Q], one row a record; an ordered code where a field holds words.
        k: Least number of records in a group.

    Returns:
        int32[N], the group of each record.

    Raises:
        Invalid: If there are fewer than k records, or a value is not a finite number.
    """
    columns = np.ascontiguousarray(np.asarray(values, dtype=np.float32).T)
    if columns.ndim != 2 or not np.isfinite(columns).all():
        raise Invalid("records must be finite numbers of shape [N, Q]", field="values")
    if k < 1 or columns.shape[1] < k:
        raise Invalid(f"{columns.shape[1]} records do not make a group of {k}", field="k")
    span = np.maximum(np.ptp(columns, axis=1), 1e-9)
    group = np.empty(columns.shape[1], dtype=np.int32)
    stack, made = [np.arange(columns.shape[1])], 0
    while stack:
        rows = stack.pop()
        parts = len(rows) // k
        if parts > 1:
            # a share of whole groups, not the middle: groups then end near k instead of near 1.5 k
            halves = _halves(columns.take(rows, axis=1), span, len(rows) * (parts // 2) // parts)
            if halves is not None:
                stack += [rows[half] for half in halves]
                continue
        group[rows] = made
        made += 1
    return group


def _halves(
    columns: NDArray[np.float32], span: NDArray[np.float32], cut: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """The ``cut`` records with the least values of the widest field, and the rest; None if all are alike."""
    widths = (np.maximum.reduce(columns, axis=1) - np.minimum.reduce(columns, axis=1)) / span
    widest = widths.argmax()
    if widths[widest] <= 0:
        return None
    order = columns[widest].argpartition(cut)
    return order[:cut], order[cut:]
