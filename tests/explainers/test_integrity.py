"""Whoever holds a report can tell whether it was changed, who signed it, and that its record is on record."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.errors import Invalid
from riskgraph.core.merkle import Frontier, inclusion_proof, leaf_hash
from riskgraph.core.tree_head import TreeHead
from riskgraph.explainers.afterwards import Afterwards
from riskgraph.explainers.integrity import (
    ELSEWHERE,
    ERASED,
    MISSING,
    ON_RECORD,
    Evidence,
    canonical_sha256,
    check_report,
    verdict,
)
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render, schema
from riskgraph.explainers.standing import Standing
from riskgraph.governance.signing import Ed25519Signer
from tests.explainers.helpers import some_record

SIGNER, OTHER = Ed25519Signer(bytes(32)), Ed25519Signer(bytes(31) + b"\1")
LEAVES = [leaf_hash(str(i).encode()) for i in range(11)]
INDEX = 5
PAGE = "https://risk.shop.example/verify"


def keys(key_id: str) -> Ed25519Signer | None:
    return {SIGNER.key_id: SIGNER}.get(key_id)


def evidence() -> Evidence:
    edge = Frontier()
    for leaf in LEAVES:
        edge.append(leaf)
    head = TreeHead(len(LEAVES), edge.root, datetime(2026, 11, 11, tzinfo=UTC).isoformat(), SIGNER.key_id)
    head = replace(head, signature=SIGNER.sign(head.signed))
    path = inclusion_proof(INDEX, len(LEAVES), lambda level, start, end: LEAVES[start:end])
    proof = {
        "leaf_index": INDEX,
        "leaf_hash": LEAVES[INDEX].hex(),
        "inclusion_proof": [node.hex() for node in path],
        "tree_head": head.to_json(),
    }
    return Evidence(SIGNER, proof, PAGE)


@dataclass
class Log:
    """What the service would find at a place of its log."""

    found: str = ON_RECORD

    def __call__(self, index: int, name: str, hashed: str) -> str:
        return self.found if index == INDEX and hashed in ("", LEAVES[INDEX].hex()) else ELSEWHERE


def made(audience: str = "compliance", seen: Evidence | None = None) -> dict[str, Any]:
    standing = Standing(after=Afterwards(evidence=seen or evidence()))
    report = render(
        some_record(),
        audience=audience,
        law="both",
        lang="zh",
        merchant=MerchantProfile.demo(),
        standing=standing,
    )
    # As a reader holds it: written down and read again.
    told: dict[str, Any] = json.loads(json.dumps(report))
    return told


REPORTS = {audience: made(audience) for audience in ("subject", "compliance", "authority", "fraud_team")}


def results(report: Any, log: Log | None = None) -> dict[str, str]:
    return {f.what: f.result for f in check_report(report, keys, log or Log())}


@pytest.mark.parametrize("audience", REPORTS)
def test_a_report_as_it_was_made_holds_and_follows_the_schema(audience):
    report = REPORTS[audience]
    jsonschema.Draft202012Validator(dict(schema())).validate(report)
    findings = check_report(report, keys, Log())
    assert {finding.result for finding in findings} == {"holds"}
    assert verdict(findings) == "holds"


def test_the_shopper_reads_a_number_and_a_page_and_auditors_the_proof():
    subject, compliance = (REPORTS[name]["integrity"] for name in ("subject", "compliance"))
    assert subject["log"] == {"leaf_index": INDEX}
    assert subject["verify_url"] == PAGE
    assert set(compliance["log"]) == {"leaf_index", "leaf_hash", "inclusion_proof", "tree_head"}


def test_html_names_key_number_and_page():
    page = render_html(
        some_record(),
        audience="subject",
        law="both",
        lang="en",
        merchant=MerchantProfile.demo(),
        standing=Standing(after=Afterwards(evidence=evidence())),
    )
    assert SIGNER.key_id in page
    assert f'<a href="{PAGE}">' in page


def leaves_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to all values of a report that are no containers."""
    if isinstance(value, dict):
        return [way for key in value for way in leaves_of(value[key], (*path, key))]
    if isinstance(value, list):
        return [way for i, item in enumerate(value) for way in leaves_of(item, (*path, i))]
    return [path]


