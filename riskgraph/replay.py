"""Replay: a stored decision computed again from what was stored with it, and compared.

Inputs are the subgraph, in which the as-of context lies (the nodes that riskgraph computed are 37 of its
137), the facts of the order, ids, the time of issue, the measured milliseconds and, where a decision was
degraded, the cause. Everything else is computed again and must come out the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from riskgraph.core.catalog import catalog
from riskgraph.core.order import Consent, Entities, Order, availability_class
from riskgraph.core.report import Decision, DecisionReport
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.pipeline import Line, Stages, conclude, degraded, encode_answer, judge

INPUTS = ("decision_id", "issued_at", "order", "subgraph")
COMPUTED = tuple(node.id for node in catalog() if node.computed_by == "riskgraph")
_NEEDS_HISTORY = tuple(node.id for node in catalog() if node.family == "GRF")


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that did not come out as it was committed."""

    field: str
    recorded: Any
    recomputed: Any


@dataclass(frozen=True, slots=True)
class Replayed:
    """A decision as computed again.

    Attributes:
        differences: In the order in which things are computed; empty when the replay matches.
        same_bytes: Whether the answer came out byte for byte. Where nothing else differs and this is false,
            the reasons have another wording now.
    """

    decision: Decision
    differences: tuple[Difference, ...]
    same_bytes: bool


def replay(record: DecisionReport, answer: bytes, line: Line) -> Replayed:
    """Decide again and compare.

    Args:
        record: As committed with the decision.
        answer: The bytes that were answered.
        line: Scorer, explainer, tree and writer of the recorded versions.
    """
    told = msgspec.json.decode(answer)
    subgraph, order = OrderSubgraph.unpack(record.subgraph), order_of(record)
    availability = availability_of(order.phase, subgraph)
    decision = decide_again(record, subgraph, order, availability, line)
    again = _answer_again(decision, subgraph, order, told["stage_ms"], line)
    found = [
        *_context_differences(record, subgraph),
        *_compared("order.trace_id", record.order["trace_id"], order.trace_id),
        *_compared("availability_class", told["availability_class"], availability),
        *_record_differences(record, decision.report),
        *_compared("answer", _without_texts(told), _without_texts(msgspec.json.decode(again))),
    ]
    return Replayed(decision, tuple(found), same_bytes=again == answer)


def _without_texts(answer: dict[str, Any]) -> dict[str, Any]:
    """Texts follow from codes and nodes by a wording that later releases may better."""
    reasons = [{**reason, "text": None} for reason in answer["reasons"]]
    return {**answer, "reasons": reasons}


def decide_again(
    record: DecisionReport, subgraph: OrderSubgraph, order: Order, availability: str, line: Line
) -> Decision:
    """The same functions that decided the order, with ids and time of the record."""
    cause = record.score["degraded_cause"]
    if cause is None:
        judgement = judge(order.merchant_id, subgraph, availability, line, Stages(line.clock), math.inf)
    else:
        judgement = degraded(str(cause))
    made = conclude(order, str(record.score["context"]), subgraph, availability, judgement, line)
    report = replace(made.report, decision_id=record.decision_id, issued_at=record.issued_at)
    return replace(made, decision_id=record.decision_id, report=report)


def order_of(record: DecisionReport) -> Order:
    """What the record keeps of an order; its entities are pseudonyms there and decide nothing."""
    facts: dict[str, Any] = dict(record.order)
    placed = datetime.fromisoformat(facts.pop("placed_at"))
    for name in ("trace_id", "entities"):
        facts.pop(name)
    return Order(
        **{**facts, "consent": Consent(**facts["consent"])},
        placed_at=placed.astimezone(UTC).timestamp(),
        placed_text=record.order["placed_at"],
        entities=Entities(),
    )


def availability_of(phase: str, subgraph: OrderSubgraph) -> str:
    """The class as it follows from the nodes: whatever the shop page delivered or was refused."""
    states = {node.id: subgraph.state(node.id) for node in catalog()}
    present = {key: True for key, state in states.items() if state is State.PRESENT}
    return availability_class(phase, present, states)


def as_of_context(record: DecisionReport) -> dict[str, Any]:
    """Where the as-of context lies, and what it holds."""
    subgraph = OrderSubgraph.unpack(record.subgraph)
    present = sum(subgraph.state(key) is State.PRESENT for key in COMPUTED)
    return {
        "source": record.score["context"],
        "stored_in": "subgraph",
        "computed_nodes": len(COMPUTED),
        "present": present,
    }


def _context_differences(record: DecisionReport, subgraph: OrderSubgraph) -> Iterator[Difference]:
    """A history that was not read cannot have filled a node that only it can fill."""
    if record.score["context"] == "none":
        for key in _NEEDS_HISTORY:
            if subgraph.state(key) is State.PRESENT:
                yield Difference(f"subgraph.{key}", "present", "no history was read")


def _record_differences(record: DecisionReport, again: DecisionReport) -> Iterator[Difference]:
    recorded, recomputed = _plain(record), _plain(again)
    for name in ("versions", "provenance", "score"):
        yield from _compared(name, recorded.pop(name), recomputed.pop(name))
    for name in recomputed:
        if name not in INPUTS:
            yield from _compared(name, recorded[name], recomputed[name])


def _plain(record: DecisionReport) -> dict[str, Any]:
    """A record as it comes back from the store, contributions by node and pair."""
    ids, pairs = [node.id for node in catalog()], catalog().pairs
    names = [f"{ids[pair.a]}-{ids[pair.b]}" for pair in pairs]
    return {
        **asdict(record),
        "phi": dict(zip(ids, np.frombuffer(record.phi).tolist(), strict=False)),
        "pairs": dict(zip(names, np.frombuffer(record.pairs).tolist(), strict=False)),
    }


def _answer_again(
    decision: Decision, subgraph: OrderSubgraph, order: Order, stage_ms: Mapping[str, float], line: Line
) -> bytes:
    texts = line.writer.texts(decision.report, subgraph, order.lang)
    return encode_answer(decision, texts, line.writer.provenance, stage_ms)


def _compared(name: str, recorded: Any, recomputed: Any) -> Iterator[Difference]:
    """Differences of two JSON-like values, down to the single value."""
    if isinstance(recorded, Mapping) and isinstance(recomputed, Mapping):
        for key in dict.fromkeys([*recorded, *recomputed]):
            yield from _compared(f"{name}.{key}", recorded.get(key), recomputed.get(key))
    elif isinstance(recorded, list | tuple) and isinstance(recomputed, list | tuple):
        yield from _compared(f"{name}.length", len(recorded), len(recomputed))
        for i, (left, right) in enumerate(zip(recorded, recomputed, strict=False)):
            yield from _compared(f"{name}[{i}]", left, right)
    elif recorded != recomputed:
        yield Difference(name, recorded, recomputed)
