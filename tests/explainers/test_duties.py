"""What the law wants told: rights, objection, sensitive data, recipients, and nothing that does not apply."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.report import DecisionReport
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import Verdict, Walk
from riskgraph.explainers.choices import Audience
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render
from riskgraph.explainers.texts import say, table
from tests.explainers.helpers import degraded_record, random_subgraph, random_value, some_record
from tests.explainers.test_merchant import DEMO_TEXT
from tests.explainers.test_render_html import Page

DEMO = MerchantProfile.demo()
LANGUAGES = pytest.mark.parametrize("lang", ["zh", "en"])
REJECTED = Walk(Verdict.REJECT, "block", ("leaf:reject",))
HELD = Walk(Verdict.REVIEW, "hold", ("leaf:review",))


def report(record: DecisionReport, law: str = "both", lang: str = "en", **changes: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"audience": "subject", "merchant": DEMO} | changes
    return render(record, law=law, lang=lang, **asked)


def page(record: DecisionReport, law: str = "both", lang: str = "en", **changes: Any) -> str:
    asked: dict[str, Any] = {"audience": "subject", "merchant": DEMO} | changes
    return render_html(record, law=law, lang=lang, **asked)


def pdf(record: DecisionReport, law: str, lang: str, **changes: Any) -> str:
    pypdf = pytest.importorskip("pypdf")
    from riskgraph.explainers.render_pdf import render_pdf

    asked: dict[str, Any] = {"audience": "subject", "merchant": DEMO} | changes
    made = render_pdf(record, law=law, lang=lang, **asked)
    return bare("".join(part.extract_text() for part in pypdf.PdfReader(io.BytesIO(made)).pages))


def bare(text: str) -> str:
    return "".join(text.split())


def test_rights_name_every_article_that_gives_one() -> None:
    rows = [(row["law"], row["article"]) for row in report(some_record(1))["rights"]["list"]]
    for article in ("15", "16", "17", "18", "20", "7(3)", "22(3)"):
        assert ("gdpr", article) in rows
    for article in ("24(3)", "44", "45", "45(3)", "46", "47", "48"):
        assert ("pipl", article) in rows
    assert {row["law"] for row in report(some_record(1), "pipl")["rights"]["list"]} == {"pipl"}


@LANGUAGES
def test_the_right_to_object_stands_alone_and_only_under_the_law_that_gives_it(lang: str) -> None:
    """GDPR Art. 21(4): presented clearly and separately from any other information."""
    record, text = some_record(1), table("law")["objection"]["text"][lang]
    for law in ("gdpr", "both"):
        told = report(record, law, lang)["rights"]
        assert told["object"]["text"] == text + DEMO.get("rights.contact")
        assert "object" not in [row["right"] for row in told["list"]]
        part = page(record, law, lang).split('id="s-object"')[1].split("</section>")[0]
        assert text in part
        assert part.count("<p>") == 1
        assert bare(text)[:30] in pdf(record, law, lang)
    assert report(record, "pipl", lang)["rights"]["object"] is None
    assert "s-object" not in page(record, "pipl", lang)
    assert bare(text)[:30] not in pdf(record, "pipl", lang)


@LANGUAGES
@pytest.mark.parametrize(
    ("node", "kind"),
    [("B033", "rhythm"), ("B013", "rhythm"), ("B030", "motion"), ("B109", "location"), ("B067", "payment")],
)
def test_sensitive_data_is_told_with_need_and_effect(lang: str, node: str, kind: str) -> None:
    """PIPL Art. 30."""
    spec = catalog()[node]
    assert spec.sensitive
    alone = OrderSubgraph.build({node: random_value(spec, np.random.default_rng(7))}, {})
    told = report(some_record(7, subgraph=alone), lang=lang)["sensitive_data"]
    kinds = ("rhythm", "motion", "location", "payment")
    assert [key for key in kinds if say(f"sensitive.{key}", lang) in told] == [kind]
    assert say("sensitive.effect", lang) in told


@LANGUAGES
def test_sensitive_data_is_told_on_page_and_paper_and_only_where_there_is_some(lang: str) -> None:
    record = some_record(7, subgraph=random_subgraph(7, 1.0))
    told = report(record, lang=lang)["sensitive_data"]
    assert told in page(record, lang=lang)
    assert bare(told)[:40] in pdf(record, "both", lang)
    plain = some_record(7, subgraph=OrderSubgraph.build({"B093": 40}, {}))
    assert report(plain, lang=lang)["sensitive_data"] == say("sensitive.none", lang)


@LANGUAGES
def test_values_that_no_score_used_had_no_effect(lang: str) -> None:
    told = report(degraded_record(), lang=lang)["sensitive_data"]
    assert say("sensitive.unused", lang) in told
    assert say("sensitive.effect", lang) not in told


@LANGUAGES
def test_whether_data_has_to_be_given_is_told(lang: str) -> None:
    """GDPR Art. 13(2)(e)."""
    told = report(some_record(1), lang=lang)["provision"]
    assert told in page(some_record(1), lang=lang)
    assert bare(told)[:30] in pdf(some_record(1), "both", lang)


@LANGUAGES
def test_every_row_of_data_leads_to_its_legal_basis(lang: str) -> None:
    made = report(some_record(1, subgraph=random_subgraph(1, 1.0)), lang=lang)
    bases = {row["data_class"]: row["data_class_text"] for row in made["legal_basis"]}
    words = {key: say(f"necessity.{key}", lang) for key in ("needed", "record", "optional")}
    for row in made["data_used"]:
        node = catalog()[row["node"]]
        assert row["data_class_text"] == bases[row["data_class"]]
        assert (row["necessity"] == words["optional"]) == (row["data_class"] == "optional")
        assert (row["necessity"] == words["needed"]) == (node.pipl_class == "N") == row["necessary"]
    shown = page(some_record(1, subgraph=random_subgraph(1, 1.0)), lang=lang)
    rows = shown.split('id="s-data"')[1].split("</table>")[0]
    assert rows.count(f">{words['record']}<") == sum(
        r["necessity"] == words["record"] for r in made["data_used"]
    )
    assert rows.count(f">{bases['optional']}<") == sum(
        r["data_class"] == "optional" for r in made["data_used"]
    )


@LANGUAGES
def test_recipients_are_told_with_all_that_the_law_wants_known(lang: str) -> None:
    """PIPL Art. 23: name, contact, purpose, method, kinds of information."""
    for row, given in zip(report(some_record(1), lang=lang)["recipients"], DEMO.recipients, strict=True):
        assert row == {
            part: given.text(part, lang) for part in ("name", "contact", "purpose", "method", "data")
        }
        assert all(text in page(some_record(1), lang=lang) for text in row.values())


def test_a_recipient_without_one_of_them_is_not_ready() -> None:
    assert 'contact = "privacy@logistics.example"' in DEMO_TEXT
    less = DEMO_TEXT.replace('contact = "privacy@logistics.example"\n', "").replace(', en = "delivery"', "")
    assert MerchantProfile.load(less).problems() == [
        "merchant.toml: recipients.2.contact is mandatory and missing",
        "merchant.toml: recipients.2.purpose.en is mandatory and missing",
    ]


@LANGUAGES
def test_a_merchant_without_a_representative_has_no_row_for_one(lang: str) -> None:
    """GDPR Art. 27 and PIPL Art. 53 ask controllers elsewhere for one, and nobody else."""
    home = MerchantProfile({key: part for key, part in DEMO.data.items() if key != "representative"})
    assert home.problems() == []
    label = table("texts")["label"]["representative"][lang]
    for merchant, rows in ((home, 0), (DEMO, 1)):
        assert page(some_record(1), lang=lang, merchant=merchant).count(f"<dt>{label}</dt>") == rows
    assert report(some_record(1), lang=lang, merchant=home)["representative"] is None
    assert bare(DEMO.text("representative.name", lang) or "") not in pdf(
        some_record(1), "both", lang, merchant=home
    )


@pytest.mark.parametrize(
    ("record", "law", "shown"),
    [
        (some_record(1, walk=REJECTED), "gdpr", True),
        (some_record(1, walk=REJECTED), "both", True),
        (some_record(1, walk=REJECTED), "pipl", False),
        (some_record(1, walk=REJECTED, mode="observe"), "both", False),
        (some_record(1, walk=HELD), "gdpr", False),
        (degraded_record(), "gdpr", False),
    ],
)
def test_a_ground_for_automation_is_named_where_the_law_needs_one(
    record: DecisionReport, law: str, shown: bool
) -> None:
    """GDPR Art. 22(2): of decisions by automated means alone that are acted on."""
    assert (report(record, law)["automation"]["art22_ground"] is not None) == shown
    assert (f"<dt>{say('label.ground', 'en')}</dt>" in page(record, law)) == shown
    assert (bare(say("label.ground", "en")) in pdf(record, law, "en")) == shown


@LANGUAGES
@pytest.mark.parametrize("audience", ["compliance", "authority", "fraud_team"])
def test_staff_see_what_the_profile_lacks_and_what_was_refused(audience: str, lang: str) -> None:
    lacking = MerchantProfile.load(DEMO_TEXT.replace('contact = "dpo@shop.example"', ""))
    record = some_record(5, subgraph=random_subgraph(5, 1.0, refused=("location",)))
    refused = [node.id for node in catalog() if node.purpose == "location"]
    listed = ("、" if lang == "zh" else ", ").join(refused)
    shown = page(record, lang=lang, audience=audience, merchant=lacking)
    assert "dpo.contact is mandatory and missing" in shown
    assert f"<dt>{say('label.refused_nodes', lang)}</dt><dd>{listed}</dd>" in shown
    printed = pdf(record, "both", lang, audience=audience, merchant=lacking)
    assert bare("dpo.contact is mandatory and missing") in printed
    assert bare(say("label.refused_nodes", lang)) in printed
    assert say("label.complete", lang) in page(record, lang=lang, audience=audience)
    assert "mandatory and missing" not in page(record, lang=lang, merchant=lacking)


@LANGUAGES
@pytest.mark.parametrize("audience", list(Audience))
def test_no_heading_is_said_again_as_caption_or_summary(audience: str, lang: str) -> None:
    html = page(some_record(1), lang=lang, audience=audience)
    heads = re.findall(r"<h[23][^>]*>(.*?)</h[23]>", html, flags=re.S)
    said = re.findall(r"<(?:caption|summary)>(.*?)</(?:caption|summary)>", html, flags=re.S)
    assert said
    assert set(heads) & set(said) == set()
    assert Page(html).all("caption")


@pytest.mark.parametrize(("share", "word"), [(0.49, "some"), (0.5, "much"), (0.55, "much"), (0.2, "little")])
def test_what_outweighs_the_reasons_is_said_to_count_for_much(share: float, word: str) -> None:
    record = replace(some_record(1), other_share=share)
    assert report(record)["other_factors"]["word"] == word
