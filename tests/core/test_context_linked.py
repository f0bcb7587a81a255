"""Computed nodes that read the merchant's activity and shared entities."""

from __future__ import annotations

import math
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.context import compute_context
from riskgraph.core.spread import median_and_mad
from tests.stores.builders import DAY, HOUR, MINUTE, NOW, an_order, an_outcome, attempt, history_of, sold


def value(node, order, *facts):
    return compute_context(order, history_of(*facts)).values.get(node)


def cards(count, bin_, ago=HOUR, **given):
    return [
        an_order(f"{bin_}-{i}", ago, account=f"{bin_}-{i}", card=f"{bin_}-{i}", card_bin=bin_, **given)
        for i in range(count)
    ]


def test_bin_concentration_is_the_share_of_the_merchants_distinct_cards_in_the_hour():
    order = an_order(card="mine", card_bin="622848")
    facts = [*cards(4, "622848"), *cards(5, "400000")]
    assert value("B068", order, *facts) == 0.5
    assert value("B068", order, *facts[:-1]) is None
    assert value("B068", an_order(card="mine"), *facts) is None
    assert value("B068", order, *facts, *cards(9, "411111", HOUR + 1)) == 0.5
    assert value("B068", order, *facts, *cards(9, "411111", merchant_id="other")) == 0.5


def test_a_card_used_twice_counts_once():
    order = an_order(card="622848-0", card_bin="622848")
    assert value("B068", order, *cards(5, "622848"), *cards(5, "400000")) == 0.5


def test_an_earlier_attempt_with_another_card_is_left_out_of_the_hour():
    first = an_order(card="tried", card_bin="400000", ago=MINUTE)
    second = an_order(card="mine", card_bin="622848", attempt=2)
    facts = [*cards(4, "622848"), *cards(5, "400000")]
    assert value("B068", second, *facts, first) == 0.5
    history = history_of(*facts, first)
    compute_context(second, history)
    assert compute_context(an_order("next", card="x", card_bin="400000"), history).values["B068"] == 7 / 11


def test_sku_density_is_the_largest_count_of_one_sku_in_the_minute():
    facts = [
        an_order("a", 10, items=sold("s", "t")),
        an_order("b", MINUTE, items=sold("s", "s")),
        an_order("c", MINUTE + 1, items=sold("s")),
        an_order("d", 10, items=sold("s"), merchant_id="other"),
    ]
    assert value("B089", an_order(items=sold("s", "t")), *facts) == 3
    assert value("B089", an_order(items=sold("t")), *facts) == 2
    assert value("B089", an_order(), *facts) is None
    again = attempt(an_order("a", 10, items=sold("s")), 2, later=10)
    assert value("B089", again, *facts) == 2


def test_reroutes_count_on_all_orders_to_the_address():
    order = an_order(address="x")
    facts = [an_order("a", 30 * DAY, address="x", account="bob"), an_outcome("a", "reroute", 29 * DAY)]
    assert value("B116", order, *facts) == 1
    assert value("B116", order, facts[0]) is None
    assert value("B116", order, facts[0], an_outcome("else", "reroute", DAY)) == 0
    assert value("B116", order, facts[0], an_outcome("a", "reroute", 181 * DAY)) == 0
    assert value("B116", an_order(address="y"), *facts) is None


def test_the_ramp_is_the_slope_of_log_orders_a_day():
    facts = [
        an_order(f"{day}-{i}", day * DAY + HOUR, account=f"{day}-{i}")
        for day in range(7)
        for i in range(2 ** (7 - day) - 1)
    ]
    oldest = an_order("first", 7 * DAY + HOUR, account="z")
    assert value("B129", an_order(), *facts, oldest) == pytest.approx(math.log(2))
    assert value("B129", an_order(), *facts) is None


def test_the_ramp_leaves_out_this_order_and_everything_before_28_days():
    steady = [an_order(f"{day}", day * DAY + HOUR) for day in range(28)]
    burst = [an_order(f"b{i}", 28 * DAY + HOUR) for i in range(50)]
    assert value("B129", an_order(), *steady, *burst) == pytest.approx(0)
    again = attempt(an_order("0", HOUR), 2, later=HOUR)
    assert value("B129", again, *steady, *burst) < 0


