"""Orders of the graph read back, compared with what is packed, and scored again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from riskgraph import bootstrap
from riskgraph.core.errors import NotFound
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.graph_database import ANSWER_S, connected, wait
from riskgraph.models import Model
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

_SAMPLE = """
MATCH (o:Order) WHERE o.nodes
WITH o ORDER BY o.key LIMIT $sample
OPTIONAL MATCH (d:Decision)-[:ABOUT]->(o)
WITH o, d ORDER BY d.at
WITH o, collect(d { .* }) AS decisions
RETURN o { .key, .vec, .phase, .nodes } AS o, decisions ORDER BY o.key
"""
_NAMED = """
UNWIND $keys AS key
MATCH (o:Order {key: key})
OPTIONAL MATCH (d:Decision)-[:ABOUT]->(o)
WITH o, d ORDER BY d.at
WITH o, collect(d { .* }) AS decisions
RETURN o { .key, .vec, .phase, .nodes } AS o, decisions ORDER BY o.key
"""


def check_sample(settings: Settings, sample: int, progress: Progress) -> dict[str, Any]:
    """Read orders' 137 nodes and edges back, and compare them with the packed subgraph and the stored score.

    Returns:
        See :func:`_totals`.
    """
    model = bootstrap.serving_model(settings)[0]
    found: list[dict[str, Any]] = []
    with connected(settings) as neo4j:
        rows = wait(neo4j, neo4j.rows(_SAMPLE, {"sample": sample}, 12 * ANSWER_S))
        progress("check", 0, len(rows))
        for start in range(0, len(rows), AT_ONCE):
            found += _checked(neo4j, model, rows[start : start + AT_ONCE])
            progress("check", len(found), len(rows))
    return _totals(found)


def check_orders(settings: Settings, keys: Sequence[str]) -> dict[str, Any]:
    """The same of given orders, whether they have behavior nodes or not, and what the model says of each.

    Returns:
        Also ``orders``: a row each, see :func:`_order`.

    Raises:
        NotFound: If the graph has none of such a key.
    """
    model = bootstrap.serving_model(settings)[0]
    with connected(settings) as neo4j:
        rows = wait(neo4j, neo4j.rows(_NAMED, {"keys": sorted(set(keys))}, 12 * ANSWER_S))
        missing = set(keys) - {row["o"]["key"] for row in rows}
        if missing:
            raise NotFound(f"the graph has no order {min(missing):.200}; a key is MERCHANT|CHANNEL|ORDER")
        found = [
            row for i in range(0, len(rows), AT_ONCE) for row in _checked(neo4j, model, rows[i : i + AT_ONCE])
        ]
    return {**_totals(found), "orders": found}


def _checked(neo4j: Connection, model: Model, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    shown = [row["o"]["key"] for row in rows if row["o"]["nodes"]]
    read = dict(zip(shown, wait(neo4j, neo4j.read(partial(_read_back, keys=shown))), strict=True))
    return [_order(model, row["o"], row["decisions"], read.get(row["o"]["key"])) for row in rows]


async def _read_back(
    tx: AsyncManagedTransaction, keys: Sequence[str]
) -> list[tuple[OrderSubgraph | None, list[nodes.Edge]]]:
    return [(await nodes.read_nodes(tx, key), await nodes.read_edges(tx, key)) for key in keys]


def _order(
    model: Model,
    order: Mapping[str, Any],
    decisions: Sequence[Mapping[str, Any]],
    read: tuple[OrderSubgraph | None, list[nodes.Edge]] | None,
) -> dict[str, Any]:
    """One order, scored again from its nodes, or from the packed subgraph where it has none.

    Returns:
        Its key as ``order``; ``same_nodes`` and ``same_edges``, None without behavior nodes; the
        ``probability`` by the model that serves, None where that does not know the order's class; and its
        ``decisions`` with the score that each had and what comparing gives.
    """
    packed = OrderSubgraph.unpack(bytes(order["vec"]))
    graph, edges = read or (None, [])
    first = next((d["availability"] for d in decisions if d.get("first")), None)
    availability = first or availability_of(order["phase"] or "pre_auth", packed)
    known = model.scale(availability) is not None
    again = model.score(packed if graph is None else graph, availability).probability if known else None
    return {
        "order": order["key"],
        "same_nodes": None if read is None else graph == packed,
        "same_edges": None if read is None else sorted(edges) == sorted(nodes.template_edges(packed)),
        "probability": again,
        "decisions": [
            {"decision": d["id"], "score": d.get("score"), "found": _compared(model, d, again)}
            for d in decisions
        ],
    }


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
