"""Computed nodes that read the account's own earlier orders."""

from __future__ import annotations

import math

import pytest

from riskgraph.core.context import compute_context
from riskgraph.core.context_account import cell_distance_km
from tests.stores.builders import DAY, HOUR, MINUTE, an_order, an_outcome, attempt, coupon, history_of


def value(node, order, *facts):
    return compute_context(order, history_of(*facts)).values.get(node)


GUEST = {"account": None, "guest": True}


def test_distinct_cards_of_24_hours_include_this_orders():
    earlier = [an_order("a", HOUR, card="1"), an_order("b", DAY, card="2", merchant_id="other"),
               an_order("c", DAY + 1, card="3"), an_order("d", HOUR)]  # fmt: skip
    assert value("B067", an_order(card="9"), *earlier) == 3
    assert value("B067", an_order(card="1"), *earlier) == 2
    assert value("B067", an_order(), *earlier) is None
    assert value("B067", an_order(card="1", **GUEST), *earlier) is None


def test_the_amount_is_compared_on_the_log_scale_with_a_floor_on_the_spread():
    same = [an_order(f"e{i}", DAY * (i + 1)) for i in range(5)]
    assert value("B069", an_order(amount=100 * math.e**0.5), *same) == pytest.approx(5)
    spread = [an_order(f"e{i}", DAY * (i + 1), amount=math.exp(i)) for i in range(5)]
    assert value("B069", an_order(amount=math.exp(4)), *spread) == pytest.approx(2 / 1.4826)


@pytest.mark.parametrize("change", [{"currency": "EUR"}, {"amount": 0.0}])
def test_the_amount_needs_five_earlier_orders_in_its_currency_within_a_year(change):
    four = [an_order(f"e{i}", DAY * (i + 1)) for i in range(4)]
    assert value("B069", an_order(), *four, an_order("old", 366 * DAY)) is None
    assert value("B069", an_order(), *four, an_order("fifth", HOUR, **change)) is None
    assert value("B069", an_order(), *four, an_order("fifth", HOUR)) is not None


def test_the_interval_runs_from_the_accounts_newest_order_at_any_merchant():
    facts = an_order("a", 500), an_order("b", 70, merchant_id="other")
    assert value("B088", an_order(), *facts) == 70
    assert value("B088", an_order(**GUEST), *facts) is None
    assert value("B088", an_order()) is None


def test_a_scheduler_is_perfectly_periodic_and_four_gaps_are_needed():
    regular = [an_order(f"e{i}", HOUR * (i + 1)) for i in range(4)]
    assert value("B091", an_order(), *regular) == pytest.approx(1)
    assert value("B091", an_order(), *regular[:3]) is None
    gaps = [HOUR, 3 * HOUR, 4 * HOUR, 6 * HOUR]
    uneven = [an_order(f"e{i}", ago) for i, ago in enumerate(gaps)]
    assert value("B091", an_order(), *uneven) == pytest.approx(1 - 0.5 / 1.5)


def test_periodicity_reads_twenty_orders_of_ninety_days():
    regular = [an_order(f"e{i}", HOUR * (i + 1)) for i in range(19)]
    assert value("B091", an_order(), *regular, an_order("x", 50 * DAY)) == pytest.approx(1)
    assert value("B091", an_order(), *regular[:3], an_order("x", 91 * DAY)) is None


def test_a_device_is_new_when_no_order_of_the_year_carries_it():
    assert value("B095", an_order(device="d"), an_order("a", DAY, device="d")) is False
    assert value("B095", an_order(device="d"), an_order("a", DAY, device="e")) is True
    assert value("B095", an_order(device="d"), an_order("a", DAY)) is None
    assert value("B095", an_order(device="d"), an_order("a", 366 * DAY, device="d")) is None
    assert value("B095", an_order(), an_order("a", DAY, device="d")) is None


def test_a_dormant_spell_among_the_newest_six_orders_shows_as_the_longest_gap():
    newest = [an_order(f"e{i}", DAY * (i + 1)) for i in range(4)]
    assert value("B099", an_order(), *newest, an_order("x", 100 * DAY)) == 96
    assert value("B099", an_order(), *newest, an_order("y", 5 * DAY), an_order("x", 100 * DAY)) == 1
    assert value("B099", an_order()) is None


def test_another_recipient_is_known_when_an_honest_order_had_the_address_or_phone():
    order = an_order(recipient="other", address="home", phone="1")
    assert value("B100", an_order(recipient="same")) == "same"
    assert value("B100", an_order()) is None
    assert value("B100", order) == "new"
    assert value("B100", order, an_order("a", DAY, address="home")) == "known"
    assert value("B100", order, an_order("a", DAY, phone="1")) == "known"
    assert value("B100", order, an_order("a", 366 * DAY, phone="1")) == "new"
    assert value("B100", order, an_order("a", DAY, account="bob", phone="1")) == "new"
    fraud = an_outcome("a", "confirmed_fraud", HOUR)
    assert value("B100", order, an_order("a", DAY, phone="1"), fraud) == "new"


def test_coupon_claims_are_counted_as_distinct_codes_in_any_hour_of_the_day():
    order = an_order(coupons=(coupon("a", 10), coupon("b", HOUR + 10)))
    assert value("B101", order) == 2
    older = an_order(
        "x", HOUR, coupons=(coupon("c", HOUR + 5), coupon("d", HOUR + 20), coupon("b", HOUR + 9))
    )
    assert value("B101", order, older) == 3
    assert value("B101", an_order(coupons=(coupon("a"),)), older) is None
    assert value("B101", an_order(coupons=(coupon("a", DAY + 1),))) == 0


