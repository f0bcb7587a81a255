"""Honest people who buy, pay or move in ways of their own, and so look like one kind of fraud or another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from riskgraph.eval.worlds import geo, habits
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.gangs import running_count
from riskgraph.eval.worlds.odd import of_type
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.shop import BASKETS, DAY
from riskgraph.eval.worlds.streams import Floats, Ints, chance, pick, stream

if TYPE_CHECKING:
    from riskgraph.eval.worlds.honest import Households

# The first orders of who roams later come from home.
_AT_HOME = 2
_NEWEST, _SPELLINGS = 25, 24
# Ordinary, virtual, landline, foreign.
_OTHER_PHONES = (0.55, 0.25, 0.05, 0.15)
# Flats that are let by the night, halls of residence, lockers.
_DOORS_PER_CITY, _DOOR_KINDS = 20, (0.65, 0.1, 0.0, 0.2, 0.05)


def own_ways(config: WorldConfig, cast: Cast, homes: Households, who: Ints) -> None:
    """Change honest visits of such kinds in place; ``who`` is int64[N], the account of each."""
    # From a stream of its own, since older worlds lack these kinds.
    rng = stream(config.seed, "own ways")
    kind, visits = homes.kind[who], cast.visits
    plain = visits["launch"] < 0
    dear = plain & chance(rng, of_type(config, kind, "valuable"), len(who))
    visits["basket"][dear] = BASKETS.index("valuable")
    visits["basket"][plain & chance(rng, of_type(config, kind, "cheap"), len(who))] = BASKETS.index("tiny")
    other = chance(rng, of_type(config, kind, "other_cards"), len(who))
    fresh = np.flatnonzero((visits["card"] >= 0) & other)
    visits["card"][fresh] = cast.cards.add(len(fresh), bin=cast.cards["bin"][visits["card"][fresh]])
    called = np.flatnonzero(chance(rng, of_type(config, kind, "other_phones"), len(who)))
    visits["phone"][called] = cast.phones.add(
        len(called), country=homes.country[who[called]], kind=pick(rng, _OTHER_PHONES, len(called)),
        serial=rng.integers(0, 10**8, len(called)),
    )  # fmt: skip
    helped = np.flatnonzero(chance(rng, of_type(config, kind, "supports"), len(who)))
    visits["merchant"][helped] = _new_sellers(rng, cast, visits["t"][helped])
    _move_house(rng, config, cast, homes, who)
    _roam(rng, config, cast, homes, who)
    kept = np.flatnonzero(
        (visits["device"] >= 0) & chance(rng, of_type(config, kind, "other_devices"), len(who))
    )
    visits["device"][kept] = _replaced(rng, config, cast, visits["device"][kept])


def _roam(rng: np.random.Generator, config: WorldConfig, cast: Cast, homes: Households, who: Ints) -> None:
    """Send orders to far doors that were never used; travellers are there themselves."""
    kind, visits = homes.kind[who], cast.visits
    rank = np.empty(len(who), dtype=np.int64)
    by_time = np.argsort(visits["t"], kind="stable")
    rank[by_time] = running_count(who[by_time])
    rows = np.flatnonzero((rank >= _AT_HOME) & chance(rng, of_type(config, kind, "roams"), len(who)))
    account = who[rows]
    city = geo.far_city(rng, homes.city[account], homes.country[account])
    travels = of_type(config, kind[rows], "goes_along")
    along = chance(rng, travels, len(rows))
    doors = _shared_doors(rng, cast, city)
    # Friends live at big addresses that everybody writes in a way of their own.
    respelled = geo.respell(cast.addresses, doors, rng.integers(0, _SPELLINGS, len(doors)))
    own = geo.new_addresses(rng, cast.addresses, city)
    visits["address"][rows] = np.select([travels > 0, chance(rng, 0.6, len(rows))], [doors, respelled], own)
    visits["other"][rows] = chance(rng, 0.5, len(rows))
    there = rows[along & (visits["network"][rows] >= 0)]
    place = cast.addresses["city"][visits["address"][there]]
    visits["city"][there] = place
    visits["network"][there] = cast.networks.add(len(there), kind=habits.MOBILE, city=place)


def _move_house(
    rng: np.random.Generator, config: WorldConfig, cast: Cast, homes: Households, who: Ints
) -> None:
    """Who moves has a new home in a far city and a new device, and often a new password for it."""
    movers = np.flatnonzero(of_type(config, homes.kind, "moves") > 0)
    moment = np.full(len(homes.account), np.inf)
    moment[movers] = config.start_s + rng.uniform(0.1, 0.8, len(movers)) * config.days * DAY
    city = geo.far_city(rng, homes.city[movers], homes.country[movers])
    new = {
        "address": geo.new_addresses(rng, cast.addresses, city),
        "city": city,
        "network": cast.networks.add(len(movers), kind=habits.HOME, city=city),
        "phone": cast.phones.add(
            len(movers), country=homes.country[movers], serial=rng.integers(0, 10**8, len(movers))
        ),
    }
    handset, desktop = (
        _replaced(rng, config, cast, things[movers]) for things in (homes.handset, homes.desktop)
    )
    visits, place = cast.visits, np.full(len(moment), -1)
    place[movers] = np.arange(len(movers))
    rows = np.flatnonzero(visits["t"] > moment[who])
    at = place[who[rows]]
    gift = np.isin(visits["address"][rows], homes.friends)
    front = visits["network"][rows] >= 0
    for name, changes in (("address", ~gift), ("phone", ~gift), ("city", front), ("network", front)):
        visits[name][rows[changes]] = new[name][at[changes]]
    for old, fresh in ((homes.handset, handset), (homes.desktop, desktop)):
        same = (visits["device"][rows] >= 0) & (visits["device"][rows] == old[who[rows]])
        visits["device"][rows[same]] = fresh[at[same]]
    first = np.full(len(moment), np.inf)
    np.minimum.at(first, who[rows], visits["t"][rows])
    changed = movers[np.isfinite(first[movers]) & chance(rng, 0.9, len(movers))]
    before = first[changed] - np.exp(rng.normal(9.0, 1.4, len(changed)))
    account = homes.account[changed]
    cast.accounts["credential"][account] = np.maximum(before, cast.accounts["created"][account])


def _replaced(rng: np.random.Generator, config: WorldConfig, cast: Cast, old: Ints) -> Ints:
    """A new device of the same kind for each of the old ones; -1 stays."""
    kind = cast.devices["kind"][np.maximum(old, 0)]
    new = habits.new_devices(rng, cast, kind, habits.ordinary_fails(rng, config, len(old)))
    return np.where(old >= 0, new, -1)


def _shared_doors(rng: np.random.Generator, cast: Cast, city: Ints) -> Ints:
    """One of a few places in each city that take parcels for many people."""
    kinds = pick(rng, _DOOR_KINDS, len(geo.CITY_NAME) * _DOORS_PER_CITY)
    places = np.repeat(np.arange(len(geo.CITY_NAME)), _DOORS_PER_CITY)
    doors = geo.new_addresses(rng, cast.addresses, places, kinds)
    chosen: Ints = doors[city * _DOORS_PER_CITY + rng.integers(0, _DOORS_PER_CITY, len(city))]
    return chosen


def _new_sellers(rng: np.random.Generator, cast: Cast, t: Floats) -> Ints:
    """One of the last sellers to open before each time: the owner's friends are the first to buy there."""
    opened = cast.sellers["opened"]
    by_age = np.argsort(opened, kind="stable")
    last = np.searchsorted(opened[by_age], t) - 1
    return np.asarray(by_age[np.maximum(last - rng.integers(0, _NEWEST, len(t)), 0)], dtype=np.int64)
