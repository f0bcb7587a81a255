"""A world is sent to a service that really runs, and to one that keeps saying later."""

from __future__ import annotations

import http.server
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from riskgraph import chain
from riskgraph.eval.worlds import DECISIONS, World
from tests.support.cli import Ran, riskgraph
from tests.support.process import Server

ORDERS = 200


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    ran = riskgraph("simulate", "--orders", ORDERS, "--out", folder / "world", home=folder / "home")
    assert ran.code == 0, ran.err
    return folder / "world"


def replay(url: str, key: str, world: Path, home: Path, *more: object) -> Ran:
    arguments = ("--replay", url, "--world", world, "--json", *more)
    return riskgraph("simulate", *arguments, home=home, environment={"RISKGRAPH_KEY": key})


def test_a_second_run_gets_the_same_answers_and_changes_nothing(world: Path, tmp_path: Path) -> None:
    outcomes = len(list(World.open(world).outcomes()))
    with Server(tmp_path / "home", tmp_path / "log") as server:
        (key,) = server.first_keys()
        url = f"http://127.0.0.1:{server.port}"
        first = replay(url, key, world, tmp_path / "client").json()
        again = replay(f"{url}/", key, world, tmp_path / "client", "--in-flight", "1").json()
        wrong = replay(url, "rk_000000000000_x", world, tmp_path / "client")
    assert first["statuses"] == {"decisions": {"200": ORDERS}, "outcomes": {"202": outcomes}}
    assert sum(first["verdicts"].values()) == ORDERS
    assert (first["replayed"], first["outcomes_stored"], first["refusals"]) == (0, outcomes, [])
    assert again["statuses"] == first["statuses"]
    assert again["verdicts"] == first["verdicts"]
    assert (again["replayed"], again["outcomes_stored"]) == (ORDERS, 0)
    assert wrong.code == 1
    assert "refused the key" in wrong.error


class Stub(http.server.BaseHTTPRequestHandler):
    """Answers each call twice with "later", then at last; keeps what came, in order."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet: else each answer waits 40 ms for an acknowledgement.
    wbufsize = 65_536
    seen: list[tuple[str, bytes]]
    later: tuple[int, ...]
    refused: bytes

    def do_GET(self) -> None:
        self._say(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tries = self.seen.count((self.path, body))
        self.seen.append((self.path, body))
        if tries < len(self.later):
            self._say(self.later[tries], {"error": {"message": "later"}})
        elif self.path == DECISIONS and self.refused and self.refused in body:
            self._say(422, {"error": {"message": "not this one"}})
        elif self.path == DECISIONS:
            self._say(200, {"verdict": "accept", "degraded": False})
        else:
            self._say(202, {"stored": True})

    def _say(self, status: int, value: Any) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr: the command's own output is read there."""


class Listening(http.server.ThreadingHTTPServer):
    # As many as call at once, and some: a connection that is turned away would count as one more try.
    request_queue_size = 64


@contextmanager
def stub(later: tuple[int, ...] = (), refused: bytes = b"") -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    seen: list[tuple[str, bytes]] = []
    handler = type("Handler", (Stub,), {"seen": seen, "later": later, "refused": refused})
    with Listening(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def test_a_service_that_says_later_is_asked_again(world: Path, tmp_path: Path) -> None:
    with stub(later=(429, 503)) as (url, seen):
        told = replay(url, "rk", world, tmp_path / "home").json()
    calls = sum(sum(c.values()) for c in told["statuses"].values())
    assert set(Counter(seen).values()) == {3}
    assert len(seen) == 3 * calls
    assert told["retries"] >= 2 * calls


def test_one_call_at_a_time_keeps_the_order_of_time(world: Path, tmp_path: Path) -> None:
    with stub() as (url, seen):
        assert replay(url, "rk", world, tmp_path / "home", "--in-flight", "1").code == 0
    events, _ = chain.calls(world)
    assert seen == [(event.path, event.body) for event in events]


def test_a_replay_at_a_speed_takes_its_time(world: Path, tmp_path: Path) -> None:
    events, _ = chain.calls(world)
    times = [event.at for event in events]
    speed = (times[-1] - times[0]) / 2.0
    with stub() as (url, _):
        told = replay(url, "rk", world, tmp_path / "home", "--speed", speed).json()
    assert told["seconds"] >= 2.0


def test_calls_that_are_refused_are_counted_and_end_with_exit_code_1(world: Path, tmp_path: Path) -> None:
    first = next(iter(chain.calls(world)[0]))
    with stub(refused=b'"order_id":"' + json.loads(first.body)["order_id"].encode()) as (url, _):
        ran = replay(url, "rk", world, tmp_path / "home")
    told = json.loads(ran.out)
    assert ran.code == 1
    assert told["statuses"]["decisions"] == {"200": ORDERS - 1, "422": 1}
    assert told["refusals"][0] == "422 on /v1/decisions: not this one"


@pytest.mark.parametrize("in_flight", [1, 2, 16])
def test_a_refused_key_ends_it_with_one_plain_error_however_many_calls_run(
    world: Path, tmp_path: Path, in_flight: int
) -> None:
    with stub(later=(401,) * 3) as (url, _):
        ran = replay(url, "rk", world, tmp_path / "home", "--in-flight", in_flight)
    assert ran.code == 1
    assert "refused the key" in ran.error
