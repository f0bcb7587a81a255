"""What a family's play works with: the shop, the people, and how a gang gets its accounts and things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.worlds import gangs, geo
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.gangs import Gang, Honest
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.sellers import GANG_TEMPLATES
from riskgraph.eval.worlds.shop import DAY, Shop
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick, stream

# Issuer prefixes of the simulated cards, and how common each is among honest cards.
BINS = np.array([622848, 621700, 622588, 625965, 400022, 531993, 455673, 374289])
_COMMON = (5.0, 4.0, 4.0, 3.0, 2.0, 2.0, 1.0, 1.0)
_LAUNCH_DAYS = 3
# What an honest person who is taken in by a gang orders with.
_OWN = ("account", "device", "card", "address", "phone", "network", "style")


@dataclass(frozen=True)
class Scene:
    """A world while its gangs act.

    Attributes:
        config: Parameters of the world.
        shop: Goods, launches and calendar.
        cast: All people and things; a row's number is its identity.
        honest: Honest visits in time order, from which accounts can be taken over or rented.
    """

    config: WorldConfig
    shop: Shop
    cast: Cast
    honest: Honest

    def rng(self, gang: Gang, part: str = "") -> np.random.Generator:
        """The gang's own random stream; ``part`` names a further one."""
        return stream(self.config.seed, part or gang.family.name, gang.number)

    def channels(self, gang: Gang) -> Ints:
        """int64[size] channel of each order: the marketplaces, or the shop's own front ends."""
        return gangs.gang_channels(self.rng(gang, "channel"), self.config, gang)

    def accounts(self, rng: np.random.Generator, gang: Gang, first: Floats, age_mu: float) -> Ints:
        """Accounts opened for the gang, one for each time of a first order.

        ``age_mu`` is the log of their median age at that time, in seconds: 10 is six hours, 14 two weeks.
        """
        return gangs.gang_accounts(rng, self.cast, gang, first, age_mu)

    def devices(self, rng: np.random.Generator, gang: Gang, channel: Ints) -> Ints:
        """New devices of the gang, fit for the given channels."""
        return gangs.gang_devices(rng, self.config, self.cast, gang, channel)

    def phones(self, rng: np.random.Generator, gang: Gang, n: int, odd: float) -> Ints:
        """New numbers; ``odd`` of them virtual, landline or foreign while the gang acts openly."""
        open_play = odd * (1 - 0.6 * gang.camouflage)
        kind = pick(rng, (1 - open_play, 0.75 * open_play, 0.05 * open_play, 0.2 * open_play), n)
        return self.cast.phones.add(n, country=gang.country, kind=kind, serial=rng.integers(0, 10**8, n))

    def cards(self, rng: np.random.Generator, n: int) -> Ints:
        """New cards, of the issuers that honest people use."""
        return self.cast.cards.add(n, bin=BINS[pick(rng, _COMMON, n)])

    def cities(self, rng: np.random.Generator, gang: Gang, n: int) -> Ints:
        """Cities of the gang's country, large ones more often."""
        return geo.random_city(rng, np.full(n, gang.country))

    def doors(self, rng: np.random.Generator, cities: Ints, kinds: Ints | int = 0) -> Ints:
        """New delivery addresses, one per city; ``kinds`` are indexes into ``geo.ADDRESS_KINDS``."""
        return geo.new_addresses(rng, self.cast.addresses, cities, kinds, shared=0.1)

    def victims(self, rng: np.random.Generator, gang: Gang, t: Floats, rank: int) -> Ints:
        """Rows of honest visits before each time that the gang reaches, -1 if none.

        They are of accounts with at least ``rank`` orders before them, at the places where the gang works.
        """
        country = gang.country if self.config.lifelike else None
        return self.honest.victims(rng, t, rank, gang.market, country)

    def covers(self, gang: Gang, n: int) -> Bools:
        """bool[n]: where the gang's camouflage also covers what it does (``config.cover``)."""
        return chance(self.rng(gang, "cover"), self.config.cover * gang.camouflage, n)

    def at_home(self, victim: Ints, where: Bools) -> dict[str, Ints | Bools]:
        """Columns ``network`` and ``victim`` of orders that come from the victim's own place, at ``where``.

        Consents are the victim's there. Worlds that are not ``lifelike`` have the gang's networks and stance.
        """
        if not self.config.lifelike:
            return {}
        return {"network": np.where(where, self.honest.network[victim], -1), "victim": where}

    def respell(self, doors: Ints, spelling: Ints) -> Ints:
        """The same doors in other spellings, as new addresses; spelling 0 is the usual one."""
        return geo.respell(self.cast.addresses, doors, spelling)

    def launches(self, rng: np.random.Generator, t: Floats, share: float) -> Ints:
        """For ``share`` of the orders within three days after a launch its SKU, else -1."""
        skus = np.array([s for s, _ in self.shop.launches], dtype=np.int64)
        moments = np.array([m for _, m in self.shop.launches])
        last = np.clip(np.searchsorted(moments, t) - 1, 0, len(moments) - 1)
        recent = (t >= moments[last]) & (t - moments[last] < _LAUNCH_DAYS * DAY)
        return np.where(recent & chance(rng, share, len(t)), skus[last], -1)

    def open_shops(
        self, rng: np.random.Generator, gang: Gang, opened: Floats, popularity: float = 0.0
    ) -> Ints:
        """New third-party sellers of the gang; most share the layout of its documents while it acts openly.

        Args:
            rng: The gang's stream.
            gang: Who opens them.
            opened: Time of each, epoch seconds UTC.
            popularity: How many honest customers they have; the most visited honest seller has 1.
        """
        open_play, n = 1 - gang.camouflage, len(opened)
        shared = chance(rng, 0.25 + 0.6 * open_play, n)
        return self.cast.sellers.add(
            n, opened=opened, popularity=popularity, synthetic=chance(rng, 0.05 + 0.4 * open_play, n),
            template=np.where(shared, GANG_TEMPLATES + gang.number, -1),
        )  # fmt: skip

    def place(
        self,
        rng: np.random.Generator,
        gang: Gang,
        channel: Ints,
        victim: Ints | None = None,
        /,
        **columns: NDArray[np.generic] | float | int,
    ) -> None:
        """Enter the gang's orders, each column one value an order or one for all of them.

        Args:
            rng: The gang's stream.
            gang: Whose orders.
            channel: Channel of each order.
            victim: Rows of honest visits, -1 for the gang's own orders. The order of a victim is placed by
                that honest person, with all that is theirs.
            columns: ``account``, ``device``, ``address``, ``phone``, and other columns of ``Cast.visits``.
        """
        if victim is not None:
            taken_in = victim >= 0
            channel = np.where(taken_in, self.honest.channel[victim], channel)
            for name in _OWN:
                own = getattr(self.honest, name)[victim]
                columns[name] = np.where(taken_in, own, columns.get(name, -1))
            columns["victim"] = taken_in
        gangs.place(rng, self.config, self.cast, gang, channel, **columns)


