"""Gate 5: how like an odd honest person each kind of fraud is, and one seed another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.eval.metrics import Bools, Ints, auc
from riskgraph.eval.worlds import reference
from riskgraph.eval.worlds.gates.figure import Figure
from riskgraph.eval.worlds.gates.material import Material

# Fewer orders of a kind say nothing; more than that cost time and change little.
FEWEST, MOST, MOST_OF_A_SEED = 60, 1_000, 20_000
FOLDS = 3
_TREES = {
    "max_iter": 60,
    "learning_rate": 0.1,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "random_state": 5,
}


@dataclass(frozen=True, eq=False)
class Sample:
    """Orders of one kind: float32[N, F] features and int64[N] owners that folds keep together."""

    features: NDArray[np.float32]
    owner: Ints

    @classmethod
    def draw(cls, material: Material, among: Bools, most: int) -> Sample:
        """At most ``most`` of the orders in ``among``, whole owners mixed, by a fixed lot."""
        rows = np.flatnonzero(among)
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(7).choice(rows, most, replace=False))
        return cls(material.table.components[rows][:, _columns()], material.clusters.code[rows])


@cache
def _columns() -> list[int]:
    """The order's own components, without those that describe the shop.

    All orders of a day share the shop's, and would tell one seed's days from another's.
    """
    shop = [n for n in catalog() if n.anchor == "mer"]
    left_out = {i for n in shop for i in range(*catalog().component_slices[n.index].indices(10**6))}
    return [i for i in reference.order_columns() if i not in left_out]


def two_sample_auc(one: Sample, other: Sample) -> float:
    """Mean AUC over folds of trees that tell two samples apart; 0.5 is the same, 1 is told for sure.

    Owners (gangs, accounts) lie in one fold each, so that nobody is recognised. NaN with too few orders.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    if min(len(one.owner), len(other.owner)) < FEWEST:
        return float("nan")
    features = np.concatenate([one.features, other.features])
    side = np.arange(len(features)) >= len(one.owner)
    fold = np.concatenate([_folds(one.owner), _folds(other.owner)])
    found = []
    for k in range(FOLDS):
        test = fold == k
        # The library cannot bin a column without a value.
        known = ~np.isnan(features[~test]).all(axis=0)
        trees = HistGradientBoostingClassifier(early_stopping=False, **_TREES)
        # On so few rows, threads wait for one another longer than they work.
        with threadpool_limits(1):
            trees.fit(features[~test][:, known], side[~test])
            scores = trees.decision_function(features[test][:, known])
        found.append(auc(scores, side[test]))
    return float(np.nanmean(found))


def _folds(owner: Ints) -> Ints:
    """Fold of each order: owners dealt out by lot, large ones first, always to the smallest fold."""
    _, place, size = np.unique(owner, return_inverse=True, return_counts=True)
    fold, filled = np.zeros(len(size), dtype=np.int64), np.zeros(FOLDS)
    for i in np.lexsort((np.random.default_rng(3).random(len(size)), -size)):
        fold[i] = int(np.argmin(filled))
        filled[fold[i]] += size[i]
    return fold[place.reshape(-1)]


def look_alikes(material: Material) -> list[Figure]:
    """Gate 5: for each archetype the odd honest type that is hardest to tell from it."""
    truth = material.oracle
    odd = {name: Sample.draw(material, truth.honest_type == name, MOST) for name in odd_types(material)}
    figures = []
    for archetype in sorted(set(truth.archetype[truth.is_fraud].tolist())):
        mine = Sample.draw(material, truth.is_fraud & (truth.archetype == archetype), MOST)
        found = {name: two_sample_auc(mine, other) for name, other in odd.items()}
        known = {name: value for name, value in found.items() if np.isfinite(value)}
        nearest = min(known, key=lambda name: known[name], default="none")
        value = known.get(nearest, float("nan"))
        figures.append(
            Figure(5, f"{archetype} and its look-alike", material.seed, value, 0.75, 0.97, more=nearest)
        )
    return figures


def odd_types(material: Material) -> list[str]:
    """Kinds of honest people except the commonest, sorted."""
    kinds, counts = np.unique(
        [k for k in material.oracle.honest_type.tolist() if k is not None], return_counts=True
    )
    return sorted(str(k) for k in kinds if k != kinds[np.argmax(counts)])


def seed_sample(material: Material) -> Sample:
    """Orders of a whole world, to be told from another seed's."""
    return Sample.draw(material, np.ones(len(material.table), dtype=np.bool_), MOST_OF_A_SEED)


def two_seeds(seed: int, mine: Sample, other_seed: int, other: Sample) -> list[Figure]:
    """Gate 5: one configuration, two seeds, cannot be told apart."""
    value = two_sample_auc(mine, other)
    return [Figure(5, "one seed and another", seed, value, 0.48, 0.52, more=f"seed {other_seed}")]
