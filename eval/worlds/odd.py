"""Odd honest users that came later: how each differs in what it owns and where it orders from.

A kind appears where a configuration names it; habits are shifts of its profile, as for any other kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from riskgraph.eval.worlds import geo, habits
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.profiles import HonestType
from riskgraph.eval.worlds.streams import Bools, Floats, Ints

_LOCKERS_PER_CITY = 6
_ROOMS_PER_HOUSE = 24

# Shares of honest accounts. Screen readers, privacy browsers and family helpers follow the shares in the
# design notes; where those are too small for a slice of 500 orders they are raised.
LATER_TYPES = (
    HonestType(
        "screen_reader", 0.008, 0.04, (("haste", -0.8), ("depth", -0.5), ("speed", -0.3), ("regular", 0.5))
    ),
    HonestType(
        "voice_control",
        0.008,
        0.04,
        (("haste", -0.7), ("paste", 0.9), ("familiar", -0.3)),
        # Dictated text comes in one piece, as pasted text does.
        shows=(("B055", 2.5),),
    ),
    HonestType(
        "gift_far",
        0.005,
        0.75,
        (("paste", 1.0), ("switching", 0.8), ("familiar", -0.9), ("haste", 0.3)),
        roams=0.35,
        market=0.25,
    ),
    HonestType("privacy_browser", 0.015, 0.05, (("spoof", 1.6), ("switching", 0.4), ("interest", 0.2))),
    HonestType("dormitory", 0.020, 0.06, (("bargain", 0.9), ("haste", 0.5), ("switching", 0.3))),
    HonestType("family_helper", 0.007, 0.30, (("haste", 0.3), ("paste", 0.6), ("familiar", -0.4))),
    HonestType("locker_family", 0.025, 0.05, (("haste", 0.3), ("bargain", 0.3))),
    HonestType("touch_only", 0.020, 0.05, (("speed", -0.3), ("smooth", 0.2))),
    # Keyboards that write by script send events that no key caused.
    HonestType(
        "ime_typist",
        0.020,
        0.05,
        (("paste", -0.8), ("speed", -0.4), ("care", 0.6), ("haste", -0.2)),
        shows=(("B080", 1.5),),
    ),
    # Those that follow look like one kind of fraud each: takeover, testing, scalping, farming, shared screen.
    HonestType(
        "mover",
        0.015,
        0.02,
        (("familiar", -0.9), ("paste", 0.5), ("switching", 0.4), ("depth", -0.3), ("interest", -0.4)),
        newcomers=0.0,
        market=0.1,
        pace=1.3,
        moves=True,
        mini=0.3,
    ),
    HonestType(
        "traveller",
        0.0010,
        0.02,
        (("familiar", -0.8), ("haste", 0.4), ("depth", -0.4), ("interest", -0.5), ("paste", 0.4)),
        newcomers=0.0,
        market=0.1,
        pace=2.5,
        valuable=0.6,
        roams=0.85,
        goes_along=0.7,
        other_devices=0.6,
        forgets=0.35,
        mini=0.25,
        by_card=0.5,
        declines=0.15,
        resets=0.4,
        other_phones=0.4,
    ),
    HonestType(
        "declined_payer",
        0.010,
        0.04,
        (("card_trouble", 1.7), ("haste", 0.8), ("depth", -0.6), ("care", -0.4), ("familiar", -0.3)),
        newcomers=0.6,
        market=0.1,
        by_card=1.0,
        declines=0.75,
        other_cards=0.9,
        splits=0.9,
        cheap=0.45,
        pace=0.5,
        mini=0.3,
        guesses_cards=0.8,
        proxied=0.03,
        other_phones=0.1,
        waits=3.4,
        split_minutes=120.0,
    ),
    HonestType(
        "launch_fan",
        0.06,
        0.05,
        (
            ("haste", 0.8),
            ("depth", -0.4),
            ("interest", -0.5),
            ("paste", 0.5),
            ("switching", 0.4),
            ("spoof", 0.3),
        ),
        newcomers=0.75,
        market=0.05,
        fans=0.5,
        pace=0.12,
        shows=(("B010", -0.4),),
        lockers=0.4,
        mini=0.3,
        waits=4.0,
    ),
    # Shopping assistants that act in the browser for a person.
    HonestType(
        "agent_user",
        0.035,
        0.05,
        (
            ("haste", 1.7),
            ("depth", -1.4),
            ("interest", -1.2),
            ("regular", 1.9),
            ("still", 1.6),
            ("paste", 0.7),
            ("care", -0.7),
            ("spoof", 0.9),
            ("smooth", 0.7),
        ),
        newcomers=0.7,
        market=0.05,
        fans=0.35,
        pace=0.12,
        traced=0.15,
        lockers=0.45,
        mini=0.3,
        proxied=0.05,
        waits=4.0,
    ),
    HonestType(
        "deal_newcomer",
        0.040,
        0.04,
        (
            ("haste", 0.8),
            ("depth", -0.6),
            ("bargain", 1.3),
            ("switching", 0.5),
            ("paste", 0.3),
            ("care", -0.5),
        ),
        newcomers=0.95,
        coupons=0.45,
        pace=0.2,
    ),
    HonestType(
        "shop_friend",
        0.022,
        0.06,
        (("haste", 0.3), ("regular", 0.4), ("switching", 0.4), ("paste", 0.4), ("interest", -0.2)),
        newcomers=0.95,
        market=0.2,
        pace=0.35,
        supports=0.8,
    ),
    HonestType(
        "far_helper",
        0.0013,
        0.10,
        (("paste", 0.7), ("switching", 0.9), ("familiar", -0.7), ("interest", -0.3)),
        newcomers=0.0,
        market=0.0,
        pace=2.0,
        valuable=0.5,
        roams=0.8,
        unlocated=0.5,
        mini=0.3,
    ),
)
# Types of the first worlds, as later worlds have them.
CHANGED_TYPES: dict[str, dict[str, Any]] = {
    "elderly": {
        "forgets": 0.5,
        "shifts": (("haste", -1.6), ("speed", -1.5), ("familiar", -0.3), ("care", 0.5)),
    },
    "small_business": {"gift": 0.30, "splits": 0.3, "share": 0.004},
    "vpn": {"share": 0.006},
    "gift_buyer": {"share": 0.018},
    "bargain_hunter": {"splits": 0.40, "coupons": 0.1},
}


def of_type(config: WorldConfig, kind: Ints, name: str) -> Floats:
    """A figure of each account's kind (see ``HonestType``)."""
    return np.array([float(getattr(t, name)) for t in config.honest_types])[kind]


