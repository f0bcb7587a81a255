"""A TCP proxy that misbehaves on demand: between a driver and its server, for benches and tests."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

Fault = Literal["none", "delay", "cut", "half_open", "reset", "refuse"]
Side = Literal["answers", "requests"]
T = TypeVar("T")
_CHUNK = 65_536
# Closing with a linger of zero seconds sends RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Mode:
    """How the proxy behaves, towards connections that are open and towards new ones.

    Attributes:
        fault: ``none`` passes all; ``delay`` passes each piece of the server's answers ``seconds`` late, or
            as the next mode says once that is set; ``cut`` passes the next ``after`` bytes of the answers on
            each connection, then closes it; ``half_open`` accepts, swallows all and says nothing, also where
            no server is, and a connection that swallowed something stays silent until it is closed;
            ``reset`` answers with RST; ``refuse`` closes what is open and listens no more.
        seconds: Of ``delay``.
        after: Bytes of ``cut``: a number inside of a frame cuts it.
    """

    fault: Fault = "none"
    seconds: float = 0.0
    after: int = 0


@dataclass(slots=True)
class _Link:
    """What is remembered of one connection: whether bytes of it are lost, and what a cut still passes."""

    silent: bool = False
    changes: int = -1
    left: int = 0


class FaultProxy:
    """Listens on a port of loopback, in a thread of its own, and passes to ``host:port`` as its mode says."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._mode = Mode()
        self._changes = 0
        # What comes once so many more bytes of one side have passed.
        self._later: tuple[Mode, Side] | None = None
        self._left = 0
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, where: TracebackType | None) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, mode: Mode) -> None:
        """Behave so from now on; returns once it holds."""
        self._call(self._set(mode))

    def set_later(self, mode: Mode, after: int, side: Side = "answers") -> None:
        """Pass all until ``after`` bytes of a side have passed over all connections, then behave so."""
        self._call(self._set(Mode()))
        self._left, self._later = after, (mode, side)

    @property
    def struck(self) -> bool:
        """Whether no fault is still to come."""
        return self._later is None

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _set(self, mode: Mode) -> None:
        self._mode, self._changes, self._later = mode, self._changes + 1, None
        self._changed.set()
        self._changed = asyncio.Event()
        if mode.fault in ("reset", "refuse"):
            self._close_all(reset=mode.fault == "reset")
        if mode.fault == "refuse":
            self._stop_listening()
        elif self._server is None:
            await self._listen()

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _close_all(self, *, reset: bool) -> None:
        for writer in tuple(self._open):
            _close(writer, reset=reset)

    async def _end(self) -> None:
        self._stop_listening()
        self._close_all(reset=False)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            _close(writer, reset=False)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode.fault == "reset":
            _close(writer, reset=True)
            return
        if self._mode.fault == "half_open":
            with suppress(OSError):
                while await reader.read(_CHUNK):
                    pass
            return
        try:
            theirs, ours = await asyncio.open_connection(*self._target)
        except OSError:
            return
        self._open.add(ours)
        link = _Link()
        ways = [
            asyncio.ensure_future(self._pass(link, reader, ours, "requests")),
            asyncio.ensure_future(self._pass(link, theirs, writer, "answers")),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._open.discard(ours)
            _close(ours, reset=False)

    async def _pass(
        self, link: _Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, side: Side
    ) -> None:
        answers = side == "answers"
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if self._later is not None and self._later[1] == side:
                    data = await self._pass_before(data, sink)
                    if self._later is not None or sink.is_closing():
                        continue
                mode = await self._due() if answers else self._mode
                link.silent |= mode.fault == "half_open"
                if link.silent:
                    continue
                cut = mode.fault == "cut" and answers
                if cut:
                    if link.changes != self._changes:
                        link.changes, link.left = self._changes, mode.after
                    data = data[: link.left]
                    link.left -= len(data)
                sink.write(data)
                await sink.drain()
                if cut and link.left == 0:
                    return

    async def _pass_before(self, data: bytes, sink: asyncio.StreamWriter) -> bytes:
        """What comes after the last byte before the fault, which is there then."""
        later = self._later
        assert later is not None
        first, rest = data[: self._left], data[self._left :]
        # Before it waits: the bytes of all connections count, and others pass meanwhile.
        self._left -= len(first)
        strikes = self._left == 0
        sink.write(first)
        await sink.drain()
        if strikes and self._later is later:
            await self._set(later[0])
        return rest

    async def _due(self) -> Mode:
        """The mode by which a piece of an answer goes on, once it may."""
        while (mode := self._mode).fault == "delay":
            try:
                await asyncio.wait_for(self._changed.wait(), mode.seconds)
            except TimeoutError:
                break
        return mode


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        found = writer.get_extra_info("socket")
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
    else:
        writer.close()
