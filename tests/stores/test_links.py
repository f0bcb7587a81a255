"""The other orders behind an order's entities, as a person looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.links import short_name
from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_secrets
from tests.stores.builders import DAY, HOUR, an_order, an_outcome, attempt
from tests.stores.model import decided


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "rg.db", synthetic_secrets())
    yield opened
    opened.close()


def load(store: SqliteStore, orders, outcomes=()) -> None:
    store.load(orders, outcomes, lambda step, done, total: None)


def test_orders_are_linked_by_what_they_share_whether_earlier_or_later(store):
    load(
        store,
        [
            an_order("now", ago=DAY, device="d", card="c"),
            an_order("earlier", ago=2 * DAY, account="bob", device="d"),
            an_order("later", ago=HOUR, account="eve", device="d", card="c"),
            an_order("stranger", account="zoe", device="e"),
        ],
    )
    links = store.links("m|web|now", 10)
    assert [(o.name, o.shares) for o in links.orders] == [
        (short_name("m|web|later"), ("device", "card")),
        (short_name("m|web|earlier"), ("device",)),
    ]
    assert {e.kind: (e.orders, e.hidden) for e in links.entities} == {
        "account": (1, 0),
        "device": (3, 0),
        "card": (2, 0),
    }


def test_of_too_many_orders_those_that_share_most_are_drawn_and_the_rest_is_counted(store):
    crowd = [an_order(f"o{i}", ago=i * HOUR, account=f"a{i}", device="d") for i in range(1, 9)]
    closest = an_order("old", ago=90 * DAY, device="d", card="c")
    load(store, [an_order("now", device="d", card="c"), *crowd, closest])
    links = store.links("m|web|now", 3)
    names = [o.name for o in links.orders]
    assert names == [short_name(f"m|web|{name}") for name in ("o1", "o2", "old")]
    (device,) = (e for e in links.entities if e.kind == "device")
    assert (device.orders, device.hidden) == (10, 6)


def test_a_hub_is_a_count_and_draws_no_order(store):
    crowd = [an_order(f"o{i}", ago=i, account=f"a{i}", address="locker") for i in range(HUB_ORDERS)]
    load(store, [an_order("now", address="locker"), *crowd])
    links = store.links("m|web|now", 10)
    (address,) = (e for e in links.entities if e.kind == "address")
    assert address.hub
    assert address.orders == HUB_ORDERS + 1
    assert links.orders == ()


def test_fraud_that_was_taken_back_is_no_fraud_on_record(store):
    outcomes = [
        an_outcome("true", "chargeback_fraud"),
        an_outcome("false", "confirmed_fraud"),
        an_outcome("false", "confirmed_good", reverses="false-confirmed_fraud"),
    ]
    orders = [an_order(name, ago=DAY, account=name, card="c") for name in ("true", "false")]
    load(store, [an_order("now", card="c"), *orders], outcomes)
    told = {o.name: o.fraud for o in store.links("m|web|now", 10).orders}
    assert told == {short_name("m|web|true"): True, short_name("m|web|false"): False}


def test_each_order_is_told_with_the_verdict_of_its_newest_decision(store):
    held = an_order("held", ago=DAY, account="bob", card="c")
    fine = an_order("fine", ago=2 * DAY, account="eve", card="c")
    load(store, [an_order("loaded", ago=3 * DAY, account="zoe", card="c")])
    store.append(decided(an_order("now", card="c"), "d-now", flagged=True))
    store.append(decided(held, "d-1"))
    store.append(decided(attempt(held, 2, HOUR), "d-2", flagged=True))
    store.append(decided(fine, "d-3"))
    store.append_outcomes([an_outcome("fine", "chargeback_fraud")])
    links = store.links("m|web|now", 10)
    assert links.order.verdict == "review"
    assert [(o.name, o.verdict, o.fraud) for o in links.orders] == [
        (short_name("m|web|held"), "review", False),
        (short_name("m|web|fine"), "accept", True),
        (short_name("m|web|loaded"), None, False),
    ]


def test_an_order_that_is_not_there_has_no_links(store):
    assert store.links("m|web|nobody", 10) is None
    assert store.decision_of("m|web|nobody") is None
