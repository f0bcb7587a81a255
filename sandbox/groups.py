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

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.sandbox.absence import PARTS, AbsenceTally
from riskgraph.sandbox.bins import NOISE_SD, Scale
from riskgraph.sandbox.frame import COMPONENT_COUNT
from riskgraph.sandbox.partition import Grouped, Partition, Persons
from riskgraph.sandbox.shape import Shape

MEAN_NOISE = 0.1
SD_NOISE = 0.05
PRESENCE_NOISE = 0.02
_NOBODY = 1e6
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
class Pools:
    """Which facts of R2 are told by several groups together; for the count of persons, not released.

    A pool is 0 for a group alone, 1 and 2 for thin groups of a class, 3 for those of both; negative where it
    has too few persons, so that nothing is told.

    Attributes:
        mean: int8[G, 259], pools of means and sds. parts: int8[G, 4], of the shares of parts.
        nodes: float64[2, 24, 137], the share that strata of a class tell together, NaN where they do not.
    """

    mean: NDArray[np.int8]
    parts: NDArray[np.int8]
    nodes: NDArray[np.float64]


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


@dataclass(frozen=True)
class _Moments:
    """Exact moments of groups, float32[G, 259] each.

    Attributes:
        mean, sd: On the latent scale; where under k units of a group have a component, those of a pool.
        rows: Rows behind them.
        pool: int8, see ``Pools``.
    """

    mean: Floats
    sd: Floats
    rows: Floats
    pool: NDArray[np.int8]


def _moments(sums: Sums, label: NDArray[np.int8], shared: NDArray[np.int64], k: int) -> _Moments:
    thin, of = sums.units < k, label[:, None] == np.arange(2)
    own = thin[:, :, None] & of[:, None, :]
    held = (sums.units[:, :, None] * own).sum(axis=0)
    units, together = held - shared[:2], held.sum(axis=1) - shared[2]
    # where a class has under k units in its thin groups, both take the pool of both
    joint = ((units < k) & own.any(axis=0)).any(axis=1)
    pool = np.where(thin, np.where(joint, 3, 1 + label[:, None]), 0).astype(np.int8)
    mean, square, rows = sums.total.copy(), sums.square.copy(), sums.count.copy()
    for number, known in ((1, units[:, 0] >= k), (2, units[:, 1] >= k), (3, together >= k)):
        mine = pool == number
        for told, part in ((mean, sums.total), (square, sums.square), (rows, sums.count)):
            told[:] = np.where(mine, (part * mine).sum(axis=0), told)
        # of too few nothing is told: mean 0, variance 1, and no row moves them
        for told, nothing in ((mean, 0.0), (square, _NOBODY), (rows, _NOBODY)):
            told[:] = np.where(mine & ~known, nothing, told)
        pool[mine & ~known] = -number
    n = np.maximum(rows, 1.0)
    mean /= n
    return _Moments(mean, np.sqrt(np.maximum(square / n - mean**2, 0.0)), n, pool)


