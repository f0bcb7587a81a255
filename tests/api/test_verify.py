"""Whoever holds a report checks it without login and without script, in Chinese and English."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import apsw
import pytest

from riskgraph import bootstrap
from riskgraph.explainers.integrity import signed_bytes
from riskgraph.explainers.texts import say
from riskgraph.governance.signing import parse_public_key
from riskgraph.subjects import who_is
from tests.api.conftest import order
from tests.api.test_contest_page import Outline


def report_of(shop, audience="compliance", name="A-1001", lang="zh", account=None) -> dict:
    body = order(order_id=name)
    body["entities"]["account"] = account or body["entities"]["account"]
    decision = shop.decide(body).json()
    asked = {"audience": audience, "law": "both", "lang": lang}
    path = f"/v1/decisions/{decision['decision_id']}/report"
    return shop.client.get(path, params=asked, headers=shop.headers("admin")).json()


def check(shop, report) -> dict:
    answer = shop.client.post("/v1/verify", json=report)
    assert answer.status_code == 200
    return answer.json()


def why(told) -> list[str]:
    return [finding["why"] for finding in told["findings"]]


def test_each_readers_report_holds(shop):
    subject, compliance = (check(shop, report_of(shop, name)) for name in ("subject", "compliance"))
    assert subject["result"] == compliance["result"] == "holds"
    assert why(subject) == ["digest_holds", "signature_holds", "log_on_record"]
    assert set(why(compliance)) - set(why(subject)) == {"tree_head_holds", "inclusion_holds"}


def test_a_report_of_yesterday_holds_after_more_decisions_and_another_key(shop):
    report = report_of(shop)
    bootstrap.rotate_report_key(shop.settings)
    later = report_of(shop, name="A-1002")
    assert later["integrity"]["signature"]["key_id"] != report["integrity"]["signature"]["key_id"]
    assert later["integrity"]["log"]["leaf_index"] == report["integrity"]["log"]["leaf_index"] + 1
    assert check(shop, report)["result"] == check(shop, later)["result"] == "holds"
    assert {"signature_holds", "tree_head_holds"} < set(why(check(shop, later)))


@pytest.mark.parametrize("what", ["signature", "tree_head"])
def test_that_a_key_was_retired_is_told_with_the_day_of_report_and_tree_head_alike(shop, what):
    report = report_of(shop)
    retired = bootstrap.rotate_report_key(shop.settings)
    told = check(shop, report)
    (finding,) = [row for row in told["findings"] if row["what"] == what]
    assert (told["result"], finding["why"]) == ("holds", f"{what}_retired")
    assert finding["retired_at"] == retired.retired_at
    for lang in ("zh", "en"):
        page = shop.client.post("/verify", params={"lang": lang}, data={"report": json.dumps(report)})
        assert say(f"finding.{what}_retired", lang, "verify", day=retired.retired_at[:10]) in page.text
        assert say(f"finding.{what}_holds", lang, "verify") not in page.text


def test_a_tree_head_that_does_not_fit_is_of_no_retired_key(shop):
    report = report_of(shop)
    bootstrap.rotate_report_key(shop.settings)
    head = report["integrity"]["log"]["tree_head"]
    head["size"] += 1
    (finding,) = [row for row in check(shop, report)["findings"] if row["what"] == "tree_head"]
    assert finding == {"what": "tree_head", "result": "fails", "why": "tree_head_fails"}


def test_anyone_can_check_with_the_published_keys_alone(shop):
    report = report_of(shop, "subject")
    bootstrap.rotate_report_key(shop.settings)
    listed = {row["key_id"]: row for row in shop.client.get("/verify/keys").json()["keys"]}
    told = report["integrity"]
    key = parse_public_key(listed[told["signature"]["key_id"]]["public_key"].encode())
    assert key.verify(signed_bytes(told), bytes.fromhex(told["signature"]["value"]))
    assert "secret" not in json.dumps(listed)


def test_a_changed_verdict_and_another_log_are_found(shop, tmp_path):
    report = report_of(shop)
    altered = report | {"decision": report["decision"] | {"verdict": "altered"}}
    assert check(shop, altered)["result"] == "fails"
    settings = replace(shop.settings, home=tmp_path / "elsewhere")
    stranger = bootstrap.open_service(settings, bootstrap.demo_profile())
    try:
        results = {found.what: found.why for found in stranger.reports.check(report)}
    finally:
        stranger.close()
    assert results["signature"] == "key_unknown"
    assert results["log"] == "log_elsewhere"


def test_the_report_of_an_erased_person_is_told_as_erased(shop):
    report = report_of(shop, "subject")
    who = {"order": {"merchant_id": "m-17", "channel_code": order()["channel_code"], "order_id": "A-1001"}}
    shop.service.subjects.erase(who_is(who, shop.service.line.door))
    told = check(shop, report)
    assert told["result"] == "holds"
    assert why(told)[-1] == "log_erased"


def test_the_report_of_a_decision_that_was_taken_away_is_not_told_as_erased(shop):
    gone, erased = report_of(shop, "subject"), report_of(shop, "subject", "A-1002", account="another")
    who = {"order": {"merchant_id": "m-17", "channel_code": order()["channel_code"], "order_id": "A-1002"}}
    shop.service.subjects.erase(who_is(who, shop.service.line.door))
    with closing(apsw.Connection(str(shop.settings.home / "riskgraph.db"))) as connection:
        connection.execute("DELETE FROM decisions WHERE decision_id=?", (gone["decision_id"],))
    assert why(check(shop, erased))[-1] == "log_erased"
    told = check(shop, gone)
    assert (told["result"], why(told)[-1]) == ("holds", "log_missing")
    for lang, said in (("zh", "移除"), ("en", "taken away")):
        page = shop.client.post("/verify", params={"lang": lang}, data={"report": json.dumps(gone)})
        assert said in page.text


def test_a_record_of_erasure_that_was_forged_makes_nothing_erased(shop):
    gone, erased = report_of(shop, "subject"), report_of(shop, "subject", "A-1002", account="another")
    who = {"order": {"merchant_id": "m-17", "channel_code": order()["channel_code"], "order_id": "A-1002"}}
    shop.service.subjects.erase(who_is(who, shop.service.line.door))
    forge = "UPDATE log_records SET body=CAST(replace(body, '[[1,1]]', '[[0,1]]') AS "
    with closing(apsw.Connection(str(shop.settings.home / "riskgraph.db"))) as connection:
        connection.execute("DELETE FROM decisions WHERE decision_id=?", (gone["decision_id"],))
        for kind in ("BLOB)", "TEXT)"):
            connection.execute(forge + kind)
            assert connection.execute("SELECT instr(body, '[[0,1]]') > 0 FROM log_records").get
            assert why(check(shop, gone))[-1] == why(check(shop, erased))[-1] == "log_missing"


def test_the_page_says_in_both_languages_what_holds(shop):
    report = report_of(shop, "subject")
    said = {"en": ("as it was issued", "changed after"), "zh": ("与出具时一致", "被改动过")}
    for lang, (holds, fails) in said.items():
        for text, sentence in ((json.dumps(report), holds), (json.dumps(report | {"lang": "xx"}), fails)):
            page = shop.client.post("/verify", params={"lang": lang}, data={"report": text})
            assert page.status_code == 200
            assert sentence in page.text
            assert report["report_id"] in page.text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Please paste"),
        ("{", "not whole JSON"),
        ('{"a": 1, "a": 2}', "not whole JSON"),
        ('{"a": NaN}', "not whole JSON"),
        ("[" * 100_000, "not whole JSON"),
        ("[1]", "not whole JSON"),
        ('{"schema": "other"}', "no decision report"),
        ("x" * (1 << 20 | 1), "too long"),
    ],
    ids=["nothing", "half", "twice", "nan", "deep", "list", "other", "long"],
)
def test_nonsense_gets_the_page_again_with_what_is_wrong(shop, text, sentence):
    page = shop.client.post("/verify", params={"lang": "en"}, data={"report": text})
    assert page.status_code in (413, 422)
    assert sentence in page.text


@pytest.mark.parametrize("name", ["decision_id", "report_id", "\ud800"])
def test_half_a_character_is_refused_and_breaks_nothing(shop, name):
    text = json.dumps(report_of(shop, "subject") | {name: "\ud800"})
    page = shop.client.post("/verify", params={"lang": "en"}, data={"report": text})
    assert (page.status_code, "not whole JSON" in page.text) == (422, True)
    answer = shop.client.post("/v1/verify", content=text)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("depth", [33, 900, 100_000])
def test_what_is_nested_deeper_than_any_report_is_refused(shop, depth):
    deep = "[" * (depth - 1) + "]" * (depth - 1)
    text = json.dumps(report_of(shop, "subject"))[:-1] + f', "more": {deep}}}'
    answer = shop.client.post("/v1/verify", content=text)
    assert (answer.status_code, "deeper than 32" in answer.text) == (400, True)


def test_markup_in_a_report_stays_text(shop):
    report = report_of(shop, "subject") | {"report_id": "<script>alert(1)</script>"}
    page = shop.client.post("/verify", data={"report": json.dumps(report)})
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_is_accessible_and_loads_nothing(shop, lang):
    page = shop.client.get("/verify", params={"lang": lang})
    outline = Outline(page.text)
    assert outline.all("html") == [{"lang": {"zh": "zh-Hans", "en": "en"}[lang]}]
    assert len(outline.all("h1")) == len(outline.all("main")) == len(outline.all("form")) == 1
    assert {row["for"] for row in outline.all("label")} == {row["id"] for row in outline.all("textarea")}
    ids = {attrs["id"] for _, attrs in outline.tags if "id" in attrs}
    for _, attrs in outline.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attrs.get(name, "").split()) <= ids
        assert not {"src", "onclick", "style"} & set(attrs)
    assert not outline.all("script", "img", "link", "iframe")
    assert all(row["href"].startswith("/") for row in outline.all("a"))
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy


def test_checks_are_limited(shop, monkeypatch):
    # On a slow machine room comes back while the calls are made.
    monkeypatch.setattr(type(shop.service.line.clock), "monotonic", lambda clock: 1_000.0)
    for _ in range(120):
        shop.client.post("/v1/verify", json={})
    assert shop.client.post("/v1/verify", json={}).status_code == 429
    page = shop.client.post("/verify", params={"lang": "en"}, data={"report": "{}"})
    assert page.status_code == 429
    assert int(page.headers["retry-after"]) >= 1
    assert "too often" in page.text


def test_the_report_leads_to_the_page(shop):
    url = report_of(shop, "subject")["integrity"]["verify_url"]
    assert shop.client.get(url[url.index("/verify") :]).status_code == 200
