"""Which items go together when they are too many to be split in memory at once.

Cuts are chosen on a sample, so a plan alone promises nothing: every item is then assigned by it, exact
counts decide whether both sides of a cut are crowds, and sides that are not are put together again. What is
left, a *bucket*, is split by the same rule as a small release (``partition``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.sandbox.partition import Persons, first_axis, is_crowd

SAMPLE = 16_384
# a direction from fewer items than this says little
_LEAST = 256

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Cuts of one stratum of a class, a binary tree whose root is cut 0.

    Attributes:
        axis: float32[C, 396], direction of each cut.
        at: float32[C]; items with a score above it go to the second side.
        side: int64[C, 2], the next cut of each side, or ``-1 - bucket``.
    """

    axis: Floats
    at: Floats
    side: NDArray[np.int64]

    def assign(self, features: Floats) -> Ints:
        """int64[n], the bucket of each item, from float32[n, 396]."""
        if not len(self.at):
            return np.zeros(len(features), dtype=np.int64)
        place = np.zeros(len(features), dtype=np.int64)
        for cut in range(len(self.at)):
            # a cut comes after the one above it
            here = np.flatnonzero(place == cut)
            # a product of BLAS would round by where a row stands among the others
            above = np.einsum("ij,j->i", features[here], self.axis[cut]) > self.at[cut]
            place[here] = self.side[cut][above.astype(np.intp)]
        return -1 - place


def plan_cuts(sample: Floats, count: int, most: int, rng: np.random.Generator) -> Plan:
    """Cut a stratum in halves along first principal components until a part holds ``most`` items or fewer.

    Args:
        sample: float32[S, 396], features of some of its items.
        count: Items of the stratum.
        most: Items that may be split in memory.
        rng: Starts of the power iterations.
    """
    axes: list[Floats] = []
    cuts: list[np.float32] = []
    sides: list[list[int]] = []
    stack, buckets = [(sample, -1, 0)], 0
    while stack:
        part, above, which = stack.pop(0)
        axis = first_axis(part, rng)
        scores = part @ axis
        at = np.median(scores) if len(part) else np.float32(0)
        high = scores > at
        if count * len(part) <= most * len(sample) or len(part) < _LEAST or not 0 < high.sum() < len(part):
            number, buckets = -1 - buckets, buckets + 1
        else:
            number = len(axes)
            axes, cuts, sides = [*axes, axis], [*cuts, np.float32(at)], [*sides, [0, 0]]
            stack += [(part[~high], number, 0), (part[high], number, 1)]
        if above >= 0:
            sides[above][which] = number
    width = sample.shape[1]
    return Plan(
        np.array(axes, np.float32).reshape(-1, width), np.array(cuts, np.float32),
        np.array(sides, np.int64).reshape(-1, 2),
    )  # fmt: skip


def crowds(plan: Plan, bucket: Ints, persons: Persons, chosen: Ints, k: int) -> list[Ints]:
    """The buckets that are crowds by exact count; the sides of a cut that has one that is not are joined.

    Args:
        plan: The cuts.
        bucket: int64[n], where the plan puts each item of the stratum.
        persons: Who stands behind all items.
        chosen: int64[n], the stratum's items; together they are a crowd.
        k: Least units of a group.

    Returns:
        For each bucket its places in ``chosen``.
    """

    def parts(number: int) -> list[Ints]:
        if number < 0:
            return [np.flatnonzero(bucket == -1 - number)]
        found = [part for side in plan.side[number].tolist() for part in parts(side)]
        mine = (chosen[part] for part in found)
        if all(is_crowd(persons.component[items], persons.rows[items], k) for items in mine):
            return found
        return [np.sort(np.concatenate(found))]

    return parts(0) if len(plan.at) else [np.arange(len(chosen))]
