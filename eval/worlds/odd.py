"""Odd honest users that came later: how each differs in what it owns and where it orders from.

A kind appears where a configuration names it; habits are shifts of its profile, as for any other kind.
"""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds import geo, habits
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.profiles import HonestType
from riskgraph.eval.worlds.streams import Bools, Ints

_LOCKERS_PER_CITY = 6
_ROOMS_PER_HOUSE = 24

# Shares of honest accounts. Screen readers, privacy browsers and family helpers follow the shares in the
# design notes; where those are too small for a slice of 500 orders they are raised.
LATER_TYPES = (
    HonestType(
        "screen_reader", 0.008, 0.04, (("haste", -0.8), ("depth", -0.5), ("speed", -0.3), ("regular", 0.5))
    ),
    HonestType("voice_control", 0.007, 0.04, (("haste", -0.7), ("paste", 0.9), ("familiar", -0.3))),
    HonestType(
        "gift_far", 0.020, 0.75, (("paste", 1.0), ("switching", 0.8), ("familiar", -0.9), ("haste", 0.3))
    ),
    HonestType("privacy_browser", 0.015, 0.05, (("spoof", 1.6), ("switching", 0.4), ("interest", 0.2))),
    HonestType("dormitory", 0.020, 0.06, (("bargain", 0.9), ("haste", 0.5), ("switching", 0.3))),
    HonestType("family_helper", 0.010, 0.30, (("haste", 0.3), ("paste", 0.6), ("familiar", -0.4))),
    HonestType("locker_family", 0.025, 0.05, (("haste", 0.3), ("bargain", 0.3))),
    HonestType("touch_only", 0.025, 0.05, (("speed", -0.3), ("smooth", 0.2))),
    HonestType("ime_typist", 0.025, 0.05, (("paste", -0.8), ("speed", -0.4), ("care", 0.6), ("haste", -0.2))),
)


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
