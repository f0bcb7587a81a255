"""A figure of a gate, and the flags at a fixed false-positive rate from which most are read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.intervals import Interval
from riskgraph.eval.metrics import Bools, Floats

GATES = {
    1: "the best single component finds little of all fraud",
    2: "classic rules find some of it at 1 % false positives",
    3: "trees on the order alone find more, not most",
    4: "trees with oracle relations find nearly all",
    5: "each kind of fraud has an honest look-alike; a seed has none",
    6: "relations and the time of labels matter",
    7: "odd honest people look odd to classic rules",
    8: "recall falls smoothly with camouflage",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one gate in one world.

    Attributes:
        gate: 1 to 8, see ``GATES``.
        name: What was measured.
        seed: Seed of the world.
        value: The figure; NaN where the world has too few orders to say.
        interval: Lower and upper end, 95 %, by gangs and accounts; None where there is none.
        low: Smallest value with which the gate holds.
        high: Largest.
        more: What is told beside the figure.
    """

    gate: int
    name: str
    seed: int
    value: float
    low: float = -math.inf
    high: float = math.inf
    interval: tuple[float, float] | None = None
    more: str = ""

    @property
    def held(self) -> bool:
        """NaN does not hold: a gate that could not be measured was not passed."""
        return bool(self.low <= self.value <= self.high)

    @classmethod
    def of(
        cls, gate: int, name: str, seed: int, measured: Interval, low: float, high: float, more: str = ""
    ) -> Figure:
        """A figure with its interval."""
        return cls(gate, name, seed, measured.value, low, high, (measured.lower, measured.upper), more)


def crossed_flags(scores: Floats, fraud: Bools, half: Bools, fpr: float) -> Bools:
    """bool[N]: orders above the threshold that the other half's honest orders set.

    Tied orders are flagged by lot until the budget is spent, so that a coarse score neither loses nor
    gains by its ties.

    Args:
        scores: float64[N], higher is riskier; NaN is never flagged.
        fraud: bool[N].
        half: bool[N], which half an order belongs to; all orders of an account to the same.
        fpr: Allowed share of honest orders.
    """
    known = ~np.isnan(scores)
    place = np.unique(scores, return_inverse=True)[1].reshape(-1)
    ranked = np.where(known, place + np.random.default_rng(1).random(len(scores)), -np.inf)
    flagged = np.zeros(len(scores), dtype=np.bool_)
    for side in (half, ~half):
        honest = np.sort(ranked[~side & ~fraud])[::-1]
        allowed = int(fpr * len(honest))
        flagged[side] = ranked[side] > (honest[allowed] if len(honest) else np.inf)
    return flagged & known


def halves(account: NDArray[np.int64]) -> Bools:
    """bool[N]: half of the accounts, by a fixed lot over their codes; guests (-1) by their place."""
    rng = np.random.default_rng(0)
    codes, place = np.unique(account, return_inverse=True)
    return np.asarray(
        np.where(account < 0, np.arange(len(account)) % 2 == 0, (rng.random(len(codes)) < 0.5)[place]),
        dtype=np.bool_,
    )
