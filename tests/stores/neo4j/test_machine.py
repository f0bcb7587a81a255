"""Stores beside a Neo4j do what a plain model of them does, and so does the graph that they feed."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from riskgraph.bench.fault_proxy import FaultProxy, Mode
from riskgraph.core.context import SHARED_NODES, OrderContext, compute_context
from riskgraph.core.order import Order
from tests.stores.machine import AGES, CAP, EVER, FACTS, NUMBERS, TRIES, WHICH, StoreMachine, examples
from tests.stores.model import GraphModel, identity
from tests.stores.neo4j.fed import Graph
from tests.stores.neo4j.held import HeldStore, context_of, open_held
from tests.stores.neo4j.view import check_graph
from tests.support.neo4j_server import Server
from tests.support.until import until

CLEAR = "MATCH (n) WHERE NOT n:RiskgraphTest AND NOT n:Schema DETACH DELETE n"
BESIDE = ("riskgraph.stores.neo4j.rows", "riskgraph.stores.neo4j.removal", "riskgraph.stores.neo4j.history")


class Neo4jMachine(StoreMachine):
    """Two services with journals of their own beside one server, the first of them behind a proxy."""

    services = 2

    def __init__(self, server: Server) -> None:
        self.server = server
        where = urlsplit(server.uri)
        self.proxy = FaultProxy(where.hostname, where.port).__enter__()
        self.away = False
        self.graph, self.graph_model = Graph(server), GraphModel()
        self.graph.ask(CLEAR)
        super().__init__()
        for module in BESIDE:
            self.patch.setattr(f"{module}.HUB_ORDERS", CAP)

    def opened(self, number: int) -> HeldStore:
        # Nobody waits long here for what takes a service seconds: looks and pauses are short.
        for name, seconds in (("POLL_S", 0.02), ("FIRST_PAUSE_S", 0.02), ("LONGEST_PAUSE_S", 0.1)):
            self.patch.setattr(f"riskgraph.stores.neo4j.feed.{name}", seconds)
        self.patch.setattr("riskgraph.stores.neo4j.store.LOOK_S", 0.02)
        uri = f"bolt://127.0.0.1:{self.proxy.port}" if number == 0 else None
        store = open_held(self.server, self.folder / f"{number}.db", uri, deadline_s=5.0, keep_s=EVER)
        store.breaker._every_s = 0.05
        # Once the journal has a name, an erasure is told of whom only another service knows, too.
        if number or not self.away:
            until(lambda: store.feed.status.name)
        return store

    def teardown(self) -> None:
        try:
            if self.away:
                self.the_server_is_back()
            for which in range(self.services):
                self.everything_is_fed(which)
        finally:
            try:
                super().teardown()
            finally:
                self.graph.close()
                self.proxy.__exit__(None, None, None)

    # ---- the feed -------------------------------------------------------------------------------
    @rule(which=WHICH)
    def everything_is_fed(self, which: int) -> None:
        if which == 0 and self.away:
            return
        store, model = self.at(which)
        store.pump()
        until(lambda: store.feed.status.nodes >= store.held.end)
        until(store.shares)
        self.graph_model.feed(model)
        check_graph(self.graph, self.graph_model, CAP)

    @precondition(lambda self: not self.away)
    @rule()
    def the_server_goes_away(self) -> None:
        """While the feed is about to write what waits."""
        self.proxy.set(Mode("refuse"))
        self.away = True
        self.stores[0].held.end = self.stores[0].feed_end()

    @precondition(lambda self: self.away)
    @rule()
    def the_server_is_back(self) -> None:
        self.proxy.set(Mode())
        self.away = False
        self.everything_is_fed(0)

    # ---- what services share ----------------------------------------------------------------------
    @rule(number=NUMBERS, tries=TRIES, facts=FACTS, age=AGES, fed=st.booleans())
    def a_context_has_what_the_other_service_knows(
        self, number: int, tries: int, facts: int, age: float, fed: bool
    ) -> None:
        if fed:
            self.everything_is_fed(0)
        store, model = self.at(0)
        order = self.asked(number, tries, facts, age)
        found = context_of(store, order)
        local = compute_context(order, model.history())
        if found.source == "local":
            assert found == local
            return
        assert not self.away
        self.same(found, local, set(local.values) - SHARED_NODES)
        if self.is_fed(model.orders):
            everyone = compute_context(order, model.history(self.graph_model))
            # B137 also reads how many merchants there are, which each service knows of its own orders.
            self.same(found, everyone, SHARED_NODES - {"B137"})

    @staticmethod
    def same(found: OrderContext, expected: OrderContext, nodes: Any) -> None:
        assert {node: found.values.get(node) for node in nodes} == {
            node: expected.values.get(node) for node in nodes
        }

    def is_fed(self, orders: dict[str, Order]) -> bool:
        """Whether the graph holds them with these very facts, so that it knows all that is known here."""
        theirs = self.graph_model.orders
        return all(key in theirs and identity(theirs[key]) == identity(o) for key, o in orders.items())

    @invariant()
    def no_feed_starts_anew(self) -> None:
        assert [store.feed.status.notice for store in self.stores] == [""] * self.services


# The driver's own threads draw from it to pause, at any moment.
@pytest.mark.filterwarnings("ignore:Do not use the .random. module")
def test_stores_beside_neo4j_and_their_graph_do_what_their_models_do(neo4j):
    run_state_machine_as_test(partial(Neo4jMachine, neo4j), settings=examples(2, 100))
