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
T = TypeVar("T")
_CHUNK = 65_536
# Closing with a linger of zero seconds sends RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Mode:
    """How the proxy behaves, towards connections that are open and towards new ones.

    Attributes:
        fault: ``none`` passes all; ``delay`` passes each piece ``seconds`` late; ``cut`` passes the next
            ``after`` bytes of the server's answers, then closes; ``half_open`` swallows all and says nothing;
            ``reset`` answers with RST; ``refuse`` closes what is open and listens no more.
        seconds: Of ``delay``.
        after: Bytes of ``cut``: a number inside of a frame cuts it.
    """

    fault: Fault = "none"
    seconds: float = 0.0
    after: int = 0


class FaultProxy:
    """Listens on a port of loopback, in a thread of its own, and passes to ``host:port`` as its mode says."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._mode = Mode()
        self._left = 0
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

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _set(self, mode: Mode) -> None:
        self._mode, self._left = mode, mode.after
        if mode.fault in ("reset", "refuse"):
            await self._close_all(reset=mode.fault == "reset")
        if mode.fault == "refuse":
            await self._stop_listening()
        elif self._server is None:
            await self._listen()

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _close_all(self, *, reset: bool) -> None:
        for writer in tuple(self._open):
            _close(writer, reset=reset)

    async def _end(self) -> None:
        await self._stop_listening()
        await self._close_all(reset=False)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode.fault == "reset":
            _close(writer, reset=True)
            return
        try:
            theirs, ours = await asyncio.open_connection(*self._target)
        except OSError:
            _close(writer, reset=False)
            return
        pair = {writer, ours}
        self._open |= pair
        ways = [
            asyncio.ensure_future(self._pass(reader, ours)),
            asyncio.ensure_future(self._pass(theirs, writer, answers=True)),
        ]
        self._tasks.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._tasks.difference_update(ways)
        self._open -= pair
        for end in pair:
            _close(end, reset=False)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                mode = self._mode
                if mode.fault == "half_open":
                    continue
                if mode.fault == "delay":
                    await asyncio.sleep(mode.seconds)
                elif mode.fault == "cut" and answers:
                    data, self._left = data[: self._left], self._left - len(data)
                sink.write(data)
                await sink.drain()
                if mode.fault == "cut" and answers and self._left <= 0:
                    return


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        found = writer.get_extra_info("socket")
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
    else:
        writer.close()
