"""Members and controls: a history cut in two, so that nobody stands on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable
from riskgraph.sandbox.units import find_units


@dataclass(frozen=True)
class Split:
    """The two sides of one history, over the same span of time.

    Attributes:
        members: bool[N], orders that a release is made of.
        unit, component: int64[N], persons and components of the whole history.
    """

    members: NDArray[np.bool_]
    unit: NDArray[np.int64]
    component: NDArray[np.int64]


def split_history(table: OrderTable, usable: NDArray[np.intp], seed: int) -> Split:
    """Cut a history by whole components, at random, into halves of about equal size per class.

    A component never falls apart: no person and no ring is on both sides, so a control is a person
    whom the release has never seen.

    Args:
        table: The history, N orders.
        usable: intp[M], places of the orders that a release may use; the halves are balanced over them.
        seed: Seed of the cut.
    """
    units = find_units(table)
    count = int(units.component.max(initial=-1)) + 1
    component, label = units.component[usable], table.label[usable]
    rows = np.stack([np.bincount(component[label == c], minlength=count) for c in (0, 1)], axis=1)
    share = rows / np.maximum(rows.sum(axis=0), 1)
    # Large ones first: what they unbalance, the many small ones level out again.
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(-share.max(axis=1)[order], kind="stable")]
    taken, balance = np.zeros(count, dtype=np.bool_), np.zeros(2)
    for number in order:
        lead = float(balance @ share[number])
        # Ties, as for components that no release may use, fall to either side in turn.
        taken[number] = lead < 0 or (lead == 0 and bool(number % 2))
        balance += share[number] if taken[number] else -share[number]
    return Split(taken[units.component], units.unit, units.component)
