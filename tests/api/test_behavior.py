"""The browser SDK's calls over HTTP, and what becomes of them in a decision."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from riskgraph import bootstrap
from riskgraph.api import behavior
from riskgraph.api.app import create_app, purge_until
from riskgraph.collecting import SHARED_RECORDS
from riskgraph.commands.serve import HideLinks
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import StorageUnavailable
from riskgraph.core.order import parse_order
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.governance.contest_links import ContestLinks
from riskgraph.governance.keys import create_key
from riskgraph.pipeline import read_session
from riskgraph.settings import Settings
from riskgraph.stores.sessions import EXPIRES_S, KEPT_S
from riskgraph.subjects import who_is
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


def test_after_its_time_a_session_takes_nothing_but_its_order_still_has_it(sdk, monkeypatch):
    session = sdk.open()
    sdk.flush(session)
    later(sdk, monkeypatch, EXPIRES_S)
    assert code(sdk.flush(session, 2)) == (410, "session_expired")
    assert sdk.decide(session).state("B034") is State.PRESENT


def test_a_day_after_that_nothing_is_left_for_an_order(sdk, monkeypatch):
    session = sdk.open()
    sdk.flush(session)
    later(sdk, monkeypatch, EXPIRES_S + KEPT_S)
    assert sdk.decide(session).state("B034") is State.NOT_DELIVERED


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


def later(sdk, monkeypatch, seconds):
    clock = sdk.shop.service.line.clock
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + seconds)


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


def test_an_order_of_a_withdrawn_session_has_refusals_and_is_decided(sdk):
    session = sdk.open()
    sdk.flush(session)
    sdk.withdraw(session)
    graph = sdk.decide(session, signals={"B034": {"n": 30, "bins": [0, 0, 30, *[0] * 13]}})
    sdk_nodes = [node.id for node in catalog() if node.computed_by == "sdk"]
    assert {graph.state(node) for node in sdk_nodes} == {State.REFUSED}


def test_a_second_order_gets_nothing_from_a_session_but_an_attempt_does(sdk, caplog):
    session = sdk.open()
    sdk.flush(session)
    assert sdk.decide(session).state("B034") is State.PRESENT
    assert sdk.decide(session, attempt=2).state("B034") is State.PRESENT
    assert sdk.decide(session, phase="post_auth").state("B034") is State.PRESENT
    assert not caplog.records
    assert sdk.decide(session, "A-1002").state("B034") is State.NOT_DELIVERED
    (line,) = [record.getMessage() for record in caplog.records]
    assert session["session"] not in line


def test_a_session_wins_over_a_signal_and_a_signal_over_silence(sdk):
    session = sdk.open()
    sdk.flush(session)
    graph = sdk.decide(session, signals={"B045": 7, "B011": 3})
    assert graph.value("B045") == 0
    assert graph.value("B011") == 3


def test_the_consent_of_the_order_holds_too(sdk):
    session = sdk.open()
    sdk.flush(session)
    graph = sdk.decide(session, consent={"purposes": {"behavior": False}})
    assert graph.state("B034") is State.REFUSED
    assert graph.value("B077") == "desktop"


def test_what_the_order_does_not_state_is_as_the_session_says(sdk):
    session = sdk.open(purposes={"behavior": True, "device": False})
    flush = sdk.body(session)
    del flush["device_class"]
    assert sdk.post("/v1/behavior", flush).status_code == 202
    graph = sdk.decide(session, consent={})
    assert graph.state("B034") is State.PRESENT
    assert graph.state("B077") is State.REFUSED
    assert graph.state("B085") is State.NOT_DELIVERED


def test_an_order_with_a_session_that_is_not_there_is_decided_by_its_signals(sdk):
    graph = sdk.decide({"session": "unknown"}, signals={"B045": 7})
    assert graph.value("B045") == 7


def test_a_session_that_sent_nothing_tells_refusals_alone(sdk):
    graph = sdk.decide(sdk.open(purposes={"behavior": True, "device": False}), consent={})
    assert graph.state("B071") is State.NOT_DELIVERED
    assert graph.state("B077") is State.REFUSED


def test_an_order_goes_on_where_sessions_cannot_be_read(sdk, caplog):
    session = sdk.open()
    sdk.flush(session)
    break_sessions(sdk)
    assert sdk.decide(session).state("B034") is State.NOT_DELIVERED
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_an_order_waits_for_its_session_no_longer_than_its_share(sdk):
    class Slow:
        async def nodes(self, order):
            await asyncio.Event().wait()

    shop = sdk.shop
    line = replace(shop.service.line, behavior=Slow(), deadline_ms=10)
    read = asyncio.run(read_session(parse_order(order(session="s"), line.door), line))
    assert read.session == "s"


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


def break_sessions(sdk):
    store = sdk.shop.service.collecting.store
    store.close()
    for file in store.path.parent.glob(f"{store.path.name}*"):
        file.unlink()
    store.path.write_bytes(b"no database" * 1000)


def test_two_journals_of_a_folder_have_sessions_of_their_own(tmp_path):
    urls = [f"sqlite:///{tmp_path}/{name}" for name in ("riskgraph.db", "riskgraph", "other.db")]
    paths = {bootstrap.open_sessions(Settings(home=tmp_path, store_url=url)).path for url in urls}
    assert len(paths) == 3
    assert {path.parent for path in paths} == {tmp_path}


def test_a_replayed_visit_is_refused(sdk):
    bins = [3, 9, 21, 40, 33, 18, 7, 2, 1, 4, 11, 26, 38, 29, 12, 5]
    names = ("ptr_speed", "ptr_gap", "ptr_accel", "ptr_turn")
    zones = {"any": {name: {"n": sum(bins), "h": bins} for name in names}}
    assert sdk.flush(sdk.open(), zones=zones).status_code == 202
    thief = sdk.open("c-2")
    assert code(sdk.flush(thief, zones=zones)) == (409, "behavior_replayed")
    assert sdk.decide(thief).state("B014") is State.NOT_DELIVERED


def in_small_flushes(sdk, session, bins, names):
    """One visit of which no flush has evidence for a refusal."""
    for seq, name in enumerate(names):
        half = [n // 2 for n in bins]
        for part, counts in enumerate((half, [a - b for a, b in zip(bins, half, strict=True)])):
            zones = {"any": {name: {"n": sum(counts), "h": counts}}}
            answer = sdk.flush(session, 2 * seq + part, zones=zones, counters={"moves": sum(counts)})
            assert answer.status_code == 202, answer.text
    return session


def test_a_visit_that_is_replayed_in_small_flushes_gives_its_order_nothing(sdk, caplog):
    bins = [3, 9, 21, 40, 33, 18, 7, 2, 1, 4, 11, 26, 38, 29, 12, 5]
    names = ("ptr_speed", "ptr_gap", "ptr_accel", "ptr_turn")
    person = in_small_flushes(sdk, sdk.open(), bins, names)
    for attempt in (1, 2):
        assert sdk.decide(person, "A-1", attempt=attempt).state("B014") is State.PRESENT
    copy_of_it = in_small_flushes(sdk, sdk.open("c-2"), bins, names)
    assert not caplog.records
    assert sdk.decide(copy_of_it, "A-2").state("B014") is State.NOT_DELIVERED
    assert copy_of_it["session"] not in caplog.text
    assert "another one's counts" in caplog.text
    other = [n + 1 for n in bins]
    mine = in_small_flushes(sdk, sdk.open("c-3"), other, names)
    assert sdk.decide(mine, "A-3").state("B014") is State.PRESENT


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


@pytest.fixture
def controller(sdk):
    with bootstrap.open_keys(sdk.shop.settings) as store:
        sdk.shop.keys["controller"] = create_key(store, roles=["compliance"], org="*", per_second=10_000)
    return sdk


def ask(sdk, what, who):
    headers = sdk.shop.headers("controller")
    return sdk.shop.client.post(f"/v1/subjects/{what}", json=who, headers=headers)


@pytest.mark.parametrize(
    "who",
    [
        {"account": "u-88"},
        {"order": {"merchant_id": "m-17", "channel_code": "own_web", "order_id": "A-1001"}},
    ],
)
def test_an_erased_persons_session_goes_and_another_persons_stays(controller, who):
    mine, other = controller.open(), controller.open("c-2")
    for session in (mine, other):
        controller.flush(session)
    controller.decide(mine)
    entities = order()["entities"] | {"account": "somebody-else"}
    controller.decide(other, "A-2", entities=entities)
    assert ask(controller, "erase", who).json()["sessions"] == 1
    assert code(controller.flush(mine, 2)) == (403, "unknown_session")
    assert controller.flush(other, 2).status_code == 202


def test_an_erasure_that_failed_at_the_sessions_is_whole_when_it_is_asked_for_again(controller, monkeypatch):
    session = controller.open()
    controller.flush(session)
    controller.decide(session)
    sessions = controller.shop.service.collecting.store

    def full(names, wipe):
        raise StorageUnavailable("the disk is full")

    with monkeypatch.context() as failing:
        failing.setattr(sessions, "erase", full)
        assert ask(controller, "erase", {"account": "u-88"}).status_code == 503
    done = ask(controller, "erase", {"account": "u-88"}).json()
    assert (done["sessions"], done["orders"]) == (1, 1)
    assert sessions.find(session["session"]) is None


def test_an_erasure_leaves_large_files_of_sessions_to_the_nightly_job(controller, monkeypatch):
    session = controller.open()
    controller.flush(session)
    controller.decide(session)
    sessions = controller.shop.service.collecting.store
    monkeypatch.setattr("riskgraph.subjects.WIPED_AT_ONCE_BYTES", -1)
    monkeypatch.setattr(sessions, "wipe", lambda: pytest.fail("orders would wait"))
    done = ask(controller, "erase", {"account": "u-88"}).json()
    assert (done["sessions"], done["wiped"]) == (1, False)
    assert sessions.find(session["session"]) is None


def test_a_held_persons_session_stays(controller):
    session = controller.open()
    controller.flush(session)
    controller.decide(session)
    subjects = controller.shop.service.subjects
    subjects.hold(who_is({"account": "u-88"}, subjects.door), "legal_claim", "counsel", None)
    assert ask(controller, "erase", {"account": "u-88"}).status_code == 409
    assert controller.flush(session, 2).status_code == 202


def test_whoever_asks_is_given_the_sums_that_are_still_kept(controller):
    session = controller.open()
    controller.flush(session)
    controller.decide(session)
    told = ask(controller, "export", {"account": "u-88"}).json()
    (found,) = told["behavior_sessions"]
    assert found["purposes"] == ALL
    assert found["origin"] == ORIGIN
    assert found["sums"]["counters"] == FLUSH["counters"]
    assert session["session"] not in json.dumps(told["behavior_sessions"])
    controller.withdraw(session)
    (found,) = ask(controller, "export", {"account": "u-88"}).json()["behavior_sessions"]
    assert (found["withdrawn"], found["sums"]) == (True, None)


def test_a_visit_becomes_a_decision_with_its_report_and_a_withdrawal_ends_it(sdk):
    session = sdk.open()
    for seq in (9, 4, 9):
        sdk.flush(session, seq)
    body = order(session=session["session"], signals={}, absent={})
    answer = sdk.shop.decide(body).json()
    assert answer["availability_class"] == "pre_auth/front_end"
    headers = sdk.shop.headers("compliance")
    link = answer["report"]["json"] + "&audience=compliance"
    report = sdk.shop.client.get(link, headers=headers).json()
    assert '"B034"' in json.dumps(report)
    assert session["session"] not in json.dumps(report)
    assert sdk.withdraw(session).status_code == 204
    assert code(sdk.flush(session, 10)) == (403, "consent_withdrawn")
    # What was decided before stays as it was decided (GDPR Art. 7(3)).
    again = sdk.shop.client.get(f"/v1/decisions/{answer['decision_id']}", headers=sdk.shop.headers())
    assert again.json()["score"] == answer["score"]
