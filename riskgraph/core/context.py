"""What an order shares with earlier ones: the 37 nodes that riskgraph computes itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskgraph.core.subgraph import State


@dataclass(frozen=True, slots=True)
class OrderContext:
    """Computed nodes of one order, as they stood just before it was placed.

    Attributes:
        values: Node id to wire value.
        absent: Node id to cause, for computed nodes without a value.
        source: ``neo4j``, ``local`` or ``none``: where the history was read.
    """

    values: Mapping[str, Any]
    absent: Mapping[str, State]
    source: str = "local"
