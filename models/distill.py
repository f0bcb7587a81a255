"""Trees teach, the graph-additive network learns: what the champion gains where labels are few.

Trees see the training labels; the network sees the trees' probabilities, for every row that has
components, labelled or not (Hinton, Vinyals, Dean 2015; transductive, as graph models are). No label but
those of training rows is used to fit, none but those of held-out rows to choose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.models.bagging import Candidate, TableModel, averaged, found_pairs, plain_rows
from riskgraph.models.binning import fit_edges
from riskgraph.models.compiled import sigmoid
from riskgraph.models.fit import Fit, Recipe, fit_order2
from riskgraph.models.layout import MAX_BINS, Layout
from riskgraph.models.rows import Rows

Floats = NDArray[np.float64]
Values = NDArray[np.float32]
Indexes = NDArray[np.intp]

# Probabilities hold far less noise than labels, so tables need little pull, and whole batches serve better
# than noisy parts: a step of Adam is as long for a bin with three rows as for one with thousands.
STUDENT = Recipe(
    epochs=120, patience=15, steps=1, batch=1_000_000, rate=0.05,
    own_shrink=0.02, pair_shrink=0.05, ridge=0.5, smooth=4.0,
)  # fmt: skip
_OUTSIDE = 5
_SPREAD = 2.0
# What the teacher is nearly sure not to be is left out: half as many rows where one class is rare.
_SURE = 0.003


@dataclass(frozen=True, slots=True)
class TreeRecipe:
    """Of one kind of trees; several seeds are averaged."""

    leaves: int = 8
    rate: float = 0.03
    share: float = 0.3
    rows: int = 20
    seeds: int = 3
    rounds: int = 2000
    patience: int = 60


def fit_trees(
    values: Values, label: NDArray[np.bool_], train: Indexes, held_out: Indexes, recipe: TreeRecipe
) -> Floats:
    """Logits float64[N] of boosted trees for all rows, fitted on some and stopped on others.

    Args:
        values: float32[N, C], NaN where absent.
        label: bool[N]; only those of both index lists are read.
        train: Rows to fit on.
        held_out: Rows to stop on.
        recipe: Hyperparameters.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    # scikit-learn cannot bin a column without any value.
    filled = np.where(np.isnan(values[train]).all(axis=0), 0.0, values)
    logits = np.zeros(len(label))
    # Waiting threads cost more than they give as soon as another process wants the cores.
    with threadpool_limits(limits=1, user_api="openmp"):
        for seed in range(recipe.seeds):
            trees = HistGradientBoostingClassifier(
                learning_rate=recipe.rate, max_iter=recipe.rounds, max_leaf_nodes=recipe.leaves,
                min_samples_leaf=recipe.rows, l2_regularization=1.0, max_features=recipe.share,
                n_iter_no_change=recipe.patience, early_stopping=True, random_state=seed,
            )  # fmt: skip
            trees.fit(filled[train], label[train], X_val=filled[held_out], y_val=label[held_out])
            logits += trees.decision_function(filled) / recipe.seeds
    return logits


def in_parts(values: Values, layout: Layout, train: Indexes, parts: int = 3) -> tuple[Values, Layout]:
    """Give each number further components: the value within each part of its range, absent elsewhere.

    A node's tables add up, so that with 12 bins a component it has bins for each part too. Parts hold
    equal shares of the training rows; the value itself stays, and stands for the node in pairs.

    Args:
        values: float32[N, C], NaN where absent.
        layout: Of the components, each a node of its own.
        train: Rows whose range is parted.
        parts: Into how many.

    Returns:
        Values float32[N, C'] and their layout with the same nodes and pairs.
    """
    columns, names = list(values.T), list(layout.components)
    node, words = layout.node.tolist(), layout.words.tolist()
    for place, name in enumerate(layout.components):
        seen = values[train, place]
        seen = seen[~np.isnan(seen)]
        if words[place] or len(np.unique(seen)) <= MAX_BINS:
            continue
        cuts = np.unique(np.quantile(seen, np.arange(1, parts) / parts))
        part = np.searchsorted(cuts, values[:, place], side="right")
        for number in range(len(cuts) + 1):
            columns.append(np.where(part == number, values[:, place], np.float32(np.nan)))
            names.append(f"{name}.part{number}")
            node.append(place)
            words.append(0)
    wider = Layout.plain(names, words=words, node=np.array(node))
    return np.stack(columns, axis=1), wider.with_pairs(layout.ends)


def distil(
    values: Values, teacher: Floats, layout: Layout, train: Indexes, rows: Indexes, *, pairs: int,
    seed: int = 0, recipe: Recipe = STUDENT,
) -> tuple[TableModel, Values]:  # fmt: skip
    """Fit the network to a teacher's probabilities.

    A teacher that is sure of most rows says little by its probabilities, so they are taken at a
    temperature (Hinton et al., section 2) that brings the spread of its logits to at most 2; tables are
    scaled back.

    Pairs are what an additive student leaves of the teacher; then numbers are given in parts too. A
    fifth of the rows tells when to stop; that compares with the teacher and reads no label.

    Args:
        values: float32[N, C], NaN where absent.
        teacher: float64[N], logits; only those of the rows to learn from are read.
        layout: Of the components, without pairs.
        train: Rows that bins are fitted on, weighted by the teacher's view of both classes.
        rows: Rows to learn from, with or without a label.
        pairs: How many pairs to find.
        seed: Of the fifth and the fit.
        recipe: Hyperparameters.

    Returns:
        The network, and what it reads: all values, with their parts.
    """
    heat = max(1.0, float(teacher[rows].std()) / _SPREAD)
    chance = sigmoid(teacher / heat)
    outside = np.random.default_rng(seed).permutation(len(rows)) % _OUTSIDE == 0
    learned, checked = rows[~outside], rows[outside]

    def fitted(values: Values, layout: Layout) -> Fit:
        both = _soft_rows(values[train], chance[train])
        edges = fit_edges(both.components, both.label, both.weight, layout)
        fit_on, check = (_soft_rows(values[part], chance[part]) for part in (learned, checked))
        return fit_order2(fit_on, check, seed=seed, recipe=recipe, edges=edges)

    found = found_pairs(fitted(values, layout), _soft_rows(values[learned], chance[learned]), pairs)
    wide, wider = in_parts(values, layout.with_pairs(found), train)
    return averaged([fitted(wide, wider)], Candidate(pairs, recipe)).scaled(heat), wide


def _soft_rows(values: Values, chance: Floats) -> Rows:
    """Each row twice, once with each label, weighted by its probability: the same loss as a soft label."""
    label = np.repeat(np.array([1, 0], dtype=np.int8), len(chance))
    weight = np.concatenate([chance, 1.0 - chance])
    kept = weight > _SURE
    return plain_rows(np.concatenate([values, values])[kept], label[kept], weight[kept])
