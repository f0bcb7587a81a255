"""The service as an operator runs it: a process, a key, HTTP, a kill and a restart."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import DEADLINE_S, Server

ORDER: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden/order.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    folder = tmp_path_factory.mktemp("serving")
    with Server(folder / "home", folder / "log") as server:
        (key,) = server.first_keys()
        yield server, f"Bearer {key}"


def order(number: int) -> bytes:
    return json.dumps(ORDER | {"order_id": f"A-{number}"}).encode()


class Shopper(threading.Thread):
    """Sends orders one after another until the connection breaks; keeps what was acknowledged."""

    def __init__(self, server: Server, key: str, enough: int) -> None:
        super().__init__(daemon=True)
        self.server, self.key, self.enough = server, key, enough
        self.acknowledged: dict[int, bytes] = {}
        self.refused: list[int] = []
        self.warm = threading.Event()

    def run(self) -> None:
        for number in range(100_000):
            try:
                reply = self.server.call("POST", "/v1/decisions", order(number), Authorization=self.key)
            except (OSError, http.client.HTTPException):
                break
            if reply.status == 200:
                self.acknowledged[number] = reply.body
            else:
                self.refused.append(reply.status)
            if len(self.acknowledged) >= self.enough or self.refused:
                self.warm.set()
        self.warm.set()


@pytest.mark.parametrize("kill", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_a_kill_in_the_middle_of_the_load_loses_no_acknowledged_decision(tmp_path, kill):
    home = tmp_path / "home"
    with Server(home, tmp_path / "first.log") as server:
        (key,) = server.first_keys()
        bearer = f"Bearer {key}"
        shopper = Shopper(server, bearer, enough=20 + 7 * kill)
        shopper.start()
        assert shopper.warm.wait(DEADLINE_S)
        server.kill()
        shopper.join(DEADLINE_S)
    assert not shopper.refused
    assert len(shopper.acknowledged) >= 20
    with Server(home, tmp_path / "second.log") as server:
        assert server.first_keys() == []
        for number, answer in shopper.acknowledged.items():
            stored = server.call(
                "GET", f"/v1/decisions/{json.loads(answer)['decision_id']}", Authorization=bearer
            )
            assert (stored.status, stored.body) == (200, answer)
            again = server.call("POST", "/v1/decisions", order(number), Authorization=bearer)
            assert (again.status, again.body) == (200, answer)
            assert again.headers["idempotent-replayed"] == "true"


def test_the_report_of_a_decision_can_be_read_over_http(serving):
    server, bearer = serving
    made = server.call("POST", "/v1/decisions", order(-1), Authorization=bearer).json()
    report = server.call("GET", made["report"]["json"], Authorization=bearer)
    assert report.json()["decision_id"] == made["decision_id"]
    page = server.call("GET", made["report"]["html"] + "&lang=zh", Authorization=bearer)
    assert page.status == 200
    assert page.body.startswith(b"<!")


def wrong(**changes: Any) -> bytes:
    return json.dumps(ORDER | changes).encode()


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b"\xff\xfe", 400, None),
        (b'{"a":' * 20 + b"1" + b"}" * 20, 400, None),
        (b" " * 70_000, 413, None),
        (b"{}", 422, "merchant_id"),
        (wrong(order_id=""), 422, "order_id"),
        (wrong(order_id="A-w", religion="x"), 422, "religion"),
        (wrong(order_id="A-w", placed_at="yesterday"), 422, "placed_at"),
        (wrong(order_id="A-w", placed_at="2199-01-01T00:00:00Z"), 422, "placed_at"),
        (wrong(order_id="A-w", signals={"B093": -1}), 422, "signals.B093"),
        (wrong(order_id="A-w", signals={"B999": 1}), 422, "signals.B999"),
        (wrong(order_id="A-w", amount={"value": "-1", "currency": "CNY"}), 422, "amount.value"),
    ],
    ids=lambda part: part[-30:].decode("latin-1").strip() if isinstance(part, bytes) else str(part),
)  # fmt: skip
def test_a_wrong_body_is_refused_in_the_one_shape(serving, body, status, field):
    server, bearer = serving
    reply = server.call("POST", "/v1/decisions", body, Authorization=bearer)
    error = reply.json()["error"]
    assert (reply.status, error["field"]) == (status, field)
    assert set(error) == {"code", "message", "field", "trace_id"}
    assert error["message"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/decisions", {}, 401),
        ("POST", "/v1/decisions", {"Authorization": "Bearer rk_000000000000_x"}, 401),
        ("GET", "/v1/decisions/none", None, 404),
        ("GET", "/v1/nothing", None, 404),
        ("PUT", "/v1/decisions", None, 405),
        ("GET", "/v1/decisions/none/report?law=roman", None, 422),
    ],
)
def test_other_refusals_have_the_same_shape(serving, method, path, headers, status):
    server, bearer = serving
    body = b"{}" if method in ("POST", "PUT") else None
    sent = {"Authorization": bearer} if headers is None else headers
    reply = server.call(method, path, body, **sent)
    assert reply.status == status
    assert set(reply.json()["error"]) == {"code", "message", "field", "trace_id"}


def test_a_kill_loses_no_objection_and_no_ruling_that_was_acknowledged(tmp_path):
    home = tmp_path / "home"
    acknowledged: dict[str, str] = {}
    with Server(home, tmp_path / "first.log") as server:
        (key,) = server.first_keys()
        bearer = f"Bearer {key}"
        made = [
            server.call("POST", "/v1/decisions", order(n), Authorization=bearer).json()["decision_id"]
            for n in range(8)
        ]
        kill = threading.Timer(0, server.kill)
        for name in made * 1000:
            body = {"decision_id": name, "wish": "view", "text": f"words {len(acknowledged)}"}
            try:
                reply = contest(server, bearer, body)
            except (OSError, http.client.HTTPException):
                break
            if reply.status == 201:
                acknowledged[reply.json()["contest_id"]] = name
            if len(acknowledged) == 30:
                assert rule(server, bearer, made[0]) == "closed"
                # While more are on their way: what is acknowledged until then must be there.
                kill.start()
        kill.join(DEADLINE_S)
    assert len(acknowledged) >= 30
    with Server(home, tmp_path / "second.log") as server:
        for name in made:
            path = f"/v1/reviews/{name}"
            case = server.call("GET", path, Authorization=bearer).json()
            there = {row["contest_id"] for row in case["contests"]}
            assert {key for key, of in acknowledged.items() if of == name} <= there
            assert len([row for row in case["history"] if row["kind"] == "contested"]) == len(there)
        answer = server.call("GET", f"/v1/decisions/{made[0]}", Authorization=bearer).json()
        assert answer["review"]["stands"]["by"] == "person"


def contest(server: Server, bearer: str, body: dict[str, Any]) -> Any:
    return server.call("POST", "/v1/contests", json.dumps(body).encode(), Authorization=bearer)


def rule(server: Server, bearer: str, name: str) -> str:
    """Claim a case and decide it; returns its state then."""
    now = server.call("GET", f"/v1/decisions/{name}", Authorization=bearer).json()
    verdict = "reject" if now["verdict"] == "accept" else "accept"
    steps = (
        {"step": "claim"},
        {"step": "decide", "outcome": "overturn", "verdict": verdict, "evidence": ["x"], "reason": "y"},
    )
    for step in steps:
        body = json.dumps(step | {"reviewer": "Li Na"}).encode()
        reply = server.call("POST", f"/v1/reviews/{name}", body, Authorization=bearer)
        assert reply.status == 200, reply.body
    state: str = reply.json()["state"]
    return state
