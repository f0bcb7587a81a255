"""Gradient-boosted trees: an alternative to serve and an honest baseline, alone or with what neighbours say.

Stored without pickle, as plain node arrays, and predicted with numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.errors import ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import GameScore
from riskgraph.models.card import CARD_FILE, Card, read_card
from riskgraph.models.game import ABSENT, GameModel
from riskgraph.models.kinds import TREES
from riskgraph.models.neighbours import NeighbourInputs
from riskgraph.models.stored import Arrays, read_arrays, write_arrays
from riskgraph.models.tree_leaves import LeafPaths

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

TREES_FILE = "trees.npz"
# Bounds the array of node numbers, rows by trees, that is alive at once.
_CHUNK_ROWS = 2048
_FIRST = np.array([part.start for part in catalog().component_slices])
_COMPONENTS = len(catalog().components)
INPUT_COUNT = _COMPONENTS + NODE_COUNT
# The behavior node behind each input: those of the components, then the presence of each node.
INPUT_NODE = np.concatenate([np.array(catalog().component_node), np.arange(NODE_COUNT)])
_KINDS = dict.fromkeys(("feature", "left", "right", "roots", "depth"), "i")
_KINDS |= dict.fromkeys(("threshold", "value", "baseline"), "f") | {"missing_left": "b"}


@dataclass(frozen=True, eq=False)
class Forest:
    """Nodes of all trees, one after the other; a leaf points to itself.

    Attributes:
        feature: int32[n], input that a node asks for.
        threshold: float64[n]; at most this goes left.
        missing_left: bool[n], where an absent value goes.
        left, right: int32[n], node numbers.
        value: float64[n], of leaves.
        roots: int32[trees]. depth: int64[1], the deepest tree. baseline: float64[1].
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    roots: NDArray[np.int32]
    depth: NDArray[np.int64]
    baseline: NDArray[np.float64]

    @classmethod
    def of(cls, classifier: HistGradientBoostingClassifier) -> Forest:
        """Take the trees out of a fitted binary scikit-learn classifier without categories."""
        trees = [group[0].nodes for group in classifier._predictors]
        roots = np.cumsum([0, *(len(t) for t in trees)])
        nodes = np.concatenate(trees)
        start = np.repeat(roots[:-1], [len(t) for t in trees])
        leaf, here = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
        return cls(
            feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
            threshold=np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64),
            missing_left=nodes["missing_go_to_left"].astype(bool),
            # A leaf points to itself, so that all rows can take the same number of steps without a test.
            left=np.where(leaf, here, start + nodes["left"]).astype(np.int32),
            right=np.where(leaf, here, start + nodes["right"]).astype(np.int32),
            value=np.where(leaf, nodes["value"], 0.0).astype(np.float64),
            roots=roots[:-1].astype(np.int32),
            depth=np.array([nodes["depth"].max()], dtype=np.int64),
            baseline=np.asarray(classifier._baseline_prediction, dtype=np.float64).ravel()[:1],
        )

    def logits(
        self, components: NDArray[np.float32], neighbours: NeighbourInputs | None = None
    ) -> NDArray[np.float64]:
        """Raw logits float64[N] of components float32[N, 259], with aggregates of neighbours if given."""
        out = np.full(len(components), self.baseline[0])
        for start in range(0, len(components), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            values = components[part] if neighbours is None else neighbours(components[part])
            out[part] += self._sum(tree_inputs(values))
        return out

    def _sum(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        node = np.broadcast_to(self.roots, (len(inputs), len(self.roots)))
        rows = np.arange(len(inputs))[:, None]
        for _ in range(int(self.depth[0])):
            value = inputs[rows, self.feature[node]].astype(np.float64)
            left = np.where(np.isnan(value), self.missing_left[node], value <= self.threshold[node])
            node = np.where(left, self.left[node], self.right[node])
        return np.asarray(self.value[node].sum(axis=1), dtype=np.float64)

    def goes_left(self, inputs: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which way one row of inputs goes at every node, bool[n]."""
        value = inputs[self.feature].astype(np.float64)
        return np.where(np.isnan(value), self.missing_left, value <= self.threshold)


def tree_inputs(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values and presence of each node, float32[N, V + 137].

    Args:
        values: float32[N, V], the 259 components first.
    """
    present = np.logical_or.reduceat(~np.isnan(values[:, :_COMPONENTS]), _FIRST, axis=1)
    return np.concatenate([values, present.astype(np.float32)], axis=1)


class TreeModel(GameModel):
    """A loaded tree model."""

    def __init__(self, card: Card, forest: Forest, neighbours: NeighbourInputs | None = None) -> None:
        super().__init__(card, lambda components: forest.logits(components, neighbours))
        self.forest = forest
        # An aggregate speaks of several nodes at once, so no leaf is a matter of single ones.
        self._paths = None if neighbours else LeafPaths(forest, INPUT_NODE, tree_inputs(ABSENT)[0])

    def score(self, subgraph: OrderSubgraph, availability: str) -> GameScore:
        """Score one order; without neighbours its leaves come along, from which exact reasons follow.

        Raises:
            Invalid: If the model has no such availability class; the class is named.
        """
        score, paths = super().score(subgraph, availability), self._paths
        if paths is None:
            return score
        return replace(score, leaves=lambda: paths.of(tree_inputs(subgraph.components[None])[0]))

    @classmethod
    def load(cls, folder: Path | str) -> TreeModel:
        """Open ``MODEL/{trees.npz, card.json}``.

        Raises:
            ModelUnavailable: If a file is missing, truncated or altered, or was made for another
                catalogue; the message names the file and what is wrong.
        """
        folder = Path(folder)
        card = read_card(folder)
        if card.kind not in TREES:
            known = " or ".join(TREES)
            raise ModelUnavailable(f"{folder / CARD_FILE}: kind {card.kind!r} has no trees, expected {known}")
        arrays = read_arrays(folder / TREES_FILE, card)
        try:
            forest = Forest(**{f.name: arrays[f.name] for f in fields(Forest)})
            neighbours = NeighbourInputs(arrays["bin_edges"]) if card.kind == "xgbgraph" else None
            values = ABSENT if neighbours is None else neighbours(ABSENT)
            check_forest(forest, tree_inputs(values).shape[1])
        except KeyError as missing:
            raise ModelUnavailable(f"{folder / TREES_FILE}: the array {missing} is missing") from missing
        except (IndexError, TypeError, ValueError) as wrong:
            raise ModelUnavailable(f"{folder / TREES_FILE}: holds no trees ({wrong})") from wrong
        return cls(card, forest, neighbours)


def check_forest(forest: Forest, inputs: int) -> None:
    """That walking a forest ends in a leaf: files come from elsewhere too, and a digest says nothing of that.

    Raises:
        ValueError: Naming what does not fit.
    """
    count, one = len(forest.feature), ("depth", "baseline")
    for spec in fields(forest):
        array, kind = getattr(forest, spec.name), _KINDS[spec.name]
        fits = len(forest.roots) if spec.name == "roots" else 1 if spec.name in one else count
        if array.shape != (fits,) or array.dtype.kind != kind:
            raise ValueError(f"{spec.name} is {array.dtype}{list(array.shape)}")
    here, left, right = np.arange(count), forest.left, forest.right
    inner = left != here
    below = np.concatenate([left[inner], right[inner]])
    # Children come after their parent, so no way leads in a circle.
    if not ((right != here) == inner).all() or not (below > np.tile(here[inner], 2)).all():
        raise ValueError("a node leads back")
    # Raises for a number below zero; one too high makes the count longer.
    if not np.array_equal(np.bincount(np.concatenate([below, forest.roots]), minlength=count), here >= 0):
        raise ValueError("a node does not hang in one place")
    if not ((forest.feature >= 0) & (forest.feature < inputs)).all():
        raise ValueError(f"a node asks for an input that is none of {inputs}")
    if not np.isfinite(np.append(forest.value, forest.baseline)).all() or np.isnan(forest.threshold).any():
        raise ValueError("a value is not finite")
    if forest.depth[0] != _depth(forest):
        raise ValueError("depth is not the deepest tree's")


def _depth(forest: Forest) -> int:
    depth, here = 0, forest.roots
    while len(here := here[forest.left[here] != here]):
        depth, here = depth + 1, np.concatenate([forest.left[here], forest.right[here]])
    return depth


def write_forest(
    folder: Path | str, forest: Forest, card: Card, neighbours: NeighbourInputs | None = None
) -> Card:
    """Write a tree model, each file in one step; returns the card as stored."""
    arrays: Arrays = {f.name: getattr(forest, f.name) for f in fields(forest)}
    inputs = "components, then presence per node"
    if neighbours is not None:
        arrays["bin_edges"] = neighbours.edges
        inputs = "components, then aggregates over neighbours, then presence per node"
    layout = {"inputs": inputs, "trees": len(forest.roots)}
    return write_arrays(folder, TREES_FILE, arrays, card, layout)
