"""Reference (a): classic rules on network, device, distance and velocity, each with fixed points.

Thresholds and points in ``rules.csv`` are round numbers of the kind that shops write down; none was
fitted to any data.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import Form, catalog
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Rule:
    """One rule: ``component`` (a node where ``test`` is ``absent_as``), test, value, points.

    Tests: ``is`` (class word or flag), ``at_least``, ``at_most``, ``absent_as`` (cause of absence).
    """

    name: str
    component: str
    test: str
    value: str
    points: int
    meaning: str

    def holds(self, table: OrderTable) -> Bools:
        """bool[N]; an absent node never trips a rule about its value."""
        node = catalog()[self.component[:4]]
        if self.test == "absent_as":
            return np.asarray(table.states[:, node.index] == State[self.value.upper()], dtype=np.bool_)
        column = table.components[:, catalog().component_index[self.component]]
        # NaN compares false.
        if self.test == "is":
            words = ("false", "true") if node.form is Form.FLAG else node.words
            return np.asarray(column == words.index(self.value), dtype=np.bool_)
        limit = float(self.value)
        held = column >= limit if self.test == "at_least" else column <= limit
        return np.asarray(held, dtype=np.bool_)


@cache
def rules() -> tuple[Rule, ...]:
    """The rules in the file, in its order."""
    text = resources.files(__package__).joinpath("rules.csv").read_text(encoding="utf-8")
    return tuple(
        Rule(r["rule"], r["component"], r["test"], r["value"], int(r["points"]), r["meaning"])
        for r in csv.DictReader(text.splitlines())
    )


def trips(table: OrderTable) -> Bools:
    """bool[N, rules]: which rules each order trips."""
    return np.stack([rule.holds(table) for rule in rules()], axis=1)


def points(table: OrderTable) -> NDArray[np.float64]:
    """float64[N]: sum of the points of the rules that hold."""
    worth = np.array([rule.points for rule in rules()], dtype=np.float64)
    return np.asarray(trips(table) @ worth, dtype=np.float64)
