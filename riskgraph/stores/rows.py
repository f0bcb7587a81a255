"""One decision as the rows that its commit writes; made by the caller's thread, not the writer's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from riskgraph.core.door import DIGEST_BYTES
from riskgraph.core.merkle import HASH_BYTES, leaf_hash
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.core.past import LINK_KINDS, PastOrder
from riskgraph.core.review import BY_HOLD, Case, Stands
from riskgraph.ports import Entry
from riskgraph.stores.codec import encode_past, encode_plain, encode_record

KIND_CODE = {kind: code for code, kind in enumerate(LINK_KINDS)}
EVENT_VERSION = 1
TRAINING_FACTS = ("phase", "jurisdiction", "granted", "refused", "objected", "simulated")


@dataclass(frozen=True, slots=True, eq=False)
class OrderRows:
    """What an order leaves in the history: its facts, encoded, and its packed subgraph."""

    past: PastOrder
    facts: bytes
    vec: bytes


@dataclass(frozen=True, slots=True, eq=False)
class EntryRows(OrderRows):
    """Rows of one entry, without the numbers and the seal that the writer gives out.

    ``plain`` is what gets sealed beside the row ``decision``; ``leaf`` is its hash in the log; ``told`` is
    what its event says.
    """

    decision: tuple[Any, ...]
    plain: bytes
    leaf: bytes
    subject: bytes
    told: dict[str, Any]
    meter: tuple[Any, ...]
    decision_id: str
    idempotency_key: str
    held: Case | None = None


def held_case(entry: Entry) -> Case | None:
    """The case that a decision opens which holds an order until a person has looked at it."""
    order, decision = entry.order, entry.decision
    if entry.review_due is None:
        return None
    opened = datetime.fromisoformat(decision.report.issued_at).timestamp()
    stands = Stands(decision.verdict.value, decision.action, decision.mode)
    return Case(
        decision.decision_id, order.merchant_id, order.key, order.jurisdiction, BY_HOLD, opened, stands,
        due_at=entry.review_due,
    )  # fmt: skip


def entry_rows(entry: Entry) -> EntryRows:
    """Encode an entry; nothing raw is left in an order that passed the door."""
    order, decision = entry.order, entry.decision
    past = PastOrder.of(order)
    record, nonce = encode_record(decision.report), os.urandom(HASH_BYTES)
    # Nothing links two orders of guests, so each is a subject of its own.
    subject = past.account or os.urandom(DIGEST_BYTES)
    told = {
        "order_key": past.key,
        "trace_id": decision.trace_id,
        "merchant_id": order.merchant_id,
        "verdict": decision.verdict.value,
        "action": decision.action,
        "mode": decision.mode,
        "score": decision.score,
        "availability_class": decision.availability,
        "model_sha256": decision.report.versions.get("model_sha256"),
        # The history does not keep it; readers of events may link orders by it.
        "ip": None if order.entities.ip is None else order.entities.ip.hex(),
        **training_facts(order, simulated=entry.simulated),
    }
    return EntryRows(
        past=past,
        facts=encode_past(past),
        vec=entry.subgraph.pack(),
        decision=(
            decision.decision_id,
            past.key,
            decision.trace_id,
            entry.idempotency_key,
            entry.body_sha256,
            order.merchant_id,
            order.placed_at,
            decision.verdict.value,
            subject,
        ),
        subject=subject,
        plain=encode_plain(nonce, record, entry.answer),
        leaf=leaf_hash(nonce + record),
        told=told,
        meter=(order.placed_at, entry.key_id, order.merchant_id, order.line, decision.decision_id),
        decision_id=decision.decision_id,
        idempotency_key=entry.idempotency_key,
        held=held_case(entry),
    )


def training_facts(order: Order, *, simulated: bool) -> dict[str, Any]:
    """What a release of training data must know of an order beside its values (contracts, sections 5 and 6).

    A purpose that is neither ``granted`` nor ``refused`` was not asked for.
    """
    answers = order.consent.purposes
    return {
        "phase": order.phase,
        "jurisdiction": order.jurisdiction,
        "granted": sorted(purpose for purpose, answer in answers.items() if answer),
        "refused": sorted(purpose for purpose, answer in answers.items() if answer is False),
        "objected": order.consent.objected,
        "simulated": simulated,
    }


def training_facts_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """The same from an event's payload."""
    return {name: told[name] for name in TRAINING_FACTS}


def decision_event(rows: EntryRows, *, first: bool) -> tuple[Any, ...]:
    """Outbox row of a decision; ``first`` if the history's order is the one that it was made on."""
    name, payload = rows.decision_id, {**rows.told, "first": first}
    return _event("decision.recorded", name, rows.past.at, name, rows.past, payload)


def outcome_event(outcome: Outcome, past: PastOrder | None) -> tuple[Any, ...]:
    """Outbox row of an outcome; the event's id follows from the outcome, so a resend shows."""
    payload = {
        "order_key": outcome.order_key,
        "outcome_id": outcome.outcome_id,
        "kind": outcome.kind,
        "reason": outcome.reason,
        "effective_at": outcome.effective_at,
        "reported_at": outcome.reported_at,
        "source": outcome.source,
        "reverses": outcome.reverses,
    }
    name = f"{outcome.order_key}|{outcome.outcome_id}"
    return _event("outcome.recorded", name, outcome.reported_at, None, past, payload)


def review_event(case: Case, past: PastOrder | None) -> tuple[Any, ...]:
    """Outbox row of a closed review: what stands now, and by which outcome; no words of anyone."""
    payload = {
        "order_key": case.order_key,
        "merchant_id": case.merchant_id,
        "round": case.round,
        "outcome": case.outcome,
        "verdict": case.stands.verdict,
        "action": case.stands.action,
        "mode": case.stands.mode,
    }
    name, at = f"{case.decision_id}|{case.round}", case.closed_at or 0.0
    return _event("review.closed", name, at, case.decision_id, past, payload)


def _event(
    kind: str, name: str, at: float, decision_id: str | None, past: PastOrder | None, payload: dict[str, Any]
) -> tuple[Any, ...]:
    subject = past.account.hex() if past is not None and past.account is not None else None
    return f"{kind}:{name}", kind, EVENT_VERSION, at, decision_id, subject, msgspec.json.encode(payload)
