"""The proxy that stands between driver and server: each fault is what its name says, and ends."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from riskgraph.bench.fault_proxy import FaultProxy, Mode

DEADLINE_S = 20.0
NOT_SOON_S = 0.3


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            while data := self.request.recv(4096):
                self.request.sendall(data)


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with FaultProxy("127.0.0.1", server.server_address[1]) as opened:
            yield opened
        server.shutdown()


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with connected(proxy) as opened:
        assert echoed(opened) == b"hello"
        yield opened


def connected(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=DEADLINE_S)


def echoed(client: socket.socket, data: bytes = b"hello") -> bytes:
    client.sendall(data)
    return received(client, len(data))


def received(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (piece := client.recv(count - len(found))):
        found += piece
    return found


def silent(client: socket.socket) -> bool:
    """Whether nothing comes, not even an end, for as long as one cares to wait."""
    client.settimeout(NOT_SOON_S)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(DEADLINE_S)
    return False


def test_without_a_fault_all_passes_and_after_one_it_does_again(proxy, client):
    proxy.set(Mode("delay", seconds=0.01))
    assert echoed(client) == b"hello"
    proxy.set(Mode())
    assert echoed(client, b"x" * 200_000) == b"x" * 200_000


def test_an_answer_is_cut_inside_of_its_frame(proxy, client):
    proxy.set(Mode("cut", after=3))
    client.sendall(b"hello")
    assert received(client, 5) == b"hel"


def test_a_cut_is_one_of_each_connection(proxy):
    proxy.set(Mode("cut", after=3))
    for _ in range(3):
        with connected(proxy) as client:
            client.sendall(b"hello")
            assert received(client, 5) == b"hel"


def test_a_cut_at_once_passes_nothing(proxy, client):
    proxy.set(Mode("cut", after=0))
    client.sendall(b"hello")
    assert received(client, 5) == b""


def test_a_delay_holds_an_answer_back_until_another_mode_is_set(proxy, client):
    proxy.set(Mode("delay", seconds=3600))
    client.sendall(b"hello")
    assert silent(client)
    proxy.set(Mode())
    assert received(client, 5) == b"hello"


def test_what_a_half_open_connection_lost_does_not_come_back_but_others_pass(proxy, client):
    proxy.set(Mode("half_open"))
    client.sendall(b"lost")
    assert silent(client)
    proxy.set(Mode())
    client.sendall(b"hello")
    assert silent(client)
    with connected(proxy) as other:
        assert echoed(other) == b"hello"


def test_half_open_needs_no_server_behind_it():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with FaultProxy("127.0.0.1", port) as proxy:
        proxy.set(Mode("half_open"))
        with connected(proxy) as client:
            client.sendall(b"hello")
            assert silent(client)
        proxy.set(Mode())
        with connected(proxy) as client:
            assert client.recv(1) == b""


def test_leaving_ends_all_connections_and_its_thread(proxy):
    with FaultProxy(*proxy._target) as other:
        client = connected(other)
        assert echoed(client) == b"hello"
        other.set(Mode("delay", seconds=3600))
        client.sendall(b"hello")
    with client:
        assert received(client, 5) == b""
    assert other._thread.is_alive() is False


def test_a_half_open_connection_says_nothing_and_stays(proxy, client):
    proxy.set(Mode("half_open"))
    client.sendall(b"hello")
    assert silent(client)
    with connected(proxy) as other:
        other.sendall(b"hello")
        assert silent(other)


def test_a_reset_reaches_open_and_new_connections(proxy, client):
    proxy.set(Mode("reset"))
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionResetError), connected(proxy) as other:
        other.recv(1)


def test_a_refusing_proxy_closes_what_is_open_and_comes_back_on_its_port(proxy, client):
    port = proxy.port
    proxy.set(Mode("refuse"))
    assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(proxy)
    proxy.set(Mode())
    assert proxy.port == port
    with connected(proxy) as other:
        assert echoed(other) == b"hello"


class Full:
    """Where bytes go that nobody takes, until it may."""

    def __init__(self) -> None:
        self.written, self.may = b"", asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        await self.may.wait()


def test_the_bytes_of_all_connections_count_also_of_those_that_nobody_has_taken_yet(proxy):
    proxy.set_later(Mode("reset"), 8, "requests")

    async def both() -> tuple[bytes, bytes]:
        sinks = Full(), Full()
        passing = [asyncio.create_task(proxy._pass_before(b"hello", sink)) for sink in sinks]
        await asyncio.sleep(0)
        for sink in sinks:
            sink.may.set()
        rests = await asyncio.gather(*passing)
        return b"".join(sink.written for sink in sinks), b"".join(rests)

    assert proxy._call(both()) == (b"hellohel", b"lo")
    assert proxy.struck


@pytest.mark.parametrize("fault", ["cut", "reset", "refuse", "half_open"])
def test_a_fault_comes_after_so_many_bytes_of_what_is_asked(proxy, client, fault):
    proxy.set_later(Mode(fault), 8, "requests")
    assert echoed(client) == b"hello"
    assert not proxy.struck
    client.sendall(b"hello")
    client.settimeout(NOT_SOON_S)
    with suppress(OSError):  # how much of the answer comes through before the end is a matter of time
        assert received(client, 5) in (b"", b"h", b"he", b"hel")
    assert proxy.struck
    proxy.set(Mode())
    with connected(proxy) as other:
        assert echoed(other) == b"hello"
