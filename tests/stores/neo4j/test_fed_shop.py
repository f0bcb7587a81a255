"""A shop's decisions go through the feed, and from Neo4j to training, to a second score, and to analysts."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from riskgraph import bootstrap
from riskgraph.core.order import JURISDICTIONS, order_key
from riskgraph.core.outcome import Outcome
from riskgraph.core.table import NODE_PURPOSES
from riskgraph.eval.worlds import World
from riskgraph.pipeline import decide
from riskgraph.reviewing import Reviewer
from riskgraph.settings import Settings

pytest.importorskip("pyarrow")

ORDER = json.loads((Path(__file__).parents[2] / "golden/order.json").read_text("utf-8"))
GIVEN = ORDER["consent"]["purposes"]
KEYS = [order_key("m-17", "own_web", f"S-{number}") for number in range(5)]
# By order: what its shopper answered, and more.
CHANGES = [
    {},
    {"consent": {"purposes": GIVEN | {"model_training": False}}},
    {"consent": {}, "signals": {}, "absent": {}},
    {"jurisdiction": "EU", "phase": "post_auth"},
    {"consent": {"purposes": GIVEN, "objected": True}},
]


def body_of(number, **changes):
    body = deepcopy(ORDER) | {"order_id": f"S-{number}"} | changes
    body["entities"]["account"] = f"person-{number}"
    return body


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A home with five decided orders, a further attempt of the first, and outcomes; ids of decisions."""
    settings = Settings(home=tmp_path_factory.mktemp("shop") / "home", deadline_ms=60_000)
    service = bootstrap.open_service(settings, bootstrap.demo_profile())

    def send(body, key):
        work = decide(body, service.line, key_id="k", idempotency_key=key, body_sha256="0" * 64)
        return json.loads(asyncio.run(work).body)["decision_id"]

    try:
        ids = [send(body_of(number, **change), f"k{number}") for number, change in enumerate(CHANGES)]
        ids.append(send(body_of(0, attempt=2, signals={"B093": 4000}, absent={}), "again"))
        when = [1_800_000_000.0 + number for number in range(2)]
        service.line.ledger.append_outcomes(
            [Outcome("o", KEYS[0], "paid", when[0], when[0]),
             Outcome("o", KEYS[3], "chargeback_fraud", when[1], when[1], "unauthorised")]
        )  # fmt: skip
    finally:
        service.close()
    return settings, ids


@pytest.fixture
def beside(command_line, shop):
    return command_line(shop[0].home)


def test_an_exported_world_is_the_orders_as_they_were_decided(beside, shop, tmp_path):
    settings, _ = shop
    beside("neo4j", "drain")
    told = beside("neo4j", "export", "--out", tmp_path / "back", "--json").json()
    assert (told["orders"], told["outcomes"], told["provenance"]) == (5, 2, "simulated")
    assert told["left_out"] == {"unknown_consent": 0, "same_number": 0}
    world = World.open(tmp_path / "back")
    table = world.table(None, bootstrap.open_door(settings))
    table = table.take(np.argsort(table.order_id.astype(str)))
    with bootstrap.open_keys(settings) as store:
        graphs = [store.subgraph(key) for key in KEYS]
    assert np.array_equal(table.components, np.stack([graph.components for graph in graphs]), equal_nan=True)
    assert np.array_equal(table.states, np.stack([graph.states for graph in graphs]))
    assert table.training_consent.tolist() == [True, False, False, True, True]
    assert table.objected.tolist() == [False, False, False, False, True]
    assert table.purposes[:, NODE_PURPOSES.index("location")].tolist() == [0, 0, -1, 0, 0]
    assert [JURISDICTIONS[code] for code in table.jurisdiction] == ["CN", "CN", "CN", "EU", "CN"]
    assert table.availability.tolist() == [
        "pre_auth/front_end", "pre_auth/front_end", "pre_auth/no_front_end", "post_auth/front_end",
        "pre_auth/front_end",
    ]  # fmt: skip
    found = {(o.order_key, o.outcome_id, o.kind, o.reason, o.effective_at) for o in world.outcomes()}
    assert found == {
        (KEYS[0], "o", "paid", None, 1_800_000_000.0),
        (KEYS[3], "o", "chargeback_fraud", "unauthorised", 1_800_000_001.0),
    }


