"""Choosing the reasons of a verdict: at most four, only factors that were really scored.

Four follows the US Regulation B commentary (12 CFR 1002.9(b)(2)): more rarely help, and no
principal factor may be left out. Candidates are the own terms of nodes and the terms of pairs: a
conjunction is one reason, not two halves. Nor is one fact several reasons: a term that shares a node
with a larger reason belongs to it (GDPR Art. 12(1): concise; ADR 0016). If such a term is no small
one, the reason names its other node too.
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
_PAIR_CODES = frozenset({SEED_CODE, *(code for code, nodes in _CANDIDATES if len(nodes) == 2)})


@dataclass(frozen=True, slots=True)
class Chosen:
    """Reasons for the verdict, the factors that speak against it, and what the reasons leave out.

    Attributes:
        other_share: Share of the reasons' own direction that the reasons do not tell, 0 to 1: terms
            with a node that no reason names, and all smaller ones.
    """

    reasons: tuple[Reason, ...]
    mitigating: tuple[Reason, ...]
    other_share: float


def choose_reasons(attribution: Attribution, subgraph: OrderSubgraph, verdict: Verdict) -> Chosen:
    """Pick the reasons of a verdict and the factors against it (GDPR Art. 5(1)(a); PIPL Art. 24(1)).

    Review and reject name the facts that raised the score most, accept those that lowered it most,
    each in the words of its largest term. What reasons name is not told again for the other side. A refused
    or absent node is never a candidate (GDPR Art. 7(4); PIPL Art. 16).
    """
    terms = np.concatenate([attribution.own, attribution.pairs])
    terms *= np.concatenate([subgraph.present, subgraph.present_pairs])
    first, second = (RELIEF, RISK) if verdict is Verdict.ACCEPT else (RISK, RELIEF)
    reasons = _largest(terms, first, subgraph, frozenset())
    other = 1.0 - sum(r.share for r in reasons) if reasons else 0.0
    named = frozenset(node for reason in reasons for node in reason.nodes)
    return Chosen(reasons, _largest(terms, second, subgraph, named), max(0.0, other))


def _largest(
    terms: NDArray[np.float64], direction: str, subgraph: OrderSubgraph, taken: frozenset[str]
) -> tuple[Reason, ...]:
    """The facts that count most in a direction, but for terms of nodes that are taken."""
    size = np.maximum(terms if direction == RISK else -terms, 0.0)
    mass = float(np.add.reduce(size))
    if mass <= 0.0:
        return ()
    large = (size >= SMALLEST_TERM * mass).nonzero()[0].tolist() or [int(size.argmax())]
    large = [i for i in large if taken.isdisjoint(_CANDIDATES[i][1])]
    # Equal terms are ordered by catalogue index, so that a replay names the same reasons.
    facts = _one_per_fact(sorted([(-float(size[i]), i) for i in large]))
    facts = [fact for fact in facts[:MAX_REASONS] if fact.size >= SMALLEST_SHARE * mass] or facts[:1]
    named = _name_what_counts(facts, SMALLEST_SHARE * mass)
    told = sorted([(-fact.told(named) / mass, place) for place, fact in enumerate(facts)])
    return tuple([_reason(facts[place], -share, direction, subgraph) for share, place in told])


@dataclass(slots=True)
class _Fact:
    """A reason in the making: its terms as (minus the size, candidate), the leading one first."""

    nodes: list[str]
    terms: list[tuple[float, int]]
    size: float

    def told(self, named: set[str]) -> float:
        """Size of the terms of which every node is named: what nobody reads of is not told."""
        return -sum(negative for negative, i in self.terms if named.issuperset(_CANDIDATES[i][1]))


def _one_per_fact(ranked: list[tuple[float, int]]) -> list[_Fact]:
    """Terms by the reason that they belong to, the largest reason first.

    A term joins the first leader that shares a node with it, and leads a reason of its own if none
    does; so each term is counted once.

    Args:
        ranked: (minus the size, candidate), the largest term first.
    """
    facts: list[_Fact] = []
    place: dict[str, int] = {}
    for term in ranked:
        nodes, new = _CANDIDATES[term[1]][1], len(facts)
        mine = min(place.get(nodes[0], new), place.get(nodes[-1], new))
        if mine == new:
            facts.append(_Fact(list(nodes), [], 0.0))
            place |= dict.fromkeys(nodes, mine)
        facts[mine].terms.append(term)
        facts[mine].size -= term[0]
    return sorted(facts, key=lambda fact: -fact.size)


def _name_what_counts(facts: list[_Fact], least: float) -> set[str]:
    """Name both nodes of every term of at least ``least``; returns all nodes that are named."""
    named = {node for fact in facts for node in fact.nodes}
    for fact in facts:
        for negative, i in fact.terms:
            if -negative >= least:
                fact.nodes += [node for node in _CANDIDATES[i][1] if node not in named]
                named |= set(fact.nodes)
    return named


def _reason(fact: _Fact, share: float, direction: str, subgraph: OrderSubgraph) -> Reason:
    leader = fact.terms[0][1]
    code, nodes = _CANDIDATES[leader][0], tuple(fact.nodes)
    if leader == NODE_COUNT + _SEED_PAIR and direction == RISK and _is_seed_case(subgraph):
        code, nodes = SEED_CODE, ("B110", "B085", *nodes[2:])
    return Reason(code, nodes, direction, band_of(share), share)


def leading(reason: Reason) -> tuple[str, ...]:
    """The node or the two nodes of the term that leads a reason; its further nodes come after them."""
    return reason.nodes[: 2 if reason.code in _PAIR_CODES else 1]


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
