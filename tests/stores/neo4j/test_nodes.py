"""Behavior nodes hold all that the packed subgraph does, with the edges of the template between them."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import EDGE_TYPES, FOUND, NODE_COUNT, catalog
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.stores.neo4j import nodes
from riskgraph.stores.neo4j.nodes import Policy
from tests.core.test_subgraph import golden, wire_value
from tests.stores.neo4j.fed import Fed, Graph, several

FIXTURE_ONCE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def all_absent():
    return OrderSubgraph.build({}, {n.id: State(1 + n.index % 3) for n in catalog()})


@st.composite
def all_present(draw):
    return OrderSubgraph.build({node.id: draw(wire_value(node)) for node in catalog()}, {})


@st.composite
def mixed(draw):
    """Any states, with some parts of context nodes left out, as contexts leave them."""
    full = draw(all_present())
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from((0.05, 0.5, 0.95)))
    components, states, shares = full.components.copy(), full.states.copy(), full.shares.copy()
    book = catalog()
    for node in book:
        part = book.component_slices[node.index]
        if chance.random() < share:
            states[node.index] = chance.integers(1, 4)
            components[part] = np.nan
            shares[book.histogram_slices[node.index]] = 0
        elif node.form.value == "context" and chance.random() < 0.5:
            components[part.start + chance.integers(0, part.stop - part.start - 1)] = np.nan
    return OrderSubgraph(states, components, shares)


@pytest.fixture
def held(neo4j):
    with closing(Graph(neo4j)) as opened:
        yield opened


def stored(held, subgraph, key="k"):
    held.ask("MATCH (o:Order {key: $key}) OPTIONAL MATCH (o)-[:HAS]->(b) DETACH DELETE b, o", key=key)
    held.ask("CREATE (o:Order {key: $key, vec: $vec})", key=key, vec=subgraph.pack())
    assert held.wait(held.connection.write(lambda tx: nodes.make_nodes(tx, [key]))) == 1


def read(held, key="k"):
    return held.wait(held.connection.read(lambda tx: nodes.read_nodes(tx, key)))


def check(held, subgraph):
    stored(held, subgraph)
    again = read(held)
    assert again == subgraph
    assert np.array_equal(again.states, subgraph.states)
    assert np.array_equal(again.components, subgraph.components, equal_nan=True)
    assert np.array_equal(again.shares, subgraph.shares)
    edges = held.wait(held.connection.read(lambda tx: nodes.read_edges(tx, "k")))
    assert sorted(edges) == sorted(nodes.template_edges(subgraph))


@FIXTURE_ONCE
@given(mixed())
def test_an_order_read_back_from_its_nodes_is_the_order_that_was_stored(held, subgraph):
    check(held, subgraph)


@settings(FIXTURE_ONCE, max_examples=3)
@given(all_present())
def test_an_order_of_which_everything_is_known_has_every_edge_of_the_template(held, subgraph):
    check(held, subgraph)
    assert len(nodes.template_edges(subgraph)) == len(catalog().edges)


def test_an_order_of_which_nothing_is_known_has_137_nodes_and_no_edge(held):
    check(held, all_absent())
    assert held.one("MATCH (b:Behavior) RETURN count(b)") == NODE_COUNT
    assert held.one("MATCH (:Behavior)-[r]->() RETURN count(r)") == 0


def test_every_type_of_edge_can_be_written():
    for kind in (*EDGE_TYPES, FOUND):
        assert f"UNWIND row.{kind} AS edge" in nodes.WRITE
        assert f"-[:{kind.upper()}]->" in nodes.WRITE


def test_each_node_says_what_it_is_and_what_it_is_worth(held):
    subgraph = golden()
    check(held, subgraph)
    for node in catalog():
        ((labels, name, name_zh, state, value),) = held.ask(
            "MATCH (b:Behavior {id: $id}) RETURN labels(b), b.name, b.name_zh, b.state, b.value", id=node.id
        )
        assert set(labels) == {"Behavior", node.family}
        assert (name, name_zh, state) == (node.name, node.name_zh, subgraph.state(node.id).word)
        assert (value is not None) == (state == "present")


def test_nodes_that_are_there_are_not_made_again(held):
    stored(held, golden())
    assert held.wait(held.connection.write(lambda tx: nodes.make_nodes(tx, ["k"]))) == 0
    assert held.one("MATCH (b:Behavior) RETURN count(b)") == NODE_COUNT


def test_two_who_make_the_nodes_of_an_order_at_once_make_them_once(held):
    held.ask("CREATE (o:Order {key: 'k', vec: $vec})", vec=golden().pack())
    make = partial(nodes.make_nodes, keys=["k"])
    assert sorted(held.at_once(make, make)) == [0, 1]
    assert held.one("MATCH (b:Behavior) RETURN count(b)") == NODE_COUNT
    assert set(held.one("MATCH (o:Order) RETURN keys(o)")) == {"key", "vec", "nodes"}


def test_an_order_without_nodes_reads_as_none_and_one_that_lost_some_is_refused(held):
    assert read(held, "nobody") is None
    stored(held, golden())
    held.ask("MATCH (b:Behavior {id: 'B001'}) DETACH DELETE b")
    with pytest.raises(CheckFailed, match="136 behavior nodes"):
        read(held)


def test_nodes_taken_out_for_a_rebuild_are_made_again(neo4j, tmp_path):
    with closing(Fed(neo4j, tmp_path / "store.db", "all")) as fed:
        for number in range(3):
            fed.add(f"a{number}", golden())
        fed.drain()
        before = fed.everything()

        async def again():
            return [step async for step in nodes.rebuild(fed.connection, Policy.parse("all"))]

        assert fed.wait(again()) == [(3, 3, 3)]
        assert fed.everything() == before


def test_a_rebuild_of_one_service_makes_the_nodes_of_anothers_orders_too(neo4j, tmp_path):
    here, there = (Fed(neo4j, tmp_path / f"{name}.db", "all") for name in "ab")
    with several(here, there):
        for fed, name in ((here, "x"), (there, "y")):
            fed.add(name, golden())
            fed.drain()

        async def again():
            return [step async for step in nodes.rebuild(here.connection, Policy.parse("all"))]

        assert here.wait(again()) == [(2, 2, 2)]
        there.drain()
        assert here.ask("MATCH (o:Order)-[:HAS]->(b) RETURN o.key, count(b) ORDER BY o.key") == [
            ["m|web|x", 137], ["m|web|y", 137]
        ]  # fmt: skip


def test_the_policy_is_all_flagged_or_a_share():
    assert Policy.parse("all").chooses("k", "accept")
    assert not Policy.parse("flagged").chooses("k", "accept")
    assert Policy.parse(" flagged").chooses("k", "review")
    chosen = [Policy.parse("sample:0.25").chooses(f"k{i}", "accept") for i in range(4000)]
    assert 850 < sum(chosen) < 1150
    assert not any(Policy.parse("sample:0").chooses(f"k{i}", "reject") for i in range(50))
    assert all(Policy.parse("sample:1").chooses(f"k{i}", "accept") for i in range(50))


@pytest.mark.parametrize(
    "text", ["", "some", "all:1", "sample", "sample:", "sample:2", "sample:-1", "sample:nan"]
)
def test_a_policy_that_is_none_is_refused_by_the_setting_s_name(text):
    with pytest.raises(Invalid, match="RISKGRAPH_NEO4J_NODES"):
        Policy.parse(text)
