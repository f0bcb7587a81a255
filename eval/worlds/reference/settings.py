"""Fixed settings of the reference learners, from ``settings.json`` beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Settings:
    """How the reference learners learn and are measured.

    Attributes:
        fpr: False-positive rate at which recall is read.
        learn: Share of a world's orders, the earliest, that trees learn from; the later are measured.
        trees: Arguments of scikit-learn's HistGradientBoostingClassifier.
        relations: ``hub_orders`` and ``group_hub_orders`` (an entity on more orders links nothing),
            ``share_step`` and ``lot_seed`` (how shares of fraud are rounded), ``near_hours`` (what
            counts as near in time).
    """

    fpr: float
    learn: float
    trees: Mapping[str, float]
    relations: Mapping[str, float]

    def earlier(self, orders: int) -> NDArray[np.bool_]:
        """bool[N] for N orders in time order: those to learn from; the others are measured."""
        return np.arange(orders) < int(orders * self.learn)


@cache
def settings() -> Settings:
    """The settings in the file."""
    text = resources.files(__package__).joinpath("settings.json").read_text(encoding="utf-8")
    return Settings(**json.loads(text))
