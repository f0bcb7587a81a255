"""Worlds into the graph and out of it, the nodes read back, the analysts' queries, at the command line."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from riskgraph import bootstrap
from riskgraph.core.links import short_name
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.eval.worlds import World
from riskgraph.settings import Settings
from riskgraph.stores.crash import synthetic_entry
from riskgraph.stores.neo4j.queries import queries
from tests.stores.builders import DAY, an_order, an_outcome
from tests.stores.model import decided
from tests.stores.test_reviews import CASE, claim, decide
from tests.support.cli import riskgraph

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("whole")
    told = riskgraph("simulate", "--orders", 400, "--out", home / "world", "--json", home=home / "home")
    assert told.code == 0, told.err
    return home / "world"


def door_of(world):
    return bootstrap.open_door(Settings(home=world.parent / "home"))


@pytest.fixture
def beside(command_line, world):
    """Runs a command beside an empty graph, with the key that the world is hashed with."""
    return command_line(world.parent / "home")


def test_a_load_that_is_repeated_adds_nothing(beside, world):
    first = beside("neo4j", "load", world, "--nodes", "none", "--json").json()
    assert first["new_orders"] == first["orders"] > 300
    again = beside("neo4j", "load", world, "--nodes", "none", "--json").json()
    assert (again["orders"], again["new_orders"], again["new_outcomes"]) == (first["orders"], 0, 0)
    held = beside("neo4j", "status", "--json").json()
    assert (held["orders"], held["outcomes"]) == (first["new_orders"], first["new_outcomes"])


def test_an_exported_world_gives_the_sandbox_the_same_table(beside, world, tmp_path):
    beside("neo4j", "load", world, "--nodes", "none")
    told = beside("neo4j", "export", "--out", tmp_path / "back", "--json").json()
    assert (told["provenance"], told["left_out"]) == ("simulated", {"unknown_consent": 0, "same_number": 0})
    refused = beside("world", "export", tmp_path / "back", "--ndjson", tmp_path / "lines")
    assert "packed" in refused.error
    door = door_of(world)
    there, back = (World.open(path).table(None, door) for path in (world, tmp_path / "back"))
    there, back = (t.take(np.argsort(t.order_id.astype(str))) for t in (there, back))
    for name in ("order_id", "placed_at", "states", "availability", "account", "device", "card", "address",
                 "label", "training_consent", "jurisdiction", "purposes", "objected"):  # fmt: skip
        assert np.array_equal(getattr(there, name), getattr(back, name)), name
    assert np.array_equal(there.components, back.components, equal_nan=True)


def test_simulated_orders_beside_a_merchants_are_exported_as_neither(beside, world, tmp_path):
    other = tmp_path / "merchant"
    beside("simulate", "--orders", 400, "--seed", 8, "--out", other, "--json").json()
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"provenance": "merchant"}))
    beside("neo4j", "load", other, "--nodes", "none")
    assert beside("neo4j", "export", "--out", tmp_path / "own", "--json").json()["provenance"] == "merchant"
    beside("neo4j", "load", world, "--nodes", "none")
    refused = beside("neo4j", "export", "--out", tmp_path / "both")
    assert refused.code == 2
    assert "are simulated" in refused.error
    assert sorted(path.name for path in tmp_path.iterdir() if "both" in path.name) == []


def test_nodes_that_were_read_back_equal_what_is_packed_and_a_changed_one_is_found(beside, world, write):
    beside("neo4j", "load", world, "--nodes", "sample:0.1")
    told = beside("neo4j", "check", "--json").json()
    assert told["checked"] > 10
    assert told["differ"] == {"nodes": 0, "edges": 0, "score": 0}
    write(
        "MATCH (b:Behavior {state: 'present'}) WITH b LIMIT 1 SET b.components = [x IN b.components | x + 1]"
    )
    found = beside("neo4j", "check", "--json")
    assert found.code == 3
    assert "1 in nodes, 0 in edges, 0 in score" in found.error


DAMAGES = [
    "DETACH DELETE b",
    "SET b.state = 'gone'",
    "REMOVE b.components",
    "SET b.components = [1.0, 2.0, 3.0]",
    "SET b.components = ['many']",
    "REMOVE b.id",
    "REMOVE o.vec",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_order_is_told_as_one_that_differs_and_the_others_are_checked(beside, write, damage):
    keys = ["m|w|1", "m|w|2"]
    create = "UNWIND $keys AS key CREATE (:Order {key: key, at: 1.0, day: 0, vec: $vec})"
    write(create, keys=keys, vec=OrderSubgraph.build({"B093": 4000.0}, {}).pack())
    beside("neo4j", "rebuild", nodes="all")
    assert beside("neo4j", "check", "--json").json()["first_that_differ"] == []
    write(f"MATCH (o:Order {{key: $key}})-[:HAS]->(b {{id: 'B093'}}) {damage}", key=keys[0])
    for arguments in ((), keys):
        found = beside("neo4j", "check", *arguments, "--json")
        assert found.code == 3
        told = json.loads(found.out)
        assert (told["checked"], told["differ"]["nodes"], told["first_that_differ"]) == (2, 1, keys[:1])


def during(monkeypatch, act):
    """Commands that show bars do this as soon as they begin to count."""

    @contextmanager
    def bars():
        left = [act]
        yield lambda *_: left and left.pop()()

    monkeypatch.setattr("riskgraph.commands.neo4j.progress_bars", bars)


def test_an_order_that_comes_during_an_export_is_no_order_that_is_left_out(
    beside, world, write, tmp_path, monkeypatch
):
    whole = beside("neo4j", "load", world, "--nodes", "none", "--json").json()
    newest = "MATCH (o:Order) WITH o ORDER BY o.day DESC LIMIT 1 "
    during(monkeypatch, lambda: write(newest + "CREATE (n:Order) SET n = o { .*, key: o.key + 'x' }"))
    told = beside("neo4j", "export", "--out", tmp_path / "back", "--json").json()
    assert told["orders"] == whole["orders"] + 1
    assert told["left_out"] == {"unknown_consent": 0, "same_number": 0}


def test_orders_that_are_erased_during_a_check_do_not_differ(beside, write, monkeypatch):
    create = "UNWIND ['m|w|1', 'm|w|2'] AS key CREATE (:Order {key: key, at: 1.0, day: 0, vec: $vec})"
    write(create, vec=OrderSubgraph.build({"B093": 4000.0}, {}).pack())
    beside("neo4j", "rebuild", nodes="all")
    during(monkeypatch, lambda: beside("neo4j", "erase", "m|w|1"))
    told = beside("neo4j", "check", "--json").json()
    assert (told["checked"], told["first_that_differ"]) == (1, [])


def test_a_load_says_how_many_of_its_orders_a_service_takes_out_for_their_age(
    beside, world, monkeypatch, caplog
):
    newest = max(order.placed_at for order in World.open(world).orders(door_of(world)))
    monkeypatch.setattr("riskgraph.graph_database.time.time", lambda: newest + 399 * 86_400)
    told = beside("neo4j", "load", world, "--nodes", "none", "--json")
    over = beside("neo4j", "retain", "--dry-run", "--json").json()["orders"]
    assert 0 < over == told.json()["over_days"] < told.json()["orders"]
    assert f"{over} orders were placed over 400 days ago" in caplog.text


def test_retention_says_first_and_then_does(beside, world):
    beside("neo4j", "load", world, "--nodes", "none")
    everything = beside("neo4j", "retain", "--days", 1, "--dry-run", "--json").json()["orders"]
    assert beside("neo4j", "status", "--json").json()["orders"] == everything > 0
    assert beside("neo4j", "retain", "--days", 1, "--json").json()["orders"] == everything
    assert beside("neo4j", "status", "--json").json()["orders"] == 0


def test_each_query_runs_and_a_ring_over_a_shared_card_is_found(beside, world, write):
    beside("neo4j", "load", world, "--nodes", "sample:0.1")
    write(
        "CREATE (:Account {digest: 'aa', orders: 1})<-[:PLACED_BY]-(:Order {key: 'm|w|1', at: 1.0, day: 0})"
        "-[:PAID_WITH]->(c:Card {digest: 'cc', hub: false}) CREATE (:Account {digest: 'bb', orders: 1})"
        "<-[:PLACED_BY]-(:Order:Fraud {key: 'm|w|2', at: 2.0, day: 0, card: 'cc'})-[:PAID_WITH]->(c)"
    )
    given = {"order": "m|w|1", "digest": "cc", "card": "B093<1e9:1"}
    rows = {}
    for name, query in queries().items():
        needed = [("--param", f"{p.name}={given[p.name]}") for p in query.parameters if p.default is None]
        rows[name] = beside("neo4j", "query", name, *sum(needed, ()), "--json").json()
    assert [(row["account"], row["over"], row["fraud"]) for row in rows["gang_ring"]] == [
        ("bb", ["PAID_WITH"], 1)
    ]
    assert rows["path_to_fraud"][0]["way"] == ["m|w|1", "Card cc", "m|w|2"]
    assert [row["order"] for row in rows["behind"]] == ["m|w|2"]
    assert rows["pattern"]
    assert all(row["points"] >= 1 for row in rows["pattern"])


def test_an_order_is_drawn_from_the_graph_as_it_was_loaded(beside, world):
    beside("neo4j", "load", world, "--nodes", "none")
    order = next(World.open(world).orders(door_of(world)))
    data = beside("graph", "order", order.key, "--from", "neo4j", "--json").json()
    labels = [node["label"] for node in data["nodes"]]
    assert (labels.count("Behavior"), labels.count("Account")) == (137, 1)
    assert {edge["key"] for edge in data["edges"]} >= {"HAS", "PLACED_BY"}


def without_contributions(entry):
    """A synthetic decision whose report can be drawn: its contributions are no numbers."""
    report = replace(entry.decision.report, phi=b"")
    return replace(entry, decision=replace(entry.decision, report=report))


def test_links_from_the_graph_are_those_of_the_journal_that_fed_it(beside, world, write):
    shared = {"device": "d", "card": "c"}
    orders = [an_order(f"l-{n}", ago=n * DAY, account=f"a{n}", **shared) for n in range(4)]
    with bootstrap.open_keys(Settings(home=world.parent / "home")) as store:
        for n, order in enumerate(orders):
            store.append(without_contributions(decided(order, f"l-{n}", flagged=n % 2 == 1)))
        store.append_outcomes([an_outcome("l-1", "chargeback_fraud"), an_outcome("l-2", "confirmed_fraud")])
        case = replace(CASE, decision_id="l-3", order_key=orders[3].key)
        for step in (claim("ann"), decide("ann")):
            store.reviews.step(case, step)
    beside("neo4j", "drain")
    here, there = (
        beside("graph", "order", orders[0].key, "--from", source, "--json").json()
        for source in ("store", "neo4j")
    )
    assert there == here
    ((now,),) = write("MATCH (d:Decision {id: 'l-3'}) RETURN d.verdict").records
    assert now == "accept"  # by the review
    told = {node["id"]: (node["verdict"], node["fraud"]) for node in there["nodes"] if "verdict" in node}
    assert told == {
        short_name(order.key): (("accept", "review")[n % 2], n in (1, 2)) for n, order in enumerate(orders)
    }


def test_a_status_names_and_writes_nothing_where_nothing_was_fed_and_then_tells_the_lag(
    command_line, tmp_path
):
    run, home = command_line(tmp_path / "home"), Settings(home=tmp_path / "home")
    told = run("neo4j", "status", "--json").json()
    assert (told["journal"], told["lag"], told["feeds"]) == (None, None, [])
    with bootstrap.open_keys(home) as store:
        assert store.journal().known_name() is None
        store.append(synthetic_entry(an_order("1"), "d-1"))
    run("neo4j", "drain")
    with bootstrap.open_keys(home) as store:
        store.append(synthetic_entry(an_order("2"), "d-2"))
        name = store.journal().known_name()
    told = run("neo4j", "status", "--json").json()
    assert (told["journal"], told["lag"]) == (name, 1)
    assert [feed["name"] for feed in told["feeds"]] == [name]


def test_a_guest_of_whom_only_the_graph_knows_is_erased_by_key(beside, write, world):
    write("CREATE (:Order {key: 'm|w|1', at: 1.0, day: 0})")
    assert beside("neo4j", "erase", "m|w|1", "m|w|2", "--json").json() == {"orders": 1}
    assert beside("neo4j", "status", "--json").json()["orders"] == 0
    with bootstrap.open_keys(Settings(home=world.parent / "home")) as store:
        store.append(synthetic_entry(an_order("3", account=None), "d-3"))
    known = beside("neo4j", "erase", an_order("3").key)
    assert known.code == 1
    assert "riskgraph subject erase --order m web 3" in known.error
