"""The embedded store with Neo4j beside it: contexts of several services' orders, and a feed into the graph.

What is answered never depends on Neo4j: commits do not wait for it, and a context that it does not give in
time is the local one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import apsw

from riskgraph.core.context import OrderContext, compute_context, share_context
from riskgraph.core.order import Order
from riskgraph.stores.erasure import ERASED
from riskgraph.stores.neo4j.asking import ASK
from riskgraph.stores.neo4j.breaker import Breaker
from riskgraph.stores.neo4j.connect import READ_S, Connection, Target, is_refusal, read_credentials
from riskgraph.stores.neo4j.history import SharedHistory, parameters
from riskgraph.stores.sealing import Secrets
from riskgraph.stores.sqlite import KEEP_S, SqliteStore

_LOG = logging.getLogger("riskgraph.stores")
PROBE_S, WARM_S = 1.0, 8.0
LOOK_S = 0.25
# Of what a client waits at all, half is for commit and network, and half of the rest for this.
_SHARE = 4
_PROBE = parameters({})


@dataclass(frozen=True, slots=True)
class Neo4jOptions:
    """How a server is used, as the settings ``RISKGRAPH_NEO4J_*`` say.

    Attributes:
        user: Who asks; empty where a server on this machine asks for nobody.
        password_file: Holds the password.
        nodes: Whose behavior nodes are made: ``all``, ``flagged`` or ``sample:P``.
        days: How long orders stay.
        deadline_s: The most that an order waits for the server, in seconds.
    """

    user: str = ""
    password_file: Path | None = None
    nodes: str = "flagged"
    days: int = 400
    deadline_s: float = READ_S


class Feed(Protocol):
    """Writes what the journal's outbox tells into Neo4j, on the connection's loop, until it is cancelled.

    Attributes:
        packed: Number of the last event that Neo4j holds; None until the feed has read it there.
        last_error: What went wrong last, None while nothing does.
    """

    packed: int | None
    last_error: str | None

    async def run(self) -> None: ...


class Neo4jStore(SqliteStore):
    """The embedded store, of which contexts are read with Neo4j's help where it answers in time.

    Args:
        path: The journal, see :class:`SqliteStore`.
        secrets: See there.
        connection: The way to the server; closed with the store.
        feed: Makes the feed of this store.
        keep_s: See there.
        wipe: See there.
        deadline_s: The most that an order waits for Neo4j, in seconds.

    Raises:
        StorageUnavailable: As :class:`SqliteStore` does; never for what Neo4j does.
    """

    def __init__(
        self,
        path: Path,
        secrets: Secrets,
        connection: Connection,
        feed: Callable[[SqliteStore, Connection], Feed],
        *,
        keep_s: float = KEEP_S,
        wipe: bool = True,
        deadline_s: float = READ_S,
    ) -> None:
        self._connection, self._deadline_s = connection, deadline_s
        self._looked = self._last_erased = 0
        self.breaker = Breaker(time.monotonic)
        try:
            super().__init__(path, secrets, keep_s=keep_s, wipe=wipe)
        except BaseException:
            connection.close()
            raise
        self.feed = feed(self, connection)
        # Held, since a loop refers to its tasks weakly.
        self._background = [connection.submit(self._probe()), connection.submit(self._feed())]

    def close(self) -> None:
        """Stop the feed where it is, let Neo4j go, then close the journal."""
        self._connection.close()
        super().close()

    async def read_context(self, order: Order) -> OrderContext:
        """The computed nodes of an order; those that services share from Neo4j, if it answers in time."""
        if not self._shares():
            return self.context(order)

        def look(connection: apsw.Connection) -> tuple[SharedHistory, OrderContext]:
            history = SharedHistory(connection, self._indexes, order)
            return history, compute_context(order, history)

        history, local = self._read(look)
        wait = self._deadline_s if order.late else min(self._deadline_s, order.timeout_ms / 1000 / _SHARE)
        try:
            async with asyncio.timeout(wait):
                context = await self._ask(order, history, local)
        except TimeoutError:
            self.breaker.failed(f"no answer within {wait * 1000:g} ms")
        except Exception as failure:  # whatever it is, the local context stands
            self.breaker.failed(_told(failure), refused=is_refusal(failure))
        else:
            self.breaker.succeeded()
            # What was erased while Neo4j was asked must not be read back either.
            return context if self._shares() else local
        return local

    async def _ask(self, order: Order, history: SharedHistory, local: OrderContext) -> OrderContext:
        context = local
        while (asked := history.questions()) is not None:
            answers = await asyncio.wrap_future(self._connection.submit(self._connection.fetch(ASK, asked)))
            if history.take(answers):
                context = self._read(lambda _: share_context(local, order, history))
            context = replace(context, source="neo4j")
        return context

    def _shares(self) -> bool:
        return self.breaker.closed and not self._erasure_pending()

    def _erasure_pending(self) -> bool:
        """Whether something was erased here, by any process, that Neo4j may still hold."""
        packed = self.feed.packed
        if packed is None:
            return True
        # Each event is looked at once, so this costs an order next to nothing.
        after = max(self._looked, packed)
        query = "SELECT max(seq), max(CASE WHEN type=? THEN seq END) FROM outbox WHERE seq > ?"
        ((last, erased),) = self._fetch(query, ERASED, after)
        self._looked = max(self._looked, last or after)
        self._last_erased = max(self._last_erased, erased or 0)
        return self._last_erased > packed

    async def _probe(self) -> None:
        """Close the breaker once the server answers an order's question as fast as an order needs it.

        A server that has just started plans that statement for seconds: it gets warm here, and not by orders.
        """
        while True:
            if self.breaker.probe_due():
                try:
                    async with asyncio.timeout(PROBE_S):
                        await self._connection.fetch("RETURN 1", {}, PROBE_S)
                    async with asyncio.timeout(WARM_S):
                        await self._connection.fetch(ASK, _PROBE, WARM_S)
                    async with asyncio.timeout(self._deadline_s):
                        await self._connection.fetch(ASK, _PROBE)
                except Exception as failure:
                    self.breaker.probed(_told(failure))
                else:
                    self.breaker.probed(None)
            await asyncio.sleep(LOOK_S)

    async def _feed(self) -> None:
        with suppress(asyncio.CancelledError):
            await self.feed.run()

    def shared_state(self) -> dict[str, Any]:
        """How the paths to Neo4j are: for people who run the service, nothing depends on it."""
        open_s = self.breaker.open_s
        return {
            "breaker": "closed" if open_s is None else "open",
            "open_s": None if open_s is None else round(open_s, 1),
            "erasure_pending": self._erasure_pending(),
            "feed_lag_events": self._lag(),
            "last_error": self.breaker.last_error,
            "feed_error": self.feed.last_error,
        }

    def _lag(self) -> int | None:
        """Events that Neo4j does not hold yet; None where the feed has not reached it."""
        packed = self.feed.packed
        ((last,),) = self._fetch("SELECT coalesce(max(seq), 0) FROM outbox")
        return None if packed is None else max(0, last - packed)


def _told(failure: BaseException) -> str:
    """Its name alone: messages of the driver hold addresses."""
    return type(failure).__name__


def open_neo4j(target: Target, secrets: Secrets, options: Neo4jOptions, *, wipe: bool = True) -> Neo4jStore:
    """Open the journal with a server beside it, which need not be up; see ``stores.open_store``."""
    credentials = read_credentials(target.uri, options.user, options.password_file)
    connection = Connection(target, credentials)
    return Neo4jStore(
        target.journal, secrets, connection, HandFeedMissing, wipe=wipe, deadline_s=options.deadline_s
    )
