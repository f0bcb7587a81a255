"""Every field of the report has its source in law, and says the same in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from riskgraph.explainers.afterwards import Afterwards
from riskgraph.explainers.choices import Audience, Law
from riskgraph.explainers.compliance import limit
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_json import render, schema
from riskgraph.explainers.standing import Standing
from riskgraph.explainers.texts import table
from riskgraph.models import card
from tests.explainers.helpers import degraded_record, random_subgraph, some_order, some_record

DEMO = MerchantProfile.demo()
BLOCKS = ("compliance", "authority", "rules")
PARITY = {
    "world": "world-2",
    "provenance": "simulated",
    "sha256": "a" * 64,
    "measured": "2026-11-27",
    "seed": 881,
    "honest": 4321,
    "rejected": {
        "granted": [0.0004, 0.0001, 0.0009],
        "refused": [0.0002, 0.0, 0.0006],
        "ratio": [0.5, 0, 2.5],
    },
    "reviewed": {"granted": [0.01, 0.008, 0.012], "refused": [0.0, 0.0, 0.001], "ratio": None},
}
# What a text of no language is: codes, ids, numbers, digests, addresses, moments.
SAME_IN_BOTH = re.compile(
    r"^(schema|report_id|decision_id|issued_at|law|audience|order\..*|law_refs\..*|integrity\..*"
    r"|(controller|representative|dpo|recipients)\.contact|provenance\.(model|merchant)|decision\.(verdict|action|mode)"
    r"|automation\.art22_ground\.ground|(reasons|mitigating_factors)\.(code|text_zh|text_en|direction|band"
    r"|interaction_of|own_facts\.node)|other_factors\.word|consent_gate\.(refused_purposes|features|action)"
    r"|consent_gate\.parity\.facts\..*|legal_basis\.(jurisdiction|data_class)|retention\.(report_until"
    r"|erasure_state)|data_used\.(node|data_class|consent_ref|retention_until)|rights\.(url|contact)"
    r"|rights\.list\.(law|right|article)|rights\.object\.(law|article)|rights\.deadlines\.jurisdiction|complaint\.(jurisdiction|url)"
    r"|(compliance\.withheld_from_subject|withheld)\.(field|ground|date|covers)"
    r"|compliance\.(score\.availability|attribution\.(method_id|reference_id|group_phi\.family|pair_phi\..*"
    r"|top_nodes)|optional_data\.band|fidelity\.band|path|context|degraded_cause|nodes\.(node|name|family"
    r"|state|pipl_class|basis)|blind_spots\.(source|nodes)|entity_context\..*|versions\..*|model\..*"
    r"|assessments\..*)|authority\.(vector\..*|reference\.(id|subgraph_sha256)|hashes\..*|replay\..*)"
    r"|rules\.(tree|gates|patterns))$"
)
# Values in units that both write alike, such as numbers and dates.
NUMBER = re.compile(r"^[\d\s.,:%+<>–/-]*( (ms|s|min|h|d|km|CNY))?$")


def of_schema() -> Iterator[str]:
    yield from schema()["properties"]
    for block in BLOCKS:
        yield from (f"{block}.{name}" for name in schema()["$defs"][block]["properties"])


def texts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from texts(part, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for part in value:
            yield from texts(part, path)
    else:
        yield path, value


def a_record(seed: int) -> Any:
    if seed == 0:
        return degraded_record()
    subgraph = random_subgraph(seed, 1.0, refused=("location",))
    return some_record(seed, subgraph=subgraph, order=some_order(purposes={"location": False}), parity=PARITY)


def test_every_field_of_the_schema_has_its_source_in_both_laws() -> None:
    refs = table("law")["refs"]
    assert set(of_schema()) == set(refs)
    for field, laws in refs.items():
        assert set(laws) == {"gdpr", "pipl"}, field
        assert all(articles and all(articles) for articles in laws.values()), field


@pytest.mark.parametrize("audience", list(Audience))
def test_every_field_of_a_report_names_its_articles(audience: str) -> None:
    made = render(a_record(1), audience=audience, law="both", lang="en", merchant=DEMO)
    inner = {f"{block}.{name}" for block in BLOCKS if block in made for name in made[block]}
    assert set(made["law_refs"]) == set(made) | inner


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("law", list(Law))
@pytest.mark.parametrize("audience", list(Audience))
def test_both_languages_say_the_same_fields_and_each_in_its_own_words(
    audience: str, law: str, seed: int
) -> None:
    chinese, english = (
        list(texts(render(a_record(seed), audience=audience, law=law, lang=lang, merchant=DEMO)))
        for lang in ("zh", "en")
    )
    assert [path for path, _ in chinese] == [path for path, _ in english]
    for (path, first), (_, second) in zip(chinese, english, strict=True):
        if not isinstance(first, str) or path in ("lang", "report_id") or path.startswith("integrity."):
            continue
        if SAME_IN_BOTH.match(path) or (first == second and NUMBER.match(first)):
            assert first == second, path
        else:
            assert re.search(r"[\u4e00-\u9fff]", first), (path, first)
            assert not re.search(r"[\u4e00-\u9fff]", second), (path, second)


def test_what_came_after_the_decision_stands_in_the_report() -> None:
    origin = {
        "name": "m", "kind": "order2", "provenance": "simulated", "created": "2026-11-01T00:00:00Z",
        "releases": [{"release_id": "rel-1", "k": 50, "certificate": {"min_units": 53}}],
        "window": {"rel-1": {"until": "2026-06-30"}}, "limits": ["a limit"],
    }  # fmt: skip
    standing = Standing(
        model=origin,
        approvals=({"by": "Ada", "at": "2026-11-02"},),
        after=Afterwards(log=({"reviewer": "r-1", "outcome": "upheld"},)),
        legal_hold="a court asked for it",
        erasure_state="restricted",
        supersedes="d-0.subject.both.en",
        correction_of="d-0",
    )
    made = render(a_record(1), audience="compliance", law="both", lang="en", merchant=DEMO, standing=standing)
    assert made["retention"]["legal_hold"] == "a court asked for it"
    assert made["retention"]["erasure_state"] == "restricted"
    assert (made["supersedes"], made["correction_of"]) == ("d-0.subject.both.en", "d-0")
    assert made["compliance"]["review_log"] == [{"reviewer": "r-1", "outcome": "upheld"}]
    assert made["compliance"]["model"]["releases"] == [
        {"release_id": "rel-1", "k": 50, "min_units": 53, "until": "2026-06-30"}
    ]
    assert made["compliance"]["model"]["approvals"] == [{"by": "Ada", "at": "2026-11-02"}]


def test_every_limit_that_models_share_is_told_in_chinese() -> None:
    limits = [*card.LIMITS, card.HELD_OUT_LIMIT, card.SIMULATED_LIMIT, card.PLAYER_LIMIT, card.FREE_LIMIT]
    assert all(limit(text, "zh")["lang"] == "zh-Hans" for text in limits)
    assert limit("A limit of one model.", "zh") == {"text": "A limit of one model.", "lang": "en"}
