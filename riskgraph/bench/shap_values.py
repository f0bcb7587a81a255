"""Shapley values by the shap library, beside our own: of trees and of the served tables (extra ``train``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.referee import shap_library
from riskgraph.models import CompiledModel
from riskgraph.models.compiled import table_logits
from riskgraph.models.game import ABSENT
from riskgraph.models.trees import Forest, tree_inputs

_FEATURE = "shap beside the closed form"
_COMPONENT_NODE = np.array(catalog().component_node)


def tree_shap(forest: Forest) -> Callable[[OrderSubgraph], NDArray[np.float64]]:
    """Shapley values float64[396] of the inputs of a forest by ``shap.TreeExplainer``, against all-absent.

    Raises:
        ExtraMissing: If shap is not installed (extra ``train``).
    """
    explainer = shap_library(_FEATURE).TreeExplainer(
        {"trees": _shap_trees(forest), "base_offset": float(forest.baseline[0])},
        data=tree_inputs(ABSENT).astype(np.float64),
        feature_perturbation="interventional",
    )

    def call(order: OrderSubgraph) -> NDArray[np.float64]:
        values: NDArray[np.float64] = explainer.shap_values(tree_inputs(order.components[None]))[0]
        return values

    return call


def _shap_trees(forest: Forest) -> list[dict[str, Any]]:
    """Each tree with node numbers of its own and -1 below a leaf, as shap takes them."""
    trees = []
    for start, end in zip(forest.roots, [*forest.roots[1:], len(forest.feature)], strict=True):
        part, leaf = slice(start, end), forest.left[start:end] == np.arange(start, end)
        missing = np.where(forest.missing_left, forest.left, forest.right)
        sides = {"left": forest.left, "right": forest.right, "default": missing}
        trees.append(
            {f"children_{side}": np.where(leaf, -1, ends[part] - start) for side, ends in sides.items()}
            | {"features": forest.feature[part], "thresholds": forest.threshold[part]}
            # weights count for path-dependent values only
            | {"values": forest.value[part][:, None], "node_sample_weight": np.ones(end - start)}
        )
    return trees


def kernel_shap(model: CompiledModel) -> Callable[[OrderSubgraph], NDArray[np.float64]]:
    """Shapley values float64[137] of the nodes by ``shap.KernelExplainer``, against all-absent.

    Raises:
        ExtraMissing: If shap is not installed (extra ``train``).
    """
    shap, flat, edges = shap_library(_FEATURE), model.tables.flat(), model.tables.edges
    nothing = np.zeros((1, NODE_COUNT))

    def call(order: OrderSubgraph) -> NDArray[np.float64]:
        def game(there: NDArray[np.float64]) -> NDArray[np.float64]:
            kept = there.astype(bool)[:, _COMPONENT_NODE]
            return table_logits(flat, edges, np.where(kept, order.components, np.float32(np.nan)))

        explainer = shap.KernelExplainer(game, nothing)
        values: NDArray[np.float64] = explainer.shap_values(order.present.astype(np.float64), silent=True)
        return values

    return call
