"""Configurations that are hard enough to believe: each kind of fraud has honest people who look like it.

A knob is fixed by a gate that it moves (docs/worlds.md lists both), never by what our own model finds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from riskgraph.eval.worlds.config import WorldConfig, total
from riskgraph.eval.worlds.families import FIRST_SIX, LATER
from riskgraph.eval.worlds.odd import CHANGED_TYPES, LATER_TYPES
from riskgraph.eval.worlds.profiles import HONEST_TYPES, Archetype, HonestType

# Gate 5: habits that alone told a kind of fraud from every honest person are shifted less.
_MILDER = {
    "account_takeover": 0.35,
    "address_reseller": 0.85,
    "brushing": 0.85,
    "card_testing": 0.35,
    "fake_merchant": 0.5,
    "promotion_farm": 0.8,
    "proxy_buying": 0.6,
    "scalper_naive": 0.85,
    "scalper_scripted": 0.75,
}
_CHANGED: dict[str, dict[str, Any]] = {
    "account_takeover": {"position_fails": 0.65},
    "proxy_buying": {"position_fails": 0.65, "marketplace": 0.15},
    "promotion_farm": {"marketplace": 0.15},
}
# Gate 2: kinds that classic rules were written for stay the larger part, takeover before farms.
_LATER_SHARE = 0.38
_SIX_SHARES = {
    "account_takeover": 0.33,
    "address_reseller": 0.08,
    "card_testing": 0.11,
    "promotion_farm": 0.10,
}
# What world-1 has otherwise. Gate 5: owners' friends register some days before they buy, as buyers of fake
# shops do; there are more of the rare look-alikes, with fewer orders each; and the habits of two kinds of
# fraud are shifted by a tenth less. Gate 2: fewer people who trip many rules, and more takeovers in place of
# other fraud, since gangs that hide better cost the rules recall.
_WORLD_1_PEOPLE: dict[str, dict[str, Any]] = {
    "declined_payer": {"share": 0.008},
    "far_helper": {"share": 0.0020, "roams": 0.75, "pace": 1.7},
    "shop_friend": {"waits": 4.0},
    "traveller": {"share": 0.0012, "pace": 1.7},
    "vpn": {"share": 0.005},
}
_WORLD_1_MILDER = _MILDER | {"brushing": 0.765, "proxy_buying": 0.54}
_WORLD_1_SHARES = _SIX_SHARES | {
    "account_takeover": 0.40,
    "address_reseller": 0.05,
    "promotion_farm": 0.07,
    "remote_control": 0.13,
}


def _people(changed: dict[str, dict[str, Any]]) -> tuple[HonestType, ...]:
    """All kinds of honest people; ordinary ones are those who are left."""
    first = (replace(kind, **CHANGED_TYPES.get(kind.name, {})) for kind in HONEST_TYPES[1:])
    odd = tuple(replace(kind, **changed.get(kind.name, {})) for kind in (*first, *LATER_TYPES))
    return (replace(HONEST_TYPES[0], share=1 - total(kind.share for kind in odd)), *odd)


def _fraud(
    starts: dict[str, str], milder: dict[str, float], shares: dict[str, float]
) -> tuple[tuple[Archetype, ...], tuple[Archetype, ...]]:
    """The first six kinds and the later ones; ``starts`` dates those that nobody had seen before."""

    def less(kind: Archetype) -> Archetype:
        factor = milder.get(kind.name, 1.0)
        shifts = tuple((driver, round(factor * by, 3)) for driver, by in kind.shifts)
        return replace(kind, shifts=shifts, **_CHANGED.get(kind.name, {}))

    first = tuple(
        replace(less(kind), share=shares.get(kind.name, kind.share))
        for kind in (family.archetype for family in FIRST_SIX)
    )
    later = (less(family.archetype) for family in LATER)
    return first, tuple(
        replace(kind, share=round(kind.share * _LATER_SHARE, 4), starts=starts.get(kind.name))
        for kind in later
    )


def _world(
    name: str,
    starts: dict[str, str],
    *,
    people: dict[str, dict[str, Any]] | None = None,
    milder: dict[str, float] = _MILDER,
    shares: dict[str, float] = _SIX_SHARES,
    **changes: Any,
) -> WorldConfig:
    first, later = _fraud(starts, milder, shares)
    settings: dict[str, Any] = {
        "orders": 120_000,
        "days": 271,
        # Gate 8: enough gangs in every range of camouflage.
        "fraud_share": 0.12,
        "gang_orders": 10.0,
        "min_gangs": 200,
        "camouflage": (1.0, 2.4),
        "even_camouflage": True,
        "disguise": 1.0,
        "plain_baskets": True,
        "prepared": 1.0,
        "cover": 1.0,
        "mixed": 0.04,
        "lifelike": True,
        "switches": 0.05,
        "season": 0.15,
        "drift": 0.3,
        "address_book": 0.6,
        "address_book_days": 7.0,
        "shift_scale": 1.25,
        "calibrated": True,
        "since_sign_up": True,
        "reviews": 0.25,
        "sellers": 2_500,
        # About 64 % of all orders come from elsewhere than the own web.
        "marketplace_share": 0.47,
        "mini_program_share": 0.54,
        "post_auth": 0.15,
        "post_auth_market": 0.70,
        "viral": 6,
        "group_buys": 40,
    }
    config = WorldConfig(
        name=name, archetypes=first, honest_types=_people(people or {}), **(settings | changes)
    )
    return config.joined(later)


# Both begin on a Thursday, as the shop's week asks, and hold 18 June and 11 November.
WORLD_1 = _world(
    "world-1",
    {"scalper_humanlike": "2024-07-17"},
    people=_WORLD_1_PEOPLE,
    milder=_WORLD_1_MILDER,
    shares=_WORLD_1_SHARES,
    seed=761,
    start="2024-03-07",
    # Gate 8: more gangs that hide well, so that chance weighs less.
    fraud_share=0.15,
    camouflage=(1.0, 2.3),
    goods=1,
    festivals=(("2024-06-18", 3.0), ("2024-11-11", 6.0)),
)
WORLD_2 = _world(
    "world-2",
    {"scalper_humanlike": "2025-06-20"},
    seed=801,
    start="2025-03-06",
    goods=2,
    merchant_id="m-second",
    eu_share=0.40,
    marketplace_share=0.48,
    mini_program_share=0.60,
    location_denied=0.33,
    orders_per_account=3.9,
    newcomers=0.27,
    viral=3,
    group_buys=70,
    festivals=(("2025-06-18", 2.5), ("2025-11-11", 5.0)),
)
