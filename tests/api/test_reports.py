"""The report route, as shopper and compliance officer see it."""

from __future__ import annotations

import html
import itertools

import jsonschema
import pytest

from riskgraph import bootstrap
from riskgraph.models.parity import PARITY_FILE, write_parity
from riskgraph.settings import Settings
from tests.api.conftest import ORDER, open_shop, order
from tests.models.helpers import random_model


@pytest.fixture
def decision(shop):
    return shop.decide(ORDER).json()


def fetch(shop, decision, role="compliance", **query):
    path = f"/v1/decisions/{decision['decision_id']}/report"
    return shop.client.get(path, params=query, headers=shop.headers(role))


READERS = {
    "subject": "checkout",
    "compliance": "compliance",
    "authority": "auditor",
    "fraud_team": "fraud_team",
}


def test_json_and_html_exist_for_all_audiences_laws_and_languages(shop, decision):
    for audience, role in READERS.items():
        for law, lang in itertools.product(("gdpr", "pipl", "both"), ("zh", "en")):
            for form, media in (("json", "application/json"), ("html", "text/html")):
                query = {"audience": audience, "law": law, "lang": lang, "format": form}
                answer = fetch(shop, decision, role, **query)
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith(media)
                assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_subject_gets_a_pdf(shop, decision, lang):
    answer = fetch(shop, decision, role="checkout", lang=lang, format="pdf")
    assert answer.status_code == 200
    assert answer.content.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("role", "refused"),
    [
        ("checkout", ("compliance", "authority", "fraud_team")),
        ("compliance", ("authority", "fraud_team")),
        ("auditor", ("fraud_team",)),
        ("fraud_team", ("compliance", "authority")),
    ],
)
def test_no_key_reads_the_report_of_another_reader(shop, decision, role, refused):
    for audience in refused:
        assert fetch(shop, decision, role, audience=audience).status_code == 403


def test_another_merchant_does_not_learn_that_the_decision_exists(shop, decision):
    assert fetch(shop, decision, role="other").status_code == 404


def test_the_report_says_what_the_answer_said(shop, decision):
    report = fetch(shop, decision, audience="subject", lang="zh").json()
    assert report["decision_id"] == decision["decision_id"]
    assert [r["code"] for r in report["reasons"]] == [r["code"] for r in decision["reasons"]]


def test_what_refusing_all_would_have_meant_is_what_refusing_all_means(shop):
    """GDPR Art. 7(4); PIPL Art. 16: the counterfactual of the report is a real one."""
    granted = order(order_id="G-1")
    granted["consent"]["purposes"] = dict.fromkeys(granted["consent"]["purposes"], True)
    refused = order(order_id="G-2", entities=granted["entities"] | {"account": "another"})
    refused["consent"]["purposes"] = dict.fromkeys(("behavior", "motion", "location", "device"), False)
    first, second = shop.decide(granted).json(), shop.decide(refused).json()
    assert first["availability_class"] == "pre_auth/front_end"
    assert second["availability_class"] == "pre_auth/refused"
    told = fetch(shop, first, audience="compliance").json()["compliance"]["optional_data"]
    assert told["probability"] == pytest.approx(second["score"], abs=1e-4)


def test_a_page_is_made_once_and_an_erased_decision_is_not_answered_from_memory(shop, decision, monkeypatch):
    page = fetch(shop, decision, format="html").content
    reports = shop.service.reports
    monkeypatch.setattr("riskgraph.reports.render_html", lambda *_, **__: "made anew")
    assert fetch(shop, decision, format="html").content == page
    assert fetch(shop, decision, format="html", lang="zh").content == b"made anew"
    reports.cache.drop(decision["decision_id"])
    assert fetch(shop, decision, format="html").content == b"made anew"
    monkeypatch.setattr(type(reports.store), "read_record", lambda *_: None)
    assert fetch(shop, decision, format="html").status_code == 404
    assert not reports.cache._kept


def test_the_schema_is_public_and_the_reports_follow_it(shop, decision):
    answer = shop.client.get("/v1/schemas/decision_report-1.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/schema+json")
    for audience, role in READERS.items():
        jsonschema.validate(fetch(shop, decision, role, audience=audience).json(), answer.json())


def test_a_page_is_served_under_the_policy_that_it_names_itself(shop, decision):
    answer = fetch(shop, decision, format="html")
    assert answer.headers["content-security-policy"] in html.unescape(answer.text)


def test_the_model_that_decided_is_named_with_its_origin(shop, decision):
    model = fetch(shop, decision, audience="compliance").json()["compliance"]["model"]
    assert model["name"] == decision["versions"]["model"]
    assert model["limits"]
    assert model["approvals"] == []


@pytest.fixture
def shop_with_parity(tmp_path):
    card = random_model(tmp_path / "model", seed=3).card
    rates = {"granted": [0.01, 0.0, 0.02], "refused": [0.02, 0.01, 0.03], "ratio": [2.0, 0.5, 9.0]}
    phase = {"honest": 777, "rejected": rates, "reviewed": rates}
    tree = bootstrap.load_tree(Settings()).sha256
    measured = {"measured": "2026-11-27", "world": "world-2", "seed": 1, "provenance": "simulated"}
    about = {"model_sha256": card.digest, "tree_sha256": tree, "phases": {"pre_auth": phase}}
    write_parity(tmp_path / "model", measured | about)
    yield from open_shop(tmp_path)


def test_a_report_quotes_what_was_on_file_when_the_order_was_decided(shop_with_parity):
    shop = shop_with_parity
    decision = shop.decide(ORDER).json()
    (shop.settings.model / PARITY_FILE).unlink()
    parity = fetch(shop, decision, audience="compliance").json()["consent_gate"]["parity"]
    assert parity["on_file"] is True
    assert parity["facts"]["honest"] == 777
    assert "that is 2 times as often (95 % interval 0.5 to 9)" in parity["statement"]
    again = shop.client.get(
        f"/v1/decisions/{decision['decision_id']}/replay", headers=shop.headers("compliance")
    )
    assert (again.json()["matches"], again.json()["same_bytes"]) == (True, True)
