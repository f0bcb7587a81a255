"""Serving a model that is no sum of terms: trees and deep networks.

It scores an order and answers what it would score with only some of the nodes there. An explainer plays that
game; a node that the order lacks is no player and gets no share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import GameScore, Scale, Thresholds
from riskgraph.models.calibration import RawLogits
from riskgraph.models.card import Card, calibration_of
from riskgraph.models.compiled import class_offsets, sigmoid

_COMPONENT_NODE = np.array(catalog().component_node)
# float32[1, 259]: an order without any node.
ABSENT = np.full((1, len(catalog().components)), np.nan, dtype=np.float32)


class GameModel:
    """A loaded model without terms; safe to share between threads, it holds no mutable state.

    Args:
        card: Its card.
        raw: Logits without offset of components float32[N, 259].
    """

    def __init__(self, card: Card, raw: RawLogits) -> None:
        self.card = card
        self.raw = raw
        self.versions = card.versions
        nothing = float(raw(ABSENT)[0])
        self._shifts = {name: c.offset for name, c in card.classes.items()}
        self._classes = {name: Scale(c.offset + nothing, c.thresholds) for name, c in card.classes.items()}

    @property
    def provenance(self) -> str:
        return self.card.provenance

    def thresholds(self, availability: str) -> Thresholds:
        """Frozen thresholds of an availability class.

        Raises:
            Invalid: If the model has no such class.
        """
        return calibration_of(self._classes, availability).thresholds

    def scale(self, availability: str) -> Scale | None:
        """What a class is judged on, its offset the logit of an order without any node.

        None for a class that the model does not know.
        """
        return self._classes.get(availability)

    def score(self, subgraph: OrderSubgraph, availability: str) -> GameScore:
        """Score one order.

        Raises:
            Invalid: If the model has no such availability class; the class is named.
        """
        scale = calibration_of(self._classes, availability)
        shift, components = self._shifts[availability], subgraph.components

        def game(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
            # What the order lacks is NaN already, whatever the mask says.
            there = masks[:, _COMPONENT_NODE]
            return shift + self.raw(np.where(there, components, np.float32(np.nan)))

        logit = shift + self.raw(components[None])
        probability = float(sigmoid(logit)[0])
        return GameScore(
            availability, scale.offset, float(logit[0]), probability, scale.thresholds, subgraph.present, game
        )

    def score_batch(
        self, components: NDArray[np.float32], availability: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits float64[N] and probabilities float64[N]; see ``CompiledModel.score_batch``."""
        logit = class_offsets(self.card, availability) + self.raw(components)
        return logit, sigmoid(logit)
