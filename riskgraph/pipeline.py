"""The straight line: one order in, a verdict with its report out, committed before the answer."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from riskgraph.core.baseline_view import Views
from riskgraph.core.behavior_nodes import SessionNodes
from riskgraph.core.catalog import catalog
from riskgraph.core.context import OrderContext, context_without_history
from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid
from riskgraph.core.order import Order, availability_class, parse_order
from riskgraph.core.report import Attribution, Counterfactual, Decision, DecisionReport
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.verdict import DecisionTree, OrderScore, Verdict, Walk
from riskgraph.ports import (
    BehaviorSource,
    Clock,
    CounterfactualFinder,
    Entry,
    Explainer,
    GraphStore,
    Ledger,
    ReportWriter,
    Scorer,
    Shadow,
)

_LOG = logging.getLogger("riskgraph.pipeline")
MAX_GAP = 1e-6
MAX_AHEAD_S = 86_400.0
# Of what an order may take, the part that its session may: 30 of 150 ms.
SESSION_SHARE = 0.2


# What a verdict rests on: score, way through the tree, explanation, cause if degraded; and what would have
# changed it.
Judgement = tuple[OrderScore | None, Walk, Attribution | None, str | None, Counterfactual | None]


@dataclass(frozen=True, slots=True)
class Line:
    """Everything that one decision needs; built in ``bootstrap``.

    Where ``views`` has none for a merchant, the model sees what is stored.
    """

    door: Door
    store: GraphStore
    ledger: Ledger
    scorer: Scorer | None
    explainer: Explainer
    tree: DecisionTree
    writer: ReportWriter
    clock: Clock
    deadline_ms: int = 150
    shadow: Shadow | None = None
    find_counterfactual: CounterfactualFinder | None = None
    views: Views = field(default_factory=Views)
    behavior: BehaviorSource | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The response: exact bytes as committed, and the milliseconds of each stage."""

    body: bytes
    decision: Decision
    stage_ms: Mapping[str, float]


class Stages:
    """Milliseconds of each stage, on a monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = self._last = clock.monotonic()
        self.ms: dict[str, float] = {}

    def done(self, name: str) -> None:
        now = self._clock.monotonic()
        self.ms[name] = round((now - self._last) * 1000, 3)
        self._last = now

    @property
    def elapsed_ms(self) -> float:
        return (self._clock.monotonic() - self._start) * 1000


async def decide(
    body: Mapping[str, Any], line: Line, *, key_id: str, idempotency_key: str, body_sha256: str
) -> Answer:
    """Take one order down the line.

    Args:
        body: The decoded request (contracts, section 2).
        line: The parts.
        key_id: API key that asked; it is metered.
        idempotency_key: Key under which the answer is kept.
        body_sha256: Keyed digest of the request body.

    Raises:
        Invalid: The order is wrong; nothing was stored.
        Conflict: The key was used meanwhile by another request.
        StorageUnavailable: Nothing was committed, so nothing is answered.
    """
    stages = Stages(line.clock)
    order, context, subgraph, availability = await observe(body, line, stages)

    if context.source == "none":
        judgement = degraded("history_unavailable")
    else:
        judgement = judge(order.merchant_id, subgraph, availability, line, stages, patience(order, line))
    decision = conclude(order, context.source, subgraph, availability, judgement, line)
    stages.done("report")

    texts = line.writer.texts(decision.report, subgraph, order.lang)
    answer = encode_answer(decision, texts, line.writer.provenance, stages.ms)
    due = line.writer.review_due(decision)
    simulated = line.writer.simulated
    entry = Entry(order, subgraph, decision, idempotency_key, body_sha256, answer, key_id, simulated, due)
    await asyncio.wrap_future(line.ledger.submit(entry))
    stages.done("commit")
    if line.shadow is not None:
        line.shadow.submit(decision.decision_id, subgraph, availability, order.merchant_id)
    return Answer(answer, decision, stages.ms)


def conclude(
    order: Order, source: str, subgraph: OrderSubgraph, availability: str, judgement: Judgement, line: Line
) -> Decision:
    """The merchant's action on a judgement, and the decision with its report."""
    score, walk, attribution, cause, otherwise = judgement
    action, mode = line.writer.action_for(order, walk, degraded=cause is not None)
    decision_id = secrets.token_hex(16)
    report = line.writer.write(
        order, subgraph, score, walk, attribution, decision_id, action, mode, cause, source, otherwise
    )
    return Decision(
        decision_id=decision_id,
        trace_id=order.trace_id,
        verdict=walk.verdict,
        action=action,
        mode=mode,
        score=None if score is None else score.probability,
        path=walk.path,
        degraded_cause=cause,
        context=source,
        availability=availability,
        report=report,
    )


async def observe(
    body: Mapping[str, Any], line: Line, stages: Stages | None = None
) -> tuple[Order, OrderContext, OrderSubgraph, str]:
    """Parse, read the entity context, and build the subgraph with its availability class."""
    stages = stages or Stages(line.clock)
    order = parse_order(body, line.door)
    refuse_future(order, line.clock)
    stages.done("parse")
    order = await read_session(order, line)
    context = await read_context(order, line)
    subgraph, availability = build_subgraph(order, context)
    stages.done("context")
    return order, context, subgraph, availability


def refuse_future(order: Order, clock: Clock) -> None:
    """An order from the future would shift every time window of its merchant.

    Raises:
        Invalid: If it was placed more than a day after now.
    """
    if order.placed_at > clock.now() + MAX_AHEAD_S:
        raise Invalid("placed_at lies more than a day in the future", field="placed_at")


