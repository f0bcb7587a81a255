"""Computed nodes that need nothing but the order itself."""

from __future__ import annotations

import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.context import compute_context, context_without_history
from riskgraph.core.order import Consent
from riskgraph.core.subgraph import OrderSubgraph, State
from tests.stores.builders import DAY, HOUR, MINUTE, NOW, an_order, coupon, history_of, sold


def value(order, node):
    return context_without_history(order).values.get(node)


def cause(order, node):
    return context_without_history(order).absent.get(node)


@pytest.mark.parametrize(
    ("hour", "band"), [(0, "h00"), (3.99, "h00"), (4, "h04"), (11.5, "h08"), (16, "h16"), (23.99, "h20")]
)
def test_the_order_hour_is_that_of_the_orders_own_offset(hour, band):
    midnight_in_shanghai = NOW - (NOW + 8 * HOUR) % DAY
    order = an_order(placed_at=midnight_in_shanghai + hour * HOUR, utc_offset_s=8 * 3600)
    assert value(order, "B086") == band


def test_release_latency_is_the_smallest_within_the_hour_in_milliseconds():
    assert value(an_order(items=sold("a", released_ago=90) + sold("b", released_ago=30.5)), "B087") == 30_500
    assert value(an_order(items=sold("a", released_ago=HOUR)), "B087") == 3_600_000


@pytest.mark.parametrize("ago", [None, HOUR + 1, -5])
def test_release_latency_is_absent_without_a_release_in_the_hour_before(ago):
    assert value(an_order(items=sold("a", released_ago=ago)), "B087") is None


@pytest.mark.parametrize(
    ("days", "band"),
    [(0, "d0"), (0.999, "d0"), (1, "d1"), (7.9, "d1"), (8, "d8"), (30, "d8"), (31, "d31"), (180, "d31"),
     (181, "d181"), (364, "d181"), (365, "y1"), (1094, "y1"), (1095, "y3")],
)  # fmt: skip
def test_the_account_age_is_counted_in_whole_days(days, band):
    assert value(an_order(account_created_at=NOW - days * DAY), "B092") == band


def test_a_guest_has_no_account_age():
    assert value(an_order(account=None, guest=True, account_created_at=NOW - DAY), "B092") is None


def test_coupons_of_value_count_and_one_more_when_something_else_was_taken_off():
    two = (coupon("a", value=10.0), coupon("b", value=5.0), coupon("free", value=0.0))
    assert value(an_order(coupons=two, list_total=115.0), "B102") == 2
    assert value(an_order(coupons=two, list_total=116.0), "B102") == 3
    assert value(an_order(coupons=(), list_total=100.0), "B102") == 0


@pytest.mark.parametrize(
    "given", [{"coupons": None, "list_total": 100.0}, {"coupons": (), "list_total": None}]
)
def test_the_coupon_stack_is_absent_when_coupons_or_list_total_are_not_sent(given):
    assert value(an_order(**given), "B102") is None


@pytest.mark.parametrize(
    ("listed", "share"), [(200.0, 0.5), (100.0, 0.0), (80.0, 0.0), (0.0, None), (None, None)]
)
def test_the_discount_is_the_share_of_the_list_total_not_charged(listed, share):
    assert value(an_order(list_total=listed), "B103") == share


def test_the_threshold_gap_is_measured_from_the_largest_threshold_reached():
    order = an_order(list_total=110.0, promo_thresholds=(50.0, 100.0, 200.0))
    assert value(order, "B104") == pytest.approx(0.1)
    assert value(an_order(list_total=500.0, promo_thresholds=(100.0,)), "B104") == 1
    assert value(an_order(list_total=90.0, promo_thresholds=(100.0,)), "B104") is None
    assert value(an_order(list_total=90.0), "B104") is None


def test_a_new_customer_coupon_is_a_first_order_benefit():
    assert value(an_order(coupons=(coupon("a", kind="new_customer"),)), "B105") is True
    assert value(an_order(coupons=(coupon("a"),)), "B105") is False
    assert value(an_order(coupons=None), "B105") is None


def test_a_foreign_address_has_no_normality_and_an_opaque_one_was_not_delivered():
    assert value(an_order(address="x", address_normality=0.6, bands=(1,)), "B111") == 0.6
    assert cause(an_order(address="x", bands=(1,)), "B111") is State.NOT_APPLICABLE
    assert cause(an_order(address="x"), "B111") is State.NOT_DELIVERED


@pytest.mark.parametrize(
    ("region", "word"),
    [
        ("330000", "3"),
        ("71", "7"),
        ("8100", "8"),
        ("DE", "abroad"),
        ("10115", "abroad"),
        ("浙江", None),
        (None, None),
    ],
)
def test_the_ship_region_is_the_first_digit_of_the_region_code_or_abroad(region, word):
    assert value(an_order(ship_region=region), "B115") == word


def test_the_phone_class_is_the_one_found_at_the_door():
    assert value(an_order(phone="p", phone_class="virtual"), "B097") == "virtual"
    assert value(an_order(phone="p"), "B097") is None


def test_every_computed_node_has_a_value_or_a_cause():
    expected = {n.id for n in catalog() if n.computed_by == "riskgraph"}
    for context in (context_without_history(an_order()), compute_context(an_order(), history_of())):
        assert context.values.keys() | context.absent.keys() == expected
        assert not context.values.keys() & context.absent.keys()
        OrderSubgraph.build(context.values, context.absent)


def test_without_history_nothing_is_claimed_about_it():
    context = context_without_history(an_order(device="d", card="c", address="a"))
    assert context.source == "none"
    assert not context.values.keys() & {"B088", "B116", "B131", "B132", "B133", "B136"}


def test_a_value_that_the_checkout_delivered_wins():
    context = compute_context(an_order(signals={"B086": "h00"}), history_of())
    assert "B086" not in context.values
    assert "B086" not in context.absent


def test_device_nodes_are_refused_when_the_purpose_is():
    order = an_order(device="d", consent=Consent({"device": False}))
    for context in (compute_context(order, history_of()), context_without_history(order)):
        assert context.absent["B095"] is context.absent["B131"] is State.REFUSED


def test_a_refused_node_stays_refused_although_it_could_be_computed():
    order = an_order(absent={"B086": State.REFUSED})
    assert compute_context(order, history_of()).absent["B086"] is State.REFUSED


def test_the_checkouts_cause_stands_where_nothing_can_be_computed():
    order = an_order(absent={"B104": State.NOT_APPLICABLE})
    assert compute_context(order, history_of()).absent["B104"] is State.NOT_APPLICABLE


def test_a_number_beyond_the_range_of_its_node_is_clipped():
    order = an_order()
    history = history_of(*(an_order(f"e{i}", ago=DAY * (i + 1), amount=1e-9) for i in range(5)))
    assert compute_context(order, history).values["B069"] == 10
    assert compute_context(order, history_of(an_order("old", ago=30 * DAY))).values["B088"] == 604_800
    assert MINUTE < compute_context(order, history_of(an_order("new", ago=90))).values["B088"] == 90
