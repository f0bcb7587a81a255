"""The six fraud archetypes as agents: which entities they use and what they order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from riskgraph.eval.worlds import geo
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.gangs import (
    Gang,
    Honest,
    gang_accounts,
    gang_channels,
    gang_devices,
    place,
)
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.shop import Shop
from riskgraph.eval.worlds.streams import Floats, Ints, chance, pick, stream

_BINS = np.array([622848, 621700, 622588, 625965, 400022, 531993, 455673, 374289])


def _owners(rng: np.random.Generator, gang: Gang) -> Ints:
    """Which of the gang's accounts places each order; every account orders at least once."""
    accounts = max(1, round(gang.size / gang.archetype.orders_per_account))
    extra = rng.integers(0, accounts, gang.size - accounts)
    # Orders of one account lie close together: the owners ascend with time, in blocks.
    return np.sort(np.concatenate([np.arange(accounts), extra])).astype(np.int64)


def _first(gang: Gang, owner: Ints) -> Floats:
    first = np.full(int(owner[-1]) + 1, np.inf)
    np.minimum.at(first, owner, gang.times)
    return first


def _phones(rng: np.random.Generator, cast: Cast, gang: Gang, n: int, odd: float) -> Ints:
    open_play = odd * (1 - 0.6 * gang.camouflage)
    kind = pick(rng, (1 - open_play, 0.75 * open_play, 0.05 * open_play, 0.2 * open_play), n)
    return cast.phones.add(n, country=gang.country, kind=kind, serial=rng.integers(0, 10**8, n))


def _cards(rng: np.random.Generator, cast: Cast, n: int) -> Ints:
    return cast.cards.add(n, bin=_BINS[pick(rng, (5, 4, 4, 3, 2, 2, 1, 1), n)])


def _token(rng: np.random.Generator, channel: Ints, card: Ints, wallet: float) -> dict[str, np.ndarray]:
    """Card token where the channel hands one over: always in market_a, never in market_b."""
    uses = chance(rng, wallet, len(card))
    seen = np.where(channel == 2, True, (channel < 2) & ~uses)
    return {"card": np.where(seen, card, -1), "wallet": uses}


def _doors(rng: np.random.Generator, cast: Cast, gang: Gang, cities: Ints, kinds: Ints | int) -> Ints:
    return geo.new_addresses(rng, cast.addresses, cities, kinds, shared=0.1)


def _launch(rng: np.random.Generator, shop: Shop, t: Floats, share: float) -> Ints:
    skus = np.array([s for s, _ in shop.launches], dtype=np.int64)
    moments = np.array([m for _, m in shop.launches])
    last = np.clip(np.searchsorted(moments, t) - 1, 0, len(moments) - 1)
    recent = (t >= moments[last]) & (t - moments[last] < 3 * 86_400)
    return np.where(recent & chance(rng, share, len(t)), skus[last], -1)


