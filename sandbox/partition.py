"""Steps 2 and 3: strata, then PC1 splits into groups of at least k persons, each class apart.

A unit's rows of one stratum stay in one group. A group has at least k units from at least 5
components, no component above half of its units or rows, no unit above a fifth of its rows: one
ring is not a crowd.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT
from riskgraph.core.errors import CheckFailed
from riskgraph.core.units import MAX_COMPONENT_SHARE, MIN_COMPONENTS
from riskgraph.sandbox.bins import Binned
from riskgraph.sandbox.frame import COMPONENT_COUNT, Frame

MAX_UNIT_SHARE = 0.2
MIN_GROUPS = 2
_RATIOS = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
_PCA_SAMPLE = 2048
_POWER_STEPS = 8

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Persons:
    """Who stands behind each item.

    Attributes:
        rows, unit, component: int64[items]. label, stratum of each item.
    """

    rows: Ints
    unit: Ints
    component: Ints
    label: NDArray[np.int8]
    stratum: NDArray[np.int16]


@dataclass(frozen=True)
class Items(Persons):
    """Sums over each item's rows: what the partition is made from.

    Attributes:
        total: float32[items, 259], sum of z over present rows.
        nodes: float32[items, 137], rows with the node.
    """

    total: Floats
    nodes: Floats


@dataclass(frozen=True)
class Partition:
    """Groups of items. ``group``: int32[items], -1 where the item was left out.

    ``label`` and ``stratum`` per group; ``dropped`` counts rows by reason (``cap``, ``residual``).
    """

    group: NDArray[np.int32]
    label: NDArray[np.int8]
    stratum: NDArray[np.int16]
    dropped: dict[str, int]


@dataclass(frozen=True)
class Grouped:
    """The partition inside the sandbox: rows, bins and the row-to-group map, never written.

    Attributes:
        frame, binned, items: What the groups are made of, without left-out rows.
        split: Its groups. dropped: Rows left out by reason.
    """

    frame: Frame
    binned: Binned
    items: Items
    split: Partition

    @property
    def row_group(self) -> NDArray[np.int32]:
        """int32[N], group of each row of the frame."""
        out: NDArray[np.int32] = self.split.group[self.frame.row_item]
        return out


def summarise(frame: Frame, binned: Binned) -> Items:
    """Sum every component over each item."""
    starts = frame.item_starts
    total = np.empty((len(starts), COMPONENT_COUNT), dtype=np.float32)
    for columns in binned.blocks():
        total[:, columns] = frame.item_sums(binned.latent(columns))
    return Items(
        total=total,
        nodes=frame.item_sums(frame.present.astype(np.float32)),
        rows=frame.item_rows,
        unit=frame.unit[starts],
        component=frame.component[starts],
        label=frame.label[starts],
        stratum=frame.stratum[starts],
    )


def is_crowd(component: Ints, rows: Ints, k: int) -> bool:
    """Whether items (one per unit) may form a group: enough persons, none of them dominant."""
    if len(rows) < k or rows.max() > MAX_UNIT_SHARE * rows.sum():
        return False
    _, place, units = np.unique(component, return_inverse=True, return_counts=True)
    if len(units) < MIN_COMPONENTS or units.max() > MAX_COMPONENT_SHARE * len(rows):
        return False
    by_rows = np.bincount(place, weights=rows)
    return bool(by_rows.max() <= MAX_COMPONENT_SHARE * rows.sum())


def orders_cap(k: int) -> int:
    """Most orders of a unit in a class, so that it is never above a fifth of any group.

    With c orders beside k - 1 units of one order each its share is c / (c + k - 1); at most a fifth where
    c <= (k - 1) / 4, which is 12 at k = 50.
    """
    return int(MAX_UNIT_SHARE * (k - 1) / (1 - MAX_UNIT_SHARE) + 1e-9)


def features(items: Items, chosen: Ints) -> Floats:
    """float32[n, 259 + 137]: an item's mean z (absent counts 0) and half-weighted absence shares."""
    rows = items.rows[chosen, None].astype(np.float32)
    out = np.empty((len(chosen), COMPONENT_COUNT + NODE_COUNT), dtype=np.float32)
    np.divide(items.total[chosen], rows, out=out[:, :COMPONENT_COUNT])
    np.divide(items.nodes[chosen], rows, out=out[:, COMPONENT_COUNT:])
    out[:, COMPONENT_COUNT:] *= -0.5
    return out


