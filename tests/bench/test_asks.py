"""A figure is told with its ask, and says so where it falls short."""

from __future__ import annotations

from riskgraph.bench import Figure
from riskgraph.bench.asks import at_least, at_most, beside_asks

ASKS = {"speed": at_least(2_000), "time": at_most(0.8)}


def test_a_figure_on_its_bound_holds() -> None:
    figures = beside_asks([Figure("speed", 2_000.0, "1/s"), Figure("time", 0.8, "s")], ASKS)
    assert [f.note for f in figures] == ["ask: at least 2,000", "ask: at most 0.8"]


def test_a_figure_beyond_its_bound_fell_short() -> None:
    figures = beside_asks([Figure("speed", 1_999.0, "1/s", "cold"), Figure("time", 0.81, "s")], ASKS)
    assert figures[0].note == "ask: at least 2,000, fell short; cold"
    assert "fell short" in figures[1].note


def test_a_figure_that_was_not_measured_did_not_fall_short() -> None:
    (figure,) = beside_asks([Figure("speed", None, "", "no server")], ASKS)
    assert figure.note == "ask: at least 2,000; no server"


def test_a_figure_without_an_ask_stays_as_it_is() -> None:
    other = Figure("other", 1.0, "1", "as is")
    assert beside_asks([other], ASKS) == [other]
