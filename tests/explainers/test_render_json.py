"""The JSON report: schema, tiers, laws, languages, refusals, integrity."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.report import DecisionReport
from riskgraph.core.subgraph import State
from riskgraph.core.verdict import Verdict, Walk
from riskgraph.explainers.integrity import canonical_sha256
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_json import render, schema
from riskgraph.explainers.texts import table
from tests.explainers.helpers import (
    RandomScorer,
    degraded_record,
    random_subgraph,
    some_order,
    some_record,
)

DEMO = MerchantProfile.demo()
VALIDATOR = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker())


def report(
    record: DecisionReport,
    audience: str = "subject",
    law: str = "both",
    lang: str = "en",
    merchant: MerchantProfile = DEMO,
) -> dict[str, Any]:
    return render(record, audience=audience, law=law, lang=lang, merchant=merchant)


def keys_of(value: Any) -> Any:
    """The shape of a JSON value without its texts."""
    if isinstance(value, dict):
        return {key: keys_of(part) for key, part in value.items()}
    return [keys_of(part) for part in value] if isinstance(value, list) else None


def test_the_committed_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.0, 1.0),
    audience=st.sampled_from(["subject", "compliance", "authority", "fraud_team"]),
    law=st.sampled_from(["gdpr", "pipl", "both"]),
    lang=st.sampled_from(["zh", "en"]),
    jurisdiction=st.sampled_from(["CN", "EU", "other"]),
    verdict=st.sampled_from(list(Verdict)),
)
def test_reports_of_random_orders_follow_the_schema(
    seed: int, share: float, audience: str, law: str, lang: str, jurisdiction: str, verdict: Verdict
) -> None:
    record = some_record(
        seed,
        subgraph=random_subgraph(seed, share, refused=("location",)),
        order=some_order(jurisdiction=jurisdiction, purposes={"location": False}),
        walk=Walk(verdict, "hold", ("leaf:x",)),
    )
    VALIDATOR.validate(report(record, audience, law, lang))


@pytest.mark.parametrize("audience", ["subject", "compliance"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_degraded_decision_says_that_no_automated_score_was_used(audience: str, lang: str) -> None:
    made = report(degraded_record(), audience, lang=lang)
    VALIDATOR.validate(made)
    assert made["decision"]["degraded"] is True
    assert made["decision"]["degraded_statement"]
    assert made["reasons"] == []
    assert made["automation"]["solely_automated"] is False


def test_the_schema_refuses_a_subject_report_with_compliance_fields() -> None:
    made = report(some_record(1))
    made["compliance"] = report(some_record(1), "compliance")["compliance"]
    assert not VALIDATOR.is_valid(made)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_chinese_and_english_reports_have_the_same_fields(seed: int, audience: str) -> None:
    record = some_record(seed)
    assert keys_of(report(record, audience, lang="zh")) == keys_of(report(record, audience, lang="en"))


def test_a_subject_sees_no_score_threshold_path_share_or_version() -> None:
    record = some_record(2)
    text = json.dumps(report(record))
    facts = record.score
    hidden = [facts["logit"], facts["probability"], facts["thresholds"]["review"], record.other_share]
    hidden += [r.share for r in record.reasons]
    assert not [value for value in hidden if json.dumps(value) in text]
    assert "band:" not in text
    assert record.versions["model"] not in text


def test_a_subject_does_not_see_values_that_count_other_people() -> None:
    fixed = {key: {"accounts_30d": 77.0, "fraud_share": 0.625} for key in ("B131", "B132", "B133")}
    record = some_record(3, subgraph=random_subgraph(3, 0.0, fixed=fixed))
    assert "77" not in json.dumps(report(record)["data_used"])
    rows = [row for row in report(record)["data_used"] if row["withheld"]]
    assert {row["node"] for row in rows} == {"B131", "B132", "B133"}
    assert "77" in json.dumps(report(record, "compliance")["data_used"])


def test_compliance_sees_every_node_and_contributions_that_sum_to_the_score() -> None:
    made = report(some_record(4), "compliance")["compliance"]
    parts = made["attribution"]
    assert len(made["nodes"]) == 137
    total = sum(row["phi"] for row in made["nodes"])
    assert total == pytest.approx(parts["value"] - parts["base_value"], abs=1e-9)
    assert sum(row["phi"] for row in parts["group_phi"]) == pytest.approx(total, abs=1e-9)


def test_a_refusal_is_said_to_have_counted_for_nothing_and_no_refused_node_is_named() -> None:
    record = some_record(
        5,
        subgraph=random_subgraph(5, 1.0, refused=("location", "motion")),
        order=some_order(purposes={"location": False, "motion": False, "behavior": True, "device": True}),
    )
    made = report(record)
    gate = made["consent_gate"]
    assert gate["refused_purposes"] == ["motion", "location"]
    assert "counted for nothing" in gate["statement"]
    assert (gate["features"], gate["flipped"], gate["action"]) == (None, False, "none")
    refused = [n.id for n in catalog() if n.purpose in ("location", "motion")]
    assert not [key for key in refused if f'"{key}"' in json.dumps(made)]
    assert report(record, "compliance")["consent_gate"]["features"] == refused
    assert report(record, "compliance")["consent_gate"]["contribution_of_refused"] == 0.0


def test_a_permission_denied_for_single_nodes_is_told_as_the_refusal_it_is() -> None:
    record = some_record(
        5,
        subgraph=random_subgraph(5, 1.0, refused=("location",)),
        order=some_order(purposes={"location": True, "behavior": True, "device": True}),
    )
    gate = report(record)["consent_gate"]
    assert gate["refused_purposes"] == ["location"]
    assert "counted for nothing" in gate["statement"]


@pytest.mark.parametrize(("lang", "scale"), [("en", "a scale of their own"), ("zh", "单独的基准")])
def test_who_refused_all_is_told_of_the_scale_for_such_orders(lang: str, scale: str) -> None:
    subgraph = random_subgraph(5, 1.0, refused=("behavior", "motion", "location", "device"))
    refusing = some_record(5, subgraph=subgraph, score=RandomScorer(5).score(subgraph, "pre_auth/refused"))
    one = some_record(5, subgraph=random_subgraph(5, 1.0, refused=("location",)))
    assert scale in report(refusing, lang=lang)["consent_gate"]["statement"]
    assert scale not in report(one, lang=lang)["consent_gate"]["statement"]


@pytest.mark.parametrize(
    ("action", "mode", "solely", "words"),
    [
        ("none", "enforce", True, "without a person taking part"),
        ("step_up", "enforce", True, "nothing was refused"),
        ("block", "enforce", True, "without a person taking part"),
        ("hold", "enforce", False, "a person decides"),
        ("none", "observe", False, "only recorded"),
    ],
)
def test_a_person_is_named_only_where_the_action_waits_for_one(
    action: str, mode: str, solely: bool, words: str
) -> None:
    """GDPR Art. 22(1); PIPL Art. 24(3)."""
    told = report(some_record(3, action=action, mode=mode))["automation"]
    assert told["solely_automated"] is solely
    assert words in told["statement"]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_is_said_to_be_withheld_is_withheld(lang: str) -> None:
    """GDPR Art. 15(4); PIPL Art. 18."""
    hidden = table("wording")["words"]["withheld"]["linked"][lang]
    rows = [row for row in report(some_record(7, subgraph=random_subgraph(7, 1.0)), lang=lang)["data_used"]]
    assert any(row["withheld"] for row in rows)
    for row in rows:
        assert (row["value"] == hidden) is row["withheld"], row["node"]


def test_the_gate_finds_a_refused_node_that_was_counted_after_all() -> None:
    counted = some_record(6, subgraph=random_subgraph(6, 1.0))
    hidden = random_subgraph(6, 1.0, refused=("location",))
    tampered = DecisionReport(
        **{
            f: getattr(counted, f)
            for f in counted.__slots__
            if f not in ("subgraph", "reasons", "mitigating")
        },
        subgraph=hidden.pack(),
        reasons=(),
        mitigating=(),
    )
    gate = report(tampered, "compliance")["consent_gate"]
    assert gate["flipped"] is True
    assert gate["action"] == "person_decides"


def test_taking_consent_data_away_gives_the_score_of_who_refuses_it() -> None:
    subgraph, scorer = random_subgraph(7, 0.8), RandomScorer(7)
    made = report(some_record(7, subgraph=subgraph), "compliance")["compliance"]["optional_data"]
    bare = subgraph
    for node in catalog():
        if node.consent_needed and bare.state(node.id) is State.PRESENT:
            bare = bare.without(node.id)
    expected = scorer.score(bare, "pre_auth/refused").probability
    assert made["probability"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("law", "other"), [("gdpr", "pipl"), ("pipl", "gdpr")])
def test_one_law_names_only_its_own_articles_rights_and_authorities(law: str, other: str) -> None:
    made = report(some_record(1), law=law)
    assert all(set(refs) == {law} for refs in made["law_refs"].values())
    assert {row["law"] for row in made["rights"]["list"]} == {law}
    assert len(made["complaint"]) == 1
    assert other not in json.dumps(made["law_refs"])


def test_simulated_is_called_simulated() -> None:
    real = MerchantProfile({**DEMO.data, "provenance": "merchant"})
    record = some_record(1)
    assert report(record)["provenance"]["simulated"] is True
    assert "Simulated" in report(record, merchant=real)["provenance"]["statement"]
    trained = some_record(1, provenance="merchant")
    assert report(trained, merchant=real)["provenance"]["statement"] is None


def test_observe_mode_says_that_nothing_was_done() -> None:
    record = some_record(
        1, walk=Walk(Verdict.REJECT, "block", ("leaf:reject",)), mode="observe", action="none"
    )
    made = report(record)
    assert "only recorded" in made["decision"]["effect"]
    assert made["automation"]["solely_automated"] is False


def test_a_rejection_is_called_solely_automated_and_a_review_is_not() -> None:
    rejected = some_record(1, walk=Walk(Verdict.REJECT, "block", ("leaf:reject",)))
    reviewed = some_record(1, walk=Walk(Verdict.REVIEW, "hold", ("leaf:review",)))
    assert report(rejected)["automation"]["solely_automated"] is True
    assert report(reviewed)["automation"]["solely_automated"] is False


@given(seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_any_changed_field_changes_the_digest(seed: int) -> None:
    made = report(some_record(seed))
    digest = made["integrity"]["canonical_sha256"]
    assert canonical_sha256(made) == digest
    for key in set(made) - {"integrity"}:
        assert canonical_sha256({**made, key: "changed"}) != digest


def test_rendering_twice_gives_the_same_report() -> None:
    assert report(some_record(8), "compliance") == report(some_record(8), "compliance")


@pytest.mark.parametrize("wrong", [{"audience": "all"}, {"law": "ccpa"}, {"lang": "fr"}])
def test_unknown_choices_name_their_field(wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        report(some_record(1), **wrong)
    assert caught.value.field == next(iter(wrong))


def test_a_merchant_that_states_nothing_still_gets_a_report_that_says_so() -> None:
    made = report(some_record(1), merchant=MerchantProfile({}))
    VALIDATOR.validate(made)
    assert made["controller"]["name"] == "(not stated by the merchant)"


def test_a_blind_spot_says_whether_its_source_is_connected_at_all() -> None:
    spots = report(some_record(2, subgraph=random_subgraph(2, 0.2)), "compliance")["compliance"][
        "blind_spots"
    ]
    connected = {row["source"]: row["connected"] for row in spots}
    assert connected["js"] is True
    assert connected["logi"] is False
