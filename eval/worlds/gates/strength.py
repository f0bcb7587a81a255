"""Gates 1 to 4 and the first half of 6: what rules, single components and trees find."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.eval.intervals import ratio_interval
from riskgraph.eval.metrics import Floats
from riskgraph.eval.worlds import reference
from riskgraph.eval.worlds.gates.figure import Figure
from riskgraph.eval.worlds.gates.material import Material

RULES_FPR = 0.01
SEED_RULES = 0.366
_SHUFFLE_SEED = 20260103


def recall(material: Material, scores: Floats, gate: int, name: str, low: float, high: float,
           fpr: float | None = None, more: str = "") -> Figure:  # fmt: skip
    """Recall over the later fraud orders at a fixed false-positive rate, which is told beside it."""
    fraud, later = material.oracle.is_fraud, material.later
    flagged = material.flags(scores, fpr)
    measured = ratio_interval(flagged, later & fraud, material.clusters)
    rate = float(flagged[later & ~fraud].mean())
    return Figure.of(gate, name, material.seed, measured, low, high, f"{more}FPR {rate:.2%}")


def single_components(material: Material) -> list[Figure]:
    """Gate 1: the best of all components outside the GRF nodes, and the best of those inside."""
    best: dict[bool, tuple[float, str, Floats]] = {}
    fraud = material.oracle.is_fraud & material.later
    for node in catalog():
        for name, scores in _readings(material, node):
            found = float(material.flags(scores)[fraud].mean()) if fraud.any() else float("nan")
            graph = node.family == "GRF"
            if graph not in best or found > best[graph][0]:
                best[graph] = (found, name, scores)
    rows = ((False, "best component outside GRF", 0.15), (True, "best GRF component", 0.60))
    return [
        recall(material, best[graph][2], 1, name, 0.0, high, more=f"{best[graph][1]}, ")
        for graph, name, high in rows
    ]


def _readings(material: Material, node: NodeSpec) -> Iterator[tuple[str, Floats]]:
    """Every way to read a node as a score: high, low, richest word, cause of absence."""
    first = catalog().component_slices[node.index].start
    for i, component in enumerate(node.components):
        values = material.table.components[:, first + i].astype(np.float64)
        name = f"{node.id}.{component}"
        if node.form in (Form.CLASS, Form.FLAG):
            yield f"{name} by word", _richness(material, values)
        else:
            yield f"{name} high", values
            yield f"{name} low", -values
    states = material.table.states[:, node.index].astype(np.float64)
    yield f"{node.id} by absence", _richness(material, states)


def _richness(material: Material, values: Floats) -> Floats:
    """float64[N]: share of fraud that the order's word had among the earlier orders."""
    words, place = np.unique(values, return_inverse=True)
    earlier, fraud = ~material.later, material.oracle.is_fraud
    seen = np.bincount(place[earlier], minlength=len(words))
    bad = np.bincount(place[earlier & fraud], minlength=len(words))
    # The half keeps a word without orders from dividing by zero.
    return np.where(np.isnan(values), np.nan, (bad / (seen + 0.5))[place])


def rules(material: Material) -> list[Figure]:
    """Gate 2: classic rules, added up, at 1 % false positives."""
    told = f"the seed's rules {SEED_RULES:.1%}, "
    scores = reference.points(material.table)
    return [recall(material, scores, 2, "classic rules", 0.20, 0.60, fpr=RULES_FPR, more=told)]


def order_alone(material: Material) -> list[Figure]:
    """Gate 3: trees on the order alone."""
    return [recall(material, material.alone, 3, "trees on the order", 0.25, 0.70)]


def with_relations(material: Material) -> list[Figure]:
    """Gates 4 and 6: trees with oracle relations, and what shuffled relations cost them."""
    whole = recall(material, material.related(material.relations), 4, "trees with relations", 0.90, 0.99)
    shuffled = material.related(material.relations.shuffled(_SHUFFLE_SEED))
    left = recall(material, shuffled, 6, "", 0.0, 1.0)
    cost = whole.value - left.value
    told = f"{left.value:.1%} when shuffled"
    return [whole, Figure(6, "cost of shuffled relations", material.seed, cost, low=0.10, more=told)]