def _noised_moments(
    exact: _Moments, scales: Sequence[Scale], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Means and sds with noise: of some of the scale, and of what ``NOISE_SD`` rows would move.

    A pool is one fact, however many groups tell it, and has one draw. What a row moves is the step to another
    bin: of up to three bins mean and sd give the rows in each, so the largest step, else that to a neighbour.
    """
    step = np.array([_step(scale.z) for scale in scales])
    alone, pools = rng.normal(size=(2, *exact.mean.shape)), rng.normal(size=(2, 4, exact.mean.shape[1]))
    columns = np.arange(exact.mean.shape[1])
    draw = np.where(exact.pool != 0, pools[:, np.abs(exact.pool), columns], alone)
    by_rows, variance = NOISE_SD * step / exact.rows, exact.sd.astype(np.float64) ** 2
    mean = exact.mean + draw[0] * np.maximum(MEAN_NOISE, by_rows)
    variance += draw[1] * np.maximum(2 * SD_NOISE * variance, by_rows * step)
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 0.0)).astype(np.float32)


def _step(z: Floats) -> float:
    if len(z) < 2:
        return 0.0
    return float(z[-1] - z[0]) if len(z) <= 3 else float(np.diff(z).max())


def noised_groups(
    sums: Sums,
    items: Persons,
    split: Partition,
    absence: AbsenceTally,
    scales: Sequence[Scale],
    k: int,
    rng: np.random.Generator,
) -> tuple[Groups, Pools, Floats, Floats]:
    """R2 of all groups.

    Args:
        sums: Of the groups.
        items: Who stands behind each item.
        split: The groups.
        absence: Who has each node in a class and stratum: a share of under k units is not told.
        scales: The bins.
        k: Least number of units.
        rng: Source of the noise.

    Returns:
        The released table; then what stays inside the sandbox: what is told together, exact means and sds.
    """
    kept = split.group >= 0
    group, count = split.group[kept], len(split.label)
    rows = np.bincount(group, weights=items.rows[kept], minlength=count).astype(np.int64)
    shared = _shared(items, kept)
    exact = _moments(sums, split.label, shared, k)
    mean, sd = _noised_moments(exact, scales, rng)
    rare = absence.rare_shares(shared[:2], k)
    share, base, pool = told_shares(sums, split, rows, rare, shared, k)
    # in a small group 2 % are a row or two: the count of rows that lack a node would be as good as told
    pools = rng.normal(size=(4, share.shape[1]))[np.abs(pool), np.arange(share.shape[1])]
    draw = np.where(pool != 0, pools, rng.normal(size=share.shape))
    noise = draw * np.maximum(PRESENCE_NOISE, NOISE_SD / np.maximum(base, 1.0))
    # a share of exactly 0 or 1 is a fact about at least k persons (a block that is not there)
    noised = np.where((share > 0) & (share < 1), np.clip(share + noise, 0.005, 0.995), share)
    released = Groups(
        label=split.label,
        stratum=split.stratum,
        rows=rows,
        units=np.bincount(group, minlength=count),
        components=_components(group, items.component[kept], count),
        mean=mean,
        sd=sd,
        presence=noised.astype(np.float32),
    )
    return released, Pools(exact.pool, pool[:, NODE_COUNT:], rare), exact.mean, exact.sd


def presence_shares(sums: Sums, rows: NDArray[np.int64]) -> Floats:
    """Share of each group's rows with a node, and of those with its part that may be left out.

    Returns:
        float32[G, 141].
    """
    whole = sums.nodes / rows[:, None]
    parts = [sums.count[:, j] / np.maximum(sums.nodes[:, node], 1.0) for node, j in PARTS]
    return np.column_stack([whole, *parts]).astype(np.float32)


def _shared(items: Persons, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64[3]: how often units count again, of each class in other strata, of both in the other class."""
    parts = (items.unit[kept & mine] for mine in (items.label == 0, items.label == 1, kept))
    return np.array([len(units) - len(np.unique(units)) for units in parts])


def told_shares(
    sums: Sums,
    split: Partition,
    rows: NDArray[np.int64],
    rare: NDArray[np.float64],
    shared: NDArray[np.int64],
    k: int,
) -> tuple[Floats, Floats, NDArray[np.int8]]:
    """Presence shares of which each stands for k units before noise, and the rows that each is a share of.

    A part's share is of the rows with its node: groups in which under k units have that are pooled by
    class, and by both classes where that is not enough.

    Args:
        sums: Of the groups.
        split: The groups.
        rows: int64[G], of each group.
        rare: float64[2, 24, 137], shares that stand for a class and stratum instead of a group.
        shared: int64[3], units of a class, and of both, that may count in several groups.
        k: Least number of units.

    Returns:
        float32[G, 141] twice, and the pool that each share of a part is of, as in ``_Moments``.
    """
    share = presence_shares(sums, rows)
    base = np.repeat(rows[:, None], share.shape[1], axis=1).astype(np.float32)
    pool = np.zeros(share.shape, dtype=np.int8)
    instead = rare[split.label, split.stratum]
    nodes = instead.shape[1]
    share[:, :nodes] = np.where(np.isnan(instead), share[:, :nodes], instead)
    for column, (node, j) in enumerate(PARTS, start=nodes):
        # every row that has a node has some of its components
        holders = sums.units[:, catalog().component_slices[node]].max(axis=1)
        rows_of, units_of = (sums.count[:, j], sums.nodes[:, node]), (sums.units[:, j], holders)
        told = _pooled_share(rows_of, units_of, split.label, shared, k)
        share[:, column], base[:, column], pool[:, column] = told
    return share, base, pool


def _pooled_share(
    rows: tuple[Floats, Floats], units: tuple[Floats, Floats], label: NDArray[np.int8],
    shared: NDArray[np.int64], k: int,
) -> tuple[Floats, Floats, NDArray[np.int8]]:  # fmt: skip
    """Shares of a part among rows with its node, by rows and units that have the part and the node.

    Groups in which under k units have the node take the share of all such groups of their class, or of both
    classes. Where under k units have the part there, or lack it, nobody has it, or everybody.
    """
    (part, whole), (having, holders) = rows, units
    share, size = part / np.maximum(whole, 1.0), whole.copy()
    thin, pool = holders < k, np.zeros(len(label), dtype=np.int8)
    enough = [holders[thin & (label == c)].sum() - shared[c] >= k for c in (0, 1)]
    joint = not all(e or not (thin & (label == c)).any() for c, e in enumerate(enough))
    for number in (3,) if joint else (1, 2):
        mine = thin if number == 3 else thin & (label == number - 1)
        counted = shared[number - 1]
        few = having[mine].sum() - counted < k
        most = (holders - having)[mine].sum() - counted < k
        told = part[mine].sum() / max(whole[mine].sum(), 1.0)
        share[mine], size[mine] = 1.0 if most else 0.0 if few else told, whole[mine].sum()
        pool[mine] = -number if few or most else number
    return share.astype(np.float32), size, pool


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
