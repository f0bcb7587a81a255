"""The decision route, as a checkout sees it."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from riskgraph import bootstrap
from riskgraph.api.checkout import idempotency_key
from riskgraph.core.errors import StorageUnavailable
from riskgraph.governance.keys import create_key
from tests.api.conftest import ORDER, order

KEYS = {
    "decision_id", "trace_id", "verdict", "action", "mode", "provenance", "score", "reasons", "degraded",
    "degraded_cause", "context", "availability_class", "versions", "path", "stage_ms", "report",
}  # fmt: skip


def test_an_order_gets_a_verdict_with_its_reasons_versions_and_report(shop):
    answer = shop.decide(ORDER)
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == KEYS
    assert body["verdict"] in {"accept", "review", "reject"}
    assert body["trace_id"] == "A-1001.own_web.eeccde367917"
    assert body["availability_class"] == "pre_auth/front_end"
    assert len(body["reasons"]) <= 4
    assert all(r["text"] and r["nodes"] for r in body["reasons"])
    assert set(body["versions"]) == {"catalog", "model", "model_sha256", "tree", "tree_sha256", "policy"}
    assert body["provenance"] == "simulated"
    assert "commit;dur=" in answer.headers["server-timing"]


def test_neither_thresholds_nor_shares_leave_with_the_answer(shop):
    body = shop.decide(ORDER).json()
    assert all(set(r) == {"code", "text", "nodes", "direction", "band"} for r in body["reasons"])


def test_the_same_key_and_body_give_the_same_bytes_and_count_once(shop):
    first = shop.decide(ORDER, **{"Idempotency-Key": "k-1"})
    again = shop.decide(ORDER, **{"Idempotency-Key": "k-1"})
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert sum(shop.service.line.ledger.metered().values()) == 1


def test_the_same_attempt_without_a_key_is_a_replay_too(shop):
    assert shop.decide(ORDER).content == shop.decide(ORDER).content


def test_another_body_under_the_same_key_is_refused(shop):
    shop.decide(ORDER, **{"Idempotency-Key": "k-1"})
    other = shop.decide(order(line="food"), **{"Idempotency-Key": "k-1"})
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_mismatch"


def test_a_request_in_flight_under_the_same_key_is_a_conflict(shop):
    shop.service.running.add(idempotency_key("k-2", ORDER, shop.service.line.door))
    assert shop.decide(ORDER, **{"Idempotency-Key": "k-2"}).status_code == 409


def test_a_second_attempt_is_decided_but_is_no_second_order_in_the_history(shop):
    shop.decide(ORDER)
    second = shop.decide(order(attempt=2))
    assert second.status_code == 200
    later = order(order_id="A-1002", placed_at="2026-11-11T12:30:00+08:00")
    decision = shop.decide(later).json()["decision_id"]
    record = shop.service.line.ledger.read_record(decision).report
    from riskgraph.core.subgraph import OrderSubgraph

    assert OrderSubgraph.unpack(record.subgraph).value("B131")["orders_1h"] == 1


def test_a_decision_can_be_read_back_by_its_own_merchant_only(shop):
    answer = shop.decide(ORDER)
    path = f"/v1/decisions/{answer.json()['decision_id']}"
    assert shop.client.get(path, headers=shop.headers()).content == answer.content
    assert shop.client.get(path, headers=shop.headers("other")).status_code == 404
    assert shop.client.get("/v1/decisions/nothing", headers=shop.headers()).status_code == 404


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b'{"a": "\xff"}', 400, "bad_request"),
        (b"[" * 5000, 400, "bad_request"),
        (b'{"order_id": "\\ud800"}', 400, "bad_request"),
        (b'"' + b'\\"' * 32_000, 400, "bad_request"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, 400, "bad_request"),
        (b'{"merchant_id": "' + b"x" * 70_000 + b'"}', 413, "too_large"),
        (b"{" + b",".join(b'"n%d":1' % i for i in range(3000)) + b"}", 400, "bad_request"),
    ],
)
def test_a_body_that_is_no_bounded_json_object_is_refused_before_it_is_read(shop, raw, status, code):
    answer = shop.client.post("/v1/decisions", content=raw, headers=shop.headers())
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("find", "put", "field"),
    [
        (b'"B093":40', b'"B093":NaN', "signals.B093"),
        (b'"B093":40', b'"B093":1e999', "signals.B093"),
        (b'"B093":40', b'"B093":40,"B093":41', "B093"),
        (b'"B093":40', b'"B093":40,"credential_change_recency":41', "signals.credential_change_recency"),
        (b'"B093":40', b'"B137":true', "signals.B137"),
        (b'"B093":40', b'"religion":"x"', "signals.religion"),
        (b'"B093":40', b'"B033x":1', "signals.B033x"),
        (b'"B093":40', b'"B093":1' + b"0" * 400, "signals.B093"),
        (b'"lat":30.2', b'"lat":1' + b"0" * 400, "ship_to.lat"),
        (b'"B026":"not_applicable"', b'"B026":["refused"]', "absent.B026"),
    ],
)
def test_a_wrong_signal_is_422_and_names_the_field(shop, find, put, field):
    import msgspec

    raw = msgspec.json.encode(ORDER)
    assert find in raw
    answer = shop.client.post("/v1/decisions", content=raw.replace(find, put), headers=shop.headers())
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer rk_x_y", "Basic abc", "Bearer rk_000000000000_x"]
)
def test_no_call_passes_without_a_valid_key(shop, header):
    headers = {} if header is None else {"Authorization": header}
    answer = shop.client.post("/v1/decisions", json=ORDER, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"


def test_a_revoked_key_stops_working_at_once(shop):
    key_id = shop.keys["checkout"].split("_")[1]
    assert shop.decide(ORDER).status_code == 200
    assert shop.service.line.ledger.revoke_key(key_id)
    assert shop.decide(order(attempt=2)).status_code == 401


def test_an_expired_key_is_answered_like_one_that_never_existed(shop):
    with bootstrap.open_keys(shop.settings) as store:
        shop.keys["expired"] = create_key(store, roles=["checkout"], org="m-17", expires=1.0)
    shop.keys["never"] = "rk_000000000000_never"
    expired, never = (shop.decide(ORDER, role=role) for role in ("expired", "never"))
    assert expired.status_code == never.status_code == 401
    assert expired.json() == never.json()


def test_a_key_cannot_act_for_another_merchant(shop):
    assert shop.decide(ORDER, role="other").status_code == 403


def test_a_key_without_the_role_is_refused_with_the_reason(shop):
    answer = shop.decide(ORDER, role="compliance")
    assert answer.status_code == 403
    assert "decide" in answer.json()["error"]["message"]


def test_calls_beyond_the_limit_get_429_with_a_time_to_wait(shop):
    answers = [shop.decide(order(attempt=i), role="slow") for i in range(1, 5)]
    assert [a.status_code for a in answers[:2]] == [200, 200]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


OUTCOME = {
    "outcome_id": "o-1", "merchant_id": "m-17", "channel_code": "own_web", "order_id": "A-1001",
    "kind": "chargeback_fraud", "effective_at": "2026-11-20T10:00:00+08:00",
    "reported_at": "2026-11-21T10:00:00+08:00",
}  # fmt: skip


def test_an_outcome_is_stored_once(shop):
    answers = [shop.client.post("/v1/outcomes", json=OUTCOME, headers=shop.headers()) for _ in range(2)]
    assert [a.status_code for a in answers] == [202, 202]
    assert [a.json()["stored"] for a in answers] == [True, False]


def test_an_outcome_that_says_something_else_under_the_same_id_is_a_conflict(shop):
    for body in (OUTCOME, OUTCOME | {"kind": "confirmed_good"}):
        answer = shop.client.post("/v1/outcomes", json=body, headers=shop.headers())
    assert (answer.status_code, answer.json()["error"]["field"]) == (409, "outcome_id")


def test_the_stored_digest_of_a_body_tells_nothing_without_the_door_key(shop):
    """GDPR Art. 32(1)(a): a guessed address cannot be tried out against the store."""
    decision_id = shop.decide(ORDER).json()["decision_id"]
    row = shop.service.line.ledger.decision(decision_id, None)
    raw = shop.client.build_request("POST", "/", json=ORDER).content
    assert row["body_sha256"] == shop.service.line.door.body(raw)
    assert row["body_sha256"] != hashlib.sha256(raw).hexdigest()


class Broken:
    """A part that fails in every way a part can."""

    versions = {"model": "broken", "model_sha256": "0"}
    provenance = "simulated"

    def score(self, subgraph, availability):
        raise RuntimeError("boom")

    def explain(self, score):
        raise RuntimeError("boom")

    async def read_context(self, order):
        raise StorageUnavailable("the disk is gone")

    def submit(self, entry):
        raise StorageUnavailable("the disk is full")

    def replay(self, key):
        return None


def with_part(shop, **parts):
    shop.service.line = replace(shop.service.line, **parts)


@pytest.mark.parametrize("part", ["scorer", "explainer"])
def test_a_part_that_fails_gives_a_degraded_review_never_a_bare_verdict(shop, part):
    with_part(shop, **{part: Broken()})
    body = shop.decide(ORDER).json()
    assert (body["verdict"], body["degraded"], body["score"], body["reasons"]) == ("review", True, None, [])
    assert body["degraded_cause"] == "scoring_failed"
    report = shop.client.get(body["report"]["json"], headers=shop.headers())
    assert report.status_code == 200


def reviewed(shop):
    """A shop that accepts nothing, so that nothing a shopper does would change a verdict."""
    tree = shop.service.line.tree
    bands = [{**band, "verdict": "review"} if i == 0 else band for i, band in enumerate(tree.data["bands"])]
    with_part(shop, tree=replace(tree, data={**tree.data, "bands": bands}))


def test_a_verdict_stands_where_no_counterfactual_could_be_sought(shop):
    reviewed(shop)
    with_part(shop, find_counterfactual=Broken())
    body = shop.decide(ORDER).json()
    assert (body["verdict"], body["degraded"]) == ("review", False)
    assert body["reasons"]
    told = shop.client.get(body["report"]["json"], headers=shop.headers()).json()["counterfactual"]
    assert (told["changes"], told["actionable"]) == (None, None)


def test_a_verdict_is_committed_with_what_would_have_changed_it(shop):
    reviewed(shop)
    told = shop.client.get(shop.decide(ORDER).json()["report"]["json"], headers=shop.headers()).json()
    assert told["counterfactual"]["changes"] == []
    assert told["counterfactual"]["actionable"] is False


def test_a_person_cannot_feel_the_way_along_a_threshold(shop):
    reviewed(shop)
    links = [shop.decide(order(attempt=i)).json()["report"]["json"] for i in range(1, 23)]
    answers = [shop.client.get(link, headers=shop.headers()) for link in links]
    assert [a.status_code for a in answers] == [200] * 20 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) > 60
    mine = shop.client.get(links[-1] + "&audience=compliance", headers=shop.headers("compliance"))
    assert mine.status_code == 200


def test_a_late_score_gives_a_degraded_review(shop):
    with_part(shop, deadline_ms=0)
    body = shop.decide(ORDER).json()
    assert (body["verdict"], body["degraded_cause"]) == ("review", "deadline")


def test_a_slow_search_for_a_counterfactual_takes_no_verdict_that_is_explained(shop):
    time = SimpleNamespace(at=0.0)

    def slow(*_):
        time.at += 60.0

    now = shop.service.line.clock.now
    clock = SimpleNamespace(now=now, monotonic=lambda: time.at)
    with_part(shop, clock=clock, find_counterfactual=slow)
    body = shop.decide(ORDER).json()
    assert (time.at, body["degraded"]) == (60.0, False)


def test_an_order_filed_later_is_never_too_late(shop):
    with_part(shop, deadline_ms=0)
    body = shop.decide(order(late=True)).json()
    assert (body["degraded"], body["degraded_cause"]) == (False, None)


def test_an_unreadable_history_gives_a_degraded_review_that_is_on_record(shop, caplog):
    with_part(shop, store=Broken())
    body = shop.decide(ORDER).json()
    assert "the history cannot be read: StorageUnavailable" in caplog.text
    assert (body["verdict"], body["context"], body["degraded_cause"]) == (
        "review",
        "none",
        "history_unavailable",
    )
    assert shop.client.get(body["report"]["json"], headers=shop.headers()).status_code == 200


def test_an_impatient_checkout_shortens_the_deadline(shop):
    ticks = iter(float(i) / 100 for i in range(10_000))

    now = shop.service.line.clock.now
    slow = SimpleNamespace(now=now, monotonic=lambda: next(ticks))  # ten milliseconds a look
    with_part(shop, clock=slow)
    patient = shop.decide(order(timeout_ms=60_000)).json()
    hasty = shop.decide(order(order_id="A-3", timeout_ms=20)).json()
    assert patient["degraded"] is False
    assert hasty["degraded_cause"] == "deadline"


def test_a_degraded_order_follows_the_merchants_policy(shop):
    with_part(shop, scorer=None)
    small = shop.decide(order(amount={"value": "1.00", "currency": "CNY"})).json()
    large = shop.decide(order(order_id="A-2", amount={"value": "90000.00", "currency": "CNY"})).json()
    assert (small["action"], large["action"]) == ("none", "hold")
    assert {small["degraded_cause"], large["degraded_cause"]} == {"model_unavailable"}


def test_nothing_is_answered_when_nothing_can_be_recorded(shop):
    with_part(shop, ledger=Broken())
    answer = shop.decide(ORDER)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "storage_unavailable"


def test_a_model_of_simulated_origin_only_observes_a_real_merchant(shop):
    from riskgraph.explainers.merchant import MerchantProfile

    real = MerchantProfile(dict(shop.service.line.writer.profile.data) | {"provenance": "merchant"})
    with_part(shop, writer=replace(shop.service.line.writer, profile=real))
    body = shop.decide(ORDER).json()
    assert (body["mode"], body["action"]) == ("observe", "none")


def test_no_raw_identifier_and_no_secret_reaches_log_or_store(shop, caplog):
    caplog.set_level(logging.DEBUG)
    marked = order(order_id="A-7", note="note-RAWMARK", session="session-RAWMARK")
    marked["entities"] |= {"device": "device-RAWMARK", "account": "account-RAWMARK", "card": "card-RAWMARK"}
    marked["ship_to"] |= {"lat": 30.23456789}
    shop.decide(marked, **{"Idempotency-Key": "header-RAWMARK"})
    outcome = {
        "outcome_id": "o-9", "merchant_id": "m-17", "channel_code": "own_web", "order_id": "A-7",
        "kind": "claim", "reason": "call RAWMARK", "source": "Mrs RAWMARK",
        "effective_at": "2026-11-20T10:00:00+08:00", "reported_at": "2026-11-21T10:00:00+08:00",
    }  # fmt: skip
    assert shop.client.post("/v1/outcomes", json=outcome, headers=shop.headers()).status_code == 202
    shop.decide(ORDER)
    shop.client.post("/v1/decisions", json=order(jurisdiction="US"), headers=shop.headers())
    with_part(shop, scorer=Broken())
    shop.decide(order(attempt=2))
    shop.service.close()
    files = [p.read_bytes() for p in shop.settings.home.rglob("*") if p.is_file()]
    secrets = [s.split("_", 2)[2] for s in shop.keys.values()]
    raw = ["RAWMARK", "30.23456789", "u-88", "tok-3", "文三路", "13800000000", "203.0.113", "NEW30"]
    for text in (*raw, *secrets):
        assert text not in caplog.text
        assert not any(text.encode() in content for content in files)


def test_errors_of_every_kind_have_one_shape(shop):
    calls = [
        shop.client.get("/v1/nothing"),
        shop.client.put("/v1/decisions"),
        shop.client.get("/v1/decisions/x/report?lang=fr", headers=shop.headers()),
        shop.client.post("/v1/decisions", json={}, headers=shop.headers()),
        shop.client.get("/v1/decisions/x"),
    ]
    assert [c.status_code for c in calls] == [404, 405, 422, 422, 401]
    for call in calls:
        assert set(call.json()) == {"error"}
        assert set(call.json()["error"]) == {"code", "message", "field", "trace_id"}


def test_an_error_about_an_order_carries_its_trace_id(shop):
    answer = shop.decide(order(jurisdiction="US"))
    assert answer.json()["error"]["trace_id"] == "A-1001.own_web.eeccde367917"


def test_the_keys_do_not_lie_beside_the_data(shop):
    assert not list(shop.settings.home.rglob("*.key"))
    assert {p.name for p in shop.settings.secret_folder.iterdir()} >= {"door.key"}


def test_the_service_is_ready_only_with_a_model_and_a_filled_profile(shop):
    assert shop.client.get("/healthz").json() == {"status": "alive"}
    assert shop.client.get("/readyz").json() == {"ready": True, "problems": []}


def test_openapi_describes_the_request_by_hand_and_completely(shop):
    spec = shop.client.get("/openapi.json").json()
    schema = spec["paths"]["/v1/decisions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    import jsonschema

    jsonschema.Draft202012Validator(schema).validate(ORDER)
    assert {"merchant_id", "signals", "consent"} <= set(schema["properties"])
