from __future__ import annotations

import pytest

pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")

from tests.stores.neo4j.held import open_held
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