def own_or(config: WorldConfig, kind: Ints, name: str, usual: Floats | float) -> Floats:
    """A figure that each account's kind may state, and else the usual one."""
    stated = [getattr(t, name) for t in config.honest_types]
    figures = np.array([np.nan if value is None else value for value in stated])[kind]
    return np.where(np.isnan(figures), usual, figures)


def is_one_of(config: WorldConfig, kind: Ints, *names: str) -> Bools:
    """Accounts of the named kinds; kinds that the configuration does not have match nobody."""
    known = [t.name for t in config.honest_types]
    return np.isin(kind, [known.index(name) for name in names if name in known])


def new_lockers(rng: np.random.Generator, cast: Cast, city: Ints) -> Ints:
    """One of a few parcel lockers of each account's city."""
    first = np.full(len(geo.CITY_NAME), -1)
    for place in np.unique(city):
        row = np.full(_LOCKERS_PER_CITY, place)
        first[place] = geo.new_addresses(rng, cast.addresses, row, 3)[0]
    return first[city] + rng.integers(0, _LOCKERS_PER_CITY, len(city))


def houses(rng: np.random.Generator, cast: Cast, city: Ints, country: Ints) -> tuple[Ints, Ints, Ints]:
    """City, dormitory and its exit to the net for each student: two dozen share all three."""
    order = np.lexsort((city, country))
    position = np.arange(len(city)) - np.searchsorted(country[order], country[order])
    starts = position % _ROOMS_PER_HOUSE == 0
    place = np.empty(len(city), dtype=np.int64)
    place[order] = np.cumsum(starts) - 1
    # Students move to where the house is.
    where = city[order[starts]]
    address = geo.new_addresses(rng, cast.addresses, where, 2)
    network = cast.networks.add(len(where), kind=habits.OFFICE, city=where)
    return where[place], address[place], network[place]