def first_axis(features: Floats, rng: np.random.Generator) -> Floats:
    """float32[C]: the first principal component, by power iteration on a sample."""
    if len(features) > _PCA_SAMPLE:
        sample = features[rng.choice(len(features), _PCA_SAMPLE, replace=False)]
    else:
        sample = features
    sample = sample - sample.mean(axis=0)
    axis: Floats = rng.standard_normal((features.shape[1],), dtype=np.float32)
    for _ in range(_POWER_STEPS):
        axis = sample.T @ (sample @ axis)
        axis = axis / np.float32(max(float(np.linalg.norm(axis)), 1e-12))
    return axis


def split_crowd(items: Persons, chosen: Ints, values: Floats, k: int, rng: np.random.Generator) -> list[Ints]:
    """Groups of items of one stratum of one class, as lists of items.

    Args:
        items: Who stands behind all items.
        chosen: int64[n], the items to split; together they are a crowd.
        values: float32[n, 396], their features.
        k: Least units of a group.
        rng: Starts of the power iterations.
    """
    groups: list[Ints] = []
    stack = [np.arange(len(chosen))]
    while stack:
        places = stack.pop()
        halves = None
        if len(places) >= 2 * k:
            mine = values[places]
            order = np.argsort(mine @ first_axis(mine, rng), kind="stable")
            halves = _halves(items, chosen[places], order, k)
        if halves is None:
            groups.append(chosen[places])
        else:
            stack += [places[h] for h in halves]
    return groups


def _halves(items: Persons, chosen: Ints, order: NDArray[np.intp], k: int) -> tuple[Ints, Ints] | None:
    for ratio in _RATIOS:
        cut = round(ratio * len(order))
        sides = (order[:cut], order[cut:])
        if all(is_crowd(items.component[chosen[s]], items.rows[chosen[s]], k) for s in sides):
            return sides
    return None


