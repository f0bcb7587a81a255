"""Named configurations. One that figures were published from is never edited; a new name is added."""

from __future__ import annotations

from dataclasses import replace

from riskgraph.core.errors import NotFound
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.families import FIRST_SIX
from riskgraph.eval.worlds.hard import WORLD_1, WORLD_2

_SIX = tuple(family.archetype for family in FIRST_SIX)

PRESETS = {
    "demo": WorldConfig(archetypes=_SIX),
    "champion": WorldConfig(
        # The model before docs/decisions/0017 came from it.
        name="champion",
        seed=101,
        # A year before the demo's world, so that a backtest there is out of time.
        start="2025-01-01",
        orders=120_000,
        orders_per_account=3.8,
        count_sigma=1.05,
        eu_share=0.30,
        marketplace_share=0.45,
        location_denied=0.34,
        camouflage=(2.2, 4.2),
        gang_orders=17.0,
        min_gangs=120,
        shift_scale=1.35,
        archetypes=_SIX,
    ),
    "bench": WorldConfig(
        name="bench", seed=211, orders=100_000, gang_orders=24.0, min_gangs=200, archetypes=_SIX
    ),
    # Certified and never edited.
    **{config.name: config for config in (WORLD_1, WORLD_2)},
    # The people and kinds of fraud of world-1 by construction, at a rate such as shops have.
    "world-natural": replace(
        WORLD_1,
        name="world-natural",
        orders=200_000,
        fraud_share=0.003,
        min_gangs=30,
        wrong_fraud_labels=0.0001,
    ),
}


def preset(name: str) -> WorldConfig:
    """A named configuration.

    Raises:
        NotFound: If there is none of that name.
    """
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise NotFound(f"no world configuration {name!r}; known are {known}", field="config")
    return PRESETS[name]
