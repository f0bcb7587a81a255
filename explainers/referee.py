"""The ``shap`` library as an independent referee of our own attribution, never the only path.

shap's own additivity test cannot fail, its general class re-assigns itself at construction, and its
Permutation explainer re-seeds NumPy's global generator. Hence: the exact class is constructed by
name, the generator's state is restored, and the check below is ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT
from riskgraph.core.errors import CheckFailed, ExtraMissing
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.brute import coalition_logit
from riskgraph.ports import Scorer

TOLERANCE = 1e-6
MAX_EXACT = 12


@contextmanager
def _global_generator_untouched() -> Iterator[None]:
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


def shap_library(feature: str) -> Any:
    """The ``shap`` package, imported quietly.

    Raises:
        ExtraMissing: If it is not installed (extra ``train``), naming the feature that needs it.
    """
    try:
        with warnings.catch_warnings():
            # shap's own import warns about its dependencies; nothing here can act on that.
            warnings.simplefilter("ignore")
            import shap
    except ImportError as missing:
        raise ExtraMissing(feature, "train") from missing
    return shap


def shap_values(
    subgraph: OrderSubgraph, scorer: Scorer, availability: str, seed: int = 0
) -> tuple[NDArray[np.float64], float]:
    """Attribution of one order by ``shap``.

    Up to 12 present nodes by its Exact explainer, above that by antithetic permutations, which are
    exact for any game without interactions of three or more.

    Returns:
        float64[137] and the base value, both on the logit scale.

    Raises:
        ExtraMissing: If shap is not installed (extra ``train``).
    """
    shap = shap_library("the shap cross-check")
    players, value = coalition_logit(subgraph, scorer, availability)

    def game(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([value([p for p, on in zip(players, row, strict=True) if on > 0.5]) for row in rows])

    masker = shap.maskers.Independent(np.zeros((1, len(players))))
    order = np.ones((1, len(players)))
    with _global_generator_untouched():
        if len(players) <= MAX_EXACT:
            result = shap.explainers.ExactExplainer(game, masker)(order, silent=True)
        else:
            explainer = shap.explainers.PermutationExplainer(game, masker, seed=seed)
            result = explainer(order, max_evals=4 * len(players) + 1, silent=True)
    phi = np.zeros(NODE_COUNT)
    phi[players] = result.values[0]
    return phi, float(np.ravel(result.base_values)[0])


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far an attribution lies from another, and from the score that it claims to explain.

    Attributes:
        error: Largest difference of a value, by the largest value of the other.
        additivity: Difference of base plus all values from the score, by the sum of their sizes.
    """

    error: float
    additivity: float


def deviation(
    phi: NDArray[np.float64], reference: NDArray[np.float64], base: float, logit: float
) -> Deviation:
    """Both relative, since an absolute tolerance hides a wrong attribution of a small score.

    Args:
        phi: Under test.
        reference: The other attribution, of the same shape.
        base: Logit without any player.
        logit: The score.
    """
    gap, size = abs(base + float(phi.sum()) - logit), float(np.abs(phi).sum())
    error, largest = float(np.abs(phi - reference).max()), float(np.abs(reference).max())
    return Deviation(_relative(error, largest), _relative(gap, size))


def _relative(part: float, whole: float) -> float:
    # Nothing to explain: whatever is there is all wrong.
    return part / whole if whole else 0.0 if part == 0.0 else float("inf")


def check_attribution(
    phi: NDArray[np.float64], subgraph: OrderSubgraph, scorer: Scorer, availability: str
) -> float:
    """Compare an attribution with shap's and with the score it claims to explain.

    Args:
        phi: float64[137] under test.
        subgraph: The order it explains.
        scorer: The model.
        availability: Availability class of the order.

    Returns:
        The largest deviation found.

    Raises:
        CheckFailed: If base + sum(phi) misses the logit, or a value differs from shap's, by more
            than 1e-6.
        ExtraMissing: If shap is not installed.
    """
    reference, base = shap_values(subgraph, scorer, availability)
    logit = scorer.score(subgraph, availability).logit
    gap = abs(base + float(phi.sum()) - logit)
    differs = float(np.abs(phi - reference).max())
    worst = max(gap, differs)
    if not worst <= TOLERANCE:
        raise CheckFailed(
            f"attribution differs from the referee: additivity gap {gap:.3g}, largest error {differs:.3g}"
        )
    return worst
