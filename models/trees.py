"""Gradient-boosted trees on the same inputs: an alternative to serve and an honest baseline.

Stored without pickle, as plain node arrays, and predicted with numpy.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.errors import ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import GameScore, Scale, Thresholds
from riskgraph.models.card import CARD_FILE, Card, calibration_of, read_card
from riskgraph.models.compiled import check_file, class_offsets, settle, sigmoid, write_card
from riskgraph.models.tree_leaves import LeafPaths

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

TREES_FILE = "trees.npz"
# Bounds the array of node numbers, rows by trees, that is alive at once.
_CHUNK_ROWS = 2048
_FIRST = np.array([part.start for part in catalog().component_slices])
INPUT_COUNT = len(catalog().components) + NODE_COUNT
_NODE = np.array(catalog().component_node)
# The behavior node behind each input: those of the components, then the presence of each node.
INPUT_NODE = np.concatenate([_NODE, np.arange(NODE_COUNT)])
_NAN = np.float32(np.nan)
_ABSENT = np.full((1, len(_NODE)), _NAN, dtype=np.float32)


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

    def logits(self, components: NDArray[np.float32]) -> NDArray[np.float64]:
        """Raw logits float64[N] of components float32[N, 259]."""
        out = np.full(len(components), self.baseline[0])
        for start in range(0, len(components), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            out[part] += self._sum(tree_inputs(components[part]))
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


def tree_inputs(components: NDArray[np.float32]) -> NDArray[np.float32]:
    """Components and presence of each node, float32[N, 396]."""
    present = np.logical_or.reduceat(~np.isnan(components), _FIRST, axis=1)
    return np.concatenate([components, present.astype(np.float32)], axis=1)


class TreeModel:
    """A loaded tree model; safe to share between threads, it holds no mutable state."""

    def __init__(self, card: Card, forest: Forest) -> None:
        self.card = card
        self.forest = forest
        self.versions = card.versions
        self._paths = LeafPaths(forest, INPUT_NODE, tree_inputs(_ABSENT)[0])
        base = float(forest.logits(_ABSENT)[0])
        self._classes = {name: Scale(c.offset + base, c.thresholds) for name, c in card.classes.items()}

    @classmethod
    def load(cls, folder: Path | str) -> TreeModel:
        """Open ``MODEL/{trees.npz, card.json}``.

        Raises:
            ModelUnavailable: If a file is missing, truncated or altered, or was made for another
                catalogue; the message names the file and what is wrong.
        """
        folder = Path(folder)
        card = read_card(folder)
        if card.kind != "gbdt":
            raise ModelUnavailable(f"{folder / CARD_FILE}: kind {card.kind!r} has no trees, expected 'gbdt'")
        path = folder / TREES_FILE
        # The digest first: numpy must not parse a file that nobody vouches for.
        check_file(path, card)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(card, Forest(**{f.name: arrays[f.name] for f in fields(Forest)}))
        except (OSError, ValueError, KeyError) as wrong:
            raise ModelUnavailable(f"{path}: not a stored forest ({wrong})") from wrong

    @property
    def provenance(self) -> str:
        return self.card.provenance

    def thresholds(self, availability: str) -> Thresholds:
        """Frozen thresholds of an availability class.

        Raises:
            Invalid: If the model has no such class.
        """
        return calibration_of(self.card.classes, availability).thresholds

    def scale(self, availability: str) -> Scale | None:
        """What a class is judged on; None for one that the model does not know."""
        return self._classes.get(availability)

    def score(self, subgraph: OrderSubgraph, availability: str) -> GameScore:
        """Score one order.

        Raises:
            Invalid: If the model has no such availability class; the class is named.
        """
        scale = calibration_of(self._classes, availability)
        row, known = subgraph.components, calibration_of(self.card.classes, availability).offset

        def game(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
            return known + self.forest.logits(np.where(masks[:, _NODE], row, _NAN))

        logit = known + self.forest.logits(row[None])
        return GameScore(
            availability, scale.offset, float(logit[0]), float(sigmoid(logit)[0]), scale.thresholds,
            subgraph.present, game, lambda: self._paths.of(tree_inputs(row[None])[0]),
        )  # fmt: skip

    def score_batch(
        self, components: NDArray[np.float32], availability: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits float64[N] and probabilities float64[N]; see ``CompiledModel.score_batch``."""
        logit = class_offsets(self.card, availability) + self.forest.logits(components)
        return logit, sigmoid(logit)


def write_forest(folder: Path | str, forest: Forest, card: Card) -> Card:
    """Write a tree model, each file in one step; returns the card as stored."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {f.name: getattr(forest, f.name) for f in fields(forest)}
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".npz", delete=False) as file:
        np.savez(file, allow_pickle=False, **arrays)
    # Of the bytes as written, not of the arrays: what is checked at load is the file.
    digest = hashlib.sha256(Path(file.name).read_bytes()).hexdigest()
    settle(Path(file.name), folder / TREES_FILE)
    layout = {"inputs": "components, then presence per node", "trees": len(forest.roots)}
    sealed = card.sealed({TREES_FILE: digest}, layout)
    write_card(folder, sealed)
    return sealed
