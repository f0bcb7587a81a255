"""The way to a Neo4j server: its address, who asks, and two drivers on a thread of their own.

Hot reads and the writer share nothing: a writer that waits for a slow transaction must hold no connection
that a checkout needs. Neither driver's own timeouts are trusted: a half-open connection was seen to hold an
acquisition past its limit, so every caller on a clock has a deadline of its own outside.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from riskgraph.core.errors import ExtraMissing, Invalid

if TYPE_CHECKING:
    from neo4j import AsyncDriver, AsyncManagedTransaction, AsyncSession

_LOG = logging.getLogger("riskgraph.stores")
SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
SETTING = "RISKGRAPH_STORE_URL"
FORM = "neo4j://HOST[:PORT][/DATABASE][?journal=PATH]"
BOLT_PORT = 7687
DATABASE = "neo4j"
READ_S = 0.05
# How long a read that nobody waits for any more may go on before its connection is given up.
LEFT_S = 3.0
BACKGROUND_S = 30.0
CLOSE_S = 2.0
# Limits in seconds; every one of the driver's own defaults is unfit for a checkout.
_BOTH: dict[str, Any] = {
    "liveness_check_timeout": 30.0,
    "telemetry_disabled": True,
    "notifications_min_severity": "OFF",
}
_HOT = _BOTH | {
    "max_connection_pool_size": 16,
    # Opening a connection counts against it: 50 ms would never reach a server that has just started.
    "connection_acquisition_timeout": 1.0,
    "connection_timeout": 0.5,
    "connection_write_timeout": 1.0,
    "max_transaction_retry_time": 0.0,
}
_WRITER = _BOTH | {
    "max_connection_pool_size": 4,
    "connection_acquisition_timeout": 10.0,
    "connection_timeout": 5.0,
    # Enough for a deadlock; of an outage the feed has to learn, which tries again by itself.
    "max_transaction_retry_time": 5.0,
}
# What goes wrong is told by who asked, in one line; the driver would print it at each probe of an outage.
logging.getLogger("neo4j").addHandler(logging.NullHandler())
T = TypeVar("T")
Work = Callable[["AsyncManagedTransaction"], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server is, and the journal beside it.

    Attributes:
        uri: ``scheme://host:port``, as the driver takes it.
        database: The one user database of a Community server by default.
        journal: The embedded store's file.
    """

    uri: str
    database: str
    journal: Path


def is_neo4j(url: str) -> bool:
    """Whether a store's URL names a Neo4j server."""
    return url.partition("://")[0] in SCHEMES


def parse_url(url: str) -> Target:
    """Take a store's URL apart.

    Raises:
        Invalid: If it is not of the form ``neo4j://HOST[:PORT][/DATABASE]?journal=PATH``, or has a password.
    """
    if not is_neo4j(url):
        raise _wrong(f"starts with none of {', '.join(SCHEMES)}")
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise _wrong("holds a name or password: set RISKGRAPH_NEO4J_USER and RISKGRAPH_NEO4J_PASSWORD_FILE")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong(f"has no port from 1 to 65535 in {parts.netloc!r}") from None
    if not host or port == 0:
        raise _wrong("names no host" if not host else "has the port 0")
    database = unquote(parts.path.strip("/"))
    if "/" in database or parts.fragment:
        raise _wrong(f"has more after the host than one database: {parts.path}")
    asked = parse_qsl(parts.query, keep_blank_values=True)
    if [name for name, _ in asked] != ["journal"] or not asked[0][1]:
        raise _wrong("takes one parameter, ?journal=PATH, the file of the embedded store")
    where = f"[{host}]" if ":" in host else host
    uri = f"{parts.scheme}://{where}:{port or BOLT_PORT}"
    return Target(uri, database or DATABASE, Path(asked[0][1]))


def _wrong(what: str) -> Invalid:
    return Invalid(f"{SETTING} {what}; it looks like {FORM}", field=SETTING)


def read_credentials(uri: str, user: str, password_file: Path | None) -> tuple[str, str] | None:
    """Name and password; None for a server on this machine that asks for none.

    Raises:
        Invalid: If one of the two is missing, the file cannot be read, or the server is elsewhere and
            nothing says who asks.
    """
    if bool(user) != (password_file is not None):
        missing = "RISKGRAPH_NEO4J_USER" if password_file else "RISKGRAPH_NEO4J_PASSWORD_FILE"
        raise Invalid(f"{missing} is missing: user and password file belong together", field=missing)
    if password_file is None:
        host = urlsplit(uri).hostname or ""
        if not _on_this_machine(host):
            name = "RISKGRAPH_NEO4J_USER"
            told = f"a server on another machine ({host}) needs {name} and RISKGRAPH_NEO4J_PASSWORD_FILE"
            raise Invalid(told, field=name)
        return None
    field = "RISKGRAPH_NEO4J_PASSWORD_FILE"
    try:
        password = password_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as wrong:
        raise Invalid(f"{field} cannot be read: {password_file}", field=field) from wrong
    if not password:
        raise Invalid(f"{field} is empty: {password_file}", field=field)
    return user, password


