"""Encoders, the graph-additive network, training, the compiled scorer and the registry.

Importing this package needs numpy only; training imports torch when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import ModelUnavailable
from riskgraph.core.verdict import Thresholds
from riskgraph.models.card import CARD_FILE, Card, read_card
from riskgraph.models.compiled import CompiledModel
from riskgraph.models.kinds import COMPILED, DEEP, TREES
from riskgraph.ports import Scorer

__all__ = ["CompiledModel", "Model", "load_model"]


class Model(Scorer, Protocol):
    """A loaded model of any kind: it scores an order with what explains it, and many orders at once."""

    @property
    def card(self) -> Card: ...

    def thresholds(self, availability: str) -> Thresholds:
        """Frozen thresholds of an availability class."""

    def score_batch(
        self, components: NDArray[np.float32], availability: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits and probabilities, float64[N] each."""


def load_model(folder: Path | str) -> Model:
    """Open a model of any kind.

    Raises:
        ModelUnavailable: If it cannot be served; the message names the file and what is wrong.
        ExtraMissing: If it is a deep network and torch is not installed (extra ``train``).
    """
    kind = read_card(Path(folder)).kind
    if kind in COMPILED:
        return CompiledModel.load(folder)
    if kind in TREES:
        from riskgraph.models.trees import TreeModel

        return TreeModel.load(folder)
    if kind in DEEP:
        from riskgraph.models.graph_model import GraphModel

        return GraphModel.load(folder)
    raise ModelUnavailable(f"{Path(folder) / CARD_FILE}: unknown kind {kind!r}")
