"""The figures of explanations, on a world as small as still has flagged orders."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from riskgraph import bootstrap
from riskgraph.bench import explain, explain_integrity, explain_reasons, explain_reports, measure
from riskgraph.bench.explain_ground import Ground
from riskgraph.core.fonts import PACKAGE
from riskgraph.core.report import Attribution, DecisionReport
from riskgraph.core.verdict import Verdict
from riskgraph.explainers.games import AnyExplainer

ORDERS = 1_200
HAVE_PDF = all(importlib.util.find_spec(name) for name in ("typst", PACKAGE))


def quiet(*_: object) -> None: ...


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(Path(tmp_path_factory.mktemp("explain")), quiet, ORDERS)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_reasons, "BRUTE_ORDERS", 1)
    monkeypatch.setattr(explain_reasons, "PLAYERS", 6)
    monkeypatch.setattr(explain_reports, "RECORDS", 2)
    monkeypatch.setattr(explain_reports, "TIMED", 2)
    monkeypatch.setattr(explain_integrity, "FLIPS", 40)
    monkeypatch.setattr(explain_integrity, "ERASED", 2)


def test_every_figure_is_measured_and_what_is_exact_is_exact(ground: Ground, few: None) -> None:
    names = {name for group in explain.PARTS.values() for name in group}
    asked = names if HAVE_PDF else names - {"pdf_warm_ms"}
    figures = {figure.name: figure for figure in measure(explain.PARTS, ground, asked)}
    assert set(figures) == asked
    assert [f.note for f in figures.values() if f.value is None] == []
    assert all("simulated" in f.note for f in figures.values())
    for name in ("counterfactual_verified", "parity_zh_en", "fields_sourced", "tamper_detected"):
        assert figures[name].value == 1.0
    assert figures["erasure_leftovers"].value == 0
    for name in ("additivity", "brute_force_error"):
        assert figures[name].value <= 1e-9
    assert figures["fid_plus_4"].value > figures["fid_plus_4"].baseline


@pytest.mark.parametrize(
    "spoilt",
    [lambda zh, en: en, lambda zh, en: f"{zh}8191"],
    ids=["not translated", "another number"],
)
@pytest.mark.parametrize("field", ["counterfactual.statement", "reasons.0.text_zh"])
def test_what_readers_of_chinese_are_told_in_english_or_with_other_numbers_shows(
    ground: Ground,
    few: None,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    spoilt: Callable[[str, str], str],
) -> None:
    right = explain_reports._fields

    def fields(record: DecisionReport, audience: str, lang: str) -> dict[str, object]:
        told = right(record, audience, lang)
        if lang == "zh" and field in told:
            told[field] = spoilt(told[field], right(record, audience, "en")[field.replace("_zh", "_en")])
        return told

    monkeypatch.setattr(explain_reports, "_fields", fields)
    assert explain_reports.parity(ground)[0].value < 1.0


def test_orders_are_flagged_or_not_as_the_tree_says(ground: Ground) -> None:
    verdicts = {judged.walk.verdict for judged in ground.judged}
    assert Verdict.ACCEPT in verdicts
    assert ground.flagged
    assert all(judged.walk.verdict is not Verdict.ACCEPT for judged in ground.flagged)


def test_reports_are_written_once_for_each_count(ground: Ground) -> None:
    assert ground.records(2) is ground.records(2)
    assert len(ground.records(4)) > len(ground.records(2))


def test_a_wrong_attribution_shows_in_the_figures(
    ground: Ground, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = AnyExplainer.explain

    def wrong(self: AnyExplainer, score: object) -> Attribution:
        told = right(self, score)
        return replace(told, phi=told.phi * 1.001)

    monkeypatch.setattr(AnyExplainer, "explain", wrong)
    figures = measure(explain.PARTS, ground, {"additivity", "brute_force_error"})
    assert all(figure.value > 1e-6 for figure in figures)


def test_a_counterfactual_that_does_not_hold_shows_in_the_figures(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = explain_reasons.find_counterfactual

    def wrong(*args: object) -> object:
        told = right(*args)
        return told and replace(told, acts=("card_details", "passkey", "recipient_self", "full_address"))

    monkeypatch.setattr(explain_reasons, "find_counterfactual", wrong)
    verified, small = measure(explain.PARTS, ground, {"counterfactual_verified", "counterfactual_small"})
    assert (verified.value, small.value) == (0.0, 0.0)


def test_rejects_that_flip_without_consent_are_those_of_which_the_report_says_so(ground: Ground) -> None:
    said = []
    for record in ground.records(2 * len(ground.flagged)):
        if record.score["verdict"] == "reject":
            told = explain_reports.render(
                record, audience="compliance", law="both", lang="en", merchant=bootstrap.demo_profile()
            )
            said.append(told["compliance"]["optional_data"]["flips"])
    (figure,) = explain_reasons.without_consent(ground)
    assert 0 < figure.value < 1
    assert figure.value == pytest.approx(sum(said) / len(said))
    assert f"{sum(said)} of {len(said)} simulated rejects" in figure.note


def test_a_field_that_one_language_lacks_shows_in_the_figures() -> None:
    a, b = (dict(explain_reports.leaves({"x": [1, {"y": text}], "z": {}})) for text in ("有", " "))
    assert a.keys() == b.keys() == {"x.0", "x.1.y", "z"}
    assert [explain_reports._alike(a[path], b[path]) for path in a] == [True, False, True]
