"""The browser SDK's calls over HTTP, and what becomes of them in a decision."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from riskgraph import bootstrap
from riskgraph.core.subgraph import OrderSubgraph, State
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


@pytest.fixture
def sdk(shop):
    return Sdk(shop)


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


def test_flushes_twice_and_out_of_order_become_the_nodes_of_one_decision(sdk):
    session = sdk.open()
    for seq in (9, 4, 9):
        answer = sdk.flush(session, seq)
        assert answer.status_code == 202, answer.text
    assert not answer.json()["counted"]
    graph = sdk.decide(session)
    assert graph.state("B077") is State.PRESENT
    assert graph.state("B034") is State.PRESENT
    # 5 fields filled, none returned to; two flushes of 54 movements each
    assert graph.value("B045") == 0
    assert graph.value("B057") == 0
    assert graph.state("B026") is State.NOT_APPLICABLE
    assert graph.state("B030") is State.REFUSED
