"""Human review of a decision: a state machine that holds no clock, no store and no text of the shopper.

A case is opened by an objection, by a decision that holds an order, or by a reviewer. It is open, claimed by
one reviewer, or closed; an objection to a closed case opens it again, as a further round. Only whoever has
claimed it may write in it and close it (GDPR Art. 22(3); PIPL Art. 24(3); GB/T 35273-2020, 7.7).
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from riskgraph.core.errors import Conflict, Invalid

OPEN, CLAIMED, CLOSED = STATES = ("open", "claimed", "closed")
BY_CONTEST, BY_HOLD, BY_REVIEWER = ORIGINS = ("contest", "hold", "reviewer")
WISHES = ("person", "view", "correction")
UPHOLD, OVERTURN, PARTIAL = OUTCOMES = ("uphold", "overturn", "partial")
SYSTEM, PERSON = "system", "person"
# GDPR Art. 12(3): one month, and two more where that is needed; GB/T 35273-2020, 8.7: thirty days.
ANSWER_DAYS, ANSWER_MONTHS, EXTENDED_MONTHS = 30, 1, 3
# What a person may order. A hold waits for a person, so no ruling may leave one.
ACTIONS_OF: Mapping[str, tuple[str, ...]] = {
    "accept": ("none", "step_up"),
    "review": ("step_up",),
    "reject": ("block",),
}


@dataclass(frozen=True, slots=True)
class Stands:
    """What holds for an order now: the system's decision, or what a person made of it."""

    verdict: str
    action: str
    mode: str
    by: str = SYSTEM
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a reviewer decided, on which evidence and why."""

    outcome: str
    reason: str
    evidence: tuple[str, ...]
    verdict: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One decision under review. Times are epoch seconds, UTC.

    Attributes:
        round: From 1; each objection to a closed case begins another.
        due_at: Until when it must be answered; None where nobody waits for an answer.
        contested_at: When the oldest objection came that is not answered yet.
        claimed_by: Who alone may write in it.
        outcome: Of the round that was closed last.
    """

    decision_id: str
    merchant_id: str
    order_key: str
    jurisdiction: str
    origin: str
    opened_at: float
    stands: Stands
    due_at: float | None = None
    contested_at: float | None = None
    state: str = OPEN
    round: int = 1
    claimed_by: str | None = None
    extended: bool = False
    outcome: str | None = None
    closed_at: float | None = None


def add_months(at: float, months: int) -> float:
    """The same day some months later, or the last of that month (Regulation (EEC) 1182/71, Art. 3(2)(c))."""
    day = datetime.fromtimestamp(at, UTC)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return day.replace(year=year, month=month + 1, day=min(day.day, last)).timestamp()


def answer_due(received_at: float, days: int = ANSWER_DAYS) -> float:
    """Until when an objection must be answered: thirty days or one month, whichever ends first.

    Args:
        received_at: When it came.
        days: The merchant's own period; it can only be shorter.
    """
    thirty = (datetime.fromtimestamp(received_at, UTC) + timedelta(days=min(days, ANSWER_DAYS))).timestamp()
    return min(thirty, add_months(received_at, ANSWER_MONTHS))


def contested(case: Case, at: float, due_at: float) -> Case:
    """An objection came in. To a closed case it opens another round.

    The first deadline stands: a second objection does not put off the answer to the first.
    """
    if case.state == CLOSED:
        return replace(
            case, state=OPEN, round=case.round + 1, origin=BY_CONTEST, opened_at=at, due_at=due_at,
            contested_at=at, extended=False, closed_at=None,
        )  # fmt: skip
    due = due_at if case.due_at is None else min(case.due_at, due_at)
    return replace(case, due_at=due, contested_at=at if case.contested_at is None else case.contested_at)


def claim(case: Case, who: str) -> Case:
    """Take an open case; whoever has it already keeps it.

    Raises:
        Conflict: If another has it, or it is closed.
    """
    if case.state == CLAIMED and case.claimed_by == who:
        return case
    if case.state != OPEN:
        raise _conflict(case)
    return replace(case, state=CLAIMED, claimed_by=who)


