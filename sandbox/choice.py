"""Which orders a release uses: one choice for releases, for attacks on them, and for what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable
from riskgraph.core.units import Units, find_units
from riskgraph.sandbox import intake
from riskgraph.sandbox.intake import Choice, Intake, admit, microseconds
from riskgraph.sandbox.partition import orders_cap
from riskgraph.sandbox.policy import Policy, objectors

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
    cap = orders_cap(k)
    return admit(table, until=until, policy=policy, barred=barred, unit=units.unit, cap=cap), units


def choose_rows(
    table: OrderTable, units: Units, *, until: date, k: int, policy: Policy, barred: Barred
) -> Choice:
    """The rows that :func:`choose` takes, without their values; the units of the history are known."""
    cap = orders_cap(k)
    return intake.choose_rows(table, until=until, policy=policy, barred=barred, unit=units.unit, cap=cap)


def entered(table: OrderTable, admitted: Intake) -> OrderTable:
    """The orders of an intake as the policy let them in; a copy, for the intake is used up by grouping."""
    return replace(
        table.take(admitted.rows),
        components=admitted.values.copy(order="C"),
        states=admitted.states.copy(),
        availability=admitted.availability.copy(),
    )
