"""A shopper is promised one deadline, wherever it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.errors import Invalid
from riskgraph.core.review import answer_due
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_json import render
from tests.explainers.helpers import some_order, some_record
from tests.explainers.test_merchant import DEMO_TEXT

DEMO = MerchantProfile.demo()


def automation_and_rights(jurisdiction: str, lang: str, merchant: MerchantProfile = DEMO):  # type: ignore[no-untyped-def]
    record = some_record(3, order=some_order(jurisdiction=jurisdiction))
    made = render(record, audience="subject", law="both", lang=lang, merchant=merchant)
    rows = {row["jurisdiction"]: row for row in made["rights"]["deadlines"]}
    return made["automation"]["human_role"], rows[jurisdiction]


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(("jurisdiction", "days"), [("CN", 15), ("EU", 30), ("other", 30)])
def test_who_can_review_it_answers_within_the_days_that_rights_name(
    lang: str, jurisdiction: str, days: int
) -> None:
    role, row = automation_and_rights(jurisdiction, lang)
    assert row["days"] == days
    assert row["text"] in role["when"]
    # Hours are for orders on hold; this one is not.
    assert role["deadline_hours"] is None
    assert "24" not in role["when"]


@given(days=st.integers(1, 30), at=st.integers(1_600_000_000, 2_000_000_000))
def test_an_objection_is_answered_no_later_than_its_report_promises(days: int, at: int) -> None:
    merchant = MerchantProfile({"rights": {"answer_days": {"CN": days}}})
    assert answer_due(at, merchant.answer_days("CN")) <= at + days * 86_400


@pytest.mark.parametrize("wrong", ["31", "0", '"15"'])
def test_more_days_than_the_law_allows_are_refused(wrong: str) -> None:
    with pytest.raises(Invalid, match=r"rights\.answer_days\.CN must be a whole number from 1 to 30"):
        MerchantProfile.load(DEMO_TEXT.replace("answer_days = { CN = 15", f"answer_days = {{ CN = {wrong}"))


def test_a_jurisdiction_without_days_is_not_ready() -> None:
    profile = MerchantProfile.load(DEMO_TEXT.replace("CN = 15, ", ""))
    assert profile.problems() == ["merchant.toml: rights.answer_days.CN is mandatory and missing"]
