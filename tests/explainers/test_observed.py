"""What a report says where nothing was done, or where what was decided holds no more."""

from __future__ import annotations

from typing import Any

import pytest

from riskgraph.core.report import Counterfactual, DecisionReport
from riskgraph.core.verdict import Verdict, Walk
from riskgraph.explainers.afterwards import Afterwards
from riskgraph.explainers.choices import Audience
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render
from riskgraph.explainers.standing import AS_DECIDED, Standing
from riskgraph.explainers.texts import say
from tests.explainers.helpers import some_record

DEMO = MerchantProfile.demo()
REJECTED = Walk(Verdict.REJECT, "block", ("leaf:reject",))
HELD = Walk(Verdict.REVIEW, "hold", ("leaf:review",))
FOUND = Counterfactual(("card_details",), Verdict.ACCEPT, "exact", 9)
LANGUAGES = pytest.mark.parametrize("lang", ["zh", "en"])


def ruled(verdict: str) -> Standing:
    """A person has given a verdict."""
    told = {"received": [], "answered": [{"at": 1794400000.0, "outcome": "overturn"}], "due": None}
    return Standing(after=Afterwards(told={**told, "stands": verdict}))


def report(
    record: DecisionReport, lang: str = "en", standing: Standing = AS_DECIDED, audience: str = "subject"
) -> dict[str, Any]:
    return render(record, audience=audience, law="both", lang=lang, merchant=DEMO, standing=standing)


@LANGUAGES
@pytest.mark.parametrize("verdict", list(Verdict))
def test_observe_mode_states_no_verdict_as_done(lang: str, verdict: Verdict) -> None:
    observed = some_record(walk=Walk(verdict, "block", ("leaf:x",)), mode="observe", counterfactual=FOUND)
    for audience in Audience:
        made = report(observed, lang, ruled("reject"), audience)
        told = (made["decision"]["verdict_text"], made["human_review"]["stands"])
        assert all({"zh": "仅作记录", "en": "only recorded"}[lang] in text for text in told)
        assert made["counterfactual"]["statement"] == say("counterfactual_observed.to_accept", lang)


@LANGUAGES
def test_a_verdict_that_is_acted_on_is_told_without_any_such_word(lang: str) -> None:
    made = report(some_record(walk=REJECTED, counterfactual=FOUND), lang)
    assert made["decision"]["verdict_text"] == say("verdict.reject", lang)
    assert made["counterfactual"]["statement"] == say("counterfactual.to_accept", lang)


@LANGUAGES
def test_what_was_decided_is_dated_once_a_person_has_given_a_verdict(lang: str) -> None:
    record = some_record(walk=HELD)
    on = {"zh": "2026年11月11日作出决定时：", "en": "As decided on 11\u00a0November\u00a02026: "}
    before, after = (report(record, lang, standing)["decision"] for standing in (AS_DECIDED, ruled("accept")))
    for field in ("verdict_text", "effect", "duration"):
        assert on[lang] not in before[field]
        assert after[field] == on[lang] + before[field]


@LANGUAGES
def test_only_a_verdict_that_holds_has_its_colour(lang: str) -> None:
    def page(mode: str, standing: Standing = AS_DECIDED) -> str:
        record = some_record(walk=REJECTED, mode=mode)
        return render_html(
            record, audience="subject", law="both", lang=lang, merchant=DEMO, standing=standing
        )

    red = '<section class="decision reject"'
    assert red in page("enforce")
    assert red not in page("observe")
    assert red not in page("enforce", ruled("accept"))
