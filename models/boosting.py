"""Fitting gradient-boosted trees on released rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import ExtraMissing
from riskgraph.models.neighbours import NeighbourInputs
from riskgraph.models.rows import Rows
from riskgraph.models.trees import Forest, tree_inputs

LEVELS = 128
_RECIPE = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
    "n_iter_no_change": 15,
}


def fit_forest(
    train: Rows, held_out: Rows, *, seed: int, trees: int = 400, neighbours: NeighbourInputs | None = None
) -> tuple[Forest, dict[str, Any]]:
    """Fit trees, stopping early on the held-out rows.

    The trees are fitted on level numbers (at most 128 a column), because scikit-learn's own
    weighted binning takes minutes; their thresholds are then put back on the columns' scale.

    Args:
        train: Rows to fit on.
        held_out: Rows that decide when to stop.
        seed: Of scikit-learn.
        trees: At most so many.
        neighbours: Adds aggregates over neighbours to the inputs.

    Returns:
        The forest and the recipe for the card.

    Raises:
        ExtraMissing: If scikit-learn is not installed (extra ``lab``).
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]
    except ImportError as missing:
        raise ExtraMissing("training a gbdt model", "lab") from missing
    recipe = {**_RECIPE, "max_iter": trees}
    classifier = HistGradientBoostingClassifier(early_stopping=True, random_state=seed, **recipe)
    values, checked = (neighbours(r.components) if neighbours else r.components for r in (train, held_out))
    levels = find_levels(values)
    inputs = tree_inputs(to_levels(values, levels))
    # scikit-learn cannot bin a column without any value; a constant one is never asked for.
    inputs[:, np.isnan(inputs).all(axis=0)] = 0.0
    # Waiting threads cost more than they give as soon as another process wants the cores.
    with threadpool_limits(limits=1, user_api="openmp"):
        classifier.fit(
            inputs,
            train.label,
            sample_weight=train.weight,
            X_val=tree_inputs(to_levels(checked, levels)),
            y_val=held_out.label,
            sample_weight_val=held_out.weight,
        )
    forest = on_scale(Forest.of(classifier), levels)
    return forest, {**recipe, "levels": LEVELS, "trees": int(classifier.n_iter_)}


def find_levels(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Upper ends of the levels of each column, all but the last level's."""
    ranks = np.arange(1, LEVELS) / LEVELS
    out = []
    for column in values.T:
        filled = np.sort(column[~np.isnan(column)])
        ends = np.unique(filled[(ranks * len(filled)).astype(np.intp)]) if len(filled) else filled
        out.append(ends[ends < filled[-1]] if len(filled) else ends)
    return out


def to_levels(values: NDArray[np.float32], levels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Level numbers float32[N, V], NaN where absent: how many ends lie below the value."""
    out = np.full(values.shape, np.nan, dtype=np.float32)
    for column, ends in enumerate(levels):
        filled = ~np.isnan(values[:, column])
        out[filled, column] = np.searchsorted(ends, values[filled, column], side="left")
    return out


def on_scale(forest: Forest, levels: list[NDArray[np.float32]]) -> Forest:
    """The same trees asking for values instead of level numbers.

    A level number is at most b exactly where the value is at most the end of level b.
    """
    threshold = forest.threshold.copy()
    asks = (forest.left != forest.right) & (forest.feature < len(levels)) & np.isfinite(threshold)
    for node in np.flatnonzero(asks):
        threshold[node] = levels[forest.feature[node]][int(threshold[node])]
    return replace(forest, threshold=threshold)
