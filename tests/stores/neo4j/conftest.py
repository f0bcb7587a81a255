import os

import pytest

from riskgraph.stores.crash import synthetic_secrets
from riskgraph.stores.neo4j.connect import Connection, parse_url
from riskgraph.stores.neo4j.store import Neo4jOptions
from tests.stores.neo4j.held import HeldStore
from tests.support.until import until


@pytest.fixture(scope="session")
def server():
    uri = os.environ.get("RISKGRAPH_NEO4J_URI")
    if not uri:
        pytest.skip("no Neo4j server: set RISKGRAPH_NEO4J_URI")
    return uri


@pytest.fixture
def graph(server):
    """An empty database."""
    pytest.importorskip("neo4j")
    connection = Connection(parse_url(f"{server}?journal=unused"))

    async def run(query):
        await connection.write(lambda tx: tx.run(query))

    connection.submit(run("MATCH (n) DETACH DELETE n")).result(30)
    connection.close()
    return server


@pytest.fixture
def open_beside(tmp_path):
    """Opens stores beside a server; they are closed after the test."""
    opened = []

    def open_one(uri, name="a", deadline_s=2.0, **given):
        connection = Connection(parse_url(f"{uri}?journal=unused"))
        # Wide, since a test is no checkout and its machine is busy; what it cuts is cut all the same.
        options = Neo4jOptions(deadline_s=deadline_s, days=3650)
        store = HeldStore(tmp_path / f"{name}.db", synthetic_secrets(), connection, options, **given)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def beside(graph, open_beside):
    """A store that reaches its server."""
    store = open_beside(graph)
    until(store.shares)
    return store
