"""The baseline that a model has to beat: a flat list of rules with points, as shops write them.

Thresholds and points are round numbers chosen beforehand; none was fitted to any data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.verdict import Thresholds

# Component, "at least" or one class word, points.
RULES: tuple[tuple[str, float | str, int], ...] = (
    ("B064.value", 3.0, 2),
    ("B066.value", 1.0, 2),
    ("B067.value", 3.0, 2),
    ("B060.value", 3.0, 1),
    ("B131.accounts_30d", 3.0, 2),
    ("B132.accounts_30d", 4.0, 2),
    ("B133.accounts_30d", 3.0, 2),
    ("B092.value", "d0", 1),
    ("B094.value", 5.0, 1),
    ("B095.value", 1.0, 1),
    ("B097.value", "virtual", 1),
    ("B097.value", "code_receiving", 2),
    ("B102.value", 3.0, 1),
    ("B103.value", 0.5, 1),
    ("B108.value", "km1000", 1),
    ("B113.value", "forwarder", 1),
    ("B123.value", "datacenter", 1),
    ("B123.value", "proxy", 1),
    ("B136.value", "1", 3),
    ("B079.value", 1.0, 2),
)
REVIEW_POINTS = 3
REJECT_POINTS = 4
# One more than can be reached, so that even a full house stays below a probability of 1.
_FULL = 1 + sum(points for _, _, points in RULES)


class FlatRules:
    """Adds the points of the rules that hold; an absent node never holds.

    Its "probability" is points over a fixed maximum: a rank, not a calibrated chance.
    """

    versions = {"model": "flat-rules-1"}
    provenance = "rules"

    def score_batch(
        self, components: NDArray[np.float32], availability: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points and points over the maximum, float64[N] each, for components float32[N, 259]."""
        # NaN compares false, so an absent node gives no points.
        points = np.zeros(len(components))
        for name, limit, worth in RULES:
            column = components[:, catalog().component_index[name]]
            if isinstance(limit, str):
                held = column == catalog()[name[:4]].words.index(limit)
            else:
                held = column >= limit
            points += worth * held
        return points, points / _FULL

    def thresholds(self, availability: str) -> Thresholds:
        """The same points for every availability class."""
        return Thresholds(REVIEW_POINTS / _FULL, REJECT_POINTS / _FULL)
