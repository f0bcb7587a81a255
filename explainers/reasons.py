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

    Review and reject name the facts that raised the score most, accept those that lowered it most, each
    in the words of its largest term. A fact speaks for one side: the one that its terms add up to. A
    refused or absent node is never a candidate (GDPR Art. 7(4); PIPL Art. 16).
    """
    terms = np.concatenate([attribution.own, attribution.pairs])
    terms *= np.concatenate([subgraph.present, subgraph.present_pairs])
    if verdict is Verdict.ACCEPT:
        terms = -terms
    first, second = (RELIEF, RISK) if verdict is Verdict.ACCEPT else (RISK, RELIEF)
    facts, small = _facts(terms)
    reasons, named = _told(facts, small[0], set())
    # What the reasons name is not told again for the other side.
    against, _ = _told([fact.turned() for fact in facts], small[1], named)
    chosen = tuple([_reason(nodes, code, share, first, subgraph) for nodes, code, share in reasons])
    other = 1.0 - sum(r.share for r in chosen) if chosen else 0.0
    beside = tuple([_reason(nodes, code, share, second, subgraph) for nodes, code, share in against])
    return Chosen(chosen, beside, max(0.0, other))


@dataclass(frozen=True, slots=True)
class _Fact:
    """Terms that share a node with the largest of them, as (size, candidate), the largest first.

    Attributes:
        terms: Positive sizes speak for the side that is being told.
        net: Their sum.
        own: Nodes of the largest term: no other fact has them in its own.
    """

    terms: tuple[tuple[float, int], ...]
    net: float
    own: frozenset[str]

    def turned(self) -> _Fact:
        """The same, seen from the other side."""
        return _Fact(tuple([(-size, i) for size, i in self.terms]), -self.net, self.own)

    def told(self, named: set[str]) -> float:
        """Size of the terms of which every node is named: what nobody reads of is not told."""
        said = sum([size for size, i in self.terms if named.issuperset(_CANDIDATES[i][1])])
        return min(max(said, 0.0), self.net)


def _facts(terms: NDArray[np.float64]) -> tuple[list[_Fact], tuple[float, float]]:
    """Terms by the fact that they belong to, and how much small ones add up to for each side.

    From the largest down, a term joins the first fact whose largest term shares a node with it, and begins
    one of its own if none does; so each term counts once.

    Args:
        terms: float64[421], those that speak for the side to be told positive.
    """
    gain, loss = np.maximum(terms, 0.0), np.maximum(-terms, 0.0)
    masses = float(np.add.reduce(gain)), float(np.add.reduce(loss))
    large = np.where(terms > 0, terms >= SMALLEST_TERM * masses[0], -terms >= SMALLEST_TERM * masses[1])
    large &= terms != 0
    if masses[0] > 0:
        large[gain.argmax()] = True
    small = float(np.add.reduce(gain[~large])), float(np.add.reduce(loss[~large]))
    groups: list[list[tuple[float, int]]] = []
    place: dict[str, int] = {}
    # Equal terms are ordered by catalogue index, so that a replay names the same reasons.
    for _, i in sorted([(-abs(float(terms[i])), i) for i in large.nonzero()[0].tolist()]):
        nodes, new = _CANDIDATES[i][1], len(groups)
        mine = min(place.get(nodes[0], new), place.get(nodes[-1], new))
        if mine == new:
            groups.append([])
            place |= dict.fromkeys(nodes, mine)
        groups[mine].append((float(terms[i]), i))
    return [
        _Fact(tuple(group), sum([size for size, _ in group]), frozenset(_CANDIDATES[group[0][1]][1]))
        for group in groups
    ], small


def _told(
    facts: list[_Fact], small: float, taken: set[str]
) -> tuple[list[tuple[tuple[str, ...], int, float]], set[str]]:
    """Nodes, leading candidate and share of the facts that count most for a side, the largest first.

    Args:
        facts: All facts, sizes positive for this side.
        small: What else speaks for it.
        taken: Nodes that may not be named.

    Returns:
        The facts, and every node that is named.
    """
    mine = sorted([(-fact.net, place) for place, fact in enumerate(facts) if fact.net > 0])
    mass = small - sum([net for net, _ in mine])
    hubs = {node: place for place, fact in enumerate(facts) for node in fact.own}
    kept: list[tuple[_Fact, int]] = []
    for negative, place in mine:
        leader = _leader(facts[place], place, hubs, taken)
        enough = -negative >= SMALLEST_SHARE * mass or not kept
        if leader is not None and enough and len(kept) < MAX_REASONS:
            kept.append((facts[place], leader))
    nodes = _name_what_counts(kept, SMALLEST_SHARE * mass, taken)
    named = {node for each in nodes for node in each}
    ranked = sorted([(-fact.told(named) / mass, i) for i, (fact, _) in enumerate(kept)])
    return [(tuple(nodes[i]), kept[i][1], -share) for share, i in ranked], named


def _leader(fact: _Fact, place: int, hubs: dict[str, int], taken: set[str]) -> int | None:
    """The largest term for this side whose nodes no other fact has as its own and nobody has named."""
    for size, i in fact.terms:
        nodes = _CANDIDATES[i][1]
        if size > 0 and not any(hubs.get(node, place) != place or node in taken for node in nodes):
            return i
    return None


def _name_what_counts(kept: list[tuple[_Fact, int]], least: float, taken: set[str]) -> list[list[str]]:
    """Nodes by fact: those of its leader, and both of every term of at least ``least``."""
    nodes = [list(_CANDIDATES[leader][1]) for _, leader in kept]
    named = taken.union(*nodes)
    for (fact, _), mine in zip(kept, nodes, strict=True):
        for size, i in fact.terms:
            if size >= least:
                mine += [node for node in _CANDIDATES[i][1] if node not in named]
                named.update(mine)
    return nodes


def _reason(
    nodes: tuple[str, ...], leader: int, share: float, direction: str, subgraph: OrderSubgraph
) -> Reason:
    code = _CANDIDATES[leader][0]
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
