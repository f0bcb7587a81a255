"""Honest accounts and their visits: homes, friends, devices, cards, and several odd kinds of user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskgraph.eval.worlds import geo, habits, odd
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.crowds import crowds
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.profiles import shift_matrix
from riskgraph.eval.worlds.shop import DAY, OPENED, USUAL_BASKETS, USUAL_SEEK, Shop
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick, stream
from riskgraph.eval.worlds.ways import own_ways

# Kinds that use no mouse, and kinds that can be told from others at a front end only.
_OWN_SPELLING = 0.15
_KEYS = ("keyboard", "screen_reader")
_SHOWN = ("refuser", "no_position", "voice_control", "privacy_browser", "touch_only", "ime_typist")


@dataclass(frozen=True)
class Households:
    """Honest accounts, one row each, with what they own."""

    account: Ints
    kind: Ints
    country: Ints
    city: Ints
    home: Ints
    work: Ints
    friends: Ints
    phones: Ints
    handset: Ints
    desktop: Ints
    cards: Ints
    networks: Ints
    channel: Ints
    style: Ints
    refuses: Bools
    denies: Bools
    no_training: Bools


def _kind(config: WorldConfig, name: str) -> int:
    return [t.name for t in config.honest_types].index(name)


def _homes(
    rng: np.random.Generator, config: WorldConfig, cast: Cast, kind: Ints, city: Ints
) -> tuple[Ints, Ints, Ints]:
    """Home, workplace and three friends' addresses of every account."""
    n = len(kind)
    home = geo.new_addresses(rng, cast.addresses, city, pick(rng, (0.93, 0.02, 0.05), n))
    work = geo.new_addresses(rng, cast.addresses, city, np.where(chance(rng, 0.3, n), 3, 1))
    shared = np.flatnonzero(kind == _kind(config, "shared_place"))
    # Dormitories and offices: a dozen accounts of one city use the same locker or reception.
    lockers = geo.new_addresses(rng, cast.addresses, city[shared], 3)
    leader = shared[np.lexsort((shared, city[shared]))]
    group = np.arange(len(leader)) // 12 * 12
    home[leader] = np.where(
        city[leader] == city[leader[group]], lockers[np.searchsorted(shared, leader[group])], home[leader]
    )
    country = geo.IS_EU[city].astype(np.int64)
    friends = []
    for place in range(3):
        away = chance(rng, 0.7, n)
        where = np.where(away, geo.random_city(rng, country), city)
        friends.append(geo.new_addresses(rng, cast.addresses, where, 5 if place == 2 else 0))
    forwarder = np.flatnonzero(chance(rng, 0.04, n))
    cast.addresses["kind"][friends[2]] = 0
    cast.addresses["kind"][friends[2][forwarder]] = 4
    return home, work, np.column_stack(friends)


def _things(
    rng: np.random.Generator, config: WorldConfig, cast: Cast, kind: Ints, channel: Ints
) -> tuple[Ints, ...]:
    """Handsets, desktops (-1 without), and up to two cards; some families share a card."""
    n = len(kind)
    fails = habits.ordinary_fails(rng, config, n)
    fails = np.where(kind == _kind(config, "no_position"), 0.85, fails)
    handset_kind = np.where(channel == 1, habits.WEBVIEW, habits.PHONE)
    handset_kind = np.where((kind == _kind(config, "elderly")) & (channel == 0), habits.TABLET, handset_kind)
    handset = habits.new_devices(rng, cast, handset_kind, fails)
    desktop = habits.new_devices(rng, cast, np.zeros(n, dtype=np.int64), fails)
    wants = chance(rng, 0.62, n) | odd.is_one_of(config, kind, *_KEYS)
    bins = np.array([622848, 621700, 622588, 625965, 400022, 531993, 455673, 374289])
    cards = [cast.cards.add(n, bin=bins[pick(rng, (5, 4, 4, 3, 2, 2, 1, 1), n)]) for _ in range(2)]
    second = np.where(chance(rng, 0.3, n), cards[1], cards[0])
    family = chance(rng, np.where(kind == _kind(config, "shared_place"), 0.35, 0.04), n)
    # The neighbour in the list stands for a relative: who it is does not matter, that it is shared does.
    mate = np.roll(cards[0], 1)
    first = np.where(family, mate, cards[0])
    return handset, np.where(wants, desktop, -1), np.column_stack([first, second])


