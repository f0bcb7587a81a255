"""One stored order as a graph: what it is made of, as node-link data and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import NotFound
from riskgraph.core.links import LinkedOrder, OrderLinks
from riskgraph.core.report import DecisionReport
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.order_picture import What, order_picture
from riskgraph.explainers.record import attribution_of
from riskgraph.models.exports import present_edges, to_networkx
from riskgraph.stores import SqliteStore
from riskgraph.stores.reads import StoredDecision

if TYPE_CHECKING:
    import networkx

# Relationship types of entities, as in Neo4j (ADR 0033).
ENTITY_EDGES = {
    "account": "PLACED_BY",
    "device": "ON_DEVICE",
    "card": "PAID_WITH",
    "address": "DELIVERED_TO",
    "phone": "REACHED_AT",
}


class OrderSource(Protocol):
    """Where an order is read from for a picture: the embedded store, or Neo4j."""

    def subgraph(self, order_key: str) -> OrderSubgraph | None: ...

    def links(self, order_key: str, most: int) -> OrderLinks | None: ...


@dataclass(frozen=True)
class OrderGraph:
    """What is known of one order.

    Attributes:
        subgraph: As decided, or as first recorded where no decision is looked at.
        record: The decision that was made from it; None where there is none.
        links: Its entities and the other orders behind them, as of now.
    """

    subgraph: OrderSubgraph
    record: DecisionReport | None
    links: OrderLinks

    def picture(self, what: What, lang: str) -> str:
        """See :func:`riskgraph.explainers.order_picture.order_picture`."""
        return order_picture(self.subgraph, self.record, self.links, what, lang)

    def to_networkx(self) -> networkx.MultiDiGraph:
        """The order, its 137 behavior nodes with typed edges, entities, other orders: as Neo4j holds them.

        Raises:
            ExtraMissing: If networkx is not installed (extra ``lab``).
        """
        behavior = to_networkx(self.subgraph)
        import networkx

        graph = networkx.MultiDiGraph(catalog_version=catalog().version)
        graph.add_node(self.links.order.name, **_order(self.links.order))
        phi = None if self.record is None else attribution_of(self.record)
        for i, (key, facts) in enumerate(behavior.nodes(data=True)):
            share = {} if phi is None else {"phi": float(phi.phi[i])}
            graph.add_node(key, label="Behavior", **facts, **share)
            graph.add_edge(self.links.order.name, key, key="HAS")
        nodes = catalog().nodes
        for edge in present_edges(self.subgraph):
            graph.add_edge(nodes[edge.source].id, nodes[edge.target].id, key=edge.type.upper())
        self._add_links(graph)
        return graph

    def _add_links(self, graph: networkx.MultiDiGraph) -> None:
        names = {}
        for entity in self.links.entities:
            names[entity.kind] = f"{entity.kind}:{entity.name}"
            facts = {"orders": entity.orders, "hub": entity.hub, "hidden": entity.hidden}
            graph.add_node(names[entity.kind], label=entity.kind.capitalize(), **facts)
            graph.add_edge(self.links.order.name, names[entity.kind], key=ENTITY_EDGES[entity.kind])
        for other in self.links.orders:
            graph.add_node(other.name, **_order(other))
            for kind in other.shares:
                graph.add_edge(other.name, names[kind], key=ENTITY_EDGES[kind])

    def node_link(self) -> dict[str, Any]:
        """Node-link data, as ``networkx.node_link_graph`` and d3 read it.

        Raises:
            ExtraMissing: If networkx is not installed (extra ``lab``).
        """
        graph = self.to_networkx()
        import networkx

        data: dict[str, Any] = networkx.node_link_data(graph, edges="edges")
        return data


def _order(order: LinkedOrder) -> dict[str, Any]:
    facts = {"at": order.at, "amount": order.amount, "currency": order.currency, "fraud": order.fraud}
    return {"label": "Order", **facts, "verdict": order.verdict}


def find_order(store: SqliteStore, asked: str, most: int, source: OrderSource | None = None) -> OrderGraph:
    """One order by its key (MERCHANT|CHANNEL|ORDER) or by the id of a decision on it.

    Args:
        store: Holds the decisions.
        asked: Order key or decision id.
        most: How many other orders are named.
        source: Where subgraph and links come from; by default the store. Of a decision that was made from
            other values than are there, another attempt's, the order's first decision takes the place.

    Raises:
        NotFound: If there is no such decision or order.
    """
    decision = store.decision_of(asked) if "|" in asked else asked
    found = None if decision is None else store.read_record(decision)
    if found is None and decision is not None:
        raise NotFound(f"no decision {asked:.64}")
    key = asked if found is None else found.order_key
    read = source or store
    links = read.links(key, most)
    if links is None:
        raise NotFound(f"no order {key:.80}: it is not there, was erased, or its period is over")
    if found is not None and source is None:
        return OrderGraph(OrderSubgraph.unpack(found.report.subgraph), found.report, links)
    subgraph = read.subgraph(key)
    if subgraph is None:
        raise NotFound(f"no order {key:.80}")
    return OrderGraph(subgraph, _record_of(store, found, subgraph), links)


def _record_of(
    store: SqliteStore, found: StoredDecision | None, subgraph: OrderSubgraph
) -> DecisionReport | None:
    """The decision that was asked for, or the order's first, if it was made from this very subgraph.

    Neo4j keeps an order as its first attempt has it: contributions of another one belong to other values.
    """
    if found is None:
        return None
    first = store.first_decision(found.order_key)
    for record in (found, None if first is None else store.read_record(first)):
        if record is not None and OrderSubgraph.unpack(record.report.subgraph) == subgraph:
            return record.report
    return None
