"""The Neo4j that tests write to: one a run, or the one that is given, and wiped before each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from neo4j import Driver, GraphDatabase, Query

from tests.support.neo4j_jars import Refused, Unavailable, locked
from tests.support.neo4j_server import Server, Wanted, answer, running, start, stop
from tests.support.neo4j_shared import shared

# Nothing of ours: a database that holds it belongs to somebody.
FOREIGN = "MATCH (n) WHERE NOT n:RiskgraphTest RETURN count(n) AS nodes LIMIT 1"
MARK = "MERGE (:RiskgraphTest)"
WIPE = "MATCH (n) WHERE NOT n:RiskgraphTest CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS"


@contextmanager
def open_server(folder: Path) -> Iterator[Server]:
    """The given server if it is empty or was used by tests before, else the one that this run shares.

    Raises:
        Refused: If the given server does not answer or holds data, or a jar is not what it was.
    """
    given = running()
    if given is not None:
        answer(given)
        _refuse_foreign(given)
        yield given
        return
    with ExitStack() as stack:
        try:
            server = stack.enter_context(shared(folder))
        except Unavailable as wrong:
            pytest.skip(f"no Neo4j: {wrong}")
        yield server


def _refuse_foreign(given: Server) -> None:
    with connect(given) as driver:
        marked = driver.execute_query("MATCH (n:RiskgraphTest) RETURN count(n) AS marks").records[0]["marks"]
        if not marked and driver.execute_query(FOREIGN).records[0]["nodes"]:
            raise Refused(f"{given.uri} holds data, and tests would wipe them: give them an empty one")
        driver.execute_query(MARK)


@contextmanager
def own_server(folder: Path) -> Iterator[Server]:
    """A server that a test may kill."""
    try:
        server = start(folder, Wanted(tied=True))
    except Unavailable as wrong:
        pytest.skip(f"no Neo4j: {wrong}")
    try:
        if server.pid is None:
            pytest.skip("no Neo4j that may be killed: one in a container has no process group here")
        yield server
    finally:
        stop(folder)


def again(server: Server) -> Server:
    """Start the server that was killed or stopped on its folder, at the port that it had."""
    return start(Path(server.folder), Wanted(tied=True))


def connect(server: Server) -> Driver:
    return GraphDatabase.driver(server.uri, auth=(server.user, server.password) if server.user else None)


@contextmanager
def emptied(server: Server, lock: Path) -> Iterator[Server]:
    """The server without any node, for one test at a time; the schema stays."""
    with locked(lock):
        with connect(server) as driver, driver.session() as session:
            session.run(Query(WIPE)).consume()
        yield server
