from __future__ import annotations

import pytest

pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")

from tests.stores.neo4j.held import open_held
from tests.support.cli import riskgraph
from tests.support.neo4j import connect
from tests.support.until import until


@pytest.fixture
def open_beside(tmp_path, neo4j):
    """Opens stores beside the server, or beside another address of it; they are closed after the test."""
    opened = []

    def open_one(name="a", uri=None, **given):
        store = open_held(neo4j, tmp_path / f"{name}.db", uri, **given)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def beside(open_beside):
    """A store that reaches its server."""
    store = open_beside()
    until(store.shares)
    return store


@pytest.fixture
def command_line(neo4j, tmp_path):
    """Runs commands of a home beside an empty graph."""
    given = {"RISKGRAPH_STORE_URL": neo4j.uri}
    if neo4j.user:
        (tmp_path / "password").write_text(neo4j.password)
        given |= {
            "RISKGRAPH_NEO4J_USER": neo4j.user,
            "RISKGRAPH_NEO4J_PASSWORD_FILE": str(tmp_path / "password"),
        }

    def of_home(home):
        def run(*arguments, nodes="flagged"):
            environment = given | {"RISKGRAPH_NEO4J_NODES": nodes}
            return riskgraph(*arguments, home=home, environment=environment)

        return run

    return of_home


@pytest.fixture
def write(neo4j):
    """Runs a statement on the graph."""
    with connect(neo4j) as driver:
        yield driver.execute_query
