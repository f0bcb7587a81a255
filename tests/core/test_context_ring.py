"""The accounts around an order's own: B134 and B137."""

from __future__ import annotations

import math

import pytest

from riskgraph.core.context import compute_context
from tests.stores.builders import DAY, HOUR, an_order, history_of


def value(node, order, *facts):
    return compute_context(order, history_of(*facts)).values.get(node)


GUEST = {"account": None, "guest": True}
ALONE = {"density": 0.0, "component_size_log2": 0.0, "shared_kinds": 0}


def test_an_account_that_shares_nothing_is_alone():
    assert value("B134", an_order(card="c")) == ALONE
    assert value("B134", an_order(card="c"), an_order("a", HOUR, card="c")) == ALONE
    assert value("B134", an_order(device="d"), an_order("a", HOUR, account="bob", device="d")) == ALONE
    assert value("B134", an_order(card="c"), an_order("a", 31 * DAY, account="bob", card="c")) == ALONE
    assert value("B134", an_order(card="c", **GUEST)) is None


def test_two_accounts_behind_one_door_are_one_linked_pair():
    found = value("B134", an_order(address="x"), an_order("a", HOUR, account="bob", address="x"))
    assert found == {"density": 1.0, "component_size_log2": 1.0, "shared_kinds": 1}


def test_a_hash_of_an_earlier_order_links_as_well():
    facts = [an_order("a", DAY, phone="p"), an_order("b", HOUR, account="bob", phone="p", card="c")]
    assert value("B134", an_order(card="c"), *facts)["shared_kinds"] == 2


def test_two_steps_are_followed_and_a_third_is_not():
    chain = [an_order("a", HOUR, account="1", card="c0", phone="p1"),
             an_order("b", HOUR, account="2", card="c2", phone="p1"),
             an_order("c", HOUR, account="3", card="c2", phone="p3")]  # fmt: skip
    found = value("B134", an_order(card="c0"), *chain)
    assert found["component_size_log2"] == pytest.approx(math.log2(3))
    assert found["density"] == pytest.approx(2 / 3)


def test_a_hash_on_over_500_orders_links_nobody():
    facts = [an_order(f"o{i}", HOUR + i, account=str(i % 3), address="shop") for i in range(501)]
    assert value("B134", an_order(address="shop"), *facts) == ALONE
    assert value("B134", an_order(address="shop"), *facts[:500])["component_size_log2"] == 2.0


def test_the_set_holds_the_200_accounts_that_were_linked_last():
    facts = [an_order(f"{kind}{i}", HOUR + i, account=f"{kind}{i}", **{kind: "x"})
             for kind in ("card", "phone") for i in range(150)]  # fmt: skip
    found = value("B134", an_order(card="x", phone="x"), *facts)
    assert found["component_size_log2"] == pytest.approx(math.log2(201))


def gang(count, merchant="m"):
    members = [f"g{i}" for i in range(count)]
    return [an_order(who, HOUR, account=who, card="c", merchant_id=merchant) for who in members]


def town(count):
    return [an_order(f"t{i}", DAY, account="town", merchant_id=f"shop{i}") for i in range(count)]


def test_a_ring_buys_at_one_merchant():
    assert value("B137", an_order(card="c"), *town(9), *gang(5)) is True
    assert value("B137", an_order(card="c"), *town(9), *gang(4)) is False
    assert value("B137", an_order(card="c"), *town(10), *gang(5, "else")) is False
    assert value("B137", an_order(card="c", **GUEST), *town(9), *gang(5)) is None


def test_a_ring_needs_four_fifths_of_its_orders_there_and_ten_merchants_on_record():
    elsewhere = [an_order(f"e{i}", HOUR, account=f"g{i}", merchant_id="shop0") for i in range(2)]
    assert value("B137", an_order(card="c"), *town(9), *gang(5), elsewhere[0]) is True
    assert value("B137", an_order(card="c"), *town(9), *gang(5), *elsewhere) is False
    assert value("B137", an_order(card="c"), *town(8), *gang(5)) is None


def test_an_orders_own_first_attempt_is_no_merchant_on_record():
    first = an_order("now", HOUR, card="c", merchant_id="new")
    again = an_order("now", card="c", merchant_id="new")
    assert value("B137", again, *town(8), *gang(5), first) is None
    assert value("B137", again, *town(9), *gang(5), first) is False
