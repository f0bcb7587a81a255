"""Orders stay in the graph for the days that are set."""

from __future__ import annotations

import time

import pytest

from riskgraph import bootstrap
from riskgraph.settings import Settings
from tests.stores.builders import DAY, NOW, an_order
from tests.stores.neo4j.held import record
from tests.support.until import until

MANY, FEW = 3650, 7


def kept(store):
    found = store._connection.fetch("MATCH (o:Order) RETURN o.key ORDER BY o.key", {}, 10.0)
    return [key for (key,) in store._connection.submit(found).result()]


@pytest.mark.parametrize(("days", "stay"), [(MANY, ["new", "older"]), (MANY // 10, ["new"])])
def test_orders_whose_days_are_over_leave_the_graph_and_stay_in_the_journal(open_beside, days, stay):
    store = open_beside()
    ages = {"new": 1, "older": 1_000, "oldest": 2 * MANY}
    for number, (name, age) in enumerate(ages.items()):
        record(store, an_order(name, NOW - time.time() + age * DAY), number)
    store.pump()
    # It looks when it reaches the server, and then each hour.
    again = open_beside("again", days=days)
    until(lambda: kept(again) == [an_order(name).key for name in stay])
    assert {event["payload"]["order_key"] for event in store.events()} == {
        an_order(name).key for name in ages
    }


def test_the_days_that_are_set_are_those_of_the_store():
    assert bootstrap.neo4j_options(Settings(neo4j_days=FEW)).days == FEW
