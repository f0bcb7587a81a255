"""The map of rows to groups, made again from the seed of a release that never leaves the sandbox.

A release destroys its map. To judge whether a linkage attack picked the right group, the map of the
temporary release is made once more, which takes the raw rows and the unkeyed seed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from riskgraph.core.errors import CheckFailed
from riskgraph.core.table import OrderTable
from riskgraph.sandbox.attack.published import Published
from riskgraph.sandbox.frame import build_frame
from riskgraph.sandbox.intake import admit, microseconds
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.tables import group_rows
from riskgraph.sandbox.units import find_units


@dataclass(frozen=True)
class Grouping:
    """Who went into which group.

    Attributes:
        rows: intp[M], places in the history of the rows that were used.
        group: int32[M], their groups, in the order of the released tables.
    """

    rows: NDArray[np.intp]
    group: NDArray[np.int32]


def true_groups(history: OrderTable, request: ReleaseRequest, published: Published) -> Grouping:
    """Make the map of a release of simulated provenance again.

    Raises:
        CheckFailed: If the groups are not those that were released.
    """
    before = np.flatnonzero(history.placed_at < microseconds(request.until))
    table = history.take(before)
    intake = admit(table, until=request.until)
    with threadpool_limits(limits=1, user_api="blas"):
        frame = build_frame(table, intake, find_units(table), request.k)
        grouped = group_rows(frame, request.k, np.random.default_rng(request.seed))
    group = grouped.row_group
    if not np.array_equal(np.bincount(group, minlength=len(published.groups)), published.groups.rows):
        raise CheckFailed("the map that judges linkage is not that of the release", field="rows")
    return Grouping(before[grouped.frame.source], group)
