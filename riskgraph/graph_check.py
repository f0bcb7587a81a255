"""Orders of the graph read back, compared with what is packed, and scored again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from riskgraph import bootstrap
from riskgraph.core.baseline_view import Views
from riskgraph.core.errors import CheckFailed, NotFound, SubgraphError
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.graph_database import ANSWER_S, connected, wait
from riskgraph.models import Model, load_model
from riskgraph.models.reference import views_of
from riskgraph.ports import Progress
from riskgraph.replay import availability_of
from riskgraph.settings import Settings
from riskgraph.stores.neo4j import nodes
from riskgraph.stores.neo4j.connect import Connection

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

AT_ONCE = 20
NAMED = 10
# A decision is scored again where all that it was made from is there and its model serves.
SAME, OTHER, NO_SCORE, OTHER_SUBGRAPH, OTHER_MODEL = (
    "same_score", "other_score", "without_score", "of_another_subgraph", "of_another_model"
)  # fmt: skip

_SAMPLE = "MATCH (o:Order) WHERE o.nodes RETURN o.key AS key ORDER BY key LIMIT $sample"
_ORDERS = """
UNWIND $keys AS key
MATCH (o:Order {key: key})
OPTIONAL MATCH (d:Decision)-[:ABOUT]->(o)
WITH o, d ORDER BY d.at
WITH o, collect(d { .* }) AS decisions
RETURN o { .key, .vec, .phase, .nodes, .simulated }, decisions ORDER BY o.key
"""
_Read = tuple[OrderSubgraph | None, list[nodes.Edge]]


@dataclass(frozen=True)
class _Judge:
    """The model that serves, and how it sees the orders of simulated merchants and of real ones."""

    model: Model
    views: Mapping[bool, Views]

    @classmethod
    def of(cls, settings: Settings) -> _Judge:
        folder, merchants = bootstrap.serving_folder(settings)
        views = {is_so: views_of(folder, settings.baseline, is_so, merchants) for is_so in (True, False)}
        return cls(load_model(folder), views)

    def seen(self, order: Mapping[str, Any], graph: OrderSubgraph) -> OrderSubgraph:
        merchant = str(order["key"]).partition("|")[0]
        return self.views[bool(order.get("simulated"))].see(graph, merchant)


def check_sample(settings: Settings, sample: int, progress: Progress) -> dict[str, Any]:
    """Read orders' 137 nodes and edges back, and compare them with the packed subgraph and the stored score.

    Returns:
        See :func:`_totals`.
    """
    judge = _Judge.of(settings)
    found: list[dict[str, Any]] = []
    with connected(settings) as neo4j:
        rows = wait(neo4j, neo4j.rows(_SAMPLE, {"sample": sample}, 12 * ANSWER_S))
        keys = [row["key"] for row in rows]
        progress("check", 0, len(keys))
        for start in range(0, len(keys), AT_ONCE):
            found += _checked(neo4j, judge, keys[start : start + AT_ONCE])
            progress("check", min(start + AT_ONCE, len(keys)), len(keys))
    return _totals(found)


def check_orders(settings: Settings, keys: Sequence[str]) -> dict[str, Any]:
    """The same of given orders, whether they have behavior nodes or not, and what the model says of each.

    Returns:
        Also ``orders``: a row each, see :func:`_order`.

    Raises:
        NotFound: If the graph has none of such a key.
    """
    judge = _Judge.of(settings)
    asked = sorted(set(keys))
    with connected(settings) as neo4j:
        parts = [asked[start : start + AT_ONCE] for start in range(0, len(asked), AT_ONCE)]
        found = [row for part in parts for row in _checked(neo4j, judge, part)]
    missing = set(asked) - {row["order"] for row in found}
    if missing:
        raise NotFound(f"the graph has no order {min(missing):.200}; a key is MERCHANT|CHANNEL|ORDER")
    return {**_totals(found), "orders": found}


def _checked(neo4j: Connection, judge: _Judge, keys: Sequence[str]) -> list[dict[str, Any]]:
    return [_order(judge, *row) for row in wait(neo4j, neo4j.read(partial(_read_back, keys=keys)))]


async def _read_back(
    tx: AsyncManagedTransaction, keys: Sequence[str]
) -> list[tuple[dict[str, Any], list[dict[str, Any]], _Read | None]]:
    """Orders that are there, each with decisions and nodes in one transaction: erasures change all three."""
    rows = await (await tx.run(_ORDERS, keys=list(keys))).values()
    return [
        (order, decisions, await _read_nodes(tx, order["key"]) if order["nodes"] else None)
        for order, decisions in rows
    ]


async def _read_nodes(tx: AsyncManagedTransaction, key: str) -> _Read:
    """Nodes and edges; None for nodes that are no subgraph: the check tells of them, and goes on."""
    edges = await nodes.read_edges(tx, key)
    try:
        return await nodes.read_nodes(tx, key), edges
    except (CheckFailed, SubgraphError):
        return None, edges


def _unpacked(vec: bytes | None) -> OrderSubgraph | None:
    try:
        return None if vec is None else OrderSubgraph.unpack(bytes(vec))
    except SubgraphError:
        return None


def _order(
    judge: _Judge,
    order: Mapping[str, Any],
    decisions: Sequence[Mapping[str, Any]],
    read: _Read | None,
) -> dict[str, Any]:
    """One order, scored again from its nodes, or from the packed subgraph where it has none that can be read.

    Returns:
        Its key as ``order``; ``same_nodes`` and ``same_edges``, None without behavior nodes, False where
        nodes or packed subgraph are damaged; the ``probability`` by the model that serves, None where that
        does not know the order's class or nothing can be read; and its ``decisions`` with the score that
        each had and what comparing gives.
    """
    packed = _unpacked(order["vec"])
    graph, edges = read or (None, [])
    bare = read is None and packed is not None
    return {
        "order": order["key"],
        "same_nodes": None if bare else graph is not None and graph == packed,
        "same_edges": None if bare else packed is not None and _same(edges, nodes.template_edges(packed)),
        "probability": (again := _again(judge, order, decisions, packed if graph is None else graph)),
        "decisions": [
            {"decision": d["id"], "score": d.get("score"), "found": _compared(judge.model, d, again)}
            for d in decisions
        ],
    }


def _same(edges: Sequence[nodes.Edge], expected: Sequence[nodes.Edge]) -> bool:
    return Counter(edges) == Counter(expected)


def _again(
    judge: _Judge,
    order: Mapping[str, Any],
    decisions: Sequence[Mapping[str, Any]],
    graph: OrderSubgraph | None,
) -> float | None:
    if graph is None:
        return None
    first = next((d["availability"] for d in decisions if d.get("first")), None)
    availability = first or availability_of(order["phase"] or "pre_auth", graph)
    if judge.model.scale(availability) is None:
        return None
    return judge.model.score(judge.seen(order, graph), availability).probability


def _compared(model: Model, decision: Mapping[str, Any], again: float | None) -> str:
    if decision.get("score") is None:
        return NO_SCORE
    if not decision.get("first"):
        return OTHER_SUBGRAPH
    if decision.get("model") != model.versions["model_sha256"]:
        return OTHER_MODEL
    return SAME if decision["score"] == again else OTHER


def _totals(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of all.

    Returns:
        ``checked`` orders, how many of them are ``without_nodes``, and how many ``differ`` in nodes, edges
        and score; ``decisions`` by what comparing gave: only those made from the subgraph that the graph
        holds, by the model that serves, can be compared; ``first_that_differ``: their keys.
    """
    decisions = Counter({SAME: 0, OTHER: 0, NO_SCORE: 0, OTHER_SUBGRAPH: 0, OTHER_MODEL: 0})
    differ = {"nodes": 0, "edges": 0, "score": 0}
    named = []
    for row in found:
        results = [decision["found"] for decision in row["decisions"]]
        decisions.update(results)
        wrong = {
            "nodes": row["same_nodes"] is False,
            "edges": row["same_edges"] is False,
            "score": OTHER in results,
        }
        for name, is_wrong in wrong.items():
            differ[name] += is_wrong
        if any(wrong.values()):
            named.append(row["order"])
    return {
        "checked": len(found),
        "without_nodes": sum(row["same_nodes"] is None for row in found),
        "differ": differ,
        "decisions": dict(decisions),
        "first_that_differ": named[:NAMED],
    }
