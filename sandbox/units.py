"""Units counted by class, printed before anything is partitioned; the newest rows of each, and their rate.

``core.units`` says what a unit and a component are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.units import Units

_DAY = 86_400_000_000

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClassUnits:
    """Units of one label class, printed before anything is partitioned.

    Attributes:
        label: 1 fraud, 0 clean.
        orders, units, components: Counts.
        largest_unit: Orders of the unit that has most.
        largest_component: Units of the component that has most.
    """

    label: int
    orders: int
    units: int
    components: int
    largest_unit: int
    largest_component: int

    def __str__(self) -> str:
        name = "fraud" if self.label else "honest"
        return (
            f"{name}: {self.orders} orders of {self.units} persons in {self.components} components; "
            f"largest person {self.largest_unit} orders, largest component {self.largest_component} persons"
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def count_units(units: Units, label: NDArray[np.int8]) -> tuple[ClassUnits, ...]:
    """Counts per label class, clean first; an empty class counts zero."""
    return tuple(_count_class(units, label == value, value) for value in (0, 1))


def _count_class(units: Units, rows: NDArray[np.bool_], label: int) -> ClassUnits:
    unit, first, orders = np.unique(units.unit[rows], return_index=True, return_counts=True)
    sizes = np.unique(units.component[rows][first], return_counts=True)[1]
    return ClassUnits(
        label,
        int(rows.sum()),
        len(unit),
        len(sizes),
        int(orders.max(initial=0)),
        int(sizes.max(initial=0)),
    )


def newest(key: Ints, placed_at: Ints, most: int) -> NDArray[np.bool_]:
    """bool[N]: the newest ``most`` rows of each key; of rows of one time the later in the table is newer."""
    order = np.lexsort((placed_at, key))
    ordered = key[order]
    # How many rows of the same key come after each one.
    ends = np.searchsorted(ordered, ordered, side="right")
    out = np.empty(len(key), dtype=np.bool_)
    out[order] = ends - np.arange(len(key)) <= most
    return out


def new_units_per_day(unit: Ints, placed_at: Ints) -> float:
    """Units a day that are seen for the first time, over the later half of a history's days.

    The average since its first day would promise too much: everybody is new at first, and then the same
    people come again.

    Args:
        unit: int64[N], unit of each order.
        placed_at: int64[N], microseconds.
    """
    if not len(unit) or placed_at.max() == placed_at.min():
        return 0.0
    order = np.argsort(placed_at, kind="stable")
    _, first = np.unique(unit[order], return_index=True)
    middle = (int(placed_at.min()) + int(placed_at.max())) / 2
    fresh = int((placed_at[order][first] > middle).sum())
    return fresh / ((int(placed_at.max()) - middle) / _DAY)


def describe(counts: Sequence[ClassUnits], dropped: Mapping[str, int] | None = None) -> str:
    """One line per class, and one of the orders that were left out, by reason."""
    lines = [str(c) for c in counts]
    left = [f"{rows} {reason}" for reason, rows in (dropped or {}).items() if rows]
    return "\n".join([*lines, f"left out: {', '.join(left)}"] if left else lines)
