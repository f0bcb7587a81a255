"""A window that follows its orders holds what a fresh look would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.outcome import known_outcomes
from riskgraph.core.past import PastOrder, is_fraud
from riskgraph.core.timeline import Timeline, Window
from tests.stores.builders import DAY, NOW, an_order, an_outcome

TIMES = st.integers(0, 40).map(float)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), TIMES),
        st.tuples(st.just("forget"), TIMES),
        st.tuples(st.just("look"), TIMES, st.sampled_from((None, 3))),
    ),
    min_size=100,
    max_size=300,
)


class Kept(Window[int]):
    """Holds the values themselves."""

    def __init__(self):
        super().__init__()
        self.held = []

    def enter(self, value):
        self.held.append(value)

    def leave(self, value):
        self.held.remove(value)


@given(STEPS)
def test_a_window_holds_what_its_stretch_of_the_timeline_holds(steps):
    window, plain = Kept(), Timeline()
    for number, (what, at, *newest) in enumerate(steps):
        if what == "add":
            assert window.add(at, number) == plain.add(at, number)
        elif what == "forget":
            window.forget(at)
            plain.forget(at)
        else:
            window.cover(at - 10, at, *newest)
            assert sorted(window.held) == sorted(plain.within(at - 10, at, None, *newest))


def test_a_long_timeline_forgets_under_its_window():
    window = Kept()
    for number in range(100):
        window.add(float(number), number)
    window.cover(70, 90)
    window.forget(80)
    assert sorted(window.held) == list(range(80, 90))
    window.cover(85, 95)
    assert sorted(window.held) == list(range(85, 95))


def test_what_is_known_of_an_order_changes_with_every_further_outcome_and_with_the_time():
    past = PastOrder.of(an_order("o"))
    kinds = ("paid", "confirmed_fraud", "refund", "delivered")
    for number, kind in enumerate(kinds):
        past.outcomes.append(an_outcome("o", kind, number * DAY))
        for days in range(len(kinds) + 1):
            at = NOW - days * DAY
            assert past.kinds(at) == {o.kind for o in known_outcomes(past.outcomes, at)}
            assert is_fraud(past, at) == ("confirmed_fraud" in past.kinds(at))


def test_an_outcome_that_was_taken_back_is_no_longer_known():
    past = PastOrder.of(an_order("o"))
    past.outcomes.append(an_outcome("o", "confirmed_fraud", DAY, outcome_id="said"))
    assert is_fraud(past, NOW)
    past.outcomes.append(an_outcome("o", "confirmed_fraud", outcome_id="unsaid", reverses="said"))
    assert is_fraud(past, NOW - DAY)
    assert not is_fraud(past, NOW)