def _usual_channels(
    rng: np.random.Generator, config: WorldConfig, kind: Ints, country: Ints
) -> tuple[Ints, Ints]:
    """The shop's own channel that each account would use, and the channel that it mostly uses."""
    n = len(kind)
    own = chance(rng, odd.own_or(config, kind, "mini", config.mini_program_share), n).astype(np.int64)
    own = np.where(odd.is_one_of(config, kind, *_KEYS) | (country == 1) & chance(rng, 0.8, n), 0, own)
    market = np.where(chance(rng, 0.55, n), 2, 3)
    # Kinds that can only be seen at a front end mostly buy there.
    shown = odd.is_one_of(config, kind, *_KEYS, *_SHOWN)
    usual = np.where(shown, 0.2, config.marketplace_share)
    away = chance(rng, odd.own_or(config, kind, "market", usual), n)
    return own, np.where(away, market, own)


def _phones(rng: np.random.Generator, cast: Cast, country: Ints) -> Ints:
    """Three numbers an account: its own, and two of people it sends gifts to."""
    n = len(country)
    columns = []
    for _ in range(3):
        kind, serial = pick(rng, (0.93, 0.045, 0.005, 0.02), n), rng.integers(0, 10**8, n)
        columns.append(cast.phones.add(n, country=country, kind=kind, serial=serial))
    return np.column_stack(columns)


def _networks(rng: np.random.Generator, config: WorldConfig, cast: Cast, kind: Ints, city: Ints) -> Ints:
    """A fixed line and a mobile network; offices and dormitories of a city share one exit."""
    n = len(kind)
    proxy, office = kind == _kind(config, "vpn"), kind == _kind(config, "shared_place")
    exit_city = np.where(proxy, geo.random_city(rng, geo.IS_EU[city].astype(np.int64)), city)
    line = np.where(proxy, habits.PROXY, np.where(office, habits.OFFICE, habits.HOME))
    fixed = cast.networks.add(n, kind=line, city=exit_city)
    shared = np.flatnonzero(office & chance(rng, 0.8, n))
    _, first, where = np.unique(city[shared], return_index=True, return_inverse=True)
    fixed[shared] = fixed[shared][first[where]]
    carrier = np.where(chance(rng, 0.06, n), habits.DATACENTER, habits.MOBILE)
    return np.column_stack([fixed, cast.networks.add(n, kind=carrier, city=city)])


def households(config: WorldConfig, cast: Cast) -> Households:
    """Create the honest accounts of a world."""
    rng = stream(config.seed, "households")
    n = max(20, round((config.orders - config.fraud_orders) / config.orders_per_account))
    kind = pick(rng, [t.share for t in config.honest_types], n)
    country = chance(rng, config.eu_share, n).astype(np.int64)
    city = geo.random_city(rng, country)
    own, channel = _usual_channels(rng, config, kind, country)
    home, work, friends = _homes(rng, config, cast, kind, city)
    handset, desktop, cards = _things(rng, config, cast, kind, own)
    shifts = np.array(shift_matrix(config.honest_types))
    age = np.exp(rng.normal(8.3, 1.7, n)) * 3600
    changed = config.end_s - rng.random(n) * config.days * DAY - age
    account = cast.accounts.add(
        n, country=country, home_city=city, profile=rng.beta(3.0, 2.4, n),
        credential=np.where(chance(rng, 0.55, n), changed, np.nan),
        invited=chance(rng, 0.15, n), loop=chance(rng, 0.05, n),
    )  # fmt: skip
    style = cast.add_styles(habits.persons(rng, n) + shifts[kind])
    phones, networks = _phones(rng, cast, country), _networks(rng, config, cast, kind, city)
    refuses = kind == _kind(config, "refuser")
    trains = chance(rng, np.where(refuses, 0.3, config.training_granted), n)
    homes = Households(
        account, kind, country, city, home, work, friends, phones, handset, desktop, cards, networks,
        channel, style, refuses, chance(rng, config.location_denied, n), ~trains,
    )  # fmt: skip
    _oddities(config, cast, homes)
    if config.lifelike:
        _own_spellings(stream(config.seed, "spellings"), cast, homes)
    return homes


