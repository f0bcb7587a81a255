"""The report route, as shopper and compliance officer see it."""

from __future__ import annotations

import itertools

import pytest

from tests.api.conftest import ORDER, order


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
