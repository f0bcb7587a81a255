"""A Neo4j server for figures, and a service beside it; the server's data are wiped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

from riskgraph import bootstrap
from riskgraph.core.errors import CheckFailed, Conflict, Unavailable
from riskgraph.service import Service
from riskgraph.settings import MAX_DAYS, Settings
from riskgraph.stores.neo4j.connect import read_credentials
from riskgraph.stores.neo4j.store import Neo4jStore

HOW = (
    "RISKGRAPH_NEO4J_URI names no Neo4j: start one with make neo4j, set that to what python -m "
    "tests.support.neo4j_server uri prints, and RISKGRAPH_NEO4J_USER and RISKGRAPH_NEO4J_PASSWORD_FILE to "
    "what status prints; all that the server holds is wiped"
)
POLL_S = 0.005
LIMIT_S = 600.0
# What neither a bench nor the project's tests have left: a database that holds it belongs to somebody.
_FOREIGN = """
MATCH (n) WITH count(n) AS nodes, count(CASE WHEN n:RiskgraphBench OR n:RiskgraphTest THEN 1 END) AS marks
RETURN nodes > 0 AND marks = 0
"""
_MARK = "MERGE (:RiskgraphBench)"
_UNMARK = "MATCH (n:RiskgraphBench) DELETE n"
# Some at a time, since edges go in a transaction's memory, and by one statement after the other, since the
# server's time limit counts for all that one statement deletes.
_WIPE = """
MATCH (n) WHERE NOT n:RiskgraphBench AND NOT n:RiskgraphTest
WITH n LIMIT 1000 DETACH DELETE n RETURN count(*)
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server answers; without user and password file it asks for nobody."""

    uri: str
    user: str = ""
    password_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Server:
        """The server that ``RISKGRAPH_NEO4J_URI`` names; the user of a password is neo4j if none is given.

        Raises:
            Unavailable: If it is not set; the message says how to start one.
        """
        uri = environment.get("RISKGRAPH_NEO4J_URI", "")
        if not uri:
            raise Unavailable(HOW)
        path = environment.get("RISKGRAPH_NEO4J_PASSWORD_FILE")
        user = environment.get("RISKGRAPH_NEO4J_USER", "neo4j" if path else "")
        return cls(uri, user, Path(path) if path else None)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.uri)
        return parts.hostname or "127.0.0.1", parts.port or 7687

    def settings(self, base: Settings, journal: Path, nodes: str, port: int | None = None) -> Settings:
        """Of a service with this journal, by way of another port of this machine if one is given.

        Args:
            base: Where its secrets are.
            journal: The embedded store's file.
            nodes: Of which orders behavior nodes are made.
            port: Of a proxy.
        """
        host, own = self.address
        # Without routing: the server tells its own address, and the next call would pass by the proxy.
        uri = f"bolt://{host}:{own}" if port is None else f"bolt://127.0.0.1:{port}"
        return replace(
            base,
            home=journal.parent,
            secrets=base.secret_folder,
            store_url=f"{uri}?journal={journal}",
            neo4j_user=self.user,
            neo4j_password_file=self.password_file,
            neo4j_nodes=nodes,
            # Simulated orders are as old as their world, and none may go while it is measured.
            neo4j_days=MAX_DAYS,
        )


class Graph:
    """What a server holds, over a driver of its own; it is empty at first.

    Raises:
        Unavailable: If the server does not answer.
        Conflict: If it holds data that neither a bench nor the project's tests have left.
        Invalid: If user and password file are not given together, or the file cannot be read.
    """

    def __init__(self, server: Server) -> None:
        import neo4j

        auth = read_credentials(server.uri, server.user, server.password_file)
        self._driver = neo4j.GraphDatabase.driver(server.uri, auth=auth, notifications_min_severity="OFF")
        try:
            # A statement would be tried again for half a minute.
            self._driver.verify_connectivity()
            if self.ask(_FOREIGN)[0][0]:
                raise Conflict(f"{server.uri} holds data, and a bench would wipe them: give it an empty one")
            self.ask(_MARK)
            self.wipe()
        except BaseException as wrong:
            self.close()
            if isinstance(wrong, neo4j.exceptions.DriverError | neo4j.exceptions.Neo4jError):
                raise Unavailable(f"{server.uri} does not answer: {type(wrong).__name__}; {HOW}") from wrong
            raise

    def ask(self, query: LiteralString, **parameters: Any) -> list[list[Any]]:
        """Rows of one statement."""
        return [list(record) for record in self._driver.execute_query(query, parameters).records]

    def wipe(self) -> None:
        """Take out all data; indexes stay."""
        self.until_nothing(_WIPE)

    def until_nothing(self, query: LiteralString) -> None:
        """Run a statement again until the count that it returns is 0."""
        while self.ask(query)[0][0]:
            pass

    def close(self) -> None:
        self._driver.close()


@contextmanager
def graph_of(server: Server) -> Iterator[Graph]:
    """An empty graph; it is wiped again afterwards, and belongs to no bench any more."""
    graph = Graph(server)
    try:
        yield graph
    finally:
        graph.wipe()
        graph.ask(_UNMARK)
        graph.close()


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[Service, Neo4jStore]]:
    """A service with Neo4j beside its journal."""
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    try:
        assert isinstance(service.store, Neo4jStore)
        yield service, service.store
    finally:
        service.close()


def until(holds: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> float:
    """Wait for something; seconds that it took.

    Raises:
        CheckFailed: If it does not come to pass in time.
    """
    start = time.perf_counter()
    while not holds():
        if time.perf_counter() - start > limit_s:
            raise CheckFailed(f"{what} did not come to pass within {limit_s:g} s")
        time.sleep(POLL_S)
    return time.perf_counter() - start