def _own_spellings(rng: np.random.Generator, cast: Cast, homes: Households) -> None:
    """Some people write their address in a way of their own, and always so."""
    rows = np.flatnonzero(chance(rng, _OWN_SPELLING, len(homes.home)))
    homes.home[rows] = geo.respell(cast.addresses, homes.home[rows], rng.integers(1, 90, len(rows)))


def _oddities(config: WorldConfig, cast: Cast, homes: Households) -> None:
    """Change what accounts of the later odd kinds own."""
    # From a stream of its own, since older worlds lack these kinds.
    rng = stream(config.seed, "odd")

    def those(name: str) -> Ints:
        return np.flatnonzero(odd.is_one_of(config, homes.kind, name))

    far = those("gift_far")
    for place in range(2):
        away = geo.far_city(rng, homes.city[far], homes.country[far])
        homes.friends[far, place] = geo.new_addresses(rng, cast.addresses, away)
    private = those("privacy_browser")
    homes.denies[private] = True
    for things in (homes.handset[private], homes.desktop[private]):
        devices = things[things >= 0]
        cast.devices["has_hints"][devices] = False
        cast.devices["ua_lies"][devices] |= chance(rng, 0.2, len(devices))
    tunnel = private[chance(rng, 0.35, len(private))]
    cast.networks["kind"][homes.networks[tunnel, 0]] = habits.PROXY
    students = those("dormitory")
    homes.city[students], homes.home[students], homes.networks[students, 0] = odd.houses(
        rng, cast, homes.city[students], homes.country[students]
    )
    cast.accounts["home_city"][homes.account[students]] = homes.city[students]
    _relatives(rng, cast, homes, those("family_helper"), those("locker_family"))
    for things in (homes.handset, homes.desktop):
        traced = (things >= 0) & chance(rng, odd.of_type(config, homes.kind, "traced"), len(things))
        cast.devices["own_trace"][things[traced]] = True
    proxied = np.flatnonzero(chance(rng, odd.of_type(config, homes.kind, "proxied"), len(homes.kind)))
    cast.networks["kind"][homes.networks[proxied, 0]] = habits.PROXY
    boxed = np.flatnonzero(chance(rng, odd.of_type(config, homes.kind, "lockers"), len(homes.kind)))
    homes.home[boxed] = odd.new_lockers(rng, cast, homes.city[boxed])
    touch = those("touch_only")
    homes.desktop[touch] = -1
    # They ask for the page as a desktop sees it.
    cast.devices["ua_lies"][homes.handset[touch]] |= chance(rng, 0.15, len(touch))


