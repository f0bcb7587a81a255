"""The browser SDK's calls over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from riskgraph import bootstrap
from riskgraph.api import behavior
from riskgraph.api.app import create_app, purge_until
from riskgraph.collecting import SHARED_RECORDS
from riskgraph.commands.serve import HideLinks
from riskgraph.core.errors import StorageUnavailable
from riskgraph.core.subgraph import State
from riskgraph.governance.contest_links import ContestLinks
from riskgraph.governance.keys import create_key
from riskgraph.settings import Settings
from riskgraph.stores.sessions import EXPIRES_S, KEPT_S
from tests.api.conftest import order
from tests.support.sdk import ALL, FLUSH, ORIGIN, break_sessions, code, later


def test_the_page_gets_a_token_a_nonce_and_how_long_they_last(sdk):
    opened = sdk.post("/v1/sessions", sdk.opening())
    assert opened.headers["cache-control"] == "no-store"
    body = opened.json()
    assert body.keys() == {"session", "nonce", "expires_in"}
    assert body["expires_in"] == 14_400
    assert max(len(body["session"]), len(body["nonce"])) <= 200


@pytest.mark.parametrize("origin", [None, "https://shop.example.evil.example", "http://shop.example", "null"])
def test_a_session_is_opened_from_the_origins_of_its_key_alone(sdk, origin):
    answer = sdk.post("/v1/sessions", sdk.opening(), origin)
    assert code(answer) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("role", ["checkout", "admin"])
def test_a_secret_key_opens_no_session(sdk, role):
    secret = sdk.shop.keys[role]
    for key in (secret, secret.replace("rk_", "pk_", 1)):
        assert code(sdk.post("/v1/sessions", sdk.opening(key=key))) == (401, "unauthenticated")


def test_a_publishable_key_opens_nothing_else(sdk):
    for key in (sdk.key, sdk.key.replace("pk_", "rk_", 1)):
        headers = {"Authorization": f"Bearer {key}"}
        answer = sdk.shop.client.post("/v1/decisions", json=order(), headers=headers)
        assert code(answer) == (401, "unauthenticated")


def test_a_revoked_key_opens_no_session_and_its_sessions_take_no_more(sdk):
    session = sdk.open()
    sdk.shop.service.store.revoke_key(sdk.key.split("_")[1])
    assert code(sdk.post("/v1/sessions", sdk.opening())) == (401, "unauthenticated")
    assert code(sdk.flush(session)) == (403, "unknown_session")


def consent(**changes):
    record = {"record_id": "c", "policy_version": "1", "at": datetime.now(UTC).isoformat(), "purposes": ALL}
    return {"consent": record | changes}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"v": 2}, "v"),
        ({"page": "/cart"}, "page"),
        (consent(ip="203.0.113.9"), "consent.ip"),
        (consent(purposes={"behavior": False}), "consent.purposes"),
        (consent(purposes={}), "consent.purposes"),
        (consent(purposes={"mind_reading": True}), "consent.purposes.mind_reading"),
        (consent(purposes={"behavior": 1}), "consent.purposes.behavior"),
        (consent(record_id="c" * 201), "consent.record_id"),
        (consent(record_id=None), "consent.record_id"),
        (consent(at="2020-01-01T00:00:00Z"), "consent.at"),
        (consent(at="2090-01-01T00:00:00Z"), "consent.at"),
        (consent(at="2026-11-11T12:00:00"), "consent.at"),
    ],
)
def test_an_opening_that_is_wrong_names_its_field(sdk, changes, field):
    answer = sdk.post("/v1/sessions", sdk.opening() | changes)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_bodies_have_a_most(sdk):
    assert code(sdk.post("/v1/sessions", sdk.opening(pad="x" * 2_048))) == (413, "too_large")
    assert code(sdk.post("/v1/behavior", {"pad": "x" * 4_096})) == (413, "too_large")


def test_what_is_no_json_is_told_so(sdk):
    answer = sdk.shop.client.post("/v1/behavior", content=b"{", headers={"Origin": ORIGIN})
    assert code(answer) == (400, "bad_request")
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_a_flush_that_breaks_the_schema_names_its_field(sdk):
    session = sdk.open()
    answer = sdk.flush(session, counters={"password": 1})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "counters.password")


def test_a_flush_tells_nothing_beyond_the_consent(sdk):
    session = sdk.open(purposes={"behavior": True})
    assert code(sdk.flush(session)) == (422, "purpose_not_granted")


def test_nobody_learns_from_a_refusal_whether_a_session_exists(sdk):
    session, other = sdk.open(), sdk.open("c-2")
    wrong = [
        sdk.flush(session | {"session": "unknown"}),
        sdk.flush(session | {"nonce": "wrong"}),
        sdk.flush(session | {"nonce": other["nonce"]}),
        sdk.flush(session | {"record": "c-2"}),
        sdk.flush(session, origin="https://elsewhere.example"),
        sdk.withdraw(session | {"session": "unknown"}),
        sdk.withdraw(session, nonce="wrong"),
        sdk.withdraw(session, origin="https://elsewhere.example"),
    ]
    assert {(answer.status_code, answer.content) for answer in wrong} == {(403, wrong[0].content)}
    assert code(wrong[0]) == (403, "unknown_session")


def test_a_beacon_without_an_origin_counts(sdk):
    assert sdk.flush(sdk.open(), origin=None).json() == {"counted": True}


def test_a_session_that_sends_too_fast_is_told_to_wait(sdk):
    session = sdk.open()
    statuses = [sdk.flush(session, seq).status_code for seq in range(30)]
    assert statuses[:20] == [202] * 20
    assert 429 in statuses


def test_withdrawals_of_a_session_have_a_limit_and_never_wait_behind_its_flushes(sdk, monkeypatch):
    session = sdk.open()
    while sdk.flush(session).status_code == 202:
        pass
    written = []
    store = sdk.shop.service.collecting.store
    whole = store.withdraw
    monkeypatch.setattr(store, "withdraw", lambda *args: (written.append(args), whole(*args)))
    answers = [sdk.withdraw(session) for _ in range(30)]
    assert [answer.status_code for answer in answers[:20]] == [204] * 20
    assert 429 in [answer.status_code for answer in answers]
    assert len(written) == 1


def test_a_key_has_its_own_limit(sdk):
    with bootstrap.open_keys(sdk.shop.settings) as store:
        sdk.key = create_key(store, roles=["publishable"], org="m-17", origins=[ORIGIN], per_second=1)
    answers = [sdk.post("/v1/sessions", sdk.opening(f"c-{i}")) for i in range(9)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited
    assert "retry-after" in limited[0].headers
    assert limited[0].headers["access-control-allow-origin"] == ORIGIN


def test_a_service_takes_out_what_is_over_its_time_though_nobody_opens_a_session(sdk, monkeypatch):
    session = sdk.open()
    sdk.flush(session)
    store = sdk.shop.service.collecting.store
    later(sdk, monkeypatch, EXPIRES_S + KEPT_S + 60)
    before = store.find(session["session"])
    with TestClient(create_app(sdk.shop.service)) as client:
        client.get("/healthz")
    assert before is not None
    assert store.find(session["session"]) is None


def test_purging_goes_on_after_a_failure_until_the_service_ends(caplog):
    calls = []

    async def run():
        ended = asyncio.Event()

        def purge():
            calls.append(len(calls))
            if len(calls) == 1:
                raise StorageUnavailable("the disk is full")
            if len(calls) == 3:
                loop.call_soon_threadsafe(ended.set)

        loop = asyncio.get_running_loop()
        await purge_until(ended, purge, every_s=0.0)

    asyncio.run(asyncio.wait_for(run(), 60))
    assert len(calls) == 3
    assert "disk is full" in caplog.text


def test_a_page_of_the_shop_may_withdraw_across_origins(sdk):
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
    answer = sdk.shop.client.options("/v1/behavior/x", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


def test_no_other_page_may_and_no_other_route_has_cors(sdk):
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "DELETE"}
    assert sdk.shop.client.options("/v1/behavior/x", headers=asked).status_code == 400
    asked["Origin"] = ORIGIN
    answer = sdk.shop.client.options("/v1/decisions", headers=asked)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


def test_a_withdrawal_erases_and_nothing_more_is_taken_under_that_consent(sdk):
    at = datetime.now(UTC)
    session = sdk.open(at=at.isoformat())
    other_tab = sdk.open(at=at.isoformat())
    sdk.flush(session)
    assert [sdk.withdraw(session).status_code for _ in range(2)] == [204, 204]
    for refused in (
        sdk.flush(session, 2),
        sdk.flush(other_tab),
        sdk.post("/v1/sessions", sdk.opening(at=at.isoformat())),
    ):
        assert code(refused) == (403, "consent_withdrawn")
        assert refused.headers["access-control-allow-origin"] == ORIGIN
    given_anew = sdk.open(at=(at + timedelta(milliseconds=1)).isoformat())
    assert sdk.flush(given_anew).status_code == 202


def test_under_tcf_a_shopper_withdraws_for_nobody_else(sdk):
    """All who chose alike on one day have one TC string's digest, and its day."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).isoformat()
    record = "tcf-0f8e"
    alice, bob = sdk.open(record, at=day), sdk.open(record, at=day)
    for session in (alice, bob):
        assert sdk.flush(session).status_code == 202
    assert sdk.withdraw(alice).status_code == 204
    assert code(sdk.flush(alice, 2)) == (403, "consent_withdrawn")
    assert sdk.flush(bob, 2).status_code == 202
    assert sdk.decide(bob).state("B034") is State.PRESENT
    assert sdk.flush(sdk.open(record, at=day)).status_code == 202


