"""``decision_report/1``: the report as JSON, from which the HTML and PDF forms are laid out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from riskgraph.core.errors import Invalid
from riskgraph.core.report import DecisionReport
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers import sections
from riskgraph.explainers.accuracy import accuracy_and_limits
from riskgraph.explainers.afterwards import human_review
from riskgraph.explainers.authority import authority
from riskgraph.explainers.choices import Audience, Lang, Law
from riskgraph.explainers.compliance import compliance
from riskgraph.explainers.consent import gate
from riskgraph.explainers.integrity import SCHEMA, integrity
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.otherwise import counterfactual
from riskgraph.explainers.record import attribution_of
from riskgraph.explainers.rules import rules
from riskgraph.explainers.standing import AS_DECIDED, Standing
from riskgraph.explainers.texts import table
from riskgraph.explainers.trajectories import compared
from riskgraph.explainers.withheld import withheld


def render(
    record: DecisionReport,
    *,
    audience: str,
    law: str,
    lang: str,
    merchant: MerchantProfile,
    standing: Standing = AS_DECIDED,
) -> dict[str, Any]:
    """Render the report of one decision (GDPR Art. 15(1)(h); PIPL Art. 24, 48).

    Args:
        record: What was committed with the decision.
        audience: ``subject`` (tier 1), ``compliance`` (tier 2), ``authority`` (tier 3: what a replay needs,
            too) or ``fraud_team`` (tier 4: tier 2 with the ids of rules).
        law: ``gdpr``, ``pipl`` or ``both``: which articles, rights and authorities are named.
        lang: ``zh`` or ``en``; reasons are given in both anyway.
        merchant: Facts about the merchant.
        standing: What came after the decision, or is kept elsewhere.

    Returns:
        A JSON value that follows the committed schema.

    Raises:
        Invalid: If audience, law or language is unknown.
    """
    _check(audience, law, lang)
    subgraph = OrderSubgraph.unpack(record.subgraph)
    report = _fields(sections.View(record, subgraph, merchant, audience, law, lang, standing))
    return report | {"integrity": integrity(report, standing.after.evidence, audience)}


def _fields(view: sections.View) -> dict[str, Any]:
    record = view.record
    attribution = attribution_of(record)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "report_id": f"{record.decision_id}.{view.audience}.{view.law}.{view.lang}",
        "decision_id": record.decision_id,
        "issued_at": record.issued_at,
        "lang": sections.TAG[view.lang],
        "law": view.law,
        "audience": view.audience,
        **sections.identity(view),
        "decision": sections.decision(view),
        "automation": sections.automation(view),
        **sections.reasons(view),
        "counterfactual": counterfactual(view),
        "consent_gate": gate(view, attribution),
        **sections.processing(view),
        "data_used": sections.data_used(view),
        "sensitive_data": sections.sensitive_data(view),
        "logic_summary": {**sections.logic(view), "baseline": compared(view)},
        "accuracy_and_limits": accuracy_and_limits(view),
        **sections.recourse(view),
        "human_review": human_review(view.after, view.lang, view.observed),
        "withheld": withheld(view),
        "supersedes": view.standing.supersedes,
        "correction_of": view.standing.correction_of,
    }
    if view.compliance:
        report["compliance"] = compliance(view, attribution)
    if view.audience == Audience.AUTHORITY:
        report["authority"] = authority(view, attribution)
    if view.audience in (Audience.AUTHORITY, Audience.FRAUD_TEAM):
        report["rules"] = rules(view)
    report["law_refs"] = law_refs(report, view.law)
    return report


def law_refs(report: Mapping[str, Any], law: str) -> dict[str, dict[str, list[str]]]:
    """The articles that ask for each field, of the laws the report was asked for."""
    laws = ("gdpr", "pipl") if law == "both" else (law,)
    refs = table("law")["refs"]
    names = {"integrity": None, "law_refs": None, **report}
    held = [field for field in refs if _holds(names, field)]
    return {field: {key: list(refs[field][key]) for key in laws} for field in held}


def _holds(report: Mapping[str, Any], field: str) -> bool:
    """Whether a report has a field; ``compliance.score`` lies within another."""
    block, _, inner = field.partition(".")
    return block in report and (not inner or inner in report[block])


@lru_cache(maxsize=1)
def schema() -> Mapping[str, Any]:
    """The committed JSON Schema (draft 2020-12)."""
    path = resources.files("riskgraph.explainers").joinpath("schema", "decision_report-1.schema.json")
    loaded: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _check(audience: str, law: str, lang: str) -> None:
    for name, value, known in (
        ("audience", audience, tuple(Audience)),
        ("law", law, tuple(Law)),
        ("lang", lang, tuple(Lang)),
    ):
        if value not in known:
            raise Invalid(f"{name} must be one of {', '.join(known)}", field=name)
