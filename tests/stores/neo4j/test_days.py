"""Orders stay in the graph for the days that are set."""

from __future__ import annotations

from tests.stores.builders import DAY, an_order
from tests.stores.neo4j.held import record
from tests.support.until import until

DAYS = 3650


def kept(store):
    found = store._connection.fetch("MATCH (o:Order) RETURN o.key ORDER BY o.key", {}, 10.0)
    return [key for (key,) in store._connection.submit(found).result()]


def test_orders_whose_days_are_over_leave_the_graph_and_stay_in_the_journal(open_beside):
    store = open_beside()
    record(store, an_order("new"), 1)
    record(store, an_order("old", 2 * DAYS * DAY), 2)
    store.pump()
    # It looks when it reaches the server, and then each hour.
    again = open_beside("again")
    until(lambda: kept(again) == [an_order("new").key])
    assert {event["payload"]["order_key"] for event in store.events()} == {
        an_order("new").key,
        an_order("old").key,
    }