def release(case: Case, who: str, *, anyone: bool = False) -> Case:
    """Give a case back to the queue.

    Args:
        case: The case.
        who: Who gives it back.
        anyone: That person may take it from whoever has it.

    Raises:
        Conflict: If ``who`` does not have it.
    """
    if not (anyone and case.state == CLAIMED):
        held_by(case, who)
    return replace(case, state=OPEN, claimed_by=None)


def held_by(case: Case, who: str) -> None:
    """Only whoever has claimed a case may work on it.

    Raises:
        Conflict: If it is open, closed, or another's.
    """
    if case.state != CLAIMED or case.claimed_by != who:
        raise _conflict(case)


def extend(case: Case, who: str, at: float) -> Case:
    """Take two further months for the answer (GDPR Art. 12(3)); once, while the first still runs.

    Raises:
        Conflict: If the case is not this reviewer's, nobody waits for an answer, or it was extended before.
        Invalid: If the law of the order knows no extension.
    """
    held_by(case, who)
    if case.jurisdiction == "CN":
        raise Invalid("GB/T 35273-2020, 8.7 knows no extension of the thirty days", field="step")
    if case.contested_at is None or case.due_at is None or case.extended:
        raise Conflict(
            "there is no objection whose deadline could be extended, or it was already", field="step"
        )
    if at > case.due_at:
        raise Conflict("the deadline has passed; GDPR Art. 12(3) asks to say so within it", field="step")
    return replace(case, due_at=add_months(case.contested_at, EXTENDED_MONTHS), extended=True)


def rule(case: Case, who: str, ruling: Ruling, at: float) -> Case:
    """Close a case; what the reviewer decided stands from now on.

    Raises:
        Conflict: If the case is not this reviewer's.
        Invalid: If the ruling contradicts itself; the field is named.
    """
    held_by(case, who)
    return replace(
        case, state=CLOSED, claimed_by=None, stands=ruled(case.stands, ruling, at), outcome=ruling.outcome,
        closed_at=at, due_at=None, contested_at=None,
    )  # fmt: skip


def ruled(stands: Stands, ruling: Ruling, at: float) -> Stands:
    """What stands after a ruling.

    Raises:
        Invalid: If verdict and action do not fit the outcome or each other.
    """
    verdict = ruling.verdict or stands.verdict
    if ruling.outcome == OVERTURN and verdict == stands.verdict:
        raise Invalid(f"to overturn, verdict must be another than {stands.verdict}", field="verdict")
    if ruling.outcome == UPHOLD and (verdict, ruling.action or stands.action) != (
        stands.verdict,
        stands.action,
    ):
        raise Invalid("what is upheld keeps its verdict and action; else overturn", field="outcome")
    if ruling.action is not None and ruling.action not in ACTIONS_OF[verdict]:
        raise Invalid(f"the action of {verdict} is one of {', '.join(ACTIONS_OF[verdict])}", field="action")
    same = verdict == stands.verdict
    action = ruling.action or (stands.action if same else ACTIONS_OF[verdict][0])
    if stands.mode == "observe":
        # Nobody acts on verdicts in this mode, a person's is recorded like the system's.
        action = "none"
    if action == "hold":
        raise Invalid(
            "what is on hold waits for a person: accept, reject or step_up ends it", field="outcome"
        )
    return Stands(verdict, action, stands.mode, PERSON, at)


def overdue(case: Case, now: float) -> bool:
    """Whether an answer is late."""
    return case.state != CLOSED and case.due_at is not None and now > case.due_at


def _conflict(case: Case) -> Conflict:
    said = {
        OPEN: "claim it first",
        CLAIMED: f"{case.claimed_by} has claimed it",
        CLOSED: "it is closed; a further objection opens it again",
    }
    return Conflict(f"this review cannot be changed so: {said[case.state]}", field="step")
