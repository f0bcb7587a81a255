"""The breaker against a plain model of it, on a clock that tests move."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from riskgraph.stores.neo4j.breaker import FAILURES, PROBE_EVERY_S, Breaker


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    made = Breaker(clock)
    assert made.probe_due()
    made.probed(None)
    return made


def test_it_is_open_until_the_first_probe_is_answered(clock):
    made = Breaker(clock)
    assert not made.closed
    assert made.probe_due()
    made.probed("refused")
    assert not made.closed
    assert not made.probe_due()
    clock.now += PROBE_EVERY_S
    assert made.probe_due()
    made.probed(None)
    assert made.closed
    assert made.open_s is None


def test_failures_in_a_row_open_it_and_an_answer_between_them_begins_anew(breaker):
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker.failed("late")
        breaker.succeeded()
    assert breaker.closed
    for _ in range(FAILURES):
        breaker.failed("late")
    assert not breaker.closed
    assert breaker.last_error == "late"


def test_a_refusal_opens_it_at_once(breaker):
    breaker.failed("refused", refused=True)
    assert not breaker.closed


def test_an_answer_to_an_order_that_asked_before_does_not_close_it(breaker):
    breaker.failed("refused", refused=True)
    breaker.succeeded()
    assert not breaker.closed


def test_after_it_closed_as_many_failures_as_ever_open_it(breaker, clock):
    breaker.failed("refused", refused=True)
    breaker.failed("late")
    clock.now += PROBE_EVERY_S
    assert breaker.probe_due()
    breaker.probed(None)
    for _ in range(FAILURES - 1):
        breaker.failed("late")
    assert breaker.closed
    breaker.failed("late")
    assert not breaker.closed


class BreakerMachine(RuleBasedStateMachine):
    """What the breaker may do, whatever comes in whichever order."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(self.clock)
        self.open, self.in_a_row = True, 0
        self.opened = self.next_probe = self.clock.now
        self.probing = False

    @rule(seconds=st.floats(0.0, 5.0))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule()
    def an_order_is_answered(self):
        self.breaker.succeeded()
        self.in_a_row = 0

    @rule(refused=st.booleans())
    def an_order_fails(self, refused):
        self.breaker.failed("late", refused=refused)
        self.in_a_row += 1
        if not self.open and (refused or self.in_a_row >= FAILURES):
            self.open, self.opened = True, self.clock.now
            self.next_probe = self.clock.now + PROBE_EVERY_S

    @precondition(lambda self: not self.probing)
    @rule()
    def somebody_looks_whether_a_probe_is_due(self):
        due = self.breaker.probe_due()
        assert due == (self.open and self.clock.now >= self.next_probe)
        if due:
            self.probing, self.next_probe = True, self.clock.now + PROBE_EVERY_S

    @precondition(lambda self: self.probing)
    @rule(answered=st.booleans())
    def a_probe_ends(self, answered):
        self.breaker.probed(None if answered else "late")
        self.probing = False
        if answered:
            self.open, self.in_a_row = False, 0

    @invariant()
    def an_order_asks_only_while_it_is_closed(self):
        assert self.breaker.closed == (not self.open)
        assert self.breaker.open_s == (self.clock.now - self.opened if self.open else None)


TestBreaker = BreakerMachine.TestCase