def trim(items: Persons, chosen: Ints, k: int) -> Ints:
    """Leave out the items that dominate a stratum until it is a crowd; empty if it never is."""
    while len(chosen) >= k and not is_crowd(items.component[chosen], items.rows[chosen], k):
        rows = items.rows[chosen]
        if rows.max() > MAX_UNIT_SHARE * rows.sum():
            chosen = np.delete(chosen, int(np.argmax(rows)))
            continue
        _, place = np.unique(items.component[chosen], return_inverse=True)
        weight = np.maximum(np.bincount(place) / len(chosen), np.bincount(place, weights=rows) / rows.sum())
        if len(weight) < MIN_COMPONENTS:
            return chosen[:0]
        members = np.flatnonzero(place == np.argmax(weight))
        chosen = np.delete(chosen, members[: max(1, len(members) // 8)])
    return chosen if len(chosen) >= k else chosen[:0]


def partition(items: Items, k: int, rng: np.random.Generator) -> Partition:
    """Split each class into groups of at least k units.

    Raises:
        CheckFailed: If a class does not reach two groups; says how many units there are.
    """
    group = np.full(len(items.rows), -1, dtype=np.int32)
    labels: list[int] = []
    strata: list[int] = []
    dropped = {"cap": 0, "residual": 0}
    for label in (0, 1):
        for stratum in np.unique(items.stratum[items.label == label]):
            chosen = np.flatnonzero((items.label == label) & (items.stratum == stratum))
            kept = trim(items, chosen, k)
            lost = int(items.rows[chosen].sum() - items.rows[kept].sum())
            dropped["cap" if len(kept) else "residual"] += lost
            if len(kept):
                for members in split_crowd(items, kept, features(items, kept), k, rng):
                    group[members] = len(labels)
                    labels.append(label)
                    strata.append(int(stratum))
        check_class(items, group, label, k)
    return Partition(group, np.array(labels, np.int8), np.array(strata, np.int16), dropped)


class Shortage(CheckFailed):
    """A class cannot be split into two crowds.

    Attributes:
        label: The class.
        missing: At least so many more units of it are needed.
    """

    def __init__(self, message: str, label: int, missing: int) -> None:
        super().__init__(message, field="label")
        self.label, self.missing = label, missing

    @property
    def on_record(self) -> str:
        """The refusal without its counts, which are of fewer persons than a record may tell."""
        return f"the {_name(self.label)} class has too few persons for {MIN_GROUPS} groups"

    def at_pace(self, per_day: float, dropped: Mapping[str, int]) -> Shortage:
        """The same refusal with what would help.

        Args:
            per_day: New persons of the class a day, as of late.
            dropped: Orders left out by reason, of both classes.
        """
        name = _name(self.label)
        most = max(dropped, key=lambda reason: dropped[reason], default="")
        if most == "barred" and dropped[most]:
            advice = f"the [training] table of merchant.toml bars {dropped[most]} orders"
        elif per_day <= 0:
            advice = f"no new {name} person came in the later half of the window: waiting will not help"
        else:
            days = math.ceil(self.missing / per_day)
            more = f"a window longer by about {days} more day{'s' if days > 1 else ''}"
            pace = f"{per_day:.2g}"
            advice = f"{more} would do at {pace} new {name} person{_s(pace)} a day, as of late"
        if most not in ("", "barred", "already_released") and dropped[most]:
            advice += f"; of the orders left out most are {most}: {dropped[most]}"
        return Shortage(f"{self.message} ({advice})", self.label, self.missing)


def _s(count: int | str) -> str:
    """The plural's ending."""
    return "" if str(count) == "1" else "s"


def _name(label: int) -> str:
    return "fraud" if label else "honest"


def check_class(items: Persons, group: NDArray[np.int32], label: int, k: int) -> None:
    mine = items.label == label
    grouped = mine & (group >= 0)
    groups = len(np.unique(group[grouped]))
    if groups < MIN_GROUPS or len(np.unique(items.unit[grouped])) < MIN_GROUPS * k:
        units, components = (len(np.unique(v[mine])) for v in (items.unit, items.component))
        raise too_few(label, units, components, groups, k, _missing(items, label, k))


def _missing(items: Persons, label: int, k: int) -> int:
    """Units that would have to come, at best, for two crowds: both in one stratum, or one in each of two.

    A stratum of u units of which c hang together lacks k - u of them, and 2c - u that stand apart; one
    that is not there yet lacks k.
    """
    one, two = [k, k], [MIN_GROUPS * k]
    for stratum in np.unique(items.stratum[items.label == label]):
        mine = (items.label == label) & (items.stratum == stratum)
        sizes = np.unique(items.component[mine], return_counts=True)[1]
        units, dominant, lacking = int(mine.sum()), int(sizes.max()), MIN_COMPONENTS - len(sizes)
        one.append(max(k - units, 2 * dominant - units, lacking, 0))
        two.append(max(2 * k - units, 2 * dominant - units, lacking, 0))
    return max(1, min([*two, sum(sorted(one)[:2])]))


def too_few(label: int, units: int, components: int, groups: int, k: int, missing: int) -> Shortage:
    """The refusal of a class that cannot be split into two crowds."""
    name = _name(label)
    share = "shares" if missing == 1 else "share"
    apart = f" that {share} nothing with the largest component" if units else ""
    return Shortage(
        f"the {name} class has {units} person{_s(units)} in {components} component{_s(components)} and forms "
        f"{groups} group{_s(groups)}; at least {MIN_GROUPS * k} persons in {MIN_GROUPS} groups of {k} are "
        f"needed, each from {MIN_COMPONENTS} components or more: at least {missing} more {name} "
        f"person{_s(missing)}{apart} {'is' if missing == 1 else 'are'} missing",
        label,
        missing,
    )
