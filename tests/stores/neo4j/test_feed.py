"""What the journal records reaches the graph exactly once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import closing
from dataclasses import replace
from functools import partial
from hashlib import sha256

import pytest

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.order import Consent
from riskgraph.core.past import PastOrder
from riskgraph.core.verdict import Verdict
from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_entry
from riskgraph.stores.neo4j.feed import FIRST_PAUSE_S, JOIN_S, LOOK_S
from riskgraph.stores.neo4j.rows import Packed, join_waiting, order_row, past_of, write_packed
from riskgraph.stores.neo4j.schema import migrate
from riskgraph.stores.rows import TRAINING_FACTS
from tests.core.test_subgraph import golden
from tests.stores.builders import HOUR, NOW, an_order, an_outcome, attempt, digest
from tests.stores.neo4j.fed import SECRETS, WAIT_S, Fed, several


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


OF_ORDER = "MATCH (o:Order {key: $key}) RETURN o.facts, o.vec, o.outcomes"


@pytest.fixture
def fed(neo4j, tmp_path):
    with closing(Fed(neo4j, tmp_path / "store.db")) as opened:
        yield opened


def some_orders(fed, count=4):
    for number in range(count):
        fed.add(f"a{number}", ago=number * HOUR, device="d", card=f"c{number % 2}", address="x", phone="p",
                bands=tuple(range(16)))  # fmt: skip
    fed.store.append_outcomes([an_outcome("a0", "chargeback_fraud"), an_outcome("a1", "paid")])


class LosesAnswers:
    """Writes are committed, and some of their acknowledgements are lost."""

    def __init__(self, connection, lost):
        self.connection, self.lost, self.writes = connection, lost, 0

    async def write(self, work):
        done = await self.connection.write(work)
        self.writes += 1
        if self.writes in self.lost:
            raise ConnectionResetError("the answer was lost")
        return done


def test_an_order_is_there_with_its_facts_its_subgraph_and_its_decision(fed):
    made = fed.add("a1", device="d")
    fed.drain()
    ((facts, vec, outcomes),) = fed.ask(OF_ORDER, key="m|web|a1")
    past, kept = past_of(facts, outcomes), PastOrder.of(made.order)
    assert [getattr(past, name) for name in ("key", "at", "account", "device", "amount")] == [
        getattr(kept, name) for name in ("key", "at", "account", "device", "amount")
    ]
    assert bytes(vec) == made.subgraph.pack()
    assert fed.ask("MATCH (d:Decision)-[:ABOUT]->(o:Order) RETURN d.id, d.verdict, d.score, o.key") == [
        ["d-a1", "accept", made.decision.score, "m|web|a1"]
    ]


def test_a_further_attempt_adds_a_decision_and_no_order(fed):
    first = fed.add("a1", device="d")
    again = attempt(first.order, 2, HOUR)
    fed.store.append(synthetic_entry(again, "d-again"))
    fed.drain()
    assert fed.one("MATCH (o:Order) RETURN count(o)") == 1
    assert fed.one("MATCH (d:Decision)-[:ABOUT]->(:Order) RETURN count(d)") == 2
    assert fed.ask("MATCH (e:Device) RETURN e.orders, COUNT { (e)<--() }") == [[1, 1]]


def test_entities_count_their_orders_and_know_their_newest(fed):
    some_orders(fed)
    fed.drain()
    assert fed.ask("MATCH (e:Device)<-[r:ON_DEVICE]-() RETURN e.digest, e.orders, e.last_seen, count(r)") == [
        [digest("device", "d").hex(), 4, NOW, 4]
    ]
    assert fed.ask("MATCH (e:Card) RETURN e.orders ORDER BY e.digest") == [[2], [2]]
    assert fed.one("MATCH (e:Address) WHERE e.part_0 IS NOT NULL RETURN e.bands") is not None
    assert fed.one("MATCH (e:Merchant {id: 'm'}) RETURN e.orders") == 4


def test_an_ip_network_is_an_entity_too(fed):
    order = an_order("a1")
    entities = replace(order.entities, ip=b"network".ljust(16, b"."))
    fed.store.append(synthetic_entry(replace(order, entities=entities), "d-a1"))
    fed.drain()
    assert fed.ask("MATCH (e:Ip)<-[:FROM_NETWORK]-(o) RETURN e.digest, e.orders, o.key") == [
        [b"network".ljust(16, b".").hex(), 1, "m|web|a1"]
    ]


def test_an_outcome_is_beside_its_order_whichever_came_first(fed):
    early = an_outcome("a1", "confirmed_fraud", source="bank", reason="quality")
    fed.store.append_outcomes([early])
    fed.drain()
    assert fed.one("MATCH (x:Outcome) WHERE NOT (x)-[:OF]->() RETURN x.kind") == "confirmed_fraud"
    fed.add("a1")
    fed.drain()
    late = an_outcome("a1", "paid")
    fed.store.append_outcomes([late])
    fed.drain()
    ((facts, _, outcomes),) = fed.ask(OF_ORDER, key="m|web|a1")
    assert past_of(facts, outcomes).outcomes == [early, late]
    assert fed.one("MATCH (x:Outcome)-[:OF]->(:Order:Fraud) RETURN count(x)") == 2


def missed_each_other(fed, outcome):
    """An order and its outcome as two services leave them whose transactions did not see each other."""
    packed = Packed([order_row(PastOrder.of(an_order("a1")), golden().pack())], [], [outcome])
    fed.wait(fed.connection.write(partial(write_packed, packed=packed)))
    fed.ask("MATCH (:Outcome)-[r:OF]->(o) DELETE r SET o.outcomes = null REMOVE o:Fraud")


def test_an_outcome_and_its_order_that_missed_each_other_come_together(neo4j, tmp_path):
    clock = Clock()
    with several(Fed(neo4j, tmp_path / "a.db", clock=clock)) as (fed,):
        fed.drain()
        outcome = an_outcome("a1", "confirmed_fraud", source="bank")
        missed_each_other(fed, outcome)
        clock.now += JOIN_S
        fed.drain()
        assert fed.one("MATCH (x:Outcome)-[:OF]->(o:Order:Fraud) RETURN count(x)") == 1
        ((facts, _, outcomes),) = fed.ask(OF_ORDER, key="m|web|a1")
        assert past_of(facts, outcomes).outcomes == [outcome]


def test_two_who_bring_outcomes_to_their_orders_at_once_do_so_once(fed):
    fed.wait(migrate(fed.connection))
    missed_each_other(fed, an_outcome("a1", "paid"))
    assert sorted(fed.at_once(join_waiting, join_waiting)) == [0, 1]
    assert fed.ask("MATCH (o:Order)<-[r:OF]-() RETURN size(o.outcomes), count(r)") == [[1, 1]]


def test_a_hub_has_five_hundred_edges_and_counts_on(fed):
    for number in range(HUB_ORDERS + 7):
        fed.store.submit(synthetic_entry(an_order(f"h{number}", account=None, device="hub"), f"d-{number}"))
    fed.drain()
    assert fed.ask("MATCH (e:Device) RETURN e.orders, e.hub, COUNT { (e)<-[:ON_DEVICE]-() }") == [
        [HUB_ORDERS + 7, True, HUB_ORDERS]
    ]
    (more,) = fed.ask("MATCH (e:Merchant) RETURN e.orders, e.hub, COUNT { (e)<-[:AT_MERCHANT]-() }")
    assert more == [HUB_ORDERS + 7, True, HUB_ORDERS]


def test_a_closed_review_changes_what_a_decision_says(fed):
    fed.add("a1")
    fed.drain()
    payload = '{"order_key":"m|web|a1","verdict":"reject","action":"block","mode":"enforce"}'
    columns = "event_id, type, v, at, decision_id, payload"
    fed.store._writer.call(
        lambda connection, _: connection.execute(
            f"INSERT INTO outbox({columns}) VALUES('review.closed:1', 'review.closed', 1, 0, 'd-a1', ?)",
            (payload.encode(),),
        )
    ).result()
    fed.drain()
    assert fed.ask("MATCH (d:Decision) RETURN d.verdict, d.action") == [["reject", "block"]]


KNOWN_OF = "MATCH (d:Decision)-[:ABOUT]->(o:Order) RETURN d.id, d.first, o.jurisdiction, o.granted"


def test_what_an_earlier_release_recorded_says_nothing_of_consent(fed):
    fed.add("old", consent=Consent({"model_training": True}))
    bare = "json_remove(CAST(payload AS TEXT), " + ", ".join(
        f"'$.{name}'" for name in (*TRAINING_FACTS, "first", "model_sha256")
    ) + ")"  # fmt: skip
    fed.store._writer.call(
        lambda connection, _: connection.execute(f"UPDATE outbox SET payload = CAST({bare} AS BLOB)")
    ).result()
    fed.add("new", consent=Consent({"model_training": True, "location": False}))
    fed.drain()
    assert sorted(fed.ask(KNOWN_OF)) == [
        ["d-new", True, "CN", ["model_training"]], ["d-old", None, None, None]
    ]  # fmt: skip


def test_an_order_that_the_history_knew_before_is_not_what_its_decision_was_made_from(fed):
    fed.store.load([an_order("a1")], [], lambda *_: None)
    fed.add("a1", golden(), consent=Consent({"model_training": True}))
    fed.drain()
    assert fed.ask(KNOWN_OF) == [["d-a1", None, None, None]]


# Rows, behavior nodes, and in between the place, which is read again after the loss.
@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_acknowledgement_repeats_nothing_and_loses_nothing(neo4j, tmp_path, lost):
    with several(Fed(neo4j, tmp_path / "store.db", "all")) as (fed,):
        fed.feed._neo4j = LosesAnswers(fed.connection, set())
        fed.drain()  # constraints are made; what is counted from here are writes of rows
        fed.feed._neo4j = LosesAnswers(fed.connection, {lost})
        some_orders(fed)
        with pytest.raises(ConnectionResetError):
            fed.drain()
        fed.drain()
        assert fed.counts()["Order"] == 4
        assert fed.counts()["Behavior"] == 4 * 137
        assert fed.one("MATCH (d:Decision)-[r:ABOUT]->() RETURN count(r)") == 4
        assert fed.ask("MATCH (e:Device) RETURN e.orders, COUNT { (e)<--() }") == [[4, 4]]
        assert fed.one("MATCH (:Outcome)-[r:OF]->() RETURN count(r)") == 2
        assert fed.feed.status.lag == 0


def test_two_feeds_of_one_journal_write_everything_once(neo4j, tmp_path):
    path = tmp_path / "store.db"
    with several(Fed(neo4j, path, "all"), Fed(neo4j, path, "all")) as (one, two):
        one.drain()
        two.drain()
        some_orders(one, 30)
        for running in [fed.connection.submit(fed.feed.drain()) for fed in (one, two)]:
            running.result(WAIT_S)
        assert one.counts()["Order"] == 30
        assert one.counts()["Behavior"] == 30 * 137
        assert one.ask("MATCH (e:Device) RETURN e.orders, COUNT { (e)<--() }") == [[30, 30]]
        assert one.ask("MATCH (f:Feed) RETURN count(f), max(f.packed)") == [
            [1, two.store.events()[-1]["seq"]]
        ]


def test_a_drain_that_a_running_service_overtakes_goes_on_from_where_that_one_came(neo4j, tmp_path):
    path = tmp_path / "store.db"
    with several(Fed(neo4j, path), Fed(neo4j, path)) as (service, drain):
        service.drain()
        drain.drain()
        some_orders(service)
        behind = []

        class Behind:
            """Its first transaction begins when the other feed has gone through."""

            async def write(self, work):
                if not behind:
                    await asyncio.wrap_future(service.connection.submit(service.feed.drain()))
                    behind.append(drain.feed.status.lag)
                return await drain.connection.write(work)

        drain.feed._neo4j = Behind()
        drain.drain()
        assert behind[0] > 0
        assert (drain.feed.status.orders, drain.feed.status.lag, service.feed.status.orders) == (0, 0, 4)


def test_orders_that_two_services_share_are_there_once(neo4j, tmp_path):
    with several(Fed(neo4j, tmp_path / "a.db"), Fed(neo4j, tmp_path / "b.db")) as (one, two):
        for fed in (one, two):
            fed.add("same", device="d")
        one.add("mine", device="d")
        two.add("theirs", device="d")
        one.drain()
        two.drain()
        assert one.ask("MATCH (e:Device) RETURN e.orders, COUNT { (e)<--() }") == [[3, 3]]
        assert one.one("MATCH (f:Feed) RETURN count(f)") == 2


def test_a_journal_that_was_put_back_is_fed_anew_and_says_so(neo4j, tmp_path):
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    with several(Fed(neo4j, path)) as (fed,):
        fed.add("kept")
        fed.drain()
    shutil.copy(path, backup)
    with several(Fed(neo4j, path)) as (fed,):
        fed.add("lost")
        fed.drain()
        name = fed.feed.status.name
    for leftover in tmp_path.glob("store.db*"):
        leftover.unlink()
    shutil.copy(backup, path)
    with several(Fed(neo4j, path)) as (fed,):
        # As many events as the graph has seen, or more, and others.
        fed.add("other")
        fed.add("another")
        fed.drain()
        keys = [key for (key,) in fed.ask("MATCH (o:Order) RETURN o.key ORDER BY o.key")]
        assert keys == ["m|web|another", "m|web|kept", "m|web|lost", "m|web|other"]
        assert "put back" in fed.feed.status.notice
        assert fed.feed.status.name != name
        assert fed.ask("MATCH (e:Account) RETURN e.orders, COUNT { (e)<--() }") == [[4, 4]]


def test_a_journal_put_back_without_a_further_event_says_so_too(neo4j, tmp_path):
    path = tmp_path / "store.db"
    with several(Fed(neo4j, path)) as (fed,):
        fed.drain()
    shutil.copy(path, tmp_path / "backup.db")
    with several(Fed(neo4j, path)) as (fed,):
        fed.add("lost")
        fed.drain()
    shutil.copy(tmp_path / "backup.db", path)
    with several(Fed(neo4j, path)) as (fed,):
        fed.drain()
        assert "put back" in fed.feed.status.notice


def test_while_the_server_is_away_the_feed_waits_longer_and_longer_and_then_drains(neo4j, tmp_path):
    class Away:
        there, tries = False, 0

        async def write(self, work):
            self.tries += 1
            if not self.there:
                raise ConnectionRefusedError("nobody listens")
            return await connection.write(work)

    server = Away()
    with several(Fed(neo4j, tmp_path / "store.db", neo4j=server, jitter=lambda: 1.0)) as (fed,):
        connection, feed, pauses = fed.connection, fed.feed, []
        some_orders(fed)

        async def wait(seconds):
            pauses.append(seconds)
            assert feed.status.failures == len(pauses) or server.there
            if len(pauses) == 9:
                server.there = True
            if server.there and feed.status.last and not feed.status.lag:
                feed.stop()

        feed._wait = wait
        fed.wait(feed.run())
        assert pauses[:8] == [min(30.0, FIRST_PAUSE_S * 2**n) for n in range(8)]
        assert (feed.status.failures, feed.status.error, feed.status.orders) == (0, "", 4)
        assert not feed.status.running


def test_an_outage_is_told_while_it_lasts(fed):
    class Away:
        async def write(self, work):
            raise ConnectionRefusedError("nobody listens")

    fed.feed._neo4j = Away()

    async def wait(seconds):
        fed.feed.stop()

    fed.feed._wait = wait
    fed.wait(fed.feed.run())
    assert fed.feed.status.error == "ConnectionRefusedError"
    assert fed.feed.status.failures == 1


def test_what_a_failure_tells_names_no_order(fed, caplog):
    fed.add("secret")
    fed.drain()
    connection = fed.connection

    async def twice(tx):
        await (await tx.run("CREATE (:Order {key: 'm|web|secret'})")).consume()

    class Refuses:
        async def write(self, work):
            await connection.write(twice)

    async def wait(seconds):
        fed.feed.stop()

    fed.feed._neo4j, fed.feed._wait, fed.feed._placed = Refuses(), wait, False
    fed.wait(fed.feed.run())
    assert fed.feed.status.error == "ConstraintError: Neo.ClientError.Schema.ConstraintValidationFailed"
    assert "wait in the journal" in caplog.text
    assert "secret" not in caplog.text


def test_a_newer_graph_is_told_with_what_to_do(fed):
    async def wait(seconds):
        fed.feed.stop()

    fed.drain()
    fed.ask("MATCH (s:Schema) SET s.version = 99")
    fed.feed._wait, fed.feed._placed = wait, False
    fed.wait(fed.feed.run())
    assert "upgrade riskgraph" in fed.feed.status.error


def test_a_graph_that_was_emptied_under_an_idle_feed_is_made_again_with_its_constraints(neo4j, tmp_path):
    clock = Clock()
    with several(Fed(neo4j, tmp_path / "store.db", clock=clock)) as (fed,):
        some_orders(fed)
        fed.drain()
        before = fed.everything()
        fed.ask("MATCH (n) WHERE NOT n:RiskgraphTest DETACH DELETE n")
        fed.ask("DROP CONSTRAINT order_key")
        fed.drain()
        assert fed.counts() == {}
        clock.now += LOOK_S
        fed.drain()
        assert fed.everything() == before
        assert fed.one("SHOW CONSTRAINTS YIELD name WHERE name = 'order_key' RETURN count(*)") == 1


def test_a_backup_of_the_graph_that_was_put_back_is_brought_up_to_date(fed):
    fed.add("a1")
    fed.drain()
    (place,) = fed.ask("MATCH (f:Feed) RETURN properties(f)")
    fed.add("b1", account="bob")
    fed.store.subjects.erase((digest("account", "ann"),), (), NOW)
    fed.drain()
    after = fed.everything()
    fed.ask("MATCH (f:Feed) SET f = $place", place=place[0])
    fed.ask("MATCH (o:Order) OPTIONAL MATCH (d)-[:ABOUT]->(o) DETACH DELETE o, d")
    fed.ask("MATCH (e) WHERE e:Account OR e:Merchant DELETE e")
    fed.ask(
        "CREATE (:Order {key: 'm|web|a1', account: $a, at: 0.0, day: 0})", a=digest("account", "ann").hex()
    )
    fed.ask("CREATE (:Account {digest: $a, erasure_key: $k, orders: 1})", a=digest("account", "ann").hex(),
            k=sha256(digest("account", "ann")).hexdigest())  # fmt: skip
    fed.wait(fed.feed.look_again())
    fed.drain()
    assert fed.everything() == after


def test_flagged_orders_alone_have_behavior_nodes(fed):
    fed.add("fine")
    held = synthetic_entry(an_order("held"), "d-held")
    decision = replace(held.decision, verdict=Verdict.REVIEW)
    fed.store.append(replace(held, decision=decision))
    fed.drain()
    assert fed.ask("MATCH (o:Order) WHERE o.nodes RETURN o.key, COUNT { (o)-[:HAS]->() }") == [
        ["m|web|held", 137]
    ]


def test_what_was_erased_before_it_was_fed_never_arrives(fed):
    fed.add("a1")
    fed.add("b1", account="bob")
    fed.store.subjects.erase((digest("account", "ann"),), (), NOW)
    fed.drain()
    assert fed.ask("MATCH (o:Order) RETURN o.key") == [["m|web|b1"]]
    assert fed.feed.status.lag == 0


def test_the_store_is_a_plain_one_for_who_opens_it_without_a_server(fed, tmp_path):
    fed.add("a1")
    fed.drain()
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)) as plain:
        assert plain.verify().problems == ()
        assert plain.subgraph("m|web|a1") is not None
