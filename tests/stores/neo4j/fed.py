"""A journal with its feed beside a server, each call waited for."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.ports import Entry
from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.neo4j.connect import Connection, parse_url
from riskgraph.stores.neo4j.feed import Feed
from riskgraph.stores.neo4j.nodes import Policy
from tests.stores.builders import an_order
from tests.support.neo4j_server import Server

SECRETS = synthetic_secrets()
WAIT_S = 120.0
LOCKED_S = 2.0


class Graph:
    """What a server holds."""

    def __init__(self, server: Server) -> None:
        credentials = (server.user, server.password) if server.user else None
        self.connection = Connection(parse_url(f"{server.uri}?journal=unused"), credentials)

    def wait(self, work: Any) -> Any:
        return self.connection.submit(work).result(WAIT_S)

    def ask(self, query: str, **parameters: Any) -> list[list[Any]]:
        async def work(tx):
            return await (await tx.run(query, parameters)).values()

        return self.wait(self.connection.write(work))

    def one(self, query: str, **parameters: Any) -> Any:
        ((found,),) = self.ask(query, **parameters)
        return found

    def at_once(self, *works: Any) -> list[Any]:
        """Results of transactions of which each has done its work before the first is committed, if it can.

        One that waits for another's lock does its work after the other's commit.
        """

        async def together() -> list[Any]:
            done = [asyncio.Event() for _ in works]

            async def one(number: int, work: Any, tx: Any) -> Any:
                found = await work(tx)
                done[number].set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOCKED_S):
                        await asyncio.gather(*[event.wait() for event in done])
                return found

            writes = [self.connection.write(partial(one, n, work)) for n, work in enumerate(works)]
            return await asyncio.gather(*writes)

        return self.wait(together())

    def everything(self) -> list[tuple[Any, ...]]:
        """All nodes and relationships with their properties, in an order that two equal graphs share."""
        nodes = self.ask(
            "MATCH (n) WHERE NOT n:Feed AND NOT n:Schema AND NOT n:RiskgraphTest "
            "RETURN labels(n), properties(n)"
        )
        ends = self.ask(
            "MATCH (a)-[r]->(b) RETURN type(r), coalesce(a.key, a.id), coalesce(b.digest, b.id, b.key)"
        )
        told = [(sorted(labels), sorted(found.items())) for labels, found in nodes]
        return sorted(map(repr, told)) + sorted(map(repr, ends))

    def counts(self) -> dict[str, int]:
        return dict(
            self.ask("MATCH (n) WHERE NOT n:RiskgraphTest UNWIND labels(n) AS label RETURN label, count(*)")
        )

    def close(self) -> None:
        self.connection.close()


class Fed(Graph):
    """A journal with a feed of its own."""

    def __init__(
        self, server: Server, path: Any, policy: str = "flagged", neo4j: Any = None, **given: Any
    ) -> None:
        super().__init__(server)
        self.store = SqliteStore(path, SECRETS)
        self.feed = Feed(self.store.journal(), neo4j or self.connection, Policy.parse(policy), **given)

    def add(self, name: str, graph: OrderSubgraph | None = None, **given: Any) -> Entry:
        made = synthetic_entry(an_order(name, **given), f"d-{name}", graph)
        self.store.append(made)
        return made

    def drain(self) -> None:
        self.wait(self.feed.drain())

    def close(self) -> None:
        super().close()
        self.store.close()


@contextmanager
def several(*opened: Graph):
    with ExitStack() as stack:
        for one in opened:
            stack.callback(one.close)
        yield opened
