"""A decision without a score: no sentence of its report says that something was scored."""

from __future__ import annotations

import io

import pytest

from riskgraph.explainers.choices import Audience
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render
from riskgraph.explainers.texts import say
from tests.explainers.helpers import degraded_record, some_record

DEMO = MerchantProfile.demo()
LANGUAGES = pytest.mark.parametrize("lang", ["zh", "en"])
# What holds of an order that was scored, and of no other.
SCORED = ("label.data_intro", "heading.data", "automation.person", "automation.observe", "accuracy.general")


@LANGUAGES
@pytest.mark.parametrize("audience", list(Audience))
@pytest.mark.parametrize(("action", "mode"), [("hold", "enforce"), ("none", "enforce"), ("hold", "observe")])
def test_nothing_on_the_page_says_that_values_were_used(
    audience: str, lang: str, action: str, mode: str
) -> None:
    record = degraded_record(action=action, mode=mode)
    page = render_html(record, audience=audience, law="both", lang=lang, merchant=DEMO)
    assert [key for key in SCORED if say(key, lang) in page] == []
    assert say("logic.unused", lang) in page
    assert {"zh": "没有降低风险", "en": "lowered the assessed risk"}[lang] not in page
    scored = render_html(some_record(1), audience=audience, law="both", lang=lang, merchant=DEMO)
    assert say("label.data_intro", lang) in scored
    assert say("logic.unused", lang) not in scored


@LANGUAGES
def test_the_rule_that_held_the_order_is_named_and_a_person_decides(lang: str) -> None:
    made = render(degraded_record(), audience="subject", law="both", lang=lang, merchant=DEMO)
    assert made["automation"]["statement"] == say("automation.fallback", lang)
    assert made["automation"]["human_role"]["deadline_hours"] == 24
    assert "24" in made["automation"]["human_role"]["when"]


@LANGUAGES
def test_the_pdf_does_not_say_so_either(lang: str) -> None:
    pypdf = pytest.importorskip("pypdf")
    from riskgraph.explainers.render_pdf import render_pdf

    def shown(record) -> str:  # type: ignore[no-untyped-def]
        made = render_pdf(record, law="both", lang=lang, merchant=DEMO)
        text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made)).pages)
        return "".join(text.split())

    bare = "".join(say("heading.data", lang).split())
    assert bare not in shown(degraded_record())
    assert bare in shown(some_record(1))
