"""Members and controls: a history cut in two halves, so that nobody is in both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable
from riskgraph.sandbox.units import find_units


@dataclass(frozen=True)
class Split:
    """The two halves of one history, over the same span of time.

    Attributes:
        first: bool[N], orders of the first half.
        unit, component: int64[N], persons and components of the whole history.
    """

    first: NDArray[np.bool_]
    unit: NDArray[np.int64]
    component: NDArray[np.int64]


def split_history(table: OrderTable, usable: NDArray[np.intp], seed: int) -> Split:
    """Cut a history in two by whole components.

    A component never falls apart: no person and no ring is in both halves, so whoever is in one half
    was never seen by a release of the other. Components of like size are cut apart in pairs, at
    random: were the rings of one half larger, a score could tell large from small ones.

    Args:
        table: The history, N orders.
        usable: intp[M], places of the orders that a release may use; sizes are counted in them.
        seed: Seed of the cut.
    """
    units = find_units(table)
    count = int(units.component.max(initial=-1)) + 1
    component, label = units.component[usable], table.label[usable]
    honest, fraud = (np.bincount(component[label == c], minlength=count) for c in (0, 1))
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(count), honest, fraud))[::-1]
    first, lead = np.zeros(count, dtype=np.bool_), np.zeros(2)
    scale = np.maximum([honest.sum(), fraud.sum()], 1)
    for pair in (order[i : i + 2] for i in range(0, count, 2)):
        ahead = np.array([honest[pair[0]], fraud[pair[0]]]) / scale
        behind = np.array([honest[pair[-1]], fraud[pair[-1]]]) / scale
        more = ahead - behind
        # The larger one goes where there is less so far; equal ones by a coin.
        turn = float(lead @ more)
        swap = turn > 0 or (turn == 0 and bool(rng.integers(2)))
        first[pair[1 if swap and len(pair) == 2 else 0]] = True
        lead += -more if swap else more
    return Split(first[units.component], units.unit, units.component)