async def read_session(order: Order, line: Line) -> Order:
    """The order with what its session tells; without it, where that fails or takes too long."""
    if line.behavior is None or order.session is None:
        return order
    share_s = SESSION_SHARE * min(line.deadline_ms, order.timeout_ms / 2) / 1000
    try:
        told = await asyncio.wait_for(line.behavior.nodes(order), share_s)
    except Exception as failure:  # whatever the source raises, the order goes on
        _LOG.warning("an order goes on without its session: %s", type(failure).__name__)
        return order
    return with_session(order, told)


def with_session(order: Order, told: SessionNodes) -> Order:
    """Values of the session win over those that were sent; a refusal wins over every value."""
    signals, absent = dict(order.signals), dict(order.absent)
    for node_id, value in told.values.items():
        if absent.get(node_id) is not State.REFUSED:
            signals[node_id] = value
            absent.pop(node_id, None)
    for node_id, cause in told.absent.items():
        if cause is State.REFUSED:
            signals.pop(node_id, None)
            absent[node_id] = cause
        elif node_id not in signals and absent.get(node_id, State.NOT_DELIVERED) is State.NOT_DELIVERED:
            absent[node_id] = cause
    return replace(order, signals=signals, absent=absent)


async def read_context(order: Order, line: Line) -> OrderContext:
    """What the order shares with earlier ones; without a readable history, what the order alone tells."""
    try:
        return await line.store.read_context(order)
    except Exception as failure:  # whatever the store raises, the shop gets a review
        _LOG.error("the history cannot be read: %s", type(failure).__name__)
        return context_without_history(order)


def patience(order: Order, line: Line) -> float:
    """Milliseconds until a score comes too late; half of the client's timeout is for commit and network.

    Nobody waits for the answer to an order that is filed later (contracts, section 2).
    """
    return math.inf if order.late else min(line.deadline_ms, order.timeout_ms / 2)


def build_subgraph(order: Order, context: OrderContext) -> tuple[OrderSubgraph, str]:
    """Delivered signals and computed nodes together; a delivered value and a refusal win."""
    signals, causes = order.signals, order.absent
    values = {k: v for k, v in context.values.items() if k not in signals and k not in causes}
    absent = {k: v for k, v in context.absent.items() if k not in signals}
    values.update(signals)
    absent.update(causes)
    return OrderSubgraph.build(values, absent), availability_class(order.phase, signals, causes)


def judge(
    merchant_id: str,
    subgraph: OrderSubgraph,
    availability: str,
    line: Line,
    stages: Stages,
    patience_ms: float,
) -> Judgement:
    """Score, walk the tree and explain; whatever fails or is late ends in review, never elsewhere.

    A verdict without its explanation must not stand (GDPR Art. 22(3), Recital 71; PIPL Art. 24).
    """
    if line.scorer is None:
        return degraded("model_unavailable")
    try:
        # What is stored stays as it was measured; the model sees it by the merchant's baseline.
        seen = line.views.see(subgraph, merchant_id)
        score = line.scorer.score(seen, availability)
        walk = line.tree.walk(score)
        stages.done("score")
        attribution = line.explainer.explain(score)
    except Exception as failure:  # whatever the part raises, the shop gets a review
        _LOG.error("scoring or explaining failed: %s", type(failure).__name__)
        return degraded("scoring_failed")
    if not attribution.gap <= MAX_GAP:
        return degraded("explanation_inexact")
    if stages.elapsed_ms > patience_ms:
        stages.done("explain")
        return degraded("deadline")
    # After the deadline was met: a slow search takes no verdict that is explained.
    otherwise = counterfactual(seen, score, walk, line)
    stages.done("explain")
    return score, walk, attribution, None, otherwise


def counterfactual(
    subgraph: OrderSubgraph, score: OrderScore, walk: Walk, line: Line
) -> Counterfactual | None:
    """What would have changed the verdict; if that fails, the verdict and its reasons stand without."""
    if line.find_counterfactual is None or line.scorer is None:
        return None
    try:
        return line.find_counterfactual(subgraph, score, walk, line.scorer, line.tree)
    except Exception as failure:  # the order is decided and explained
        _LOG.error("no counterfactual: %s", type(failure).__name__)
        return None


def degraded(cause: str) -> Judgement:
    walk = Walk(Verdict.REVIEW, "hold", ("degraded", "leaf:review"))
    return None, walk, None, cause, None


def encode_answer(
    decision: Decision, texts: list[str], provenance: str, stage_ms: Mapping[str, float]
) -> bytes:
    """The body of contracts section 2. The commit's own time cannot stand in what it commits."""
    report: DecisionReport = decision.report
    link = f"/v1/decisions/{decision.decision_id}/report?format="
    reasons = [
        {
            "code": reason.code,
            "text": text,
            "nodes": reason.nodes,
            "direction": reason.direction,
            "band": reason.band,
        }
        for reason, text in zip(report.reasons, texts, strict=True)
    ]
    return msgspec.json.encode(
        {
            "decision_id": decision.decision_id,
            "trace_id": decision.trace_id,
            "verdict": decision.verdict.value,
            "action": decision.action,
            "mode": decision.mode,
            "provenance": provenance,
            "score": None if decision.score is None else round(decision.score, 4),
            "reasons": reasons,
            "degraded": decision.degraded_cause is not None,
            "degraded_cause": decision.degraded_cause,
            "context": decision.context,
            "availability_class": decision.availability,
            "versions": {"catalog": catalog().version, **report.versions},
            "path": decision.path,
            "stage_ms": stage_ms,
            "report": {form: link + form for form in ("json", "html", "pdf")},
        }
    )