def test_promoted_orders_have_a_coupon_or_a_fifth_off():
    rows = [an_order("a", DAY, coupons=(coupon("c"),)), an_order("b", DAY, list_total=125.0),
            an_order("c", DAY, list_total=124.0), an_order("d", DAY)]  # fmt: skip
    assert value("B107", an_order(), *rows) == 0.5
    assert value("B107", an_order(), *rows[:2]) is None


@pytest.mark.parametrize(
    ("cell", "band"),
    [
        ((302, 1201), "km0"),
        ((302, 1202), "km5"),
        ((303, 1208), "km50"),
        ((312, 1241), "km200"),
        ((399, 1163), "km1000"),
    ],
)
def test_the_distance_runs_to_the_nearest_frequent_cell(cell, band):
    home = [an_order(f"h{i}", DAY * (i + 2), cell=(302, 1201)) for i in range(2)]
    once = an_order("o", DAY, cell=(399, 1163))
    assert value("B110", an_order(cell=cell), *home, once) == band


def test_without_a_frequent_cell_the_newest_honest_order_is_home():
    a, b = an_order("a", 2 * DAY, cell=(302, 1201)), an_order("b", DAY, cell=(399, 1163))
    order = an_order(cell=(302, 1201))
    assert value("B110", order, a, b) == "km1000"
    assert value("B110", order, a, b, an_outcome("b", "confirmed_fraud", HOUR)) == "km0"
    assert value("B110", order) is None
    assert value("B110", an_order(), a) is None


def test_cells_are_measured_between_their_centres():
    assert cell_distance_km((0, 0), (0, 0)) == 0
    assert cell_distance_km((0, 0), (10, 0)) == pytest.approx(111.195, abs=0.01)


def test_an_address_is_as_old_as_its_first_use_by_the_account():
    first, again = an_order("a", 30 * DAY, address="x"), an_order("b", 3 * DAY, address="x")
    assert value("B114", an_order(address="x"), first, again) == 30
    assert value("B114", an_order(address="y"), first) == 0
    assert value("B114", an_order(address="x", account="bob"), first) == 0
    assert value("B114", an_order()) is None
    assert value("B114", an_order(address="x", **GUEST), first) is None


def test_the_claim_gap_is_the_median_of_the_hours_from_delivery_to_the_first_claim():
    facts = []
    for i, hours in enumerate((2, 10, 50)):
        facts += [an_order(f"o{i}", 30 * DAY), an_outcome(f"o{i}", "delivered", 20 * DAY),
                  an_outcome(f"o{i}", "claim", 20 * DAY - hours * HOUR),
                  an_outcome(f"o{i}", "refund", DAY)]  # fmt: skip
    assert value("B119", an_order(), *facts) == pytest.approx(10)
    assert value("B119", an_order(), *facts[:2]) is None
    assert value("B119", an_order(), an_order("o0", 181 * DAY), *facts[1:4]) is None


def test_refunds_are_shared_over_paid_orders_of_half_a_year():
    facts = []
    for i in range(4):
        facts += [an_order(f"o{i}", 30 * DAY), an_outcome(f"o{i}", "paid", 29 * DAY)]
    refund = an_outcome("o0", "refund", DAY)
    assert value("B120", an_order(), *facts, refund) == 0.25
    assert value("B120", an_order(), *facts[:4], refund) is None


def test_a_merchant_that_reports_no_refunds_gives_absence_not_zero():
    facts = []
    for i in range(4):
        facts += [an_order(f"o{i}", 30 * DAY), an_outcome(f"o{i}", "paid", 29 * DAY)]
    assert value("B120", an_order(), *facts) is None
    assert value("B120", an_order(), *facts, an_outcome("else", "refund", DAY)) == 0
    assert value("B120", an_order(), *facts, an_outcome("else", "refund", DAY, merchant="other")) is None


def test_a_reversed_refund_is_none():
    facts = []
    for i in range(3):
        facts += [an_order(f"o{i}", 30 * DAY), an_outcome(f"o{i}", "paid", 29 * DAY)]
    refund = an_outcome("o0", "refund", DAY)
    undo = an_outcome("o0", "refund", HOUR, outcome_id="undo", reverses=refund.outcome_id)
    assert value("B120", an_order(), *facts, refund, undo) == 0


def test_the_commonest_refund_reason_needs_more_than_half():
    def claims(*reasons):
        rows = []
        for i, reason in enumerate(reasons):
            rows += [an_order(f"o{i}", 30 * DAY), an_outcome(f"o{i}", "refund", DAY, reason=reason)]
        return rows

    assert value("B121", an_order(), *claims("quality", "quality", "no_reason")) == "quality"
    assert value("B121", an_order(), *claims("quality", "no_reason")) == "mixed"
    assert value("B121", an_order(), *claims("quality", None, None)) == "mixed"
    assert value("B121", an_order(account="bob"), *claims("quality")) == "none"
    assert value("B121", an_order(), *claims(None)) is None


def test_a_further_attempt_is_the_same_order_and_never_its_own_history():
    order = an_order(card="1", ago=5 * MINUTE)
    again = attempt(order, 2, later=5 * MINUTE)
    assert value("B088", again, order) is None
    assert value("B088", an_order("next", ago=-MINUTE), order, again) == 6 * MINUTE
