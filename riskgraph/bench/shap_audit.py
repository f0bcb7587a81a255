"""``riskgraph audit shap``: our contributions beside those of the shap library, of a model and of trees.

Orders are drawn at random within the catalogue's ranges; nobody stands behind them. All values are against
the order with all nodes absent (interventional, one reference row).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.bench.shap_values import tree_shap
from riskgraph.core.catalog import NODE_COUNT, Form, catalog
from riskgraph.core.report import CLOSED_FORM, PERMUTATIONS, Attribution
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.explainers.brute import keep_only
from riskgraph.explainers.games import AnyExplainer, leaf_values
from riskgraph.explainers.referee import MAX_EXACT, Deviation, deviation, shap_values
from riskgraph.models import Model
from riskgraph.models.game import ABSENT
from riskgraph.models.tree_leaves import LeafPaths
from riskgraph.models.trees import INPUT_COUNT, Forest, TreeModel, tree_inputs
from riskgraph.ports import Progress, Scorer

CLASS = "pre_auth/front_end"
# By the largest value, of exact methods.
MAX_ERROR, MAX_ADDITIVITY = 1e-6, 1e-9
# Of estimates, whose permutations add up whatever their values: as far off as a normal deviate of so many
# standard errors is unlikely, and a share of the largest value.
STANDARD_ERRORS, ESTIMATE_ERROR = 4.0, 0.06
TREES, TREE_ROWS = 30, 1_500


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison with shap.

    Attributes:
        players: What the values are of: nodes, or the inputs of trees.
        error: Largest difference of a value by the largest of shap's, over all orders.
        additivity: Largest gap to the score by the sum of the sizes of all values.
        exact: Whether our side is exact, else an estimate.
        of_limit: Largest difference of a value by what is allowed there: 1e-6 of the largest value, for an
            estimate ``standard_errors`` of the value (at least of all values, root mean square) and 6 % of
            the largest. Above 1 the check fails.
    """

    model: str
    players: str
    shap: str
    orders: int
    error: float
    additivity: float
    exact: bool
    of_limit: float

    @property
    def held(self) -> bool:
        # Written so that a NaN fails.
        return self.additivity <= MAX_ADDITIVITY and self.of_limit <= 1.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"held": self.held}


def audit(model: Model, count: int, seed: int, explainer: AnyExplainer, progress: Progress) -> list[Check]:
    """Compare on drawn orders: the model, and trees fitted on drawn rows unless it is trees itself.

    Args:
        model: That is explained.
        count: Orders of each comparison.
        seed: Of the draw, and of shap's permutations.
        explainer: Under test, with as many permutations as serve.
        progress: Told of every order.

    Raises:
        ExtraMissing: If shap is not installed (extra ``train``).
    """
    name = f"{model.card.kind} {model.versions['model']}"
    checks = list(_nodes(name, model, count, seed, explainer, progress))
    trees = model if isinstance(model, TreeModel) else TreeModel(model.card, fitted_trees(seed))
    if trees is not model:
        name = "trees fitted on drawn rows"
        checks += _nodes(name, trees, count, seed, explainer, progress)
    # Aggregates over neighbours are inputs of no single node, and such trees are explained by permutations.
    if trees.score(drawn_orders(1, seed)[0], CLASS).leaves is not None:
        checks.append(_inputs(name, trees.forest, drawn_orders(count, seed + 1), progress))
    return checks


def _nodes(
    name: str, model: Scorer, count: int, seed: int, explainer: AnyExplainer, progress: Progress
) -> Iterator[Check]:
    """Nodes as players: orders cut to twelve nodes by all coalitions, and whole ones of a sum of terms."""
    orders = drawn_orders(count, seed)
    small = [_largest(order, explainer.explain(model.score(order, CLASS)).phi) for order in orders]
    yield _compared(name, "exact", model, small, explainer, progress)
    if explainer.explain(model.score(orders[0], CLASS)).how.method == CLOSED_FORM:
        # Permutations with their reverses are exact for a game of pairs.
        yield _compared(name, "permutation", model, orders, explainer, progress)


def _compared(
    name: str,
    which: str,
    model: Scorer,
    orders: Sequence[OrderSubgraph],
    explainer: AnyExplainer,
    progress: Progress,
) -> Check:
    found, limits, exact = [], [], True
    for seed, order in enumerate(orders):
        progress(f"shap: {name}, {which}", seed, len(orders))
        score = model.score(order, CLASS)
        told = explainer.explain(score)
        exact = exact and told.how.method != PERMUTATIONS
        reference, base = shap_values(order, model, CLASS, seed)
        found.append(deviation(told.phi, reference, base, score.logit))
        limits.append(_of_limit(told, reference, found[-1], explainer.pairs))
    return _check(name, "nodes", which, found, limits, exact=exact)


