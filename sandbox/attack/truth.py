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
from riskgraph.sandbox.choice import choose, entered, window
from riskgraph.sandbox.frame import build_frame
from riskgraph.sandbox.intake import microseconds
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.tables import group_rows


@dataclass(frozen=True)
class Grouping:
    """Who went into which group.

    Attributes:
        rows: intp[M], places in the history of the rows that were used.
        group: int32[M], their groups, in the order of the released tables.
        entered: The M orders as the policy let them in.
    """

    rows: NDArray[np.intp]
    group: NDArray[np.int32]
    entered: OrderTable


def true_groups(
    history: OrderTable, request: ReleaseRequest, published: Published, policy: Policy
) -> Grouping:
    """Make the map of a release of simulated provenance again.

    Args:
        history: What was released; only rows that really entered are in the map.
        request: As the release was asked for.
        published: The release.
        policy: As the release had it.

    Raises:
        CheckFailed: If the groups are not those that were released.
    """
    before = np.flatnonzero(history.placed_at < microseconds(request.until))
    table = window(history, request.until)
    intake, units = choose(table, until=request.until, k=request.k, policy=policy)
    taken = entered(table, intake)
    with threadpool_limits(limits=1, user_api="blas"):
        frame = build_frame(table, intake, units, request.k)
        grouped = group_rows(frame, request.k, np.random.default_rng(request.seed))
    group, source = grouped.row_group, grouped.frame.source
    if not np.array_equal(np.bincount(group, minlength=len(published.groups)), published.groups.rows):
        raise CheckFailed("the map that judges linkage is not that of the release", field="rows")
    return Grouping(before[source], group, taken.take(np.searchsorted(intake.rows, source)))
