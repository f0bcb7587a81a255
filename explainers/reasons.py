"""Choosing the reasons of a verdict: at most four, only factors that were really scored.

Four follows the US Regulation B commentary (12 CFR 1002.9(b)(2)): more rarely help, and no
principal factor may be left out. Candidates are the own terms of nodes and the terms of pairs: a
conjunction is one reason, not two halves. Nor is one fact several reasons: a term that shares a node
with a larger reason belongs to it and adds to its share (GDPR Art. 12(1): concise; ADR 0016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.report import MAX_REASONS, Attribution, Reason
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import Verdict

RISK, RELIEF = "risk", "relief"
SMALLEST_TERM, SMALLEST_SHARE = 0.01, 0.05
STRONG_SHARE, MODERATE_SHARE = 0.25, 0.10
FAR_WORDS = ("km200", "km1000")
SEED_CODE = "far_address_location_unconfirmed"

_NODES = catalog().nodes
_ADDRESS, _LOCATION = catalog()["B110"].index, catalog()["B085"].index
_SEED_PAIR = catalog().pair_index[min(_ADDRESS, _LOCATION), max(_ADDRESS, _LOCATION)]


def _names() -> tuple[tuple[str, tuple[str, ...]], ...]:
    nodes = [(n.name, (n.id,)) for n in _NODES]
    pairs = [
        (f"{_NODES[p.a].name}_with_{_NODES[p.b].name}", (_NODES[p.a].id, _NODES[p.b].id))
        for p in catalog().pairs
    ]
    return (*nodes, *pairs)


_CANDIDATES = _names()


@dataclass(frozen=True, slots=True)
class Chosen:
    """Reasons for the verdict, the factors that speak against it, and what the reasons leave out.

    Attributes:
        other_share: Share of the reasons' own direction that is not among the reasons, 0 to 1.
    """

    reasons: tuple[Reason, ...]
    mitigating: tuple[Reason, ...]
    other_share: float


def choose_reasons(attribution: Attribution, subgraph: OrderSubgraph, verdict: Verdict) -> Chosen:
    """Pick the reasons of a verdict and the factors against it (GDPR Art. 5(1)(a); PIPL Art. 24(1)).

    Review and reject name the facts that raised the score most, accept those that lowered it most,
    each in the words of its largest term. A refused or absent node is never a candidate (GDPR
    Art. 7(4); PIPL Art. 16).
    """
    terms = np.concatenate([attribution.own, attribution.pairs])
    terms *= np.concatenate([subgraph.present, subgraph.present_pairs])
    first, second = (RELIEF, RISK) if verdict is Verdict.ACCEPT else (RISK, RELIEF)
    reasons = _largest(terms, first, subgraph)
    other = 1.0 - sum(r.share for r in reasons) if reasons else 0.0
    return Chosen(reasons, _largest(terms, second, subgraph), max(0.0, other))


def _largest(terms: NDArray[np.float64], direction: str, subgraph: OrderSubgraph) -> tuple[Reason, ...]:
    size = np.maximum(terms if direction == RISK else -terms, 0.0)
    mass = float(np.add.reduce(size))
    if mass <= 0.0:
        return ()
    told = (size >= SMALLEST_TERM * mass).nonzero()[0].tolist() or [int(size.argmax())]
    # Equal terms are ordered by catalogue index, so that a replay names the same reasons.
    facts = _one_per_fact(sorted([(-float(size[i]), i) for i in told]))
    large = [fact for fact in facts if fact[0] >= SMALLEST_SHARE * mass] or facts[:1]
    return tuple([_reason(i, value / mass, direction, subgraph) for value, i in large[:MAX_REASONS]])


def _one_per_fact(ranked: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """(size, leading candidate) of each reason, largest first.

    A term joins the first leader that shares a node with it, and leads a reason of its own if none
    does; so each term is counted once.

    Args:
        ranked: (minus the size, candidate), the largest term first.
    """
    leaders: list[int] = []
    sizes: list[float] = []
    leader_of: dict[str, int] = {}
    for negative, i in ranked:
        nodes = _CANDIDATES[i][1]
        place = min([leader_of[n] for n in nodes if n in leader_of], default=len(leaders))
        if place == len(leaders):
            leaders.append(i)
            sizes.append(0.0)
            leader_of |= dict.fromkeys(nodes, place)
        sizes[place] -= negative
    return sorted(zip(sizes, leaders, strict=True), key=lambda fact: -fact[0])


def _reason(candidate: int, share: float, direction: str, subgraph: OrderSubgraph) -> Reason:
    code, nodes = _CANDIDATES[candidate]
    if candidate == NODE_COUNT + _SEED_PAIR and direction == RISK and _is_seed_case(subgraph):
        code, nodes = SEED_CODE, ("B110", "B085")
    return Reason(code, nodes, direction, band_of(share), share)


def band_of(share: float) -> str:
    """Strength in words; the exact share stays in the compliance report."""
    if share >= STRONG_SHARE:
        return "strong"
    return "moderate" if share >= MODERATE_SHARE else "slight"


def _is_seed_case(subgraph: OrderSubgraph) -> bool:
    """True when the address is far and a device that may give its position failed to.

    Only a permitted position that failed counts; a refusal is an absence and never gets here
    (必要个人信息范围规定 Art. 4; PIPL Art. 16).
    """
    return subgraph.value("B110") in FAR_WORDS and subgraph.value("B085") == "unavailable"
