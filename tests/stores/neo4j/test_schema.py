"""The graph's schema is made once, in order, and a newer one is refused."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from riskgraph.core.errors import StorageUnavailable
from riskgraph.stores.neo4j import schema
from tests.stores.neo4j.fed import Graph


@pytest.fixture
def held(neo4j):
    with closing(Graph(neo4j)) as opened:
        opened.ask("MATCH (s:Schema) DELETE s")
        yield opened
        opened.ask("MATCH (s:Schema) DELETE s")


def migrate(held):
    return held.wait(schema.migrate(held.connection))


def test_the_second_time_there_is_nothing_to_do(held):
    assert migrate(held) == len(schema.STEPS)
    before = held.ask("SHOW INDEXES YIELD name, state RETURN name, state ORDER BY name")
    assert migrate(held) == 0
    assert held.ask("SHOW INDEXES YIELD name, state RETURN name, state ORDER BY name") == before
    assert {state for _, state in before} == {"ONLINE"}
    assert held.ask("MATCH (s:Schema) RETURN s.version") == [[schema.SCHEMA_VERSION]]


def test_steps_that_were_taken_but_not_noted_are_taken_again_without_harm(held):
    migrate(held)
    held.ask("MATCH (s:Schema) DELETE s")
    assert migrate(held) == len(schema.STEPS)


class Filling:
    """A server whose indexes are in these states, one look after the other."""

    def __init__(self, *looks):
        self.looks, self.ran = list(looks), []

    async def write(self, work):
        return await work(self)

    async def run(self, statement, *_, **__):
        self.ran.append(statement)
        return self

    async def consume(self):
        pass

    async def values(self):
        return self.looks.pop(0) if "SHOW INDEXES" in self.ran[-1] else [[0]]


@pytest.fixture
def looks_at_once(monkeypatch):
    monkeypatch.setattr(schema, "LOOK_S", 0.0)


@pytest.mark.usefixtures("looks_at_once")
def test_a_step_is_noted_once_all_its_indexes_are_filled_however_long_that_takes():
    server = Filling(*[[["order_day", False]]] * 500, [])
    assert asyncio.run(schema.migrate(server)) == len(schema.STEPS)
    assert server.looks == []
    assert "SET s.version" in server.ran[-1]


@pytest.mark.usefixtures("looks_at_once")
def test_an_index_that_the_server_could_not_fill_is_told_by_name_and_its_step_is_not_noted():
    server = Filling([["order_day", False]], [["order_card", True], ["order_day", False]])
    with pytest.raises(StorageUnavailable, match="could not fill the index order_card"):
        asyncio.run(schema.migrate(server))
    assert "SET s.version" not in " ".join(server.ran)


def test_only_the_steps_that_lack_are_taken(held, monkeypatch):
    migrate(held)
    more = (*schema.STEPS, ("CREATE INDEX later IF NOT EXISTS FOR (o:Order) ON (o.currency)",))
    monkeypatch.setattr(schema, "STEPS", more)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", len(more))
    assert migrate(held) == 1
    assert held.one("SHOW INDEXES YIELD name WHERE name = 'later' RETURN count(*)") == 1
    held.ask("DROP INDEX later")


def test_a_newer_schema_is_refused_and_left_alone(held):
    migrate(held)
    held.ask("MATCH (s:Schema) SET s.version = 99")
    with pytest.raises(StorageUnavailable, match="schema 99 .* upgrade riskgraph"):
        migrate(held)
    assert held.ask("MATCH (s:Schema) RETURN s.version") == [[99]]
