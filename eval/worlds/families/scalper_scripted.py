"""Scalper bots, tier 2: recorded gestures played back with some noise, and a look around first."""

from __future__ import annotations

from riskgraph.eval.worlds.families.scalper_naive import tier

FAMILY = tier(
    "scalper_scripted",
    0.06,
    (
        ("haste", 1.2), ("depth", -0.6), ("interest", -0.7), ("regular", 1.2), ("still", 1.0),
        ("paste", 0.6), ("spoof", 0.8), ("care", -0.4),
    ),
    1.0,
)  # fmt: skip
