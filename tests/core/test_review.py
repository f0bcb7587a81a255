"""The state machine of human review, against a model of it, and its deadlines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from riskgraph.core import review
from riskgraph.core.errors import Conflict, Invalid
from riskgraph.core.review import Case, Ruling, Stands

WHO = st.sampled_from(["ann", "bob"])
AT = 1_790_000_000.0
VERDICTS = st.sampled_from(["accept", "review", "reject"])
RULINGS = st.builds(
    Ruling,
    outcome=st.sampled_from(review.OUTCOMES),
    reason=st.just("r"),
    evidence=st.just(("e",)),
    verdict=st.none() | VERDICTS,
    action=st.none() | st.sampled_from(["none", "step_up", "block"]),
)
SYSTEM = st.sampled_from(
    [
        Stands("accept", "none", "enforce"),
        Stands("review", "hold", "enforce"),
        Stands("review", "step_up", "enforce"),
        Stands("review", "none", "enforce"),
        Stands("reject", "block", "enforce"),
        Stands("reject", "none", "observe"),
    ]
)


def a_case(**given) -> Case:
    facts = {
        "decision_id": "d", "merchant_id": "m", "order_key": "m|w|o", "jurisdiction": "EU",
        "origin": "reviewer", "opened_at": AT, "stands": Stands("reject", "block", "enforce"),
    }  # fmt: skip
    return Case(**facts | given)


class Reviewed(RuleBasedStateMachine):
    """Two reviewers, a shopper and a clock do what they like."""

    @initialize(stands=SYSTEM, jurisdiction=st.sampled_from(["CN", "EU"]))
    def begin(self, stands, jurisdiction):
        self.case = a_case(stands=stands, jurisdiction=jurisdiction)
        self.now, self.holder, self.closed, self.rounds = AT, None, False, 1
        self.waiting: list[float] = []

    def tried(self, allowed: bool, step) -> bool:
        """Do a step; one that is not allowed must be a conflict and change nothing."""
        if not allowed:
            with pytest.raises(Conflict):
                step()
            return False
        self.case = step()
        return True

    @rule(days=st.integers(0, 20))
    def time_passes(self, days):
        self.now += 86_400.0 * days

    @rule()
    def objects(self):
        due = review.answer_due(self.now)
        self.case = review.contested(self.case, self.now, due)
        if self.closed:
            self.closed, self.rounds, self.waiting = False, self.rounds + 1, []
        self.waiting.append(due)
        assert self.case.due_at is not None
        assert self.case.extended or self.case.due_at == min(self.waiting)

    @rule(who=WHO)
    def claims(self, who):
        if self.tried(not self.closed and self.holder in (None, who), lambda: review.claim(self.case, who)):
            self.holder = who

    @rule(who=WHO, chief=st.booleans())
    def releases(self, who, chief):
        allowed = self.holder is not None and (chief or self.holder == who)
        if self.tried(allowed, lambda: review.release(self.case, who, anyone=chief)):
            self.holder = None

    @rule(who=WHO)
    def extends(self, who):
        before = self.case
        try:
            self.case = review.extend(self.case, who, self.now)
        except Conflict:
            held = self.holder == who
            assert not held or not self.waiting or before.extended or self.now > before.due_at
        except Invalid:
            assert before.jurisdiction == "CN"
            assert self.holder == who
        else:
            assert self.holder == who
            assert (before.extended, self.case.extended) == (False, True)
            assert self.case.due_at > before.due_at

    @rule(who=WHO, ruling=RULINGS)
    def decides(self, who, ruling):
        before = self.case
        try:
            self.case = review.rule(self.case, who, ruling, self.now)
        except Conflict:
            assert self.holder != who
        except Invalid:
            assert self.holder == who
        else:
            assert self.holder == who
            self.holder, self.closed, self.waiting = None, True, []
            changed = self.case.stands.verdict != before.stands.verdict
            assert changed or ruling.outcome != review.OVERTURN
            assert not changed or ruling.outcome != review.UPHOLD
            assert (self.case.stands.by, self.case.stands.at) == (review.PERSON, self.now)
            assert self.case.stands.action != "hold"

    @invariant()
    def is_what_the_model_says(self):
        if not hasattr(self, "case"):
            return
        state = review.CLOSED if self.closed else review.OPEN if self.holder is None else review.CLAIMED
        assert (self.case.state, self.case.claimed_by, self.case.round) == (state, self.holder, self.rounds)
        assert (self.case.contested_at is not None) == bool(self.waiting)
        assert self.case.stands.mode == "enforce" or self.case.stands.action == "none"


TestReviewed = Reviewed.TestCase


def stamp(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-11-01T10:00", "2026-12-01T10:00"),
        ("2026-12-05T10:00", "2027-01-04T10:00"),  # thirty days end before the month
        ("2027-01-31T10:00", "2027-02-28T10:00"),  # the month ends before thirty days
        ("2028-01-30T10:00", "2028-02-29T10:00"),
    ],
)
def test_the_stricter_of_thirty_days_and_a_month_is_the_deadline(received, due):
    assert review.answer_due(stamp(received)) == stamp(due)


@given(st.floats(0, 4e9), st.integers(1, 90))
def test_a_merchants_own_period_can_only_be_shorter(received, days):
    assert (
        received < review.answer_due(received, days) <= review.answer_due(received) <= received + 31 * 86_400
    )


@given(st.floats(0, 4e9), st.integers(0, 40))
def test_months_are_added_in_steps_that_never_pass_the_end_of_a_month(at, months):
    before, after = (datetime.fromtimestamp(x, UTC) for x in (at, review.add_months(at, months)))
    assert after.year * 12 + after.month == before.year * 12 + before.month + months
    assert after.day <= before.day


def test_an_extension_ends_three_months_after_the_first_objection():
    case = review.contested(a_case(), stamp("2026-11-30T10:00"), review.answer_due(stamp("2026-11-30T10:00")))
    extended = review.extend(review.claim(case, "ann"), "ann", case.opened_at)
    assert extended.due_at == stamp("2027-02-28T10:00")


def test_a_case_is_overdue_only_while_somebody_waits():
    case = a_case(due_at=AT)
    assert review.overdue(case, AT + 1)
    assert not review.overdue(case, AT)
    assert not review.overdue(replace(case, state=review.CLOSED), AT + 1)
    assert not review.overdue(a_case(), AT + 1)
