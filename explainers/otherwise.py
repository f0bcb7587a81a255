"""What could have been different, as the report states it: the acts of a stored counterfactual in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.explainers.acts import Act, by_code
from riskgraph.explainers.sections import View
from riskgraph.explainers.values import label


def counterfactual(view: View) -> dict[str, Any]:
    """The fewest acts that would have changed the verdict (C-203/22 ¶62; PIPL Art. 24(3)).

    The words follow from the acts and the verdict that they lead to, and from nothing else: not from how far
    the order lay from a threshold, nor from how many acts were tried. How they were sought is for compliance.
    """
    found: Mapping[str, Any] | None = view.record.score.get("counterfactual")
    part = "counterfactual_observed" if view.observed else "counterfactual"
    # An act that the table names no more has no words; the others are told.
    acts = [] if found is None else [by_code()[code] for code in found["acts"] if code in by_code()]
    out: dict[str, Any] = {
        "changes": None if found is None else [change(view, act) for act in acts],
        "verdict": found["verdict"] if found else None,
        "verified_by_rescoring": True if acts else None,
        "actionable": None if found is None else bool(acts),
        "statement": view.say(f"{part}.{_statement(view, found)}"),
    }
    if view.compliance:
        out["search"] = found["search"] if found else None
        out["evaluations"] = found["evaluations"] if found else None
    return out


def _statement(view: View, found: Mapping[str, Any] | None) -> str:
    if found is not None:
        return f"to_{found['verdict']}" if found["acts"] else "none"
    if view.degraded:
        return "degraded"
    return "accepted" if view.record.score["verdict"] == "accept" else "not_sought"


def change(view: View, act: Act) -> dict[str, Any]:
    """One act in both languages, with what of the assessment it touches and why the shopper can do it."""
    nodes = [catalog().nodes[move.index] for move in act.moves]
    return {
        "code": act.code,
        "text_zh": act.text["zh"],
        "text_en": act.text["en"],
        "nodes": [
            {"node": node.id, "label": label(node, view.lang), "why": move.why[view.lang]}
            for node, move in zip(nodes, act.moves, strict=True)
        ],
    }