def test_of_two_channels_with_one_order_number_the_earlier_order_is_exported(beside, write, tmp_path):
    beside("neo4j", "drain")
    changed = "o { .*, key: $new, at: o.at + 1 }"
    copy = f"MATCH (o:Order {{key: $key}}) CREATE (n:Order {{key: $new}}) SET n = {changed}"
    write(copy, key=KEYS[0], new="m-17|app|S-0")
    write("MATCH (o:Order {key: $key}) REMOVE o.jurisdiction", key=KEYS[1])
    told = beside("neo4j", "export", "--out", tmp_path / "back", "--json").json()
    assert (told["orders"], told["left_out"]) == (4, {"unknown_consent": 1, "same_number": 1})
    assert {outcome.order_key for outcome in World.open(tmp_path / "back").outcomes()} == {KEYS[0], KEYS[3]}


def test_orders_are_scored_again_from_their_nodes_and_further_attempts_are_told_apart(beside, shop, write):
    _, ids = shop
    beside("neo4j", "drain", nodes="all")
    told = beside("neo4j", "check", "--json").json()
    assert (told["checked"], told["without_nodes"], told["first_that_differ"]) == (5, 0, [])
    assert (told["decisions"]["same_score"], told["decisions"]["of_another_subgraph"]) == (5, 1)
    (row,) = beside("neo4j", "check", KEYS[0], "--json").json()["orders"]
    results = {
        made["decision"]: (made["score"] == row["probability"], made["found"]) for made in row["decisions"]
    }
    assert results[ids[0]] == (True, "same_score")
    assert results[ids[5]][1] == "of_another_subgraph"
    assert f"{row['probability']:.6f}" in beside("neo4j", "check", KEYS[0]).out.decode()
    write("MATCH (d:Decision {id: $id}) SET d.score = d.score + 0.1", id=ids[1])
    found = beside("neo4j", "check")
    assert found.code == 3
    assert f"0 in nodes, 0 in edges, 1 in score; the first is {KEYS[1]}" in found.error
    write("MATCH (d:Decision {id: $id}) SET d.model = 'an earlier one'", id=ids[1])
    assert beside("neo4j", "check", "--json").json()["decisions"]["of_another_model"] == 1
    assert "no order m|w|none" in beside("neo4j", "check", "m|w|none").error


def test_an_order_from_the_graph_has_contributions_to_the_very_values_that_are_there(beside, shop, write):
    _, ids = shop
    beside("neo4j", "drain")

    def behavior(*arguments):
        data = beside("graph", "order", *arguments, "--json").json()
        return {n["id"]: n for n in data["nodes"] if n["label"] == "Behavior"}

    first, again = behavior(ids[0]), behavior(ids[5])
    assert first["B093"]["phi"] != again["B093"]["phi"]
    assert behavior(KEYS[0]) == again  # the store's newest decision, with its own values
    assert [behavior(asked, "--from", "neo4j") for asked in (KEYS[0], ids[0], ids[5])] == [first] * 3
    write(
        "MATCH (o:Order {key: $other}), (p:Order {key: $key}) SET p.vec = o.vec", key=KEYS[0], other=KEYS[2]
    )
    assert not any("phi" in node for node in behavior(KEYS[0], "--from", "neo4j").values())


def test_an_order_that_was_loaded_before_its_decision_is_neither_exported_nor_compared(beside, write):
    write("CREATE (:Order {key: $key, day: 1, at: 1.0})", key=KEYS[0])
    beside("neo4j", "drain")
    assert write("MATCH (d:Decision)-[:ABOUT]->({key: $key}) RETURN d.first AS f", key=KEYS[0]).records == [
        [None], [None]
    ]  # fmt: skip


