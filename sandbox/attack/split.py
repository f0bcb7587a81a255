"""Members and controls: a history cut in two halves, so that nobody is in both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable
from riskgraph.core.units import find_units


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


def numbered(table: OrderTable) -> OrderTable:
    """The same history with accounts, devices, cards and addresses numbered by their first order.

    The numbers that the door gives hang on its key. Groups and halves break ties by them, so that two
    installations would otherwise cut one history in different ways.
    """
    return replace(
        table,
        account=_by_first(table.account),
        device=_by_first(table.device),
        card=_by_first(table.card),
        address=_by_first(table.address),
    )


def _by_first(code: NDArray[np.int64]) -> NDArray[np.int64]:
    out = np.full(len(code), -1, dtype=np.int64)
    known = np.flatnonzero(code >= 0)
    _, first, place = np.unique(code[known], return_index=True, return_inverse=True)
    out[known] = np.argsort(np.argsort(first))[place]
    return out


def split_history(table: OrderTable, usable: NDArray[np.intp], seed: int) -> Split:
    """Cut a history in two by whole components.

    A component never falls apart: no person and no ring is in both halves, so whoever is in one half
    was never seen by a release of the other. Components of like size are cut apart in pairs, at
    random: were the rings of one half larger, a score could tell large from small ones. The cut hangs on
    the seed and on who shares what with whom, not on how entities are numbered.

    Args:
        table: The history, N orders.
        usable: intp[M], places of the orders that a release may use; sizes are counted in them.
        seed: Seed of the cut.
    """
    units = find_units(numbered(table))
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
