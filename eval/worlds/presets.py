"""Named configurations. One that figures were published from is never edited; a new name is added."""

from __future__ import annotations

from dataclasses import replace

from riskgraph.core.errors import NotFound
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.families import FAMILIES, FIRST_SIX, LATER
from riskgraph.eval.worlds.odd import CHANGED_TYPES, LATER_TYPES
from riskgraph.eval.worlds.profiles import HONEST_TYPES, Archetype

_SIX = tuple(family.archetype for family in FIRST_SIX)
# The later kinds take their share from ordinary people.
_ORDINARY = replace(HONEST_TYPES[0], share=HONEST_TYPES[0].share - sum(t.share for t in LATER_TYPES))
_FIRST_TYPES = tuple(
    replace(t, **CHANGED_TYPES.get(t.name, {}))  # type: ignore[arg-type]
    for t in HONEST_TYPES[1:]
)
_ALL_TYPES = (_ORDINARY, *_FIRST_TYPES, *LATER_TYPES)
# A family that nobody had seen before the summer.
_DATED = {"scalper_humanlike": replace(FAMILIES["scalper_humanlike"].archetype, starts="2026-07-15")}
# Kinds whose habits alone told them from every honest person.
_MILD = {
    "account_takeover": 0.5,
    "card_testing": 0.75,
    "scalper_scripted": 0.75,
    "fake_merchant": 0.8,
    "proxy_buying": 0.65,
}


def _milder(kind: Archetype) -> Archetype:
    factor = _MILD.get(kind.name, 1.0)
    return replace(kind, shifts=tuple((driver, round(factor * by, 3)) for driver, by in kind.shifts))


PRESETS = {
    "demo": WorldConfig(archetypes=_SIX),
    "champion": WorldConfig(
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
    # Not certified and free to change, unlike those above.
    "world-draft": WorldConfig(
        name="world-draft",
        # A Thursday, as the shop's week asks; 11 November lies within.
        start="2026-03-05",
        days=271,
        orders=80_000,
        gang_orders=14.0,
        min_gangs=200,
        sellers=2_500,
        goods=1,
        camouflage=(1.1, 2.0),
        disguise=0.6,
        rents=0.9,
        address_book=0.6,
        address_book_days=7.0,
        prepared=0.9,
        shift_scale=1.25,
        calibrated=True,
        # With these 64 % of all orders come from elsewhere than the shop's own web.
        marketplace_share=0.45,
        mini_program_share=0.53,
        post_auth=0.15,
        post_auth_market=0.70,
        viral=6,
        group_buys=40,
        festivals=(("2026-06-18", 3.0), ("2026-11-11", 6.0)),
        archetypes=tuple(_milder(a) for a in _SIX),
        honest_types=_ALL_TYPES,
    ).joined(tuple(_milder(_DATED.get(f.name, f.archetype)) for f in LATER)),
}
# The draft's people and kinds of fraud by construction, at a rate such as shops have.
PRESETS["world-natural"] = replace(
    PRESETS["world-draft"], name="world-natural", orders=200_000, fraud_share=0.003, min_gangs=30
)


def preset(name: str) -> WorldConfig:
    """A named configuration.

    Raises:
        NotFound: If there is none of that name.
    """
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise NotFound(f"no world configuration {name!r}; known are {known}", field="config")
    return PRESETS[name]
