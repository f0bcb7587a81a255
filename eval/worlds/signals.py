"""Columns of node values with their states, while a world is being made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, Form, catalog
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds.streams import Bools, Ints


class Signals:
    """Node values of N orders.

    Args:
        n: Number of orders.

    Attributes:
        columns: ``B003`` or ``B013.speed`` to values; classes as indexes into the node's words,
            histograms as int32[N, 16].
        states: uint8[N, 137].
    """

    def __init__(self, n: int) -> None:
        self.columns: dict[str, NDArray[Any]] = {}
        self.states = np.full((n, NODE_COUNT), State.NOT_DELIVERED, dtype=np.uint8)

    def rows(self, start: int, stop: int) -> Signals:
        """Some of the orders, as views of the same columns."""
        some = Signals(0)
        some.columns = {name: values[start:stop] for name, values in self.columns.items()}
        some.states = self.states[start:stop]
        return some

    def put(self, node_id: str, values: NDArray[Any], exists: Bools, *, part: str = "") -> None:
        """Enter one node; where it does not exist it is not applicable."""
        node = catalog()[node_id]
        if node.form is Form.NUMBER:
            values = np.clip(values.astype(np.float64), *node.bounds)
        self.columns[f"{node_id}.{part}" if part else node_id] = values
        self.states[:, node.index] = np.where(exists, State.PRESENT, State.NOT_APPLICABLE)

    def withhold(self, node_id: str, rows: Bools, cause: State) -> None:
        """Mark the node absent in the given rows."""
        self.states[rows, catalog()[node_id].index] = cause

    def apply_purposes(self, front: Bools, purposes: dict[str, Ints]) -> None:
        """Withhold what the shopper did not grant; without a front end nothing was measured.

        Args:
            front: bool[N] the order came through a front end.
            purposes: Purpose to int64[N]: 1 granted, 0 refused, -1 never asked.
        """
        for node in catalog():
            if node.computed_by == "sdk":
                self.withhold(node.id, ~front, State.NOT_DELIVERED)
            if node.purpose == "none":
                continue
            granted = purposes[node.purpose]
            self.withhold(node.id, granted < 0, State.NOT_DELIVERED)
            self.withhold(node.id, granted == 0, State.REFUSED)
