"""merchant.toml: what must be stated, and what happens when it is not."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from riskgraph.core.errors import Invalid
from riskgraph.explainers.merchant import WITHHELD, MerchantProfile

DEMO_TEXT = (
    resources.files("riskgraph.explainers").joinpath("data", "demo-merchant.toml").read_text(encoding="utf-8")
)


def test_the_demo_merchant_is_complete_and_marked_simulated() -> None:
    demo = MerchantProfile.demo()
    assert demo.problems() == []
    assert demo.require() is demo
    assert demo.simulated is True


def test_a_profile_loads_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "merchant.toml"
    path.write_text(DEMO_TEXT, encoding="utf-8")
    assert MerchantProfile.load(path) == MerchantProfile.demo()
    assert MerchantProfile.load(str(path)) == MerchantProfile.demo()


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('contact = "dpo@shop.example"', "dpo.contact"),
        ('ground = "contract"', "art22.ground"),
        ('url = "https://shop.example/privacy/decisions"', "rights.url"),
        ('delivered_sources = ["js", "order", "acct", "pay", "lbs", "graph"]', "delivered_sources"),
    ],
)
def test_a_missing_mandatory_field_is_named(line: str, field: str) -> None:
    assert line in DEMO_TEXT
    profile = MerchantProfile.load(DEMO_TEXT.replace(line, ""))
    assert profile.problems() == [f"merchant.toml: {field} is mandatory and missing"]
    with pytest.raises(Invalid, match=field) as caught:
        profile.require()
    assert caught.value.field == field


def test_a_text_in_one_language_only_is_missing_in_the_other() -> None:
    profile = MerchantProfile.load(DEMO_TEXT.replace(', en = "none to other countries"', ""))
    assert profile.problems() == ["merchant.toml: transfers.text.en is mandatory and missing"]


def test_an_empty_profile_lists_all_that_is_missing() -> None:
    problems = MerchantProfile({}).problems()
    assert "merchant.toml: controller.name.zh is mandatory and missing" in problems
    assert "merchant.toml: degraded_policy.none_under is mandatory and missing" in problems


def test_an_unnamed_provenance_counts_as_simulated_and_mode_as_observe() -> None:
    assert MerchantProfile({}).simulated is True
    assert MerchantProfile({}).mode == "observe"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('provenance = "simulated"', 'provenance = "real"', "provenance"),
        ('ground = "contract"', 'ground = "interest"', "art22.ground"),
        ('otherwise = "hold"', 'otherwise = "block"', "degraded_policy.otherwise"),
        (
            'delivered_sources = ["js", "order", "acct", "pay", "lbs", "graph"]',
            'delivered_sources = "js"',
            "delivered_sources",
        ),
    ],
)
def test_a_wrong_word_is_refused_with_its_field(old: str, new: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        MerchantProfile.load(DEMO_TEXT.replace(old, new))
    assert caught.value.field == field


def test_broken_toml_and_missing_files_are_errors_about_the_merchant(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        MerchantProfile.load("a = \n b")
    with pytest.raises(Invalid, match="cannot be opened"):
        MerchantProfile.load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("amount", "currency", "action"),
    [(199.0, "CNY", "none"), (200.0, "CNY", "hold"), (1.0, "JPY", "hold"), (29.0, "EUR", "none")],
)
def test_without_a_score_small_orders_go_on_and_others_are_held(
    amount: float, currency: str, action: str
) -> None:
    assert MerchantProfile.demo().degraded_action(amount, currency) == action


@pytest.mark.parametrize("field", WITHHELD)
@pytest.mark.parametrize("part", ["ground", "approver", "date"])
def test_a_field_that_is_withheld_without_ground_approver_or_date_is_not_ready(field: str, part: str) -> None:
    demo = MerchantProfile.demo().data
    row = {key: value for key, value in demo["withheld"][field].items() if key != part}
    profile = MerchantProfile({**demo, "withheld": {**demo["withheld"], field: row}})
    named = [f"withheld.{field}.approver.{lang}" for lang in ("zh", "en")]
    expected = named if part == "approver" else [f"withheld.{field}.{part}"]
    assert profile.problems() == [f"merchant.toml: {path} is mandatory and missing" for path in expected]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('ground = "trade_secret"', 'ground = "because"'),
        ('date = "2026-10-01"', 'date = "soon"'),
        ('date = "2026-10-01"', "date = 2026-10-01"),
    ],
)
def test_a_wrong_ground_or_date_of_what_is_withheld_is_named(line: str, wrong: str) -> None:
    with pytest.raises(Invalid, match=r"withheld\.\w+\.(ground|date)"):
        MerchantProfile.load(DEMO_TEXT.replace(line, wrong, 1))