def owners(rng: np.random.Generator, gang: Gang) -> Ints:
    """int64[size] which of the gang's accounts places each order; every account orders at least once."""
    accounts = max(1, round(gang.size / gang.archetype.orders_per_account))
    extra = rng.integers(0, accounts, gang.size - accounts)
    # Orders of one account lie close together: the owners ascend with time, in blocks.
    return np.sort(np.concatenate([np.arange(accounts), extra])).astype(np.int64)


def first_times(gang: Gang, owner: Ints) -> Floats:
    """Time of each account's first order."""
    first = np.full(int(owner[-1]) + 1, np.inf)
    np.minimum.at(first, owner, gang.times)
    return first


def first_channels(channel: Ints, owner: Ints) -> Ints:
    """Channel of each account's first order."""
    return channel[np.searchsorted(owner, np.arange(int(owner[-1]) + 1))]


def token(
    rng: np.random.Generator, channel: Ints, card: Ints, wallet: float
) -> dict[str, NDArray[np.generic]]:
    """Columns ``card`` and ``wallet``: the card token where the channel hands one over.

    It does so always in market_a, never in market_b, and not where a wallet pays (share ``wallet``).
    """
    uses = chance(rng, wallet, len(card))
    seen = np.where(channel == 2, True, (channel < 2) & ~uses)
    return {"card": np.where(seen, card, -1), "wallet": uses}
