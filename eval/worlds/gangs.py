"""Gangs: who they are, when they are active, and what each archetype brings to the checkout.

A gang has operators (whose habits its visits show), a camouflage between 0 and 1 that mixes its
behavior towards an honest person's, a stance on consent, a channel, and bursts in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import Invalid
from riskgraph.eval.worlds import geo, habits
from riskgraph.eval.worlds.config import WorldConfig, epoch
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.profiles import DRIVERS, Archetype, shift_matrix
from riskgraph.eval.worlds.shop import DAY, OPENED, Shop
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick, stream


@dataclass(frozen=True)
class Gang:
    """One gang; ``code`` is its family's place plus one, ``times`` its order times, ascending."""

    number: int
    code: int
    family: Family
    camouflage: float
    refuses: bool
    market: bool
    country: int
    city: int
    styles: Ints
    times: Floats

    @property
    def archetype(self) -> Archetype:
        return self.family.archetype

    @property
    def size(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Honest:
    """Honest visits in time order, from which gangs take over or rent accounts."""

    t: Floats
    account: Ints
    address: Ints
    card: Ints
    phone: Ints
    device: Ints
    rank: Ints
    channel: Ints
    network: Ints
    style: Ints
    country: Ints

    @classmethod
    def of(cls, cast: Cast) -> Honest:
        v = cast.visits
        order = np.argsort(v["t"], kind="stable")
        account = v["account"][order]
        return cls(
            v["t"][order], account, v["address"][order], v["card"][order], v["phone"][order],
            v["device"][order], running_count(account), v["channel"][order],
            v["network"][order], v["style"][order], cast.accounts["country"][account],
        )  # fmt: skip

    def victims(
        self, rng: np.random.Generator, t: Floats, rank: int, market: bool, country: int | None = None
    ) -> Ints:
        """Rows of honest visits (``rank`` earlier orders at least) placed before each time, -1 if none."""
        # A gang reaches only accounts of the places where it works.
        reached = (self.rank >= rank) & ((self.channel >= 2) == market)
        suits = np.flatnonzero(reached if country is None else reached & (self.country == country))
        # Only visits before its own: a gang cannot take over an account that does not exist yet.
        until = np.searchsorted(self.t[suits], t)
        drawn = (rng.random(len(t)) * until).astype(np.int64)
        if not len(suits):
            return np.full(len(t), -1, dtype=np.int64)
        return np.where(until > 0, suits[np.minimum(drawn, len(suits) - 1)], -1)


def running_count(key: Ints) -> Ints:
    """For each row, how many earlier rows have the same key."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    starts = (
        np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(key) else np.zeros(0, dtype=np.int64)
    )
    lengths = np.diff(np.r_[starts, len(key)])
    out = np.empty(len(key), dtype=np.int64)
    out[order] = np.arange(len(key)) - np.repeat(starts, lengths)
    return out


def _sizes(rng: np.random.Generator, total: int, gangs: int) -> Ints:
    """Heavy-tailed gang sizes of at least six orders that add up to ``total``."""
    least = min(6, max(1, total // gangs))
    weights = np.exp(rng.normal(0, 0.8, gangs))
    return np.asarray(
        least + rng.multinomial(max(0, total - least * gangs), weights / weights.sum()), dtype=np.int64
    )


def _times(rng: np.random.Generator, config: WorldConfig, shop: Shop, family: Family, size: int) -> Floats:
    """Bursts inside the gang's active window, a part of them timed to launches or promotion days."""
    kind = family.archetype
    window = rng.uniform(*kind.window_days) * DAY
    begin = _begin(config, kind)
    start = begin + rng.random() * max(DAY, config.end_s - begin - window)
    centres = start + rng.random(kind.bursts) * window
    hot = np.array([m for _, m in shop.launches])
    if family.chases_launches and len(hot):
        wait = min(1800.0, family.burst_hours * 3600)
        near = hot[np.clip(np.searchsorted(hot, centres), 0, len(hot) - 1)]
        centres = np.where(rng.random(kind.bursts) < family.chases_launches, near + wait, centres)
    days = np.flatnonzero(shop.promo_day) if config.lifelike else np.zeros(0, dtype=np.int64)
    if family.chases_promotions and len(days):
        noon = config.start_s + days * DAY + 4 * 3600.0
        near = noon[np.clip(np.searchsorted(noon, centres), 0, len(noon) - 1)]
        centres = np.where(rng.random(kind.bursts) < family.chases_promotions, near, centres)
    own = shop.times(rng, np.zeros(size), night=chance(rng, family.night, size))
    hour = (own - config.start_s) % DAY
    spread = centres[rng.integers(0, kind.bursts, size)] + rng.normal(0, 1, size) * family.burst_hours * 3600
    # People sleep: most of a gang's orders keep to ordinary hours of the day.
    t = np.where(rng.random(size) < family.awake, spread // DAY * DAY + hour, spread)
    return np.sort(np.clip(t, begin + DAY, config.end_s - 3600))


def _begin(config: WorldConfig, kind: Archetype) -> float:
    begin = max(config.start_s, epoch(kind.starts) if kind.starts else -np.inf)
    if begin > config.end_s - 2 * DAY:
        raise Invalid(f"{kind.name} starts on {kind.starts}, after the world's last days", field="starts")
    return float(begin)


def _places(config: WorldConfig, code: int, n: int) -> list[float] | list[None]:
    """Camouflage of each gang of a kind where it is spread evenly, in an order that size does not follow."""
    if not config.even_camouflage:
        return [None] * n
    from scipy.stats import beta

    rng = stream(config.seed, "camouflage", code)
    return [float(c) for c in beta.ppf((rng.permutation(n) + rng.random(n)) / n, *config.camouflage)]


def build_gangs(config: WorldConfig, shop: Shop, cast: Cast, families: tuple[Family, ...]) -> list[Gang]:
    """Draw all gangs of a world, each from a random stream of its own."""
    rng = stream(config.seed, "gangs")
    shares = np.array([a.share for a in config.archetypes])
    counts = np.maximum(1, np.floor(config.gangs * shares + 0.5).astype(np.int64))
    orders = np.floor(config.fraud_orders * shares).astype(np.int64)
    # What rounding left over, so that the total is the configured one.
    orders[0] += config.fraud_orders - orders.sum()
    shifts = np.array(shift_matrix(config.archetypes)) * config.shift_scale
    gangs: list[Gang] = []
    for code, family in enumerate(families):
        sizes = _sizes(rng, int(orders[code]), int(counts[code]))
        places = _places(config, code, len(sizes))
        for size, place in zip(sizes, places, strict=True):
            own = stream(config.seed, "gang", len(gangs))
            # One value for the whole gang: it is a matter of its skill, and shows in all that it does.
            camouflage = float(own.beta(*config.camouflage)) if place is None else place
            team = habits.persons(own, 1 + int(size) // 15) * 0.8 + own.normal(0, 0.35, len(DRIVERS))
            country = int(own.random() < config.eu_share * 0.8)
            gangs.append(
                Gang(
                    len(gangs), code + 1, family, camouflage, bool(own.random() < config.gang_refuses),
                    bool(own.random() < family.archetype.marketplace), country,
                    int(geo.random_city(own, np.array([country]))[0]),
                    cast.add_styles(team + shifts[code] * (1 - camouflage)),
                    _times(own, config, shop, family, int(size)),
                )
            )  # fmt: skip
    return gangs


def gang_channels(rng: np.random.Generator, config: WorldConfig, gang: Gang) -> Ints:
    """Channel of each order: a gang keeps to marketplaces or to the shop's own front ends, or changes."""

    def channels(market: bool) -> Ints:
        if market:
            return np.where(chance(rng, 0.55, gang.size), 2, 3).astype(np.int64)
        return chance(rng, 0.3 if gang.country == 0 else 0.1, gang.size).astype(np.int64)

    channel = channels(gang.market)
    # Kinds that need the shop's own pages stay there.
    if gang.archetype.marketplace > 0 and rng.random() < config.switches:
        later = rng.integers(0, gang.size)
        channel[later:] = channels(not gang.market)[later:]
    return channel


def gang_devices(
    rng: np.random.Generator, config: WorldConfig, cast: Cast, gang: Gang, channel: Ints
) -> Ints:
    """Devices fit for the given channels; positions fail as the archetype's do, or as honest ones."""
    kind = habits.device_of_channel(rng, channel)
    bad = chance(rng, 1 - 0.5 * gang.camouflage, len(kind))
    fails = np.where(bad, gang.archetype.position_fails, habits.ordinary_fails(rng, config, len(kind)))
    devices = habits.new_devices(rng, cast, kind, fails)
    open_play = 1 - gang.camouflage
    cast.devices["ua_lies"][devices] |= chance(rng, 0.16 * open_play, len(kind))
    cast.devices["own_trace"][devices] |= chance(rng, 0.05 * open_play, len(kind))
    cast.devices["virtual"][devices] |= chance(rng, 0.22 * open_play, len(kind))
    return devices


def gang_networks(rng: np.random.Generator, cast: Cast, gang: Gang, n: int) -> Ints:
    """Networks: datacenter and proxy exits, more of them the less a gang hides."""
    hidden = (1 - gang.camouflage) * (1 + gang.family.tunnels)
    kind = pick(rng, (0.5 + 0.3 * gang.camouflage, 0.35, 0.05, 0.12 * hidden, 0.35 * hidden), n)
    city = np.where(kind >= 3, geo.random_city(rng, np.full(n, gang.country)), gang.city)
    return cast.networks.add(n, kind=kind, city=city)


def _kept(rng: np.random.Generator, config: WorldConfig, gang: Gang, networks: Ints) -> Ints:
    """A gang orders from few lines, of which a better one has more; now and then from another."""
    if not config.lifelike:
        return networks
    n = len(networks)
    lines = max(1, round(n * (0.2 + 0.3 * gang.camouflage)))
    return np.where(chance(rng, 0.12, n), networks, networks[rng.integers(0, lines, n)])


def gang_accounts(rng: np.random.Generator, cast: Cast, gang: Gang, first: Floats, age_mu: float) -> Ints:
    """Accounts opened for the gang; ``age_mu`` is the log of the median age in seconds at first use."""
    n = len(first)
    # A gang that hides buys old accounts or lets them ripen.
    aged = chance(rng, 0.25 + 0.5 * gang.camouflage, n)
    age = np.where(aged, np.exp(rng.normal(17.0, 1.1, n)), np.exp(rng.normal(age_mu, 1.5, n)))
    # After the draw, so that a cap changes the few oldest and nothing else.
    age = np.minimum(age, first - OPENED)
    changed = chance(rng, 0.35, n)
    invited = chance(rng, gang.family.invited, n)
    return cast.accounts.add(
        n, created=first - age, country=gang.country, home_city=gang.city,
        profile=rng.beta(1.6 + 1.4 * gang.camouflage, 3.0, n),
        credential=np.where(changed, first - age * rng.random(n), np.nan),
        invited=invited, loop=chance(rng, 0.22 * (1 - gang.camouflage), n),
    )  # fmt: skip


def place(
    rng: np.random.Generator,
    config: WorldConfig,
    cast: Cast,
    gang: Gang,
    channel: Ints,
    **columns: NDArray[np.generic] | float | int,
) -> None:
    """Enter a gang's visits, with its consents, networks and input modality.

    Rows of ``network`` and ``style`` that are not -1 stay, and rows of ``victim`` consent for themselves.
    """
    n = gang.size
    device = np.asarray(columns.pop("device"))
    network, style = (np.asarray(columns.pop(name, -1)) for name in ("network", "style"))
    front = habits.has_front_end(channel)
    channel = np.where(front, cast.devices["kind"][device] == habits.WEBVIEW, channel).astype(np.int64)
    # Some refuse in gangs that consent, as some persons do anywhere.
    single = chance(rng, 0.05, n)
    stance: Bools = np.where(gang.refuses & ~np.asarray(columns.get("victim", False)), True, single)
    consent = habits.consents(
        rng, config, channel, stance, np.repeat(chance(rng, config.location_denied, 1), n),
        chance(rng, 1 - config.training_granted, n),
    )  # fmt: skip
    own = np.where(network >= 0, network, _kept(rng, config, gang, gang_networks(rng, cast, gang, n)))
    habit = np.where(style >= 0, style, gang.styles[rng.integers(0, len(gang.styles), n)])
    cast.visits.add(
        n, t=gang.times, channel=channel, device=np.where(front, device, -1), kind=gang.code,
        network=np.where(front, own, -1), style=habit, gang=gang.number, camouflage=gang.camouflage,
        modality=habits.modality(rng, cast.devices["kind"][device], chance(rng, 0.006, n)), **columns,
        **consent,
    )  # fmt: skip
