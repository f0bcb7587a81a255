"""Risk score, verdict and the versioned decision tree (data, not code)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.canonical import canonical_json
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid

_FIRST = np.array([s.start for s in catalog().component_slices])
_PAIR_ENDS = np.array([[p.a for p in catalog().pairs], [p.b for p in catalog().pairs]]).ravel()
GATES = ("single_node",)
ACTIONS = ("none", "step_up", "hold", "block")


class Verdict(StrEnum):
    ACCEPT = "accept"
    REVIEW = "review"
    REJECT = "reject"

    def milder(self, than: Verdict) -> bool:
        """Whether the shopper is better off than with the other: accepted, then reviewed, then rejected."""
        order = list(Verdict)
        return order.index(self) < order.index(than)


_VERDICTS = frozenset(v.value for v in Verdict)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities from which an order is reviewed or rejected, for one availability class."""

    review: float
    reject: float

    def __post_init__(self) -> None:
        if not 0 < self.review <= self.reject <= 1:
            raise Invalid(
                f"thresholds need 0 < review <= reject <= 1, got {self.review:g} and {self.reject:g}",
                field="thresholds",
            )


@dataclass(frozen=True, slots=True)
class Scale:
    """What an availability class is judged on: offset of the logit, and frozen thresholds."""

    offset: float
    thresholds: Thresholds


@dataclass(frozen=True, slots=True, eq=False)
class RiskScore:
    """Score of one order: ``logit = offset + sum(component_terms) + sum(pair_terms)``.

    Attributes:
        component_terms: float64[259], own term of each component; exactly 0 where absent.
        pair_terms: float64[284]; exactly 0 where an end is absent.
    """

    availability: str
    offset: float
    logit: float
    probability: float
    thresholds: Thresholds
    component_terms: NDArray[np.float64]
    pair_terms: NDArray[np.float64]

    @property
    def own_terms(self) -> NDArray[np.float64]:
        """float64[137]: own term of each node, its components summed."""
        return np.add.reduceat(self.component_terms, _FIRST)

    def removal_effects(self) -> NDArray[np.float64]:
        """float64[137]: what the logit loses when one node and all its pairs are taken away."""
        both = np.concatenate([self.pair_terms, self.pair_terms])
        return self.own_terms + np.bincount(_PAIR_ENDS, weights=both, minlength=len(_FIRST))


# bool[M, 137], nodes that are there, to logits float64[M].
Game = Callable[[NDArray[np.bool_]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """One order under trees, as a game: a leaf counts where all its conditions hold, and adds its value.

    A condition says that a node is there, or that it is not. Of any two leaves of a tree one contradicts
    the other, so each coalition of nodes reaches one leaf a tree.

    Attributes:
        value: float64[L], what a leaf adds to the logit.
        leaf: intp[C], leaf of each condition.
        node: intp[C], node of each condition; at most once a leaf.
        there: bool[C], whether the node must be there.
    """

    value: NDArray[np.float64]
    leaf: NDArray[np.intp]
    node: NDArray[np.intp]
    there: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GameScore:
    """Score of one order by a model that is no sum of terms.

    Attributes:
        offset: Logit of the order with all nodes absent.
        present: bool[137], nodes that the order has.
        game: Logits of the order with only some of its nodes, the others absent; nodes that it lacks stay
            absent.
        leaves: The same game as leaves, of a model that is trees; called when it is explained.
    """

    availability: str
    offset: float
    logit: float
    probability: float
    thresholds: Thresholds
    present: NDArray[np.bool_]
    game: Game
    leaves: Callable[[], Leaves] | None = None

    def removal_effects(self) -> NDArray[np.float64]:
        """float64[137]: what the logit loses when one node is taken away; 0 for nodes that are not there."""
        nodes = np.flatnonzero(self.present)
        without = np.repeat(self.present[None], len(nodes), axis=0)
        without[np.arange(len(nodes)), nodes] = False
        out = np.zeros(len(self.present))
        if len(nodes):
            out[nodes] = self.logit - self.game(without)
        return out


# What a model says of one order.
OrderScore = RiskScore | GameScore


@dataclass(frozen=True, slots=True)
class Walk:
    """The way an order took through the tree."""

    verdict: Verdict
    action: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class DecisionTree:
    """Gates, model bands, patterns and leaves, as data (contracts, section 6)."""

    version: str
    data: Mapping[str, Any]
    sha256: str

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> DecisionTree:
        """Validate a tree.

        Raises:
            Invalid: If a part is missing or unknown; the field is named.
        """
        _check_shape(data)
        for gate in data["gates"]:
            if gate.get("id") not in GATES or gate.get("then") not in _VERDICTS or "when" not in gate:
                raise Invalid(f"unknown gate {gate!r}; known: {', '.join(GATES)}", field="tree.gates")
        bands = data["bands"]
        if [b.get("lt") for b in bands] != ["review", "reject", None]:
            raise Invalid("bands must end at 'review', 'reject' and nothing, in order", field="tree.bands")
        for band in bands:
            if band.get("verdict") not in _VERDICTS:
                raise Invalid(f"unknown verdict in band {band!r}", field="tree.bands")
        if data["patterns"]:
            raise Invalid("patterns are not supported by this release", field="tree.patterns")
        return cls(str(data["version"]), data, hashlib.sha256(canonical_json(_unsigned(data))).hexdigest())

    def walk(self, score: OrderScore) -> Walk:
        """Verdict for a score: the band first, then the gates that may soften a reject."""
        names = {"review": score.thresholds.review, "reject": score.thresholds.reject}
        low = 0.0
        for band in self.data["bands"]:
            high = names.get(band.get("lt"), 1.0)
            if "lt" not in band or score.probability < high:
                break
            low = high
        verdict, action = Verdict(band["verdict"]), str(band["action"])
        path = [f"band:{low:.4g}-{high:.4g}"]
        for gate in self.data["gates"]:
            if verdict is Verdict.REJECT and not survives_any_single_node(score):
                path.insert(0, f"gate:{gate['id']}")
                verdict, action = Verdict(gate["then"]), str(gate["action"])
        return Walk(verdict, action, (*path, f"leaf:{verdict}"))


def survives_any_single_node(score: OrderScore) -> bool:
    """The single-node gate: a reject must survive taking away any one node with its pairs."""
    worst = score.logit - float(score.removal_effects().max(initial=0.0))
    return bool(worst >= logit_of(score.thresholds.reject))


def logit_of(probability: float) -> float:
    """Log odds; probability 1 gives infinity."""
    return float(np.log(probability) - np.log1p(-probability)) if probability < 1 else float("inf")


def _check_shape(data: Any) -> None:
    """Refuse what cannot be walked or drawn, before anything is looked up in it."""
    for key in ("version", "gates", "bands", "patterns"):
        if not isinstance(data, Mapping) or key not in data:
            raise Invalid(f"the tree lacks {key!r}", field=f"tree.{key}")
    for key in ("gates", "bands", "patterns"):
        rows = data[key]
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise Invalid(f"{key} of the tree must be a list of objects", field=f"tree.{key}")
    for key in ("gates", "bands"):
        for row in data[key]:
            if not all(isinstance(word, str) for word in row.values()) or row.get("action") not in ACTIONS:
                known = ", ".join(ACTIONS)
                raise Invalid(f"{row!r} must hold words only, and an action of {known}", field=f"tree.{key}")


def _unsigned(tree: Mapping[str, Any]) -> dict[str, Any]:
    patterns = [{k: v for k, v in p.items() if k != "signatures"} for p in tree["patterns"]]
    return {**tree, "patterns": patterns}
