"""Outcomes of an order, and the label that follows from them (contracts, section 3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

KINDS = (
    "paid",
    "shipped",
    "delivered",
    "refund",
    "chargeback_fraud",
    "chargeback_other",
    "confirmed_fraud",
    "confirmed_good",
    "claim",
    "reroute",
    "channel_status",
)
FRAUD_KINDS = frozenset({"chargeback_fraud", "confirmed_fraud"})
DISPUTE_KINDS = FRAUD_KINDS | {"chargeback_other", "claim", "refund"}
CLEAN_AFTER_S = 60 * 86_400


class Outcome(NamedTuple):
    """One reported fact about an order. Times are seconds since the epoch, UTC."""

    outcome_id: str
    order_key: str
    kind: str
    effective_at: float
    reported_at: float
    reason: str | None = None
    source: str | None = None
    reverses: str | None = None


def known_outcomes(outcomes: Iterable[Outcome], at: float) -> list[Outcome]:
    """Outcomes reported by ``at`` and not reversed by one reported by ``at``."""
    reported = [o for o in outcomes if o.reported_at <= at]
    reversed_ids = {o.reverses for o in reported if o.reverses}
    return [o for o in reported if o.outcome_id not in reversed_ids and not o.reverses]


def label_at(outcomes: Iterable[Outcome], at: float) -> int | None:
    """The label as known at ``at``: 1 fraud, 0 clean, None unlabelled.

    Clean is ``confirmed_good``, or paid and delivered with 60 days since delivery and no dispute.
    A label exists from ``reported_at`` on, never before.
    """
    known = known_outcomes(outcomes, at)
    kinds = {o.kind for o in known}
    if kinds & FRAUD_KINDS:
        return 1
    if "confirmed_good" in kinds:
        return 0
    delivered = [o.effective_at for o in known if o.kind == "delivered"]
    quiet = delivered and at - max(delivered) >= CLEAN_AFTER_S
    if "paid" in kinds and quiet and not kinds & DISPUTE_KINDS:
        return 0
    return None
