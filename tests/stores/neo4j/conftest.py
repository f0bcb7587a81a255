import os

import pytest

from riskgraph.stores.crash import synthetic_secrets
from riskgraph.stores.neo4j.connect import Connection, parse_url
from riskgraph.stores.neo4j.store import Neo4jStore
from tests.stores.neo4j.by_hand import INDEXES, HandFeed
from tests.support.until import until


@pytest.fixture(scope="session")
def server():
    uri = os.environ.get("RISKGRAPH_NEO4J_URI")
    if not uri:
        pytest.skip("no Neo4j server: set RISKGRAPH_NEO4J_URI")
    return uri


@pytest.fixture
def graph(server):
    """An empty database with its indexes."""
    pytest.importorskip("neo4j")
    connection = Connection(parse_url(f"{server}?journal=unused"))

    async def run(query):
        await connection.write(lambda tx: tx.run(query))

    connection.submit(run("MATCH (n) DETACH DELETE n")).result(30)
    for query in INDEXES:
        connection.submit(run(query)).result(30)
    connection.submit(run("CALL db.awaitIndexes()")).result(30)
    connection.close()
    return server


@pytest.fixture
def open_beside(tmp_path):
    """Opens stores beside a server; they are closed after the test."""
    opened = []

    def open_one(uri, name="a", **given):
        connection = Connection(parse_url(f"{uri}?journal=unused"))
        # Wide, since a test is no checkout and its machine is busy; what it cuts is cut all the same.
        given = {"deadline_s": 2.0} | given
        store = Neo4jStore(tmp_path / f"{name}.db", synthetic_secrets(), connection, HandFeed, **given)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def beside(graph, open_beside):
    """A store whose breaker is closed."""
    store = open_beside(graph)
    until(lambda: store.breaker.closed)
    return store