def test_an_objection_at_a_later_attempt_reaches_the_order(beside, shop, write, tmp_path):
    write("CREATE (:Order {key: $key, day: 1, at: 1.0})", key=KEYS[4])
    beside("neo4j", "drain")
    (order,) = write("MATCH (o:Order {key: $key}) RETURN o { .* } AS o", key=KEYS[4]).records
    assert order["o"]["objected"] is True
    assert (order["o"]["jurisdiction"], order["o"]["granted"]) == ("CN", [])


def test_a_rebuild_makes_what_the_policy_chooses_of_decided_and_of_loaded_orders(beside, shop, write):
    beside("neo4j", "drain", nodes="all")
    vec = "MATCH (o:Order {key: $key}) CREATE (n:Order {key: $new, day: 1, at: 1.0, vec: o.vec})"
    write(vec, key=KEYS[0], new="m|w|honest")
    write(vec + " SET n:Fraud", key=KEYS[0], new="m|w|fraud")
    write("MATCH (d:Decision {id: $id}) SET d.decided = 'review'", id=shop[1][1])
    told = beside("neo4j", "rebuild", "--json", nodes="flagged").json()
    shown = (
        "MATCH (o:Order) WHERE o.nodes AND COUNT { (o)-[:HAS]->() } = 137 RETURN o.key AS key ORDER BY key"
    )
    verdicts = write(
        "MATCH (d:Decision)-[:ABOUT]->(o) RETURN o.key AS key, coalesce(d.decided, d.verdict) AS v"
    )
    flagged = {row["key"] for row in verdicts.records if row["v"] != "accept"} | {"m|w|fraud"}
    assert KEYS[1] in flagged
    assert [row["key"] for row in write(shown).records] == sorted(flagged)
    assert told == {"orders": 7, "materialised": len(flagged), "had_nodes": 5}
    assert beside("neo4j", "rebuild", "--json", nodes="all").json()["materialised"] == 7


def test_a_rebuild_that_was_cut_off_is_repeated(beside, write):
    beside("neo4j", "drain", nodes="all")
    write("MATCH (o:Order {key: $key})-[:HAS]->(b) REMOVE o.nodes DETACH DELETE b", key=KEYS[2])
    assert beside("neo4j", "rebuild", "--json", nodes="all").json() == {
        "orders": 5, "materialised": 5, "had_nodes": 4
    }  # fmt: skip


def test_a_drain_says_what_it_wrote_and_a_second_one_writes_nothing(beside):
    first = beside("neo4j", "drain", "--json", nodes="all").json()
    assert (first["orders"], first["decisions"], first["outcomes"], first["lag"]) == (5, 6, 2, 0)
    assert first["materialised"] == 5
    again = beside("neo4j", "drain", "--json", nodes="all").json()
    assert (again["orders"], again["decisions"], again["materialised"]) == (0, 0, 0)


def test_the_reviews_query_shows_what_a_person_changed(beside, shop):
    settings, ids = shop
    profile = bootstrap.demo_profile()
    with bootstrap.open_keys(settings) as store:
        before = store.read_record(ids[3]).verdict
        reviews = bootstrap.open_reviews(settings, store, profile)
        ruling = {
            "step": "decide", "outcome": "overturn", "verdict": "reject" if before == "accept" else "accept",
            "reason": "own address", "evidence": ["identity checked by phone", "bill of the same address"],
        }  # fmt: skip
        reviews.contest(ids[3], None, {"wish": "person", "lang": "en"}, "merchant")
        for step in ({"step": "claim"}, ruling):
            reviews.step(ids[3], Reviewer("k", "Li Na", None), step)
    beside("neo4j", "drain")
    (row,) = beside("neo4j", "query", "reviews", "--json").json()
    assert (row["decision"], row["order"]) == (ids[3], KEYS[3])
    assert (row["decided"], row["stands"]) == (before, ruling["verdict"])
    assert row["outcomes"] == ["chargeback_fraud"]