def test_ids_that_shoppers_share_are_those_that_the_sdk_makes_of_a_tcf_string():
    """Prefix of the one id that the SDK makes itself; all others are the shop's."""
    source = Path(__file__).parents[2] / "sdk_js/src"
    made = {p.name: re.findall(r"\bid = `([^$`]*)\$", p.read_text()) for p in source.rglob("*.ts")}
    assert {name: ids for name, ids in made.items() if ids} == {"tcf.ts": [SHARED_RECORDS]}


def test_without_storage_the_page_is_told_and_may_come_again(sdk):
    session = sdk.open()
    break_sessions(sdk)
    for answer in (sdk.post("/v1/sessions", sdk.opening()), sdk.flush(session), sdk.withdraw(session)):
        assert code(answer) == (503, "storage_unavailable")
        assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_a_page_can_read_its_answer_while_the_origins_of_keys_cannot_be_read(sdk, monkeypatch, caplog):
    session = sdk.open()

    def broken():
        raise StorageUnavailable("the disk is full")

    monkeypatch.setattr(sdk.shop.service.store, "list_keys", broken)
    monkeypatch.setattr(behavior, "ORIGINS_S", 0.0)
    answer = sdk.withdraw(session)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "StorageUnavailable" in caplog.text


@pytest.mark.parametrize("path", ["/v1/behavior/TOKEN-LOOK-FOR-ME", "/contest/TOKEN-LOOK-FOR-ME"])
def test_an_unexpected_error_is_logged_without_the_token_in_its_path(sdk, caplog, monkeypatch, path):
    def broken(*_):
        raise RuntimeError("LOOK-FOR-ME")

    monkeypatch.setattr(sdk.shop.service.collecting.store, "find", broken)
    monkeypatch.setattr(ContestLinks, "decision", broken)
    method = "GET" if "contest" in path else "DELETE"
    answer = sdk.shop.client.request(method, path, content='{"nonce": "n"}')
    assert answer.status_code == 500
    assert "LOOK-FOR-ME" not in caplog.text
    assert f"RuntimeError on {path.rpartition('/')[0]}/{{" in caplog.text