def _on_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _warn_if_open(uri: str) -> None:
    """Say once, at opening, that whoever sits between may read along."""
    parts = urlsplit(uri)
    if "+" not in parts.scheme and not _on_this_machine(parts.hostname or ""):
        _LOG.warning(
            "%s is not encrypted and leaves this machine: password and hashes can be read on the way; "
            "use %s+s:// unless the network is private",
            uri,
            parts.scheme,
        )


def is_refusal(failure: BaseException | None) -> bool:
    """Whether the server turned a caller away, so that the next one need not try."""
    while failure is not None:
        if isinstance(failure, ConnectionRefusedError) or type(failure).__name__ == "AuthError":
            return True
        failure = failure.__cause__ or failure.__context__
    return False


class Connection:
    """Two drivers on the loop of one daemon thread; opening it waits for no server.

    ``read``, ``write`` and ``fetch`` run on that loop: other threads reach them through :meth:`submit`.

    Args:
        target: The server.
        credentials: Name and password, if it asks for them.
        limit_s: The most that one transaction of the background takes: on a connection that is half-open
            the driver itself waits for minutes.

    Raises:
        ExtraMissing: If the package ``neo4j`` is not installed.
    """

    def __init__(
        self, target: Target, credentials: tuple[str, str] | None = None, *, limit_s: float = BACKGROUND_S
    ) -> None:
        try:
            import neo4j
        except ImportError:
            raise ExtraMissing("a store in Neo4j", "neo4j") from None
        _warn_if_open(target.uri)
        self._neo4j = neo4j
        self._target, self._limit_s = target, limit_s
        # Held, since a loop refers to its tasks weakly.
        self._asked: set[Future[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name=f"riskgraph-neo4j-{target.journal.name}", daemon=True)
        self._thread.start()
        self._hot, self._writer = self.submit(self._open(credentials)).result()

    async def _open(self, credentials: tuple[str, str] | None) -> tuple[AsyncDriver, AsyncDriver]:
        open_driver = self._neo4j.AsyncGraphDatabase.driver
        hot = open_driver(self._target.uri, auth=credentials, **_HOT)
        return hot, open_driver(self._target.uri, auth=credentials, **_WRITER)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run on the connection's loop, from any thread; cancelling the future cancels the work.

        Raises:
            RuntimeError: If the connection is closed.
        """
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise

    def soon(self, call: Callable[[], object]) -> None:
        """Call on the connection's loop, and do not wait."""
        self._loop.call_soon_threadsafe(call)

    async def fetch(
        self, query: LiteralString, parameters: Mapping[str, Any], timeout_s: float = READ_S
    ) -> list[list[Any]]:
        """Rows of one read, tried once.

        Args:
            query: The statement.
            parameters: Its parameters.
            timeout_s: When the server gives up; the caller's own deadline is another.
        """
        read = self._neo4j.Query(query, timeout=timeout_s)
        access = self._neo4j.READ_ACCESS
        async with self._hot.session(
            database=self._target.database, default_access_mode=access, fetch_size=-1
        ) as session:
            return await (await session.run(read, dict(parameters))).values()

    def ask(
        self, query: LiteralString, parameters: Mapping[str, Any], timeout_s: float
    ) -> Future[list[list[Any]]]:
        """:meth:`fetch` from any thread; whoever cancels the future only stops waiting.

        Cutting the read itself would cost its connection, and the next order the opening of another.
        """
        answer: Future[list[list[Any]]] = Future()

        async def work() -> None:
            try:
                async with asyncio.timeout(LEFT_S):
                    rows = await self.fetch(query, parameters, timeout_s)
            except BaseException as failure:
                if answer.set_running_or_notify_cancel():
                    answer.set_exception(failure)
                if not isinstance(failure, Exception):
                    raise
            else:
                if answer.set_running_or_notify_cancel():
                    answer.set_result(rows)

        running = self.submit(work())
        self._asked.add(running)
        running.add_done_callback(self._asked.discard)
        return answer

    async def rows(
        self, query: LiteralString, parameters: Mapping[str, Any], timeout_s: float
    ) -> list[dict[str, Any]]:
        """Rows by column of one read of the background, tried once; the server gives up at ``timeout_s``."""
        read = self._neo4j.Query(query, timeout=timeout_s)
        access = self._neo4j.READ_ACCESS
        async with self._writer.session(
            database=self._target.database, default_access_mode=access
        ) as session:
            return await (await session.run(read, dict(parameters))).data()

    async def read(self, work: Work[T]) -> T:
        """A managed reading transaction of the background, with retries; TimeoutError at its limit."""
        async with asyncio.timeout(self._limit_s), self._session() as session:
            return await session.execute_read(work)

    async def write(self, work: Work[T]) -> T:
        """A managed writing transaction of the background, with retries; TimeoutError at its limit."""
        async with asyncio.timeout(self._limit_s), self._session() as session:
            return await session.execute_write(work)

    def _session(self) -> AsyncSession:
        return self._writer.session(database=self._target.database)

    def close(self) -> None:
        """Stop what runs and let the drivers go, in a few seconds at most whatever the server does."""
        if not self._thread.is_alive():
            return
        with suppress(Exception):
            self.submit(self._shut()).result(2 * CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)

    async def _shut(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=CLOSE_S)
        for driver in (self._hot, self._writer):
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_S / 2):
                    await driver.close()