def changed(report: Any, path: tuple[Any, ...], chance: random.Random) -> Any:
    """The report with another value at ``path``."""
    altered = deepcopy(report)
    at = altered
    for step in path[:-1]:
        at = at[step]
    value = at[path[-1]]
    if isinstance(value, bool) or value is None:
        at[path[-1]] = not value
    elif isinstance(value, int | float):
        at[path[-1]] = value + chance.choice((1, -1, 0.5))
    elif value:
        place = chance.randrange(len(value))
        at[path[-1]] = value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :]
    else:
        at[path[-1]] = "x"
    return altered


@pytest.mark.parametrize("audience", REPORTS)
@given(st.randoms(use_true_random=False))
def test_no_value_of_a_report_can_be_changed(audience, chance):
    report = REPORTS[audience]
    path = chance.choice([way for way in leaves_of(report) if way != ("schema",)])
    altered = changed(report, path, chance)
    findings = check_report(altered, keys, Log())
    # With the id of a key that nobody knows nothing can be said; it never holds.
    unknown = path[-1] == "key_id"
    assert verdict(findings) == "fails" or (unknown and verdict(findings) == "unknown")


def test_every_value_of_integrity_is_covered():
    chance = random.Random(1)
    for audience, report in REPORTS.items():
        for path in leaves_of(report["integrity"], ("integrity",)):
            findings = check_report(changed(report, path, chance), keys, Log())
            assert verdict(findings) != "holds", (audience, path)


def test_a_signature_of_another_key_is_told_from_one_of_ours():
    forged = made(seen=replace(evidence(), signer=OTHER))
    assert results(forged)["signature"] == "unknown"
    named = deepcopy(forged)
    named["integrity"]["signature"]["key_id"] = SIGNER.key_id
    assert results(named)["signature"] == "fails"


def test_a_report_made_up_around_a_genuine_signature_fails():
    report = deepcopy(REPORTS["subject"])
    report["decision"]["verdict"] = "altered"
    report["integrity"]["canonical_sha256"] = canonical_sha256(report)
    assert results(report) == {"digest": "holds", "signature": "fails", "log": "holds"}


@pytest.mark.parametrize("gone", [ERASED, MISSING])
def test_a_record_that_is_gone_is_no_proof_against_the_report(gone):
    findings = check_report(REPORTS["subject"], keys, Log(gone))
    assert {f.what: f.result for f in findings}["log"] == "unknown"
    assert verdict(findings) == "holds"


def test_a_record_that_the_log_does_not_have_fails():
    assert results(REPORTS["subject"], Log(ELSEWHERE))["log"] == "fails"


def test_a_report_that_nobody_signed_is_not_said_to_hold():
    bare = render(some_record(), audience="subject", law="both", lang="en", merchant=MerchantProfile.demo())
    findings = check_report(bare, keys, Log())
    assert [f.why for f in findings] == ["digest_holds", "signature_missing"]
    assert verdict(findings) == "unknown"


@pytest.mark.parametrize("nothing", [None, [], "x", {}, {"schema": "decision_report/1"}, 7])
def test_what_is_no_report_is_refused(nothing):
    with pytest.raises(Invalid):
        check_report(nothing, keys, Log())


@given(
    st.sampled_from(["log", "signature", "canonical_sha256"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["leaf_index", "tree_head", "key_id", "value", "inclusion_proof", "leaf_hash"]
                ),
                inner,
            )
        ),
    ),
)
def test_nonsense_in_integrity_never_holds_and_never_breaks_the_check(name, value):
    report = {**REPORTS["compliance"], "integrity": {**REPORTS["compliance"]["integrity"], name: value}}
    try:
        findings = check_report(report, keys, Log())
    except Invalid:
        return
    assert verdict(findings) != "holds"