def _relatives(rng: np.random.Generator, cast: Cast, homes: Households, helped: Ints, lockers: Ints) -> None:
    """One relative orders for two households from one device; others share a card and a parcel locker."""
    first, second = helped[: len(helped) // 2 * 2 : 2], helped[1::2]
    for things in (homes.handset, homes.desktop, homes.cards, homes.networks, homes.style, homes.channel):
        things[second] = things[first]
    homes.home[lockers] = odd.new_lockers(rng, cast, homes.city[lockers])
    # Two or three to a card, as families are.
    sharing = lockers[chance(rng, 0.6, len(lockers))]
    homes.cards[sharing] = homes.cards[sharing[np.arange(len(sharing)) // 3 * 3]]


def _moments(
    rng: np.random.Generator, config: WorldConfig, shop: Shop, cast: Cast, who: Ints, kind: Ints
) -> Floats:
    """Order times; accounts that join during the world are created shortly before their first order."""
    n_accounts = len(kind)
    newcomer = chance(rng, odd.own_or(config, kind, "newcomers", config.newcomers), n_accounts)
    joined = np.where(newcomer, rng.random(n_accounts), 0.0)
    t = shop.times(rng, joined[who])
    first = np.full(n_accounts, np.inf)
    np.minimum.at(first, who, t)
    first = np.where(np.isfinite(first), first, config.end_s)
    young = first - np.exp(rng.normal(8.6, 2.2, n_accounts) + odd.of_type(config, kind, "waits"))
    # Accounts from before the world, so that its first weeks do not consist of newcomers.
    old = config.start_s - 2 * DAY - np.exp(rng.normal(6.1, 1.0, n_accounts)) * DAY
    created = np.where(newcomer, young, np.maximum(old, config.start_s - 3600 * DAY))
    cast.accounts["created"][:n_accounts] = np.maximum(created, OPENED)
    return np.asarray(t)


def redraw_changes(config: WorldConfig, cast: Cast) -> None:
    """Changes of passwords before the account was opened fall between then and the world's end, or away."""
    rng = stream(config.seed, "changes")
    created, change = cast.accounts["created"], cast.accounts["credential"]
    early = np.flatnonzero(change < created)
    drawn = created[early] + rng.random(len(early)) * (config.end_s - created[early])
    change[early] = np.where(chance(rng, 0.5, len(early)), drawn, np.nan)


def _afterthoughts(rng: np.random.Generator, config: WorldConfig, t: Floats, who: Ints, kind: Ints) -> Floats:
    """Some orders follow the account's previous one within minutes or hours: something was forgotten.

    Of kinds that split their purchases whole chains of orders do.
    """
    splits, minutes = (odd.of_type(config, kind, name) for name in ("splits", "split_minutes"))
    order = np.lexsort((t, who))
    before = np.r_[np.inf, t[order][:-1]]
    same = np.r_[False, who[order][1:] == who[order][:-1]]
    spread = rng.normal(7.3, 1.6, len(t))
    faster = spread - 7.3 + np.log(60.0 * minutes)[order]
    wait = np.exp(np.where(splits[order] > 0, faster, spread))
    soon = before + wait
    follows = same & chance(rng, config.afterthoughts + splits[order], len(t)) & (soon < config.end_s)
    out = t.copy()
    out[order] = np.where(follows, soon, t[order])
    since = np.cumsum(np.where(follows, wait, 0.0))
    first = np.maximum.accumulate(np.where(follows, 0, np.arange(len(t))))
    chained = np.minimum(t[order][first] + since - since[first], config.end_s - 60.0)
    out[order] = np.where(follows & (splits[order] > 0), chained, out[order])
    return out


def _routes(
    rng: np.random.Generator, config: WorldConfig, cast: Cast, homes: Households, who: Ints
) -> tuple[Ints, Ints]:
    """Channel and device of each visit; mini-programs run on handsets, keyboards need a desktop."""
    n = len(who)
    elsewhere = np.where(chance(rng, 0.5, n), 3, homes.channel[who] % 2)
    channel = np.where(chance(rng, 0.86, n), homes.channel[who], elsewhere)
    at_desk = chance(rng, 0.75, n) | odd.is_one_of(config, homes.kind[who], *_KEYS)
    at_desk &= (channel == 0) & (homes.desktop[who] >= 0)
    device = np.where(at_desk, homes.desktop[who], homes.handset[who])
    webview = cast.devices["kind"][device] == habits.WEBVIEW
    return np.where(habits.has_front_end(channel), webview.astype(np.int64), channel), device


def _buyers(rng: np.random.Generator, config: WorldConfig, homes: Households) -> Ints:
    """The account of each honest order, ascending."""
    accounts = len(homes.account)
    rate = np.exp(rng.normal(0, config.count_sigma, accounts))
    # Looks like a reseller and is none: false positives need someone to happen to.
    rate *= np.where(homes.kind == _kind(config, "small_business"), 3.0, 1.0)
    rate *= odd.of_type(config, homes.kind, "pace")
    counts = rng.multinomial(config.orders - config.fraud_orders, rate / rate.sum())
    return np.asarray(np.repeat(np.arange(accounts), counts), dtype=np.int64)


def honest_visits(config: WorldConfig, shop: Shop, cast: Cast, homes: Households) -> None:
    """Let every honest account buy over the world's months, with a heavy-tailed number of orders."""
    rng = stream(config.seed, "honest")
    who = _buyers(rng, config, homes)
    n = len(who)
    t = _moments(rng, config, shop, cast, who, homes.kind)
    # Bursts of one honest account, or velocity alone would give fraud away.
    t = _afterthoughts(rng, config, t, who, homes.kind[who])
    kind = homes.kind[who]
    channel, device = _routes(rng, config, cast, homes, who)
    gift = chance(rng, np.array([h.gift for h in config.honest_types])[kind], n)
    friend = pick(rng, (0.6, 0.28, 0.12), n)
    usual = np.where(chance(rng, 0.13, n), homes.work[who], homes.home[who])
    phone = np.where(gift & chance(rng, 0.7, n), homes.phones[who, 1], homes.phones[who, 0])
    network = np.where(chance(rng, 0.3, n), homes.networks[who, 1], homes.networks[who, 0])
    wallet = chance(rng, np.where(channel == 1, 0.55, np.where(homes.country[who] == 1, 0.2, 0.4)), n)
    wallet &= ~chance(stream(config.seed, "by card"), odd.of_type(config, kind, "by_card"), n)
    card = homes.cards[who, pick(rng, (0.85, 0.15), n)]
    token = np.where(channel == 2, True, (channel < 2) & ~wallet)
    launch, t = _fans(rng, shop, t, odd.of_type(config, kind, "fans"), config.end_s)
    t, launch = crowds(config, shop, cast.accounts["created"][who], who, homes.home[who], t, launch)
    front = habits.has_front_end(channel)
    basket = np.where(kind == _kind(config, "small_business"), 4, pick(rng, USUAL_BASKETS, n))
    cast.visits.add(
        n, t=t, account=homes.account[who], device=np.where(front, device, -1),
        card=np.where(token, card, -1), address=np.where(gift, homes.friends[who, friend], usual),
        phone=phone, network=np.where(front, network, -1), channel=channel, style=homes.style[who],
        honest_type=kind, other=gift & chance(rng, 0.85, n) | chance(rng, 0.02, n),
        basket=np.where(launch >= 0, 2, basket), launch=launch, wallet=wallet,
        seek_coupon=np.clip(rng.beta(*USUAL_SEEK, n) + 0.4 * (kind == _kind(config, "bargain_hunter"))
        + odd.of_type(config, kind, "coupons"), 0, 1),
        modality=np.where(
            odd.is_one_of(config, kind, "voice_control"), habits.OTHER,
            habits.modality(rng, cast.devices["kind"][device], odd.is_one_of(config, kind, *_KEYS)),
        ),
        **habits.consents(rng, config, channel, homes.refuses[who], homes.denies[who],
        homes.no_training[who]),
    )  # fmt: skip
    own_ways(config, cast, homes, who)


def _fans(
    rng: np.random.Generator, shop: Shop, t: Floats, share: Floats, end_s: float
) -> tuple[Ints, Floats]:
    """A few honest orders are for a launch and come in its first hour; ``share`` more come a little later."""
    skus = np.array([s for s, _ in shop.launches], dtype=np.int64)
    moments = np.array([m for _, m in shop.launches])
    near = np.clip(np.searchsorted(moments, t), 0, len(moments) - 1)
    n = len(t)
    fan = chance(rng, 0.015 + share, n) & (moments[near] > t) & (moments[near] - t < 12 * DAY)
    when = moments[near] + np.exp(rng.normal(6.0, 1.2, n) + 1.5 * (share > 0))
    return np.where(fan, skus[near], -1), np.where(fan, np.minimum(when, end_s - 60.0), t)
