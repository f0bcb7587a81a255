"""How much a single node gives away: a simulated world in which one does is too easy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import Form, catalog
from riskgraph.core.table import OrderTable


@dataclass(frozen=True)
class Leak:
    """Recall of fraud by one component alone, at a false-positive rate; ``sign`` says which side."""

    component: str
    sign: str
    recall: float


def _beyond(values: NDArray[np.float64], fraud: NDArray[np.bool_], budget: float) -> float:
    """Share of all fraud above the lowest threshold that flags at most ``budget`` honest orders."""
    honest = np.sort(values[~fraud & ~np.isnan(values)])[::-1]
    # Only what lies strictly above the threshold is flagged, so ties never overdraw the budget.
    allowed = int(budget)
    threshold = honest[allowed] if len(honest) > allowed else -np.inf
    return float((values[fraud] > threshold).sum() / max(1, fraud.sum()))


def _categories(values: NDArray[np.float64], fraud: NDArray[np.bool_], budget: float) -> float:
    """Share of all fraud in the values that are richest in fraud and fit into ``budget`` honest orders."""
    rows = []
    for value in np.unique(values[~np.isnan(values)]):
        here = values == value
        rows.append((int((here & ~fraud).sum()), int((here & fraud).sum())))
    # The half keeps values without any honest order from dividing by zero.
    rows.sort(key=lambda r: -r[1] / (r[0] + 0.5))
    spent, found = 0, 0
    for honest, frauds in rows:
        if spent + honest <= budget:
            spent, found = spent + honest, found + frauds
    return found / max(1, int(fraud.sum()))


def single_component_leaks(table: OrderTable, fraud: NDArray[np.bool_], fpr: float = 0.0038) -> list[Leak]:
    """Recall of every component outside the cross-order graph, alone, worst first.

    Numbers are tried on both sides, classes and flags by value, and the states of absence too.
    Recall counts all fraud orders, those without the node included.

    Args:
        table: Orders of a simulated world.
        fraud: bool[N] from the oracle.
        fpr: Allowed share of all honest orders.
    """
    budget = fpr * int((~fraud).sum())
    leaks: list[Leak] = []
    for node in catalog():
        if node.family == "GRF":
            continue
        for name, index in zip(
            node.components, range(*catalog().component_slices[node.index].indices(10**6)), strict=True
        ):
            values = table.components[:, index].astype(np.float64)
            full = f"{node.id}.{name}"
            if node.form in (Form.CLASS, Form.FLAG):
                leaks.append(Leak(full, "value", _categories(values, fraud, budget)))
                continue
            leaks.append(Leak(full, "high", _beyond(values, fraud, budget)))
            leaks.append(Leak(full, "low", _beyond(-values, fraud, budget)))
        leaks.append(
            Leak(
                node.id, "absence", _categories(table.states[:, node.index].astype(np.float64), fraud, budget)
            )
        )
    return sorted(leaks, key=lambda leak: -leak.recall)
