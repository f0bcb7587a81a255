"""How near permutations come to values that are known exactly, for as many evaluations as a budget allows.

Judged by the gate for a sampled fallback: at 4,416 evaluations a relative L2 error of at most 0.06, and a
largest error of at most 6 % of the largest value. Each is a mean over orders, since one order whose values
nearly cancel has a large relative error by any sampler; the worst order is told beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from riskgraph.bench.shap_audit import CLASS, drawn_components, drawn_orders, fit_trees
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import GameScore
from riskgraph.explainers.games import AnyExplainer, permutation_values
from riskgraph.models import Model
from riskgraph.models.trees import TreeModel
from riskgraph.ports import Progress, Scorer

EVALUATIONS, MAX_RELATIVE_L2, MAX_ERROR = 4_416, 0.06, 0.06
ORDERS, TREES, ROWS = 20, 100, 1_500


@dataclass(frozen=True, slots=True)
class Sampled:
    """Permutations beside exact values.

    Attributes:
        game: What was explained.
        evaluations: The most that an order took.
        relative_l2: Mean over the orders of the Euclidean norm of the error by that of the values.
        error: Mean over the orders of the largest error by the largest value.
        worst_relative_l2, worst_error: The largest of each.
    """

    game: str
    orders: int
    evaluations: int
    relative_l2: float
    error: float
    worst_relative_l2: float
    worst_error: float

    @property
    def held(self) -> bool:
        # Written so that a NaN fails.
        return self.relative_l2 <= MAX_RELATIVE_L2 and self.error <= MAX_ERROR

    @property
    def sentence(self) -> str:
        """What came out, in one line."""
        return (
            f"permutations beside exact values ({self.game}, {self.orders} drawn orders, at most "
            f"{self.evaluations} evaluations): relative L2 error {self.relative_l2:.3f} (worst order "
            f"{self.worst_relative_l2:.3f}), largest error by the largest value {self.error:.3f} (worst "
            f"order {self.worst_error:.3f}); allowed {MAX_RELATIVE_L2:g} and {MAX_ERROR:g} on average: "
            f"{'held' if self.held else 'NOT held'}"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"held": self.held}


def audit_sampler(teacher: Model, seed: int, progress: Progress) -> Sampled:
    """The gate, on trees that learned a model's scores of drawn orders: exact by leaves, and no sum of terms.

    Args:
        teacher: The model; above its median is one class.
        seed: Of the draw.
        progress: Told of every order.
    """
    name = f"trees that learned {teacher.card.kind} {teacher.versions['model']}"
    return beside_exact(name, taught_trees(teacher, seed), drawn_orders(ORDERS, seed), progress)


def taught_trees(teacher: Model, seed: int) -> TreeModel:
    """Trees fitted on drawn rows whose label is whether the teacher scores them above the median."""
    rows = drawn_components(ROWS, seed)
    logits = teacher.score_batch(rows, np.full(ROWS, CLASS, dtype=object))[0]
    label = (logits > np.median(logits)).astype(np.int64)
    return TreeModel(teacher.card, fit_trees(rows, label, TREES))


def beside_exact(name: str, model: Scorer, orders: Sequence[OrderSubgraph], progress: Progress) -> Sampled:
    """Permutations of the nodes beside what the explainer tells exactly; the model is trees."""
    explainer, found = AnyExplainer(), []
    for seed, order in enumerate(orders):
        progress(f"sampler: {name}", seed, len(orders))
        score = model.score(order, CLASS)
        assert isinstance(score, GameScore)
        exact = explainer.explain(score).phi
        phi, _, asked = permutation_values(score, _pairs(int(score.present.sum())), seed)
        missed = phi - exact
        l2 = np.linalg.norm(missed) / np.linalg.norm(exact)
        found.append((asked, l2, np.abs(missed).max() / np.abs(exact).max()))
    asked, l2s, errors = np.array(found).T
    means, worst = (l2s.mean(), errors.mean()), (l2s.max(), errors.max())
    return Sampled(name, len(orders), int(asked.max()), *map(float, (*means, *worst)))


def _pairs(players: int) -> int:
    """As many permutations as the evaluations allow; one with its reverse asks ``2 (n - 1)`` coalitions."""
    return max(2, (EVALUATIONS - 2) // (2 * max(1, players - 1)))
