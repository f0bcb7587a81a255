"""What is erased or over its time is nowhere in the graph, and what stays is as if it had been alone."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskgraph.core.errors import Conflict
from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.past import DAY_S, PastOrder
from riskgraph.core.subgraph import State
from riskgraph.stores.crash import synthetic_entry
from riskgraph.stores.erasure import outcome_sha256
from riskgraph.stores.neo4j import nodes, removal
from riskgraph.stores.neo4j.feed import Overtaken
from riskgraph.stores.neo4j.rows import Packed, order_row, past_of, write_packed
from riskgraph.stores.neo4j.schema import migrate
from tests.core.test_subgraph import golden
from tests.stores.builders import DAY, HOUR, NEEDED, NOW, OPTIONAL, an_order, an_outcome, digest
from tests.stores.neo4j.fed import Fed, several
from tests.stores.test_retention import PERIODS
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


def test_a_person_of_whom_only_the_graph_knows_goes_by_the_account(neo4j, tmp_path):
    with several(Fed(neo4j, tmp_path / "a.db"), Fed(neo4j, tmp_path / "b.db")) as (fed, other):
        other.add("a1", device="d")
        other.add("b1", account="bob", device="d")
        other.drain()
        fed.drain()
        erase(fed, ANN)
        assert fed.ask("MATCH (o:Order) RETURN o.key") == [["m|web|b1"]]
        assert fed.ask("MATCH (e:Account) RETURN e.digest") == [[BOB.hex()]]
        assert fed.ask("MATCH (e:Device) RETURN e.orders") == [[1]]


def test_a_notice_that_is_fed_again_leaves_what_was_ordered_since(neo4j, tmp_path):
    with several(Fed(neo4j, tmp_path / "a.db"), Fed(neo4j, tmp_path / "b.db")) as (fed, other):
        fed.add("a1", device="d")
        fed.drain()
        erase(fed, ANN)
        other.add("late", ago=-HOUR, device="d")  # on its way while the other was erased
        other.add("anew", ago=-2 * DAY, device="d")
        other.drain()
        fed.ask("MATCH (f:Feed {name: $name}) SET f.packed = 0, f.event = ''", name=fed.feed.status.name)
        fed.wait(fed.feed.look_again())
        fed.drain()
        assert fed.ask("MATCH (o:Order) RETURN o.key") == [["m|web|anew"]]
        assert fed.ask("MATCH (e:Device) RETURN e.orders, COUNT { (e)<-[:ON_DEVICE]-() }") == [[1, 1]]


def test_a_journal_without_a_graph_keeps_no_notice_of_whom_it_does_not_know(fed):
    fed.store.subjects.erase((ANN,), (), NOW)
    assert fed.store.events() == []
    fed.drain()
    fed.store.subjects.erase((), ("m|web|nobody",), NOW)
    assert fed.store.events() == []
    fed.store.subjects.erase((ANN,), (), NOW)
    assert [event["type"] for event in fed.store.events()] == ["subject.erased"]


def test_a_guest_s_order_that_the_journal_does_not_know_is_taken_out_by_its_key(neo4j, tmp_path):
    with several(Fed(neo4j, tmp_path / "a.db", "all")) as (fed,):
        fed.add("g1", account=None, device="d")
        fed.add("g2", account=None, device="d")
        fed.add("b1", account="bob")
        fed.store.append_outcomes([an_outcome("g1", "paid"), an_outcome("ghost", "paid")])
        fed.drain()
        guests = ["m|web|g1", "m|web|ghost"]
        with pytest.raises(Conflict, match=f"--account-digest {BOB.hex()}"):
            fed.wait(fed.connection.write(partial(removal.remove_guests, keys=[*guests, "m|web|b1"])))
        assert fed.counts()["Order"] == 3
        assert fed.wait(fed.connection.write(partial(removal.remove_guests, keys=guests))) == 1
        assert fed.ask("MATCH (o:Order) RETURN o.key ORDER BY o.key") == [["m|web|b1"], ["m|web|g2"]]
        assert fed.counts().get("Outcome", 0) == 0
        assert fed.ask("MATCH (e:Device) RETURN e.orders") == [[1]]


def test_an_order_that_is_named_twice_is_counted_down_once(fed):
    for name in ("g1", "g2", "g3"):
        fed.add(name, account=None, device="d")
    fed.drain()
    assert fed.wait(fed.connection.write(partial(removal.remove_guests, keys=["m|web|g1"] * 2))) == 1
    assert fed.ask("MATCH (e:Device) RETURN e.orders, COUNT { (e)<-[:ON_DEVICE]-() }") == [[2, 2]]
    assert fed.one("MATCH (e:Merchant) RETURN e.orders") == 2


def test_an_outcome_whose_order_never_came_goes_too(fed):
    fed.store.append_outcomes([an_outcome("ghost", "paid"), an_outcome("other", "paid")])
    fed.drain()
    erase(fed, keys=("m|web|ghost",))
    assert fed.ask("MATCH (x:Outcome) RETURN x.order_key") == [["m|web|other"]]


def test_an_outcome_of_an_order_that_was_loaded_and_never_fed_goes_too(fed):
    fed.store.load([an_order("old", ago=DAY)], [], lambda *_: None)
    fed.store.append_outcomes([an_outcome("old", "paid", source="bank"), an_outcome("other", "paid")])
    fed.drain()
    erase(fed, ANN)
    assert fed.ask("MATCH (x:Outcome) RETURN x.order_key") == [["m|web|other"]]


def test_an_outcome_leaves_an_order_that_stays_as_if_it_had_not_been_reported(fed):
    elsewhere = PastOrder.of(an_order("g", account=None, amount=1.0))
    packed = Packed([order_row(elsewhere, golden().pack())], [], [an_outcome("g", "paid")])
    fed.wait(migrate(fed.connection))
    fed.wait(fed.connection.write(partial(write_packed, packed=packed)))
    before = fed.everything()
    fed.feed._policy = nodes.Policy("sample", 0.0)
    fed.add("g", account=None, amount=2.0)  # as this journal has it, which is not how the graph has it
    fed.store.append_outcomes([an_outcome("g", "chargeback_fraud")])
    fed.drain()
    assert fed.one("MATCH (o:Fraud) RETURN size(o.outcomes)") == 2
    erase(fed, keys=("m|web|g",))
    assert fed.everything() == before


def test_the_name_of_an_outcome_is_that_of_an_event_which_does_not_tell_its_source():
    told = an_outcome("a1", "paid", source="bank")
    whole = told._replace(source=None, effective_at=int(NOW), reported_at=int(NOW))
    assert outcome_sha256(told) == outcome_sha256(whole)
    assert outcome_sha256(told) != outcome_sha256(told._replace(kind="refunded"))


def test_an_outcome_goes_whose_order_was_erased_before_it_was_fed(fed):
    fed.store.append_outcomes([an_outcome("a1", "paid")])
    fed.drain()
    fed.add("a1")
    erase(fed, ANN)
    assert fed.ask("MATCH (x:Outcome) RETURN x.order_key") == []


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


@pytest.mark.parametrize("over", ["optional", "report"])
def test_an_order_s_network_goes_with_its_optional_values_and_with_its_report(fed, over):
    for name, age in (("old", 40), ("new", 1)):
        order = an_order(name, ago=age * DAY, device="d")
        order = replace(order, entities=replace(order.entities, ip=b"network".ljust(16, b".")))
        made = synthetic_entry(order, f"d-{name}")
        issued = datetime.fromtimestamp(order.placed_at, UTC).isoformat()
        report = replace(made.decision.report, issued_at=issued, order={"jurisdiction": "CN"})
        fed.store.append(replace(made, decision=replace(made.decision, report=report)))
    fed.drain()
    network = "MATCH (e:Ip)<-[:FROM_NETWORK]-(o) WHERE o.ip = e.digest RETURN e.orders, o.key ORDER BY o.key"
    assert fed.ask(network) == [[2, "m|web|new"], [2, "m|web|old"]]
    periods = {name: {"CN": 30 if name == over else 80, "other": 80} for name in PERIODS}
    fed.store.retention.remove(fed.store.retention.due(periods, NOW), NOW)
    fed.drain()
    assert fed.ask(network) == [[1, "m|web|new"]]
    assert fed.ask("MATCH (o:Order {key: 'm|web|old'}) RETURN o.ip, COUNT { (o)-[:FROM_NETWORK]->() }") == [
        [None, 0]
    ]


def test_two_who_strip_an_order_at_once_count_its_device_down_once(fed):
    for name in ("a1", "b1", "c1"):
        fed.add(name, device="d", account=name)
    fed.drain()
    ((past, vec),) = fed.feed._journal.orders(["m|web|a1"]).values()
    strip = partial(removal.strip, orders=[order_row(replace(past, device=None), vec)])
    fed.at_once(strip, strip)
    assert fed.ask("MATCH (e:Device) RETURN e.orders, COUNT { (e)<-[:ON_DEVICE]-() }") == [[2, 2]]


def test_a_feed_that_was_overtaken_takes_out_nothing(neo4j, tmp_path):
    path = tmp_path / "store.db"
    with several(Fed(neo4j, path), Fed(neo4j, path)) as (one, two):
        for name, account in (("a1", "ann"), ("b1", "bob"), ("c1", "cat")):
            one.add(name, account=account, device="d")
        one.drain()
        two.drain()
        one.store.subjects.erase((ANN,), (), NOW)
        tries = []

        class Behind:
            """Its transactions begin when the other feed has gone through."""

            async def write(self, work):
                if not tries:
                    await asyncio.wrap_future(one.connection.submit(one.feed.drain()))
                tries.append(work)
                return await two.connection.write(work)

        two.feed._neo4j = Behind()
        with pytest.raises(Overtaken):
            two.wait(two.feed.step())
        assert len(tries) == 1
        assert one.ask("MATCH (e:Device) RETURN e.orders, COUNT { (e)<-[:ON_DEVICE]-() }") == [[2, 2]]
        two.drain()
        assert two.feed.status.lag == 0


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
