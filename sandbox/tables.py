"""All that is released of the raw rows: R1 to R4 and the causes of absence, in one value."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from riskgraph.core.catalog import catalog
from riskgraph.sandbox.absence import Absence, AbsenceTally, fit_absence, tally_absence
from riskgraph.sandbox.bins import Scale, Support, fit_bins
from riskgraph.sandbox.frame import Frame, keep_rows
from riskgraph.sandbox.groups import (
    Groups,
    Pools,
    Sums,
    centroids,
    noised_groups,
    presence_shares,
    shuffle_groups,
    sse_ratio,
    sum_groups,
)
from riskgraph.sandbox.pairs import PairTables, PairTally, fit_pairs, pair_ends, tally_pairs
from riskgraph.sandbox.partition import Grouped, Partition, Persons, partition, summarise
from riskgraph.sandbox.shape import (
    Moments,
    RowMoments,
    Seen,
    Shape,
    fit_shapes,
    honest_correlation,
    levels_of,
    sample_honest,
)

MAX_CLUSTERS = 6


@dataclass(frozen=True)
class Tables:
    """What leaves the sandbox; the drawn rows are made from this alone.

    Attributes:
        scales: Bins of the 259 components.
        centroids: R1, float32[G, 259], decoded from R2's noised means.
        groups: R2. shapes, correlation: R3, float32[400, 400]. pairs: R4.
        absence: Causes and part patterns. cluster: int32[G], -1 for honest groups.
        sse_ratio: What the grouping loses, one figure over all groups; for the audit record.
        pools: What groups tell together. correlated: bool[259, 259], those that count as correlated.
            Both are for the count of persons and not released.
    """

    scales: tuple[Scale, ...]
    centroids: NDArray[np.float32]
    groups: Groups
    shapes: tuple[Shape, ...]
    correlation: NDArray[np.float32]
    pairs: PairTables
    absence: Absence
    cluster: NDArray[np.int32]
    sse_ratio: float
    pools: Pools
    correlated: NDArray[np.bool_]


def group_rows(frame: Frame, k: int, rng: np.random.Generator) -> Grouped:
    """Steps 1 to 3: bins, strata and groups; rows of left-out items are gone from the result.

    Raises:
        CheckFailed: If a class does not reach two groups.
    """
    binned = fit_bins(frame, k, rng)
    items = summarise(frame, binned)
    split = shuffle_groups(partition(items, k, rng), rng)
    kept = split.group >= 0
    if not kept.all():
        # bins must have k units among the rows that stay
        frame = keep_rows(frame, kept[frame.row_item])
        binned = fit_bins(frame, k, rng)
        items = summarise(frame, binned)
        split = Partition(split.group[kept], split.label, split.stratum, split.dropped)
    return Grouped(frame, binned, items, split)


class Told(Protocol):
    """All that the tables read of rows, once the groups are known."""

    @property
    def items(self) -> Persons: ...

    @property
    def split(self) -> Partition: ...

    @property
    def bins(self) -> tuple[tuple[Scale, ...], tuple[Support, ...]]: ...

    def sums(self) -> Sums: ...

    def first(self) -> Iterable[NDArray[np.float32]]:
        """For each component its values in one row of each honest unit, or of a sample of them."""

    def moments(self) -> Moments: ...

    def seen(self, rng: np.random.Generator) -> Seen:
        """A sample of honest rows."""

    def absence(self) -> AbsenceTally: ...

    def pairs(self) -> PairTally: ...


@dataclass(frozen=True)
class InMemory:
    """What rows tell that all lie in memory."""

    grouped: Grouped

    @property
    def items(self) -> Persons:
        return self.grouped.items

    @property
    def split(self) -> Partition:
        return self.grouped.split

    @property
    def bins(self) -> tuple[tuple[Scale, ...], tuple[Support, ...]]:
        return self.grouped.binned.scales, self.grouped.binned.support

    def sums(self) -> Sums:
        return sum_groups(self.grouped)

    def first(self) -> Iterable[NDArray[np.float32]]:
        frame = self.grouped.frame
        rows = frame.unit_starts[frame.units_of(0)]
        return (values.take(rows) for values in frame.values)

    def moments(self) -> Moments:
        return RowMoments(self.grouped.frame, self.grouped.binned)

    def seen(self, rng: np.random.Generator) -> Seen:
        frame, group = self.grouped.frame, self.grouped.row_group
        rows = sample_honest(np.flatnonzero(group[frame.rows_of(0)] >= 0), rng)
        return Seen(levels_of(frame, self.grouped.binned, rows), group[rows], frame.unit[rows])

    def absence(self) -> AbsenceTally:
        return tally_absence(self.grouped.frame)

    def pairs(self) -> PairTally:
        return tally_pairs(self.grouped.frame, self.grouped.binned)


def build_tables(grouped: Grouped, k: int, rng: np.random.Generator) -> tuple[Tables, dict[str, float]]:
    """R1 to R4 of a partition, and the seconds that R1-R3 and R4 took."""
    return tables_of(InMemory(grouped), k, rng)


def tables_of(told: Told, k: int, rng: np.random.Generator) -> tuple[Tables, dict[str, float]]:
    """R1 to R4 from what the rows tell, and the seconds that R1-R3 and R4 took."""
    began = time.perf_counter()
    (scales, support), sums = told.bins, told.sums()
    absent = told.absence()
    groups, pools, mean, sd = noised_groups(sums, told.items, told.split, absent, scales, k, rng)
    share = presence_shares(sums, groups.rows)
    shapes = fit_shapes(told.first(), scales, support, told.moments(), k, rng)
    correlation, correlated = honest_correlation(told.seen(rng), scales, (mean, sd, share), k)
    absence = fit_absence(absent, k, rng)
    middle = time.perf_counter()
    tables = Tables(
        scales=scales,
        centroids=centroids(groups, scales, shapes),
        groups=groups,
        shapes=shapes,
        correlation=correlation,
        pairs=fit_pairs(told.pairs(), rows_with_both(groups), k, rng),
        absence=absence,
        cluster=fraud_clusters(groups),
        sse_ratio=sse_ratio(sums),
        pools=pools,
        correlated=correlated,
    )
    return tables, {"r1_r3": middle - began, "r4": time.perf_counter() - middle}


def rows_with_both(groups: Groups) -> NDArray[np.float64]:
    """float64[2, 284]: rows of each class with both ends of each pair, if they come apart in a group.

    From R2's noised shares alone, so it says nothing that R2 does not say.
    """
    first, second = (groups.presence[:, ends] for ends in np.array(catalog().component_node)[pair_ends()].T)
    rows = groups.rows[:, None] * first.astype(np.float64) * second
    return np.stack([rows[groups.label == label].sum(axis=0) for label in (0, 1)])


def fraud_clusters(groups: Groups) -> NDArray[np.int32]:
    """Fraud groups joined into clusters of at least two groups each: int32[G], -1 for honest groups.

    Ward linkage over R2's noised means, so a cluster says no more than R2 does. No cluster is a
    single group: that would be a group id.
    """
    out = np.full(len(groups), -1, dtype=np.int32)
    mine = np.flatnonzero(groups.label == 1)
    found = np.ones(len(mine), dtype=np.int64)
    for wanted in range(min(MAX_CLUSTERS, len(mine) // 2), 1, -1):
        cut = fcluster(linkage(groups.mean[mine], "ward"), wanted, criterion="maxclust")
        if np.bincount(cut)[1:].min() >= 2:
            found = cut
            break
    out[mine] = np.unique(found, return_inverse=True)[1]
    return out
