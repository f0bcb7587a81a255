"""What readers are not shown, field by field: on which ground, by whose approval, since when."""

from __future__ import annotations

from typing import Any

from riskgraph.explainers.sections import View
from riskgraph.explainers.texts import table


def withheld(view: View) -> list[dict[str, Any]]:
    """What this reader is not shown (GDPR Art. 15(4), Recital 63; C-203/22; PIPL Art. 24(3), 50)."""
    return [row(view, entry) for entry in _kept_from(view, view.audience)]


def withheld_from_subject(view: View) -> list[dict[str, Any]]:
    """The register for who weighs the grounds (C-203/22): fields, and where this report shows them."""
    return [{**row(view, entry), "covers": list(entry["covers"])} for entry in _kept_from(view, "subject")]


def _kept_from(view: View, reader: str) -> list[dict[str, Any]]:
    """Entries of the table that hold of this decision."""
    verdict = view.record.score["verdict"]
    return [
        entry
        for entry in table("withheld")["fields"]
        if reader in entry["from"] and verdict in entry.get("verdicts", (verdict,))
    ]


def row(view: View, entry: dict[str, Any]) -> dict[str, Any]:
    field = entry["field"]
    ground = view.merchant.get(f"withheld.{field}.ground")
    return {
        "field": field,
        "text": view.say(f"withheld.{field}"),
        "ground": ground,
        "ground_text": view.say(f"ground.{ground}") if ground else view.say("missing.field"),
        "approver": view.stated(f"withheld.{field}.approver"),
        "date": view.stated(f"withheld.{field}.date"),
    }
