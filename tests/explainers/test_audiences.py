"""Who reads what: tiers of the report, and the register of what the subject is not shown."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import Verdict, Walk
from riskgraph.explainers.choices import Audience
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render, schema
from riskgraph.explainers.texts import table
from tests.explainers.helpers import degraded_record, random_subgraph, some_record

DEMO = MerchantProfile.demo()
AUDIENCES = [audience.value for audience in Audience]
# Rows of links stay, with their value masked; what spoke for an order that was not accepted is told.
SHOWN_IN_PART = {"data_used.value", "mitigating_factors"}
VALIDATOR = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker())


def report(seed: int, audience: str, lang: str = "en", **changes: Any) -> dict[str, Any]:
    record = some_record(seed, **changes)
    return render(record, audience=audience, law="both", lang=lang, merchant=DEMO)


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Dotted names of all fields that say something; rows of a list share theirs."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from fields(part, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        for part in value:
            yield from fields(part, path)
    elif value is not None:
        yield path


@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("degraded", [False, True])
def test_every_audience_has_a_report_that_follows_the_schema_and_a_page(
    audience: str, lang: str, degraded: bool
) -> None:
    record = degraded_record() if degraded else some_record(3)
    asked: dict[str, Any] = {"audience": audience, "law": "both", "lang": lang, "merchant": DEMO}
    VALIDATOR.validate(render(record, **asked))
    assert table("texts")["title"][audience][lang] in render_html(record, **asked)


@pytest.mark.parametrize(
    ("audience", "blocks"),
    [
        ("subject", set()),
        ("compliance", {"compliance"}),
        ("authority", {"compliance", "authority", "rules"}),
        ("fraud_team", {"compliance", "rules"}),
    ],
)
def test_each_tier_reads_its_own_blocks_and_no_other(audience: str, blocks: set[str]) -> None:
    made = report(1, audience)
    assert set(made) & {"compliance", "authority", "rules"} == blocks
    assert VALIDATOR.is_valid(made)
    for other in set(AUDIENCES) - {audience}:
        assert not VALIDATOR.is_valid({**made, "audience": other})


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 500), share=st.floats(0.0, 1.0))
def test_every_field_that_the_subject_lacks_stands_in_the_register(seed: int, share: float) -> None:
    """GDPR Art. 15(4), C-203/22: what is kept back is listed with its ground, none is kept back silently."""
    subgraph = random_subgraph(seed, share, refused=("location",))
    shown = set(fields(report(seed, "subject", subgraph=subgraph)))
    covered = [path for entry in table("withheld")["fields"] for path in entry["covers"]]
    for audience in ("compliance", "authority", "fraud_team"):
        lacking = set(fields(report(seed, audience, subgraph=subgraph))) - shown
        # Which articles ask for those blocks is no fact about anyone.
        lacking = {name for name in lacking if not name.startswith("law_refs.")}
        open_fields = [n for n in lacking if not any(n == p or n.startswith(f"{p}.") for p in covered)]
        assert open_fields == []


def test_what_is_said_to_be_kept_from_a_reader_is_not_in_the_report() -> None:
    for audience in AUDIENCES:
        made = report(2, audience)
        names = set(fields(made))
        kept = {row["field"] for row in made["withheld"]}
        for entry in table("withheld")["fields"]:
            hidden = set(entry["covers"]) - SHOWN_IN_PART
            if entry["field"] in kept:
                assert not [n for n in names for p in hidden if n == p or n.startswith(f"{p}.")]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_each_withheld_field_names_the_ground_approver_and_date_that_the_merchant_gave(lang: str) -> None:
    for row in report(1, "subject", lang)["withheld"]:
        given_by = DEMO.get(f"withheld.{row['field']}")
        assert (row["ground"], row["approver"], row["date"]) == (
            given_by["ground"],
            given_by["approver"][lang],
            given_by["date"],
        )


def test_the_authority_can_rebuild_the_scored_subgraph_from_the_vector_and_from_the_packed_bytes() -> None:
    subgraph = random_subgraph(4, 0.7, refused=("motion",))
    made = report(4, "authority", subgraph=subgraph)["authority"]
    packed = base64.b64decode(made["replay"]["subgraph_base64"])
    assert OrderSubgraph.unpack(packed) == subgraph
    assert hashlib.sha256(packed).hexdigest() == made["hashes"]["subgraph"]
    flat = [value for row in made["vector"] for value in row["components"].values()]
    told = np.array([np.nan if value is None else value for value in flat], dtype=np.float32)
    np.testing.assert_array_equal(told, subgraph.components)
    assert [row["state"] for row in made["vector"]] == [subgraph.state(node.id).word for node in catalog()]


def test_only_the_fraud_team_and_the_authority_read_ids_of_rules() -> None:
    softened = Walk(Verdict.REVIEW, "step_up", ("gate:single_node", "band:0.8-1", "leaf:review"))
    for audience in AUDIENCES:
        made = report(1, audience, walk=softened)
        if audience in ("authority", "fraud_team"):
            assert made["rules"]["gates"] == ["single_node"]
            assert made["rules"]["sub_patterns"] == []
            assert "no sub-patterns" in made["rules"]["statement"]
        else:
            assert "rules" not in made
    assert "single_node" not in json.dumps(report(1, "subject", walk=softened))


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_suspicions_are_said_to_be_kept_back_only_where_some_are(verdict: Verdict, lang: str) -> None:
    walk = Walk(verdict, "none", ("leaf:x",))
    rows = [row["field"] for row in report(1, "subject", lang, walk=walk)["withheld"]]
    staff = report(1, "compliance", lang, walk=walk)["compliance"]["withheld_from_subject"]
    assert [row["field"] for row in staff] == rows
    assert ("suspicions" in rows) == (verdict is Verdict.ACCEPT)


def test_only_who_was_stopped_is_told_of_factors_in_the_other_direction() -> None:
    accepted, stopped = Walk(Verdict.ACCEPT, "none", ("leaf:accept",)), Walk(Verdict.REJECT, "block", ("x",))
    told = [report(1, "subject", walk=walk)["mitigating_factors"] for walk in (accepted, stopped)]
    assert {row["direction"] for row in told[0]} == set()
    assert {row["direction"] for row in told[1]} == {"relief"}
    assert report(1, "compliance", walk=accepted)["mitigating_factors"]
