"""Reference learners: what measures a world, frozen by digest before any world is configured.

They depend on the catalogue and on nothing else of riskgraph, so that only a change here changes them.
"""

from riskgraph.eval.worlds.reference.frozen import changed, digest
from riskgraph.eval.worlds.reference.relations import Relations, doors, relation_features
from riskgraph.eval.worlds.reference.rules import Rule, points, rules, trips
from riskgraph.eval.worlds.reference.settings import Settings, settings
from riskgraph.eval.worlds.reference.trees import Trees, fit, order_columns, order_features, score

__all__ = [
    "Relations",
    "Rule",
    "Settings",
    "Trees",
    "changed",
    "digest",
    "doors",
    "fit",
    "order_columns",
    "order_features",
    "points",
    "relation_features",
    "rules",
    "score",
    "settings",
    "trips",
]
