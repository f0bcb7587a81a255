"""What becomes of the browser SDK's sessions in decisions, erasures and exports."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from riskgraph import bootstrap
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import StorageUnavailable
from riskgraph.core.order import parse_order
from riskgraph.core.subgraph import State
from riskgraph.governance.keys import create_key
from riskgraph.pipeline import read_session
from riskgraph.stores.sessions import EXPIRES_S, KEPT_S
from riskgraph.subjects import who_is
from tests.api.conftest import order
from tests.support.sdk import ALL, FLUSH, ORIGIN, break_sessions, code, later


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
