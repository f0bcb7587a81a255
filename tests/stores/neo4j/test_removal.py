"""What is erased or over its time is nowhere in the graph, and what stays is as if it had been alone."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.past import DAY_S
from riskgraph.core.subgraph import State
from riskgraph.stores.crash import synthetic_entry
from riskgraph.stores.neo4j import nodes, removal
from riskgraph.stores.neo4j.rows import past_of
from tests.stores.builders import DAY, HOUR, NOW, an_order, an_outcome, digest
from tests.stores.neo4j.fed import Fed, several
from tests.stores.test_retention import NEEDED, OPTIONAL, PERIODS
from tests.stores.test_retention import add as add_issued

ANN, BOB = digest("account", "ann"), digest("account", "bob")
SHARED = {"device": "d", "card": "c", "address": "x", "phone": "p", "bands": tuple(range(16))}


@pytest.fixture
def fed(neo4j, tmp_path):
    with closing(Fed(neo4j, tmp_path / "store.db", "all")) as opened:
        yield opened


def erase(fed, *accounts, keys=()):
    fed.store.subjects.erase(accounts, keys, NOW)
    fed.drain()


def texts(fed):
    """Every property of every node and relationship, as one text, bytes as hex."""
    found = fed.ask("MATCH (n) RETURN properties(n)") + fed.ask("MATCH ()-[r]->() RETURN properties(r)")
    return " ".join(
        value.hex() if isinstance(value, bytes) else str(value) for (row,) in found for value in row.values()
    )


def retain(fed, day, **given):
    return fed.wait(removal.retain(fed.connection, day, **given))


def test_of_an_erased_person_nothing_is_left_in_any_property(fed):
    for number in range(3):
        fed.add(f"a{number}", device="hers", card="hers", address="hers", phone="hers", ago=number)
    fed.add("b1", account="bob", device="his", ago=1.0)
    fed.store.append_outcomes([an_outcome("a1", "chargeback_fraud"), an_outcome("b1", "paid")])
    fed.drain()
    words = [ANN.hex(), "m|web|a", "d-a"]
    words += [digest(kind, "hers").hex() for kind in ("device", "card", "address", "phone")]
    assert all(word in texts(fed) for word in words)
    erase(fed, ANN)
    left = texts(fed)
    assert [word for word in words if word in left] == []
    assert fed.counts() == {
        "Order": 1, "Decision": 1, "Outcome": 1, "Account": 1, "Device": 1, "Merchant": 1, "Feed": 1,
        "Schema": 1, "Behavior": 137, **{f: n for f, n in fed.counts().items() if f.isupper()},
    }  # fmt: skip


def test_who_shares_things_with_an_erased_person_is_as_if_that_person_had_not_been(neo4j, tmp_path):
    with several(Fed(neo4j, tmp_path / "a.db", "all")) as (fed,):
        fed.add("a1", ago=HOUR, **SHARED)
        fed.add("b1", account="bob", ago=2 * HOUR, **SHARED)
        fed.add("a2", ago=3 * HOUR, **SHARED)
        fed.drain()
        erase(fed, ANN)
        left = fed.everything()
        fed.ask("MATCH (n) WHERE NOT n:RiskgraphTest DETACH DELETE n")
    with several(Fed(neo4j, tmp_path / "b.db", "all")) as (fed,):
        fed.add("b1", account="bob", ago=2 * HOUR, **SHARED)
        fed.drain()
        assert left == fed.everything()


def test_a_guest_s_order_goes_by_its_key(fed):
    fed.add("g1", account=None, device="d")
    fed.add("g2", account=None, device="d")
    fed.drain()
    erase(fed, keys=("m|web|g1",))
    assert fed.ask("MATCH (o:Order) RETURN o.key") == [["m|web|g2"]]
    assert fed.ask("MATCH (d:Decision) RETURN d.id") == [["d-g2"]]


def test_an_outcome_whose_order_never_came_goes_too(fed):
    fed.store.append_outcomes([an_outcome("ghost", "paid"), an_outcome("other", "paid")])
    fed.drain()
    erase(fed, keys=("m|web|ghost",))
    assert fed.ask("MATCH (x:Outcome) RETURN x.order_key") == [["m|web|other"]]


def test_a_person_with_more_orders_than_one_transaction_takes_goes_whole(fed):
    fed.feed._policy = nodes.Policy("flagged")
    for number in range(2 * removal.BATCH + 5):
        fed.store.submit(synthetic_entry(an_order(f"a{number}", device="d"), f"d-{number}"))
    fed.add("b1", account="bob", device="d")
    fed.drain()
    erase(fed, ANN)
    assert fed.ask("MATCH (o:Order) RETURN o.key") == [["m|web|b1"]]
    assert fed.ask("MATCH (e:Device) RETURN e.orders") == [[1]]
    assert fed.feed.status.erased == 2 * removal.BATCH + 5


def test_what_is_a_hub_no_longer_has_all_its_edges_again(fed):
    fed.feed._policy = nodes.Policy("flagged")
    for number in range(HUB_ORDERS + 20):
        account = "ann" if number < 30 else None
        made = an_order(f"h{number}", account=account, device="hub", ago=1000.0 - number)
        fed.store.submit(synthetic_entry(made, f"d-{number}"))
    fed.drain()
    hub = "MATCH (e:Device) RETURN e.orders, e.hub, COUNT { (e)<-[:ON_DEVICE]-() }"
    assert fed.ask(hub) == [[HUB_ORDERS + 20, True, HUB_ORDERS]]
    erase(fed, ANN)
    assert fed.ask(hub) == [[HUB_ORDERS - 10, False, HUB_ORDERS - 10]]
    assert fed.one("MATCH (e:Merchant) RETURN e.orders") == HUB_ORDERS - 10
    fed.add("more", account=None, device="hub")
    fed.drain()
    assert fed.ask(hub) == [[HUB_ORDERS - 9, False, HUB_ORDERS - 9]]


def test_an_erasure_that_is_cut_off_is_done_again(fed):
    for number in range(3):
        fed.add(f"a{number}", device="d")
    fed.drain()
    fed.store.subjects.erase((ANN,), (), NOW)
    connection = fed.connection

    class Lost:
        async def write(self, work):
            await connection.write(work)
            raise ConnectionResetError("the answer was lost")

    for _ in range(2):
        fed.feed._neo4j = Lost()
        with pytest.raises(ConnectionResetError):
            fed.drain()
    fed.feed._neo4j = connection
    fed.drain()
    assert fed.counts() == {"Feed": 1, "Schema": 1}


def test_retention_takes_out_what_was_placed_before_a_day_and_only_that(fed):
    for days in range(6):
        fed.add(f"a{days}", ago=days * DAY, device="d")
    fed.drain()
    day = int((NOW - 3 * DAY) // DAY_S)
    assert retain(fed, day, dry_run=True) == 2
    assert fed.counts()["Order"] == 6
    assert retain(fed, day) == 2
    keys = [key for (key,) in fed.ask("MATCH (o:Order) RETURN o.key ORDER BY o.key")]
    assert keys == ["m|web|a0", "m|web|a1", "m|web|a2", "m|web|a3"]
    assert fed.ask("MATCH (e:Device) RETURN e.orders") == [[4]]
    assert fed.counts()["Behavior"] == 4 * 137
    assert retain(fed, day) == 0


def test_what_the_journal_has_kept_for_long_enough_goes_from_the_graph_by_its_class(fed):
    add_issued(fed.store, "old", 90)  # the order's time is over, its report's is not
    add_issued(fed.store, "bare", 40, device="d", card="c")  # its optional values' time is over
    add_issued(fed.store, "new", 5, device="d")
    fed.drain()
    before = fed.ask("MATCH (e:Device) RETURN e.orders")
    assert before == [[2]]
    due = fed.store.retention.due(PERIODS, NOW)
    fed.store.retention.remove(due, NOW)
    fed.drain()
    assert fed.ask("MATCH (o:Order) RETURN o.key ORDER BY o.key") == [["m|web|bare"], ["m|web|new"]]
    assert fed.ask("MATCH (e:Device)<-[:ON_DEVICE]-(o) RETURN e.orders, o.key") == [[1, "m|web|new"]]
    bare = fed.wait(fed.connection.read(lambda tx: nodes.read_nodes(tx, "m|web|bare")))
    assert bare == fed.store.subgraph("m|web|bare")
    assert (bare.state(OPTIONAL), bare.state(NEEDED)) == (State.NOT_DELIVERED, State.PRESENT)
    ((facts, outcomes, device),) = fed.ask(
        "MATCH (o:Order {key: 'm|web|bare'}) RETURN o.facts, o.outcomes, o.device"
    )
    assert (past_of(facts, outcomes).device, device) == (None, None)
    first = "MATCH (d:Decision)-[:ABOUT]->(o) RETURN o.key, d.first, o.jurisdiction ORDER BY o.key"
    assert fed.ask(first) == [["m|web|bare", None, "CN"], ["m|web|new", True, "CN"]]


def test_a_report_s_end_takes_its_decision_and_leaves_the_order(fed):
    add_issued(fed.store, "eu", 55, jurisdiction="EU")  # reports 50 days, orders 60
    fed.drain()
    fed.store.retention.remove(fed.store.retention.due(PERIODS, NOW), NOW)
    fed.drain()
    assert fed.ask("MATCH (o:Order) RETURN o.key") == [["m|web|eu"]]
    assert "Decision" not in fed.counts()


ORDERS = st.lists(
    st.fixed_dictionaries(
        {
            kind: st.sampled_from((None, "1", "2"))
            for kind in ("account", "device", "card", "address", "phone")
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(ORDERS, st.data())
def test_taking_orders_out_leaves_what_writing_the_others_alone_would_have(neo4j, tmp_path, rows, data):
    gone = data.draw(st.sets(st.integers(0, len(rows) - 1)))
    left = []
    for keep in (range(len(rows)), [i for i in range(len(rows)) if i not in gone]):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        with several(Fed(neo4j, path)) as (fed,):
            fed.ask("MATCH (n) WHERE NOT n:Schema AND NOT n:RiskgraphTest DETACH DELETE n")
            for number in keep:
                fed.add(f"o{number}", ago=float(number), **rows[number])
            fed.drain()
            keys = [f"m|web|o{number}" for number in sorted(gone)]
            fed.wait(fed.connection.write(partial(removal.remove_orders, keys=keys)))
            left.append(fed.everything())
    assert left[0] == left[1]
