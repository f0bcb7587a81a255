"""A service beside a Neo4j as an operator runs it: a process, HTTP, and a server that goes and comes back."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")

from riskgraph.bench.fault_proxy import FaultProxy, Mode
from tests.stores.neo4j.fed import Graph
from tests.support.neo4j import again
from tests.support.neo4j_server import Server as Neo4j
from tests.support.neo4j_server import alive, kill
from tests.support.process import Server
from tests.support.until import until

ORDER: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden/order.json").read_text("utf-8"))
# Of a busy machine: a server that has just started plans and compiles for a minute there.
PATIENCE_S = 240.0
# How many orders are sent while nobody is there.
MEANWHILE = 25


class Shop:
    """Sends orders to a service beside Neo4j, each with an id of its own."""

    def __init__(self, server: Server, key: str) -> None:
        self.server, self.key = server, key
        self.numbers = count()
        self.made: dict[str, str] = {}

    def order(self) -> dict[str, Any]:
        """The answer to one more order, which asks for no hurry: the machine of a test is busy."""
        name = f"N-{next(self.numbers)}"
        body = json.dumps(ORDER | {"order_id": name, "timeout_ms": 60_000}).encode()
        reply = self.server.call("POST", "/v1/decisions", body, Authorization=f"Bearer {self.key}")
        assert reply.status == 200, reply.body
        answer: dict[str, Any] = reply.json()
        assert not answer["degraded"]
        self.made[answer["decision_id"]] = name
        return answer

    def readiness(self) -> dict[str, Any]:
        reply = self.server.call("GET", "/readyz")
        assert reply.status == 200
        told: dict[str, Any] = reply.json()
        assert told["ready"]
        shared: dict[str, Any] = told["neo4j"]
        return shared

    def until_context(self, source: str) -> None:
        until(lambda: self.order()["context"] == source, PATIENCE_S)

    def until_fed(self) -> None:
        until(lambda: self.readiness()["feed_lag_events"] == 0, PATIENCE_S)


def settings(url: str, neo4j: Neo4j, folder: Path) -> dict[str, str]:
    found = {"RISKGRAPH_STORE_URL": url}
    if neo4j.user:
        path = folder / "password"
        path.write_text(neo4j.password)
        path.chmod(0o600)
        found |= {"RISKGRAPH_NEO4J_USER": neo4j.user, "RISKGRAPH_NEO4J_PASSWORD_FILE": str(path)}
    return found


def outage(
    url: str, neo4j: Neo4j, folder: Path, ends: Callable[[], None], begins_again: Callable[[], Neo4j]
) -> None:
    """A service before, in and after the absence of its server."""
    with Server(folder / "home", folder / "log", settings=settings(url, neo4j, folder)) as server:
        shop = Shop(server, server.first_keys()[0])
        shop.until_context("neo4j")
        assert shop.readiness()["breaker"] == "closed"
        shop.until_fed()
        ends()
        shop.until_context("local")
        until(lambda: shop.readiness()["breaker"] == "open", PATIENCE_S)
        for _ in range(MEANWHILE):
            assert shop.order()["context"] == "local"
        told = shop.readiness()
        assert (told["breaker"], told["last_error"] is None) == ("open", False)
        assert told["feed_lag_events"] >= MEANWHILE
        there = begins_again()
        shop.until_context("neo4j")
        assert shop.readiness()["breaker"] == "closed"
        shop.until_fed()
        check(there, shop)


def check(there: Neo4j, shop: Shop) -> None:
    """Every order that was answered is in the graph once, with its one decision."""
    decided = "MATCH (o:Order) RETURN o.key, COLLECT { MATCH (d:Decision)-[:ABOUT]->(o) RETURN d.id }"
    shop_of = f"{ORDER['merchant_id']}|{ORDER['channel_code']}"
    with closing(Graph(there)) as graph:
        found = [(key, *ids) for key, ids in graph.ask(decided)]
    assert sorted(found) == sorted((f"{shop_of}|{name}", made) for made, name in shop.made.items())


def test_a_server_that_cannot_be_reached_costs_no_answer_and_no_order(neo4j, tmp_path):
    where = urlsplit(neo4j.uri)
    with FaultProxy(where.hostname, where.port) as proxy:

        def back() -> Neo4j:
            proxy.set(Mode())
            return neo4j

        # Not neo4j://: the server would tell its own address, and the driver go around the proxy.
        url = f"bolt://127.0.0.1:{proxy.port}"
        outage(url, neo4j, tmp_path, lambda: proxy.set(Mode("refuse")), back)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_is_stopped_and_started_again_costs_no_answer_and_no_order(own_neo4j, tmp_path, how):
    def end() -> None:
        kill(own_neo4j, how)
        until(lambda: not alive(own_neo4j), PATIENCE_S)

    outage(own_neo4j.uri, own_neo4j, tmp_path, end, lambda: again(own_neo4j))
