"""Objections from the merchant's server, and human review, over HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import jsonschema
import pytest

from riskgraph import bootstrap
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.governance.keys import create_key
from tests.api.conftest import order
from tests.api.test_decisions import Broken, with_part
from tests.stores.builders import DAY
from tests.support.cli import riskgraph

MINE = "It was me. WORDS-OF-THE-SHOPPER"


@pytest.fixture
def decision(shop):
    with bootstrap.open_keys(shop.settings) as store:
        for role in ("reviewer", "second"):
            shop.keys[role] = create_key(store, roles=["reviewer"], org="m-17", per_second=10_000)
    return shop.decide(order(jurisdiction="EU")).json()


def contest(shop, decision, role="checkout", **changes):
    body = {"decision_id": decision["decision_id"], "wish": "view", "text": MINE, "lang": "en"} | changes
    return shop.client.post("/v1/contests", json=body, headers=shop.headers(role))


def step(shop, decision, name, role="reviewer", **body):
    path = f"/v1/reviews/{decision['decision_id']}"
    body = {"step": name, "reviewer": "Li Na"} | body
    return shop.client.post(path, json=body, headers=shop.headers(role))


@pytest.mark.parametrize(("jurisdiction", "days"), [("CN", 15), ("EU", 30), ("other", 30)])
def test_an_objection_is_due_when_the_shoppers_report_says(shop, jurisdiction, days):
    made = shop.decide(order(jurisdiction=jurisdiction)).json()
    filed = contest(shop, made).json()
    told = report(shop, made, "subject").json()["rights"]["deadlines"]
    promised = next(row["days"] for row in told if row["jurisdiction"] == jurisdiction)
    due, received = (datetime.fromisoformat(filed[key]) for key in ("due_at", "received_at"))
    assert promised == days
    # A month can end before its thirty days do.
    assert timedelta(days=min(days, 27)) <= due - received <= timedelta(days=promised)


def other_than(verdict: str) -> str:
    return "reject" if verdict == "accept" else "accept"


def overturn(shop, decision, **changes):
    ruling = {
        "outcome": "overturn", "verdict": other_than(decision["verdict"]), "reason": "own address",
        "evidence": ["identity checked by phone", "bill of the same address"],
    }  # fmt: skip
    return step(shop, decision, "decide", **ruling | changes)


def test_a_decision_and_its_review_are_read_off_the_event_loop(shop, decision, monkeypatch):
    readers = []

    def note(kind, name):
        read = getattr(kind, name)

        def noted(*given):
            try:
                readers.append((name, asyncio.get_running_loop()))
            except RuntimeError:
                readers.append((name, None))
            return read(*given)

        monkeypatch.setattr(kind, name, noted)

    note(type(shop.service), "decision")
    note(type(shop.service.reviews), "stands")
    path = f"/v1/decisions/{decision['decision_id']}"
    assert shop.client.get(path, headers=shop.headers("checkout")).status_code == 200
    assert readers == [("decision", None), ("stands", None)]


def queue(shop, role="reviewer", **query):
    return shop.client.get("/v1/reviews", params=query, headers=shop.headers(role)).json()


def report(shop, decision, audience, **query):
    path = f"/v1/decisions/{decision['decision_id']}/report"
    query = {"audience": audience, "lang": "en"} | query
    return shop.client.get(path, params=query, headers=shop.headers("compliance"))


def later(shop, seconds: float) -> None:
    """Move the clock of reviews on."""
    clock = shop.service.reviews.clock
    moved = SimpleNamespace(now=lambda: clock.now() + seconds, monotonic=clock.monotonic)
    shop.service.reviews = replace(shop.service.reviews, clock=moved)


def test_an_objection_gets_a_number_and_a_deadline_and_waits_in_the_queue(shop, decision):
    made = contest(shop, decision)
    assert made.status_code == 201
    filed = made.json()
    assert filed["due_at"] > filed["received_at"]
    told = queue(shop)
    assert (told["pending"], told["overdue"]) == (1, 0)
    (row,) = told["reviews"]
    assert (row["decision_id"], row["origin"], row["state"]) == (decision["decision_id"], "contest", "open")
    assert row["due_at"] == filed["due_at"]
    assert MINE not in json.dumps(told)


def test_the_same_words_once_more_are_the_same_objection(shop, decision):
    first, again = contest(shop, decision), contest(shop, decision)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert contest(shop, decision, text="More.").json()["contest_id"] != first.json()["contest_id"]


def test_a_second_objection_does_not_put_off_the_answer_to_the_first(shop, decision):
    first = contest(shop, decision).json()
    later(shop, 9 * DAY)
    assert contest(shop, decision, text="More.").json()["due_at"] == first["due_at"]


def test_ten_objections_wait_and_an_eleventh_is_a_conflict(shop, decision):
    answers = [contest(shop, decision, text=f"{i}").status_code for i in range(11)]
    assert answers == [201] * 10 + [409]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"wish": "money"}, "wish"),
        ({"wish": None}, "wish"),
        ({"text": ""}, "text"),
        ({"text": " \n "}, "text"),
        ({"text": "x" * 2001}, "text"),
        ({"text": "bell \u0007"}, "text"),
        ({"text": None}, "text"),
        ({"text": 7}, "text"),
        ({"lang": "fr"}, "lang"),
        ({"Text": "x"}, "Text"),
    ],
)
def test_a_wrong_objection_names_the_field_and_never_repeats_the_words(shop, decision, changes, field):
    answer = contest(shop, decision, **changes)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert "bell" not in answer.text
    assert queue(shop)["pending"] == 0


def test_a_person_can_be_asked_for_without_a_word(shop, decision):
    answer = contest(shop, decision, wish="person", text=None)
    assert answer.status_code == 201


def test_an_order_on_hold_waits_for_a_person_from_its_commit_on(shop):
    shop.service.line = replace(shop.service.line, scorer=None)
    held = shop.decide(order(amount={"value": "90000.00", "currency": "CNY"})).json()
    assert held["action"] == "hold"
    (row,) = queue(shop, role="admin")["reviews"]
    assert (row["decision_id"], row["origin"]) == (held["decision_id"], "hold")
    opened, due = row["opened_at"], row["due_at"]
    assert opened[:10] < due[:10], "the demo's merchant promises a day"
    later(shop, 25 * 3600)
    assert queue(shop, role="admin")["overdue"] == 1
    ran = riskgraph("review", "list", home=shop.settings.home)
    assert b"hold" in ran.out
    told = report(shop, held, "subject").json()["human_review"]
    assert "waiting for a person" in told["statement"]


def test_an_order_that_is_not_on_hold_opens_no_case(shop, decision):
    assert decision["action"] != "hold"
    assert queue(shop)["pending"] == 0
    assert step(shop, decision, "note", note="x").status_code == 409


def test_whoever_has_claimed_a_case_alone_works_on_it(shop, decision):
    contest(shop, decision)
    assert step(shop, decision, "note", note="x").status_code == 409
    claimed = step(shop, decision, "claim")
    assert (claimed.status_code, claimed.json()["state"]) == (200, "claimed")
    assert step(shop, decision, "claim").status_code == 200
    for name, body in (("claim", {}), ("note", {"note": "x"}), ("release", {})):
        for who in ({"role": "second"}, {"reviewer": "Somebody Else"}):
            answer = step(shop, decision, name, **body, **who)
            assert answer.status_code == 409
            assert "Li Na" in answer.json()["error"]["message"]
    assert step(shop, decision, "note", note="called").status_code == 200
    assert step(shop, decision, "release").json()["state"] == "open"
    assert step(shop, decision, "claim", role="second").status_code == 200


def test_an_administrator_can_take_a_case_from_whoever_is_away(shop, decision):
    step(shop, decision, "claim")
    assert step(shop, decision, "release", role="admin", reviewer="Chief").json()["state"] == "open"


def test_the_reviewer_reads_the_words_and_the_history_grows_only(shop, decision):
    contest(shop, decision)
    seen = []
    for name, body in (("claim", {}), ("note", {"note": "called"}), ("release", {}), ("claim", {})):
        history = step(shop, decision, name, **body).json()["history"]
        assert history[: len(seen)] == seen
        assert len(history) == len(seen) + (2 if not seen else 1)
        seen = history
    path = f"/v1/reviews/{decision['decision_id']}"
    case = shop.client.get(path, headers=shop.headers("reviewer")).json()
    assert case["contests"][0]["text"] == MINE
    assert [row["kind"] for row in case["history"]] == [
        "contested",
        "claimed",
        "noted",
        "released",
        "claimed",
    ]
    assert MINE not in json.dumps(case["history"])


def test_a_ruling_changes_what_stands_and_the_stored_answer_stays(shop, decision):
    path = f"/v1/decisions/{decision['decision_id']}"
    contest(shop, decision)
    waiting = shop.client.get(path, headers=shop.headers()).json()
    assert (waiting["review"]["state"], waiting["review"]["stands"]["by"]) == ("open", "system")
    step(shop, decision, "claim")
    assert overturn(shop, decision).json()["state"] == "closed"
    now = shop.client.get(path, headers=shop.headers()).json()
    stands = now.pop("review")["stands"]
    assert now == decision
    expected = other_than(decision["verdict"])
    assert (stands["verdict"], stands["by"]) == (expected, "person")
    assert stands["action"] == {"reject": "block", "accept": "none"}[expected]
    replayed = shop.decide(order(jurisdiction="EU"))
    assert (replayed.json(), replayed.headers["idempotent-replayed"]) == (decision, "true")


def test_a_closed_review_goes_out_as_one_event_without_anybodys_words(shop, decision):
    contest(shop, decision)
    step(shop, decision, "claim")
    overturn(shop, decision)
    (event,) = [row for row in shop.service.store.events() if row["type"] == "review.closed"]
    made = next(row for row in shop.service.store.events() if row["type"] == "decision.recorded")
    assert (event["decision_id"], event["subject_key"]) == (decision["decision_id"], made["subject_key"])
    assert event["payload"]["verdict"] == other_than(decision["verdict"])
    assert set(event["payload"]) == {
        "order_key", "merchant_id", "round", "outcome", "verdict", "action", "mode",
    }  # fmt: skip


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_review_lands_in_the_reports_by_tier(shop, decision, lang):
    before = report(shop, decision, "subject", lang=lang).json()
    assert before["human_review"]["answered"] == []
    contest(shop, decision)
    step(shop, decision, "claim")
    step(shop, decision, "note", note="WORKING-NOTE")
    overturn(shop, decision)
    told = report(shop, decision, "subject", lang=lang).json()["human_review"]
    assert (len(told["received"]), len(told["answered"]), bool(told["stands"])) == (1, 1, True)
    log = report(shop, decision, "compliance", lang=lang).json()["compliance"]["review_log"]
    assert [row["kind"] for row in log] == ["contested", "decided"]
    assert log[1]["reviewer"].startswith("Li Na (")
    assert (log[1]["outcome"], log[1]["reason"]) == ("overturn", "own address")
    assert len(log[1]["evidence"]) == 2
    pages = [report(shop, decision, a, lang=lang, format="html").text for a in ("subject", "compliance")]
    assert "own address" in pages[1]
    assert "own address" not in pages[0]
    texts = json.dumps(report(shop, decision, "subject", lang=lang).json()), *pages
    assert not [text for text in texts if MINE in text or "WORKING-NOTE" in text]
    assert "Li Na" not in texts[0] + pages[0]


def test_a_later_objection_opens_another_round(shop, decision):
    contest(shop, decision)
    step(shop, decision, "claim")
    overturn(shop, decision)
    assert step(shop, decision, "claim").status_code == 409
    assert contest(shop, decision).status_code == 201
    (row,) = queue(shop)["reviews"]
    assert (row["round"], row["state"], row["outcome"]) == (2, "open", "overturn")
    step(shop, decision, "claim")
    verdict = other_than(decision["verdict"])
    kept = step(shop, decision, "decide", outcome="uphold", reason="same", evidence=["x"]).json()
    assert (kept["outcome"], kept["stands"]["verdict"]) == ("uphold", verdict)
    events = [row for row in shop.service.store.events() if row["type"] == "review.closed"]
    assert [row["payload"]["round"] for row in events] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"evidence": []}, "evidence"),
        ({"evidence": None}, "evidence"),
        ({"evidence": "phone"}, "evidence"),
        ({"evidence": [""]}, "evidence.0"),
        ({"evidence": ["x" * 501]}, "evidence.0"),
        ({"evidence": ["x"] * 21}, "evidence"),
        ({"reason": " "}, "reason"),
        ({"outcome": "maybe"}, "outcome"),
        ({"verdict": None}, "verdict"),
        ({"verdict": "block"}, "verdict"),
        ({"action": "hold"}, "action"),
        ({"action": "step_up", "verdict": "reject"}, None),
        ({"outcome": "uphold"}, "outcome"),
        ({"note": "x"}, "note"),
        ({"reviewer": ""}, "reviewer"),
        ({"reviewer": "x" * 81}, "reviewer"),
        ({"step": "close"}, "step"),
    ],
)
def test_a_wrong_ruling_names_the_field_and_closes_nothing(shop, decision, changes, field):
    step(shop, decision, "claim")
    answer = overturn(shop, decision, **changes)
    assert answer.status_code == 422
    assert field is None or answer.json()["error"]["field"] == field
    (row,) = queue(shop)["reviews"]
    assert row["state"] == "claimed"


def test_the_deadline_is_extended_once_with_a_reason_and_only_where_the_law_knows_it(shop, decision):
    first = contest(shop, decision).json()
    step(shop, decision, "claim")
    assert step(shop, decision, "extend").status_code == 422
    longer = step(shop, decision, "extend", reason="documents are under way").json()
    assert longer["due_at"] > first["due_at"]
    assert step(shop, decision, "extend", reason="again").status_code == 409
    chinese = shop.decide(order(order_id="CN-1")).json()
    contest(shop, chinese)
    step(shop, chinese, "claim")
    assert step(shop, chinese, "extend", reason="x").status_code == 422


def test_an_answer_that_is_late_shows(shop, decision):
    contest(shop, decision)
    later(shop, 31 * DAY)
    told = queue(shop)
    assert (told["overdue"], told["reviews"][0]["overdue"]) == (1, True)
    step(shop, decision, "claim")
    assert "passed" in step(shop, decision, "extend", reason="x").json()["error"]["message"]


def test_the_queue_shows_what_is_due_first_and_can_be_narrowed(shop, decision):
    second = shop.decide(order(order_id="A-2")).json()
    contest(shop, second)
    later(shop, DAY)
    contest(shop, decision)
    assert [r["decision_id"] for r in queue(shop)["reviews"]] == [
        second["decision_id"],
        decision["decision_id"],
    ]
    step(shop, second, "claim")
    overturn(shop, second, verdict=other_than(second["verdict"]))
    assert [len(queue(shop, state=s)["reviews"]) for s in ("pending", "closed", "all", "claimed")] == [
        1, 1, 2, 0,
    ]  # fmt: skip
    assert len(queue(shop, state="all", limit=1)["reviews"]) == 1


@pytest.mark.parametrize(
    ("role", "calls"),
    [
        ("checkout", {"contest": 201, "list": 403, "one": 403, "step": 403}),
        ("compliance", {"contest": 201, "list": 200, "one": 403, "step": 403}),
        ("reviewer", {"contest": 201, "list": 200, "one": 200, "step": 200}),
        ("other", {"contest": 404, "list": 200, "one": 404, "step": 404}),
    ],
)
def test_each_role_may_do_its_part_only(shop, decision, role, calls):
    step(shop, decision, "claim")
    step(shop, decision, "release")
    path = f"/v1/reviews/{decision['decision_id']}"
    got = {
        "contest": contest(shop, decision, role=role).status_code,
        "list": shop.client.get("/v1/reviews", headers=shop.headers(role)).status_code,
        "one": shop.client.get(path, headers=shop.headers(role)).status_code,
        "step": step(shop, decision, "claim", role=role).status_code,
    }
    assert got == calls
    assert role != "other" or queue(shop, role="other")["pending"] == 0


def test_what_cannot_be_committed_is_not_acknowledged(shop, decision):
    book = shop.service.store.reviews
    failing = SimpleNamespace(file=Broken().submit, case=book.case)
    failing.file = lambda *_: Broken().submit(None)
    store = shop.service.store
    shop.service.reviews = replace(
        shop.service.reviews, store=SimpleNamespace(read_record=store.read_record, reviews=failing)
    )
    assert contest(shop, decision).status_code == 503


def test_openapi_says_what_an_objection_and_a_step_hold(shop, decision):
    spec = shop.client.get("/openapi.json").json()["paths"]

    def schema(path):
        return spec[path]["post"]["requestBody"]["content"]["application/json"]["schema"]

    validator = jsonschema.Draft202012Validator(schema("/v1/contests"))
    validator.validate({"decision_id": "d", "wish": "person"})
    assert not validator.is_valid({"decision_id": "d", "wish": "money"})
    steps = schema("/v1/reviews/{decision_id}")
    assert set(steps["properties"]) == {
        "step", "reviewer", "note", "outcome", "verdict", "action", "evidence", "reason",
    }  # fmt: skip


def test_the_command_lists_what_waits(shop, decision):
    contest(shop, decision)
    told = riskgraph("review", "list", "--json", home=shop.settings.home).json()
    assert (told["pending"], told["reviews"][0]["decision_id"]) == (1, decision["decision_id"])
    assert riskgraph("review", "list", "--merchant", "m-99", "--json", home=shop.settings.home).json() == {
        "pending": 0, "overdue": 0, "reviews": [],
    }  # fmt: skip
    step(shop, decision, "claim")
    overturn(shop, decision)
    assert riskgraph("review", "list", "--json", home=shop.settings.home).json()["reviews"] == []
    every = riskgraph("review", "list", "--all", "--json", home=shop.settings.home).json()
    assert every["reviews"][0]["outcome"] == "overturn"


def test_a_ruling_on_an_order_that_was_only_observed_is_told_as_recorded(shop, decision):
    real = MerchantProfile(dict(shop.service.profile.data) | {"provenance": "merchant"})
    with_part(shop, writer=replace(shop.service.line.writer, profile=real))
    observed = shop.decide(order(order_id="A-77", jurisdiction="EU")).json()
    assert observed["mode"] == "observe"
    step(shop, observed, "claim")
    assert overturn(shop, observed).status_code == 200
    told = report(shop, observed, "subject").json()["human_review"]
    assert "only recorded" in told["stands"]
    page = shop.client.get(told["url"][told["url"].index("/contest/") :], params={"lang": "en"}).text
    assert told["stands"] in page