def test_two_journals_of_a_folder_have_sessions_of_their_own(tmp_path):
    urls = [f"sqlite:///{tmp_path}/{name}" for name in ("riskgraph.db", "riskgraph", "other.db")]
    paths = {bootstrap.open_sessions(Settings(home=tmp_path, store_url=url)).path for url in urls}
    assert len(paths) == 3
    assert {path.parent for path in paths} == {tmp_path}


def test_no_session_token_stands_in_an_access_log():
    path = "/v1/behavior/token-LOOK-FOR-ME"
    record = logging.LogRecord(
        "uvicorn.access", 20, "", 0, "%s", ("1.2.3.4", "DELETE", path, "1.1", 204), None
    )
    assert HideLinks().filter(record)
    assert "LOOK-FOR-ME" not in str(record.args)


def test_the_description_of_the_service_has_the_calls_and_the_schema_of_a_flush(sdk):
    paths = sdk.shop.client.get("/openapi.json").json()["paths"]
    assert {"/v1/sessions", "/v1/behavior", "/v1/behavior/{session}"} <= paths.keys()
    flush = paths["/v1/behavior"]["post"]["requestBody"]["content"]["text/plain"]["schema"]
    assert flush["properties"].keys() == FLUSH.keys()
    assert "$ref" not in json.dumps(flush)
    for answers in (paths["/v1/sessions"]["post"], paths["/v1/behavior/{session}"]["delete"]):
        assert {"403", "413", "422", "429", "503"} <= answers["responses"].keys()