def standard_errors(pairs: int) -> float:
    """How many standard errors an estimate may be off: Student's t with ``pairs - 1`` degrees of freedom.

    As unlikely as 4 of a normal: with 2 pairs 10,050, with 4 pairs 32.6, with 23 pairs 4.9.
    """
    from scipy.stats import norm, t

    return float(t.isf(norm.sf(STANDARD_ERRORS), pairs - 1))


def _of_limit(told: Attribution, reference: NDArray[np.float64], found: Deviation, pairs: int) -> float:
    if told.how.error is None:
        return found.error / MAX_ERROR
    # Few permutations may by chance agree on one node, whose error then is zero; hardly on all.
    pooled = np.sqrt(np.mean(told.how.error[reference != 0] ** 2)) if reference.any() else 0.0
    spread = np.maximum(told.how.error, pooled)
    allowed = standard_errors(pairs) * spread + ESTIMATE_ERROR * np.abs(reference).max()
    missed = np.abs(told.phi - reference)
    # Where nothing is allowed and nothing differs, nothing is wrong.
    return float(np.max(missed / np.where((allowed == 0) & (missed == 0), 1.0, allowed)))


def _inputs(name: str, forest: Forest, orders: Sequence[OrderSubgraph], progress: Progress) -> Check:
    """Inputs of trees as players, by ``shap.TreeExplainer`` against one reference row."""
    paths = LeafPaths(forest, np.arange(INPUT_COUNT), tree_inputs(ABSENT)[0])
    theirs, found = tree_shap(forest), []
    for place, order in enumerate(orders):
        progress(f"shap: {name}, tree", place, len(orders))
        values = leaf_values(paths.of(tree_inputs(order.components[None])[0]))
        phi = np.pad(values, (0, INPUT_COUNT - len(values)))
        base, logit = (float(forest.logits(row[None])[0]) for row in (ABSENT[0], order.components))
        found.append(deviation(phi, theirs(order), base, logit))
    return _check(name, "inputs", "tree", found, [f.error / MAX_ERROR for f in found], exact=True)


def _check(
    name: str, players: str, which: str, found: Sequence[Deviation], limits: Sequence[float], *, exact: bool
) -> Check:
    error, additivity = (float(np.max([getattr(f, part) for f in found])) for part in ("error", "additivity"))
    return Check(name, players, which, len(found), error, additivity, exact, float(np.max(limits)))


def _largest(order: OrderSubgraph, phi: NDArray[np.float64]) -> OrderSubgraph:
    """The order with only the nodes that count most, so many that all their coalitions can be asked."""
    return keep_only(order, np.argsort(-np.abs(phi))[:MAX_EXACT].tolist())


def fitted_trees(seed: int) -> Forest:
    """Trees over many inputs: labels without a pattern, so that nearly every node is asked for."""
    rows = drawn_components(TREE_ROWS, seed)
    return fit_trees(rows, np.random.default_rng(seed).integers(0, 2, TREE_ROWS), TREES)


def fit_trees(rows: NDArray[np.float32], label: NDArray[np.int64], count: int) -> Forest:
    """So many trees on rows float32[N, 259] of drawn orders with labels 0 and 1."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    classifier = HistGradientBoostingClassifier(max_iter=count, min_samples_leaf=5, random_state=0)
    # So few rows are fitted sooner than threads are woken.
    with threadpool_limits(limits=1):
        return Forest.of(classifier.fit(tree_inputs(rows), label))


def drawn_orders(count: int, seed: int) -> list[OrderSubgraph]:
    """Orders at random; shares of histograms are zero, as no model reads them."""
    first = [part.start for part in catalog().component_slices]
    shares = np.zeros((catalog().histogram_count, 16), dtype=np.uint8)
    return [
        OrderSubgraph(
            np.where(np.isnan(row[first]), State.NOT_DELIVERED, State.PRESENT).astype(np.uint8), row, shares
        )
        for row in drawn_components(count, seed)
    ]


def drawn_components(count: int, seed: int) -> NDArray[np.float32]:
    """float32[count, 259] within the catalogue's ranges; three nodes of ten are absent, as a whole."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, len(catalog().components)), dtype=np.float32)
    for node, part in zip(catalog(), catalog().component_slices, strict=True):
        size = (count, part.stop - part.start)
        if node.form is Form.NUMBER:
            low, high = node.bounds
            out[:, part] = np.clip(low + rng.exponential(min(high - low, 10.0) / 3.0, size), low, high)
        elif node.form in (Form.CLASS, Form.FLAG):
            out[:, part] = rng.integers(0, max(2, len(node.words)), size)
        else:
            out[:, part] = rng.gamma(2.0, 1.5, size)
    absent = rng.random((count, NODE_COUNT)) < 0.3
    out[absent[:, np.array(catalog().component_node)]] = np.nan
    return out
