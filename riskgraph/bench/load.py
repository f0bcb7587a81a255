"""An open-loop HTTP load on loopback: requests leave on schedule, whatever the server does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONNECTIONS = 32


@dataclass(frozen=True)
class Load:
    """Milliseconds from the scheduled start to the last byte, and the statuses."""

    ms: NDArray[np.float64]
    statuses: list[int]

    def quantile(self, q: float) -> float:
        return float(np.quantile(self.ms, q))


class Connection:
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, key: str, body: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._address[0]}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        lines = answer.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        await reader.readexactly(length)
        return int(answer[9:12])

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def _drive(host: str, port: int, path: str, key: str, bodies: Sequence[bytes], rate: float) -> Load:
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    connections = [Connection(host, port) for _ in range(CONNECTIONS)]
    for connection in connections:
        idle.put_nowait(connection)
    start = time.perf_counter()

    async def one(i: int, body: bytes) -> tuple[float, int]:
        due = start + i / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = await idle.get()
        status = await connection.post(path, key, body)
        idle.put_nowait(connection)
        return (time.perf_counter() - due) * 1000, status

    results = await asyncio.gather(*(one(i, body) for i, body in enumerate(bodies)))
    for connection in connections:
        connection.close()
    return Load(np.array([ms for ms, _ in results]), [status for _, status in results])


def drive(url: str, path: str, key: str, bodies: Sequence[bytes], rate: float) -> Load:
    """Send each body once, ``rate`` a second."""
    host, _, port = url.removeprefix("http://").partition(":")
    return asyncio.run(_drive(host, int(port), path, key, bodies, rate))