def test_fanout_counts_accounts_and_orders_of_the_device():
    facts = [
        an_order("a", HOUR, account="1", device="d"),
        an_order("b", HOUR + 1, account="2", device="d"),
        an_order("c", DAY + 1, account="3", device="d"),
        an_order("d", 31 * DAY, account="4", device="d"),
        an_order("e", 181 * DAY, account="5", device="d"),
        an_order("g", 10, device="d", account=None),
        an_outcome("c", "chargeback_fraud", 1),
    ]
    assert value("B131", an_order(device="d"), *facts) == {
        "accounts_24h": 2,
        "accounts_30d": 3,
        "orders_1h": 2,
        "orders_30d": 4,
        "days_since_last": 10 / DAY,
        "fraud_share": 0.2,
    }


@pytest.mark.parametrize(("node", "kind"), [("B131", "device"), ("B132", "address"), ("B133", "card")])
def test_a_first_order_has_a_fanout_of_zero_without_the_last_two_parts(node, kind):
    zero = {"accounts_24h": 0, "accounts_30d": 0, "orders_1h": 0, "orders_30d": 0}
    assert value(node, an_order(**{kind: "x"})) == zero
    assert value(node, an_order()) is None


def test_fanout_reads_the_newest_200_orders():
    facts = [an_order(f"o{i}", i + 1, account=str(i), card="c") for i in range(250)]
    found = value("B133", an_order(card="c"), *facts)
    assert found["orders_1h"] == found["accounts_24h"] == 200
    assert found["days_since_last"] == 1 / DAY


def test_one_hop_from_fraud_means_a_shared_hash_with_a_labelled_order():
    fraud = an_outcome("bad", "confirmed_fraud", HOUR)
    for kind in ("account", "card", "address", "phone"):
        bad = an_order("bad", DAY, **{"account": "eve", kind: "x"})
        assert value("B136", an_order(**{kind: "x"}), bad, fraud) == "1"
        assert value("B136", an_order(**{kind: "x"}), bad) == "3+"
    device = an_order("bad", DAY, account="eve", device="x")
    assert value("B136", an_order(device="x"), device, fraud) == "3+"


def test_two_hops_from_fraud_go_through_one_order_between():
    fraud = an_outcome("bad", "confirmed_fraud", HOUR)
    bad = an_order("bad", 3 * DAY, account="eve", card="stolen")
    between = an_order("mid", 2 * DAY, account="mid", card="stolen", phone="p")
    assert value("B136", an_order(phone="p"), bad, between, fraud) == "2"
    beyond = an_order("far", DAY, account="far", phone="p", address="a")
    assert value("B136", an_order(address="a"), bad, between, beyond, fraud) == "3+"


def test_fraud_is_forgotten_after_a_year_and_when_it_is_reversed():
    bad, fraud = an_order("bad", 366 * DAY, card="x"), an_outcome("bad", "confirmed_fraud", DAY)
    assert value("B136", an_order(card="x"), bad, fraud) == "3+"
    bad = an_order("bad", 30 * DAY, account="eve", card="x")
    undo = an_outcome("bad", "confirmed_fraud", HOUR, outcome_id="u", reverses=fraud.outcome_id)
    assert value("B136", an_order(card="x"), bad, fraud) == "1"
    assert value("B136", an_order(card="x"), bad, fraud, undo) == "3+"


@pytest.mark.parametrize(("orders", "hops"), [(499, "1"), (500, "3+")])
def test_a_hash_on_more_than_500_orders_links_nobody(orders, hops):
    facts = [an_order(f"o{i}", DAY + i, account=str(i), address="locker") for i in range(orders)]
    bad = an_order("bad", DAY, account="eve", address="locker")
    fraud = an_outcome("bad", "confirmed_fraud", HOUR)
    assert value("B136", an_order(address="locker"), *facts, bad, fraud) == hops


def test_an_order_of_the_same_instant_is_not_earlier():
    twin = an_order("twin", 0, card="c", card_bin="622848", items=sold("s"))
    order = an_order(card="c", items=sold("s"))
    assert order.placed_at == twin.placed_at == NOW
    context = compute_context(order, history_of(twin))
    assert context.values["B089"] == 1
    assert "B088" not in context.values
    assert context.values["B133"]["orders_30d"] == 0


@given(st.lists(st.sampled_from((0.0, 0.5, 1.0, 1.7, 2.0, 9.0)) | st.floats(-5, 5), min_size=1, max_size=30))
def test_the_spread_is_the_median_of_the_absolute_deviations(values):
    middle, mad = median_and_mad(sorted(values))
    assert middle == pytest.approx(median(values))
    assert mad == pytest.approx(median([abs(x - median(values)) for x in values]), abs=1e-12)
