"""Other spellings of a door (B112, B132), and what else was sold (B130, B135)."""

from __future__ import annotations

import math

import pytest

from riskgraph.core.context import compute_context
from riskgraph.core.order import Item
from riskgraph.core.spelling import alike, parts
from tests.stores.builders import DAY, HOUR, MINUTE, an_order, history_of, sold

BANDS = tuple(range(16))
HERE = (300, 1200)


def value(node, order, *facts):
    return compute_context(order, history_of(*facts)).values.get(node)


def spelled(different):
    return tuple(1000 + b if b < different else b for b in BANDS)


def at_door(order_id="now", ago=0.0, different=0, **given):
    facts = {"address": f"spelling{different}", "bands": spelled(different), "cell": HERE}
    return an_order(order_id, ago, **facts | given)


@pytest.mark.parametrize("places", [(0, 5, 15), (0, 4, 8), (1, 2, 3), ()])
def test_lists_that_differ_in_three_places_share_a_part(places):
    other = tuple(99 if i in places else band for i, band in enumerate(BANDS))
    assert alike(BANDS, other)
    assert set(parts(BANDS)) & set(parts(other))


def test_thirteen_equal_bands_are_one_door():
    for different, orders in ((3, 1), (4, 0)):
        other = at_door("a", HOUR, different, account="bob")
        assert value("B132", at_door(), other)["orders_1h"] == orders
    assert value("B132", at_door(bands=()), at_door("a", HOUR, 1))["orders_1h"] == 0


def test_the_most_similar_other_address_of_another_account_in_the_cell():
    facts = [at_door("a", HOUR, 4, account="bob"), at_door("b", HOUR, 8, account="eve")]
    assert value("B112", at_door(), *facts) == 0.75
    assert value("B112", at_door(cell=(1, 1)), *facts) == 0
    assert value("B112", at_door(bands=()), *facts) is None
    assert value("B112", at_door(account="bob"), *facts) == 0.5
    assert value("B112", at_door(), at_door("c", HOUR, account="bob")) == 0
    assert value("B112", at_door(), at_door("d", 181 * DAY, 4, account="bob")) == 0
    assert value("B112", at_door(), at_door("e", HOUR, 4, account=None)) == 0


def test_addresses_that_no_window_reaches_make_room():
    old = [at_door(f"o{i}", 400 * DAY, address=f"old{i}", account="bob") for i in range(16)]
    history = history_of(*old, keep_s=DAY)
    history.add_order(at_door("new", DAY, 1, account="bob"))
    assert compute_context(at_door(), history).values["B112"] == 15 / 16


def priced(price, currency="CNY", sku="s"):
    return {"items": (Item(sku, price=price),), "currency": currency}


def test_a_price_is_compared_with_twenty_of_the_same_item_anywhere():
    facts = [an_order(f"o{i}", DAY, merchant_id=f"m{i}", **priced(10.0)) for i in range(20)]
    assert value("B130", an_order(**priced(10.0 * math.exp(0.1))), *facts) == pytest.approx(5)
    assert value("B130", an_order(**priced(1.0)), *facts) == -10
    assert value("B130", an_order(**priced(10.0)), *facts[:19]) is None
    assert value("B130", an_order(**priced(10.0, "EUR")), *facts) is None
    assert value("B130", an_order(**priced(0.0)), *facts) is None


def test_buyers_in_step_share_a_hash_with_the_order():
    facts = [
        an_order("a", 5 * MINUTE, account="1", items=sold("s"), merchant_id="other"),
        an_order("b", HOUR, account="2", items=sold("s", "t")),
        an_order("c", DAY + 1, account="3", items=sold("s")),
        an_order("d", 100 * DAY, account="1", card="c"),
    ]
    order = an_order(card="c", items=sold("s"))
    assert value("B135", order, *facts) == {"share_10m": 1.0, "share_24h": 0.5}
    assert value("B135", an_order(card="c", items=sold("t")), *facts) == {"share_24h": 0.0}
    assert value("B135", an_order(card="c"), *facts) is None
    assert value("B135", an_order(account="2", items=sold("t")), *facts) is None
