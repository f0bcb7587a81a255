"""What an order shares with earlier ones: the 37 nodes that riskgraph computes itself.

Nothing placed, reported or claimed after ``placed_at`` is ever read, so a replay of a world gives
what serving gave. The catalogue's definitions are the specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from riskgraph.core.catalog import Form, catalog
from riskgraph.core.context_account import ACCOUNT_NODES
from riskgraph.core.context_linked import LINKED_NODES
from riskgraph.core.context_order import ORDER_NODES
from riskgraph.core.context_ring import RING_NODES
from riskgraph.core.context_view import View
from riskgraph.core.history import History, MemoryHistory
from riskgraph.core.order import Order
from riskgraph.core.subgraph import State

_Compute = Callable[[View], Any]
_Rows = tuple[tuple[str, str, tuple[float, float] | None, _Compute], ...]
_COMPUTE: dict[str, _Compute] = {
    **ORDER_NODES,
    **ACCOUNT_NODES,
    **LINKED_NODES,
    **RING_NODES,
}
_NODES = tuple(
    (n.id, n.purpose, n.bounds if n.form is Form.NUMBER else None, _COMPUTE[n.id])
    for n in catalog()
    if n.computed_by == "riskgraph"
)
_OF_PURPOSE = {
    purpose: frozenset(row[0] for row in _NODES if row[1] == purpose)
    for purpose in {row[1] for row in _NODES}
}
_ORDER_ONLY = tuple(row for row in _NODES if row[0] in ORDER_NODES)
# What other accounts did over shared hashes: the nodes that a history shared by several services tells.
SHARED_NODES = frozenset({"B131", "B132", "B133", "B134", "B136", "B137"})
_SHARED = tuple(row for row in _NODES if row[0] in SHARED_NODES)


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


def compute_context(order: Order, history: History, source: str = "local") -> OrderContext:
    """The computed nodes of an order.

    A node that the checkout delivered is left out (its value wins); one that is refused stays
    refused, and so does every device node when the purpose ``device`` is (GDPR Art. 7; PIPL
    Art. 15-16). Numbers are clipped to the catalogue's range.

    Args:
        order: The order after the door.
        history: Earlier orders and outcomes; later ones in it are never read.
        source: Where the history lives, for the answer.
    """
    return OrderContext(*_read(order, history, _NODES), source)


def share_context(context: OrderContext, order: Order, history: History) -> OrderContext:
    """A context whose ``SHARED_NODES`` are computed anew from another history; the others stand.

    Args:
        context: What :func:`compute_context` gave for the order.
        order: The order.
        history: Where the shared nodes are read.
    """
    values, absent = _read(order, history, _SHARED)
    values |= {node: value for node, value in context.values.items() if node not in SHARED_NODES}
    absent |= {node: cause for node, cause in context.absent.items() if node not in SHARED_NODES}
    return OrderContext(values, absent, context.source)


def _read(order: Order, history: History, nodes: _Rows) -> tuple[dict[str, Any], dict[str, State]]:
    view = View(order, history)
    values, absent = _compute(view, nodes)
    # A ring holds its view: the pair is let go here, and does not wait for the collector.
    view.ring = None
    return values, absent


def context_without_history(order: Order) -> OrderContext:
    """What the order alone tells, for when no history can be read; the rest is not delivered."""
    values, absent = _compute(View(order, MemoryHistory()), _ORDER_ONLY)
    refused = _refused(order)
    for node_id, *_ in _NODES:
        if node_id not in ORDER_NODES and node_id not in order.signals:
            absent[node_id] = State.REFUSED if node_id in refused else State.NOT_DELIVERED
    return OrderContext(values, absent, "none")


def _refused(order: Order) -> set[str]:
    """Computed nodes that consent forbids."""
    refused = {key for key, cause in order.absent.items() if cause is State.REFUSED}
    for name, granted in order.consent.purposes.items():
        if granted is False:
            refused |= _OF_PURPOSE.get(name, frozenset())
    return refused


def _compute(view: View, nodes: _Rows) -> tuple[dict[str, Any], dict[str, State]]:
    values: dict[str, Any] = {}
    absent: dict[str, State] = {}
    order, delivered = view.order, view.order.signals
    refused = _refused(order)
    for node_id, _, bounds, compute in nodes:
        if node_id in delivered:
            continue
        value = State.REFUSED if node_id in refused else compute(view)
        if value is None:
            absent[node_id] = order.absent.get(node_id, State.NOT_DELIVERED)
        elif type(value) is State:
            absent[node_id] = value
        elif bounds is None or bounds[0] <= value <= bounds[1]:
            values[node_id] = value
        else:
            values[node_id] = min(max(value, bounds[0]), bounds[1])
    return values, absent
