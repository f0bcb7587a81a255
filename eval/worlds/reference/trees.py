"""References (b) and (c): gradient-boosted trees with fixed settings.

(b) reads the order's own components, the GRF nodes left out; (c) reads relation features beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.table import OrderTable
from riskgraph.eval.worlds.reference.settings import settings

Floats = NDArray[np.float32]


def order_columns() -> list[int]:
    """Places of the components outside the GRF nodes (the cross-order graph)."""
    places = catalog().component_slices
    return [
        i for node in catalog() if node.family != "GRF" for i in range(*places[node.index].indices(10**6))
    ]


def order_features(table: OrderTable) -> Floats:
    """float32[N, 234], NaN where absent; class words stand as their place in the catalogue's list."""
    return np.asarray(table.components[:, order_columns()], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Trees:
    """Grown trees and the columns, bool[F], that had any value to learn from."""

    known: NDArray[np.bool_]
    classifier: Any


def fit(features: Floats, fraud: NDArray[np.bool_]) -> Trees:
    """Trees grown on float32[N, F] and bool[N] with the fixed settings."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    # The library cannot bin a column without a value.
    known = np.asarray(~np.isnan(features).all(axis=0), dtype=np.bool_)
    # No early stopping: how long it learns must not depend on the world.
    classifier = HistGradientBoostingClassifier(early_stopping=False, **settings().trees)
    # The same on any number of cores; and on shared ones, threads wait for one another for minutes.
    with threadpool_limits(1):
        return Trees(known, classifier.fit(features[:, known], fraud))


def score(learned: Trees, features: Floats) -> NDArray[np.float64]:
    """float64[N], the logit."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        logit = learned.classifier.decision_function(features[:, learned.known])
    return np.asarray(logit, dtype=np.float64)