def proxy_buying(config: WorldConfig, shop: Shop, cast: Cast, honest: Honest, gang: Gang) -> None:
    """Many accounts, part of them rented, buy for few far doors in many spellings."""
    rng = stream(config.seed, "proxy", gang.number)
    n, channel = gang.size, gang_channels(stream(config.seed, "channel", gang.number), gang, gang.size)
    owner = _owners(rng, gang)
    first = _first(gang, owner)
    m = len(first)
    account = gang_accounts(rng, cast, gang, first, 13.5)
    rented = honest.victims(rng, first, 1, gang.market)
    account = np.where(chance(rng, 0.45, m) & (rented >= 0), honest.account[rented], account)
    per_device = chance(rng, 0.55, m)
    devices = gang_devices(rng, config, cast, gang, channel[np.searchsorted(owner, np.arange(m))])
    device = np.where(per_device, devices, devices[np.arange(m) // 3 * 3])
    base = _doors(
        rng,
        cast,
        gang,
        geo.random_city(rng, np.full(5, gang.country)),
        pick(rng, (0.6, 0.1, 0, 0.1, 0.1, 0.1), 5),
    )
    doors = geo.respell(
        cast.addresses, base[rng.integers(0, int(rng.integers(2, 6)), n)], rng.integers(0, 24, n)
    )
    hidden = chance(rng, 0.7 * gang.camouflage, n)
    single = _doors(rng, cast, gang, geo.random_city(rng, np.full(n, gang.country)), 0)
    payers = np.where(chance(rng, 0.85, m), _cards(rng, cast, m), _cards(rng, cast, m)[np.arange(m) // 4 * 4])
    contacts = _phones(rng, cast, gang, max(2, n // 3), 0.12)
    phone = np.where(hidden, _phones(rng, cast, gang, n, 0.06), contacts[rng.integers(0, len(contacts), n)])
    launch = _launch(rng, shop, gang.times, 0.6)
    place(
        rng, config, cast, gang, channel, account=account[owner], device=device[owner],
        address=np.where(hidden, single, doors), phone=phone, other=chance(rng, 0.7, n), launch=launch,
        basket=np.where(launch >= 0, 2, pick(rng, (0.5, 0.5), n)), seek_coupon=rng.beta(1.6, 2.6, n),
        **_token(rng, channel, payers[owner], 0.3),
    )  # fmt: skip


def promotion_farm(config: WorldConfig, shop: Shop, cast: Cast, honest: Honest, gang: Gang) -> None:
    """New accounts on shared devices take newcomer coupons; noise in the addresses hides one door."""
    rng = stream(config.seed, "farm", gang.number)
    n, channel = gang.size, gang_channels(stream(config.seed, "channel", gang.number), gang, gang.size)
    owner = _owners(rng, gang)
    first = _first(gang, owner)
    m = len(first)
    account = gang_accounts(rng, cast, gang, first, 10.0)
    devices = gang_devices(rng, config, cast, gang, channel[np.searchsorted(owner, np.arange(m))])
    group = int(rng.integers(3, 7))
    device = np.where(chance(rng, gang.camouflage * 0.6, m), devices, devices[np.arange(m) // group * group])
    base = _doors(rng, cast, gang, np.full(6, gang.city), pick(rng, (0.75, 0, 0.1, 0.15), 6))
    doors = geo.respell(cast.addresses, base[rng.integers(0, 6, m)], rng.integers(1, 80, m))
    own = _doors(rng, cast, gang, np.full(m, gang.city), 0)
    address = np.where(chance(rng, 0.25 + 0.5 * gang.camouflage, m), own, doors)
    phones = _phones(rng, cast, gang, m, 0.28)
    place(
        rng, config, cast, gang, channel, account=account[owner], device=device[owner],
        address=address[owner],
        phone=phones[owner], other=chance(rng, 0.12, n), basket=pick(rng, (0.85, 0.05, 0.05, 0.05), n),
        seek_coupon=np.clip(rng.beta(4, 2, n) * (1 - 0.5 * gang.camouflage), 0, 1),
        **_token(rng, channel, _cards(rng, cast, m)[owner], 0.55),
    )  # fmt: skip


def account_takeover(config: WorldConfig, shop: Shop, cast: Cast, honest: Honest, gang: Gang) -> None:
    """Old honest accounts, a device they never used, a far drop address, often changed credentials."""
    rng = stream(config.seed, "takeover", gang.number)
    n, channel = gang.size, gang_channels(stream(config.seed, "channel", gang.number), gang, gang.size)
    owner = _owners(rng, gang)
    first = _first(gang, owner)
    m = len(first)
    victim = honest.victims(rng, first, 2, gang.market)
    fresh = gang_accounts(rng, cast, gang, first, 16.0)
    account = np.where(victim >= 0, honest.account[victim], fresh)
    changed = chance(rng, 0.5 * (1 - 0.5 * gang.camouflage), m)
    recent = first - np.exp(rng.normal(9.6, 1.4, m))
    cast.accounts["credential"][account[changed]] = recent[changed]
    devices = gang_devices(rng, config, cast, gang, channel[np.searchsorted(owner, np.arange(m))])
    device = devices[np.arange(m) // 2 * 2]
    home = cast.accounts["home_city"][account]
    drop = geo.far_city(rng, home, np.full(m, gang.country))
    near = chance(rng, 0.25 + 0.2 * gang.camouflage, m)
    mules = _doors(rng, cast, gang, np.where(near, home, drop), pick(rng, (0.62, 0.05, 0, 0.2, 0.13), m))
    address = mules[np.arange(m) // 2 * 2]
    saved = np.where(victim >= 0, honest.card[victim], -1)
    card = np.where(chance(rng, 0.55, m) & (saved >= 0), saved, _cards(rng, cast, m))
    phones = np.where(
        chance(rng, 0.35, m) & (victim >= 0), honest.phone[victim], _phones(rng, cast, gang, m, 0.18)
    )
    place(
        rng, config, cast, gang, channel, account=account[owner], device=device[owner],
        address=address[owner],
        phone=phones[owner], other=chance(rng, 0.45, n), basket=pick(rng, (0.42, 0.55, 0.03), n),
        seek_coupon=rng.beta(1.2, 5, n), **_token(rng, channel, card[owner], 0.2),
    )  # fmt: skip


def remote_control(config: WorldConfig, shop: Shop, cast: Cast, honest: Honest, gang: Gang) -> None:
    """A victim is talked into sharing the screen; the order comes from their own device and account.

    Card, phone and habits are the victim's. What differs: the parcel goes far away, and the sharing
    tool keeps the device from giving the position that it is permitted to give.
    """
    rng = stream(config.seed, "remote", gang.number)
    n, m = gang.size, gang.size
    victim = honest.victims(rng, gang.times, 3, market=False)
    known = victim >= 0
    channel = np.where(known, honest.channel[victim], 0).astype(np.int64)
    spare = gang_devices(rng, config, cast, gang, channel)
    account = np.where(known, honest.account[victim], gang_accounts(rng, cast, gang, gang.times, 17.0))
    device = np.where(known & (honest.device[victim] >= 0), honest.device[victim], spare)
    home = cast.accounts["home_city"][account]
    drop = geo.far_city(rng, home, cast.accounts["country"][account])
    mules = _doors(rng, cast, gang, drop, pick(rng, (0.62, 0.05, 0, 0.2, 0.13), m))
    card = np.where(known & (honest.card[victim] >= 0), honest.card[victim], _cards(rng, cast, m))
    phone = np.where(known, honest.phone[victim], _phones(rng, cast, gang, m, 0.1))
    place(
        rng, config, cast, gang, channel, account=account, device=device, address=mules, phone=phone,
        other=chance(rng, 0.5, n), basket=pick(rng, (0.55, 0.42, 0.03), n),
        seek_coupon=rng.beta(1.5, 4, n), **_token(rng, channel, card, 0.25),
    )  # fmt: skip


def card_testing(config: WorldConfig, shop: Shop, cast: Cast, honest: Honest, gang: Gang) -> None:
    """Stolen cards are tried in quick succession with small amounts, many cards on a device."""
    rng = stream(config.seed, "testing", gang.number)
    n, channel = gang.size, gang_channels(stream(config.seed, "channel", gang.number), gang, gang.size)
    owner = _owners(rng, gang)
    first = _first(gang, owner)
    m = len(first)
    account = gang_accounts(rng, cast, gang, first, 12.0)
    devices = gang_devices(rng, config, cast, gang, channel[np.searchsorted(owner, np.arange(m))])
    device = devices[np.arange(m) // 2 * 2]
    doors = _doors(rng, cast, gang, geo.random_city(rng, np.full(m, gang.country)), 0)
    bins = _BINS[rng.integers(0, len(_BINS), 2)]
    cards = cast.cards.add(n, bin=bins[rng.integers(0, 2, n)])
    again = chance(rng, 0.35, n) & (np.r_[-1, owner[:-1]] == owner)
    card = np.where(again, np.r_[cards[:1], cards[:-1]], cards)
    tiny = 0.65 * (1 - 0.5 * gang.camouflage)
    place(
        rng, config, cast, gang, channel, account=account[owner], device=device[owner], address=doors[owner],
        phone=_phones(rng, cast, gang, m, 0.2)[owner], other=chance(rng, 0.15, n),
        basket=np.where(chance(rng, tiny, n), 3, 0), seek_coupon=rng.beta(1.0, 6, n),
        **_token(rng, channel, card, 0.0),
    )  # fmt: skip


def address_reseller(config: WorldConfig, shop: Shop, cast: Cast, honest: Honest, gang: Gang) -> None:
    """Legal-looking bulk buying for resale, spread over accounts around a cluster of doors."""
    rng = stream(config.seed, "reseller", gang.number)
    n, channel = gang.size, gang_channels(stream(config.seed, "channel", gang.number), gang, gang.size)
    owner = _owners(rng, gang)
    first = _first(gang, owner)
    m = len(first)
    account = gang_accounts(rng, cast, gang, first, 15.5)
    rented = honest.victims(rng, first, 1, gang.market)
    account = np.where(chance(rng, 0.3, m) & (rented >= 0), honest.account[rented], account)
    devices = gang_devices(rng, config, cast, gang, channel[np.searchsorted(owner, np.arange(m))])
    device = np.where(chance(rng, 0.8, m), devices, devices[np.arange(m) // 3 * 3])
    base = _doors(rng, cast, gang, np.full(3, gang.city), pick(rng, (0.5, 0.15, 0, 0.1, 0.05, 0.2), 3))
    doors = geo.respell(cast.addresses, base[rng.integers(0, 3, m)], rng.integers(0, 40, m))
    own = _doors(rng, cast, gang, np.full(m, gang.city), 0)
    address = np.where(chance(rng, 0.15 + 0.5 * gang.camouflage, m), own, doors)
    launch = _launch(rng, shop, gang.times, 0.4)
    place(
        rng, config, cast, gang, channel, account=account[owner], device=device[owner],
        address=address[owner],
        phone=_phones(rng, cast, gang, m, 0.1)[owner], other=chance(rng, 0.35, n), launch=launch,
        basket=np.where(launch >= 0, 2, pick(rng, (0.4, 0.3, 0, 0, 0.3), n)), seek_coupon=rng.beta(2.2,
        2.2, n),
        **_token(rng, channel, _cards(rng, cast, m)[owner], 0.35),
    )  # fmt: skip


Play = Callable[[WorldConfig, Shop, Cast, Honest, Gang], None]
PLAYS: dict[str, Play] = {
    "proxy_buying": proxy_buying,
    "promotion_farm": promotion_farm,
    "account_takeover": account_takeover,
    "card_testing": card_testing,
    "address_reseller": address_reseller,
    "remote_control": remote_control,
}
