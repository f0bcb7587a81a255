"""How a report states what could have been different."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from riskgraph.core.report import Counterfactual, DecisionReport
from riskgraph.core.verdict import Verdict, Walk
from riskgraph.explainers.acts import acts
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render, schema
from riskgraph.explainers.texts import say
from riskgraph.stores.codec import decode_record, encode_record
from tests.explainers.helpers import degraded_record, some_record

MERCHANT = MerchantProfile.demo()
REVIEWED = Walk(Verdict.REVIEW, "hold", ("band:0.5-0.8", "leaf:review"))
TWO = Counterfactual(("card_details", "own_address"), Verdict.ACCEPT, "exact", 17)
NONE = Counterfactual((), None, "greedy", 12)


def record(found: Counterfactual | None = TWO, **changes: Any) -> DecisionReport:
    """A reviewed order as it comes back from the store."""
    made = some_record(walk=REVIEWED, counterfactual=found, **changes)
    return decode_record(encode_record(made))


def told(of: DecisionReport, audience: str = "subject", lang: str = "en") -> dict[str, Any]:
    report = render(of, audience=audience, law="both", lang=lang, merchant=MERCHANT)
    jsonschema.validate(report, schema())
    part: dict[str, Any] = report["counterfactual"]
    return part


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_the_acts_are_told_in_both_languages_with_why_the_shopper_can_do_them(
    audience: str, lang: str
) -> None:
    part = told(record(), audience, lang)
    assert [change["code"] for change in part["changes"]] == list(TWO.acts)
    assert (part["verdict"], part["verified_by_rescoring"], part["actionable"]) == ("accept", True, True)
    for change in part["changes"]:
        assert change["text_zh"]
        assert change["text_en"]
        assert all(node["why"] and node["label"] for node in change["nodes"])
    assert part["statement"] == say("counterfactual.to_accept", lang)


def test_how_it_was_sought_is_for_compliance_alone() -> None:
    assert {"search", "evaluations"}.isdisjoint(told(record()))
    assert (told(record(), "compliance")["search"], told(record(), "compliance")["evaluations"]) == (
        "exact",
        17,
    )


@pytest.mark.parametrize(
    ("of", "key", "changes"),
    [
        (record(NONE), "none", []),
        (record(None), "not_sought", None),
        (some_record(walk=Walk(Verdict.ACCEPT, "none", ("leaf:accept",))), "accepted", None),
        (degraded_record(), "degraded", None),
        (record(replace(TWO, verdict=Verdict.REVIEW)), "to_review", 2),
    ],
)
def test_it_says_so_where_there_is_none(of: DecisionReport, key: str, changes: Any) -> None:
    part = told(of)
    assert part["statement"] == say(f"counterfactual.{key}", "en")
    assert (len(part["changes"]) if changes == 2 else part["changes"]) == changes
    assert part["verified_by_rescoring"] is (True if changes == 2 else None)


def test_the_words_do_not_depend_on_the_distance_to_the_threshold() -> None:
    """Nor on how hard it was to find: the same acts and outcome give the same bytes."""
    near, far = record(), record(replace(TWO, search="greedy", evaluations=99))
    far = replace(
        far, score={**far.score, "logit": 9.0, "probability": 0.999, "thresholds": {"review": 0.01}}
    )
    assert told(near) == told(far)


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_the_page_shows_every_act(audience: str, lang: str) -> None:
    every = Counterfactual(tuple(act.code for act in acts()), Verdict.ACCEPT, "greedy", 40)
    page = render_html(record(every), audience=audience, law="both", lang=lang, merchant=MERCHANT)
    shown = page.replace("&#39;", "'")
    assert all(act.text[lang] in shown for act in acts())
    assert 'id="s-counterfactual"' in page
    assert {"zh": "欧盟法院 C-203/22 号判决第 62 段", "en": "C-203/22, para. 62"}[lang] in page


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_pdf_shows_them_too(lang: str) -> None:
    pypdf = pytest.importorskip("pypdf")
    import io

    from riskgraph.explainers.render_pdf import render_pdf

    made = render_pdf(record(), law="both", lang=lang, merchant=MERCHANT)
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made)).pages)
    bare = "".join(text.split())
    for change in told(record())["changes"]:
        assert "".join(change[f"text_{lang}"].split())[:24] in bare


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_pdf_of_staff_tells_how_it_was_sought(lang: str) -> None:
    pypdf = pytest.importorskip("pypdf")
    import io

    from riskgraph.explainers.render_pdf import render_pdf

    pages = [
        render_pdf(record(), audience=audience, law="both", lang=lang, merchant=MERCHANT)
        for audience in ("compliance", "subject")
    ]
    texts = ["".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO(made)).pages) for made in pages]
    sought = "".join(say("search.exact", lang).split())
    assert [sought in "".join(text.split()) for text in texts] == [True, False]
