"""The proxy that stands between driver and server: each fault is what its name says, and ends."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from riskgraph.bench.fault_proxy import FaultProxy, Mode

DEADLINE_S = 20.0
NOT_SOON_S = 0.3


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
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


def test_without_a_fault_all_passes_and_after_one_it_does_again(proxy, client):
    proxy.set(Mode("delay", seconds=0.01))
    assert echoed(client) == b"hello"
    proxy.set(Mode())
    assert echoed(client, b"x" * 200_000) == b"x" * 200_000


def test_an_answer_is_cut_inside_of_its_frame(proxy, client):
    proxy.set(Mode("cut", after=3))
    client.sendall(b"hello")
    assert received(client, 5) == b"hel"


def test_a_half_open_connection_says_nothing_and_stays(proxy, client):
    proxy.set(Mode("half_open"))
    client.sendall(b"hello")
    client.settimeout(NOT_SOON_S)
    with pytest.raises(TimeoutError):
        client.recv(1)
    with connected(proxy) as other:
        other.settimeout(NOT_SOON_S)
        other.sendall(b"hello")
        with pytest.raises(TimeoutError):
            other.recv(1)


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
