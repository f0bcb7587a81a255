"""A tiny random additive scorer and random orders, for the tests of this folder only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, NODE_COUNT, Form, NodeSpec, catalog
from riskgraph.core.order import Consent, Entities, Order
from riskgraph.core.report import DecisionReport
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.verdict import GameScore, OrderScore, RiskScore, Scale, Thresholds, Verdict, Walk
from riskgraph.explainers.games import AnyExplainer
from riskgraph.explainers.record import build_report

VERSIONS = {
    "catalog": "1",
    "model": "random-1",
    "model_sha256": "0" * 64,
    "tree": "7",
    "tree_sha256": "1" * 64,
    "policy": "2026-10",
}


def logistic(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))


class RandomScorer:
    """``f_i`` and ``g_ij`` are random functions of the components; absent adds exactly zero."""

    versions = VERSIONS
    provenance = "simulated"

    def __init__(self, seed: int = 0, offset: float = -2.0) -> None:
        rng = np.random.default_rng(seed)
        self.weights = rng.normal(0, 0.6, len(catalog().components))
        self.pair_weights = rng.normal(0, 0.6, len(catalog().pairs))
        self.offset = offset
        slices = catalog().component_slices
        self.ends = [(slices[p.a].start, slices[p.b].start) for p in catalog().pairs]

    def scale(self, availability: str) -> Scale:
        if availability.endswith("/refused"):
            return Scale(self.offset + 0.8, Thresholds(0.55, 0.85))
        return Scale(self.offset, Thresholds(0.5, 0.8))

    def score(self, subgraph: OrderSubgraph, availability: str) -> RiskScore:
        scale = self.scale(availability)
        filled = ~np.isnan(subgraph.components)
        wave = np.where(filled, np.cos(np.nan_to_num(subgraph.components, nan=0.0).astype(np.float64)), 0.0)
        terms = self.weights * wave
        a = np.array([end[0] for end in self.ends])
        b = np.array([end[1] for end in self.ends])
        pairs = np.where(subgraph.present_pairs, self.pair_weights * (0.3 + wave[a] * wave[b]), 0.0)
        logit = scale.offset + float(terms.sum()) + float(pairs.sum())
        return RiskScore(availability, scale.offset, logit, logistic(logit), scale.thresholds, terms, pairs)


class GameScorer:
    """The random additive scorer as a game, with interactions of three and more nodes of weight ``deep``."""

    versions = VERSIONS
    provenance = "simulated"

    def __init__(self, seed: int = 0, deep: float = 0.5) -> None:
        self._terms, self._deep = RandomScorer(seed), deep
        self._bends = np.random.default_rng(seed).normal(0, 1.0, (3, NODE_COUNT))
        self.asked = self.calls = 0

    def scale(self, availability: str) -> Scale:
        return self._terms.scale(availability)

    def _logits(
        self, masks: NDArray[np.bool_], subgraph: OrderSubgraph, availability: str
    ) -> NDArray[np.float64]:
        self.asked, self.calls = self.asked + len(masks), self.calls + 1
        score = self._terms.score(subgraph, availability)
        here = masks & subgraph.present
        ends = np.array([[p.a, p.b] for p in catalog().pairs])
        logit = score.offset + here @ score.own_terms + here[:, ends].all(axis=2) @ score.pair_terms
        return np.asarray(logit + self._deep * np.tanh(here @ self._bends.T).prod(axis=1))

    def score(self, subgraph: OrderSubgraph, availability: str) -> GameScore:
        def game(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
            return self._logits(masks, subgraph, availability)

        scale = self.scale(availability)
        logit = float(game(np.ones((1, NODE_COUNT), dtype=bool))[0])
        return GameScore(
            availability, scale.offset, logit, logistic(logit), scale.thresholds, subgraph.present, game
        )


def random_value(node: NodeSpec, rng: np.random.Generator) -> Any:
    if node.form is Form.FLAG:
        return bool(rng.random() < 0.5)
    if node.form is Form.CLASS:
        return node.words[int(rng.integers(len(node.words)))]
    if node.form is Form.NUMBER:
        low, high = node.bounds
        value = low + (min(high, low + 500) - low) * float(rng.random()) ** 3
        return float(round(value)) if node.kind == "count" else value
    if node.form is Form.CONTEXT:
        return {name: float(rng.integers(0, 9)) for name in node.components}
    one = [
        {"n": int(c.sum()), "bins": c.tolist()} for c in rng.integers(1, 9, (len(node.histograms), BIN_COUNT))
    ]
    if len(node.histograms) == 1:
        return one[0]
    return {h.name: part for h, part in zip(node.histograms, one, strict=True)}


def random_subgraph(
    seed: int, share: float = 0.6, refused: tuple[str, ...] = (), fixed: dict[str, Any] | None = None
) -> OrderSubgraph:
    """About ``share`` of the nodes present; nodes of the refused purposes are all refused."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    absent: dict[str, State] = {}
    for node in catalog():
        if node.purpose in refused:
            absent[node.id] = State.REFUSED
        elif rng.random() < share:
            values[node.id] = random_value(node, rng)
        elif rng.random() < 0.3:
            absent[node.id] = State.NOT_APPLICABLE
    for key, value in (fixed or {}).items():
        absent.pop(key, None)
        values[key] = value
    return OrderSubgraph.build(values, absent)


