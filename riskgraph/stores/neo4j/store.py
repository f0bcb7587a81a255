"""The embedded store with Neo4j beside it: contexts of several services' orders, and a feed into the graph.

What is answered never depends on Neo4j: commits do not wait for it, and a context that it does not give in
time is the local one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw

from riskgraph.core.context import OrderContext, compute_context, share_context
from riskgraph.core.order import Order
from riskgraph.core.past import DAY_S
from riskgraph.stores.erasure import ERASED
from riskgraph.stores.neo4j.asking import ASK
from riskgraph.stores.neo4j.breaker import Breaker
from riskgraph.stores.neo4j.connect import CLOSE_S, READ_S, Connection, Target, is_refusal, read_credentials
from riskgraph.stores.neo4j.feed import Feed
from riskgraph.stores.neo4j.history import SharedHistory, TooMuchAsked, parameters
from riskgraph.stores.neo4j.nodes import Policy
from riskgraph.stores.neo4j.removal import retain
from riskgraph.stores.sealing import Secrets
from riskgraph.stores.sqlite import KEEP_S, SqliteStore

_LOG = logging.getLogger("riskgraph.stores")
PROBE_S, WARM_S = 1.0, 8.0
LOOK_S = 0.25
# Of all that the graph does not hold yet; orders look at each event once, on the loop's thread alone.
_PENDING = "SELECT EXISTS(SELECT 1 FROM outbox WHERE seq > ? AND type = ?)"
# Of what a client waits at all, half is for commit and network, and half of the rest for this.
_SHARE = 4
_PROBE = parameters({})
FLAGGED = Policy("flagged")
RETAIN_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Neo4jOptions:
    """How a server is used, as the settings ``RISKGRAPH_NEO4J_*`` say.

    Attributes:
        user: Who asks; empty where a server on this machine asks for nobody.
        password_file: Holds the password.
        policy: Of which orders behavior nodes are made.
        days: How long orders stay in the graph, from the day on which they were placed.
        deadline_s: The most that an order waits for the server, in seconds.
    """

    user: str = ""
    password_file: Path | None = None
    policy: Policy = FLAGGED
    days: int = 400
    deadline_s: float = READ_S


class Neo4jStore(SqliteStore):
    """The embedded store, of which contexts are read with Neo4j's help where it answers in time.

    Args:
        path: The journal, see :class:`SqliteStore`.
        secrets: See there.
        connection: The way to the server; closed with the store.
        options: What is kept in it, and how long an order waits for it.
        keep_s: See there.
        wipe: See there.

    Raises:
        StorageUnavailable: As :class:`SqliteStore` does; never for what Neo4j does.
    """

    def __init__(
        self,
        path: Path,
        secrets: Secrets,
        connection: Connection,
        options: Neo4jOptions,
        *,
        keep_s: float = KEEP_S,
        wipe: bool = True,
    ) -> None:
        self._connection, self._days, self._deadline_s = connection, options.days, options.deadline_s
        self._looked = self._last_erased = self._seen = 0
        self.breaker = Breaker(time.monotonic)
        try:
            super().__init__(path, secrets, keep_s=keep_s, wipe=wipe)
        except BaseException:
            connection.close()
            raise
        self.feed = Feed(self.journal(), connection, options.policy)
        # Held, since a loop refers to its tasks weakly.
        self._feeding = connection.submit(self.feed.run())
        self._beside = [connection.submit(task) for task in (self._probe(), self._retain())]

    def close(self) -> None:
        """Let the feed end its transaction, for seconds at most, then close the journal."""
        if self._closed:
            return
        for task in self._beside:
            task.cancel()
        self._connection.soon(self.feed.stop)
        if self.breaker.closed:  # else it waits for the server, and nothing would come of it
            with suppress(Exception):
                self._feeding.result(CLOSE_S)
        self._connection.close()
        self.feed.end(CLOSE_S)
        super().close()

    async def read_context(self, order: Order) -> OrderContext:
        """The computed nodes of an order; those that services share from Neo4j, if it answers in time."""
        if not self.shares():
            return self.context(order)

        def look(connection: apsw.Connection) -> tuple[SharedHistory, OrderContext]:
            history = SharedHistory(connection, self._indexes, self._decoded, order)
            return history, compute_context(order, history)

        history, local = self._read(look)
        wait = self._deadline_s if order.late else min(self._deadline_s, order.timeout_ms / 1000 / _SHARE)
        asked: list[Future[list[list[Any]]]] = []
        try:
            async with asyncio.timeout(wait):
                context = await self._ask(order, history, local, asked)
        except TooMuchAsked:  # by a large ring, which is no fault of the server's
            pass
        except TimeoutError:
            # An answer that was there, and that this busy loop did not get to, says nothing of the server.
            if not _answered(asked[-1]):
                self.breaker.failed(f"no answer within {wait * 1000:g} ms")
        except Exception as failure:  # whatever it is, the local context stands
            self.breaker.failed(_told(failure), refused=is_refusal(failure))
        else:
            self.breaker.succeeded()
            # What was erased while Neo4j was asked must not be read back either.
            return context if self.shares() else local
        return local

    async def _ask(
        self, order: Order, history: SharedHistory, local: OrderContext, asked: list[Future[list[list[Any]]]]
    ) -> OrderContext:
        context = local
        while (questions := history.questions()) is not None:
            asked.append(self._connection.ask(ASK, questions, self._deadline_s))
            answers = await asyncio.wrap_future(asked[-1])
            if history.take(answers):
                context = self._read(lambda _: share_context(local, order, history))
            context = replace(context, source="neo4j")
        return context

    def shares(self) -> bool:
        """Whether the next order asks Neo4j."""
        return self.breaker.closed and not self._erasure_pending()

    def _erasure_pending(self) -> bool:
        """Whether something was erased here, by any process, that Neo4j may still hold."""
        status = self.feed.status
        if not status.name:  # how far Neo4j has come is not known yet
            return True
        packed = status.packed
        if packed < self._seen:  # an older graph was put back: what was carried out there is not any more
            self._looked = packed
        self._seen = packed
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
        Not before the feed has made the indexes, since that makes a server forget its plans, nor before it
        has read its place: the server may have come back from a backup that holds what was erased since.
        """
        while True:
            if self.feed.status.name and self.breaker.probe_due():
                try:
                    async with asyncio.timeout(PROBE_S):
                        await self._connection.fetch("RETURN 1", {}, PROBE_S)
                    async with asyncio.timeout(WARM_S):
                        await self.feed.look_again()
                    async with asyncio.timeout(WARM_S):
                        await self._connection.fetch(ASK, _PROBE, WARM_S)
                    async with asyncio.timeout(self._deadline_s):
                        await self._connection.fetch(ASK, _PROBE, self._deadline_s)
                except Exception as failure:
                    self.breaker.probed(_told(failure))
                else:
                    self.breaker.probed(None)
            await asyncio.sleep(LOOK_S)

    async def _retain(self) -> None:
        """Take out orders whose days are over; what fails is tried again with the next round."""
        while True:
            if self.breaker.closed:
                try:
                    await retain(self._connection, int(time.time() // DAY_S) - self._days)
                except Exception as failure:
                    _LOG.warning("orders stay in Neo4j beyond their days: %s", _told(failure))
                await asyncio.sleep(RETAIN_EVERY_S)
            await asyncio.sleep(LOOK_S)

    def shared_state(self) -> dict[str, Any]:
        """How the paths to Neo4j are: for people who run the service, nothing depends on it.

        It reads the journal, so it is not for the loop; any other thread may ask.

        Raises:
            StorageUnavailable: If the journal cannot be read.
        """
        open_s, status = self.breaker.open_s, self.feed.status
        ((pending,),) = self._fetch(_PENDING, status.packed, ERASED)
        return {
            "breaker": "closed" if open_s is None else "open",
            "open_s": None if open_s is None else round(open_s, 1),
            "erasure_pending": bool(pending) or not status.name,
            "feed_lag_events": max(0, self.journal().last() - status.packed) if status.name else None,
            "last_error": self.breaker.last_error,
            "feed_error": status.error.partition(":")[0] or None,
        }


def _answered(asked: Future[list[list[Any]]]) -> bool:
    return asked.done() and not asked.cancelled() and asked.exception() is None


def _told(failure: BaseException) -> str:
    """Its name alone: messages of the driver hold addresses."""
    return type(failure).__name__


def open_neo4j(target: Target, secrets: Secrets, options: Neo4jOptions, *, wipe: bool = True) -> Neo4jStore:
    """Open the journal with a server beside it, which need not be up; see ``stores.open_store``."""
    credentials = read_credentials(target.uri, options.user, options.password_file)
    connection = Connection(target, credentials)
    return Neo4jStore(target.journal, secrets, connection, options, wipe=wipe)
