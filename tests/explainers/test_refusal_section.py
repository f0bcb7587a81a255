"""The refusal section: what was refused, that it added zero, and the parity on file, if there is any."""

from __future__ import annotations

import json
from typing import Any

import pytest

from riskgraph.core.report import DecisionReport
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_json import render
from riskgraph.explainers.texts import say
from tests.explainers.helpers import RandomScorer, degraded_record, random_subgraph, some_order, some_record
from tests.explainers.test_fields import PARITY

DEMO = MerchantProfile.demo()
ALL = ("behavior", "motion", "location", "device")


def gate(record: DecisionReport, audience: str = "subject", lang: str = "en") -> dict[str, Any]:
    made: dict[str, Any] = render(record, audience=audience, law="both", lang=lang, merchant=DEMO)
    return made["consent_gate"]


def record_of(availability: str, refused: tuple[str, ...] = (), parity: Any = PARITY) -> DecisionReport:
    subgraph = random_subgraph(5, 1.0, refused=refused)
    return some_record(
        5,
        subgraph=subgraph,
        order=some_order(purposes={key: key not in refused for key in ALL}),
        score=RandomScorer(5).score(subgraph, availability),
        parity=parity,
    )


def test_that_a_refusal_added_zero_is_checked_on_the_contributions() -> None:
    record = record_of("pre_auth/refused", ALL)
    told = gate(record)
    assert told["added_zero"] is True
    assert told["checked"].startswith("Checked")
    # The same contributions beside a subgraph that says "refused" of nodes that did count.
    counted = record_of("pre_auth/front_end")
    parts = {name: getattr(counted, name) for name in counted.__slots__}
    forged = DecisionReport(**{**parts, "subgraph": record.subgraph, "reasons": (), "mitigating": ()})
    assert gate(forged)["added_zero"] is False
    assert "found a contribution" in gate(forged)["checked"]


def test_who_refuses_training_alone_is_measured_like_who_refuses_nothing() -> None:
    record = some_record(
        5,
        subgraph=random_subgraph(5, 1.0),
        order=some_order(purposes={"model_training": False}),
        parity=PARITY,
    )
    made = render(record, audience="subject", law="both", lang="en", merchant=DEMO)
    assert "4 of 10,000 were rejected" in made["accuracy_and_limits"]
    assert say("parity.partly", "en") not in made["consent_gate"]["parity"]["statement"]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_who_refused_nothing_is_told_of_no_contribution_of_what_was_refused(lang: str) -> None:
    assert gate(record_of("pre_auth/front_end"), lang=lang)["checked"] == say("gate.check_nothing", lang)
    partly = gate(record_of("pre_auth/front_end", ("location",)), lang=lang)
    assert partly["checked"] == say("gate.check_zero", lang)


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        ([0.341, 0.291, 0.395], "missed_less"),
        ([2.0, 1.2, 3.0], "missed_more"),
        ([1.1, 0.9, 1.3], None),
        ([1.0, 1.0, 1.2], None),
        (None, None),
    ],
)
def test_a_missed_aim_of_equal_rates_is_said_to_be_missed(lang: str, ratio: Any, said: str | None) -> None:
    """Where the interval leaves out 1."""
    measured = {**PARITY, "rejected": {**PARITY["rejected"], "ratio": ratio}}
    told = gate(record_of("pre_auth/refused", ALL, measured), lang=lang)["parity"]["statement"]
    found = [key for key in ("missed_less", "missed_more") if say(f"parity.{key}", lang) in told]
    assert found == ([said] if said else [])


def test_a_degraded_decision_claims_no_check() -> None:
    told = gate(degraded_record())
    assert told["added_zero"] is None
    assert "no contribution to check" in told["checked"]
    assert told["parity"]["on_file"] is False


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_parity_on_file_is_told_with_date_origin_rates_and_interval(lang: str) -> None:
    told = gate(record_of("pre_auth/refused", ALL), lang=lang)["parity"]
    assert told["on_file"] is True
    for part in ("2026-11-27", "4,321", "0.5", "2.5", "模拟" if lang == "zh" else "simulated"):
        assert part in told["statement"], part
    # reviewed: none refusing, so that there is no ratio to tell
    assert ("无法给出倍数" if lang == "zh" else "Too few") in told["statement"]


@pytest.mark.parametrize(
    ("availability", "refused", "parity", "words"),
    [
        ("pre_auth/refused", ALL, None, "is on file for orders of this kind"),
        ("pre_auth/no_front_end", (), PARITY, "nothing to refuse"),
        (
            "pre_auth/front_end",
            ("location",),
            PARITY,
            "For orders that refuse a part only, nothing is on file",
        ),
    ],
)
def test_what_is_not_on_file_is_said_to_be_not_on_file(
    availability: str, refused: tuple[str, ...], parity: Any, words: str
) -> None:
    assert words in gate(record_of(availability, refused, parity))["parity"]["statement"]


def test_the_figures_are_for_compliance_and_the_words_for_everyone() -> None:
    record = record_of("pre_auth/refused", ALL)
    assert "facts" not in gate(record)["parity"]
    assert PARITY["sha256"] not in json.dumps(gate(record))
    assert gate(record, "compliance")["parity"]["facts"] == PARITY


@pytest.mark.parametrize(
    ("availability", "rejected", "reviewed"),
    [("pre_auth/front_end", "4", "100"), ("pre_auth/refused", "2", "0")],
)
def test_error_rates_are_those_of_orders_with_the_same_kinds_of_data(
    availability: str, rejected: str, reviewed: str
) -> None:
    record = record_of(availability, ALL if availability.endswith("refused") else ())
    made = render(record, audience="subject", law="both", lang="en", merchant=DEMO)
    words = f"{rejected} of 10,000 were rejected and {reviewed} of 10,000 checked further"
    assert words in made["accuracy_and_limits"]


def test_without_figures_on_file_no_error_rate_is_told() -> None:
    for record in (
        record_of("pre_auth/front_end", parity=None),
        record_of("pre_auth/no_front_end"),
        # Measured were orders as they were and with everything refused, none that refuse a part.
        record_of("pre_auth/front_end", ("motion", "location")),
    ):
        made = render(record, audience="subject", law="both", lang="en", merchant=DEMO)
        assert "is not on file" in made["accuracy_and_limits"]
        assert "of 10,000" not in made["accuracy_and_limits"]