def some_order(**changes: Any) -> Order:
    purposes = changes.pop("purposes", {"behavior": True, "device": True, "motion": False, "location": True})
    facts: dict[str, Any] = {
        "merchant_id": "m-17",
        "order_id": "A-1001",
        "channel_code": "own_web",
        "placed_at": 1794369784.567,
        "placed_text": "2026-11-11T12:03:04.567000+08:00",
        "amount": 129.0,
        "currency": "CNY",
        "jurisdiction": "CN",
        "lang": "zh",
        "entities": Entities(account=b"a" * 32, device=b"d" * 32, card=b"c" * 32),
        "consent": Consent(purposes, "rec-1", "2026-10", "2026-11-11T11:58:00+08:00"),
    }
    return Order(**(facts | changes))


def walk_for(score: OrderScore) -> Walk:
    if score.probability >= score.thresholds.reject:
        return Walk(Verdict.REJECT, "block", ("band:0.8-1", "leaf:reject"))
    if score.probability >= score.thresholds.review:
        return Walk(Verdict.REVIEW, "hold", ("band:0.5-0.8", "leaf:review"))
    return Walk(Verdict.ACCEPT, "none", ("band:0-0.5", "leaf:accept"))


def some_record(
    seed: int = 0,
    *,
    subgraph: OrderSubgraph | None = None,
    order: Order | None = None,
    score: OrderScore | None = None,
    walk: Walk | None = None,
    **changes: Any,
) -> DecisionReport:
    subgraph = subgraph or random_subgraph(seed)
    score = score or RandomScorer(seed).score(subgraph, "pre_auth/front_end")
    walk = walk or walk_for(score)
    facts: dict[str, Any] = {
        "decision_id": f"d-{seed}",
        "issued_at": "2026-11-11T04:03:04Z",
        "action": walk.action,
        "mode": "enforce",
        "versions": VERSIONS,
        "provenance": "simulated",
        "context": "local",
        "bare": RandomScorer(seed).scale("pre_auth/refused"),
    }
    attribution = AnyExplainer().explain(score)
    return build_report(
        order or some_order(), subgraph, walk=walk, score=score, attribution=attribution, **(facts | changes)
    )


def degraded_record(
    cause: str = "timeout", action: str = "hold", mode: str = "enforce", **order: Any
) -> DecisionReport:
    return build_report(
        some_order(**order),
        random_subgraph(1),
        walk=Walk(Verdict.REVIEW, action, (f"degraded:{cause}", "leaf:review")),
        score=None,
        attribution=None,
        decision_id="d-degraded",
        issued_at="2026-11-11T04:03:04Z",
        action=action,
        mode=mode,
        versions=VERSIONS,
        provenance="simulated",
        degraded_cause=cause,
    )
