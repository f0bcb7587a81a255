"""R1 and R2: what is released of each group, with noise.

R1's centroids are decoded from R2's noised means: exact centroids beside noised means would undo
the noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from riskgraph.core.catalog import catalog
from riskgraph.sandbox.absence import PARTS, AbsenceTally
from riskgraph.sandbox.bins import Scale
from riskgraph.sandbox.frame import COMPONENT_COUNT
from riskgraph.sandbox.pairs import NOISE_SD
from riskgraph.sandbox.partition import Grouped, Partition, Persons
from riskgraph.sandbox.shape import Shape

MEAN_NOISE = 0.1
SD_NOISE = 0.05
PRESENCE_NOISE = 0.02
_NODE = np.array(catalog().component_node)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Groups:
    """R2, one entry per group, in random order.

    Attributes:
        label: int8[G]. stratum: int16[G]. rows, units, components: int64[G].
        mean, sd: float32[G, 259] on the latent scale ``z``. presence: float32[G, 141], share of
            rows with each node, then of those with the part that a context node may lack.
    """

    label: NDArray[np.int8]
    stratum: NDArray[np.int16]
    rows: NDArray[np.int64]
    units: NDArray[np.int64]
    components: NDArray[np.int64]
    mean: Floats
    sd: Floats
    presence: Floats

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Sums:
    """Items summed over groups: float32[G, 259] but ``nodes`` [G, 137] and ``units`` [G, 259]."""

    total: Floats
    square: Floats
    count: Floats
    nodes: Floats
    units: Floats

    @classmethod
    def joined(cls, parts: Iterable[Sums]) -> Sums:
        """Those of chunks, added in their order; no item may lie in two."""
        whole: dict[str, NDArray[np.float64]] = {}
        for part in parts:
            for name, values in vars(part).items():
                whole[name] = whole[name] + values if name in whole else values.astype(np.float64)
        return cls(**{name: values.astype(np.float32) for name, values in whole.items()})


def shuffle_groups(partition: Partition, rng: np.random.Generator) -> Partition:
    """Renumber the groups at random, so that their order says nothing about the splits."""
    order = rng.permutation(len(partition.label))
    place = np.empty(len(order) + 1, dtype=np.int32)
    place[order] = np.arange(len(order))
    place[-1] = -1
    return Partition(
        place[partition.group], partition.label[order], partition.stratum[order], partition.dropped
    )


def sum_groups(grouped: Grouped) -> Sums:
    """Sum items over their groups; squares and counts are needed of groups only."""
    frame, binned, items, split = grouped.frame, grouped.binned, grouped.items, grouped.split
    kept = np.flatnonzero(split.group >= 0)
    shape = (len(split.label), len(split.group))
    adder = csr_array((np.ones(len(kept), np.float32), (split.group[kept], kept)), shape=shape)

    def over(values: Floats) -> Floats:
        out: Floats = adder @ values
        return out

    square = [over(frame.item_sums(np.square(binned.latent(columns)))) for columns in binned.blocks()]
    presence, place = binned.presence
    count = frame.item_sums(presence.astype(np.float32))
    units = (count > 0).astype(np.float32)
    return Sums(
        total=over(items.total),
        square=np.hstack(square),
        count=over(count)[:, place],
        nodes=over(items.nodes),
        units=over(units)[:, place],
    )


def _moments(sums: Sums, label: NDArray[np.int8], k: int) -> tuple[Floats, Floats]:
    """Exact mean and sd; where under k units of a group have a component, pooled over such groups."""
    mean, sd = np.zeros_like(sums.total), np.ones_like(sums.total)
    thin = sums.units < k
    for value in (0, 1):
        mine = (label == value)[:, None]
        weight = np.where(thin & mine, 1.0, 0.0)
        # a class in which under k units have the component at all takes the pool of both classes
        few = (sums.units * weight).sum(axis=0) < k
        weight = np.where(few & thin, 1.0, weight)
        n = np.maximum((sums.count * weight).sum(axis=0), 1.0)
        pooled = (sums.total * weight).sum(axis=0) / n
        spread = np.sqrt(np.maximum((sums.square * weight).sum(axis=0) / n - pooled**2, 0.0))
        usable = (sums.units * weight).sum(axis=0) >= k
        mean = np.where(mine & thin & usable, pooled, mean)
        sd = np.where(mine & thin & usable, spread, sd)
    n = np.maximum(sums.count, 1.0)
    own = sums.total / n
    mean = np.where(thin, mean, own)
    sd = np.where(thin, sd, np.sqrt(np.maximum(sums.square / n - own**2, 0.0)))
    return mean.astype(np.float32), sd.astype(np.float32)


def noised_groups(
    sums: Sums, items: Persons, split: Partition, absence: AbsenceTally, k: int, rng: np.random.Generator
) -> tuple[Groups, Floats, Floats]:
    """R2 of all groups.

    Args:
        sums: Of the groups.
        items: Who stands behind each item.
        split: The groups.
        absence: Who has each node in a class and stratum: a share of under k units is not told.
        k: Least number of units.
        rng: Source of the noise.

    Returns:
        The released table; then the exact means and sds, which stay inside the sandbox.
    """
    kept = split.group >= 0
    group, count = split.group[kept], len(split.label)
    rows = np.bincount(group, weights=items.rows[kept], minlength=count).astype(np.int64)
    mean, sd = _moments(sums, split.label, k)
    shared = np.array([_shared(items, split.group >= 0, label) for label in (0, 1)])
    share, base = told_shares(sums, split, rows, absence.rare_shares(shared, k), k)
    # in a small group 2 % are a row or two: the count of rows that lack a node would be as good as told
    noise = rng.normal(0, 1, share.shape) * np.maximum(PRESENCE_NOISE, NOISE_SD / np.maximum(base, 1.0))
    # a share of exactly 0 or 1 is a fact about at least k persons (a block that is not there)
    noised = np.where((share > 0) & (share < 1), np.clip(share + noise, 0.005, 0.995), share)
    released = Groups(
        label=split.label,
        stratum=split.stratum,
        rows=rows,
        units=np.bincount(group, minlength=count),
        components=_components(group, items.component[kept], count),
        mean=mean + rng.normal(0, MEAN_NOISE, mean.shape).astype(np.float32),
        sd=sd * (1 + rng.normal(0, SD_NOISE, sd.shape)).astype(np.float32),
        presence=noised.astype(np.float32),
    )
    return released, mean, sd


def presence_shares(sums: Sums, rows: NDArray[np.int64]) -> Floats:
    """Share of each group's rows with a node, and of those with its part that may be left out.

    Returns:
        float32[G, 141].
    """
    whole = sums.nodes / rows[:, None]
    parts = [sums.count[:, j] / np.maximum(sums.nodes[:, node], 1.0) for node, j in PARTS]
    return np.column_stack([whole, *parts]).astype(np.float32)


def _shared(items: Persons, kept: NDArray[np.bool_], label: int) -> int:
    """By how much the units of all strata of a class exceed those of the class."""
    units = items.unit[kept & (items.label == label)]
    return len(units) - len(np.unique(units))


def told_shares(
    sums: Sums, split: Partition, rows: NDArray[np.int64], rare: NDArray[np.float64], k: int
) -> tuple[Floats, Floats]:
    """Presence shares of which each stands for k units before noise, and the rows that each is a share of.

    A part's share is of the rows with its node: groups in which under k units have that are pooled by
    class, and by both classes where that is not enough.

    Args:
        sums: Of the groups.
        split: The groups.
        rows: int64[G], of each group.
        rare: float64[2, 24, 137], shares that stand for a class and stratum instead of a group.
        k: Least number of units.

    Returns:
        float32[G, 141] twice.
    """
    share = presence_shares(sums, rows)
    base = np.repeat(rows[:, None], share.shape[1], axis=1).astype(np.float32)
    instead = rare[split.label, split.stratum]
    nodes = instead.shape[1]
    share[:, :nodes] = np.where(np.isnan(instead), share[:, :nodes], instead)
    for column, (node, j) in enumerate(PARTS, start=nodes):
        # every row that has a node has some of its components
        holders = sums.units[:, catalog().component_slices[node]].max(axis=1)
        pooled, size = _pooled_share(sums.count[:, j], sums.nodes[:, node], holders, split.label, k)
        share[:, column], base[:, column] = pooled, size
    return share, base


def _pooled_share(
    part: Floats, whole: Floats, units: Floats, label: NDArray[np.int8], k: int
) -> tuple[Floats, Floats]:
    """Shares of a part; groups of under k units take that of all such groups together, if those have k."""
    share, size = part / np.maximum(whole, 1.0), whole.copy()
    thin = units < k
    for mine in (thin & (label == 0), thin & (label == 1)):
        pool = mine if units[mine].sum() >= k else thin
        known = units[pool].sum() >= k
        share[mine] = part[pool].sum() / max(whole[pool].sum(), 1.0) if known else 1.0
        size[mine] = whole[pool].sum()
    return share.astype(np.float32), size


def sse_ratio(sums: Sums) -> float:
    """Squared error within groups over that of all rows, on the latent scale of present values.

    SSE/SST (Domingo-Ferrer and Mateo-Sanz, TKDE 2002): 0 where groups are points, 1 where they say nothing.
    """
    total, square, count = (part.astype(np.float64) for part in (sums.total, sums.square, sums.count))
    within = (square - total**2 / np.maximum(count, 1)).sum()
    whole = (square.sum(axis=0) - total.sum(axis=0) ** 2 / np.maximum(count.sum(axis=0), 1)).sum()
    return round(float(within / max(whole, 1e-12)), 4)


def _components(group: NDArray[np.int32], component: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    span = np.int64(component.max(initial=0) + 1)
    return np.bincount(np.unique(group * span + component) // span, minlength=count)


def _decode(scale: Scale, shape: Shape, z: Floats) -> NDArray[np.float64]:
    """Value whose latent score is ``z``, between the middles of the released bins."""
    bins = len(scale.z)
    weight = shape.share[0] + shape.share[1] + 1e-9
    middle = (shape.lower + shape.upper) / 2
    total = np.bincount(shape.bin, weights=weight, minlength=bins)
    value = np.bincount(shape.bin, weights=weight * middle, minlength=bins) / np.maximum(total, 1e-12)
    return np.interp(z, scale.z, value)


def centroids(groups: Groups, scales: Sequence[Scale], shapes: Sequence[Shape]) -> Floats:
    """R1: float32[G, 259], NaN for a node that most of the group lacks."""
    out = np.empty((len(groups), COMPONENT_COUNT), dtype=np.float32)
    for j, (scale, shape) in enumerate(zip(scales, shapes, strict=True)):
        out[:, j] = _decode(scale, shape, groups.mean[:, j])
    out[groups.presence[:, _NODE] < 0.5] = np.nan
    return out
