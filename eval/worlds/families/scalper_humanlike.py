"""Scalper bots, tier 3: generated gestures that pass for a hand; what stays is haste and who shares what."""

from __future__ import annotations

from riskgraph.eval.worlds.families.scalper_naive import tier

FAMILY = tier(
    "scalper_humanlike",
    0.06,
    (
        ("haste", 0.8),
        ("interest", -0.4),
        ("regular", 0.4),
        ("paste", 0.5),
        ("switching", 0.4),
        ("spoof", 0.4),
    ),
    0.4,
)
