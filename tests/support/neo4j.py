"""The Neo4j that tests write to: one a worker, or the one that is given, and wiped before each test."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from neo4j import Driver, GraphDatabase, Query

from tests.support.neo4j_server import Server, Unavailable, kill, running, start, stop, wait

# Nothing of ours: a database that holds it belongs to somebody.
FOREIGN = "MATCH (n) WHERE NOT n:RiskgraphTest RETURN count(n) AS nodes LIMIT 1"
MARK = "MERGE (:RiskgraphTest)"
WIPE = "MATCH (n) WHERE NOT n:RiskgraphTest CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS"


@contextmanager
def open_server(folder: Path) -> Iterator[Server]:
    """The given server if it is empty or was used by tests before, else one that ends with this process."""
    given = running()
    try:
        if given is None:
            own = start(folder, owner=os.getpid())
        else:
            wait(given)
    except Unavailable as wrong:
        pytest.skip(f"no Neo4j: {wrong}")
    if given is not None:
        _refuse_foreign(given)
        yield given
        return
    yield own
    # Nothing of it is wanted any more, so it need not end in order.
    kill(own, signal.SIGKILL)
    stop(folder)


def _refuse_foreign(given: Server) -> None:
    with connect(given) as driver:
        marked = driver.execute_query("MATCH (n:RiskgraphTest) RETURN count(n) AS marks").records[0]["marks"]
        if not marked and driver.execute_query(FOREIGN).records[0]["nodes"]:
            pytest.skip(f"no Neo4j: {given.uri} holds data, and tests would wipe them")
        driver.execute_query(MARK)


def connect(server: Server) -> Driver:
    return GraphDatabase.driver(server.uri, auth=(server.user, server.password) if server.user else None)


@contextmanager
def emptied(server: Server, lock: Path) -> Iterator[Server]:
    """The server without any node, for one test at a time; the schema stays."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with connect(server) as driver, driver.session() as session:
            session.run(Query(WIPE)).consume()
        yield server
