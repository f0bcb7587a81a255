"""The Neo4j server that figures are measured on: given, empty or left by an earlier run, and wiped."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from riskgraph import graph_database
from riskgraph.core.errors import Invalid, Unavailable
from riskgraph.settings import Settings
from riskgraph.stores.neo4j.connect import Connection, is_neo4j, parse_url, read_credentials
from riskgraph.stores.neo4j.schema import migrate

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

SETTING = "RISKGRAPH_NEO4J_URI"
T = TypeVar("T")
_FOREIGN = "MATCH (n) WHERE NOT n:RiskgraphBench AND NOT n:Schema RETURN count(n)"
_MARKED = "MATCH (n:RiskgraphBench) RETURN count(n)"
_MARK = "MERGE (n:RiskgraphBench) RETURN count(n)"
_WIPE = """
MATCH (n) WHERE NOT n:RiskgraphBench AND NOT n:Schema
WITH n LIMIT 10000 DETACH DELETE n RETURN count(*)
"""
ANSWER_S = 120.0


@dataclass(frozen=True)
class Server:
    """A server that may be wiped, and who asks it."""

    uri: str
    user: str
    password_file: Path | None

    @classmethod
    def given(cls, environment: Mapping[str, str] = os.environ) -> Server:
        """The server that the environment names.

        Raises:
            Unavailable: If it names none.
        """
        uri = environment.get(SETTING) or environment.get("RISKGRAPH_STORE_URL", "").partition("?")[0]
        if not is_neo4j(uri):
            raise Unavailable(
                "no Neo4j: `make neo4j` starts one, and `make neo4j-status` prints what is to be set"
            )
        password = environment.get("RISKGRAPH_NEO4J_PASSWORD_FILE")
        return cls(uri, environment.get("RISKGRAPH_NEO4J_USER", ""), Path(password) if password else None)

    def at(self, port: int) -> Server:
        """The same behind a proxy; ``bolt``, since a routing table would lead past it."""
        return replace(self, uri=f"bolt://127.0.0.1:{port}")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.uri.partition("://")[2].partition("/")[0].partition(":")
        return host, int(port or 7687)

    def settings(self, base: Settings, journal: Path, policy: str) -> Settings:
        """Settings of a service with this server beside a journal."""
        return replace(
            base,
            store_url=f"{self.uri}?journal={journal}",
            neo4j_user=self.user,
            neo4j_password_file=self.password_file,
            neo4j_nodes=policy,
            neo4j_days=3650,
        )

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection to it."""
        target = parse_url(f"{self.uri}?journal=none")
        connection = Connection(target, read_credentials(target.uri, self.user, self.password_file))
        try:
            yield connection
        finally:
            connection.close()

    def wiped(self) -> None:
        """Take out all that earlier figures left.

        Raises:
            Invalid: If it holds anything that no bench put there.
        """
        with self.connected() as neo4j:
            if not count(neo4j, _MARKED) and count(neo4j, _FOREIGN):
                raise Invalid(f"{self.uri} holds data, and figures would wipe them: give an empty server")
            run(neo4j, neo4j.write(_running(_MARK)))
            while run(neo4j, neo4j.write(_running(_WIPE))):
                pass
            run(neo4j, migrate(neo4j))


def run(neo4j: Connection, work: Coroutine[Any, Any, T]) -> T:
    """The result of work on the connection's loop."""
    return graph_database.wait(neo4j, work)


def count(neo4j: Connection, statement: LiteralString) -> int:
    """The one number that a statement gives."""
    ((found,),) = run(neo4j, neo4j.fetch(statement, {}, ANSWER_S))
    return int(found)


def _running(statement: LiteralString) -> Callable[[AsyncManagedTransaction], Coroutine[Any, Any, int]]:
    async def work(tx: AsyncManagedTransaction) -> int:
        ((found,),) = await (await tx.run(statement)).values()
        return int(found)

    return work
