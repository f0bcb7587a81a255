"""Which rules and sub-patterns took part (tier 4): for the fraud team, and for who may weigh the grounds."""

from __future__ import annotations

from typing import Any

from riskgraph.explainers.sections import View

GATE, PATTERN = "gate:", "pattern:"


def rules(view: View) -> dict[str, Any]:
    """Ids of gates, patterns and sub-patterns, read off the path through the tree.

    Nobody else reads them (GDPR Art. 15(4); tipping-off), but C-203/22 leaves an authority or a court to
    decide on what is kept back, so that they do.
    """
    path = view.record.score["path"]
    patterns = [step.removeprefix(PATTERN) for step in path if step.startswith(PATTERN)]
    return {
        "tree": view.record.versions.get("tree"),
        "gates": [step.removeprefix(GATE) for step in path if step.startswith(GATE)],
        "patterns": patterns,
        "sub_patterns": [],
        "statement": view.say("rules.some" if patterns else "rules.none"),
    }
