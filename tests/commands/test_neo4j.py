"""What the commands of Neo4j say without a server."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from riskgraph import graph_check, graph_database
from riskgraph.core.errors import Invalid, Unavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.stores.neo4j.queries import find_query, queries
from tests.support.cli import riskgraph


def test_all_queries_say_what_they_answer_and_what_they_take(tmp_path):
    listed = riskgraph("neo4j", "query", "--json", home=tmp_path).json()
    assert {row["name"] for row in listed} == set(queries())
    assert all(row["about"] and "limit" in row["parameters"] for row in listed)


def test_no_query_writes():
    words = ("CREATE ", "MERGE ", "DELETE ", "SET ", "REMOVE ", "LOAD CSV", "CALL {")
    bare = {name: query.text.upper() for name, query in queries().items()}
    assert [name for name, text in bare.items() if any(word in text for word in words)] == []


def test_a_card_is_read_by_name_and_by_id():
    (card,) = (p for p in find_query("pattern").parameters if p.name == "card")
    yes, absent = card.value("ship_history_distance_band=far:2,B085=absent")
    assert (yes["node"], yes["op"], yes["value"], yes["points"]) == ("B110", "=", "far", 2.0)
    assert (absent["op"], absent["points"]) == ("absent", 1.0)


@pytest.mark.parametrize("text", ["", "B110", "B999=yes", "B093<many", "B110=yes:"])
def test_a_card_that_is_none_is_refused_by_name(text):
    (card,) = (p for p in find_query("pattern").parameters if p.name == "card")
    with pytest.raises(Invalid, match="--param card"):
        card.value(text)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nothing",), "there are behind, gang_ring"),
        (("gang_ring",), "needs --param order"),
        (("hot_devices", "--param", "order=x"), "has no parameter 'order'"),
        (("hot_devices", "--param", "days=-1"), "--param days takes a whole"),
        (("hot_devices", "--param", "days"), "NAME=VALUE"),
    ],
)
def test_a_wrong_call_needs_no_server_to_be_told(arguments, told, tmp_path):
    ran = riskgraph("neo4j", "query", *arguments, home=tmp_path)
    assert ran.code in (1, 2)
    assert told in ran.error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("retain", "--days", "999999999"), "--days"),
        (("check", "--sample", "99999999999999999999"), "--sample"),
        (("load", ".", "--nodes", "some"), "--nodes is all, flagged or sample:P"),
        (("load", ".", "--nodes", "sample:2"), "--nodes sample:P takes a share"),
    ],
)
def test_an_option_out_of_its_range_is_named(arguments, told, tmp_path):
    environment = {"RISKGRAPH_STORE_URL": "neo4j://127.0.0.1:1"}
    ran = riskgraph("neo4j", *arguments, home=tmp_path, environment=environment)
    assert ran.code == 2
    assert told in ran.error + ran.err


def test_a_store_without_neo4j_says_what_to_set(tmp_path):
    ran = riskgraph("neo4j", "status", home=tmp_path)
    assert ran.code == 2
    assert "RISKGRAPH_STORE_URL" in ran.error


def test_a_server_that_is_down_is_named_with_what_to_do(tmp_path):
    pytest.importorskip("neo4j")
    given = {"RISKGRAPH_STORE_URL": "neo4j://127.0.0.1:1"}
    ran = riskgraph("neo4j", "query", "hot_devices", home=tmp_path, environment=given)
    assert ran.code == 1
    assert "127.0.0.1:1 cannot be reached" in ran.error


def test_a_refusal_is_told_by_its_code_and_not_in_the_words_of_the_server():
    errors = pytest.importorskip("neo4j.exceptions")

    class Refused(errors.ClientError):
        code = "Neo.ClientError.Schema.ConstraintValidationFailed"
        message = "Node(1) already exists with label `Order` and property `key` = 'm|web|secret'"

    answer = Future()
    answer.set_exception(Refused(Refused.message))
    with pytest.raises(Unavailable, match=Refused.code) as told:
        graph_database.wait(SimpleNamespace(submit=lambda work: answer), None)
    assert "secret" not in str(told.value)


def test_an_order_of_a_class_that_the_model_does_not_know_has_no_probability():
    model = SimpleNamespace(scale=lambda availability: None, versions={"model_sha256": "a"})
    order = {"key": "m|w|1", "vec": OrderSubgraph.build({}, {}).pack(), "phase": "post_auth", "nodes": None}
    decision = {
        "id": "d",
        "score": 0.5,
        "first": True,
        "model": "b",
        "availability": "post_auth/no_front_end",
    }
    judge = graph_check._Judge(model, {True: None, False: None})
    row = graph_check._order(judge, order, [decision], None)
    assert (row["probability"], row["same_nodes"]) == (None, None)
    assert [made["found"] for made in row["decisions"]] == ["of_another_model"]
