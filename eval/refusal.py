"""What refusing costs a shopper: the same orders judged as they are, and as if all consent were refused.

A refusal may cost nothing (GDPR Art. 7(4), Recital 42; PIPL Art. 16). That a refused node adds zero does not
show it: evidence for a person goes too, and another scale judges what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.eval.intervals import REPS, Clusters, Interval, percentile_interval, ratio_interval
from riskgraph.eval.metrics import Bools, Floats

_CONSENT = np.array([node.consent_needed for node in catalog()])
_COLUMNS = np.flatnonzero(_CONSENT[np.array(catalog().component_node)])

# Verdict words of orders, object[N].
Judge = Callable[[OrderTable], NDArray[np.object_]]


def with_front_end(table: OrderTable) -> Bools:
    """bool[N]: orders of which a front end measured something, so that there is something to refuse."""
    return np.array([word.endswith("/front_end") for word in table.availability.astype(str)], dtype=np.bool_)


def refusing(table: OrderTable) -> OrderTable:
    """The same orders as the door would take them had every purpose been refused.

    Nodes that need consent are absent by refusal, those among them that riskgraph would compute from a device
    included; history stays as it was, since whoever else shares something with the order has not refused.
    """
    components, states = table.components.copy(), table.states.copy()
    components[:, _COLUMNS] = np.nan
    states[:, _CONSENT] = State.REFUSED
    phase = [word.split("/")[0] for word in table.availability.astype(str)]
    availability = np.array([f"{p}/refused" for p in phase], dtype=object)
    purposes = np.zeros_like(table.purposes)
    return replace(table, components=components, states=states, availability=availability, purposes=purposes)


@dataclass(frozen=True, slots=True)
class TwoRates:
    """A share of orders as they are and of the same orders refusing, and the second over the first.

    Attributes:
        ratio: NaN where none of the orders as they are count.
    """

    granted: Interval
    refused: Interval
    ratio: Interval


def two_rates(
    granted: Bools, refused: Bools, clusters: Clusters, *, reps: int = REPS, seed: int = 0
) -> TwoRates:
    """Compare how often something happens to the same N orders in two ways.

    The interval of the ratio draws whole clusters, for both ways at once: orders are their own controls.

    Args:
        granted: bool[N], what happens to them as they are.
        refused: bool[N], refusing.
        clusters: Accounts or gangs of the orders.
        reps: Bootstrap draws.
        seed: Of the draws.
    """
    everyone = np.ones(len(granted), dtype=np.bool_)
    value = float(refused.sum() / granted.sum()) if granted.any() else float("nan")
    draws = _ratio_draws(granted, refused, clusters, reps, seed)
    return TwoRates(
        ratio_interval(granted, everyone, clusters, reps=reps, seed=seed),
        ratio_interval(refused, everyone, clusters, reps=reps, seed=seed),
        percentile_interval(value, draws),
    )


def _ratio_draws(granted: Bools, refused: Bools, clusters: Clusters, reps: int, seed: int) -> Floats:
    """float64[reps]; clusters in which nothing happens either way move no ratio and are not drawn."""
    size = len(clusters.is_fraud)
    sums = np.stack([np.bincount(clusters.code, part, size) for part in (granted, refused)], axis=1)
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(size, counts / size, size=reps) @ kinds
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(drawn[:, 0] > 0, drawn[:, 1] / drawn[:, 0], np.nan)


@dataclass(frozen=True, eq=False)
class Refusal:
    """Verdict words of the same orders, as they are and refusing, object[N] each."""

    granted: NDArray[np.object_]
    refused: NDArray[np.object_]

    @classmethod
    def of(cls, table: OrderTable, judge: Judge) -> Refusal:
        """Judge orders twice."""
        return cls(judge(table), judge(refusing(table)))

    def compare(self, words: tuple[str, ...], clusters: Clusters, among: Bools | None = None) -> TwoRates:
        """Rates of some verdicts, over all orders or some of them."""
        rows = np.ones(len(self.granted), dtype=np.bool_) if among is None else among
        granted, refused = (np.isin(part[rows].astype(str), words) for part in (self.granted, self.refused))
        return two_rates(granted, refused, clusters.take(rows))
