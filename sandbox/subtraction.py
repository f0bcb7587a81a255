"""Which sets of cells of a table are told by sums over other sets, added and subtracted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Sets = NDArray[np.bool_]
_ZERO = 1e-6


def fixed_sets(known: Sets, free: NDArray[np.bool_]) -> Sets:
    """Sets of free cells whose count follows from known sums, whatever the counts are.

    A set follows if its indicator is a combination of the known ones. In reduced row echelon form the weights
    of a combination are its entries at the pivots, and those of a set are 0 or 1: so the sums of some of the
    rows are all that there can be. A cell that is told alone has a row of its own and adds nothing to others.

    Args:
        known: bool[S, C], the cells of each known sum.
        free: bool[C], the cells that a set may have.

    Returns:
        bool[F, C]; all sets that follow are unions of disjoint ones of these.
    """
    order = np.argsort(free, kind="stable")
    rows, pivots = _echelon(known[:, order].astype(np.float64))
    taken = np.count_nonzero(~free)
    # rows with a pivot among the free cells, which come last, have nothing elsewhere
    rows = rows[pivots >= taken, taken:]
    alone = np.count_nonzero(np.abs(rows) > _ZERO, axis=1) == 1
    sums = np.vstack([_zero_one(rows[~alone]), rows[alone]])
    out = np.zeros((len(sums), len(free)), dtype=np.bool_)
    out[:, order[taken:]] = sums > 0.5
    return out


def _zero_one(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[F, C], sums of some of the rows that are 0 or 1 everywhere."""
    filled = np.abs(rows) > _ZERO
    sums = np.zeros((1, rows.shape[1]))
    for i, row in enumerate(rows):
        sums = np.vstack([sums, sums + row])
        # where no later row has anything the sum stays, and one that is neither 0 nor 1 there is no set
        ended = sums[:, filled[i] & ~filled[i + 1 :].any(axis=0)]
        sums = sums[(np.abs(ended * (ended - 1)) < _ZERO).all(axis=1)]
    return sums


def _echelon(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Reduced row echelon form without empty rows, and the column of each row's pivot."""
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        at = len(pivots)
        best = at + int(np.abs(rows[at:, column]).argmax()) if at < len(rows) else at
        if at == len(rows) or abs(rows[best, column]) < _ZERO:
            continue
        rows[[at, best]] = rows[[best, at]]
        rows[at] /= rows[at, column]
        factor = rows[:, column].copy()
        factor[at] = 0.0
        rows -= np.outer(factor, rows[at])
        pivots.append(column)
    return rows[: len(pivots)], np.array(pivots, dtype=np.intp)
