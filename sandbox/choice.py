"""Which orders a release uses: one choice for releases, for attacks on them, and for what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable
from riskgraph.sandbox.intake import Choice, Intake, admit, choose_rows, microseconds
from riskgraph.sandbox.partition import orders_cap
from riskgraph.sandbox.policy import Policy, objectors
from riskgraph.sandbox.units import Units, find_units

Barred = Mapping[str, NDArray[np.bool_]]


def window(table: OrderTable, until: date) -> OrderTable:
    """The orders before a day, with later objections; of a table in time order not even a copy."""
    if table.objected.any():
        # Persons of the whole history: who objects later may do so from an account that is not in it before.
        table = replace(table, objected=objectors(table, find_units(table).unit))
    inside = table.placed_at < microseconds(until)
    count = int(inside.sum())
    if not inside[:count].all():
        return table.take(inside)
    return OrderTable(**{name: column[:count] for name, column in vars(table).items()})


def choose(
    table: OrderTable, *, until: date, k: int, policy: Policy, barred: Barred | None = None
) -> tuple[Intake, Units]:
    """What of a history enters a release: policy, settled window, and the cap on orders of a unit.

    Args:
        table: The history, N orders.
        until: Day on which the labels are read.
        k: Persons per group, from which the cap follows.
        policy: What an order may give.
        barred: Further rows that must not enter, bool[N] by reason.

    Returns:
        The intake, and the units of the whole history.

    Raises:
        Invalid: If components and states do not agree; the component or node is named.
    """
    units = find_units(table)
    intake = admit(table, until=until, policy=policy, barred=barred, unit=units.unit, cap=orders_cap(k))
    return intake, units


def pick(table: OrderTable, *, until: date, k: int, policy: Policy, barred: Barred) -> tuple[Choice, Units]:
    """The rows that :func:`choose` takes, without their values, and the units of the whole history."""
    units = find_units(table)
    rows = choose_rows(table, until=until, policy=policy, barred=barred, unit=units.unit, cap=orders_cap(k))
    return rows, units


def chosen(
    table: OrderTable, unit: NDArray[np.int64], *, until: date, k: int, policy: Policy, barred: Barred
) -> NDArray[np.bool_]:
    """bool[N]: the rows that :func:`choose` takes, without their values; the units are known."""
    out = np.zeros(len(table), dtype=np.bool_)
    picked = choose_rows(table, until=until, policy=policy, barred=barred, unit=unit, cap=orders_cap(k))
    out[picked.rows] = True
    return out


def entered(table: OrderTable, intake: Intake) -> OrderTable:
    """The orders of an intake as the policy let them in; a copy, for the intake is used up by grouping."""
    return replace(
        table.take(intake.rows),
        components=intake.values.copy(order="C"),
        states=intake.states.copy(),
        availability=intake.availability.copy(),
    )
