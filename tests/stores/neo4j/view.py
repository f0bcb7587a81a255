"""What a graph holds, read back and held to what it must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.order import Order
from riskgraph.core.outcome import FRAUD_KINDS
from riskgraph.core.past import LINK_KINDS, PastOrder
from riskgraph.stores.codec import encode_past
from riskgraph.stores.neo4j.rows import decode_outcome
from tests.stores.model import GraphModel
from tests.stores.neo4j.fed import Graph

NODES = 137
EDGES = {
    "account": "PLACED_BY",
    "device": "ON_DEVICE",
    "card": "PAID_WITH",
    "address": "DELIVERED_TO",
    "phone": "REACHED_AT",
    "ip": "FROM_NETWORK",
    "merchant": "AT_MERCHANT",
}
_ORDERS = """
MATCH (o:Order)
RETURN o.key, o { .account, .device, .card, .address, .phone, .ip, .merchant, .facts, .vec, .outcomes },
  o:Fraud, coalesce(o.nodes, false), COUNT { (o)-[:HAS]->(:Behavior) },
  COLLECT { MATCH (d:Decision)-[:ABOUT]->(o) RETURN d.id },
  COLLECT { MATCH (x:Outcome)-[:OF]->(o) RETURN x.id }
"""
_TOTALS = """
RETURN COUNT { (:Order) }, COUNT { (:Decision) }, COUNT { ()-[:ABOUT]->() }, COUNT { (:Outcome) },
  COUNT { ()-[:OF]->() }, COUNT { (:Behavior) }
"""
_ALONE = "MATCH (x:Outcome) WHERE NOT (x)-[:OF]->() RETURN x.id"
_ENTITIES = """
MATCH (e) WHERE e:Account OR e:Device OR e:Card OR e:Address OR e:Phone OR e:Ip OR e:Merchant
RETURN toLower(labels(e)[0]), coalesce(e.digest, e.id), e.orders, e.hub, e.last_seen,
  COLLECT { MATCH (o:Order)-[r]->(e) RETURN [type(r), o.key] }
"""


def check_graph(graph: Graph, model: GraphModel, cap: int = HUB_ORDERS) -> None:
    """Every order, decision, outcome, entity and edge of the model is there once, and nothing else is."""
    found = {key: rest for key, *rest in graph.ask(_ORDERS)}
    assert found.keys() == model.orders.keys()
    for key, order in model.orders.items():
        _check_order(order, found[key], model)
    alone = {f"{key}|{name}" for key, name in model.outcomes if key not in model.orders}
    assert _once(name for (name,) in graph.ask(_ALONE)) == alone
    outcomes, shown = len(model.outcomes), len(model.shown)
    assert graph.ask(_TOTALS) == [
        [
            len(found),
            len(model.decisions),
            len(model.decisions),
            outcomes,
            outcomes - len(alone),
            NODES * shown,
        ]
    ]
    check_entities(graph, model.orders, cap)


def _check_order(order: Order, row: list[Any], model: GraphModel) -> None:
    properties, fraud, made, nodes, decisions, outcomes = row
    key, past = order.key, PastOrder.of(order)
    assert bytes(properties["facts"]) == encode_past(replace(past, outcomes=[]))
    assert bytes(properties["vec"]) == model.subgraphs[key].pack()
    assert {kind: properties[kind] for kind in EDGES} == entities_of(order)
    assert _once(decisions) == {name for name, of in model.decisions.items() if of == key}
    known = {outcome for of, outcome in model.outcomes.items() if of[0] == key}
    assert _once(outcomes) == {f"{key}|{outcome.outcome_id}" for outcome in known}
    assert _once(map(decode_outcome, properties["outcomes"] or ())) == known
    # Nothing is taken from an order but with the order, so what once was a fraud order is one.
    assert fraud == any(outcome.kind in FRAUD_KINDS for outcome in known)
    assert (made, nodes) == ((True, NODES) if key in model.shown else (False, 0))


def entities_of(order: Order) -> dict[str, str | None]:
    """Digest, as hex, of each entity of an order; the merchant's own name."""
    who = order.entities
    digests = {kind: getattr(who, kind) for kind in (*LINK_KINDS, "ip")}
    told = {kind: None if digest is None else digest.hex() for kind, digest in digests.items()}
    return {**told, "merchant": order.merchant_id}


def check_entities(graph: Graph, orders: Mapping[str, Order], cap: int = HUB_ORDERS) -> None:
    """Counts are right, and an entity that is no hub has an edge from each of its orders."""
    expected: dict[tuple[str, str], dict[str, float]] = {}
    for key, order in orders.items():
        for kind, digest in entities_of(order).items():
            if digest is not None:
                expected.setdefault((kind, digest), {})[key] = order.placed_at
    found = {(kind, digest): rest for kind, digest, *rest in graph.ask(_ENTITIES)}
    assert found.keys() == expected.keys()
    for (kind, digest), (count, hub, last_seen, edges) in found.items():
        theirs = expected[kind, digest]
        assert (count, hub) == (len(theirs), len(theirs) > cap)
        assert {name for name, _ in edges} <= {EDGES[kind]}
        linked = _once(key for _, key in edges)
        assert len(linked) <= cap
        assert linked <= theirs.keys()
        if kind in LINK_KINDS:
            assert last_seen == max(theirs.values())
            assert hub or linked == theirs.keys()


def _once(found: Iterable[Any]) -> set[Any]:
    counts = Counter(found)
    assert set(counts.values()) <= {1}
    return set(counts)
