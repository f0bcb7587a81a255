"""A page of the shop with the browser SDK, and what can befall it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

from riskgraph import bootstrap
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.governance.keys import create_key
from tests.api.conftest import order

ORIGIN = "https://shop.example"

FLUSH = json.loads((Path(__file__).parents[1] / "golden/flush.json").read_text())

ALL = {"behavior": True, "motion": False, "location": False, "device": True}


class Sdk:
    """What a page of the shop does."""

    def __init__(self, shop):
        self.shop = shop
        with bootstrap.open_keys(shop.settings) as store:
            self.key = create_key(
                store, roles=["publishable"], org="m-17", origins=[ORIGIN], per_second=10_000
            )

    def post(self, path, body, origin=ORIGIN, **headers):
        headers |= {"Content-Type": "text/plain;charset=UTF-8"} | ({"Origin": origin} if origin else {})
        return self.shop.client.post(path, content=json.dumps(body), headers=headers)

    def opening(self, record="c-1", at=None, purposes=ALL, **changes):
        at = at or datetime.now(UTC).isoformat()
        consent = {"record_id": record, "policy_version": "2026-10", "at": at, "purposes": purposes}
        return {"v": 1, "key": self.key, "consent": consent} | changes

    def open(self, record="c-1", **kwargs):
        answer = self.post("/v1/sessions", self.opening(record, **kwargs))
        assert answer.status_code == 201, answer.text
        return answer.json() | {"record": record}

    def flush(self, session, seq=1, origin=ORIGIN, **changes):
        return self.post("/v1/behavior", self.body(session, seq, **changes), origin)

    def body(self, session, seq=1, **changes):
        named = {"session": session["session"], "nonce": session["nonce"], "consent_id": session["record"]}
        return copy.deepcopy(FLUSH) | named | {"seq": seq} | changes

    def withdraw(self, session, origin=ORIGIN, nonce=None):
        path = f"/v1/behavior/{session['session']}"
        body = json.dumps({"nonce": nonce or session["nonce"]})
        return self.shop.client.request("DELETE", path, content=body, headers={"Origin": origin})

    def decide(self, session, order_id="A-1001", **changes):
        """The subgraph of an order that names a session, without any other sdk node."""
        body = order(order_id=order_id, session=session["session"], signals={}, absent={}) | changes
        answer = self.shop.decide(body)
        assert answer.status_code == 200, answer.text
        found = self.shop.service.store.read_record(answer.json()["decision_id"]).report
        return OrderSubgraph.unpack(found.subgraph)


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


def later(sdk, monkeypatch, seconds):
    clock = sdk.shop.service.line.clock
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + seconds)


def break_sessions(sdk):
    store = sdk.shop.service.collecting.store
    store.close()
    for file in store.path.parent.glob(f"{store.path.name}*"):
        file.unlink()
    store.path.write_bytes(b"no database" * 1000)
