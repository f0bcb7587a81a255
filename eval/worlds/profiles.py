"""How kinds of people differ: behavior drivers of odd honest users and of fraud archetypes.

A driver is a latent habit, standard normal over ordinary persons; a profile shifts it in standard
deviations. Sources of direction and size: behavior literature and vendor figures (segmented typing
in new-account fraud, decline rates of card testing, people over 60 point and type more slowly but
not with more errors); the numbers are a priori choices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DRIVERS = (
    "haste",
    "depth",
    "interest",
    "paste",
    "switching",
    "speed",
    "regular",
    "familiar",
    "smooth",
    "card_trouble",
    "bargain",
    "care",
    "spoof",
    "still",
)
Shifts = tuple[tuple[str, float], ...]


def _later(default: Any) -> Any:
    """A field that came after configurations were published (see ``config.plain``)."""
    return field(default=default, metadata={"later": True})


@dataclass(frozen=True)
class HonestType:
    """A kind of honest account.

    Attributes:
        name: Its name in the oracle.
        share: Share of honest accounts.
        gift: Share of orders to a friend's address.
        shifts: Drivers and by how many standard deviations the kind differs from ordinary persons.
        market: Share of its accounts that mostly buy on marketplaces; None is the configuration's.
        mini: Share of its other accounts that buy in the mini-program; None is the configuration's.
        lockers: Share of its accounts that let parcels come to a locker.
        by_card: Share of wallet payments that it makes by card instead.
        pace: How many orders it places, as a factor.
        newcomers: Share of its accounts that open during the world; None is the configuration's.
        waits: How much older such an account is at its first order (natural logarithm of the factor).
        fans: Share of orders, on top of everybody's, that are for a launch where one is near.
        splits: Share of later orders, on top of everybody's, that follow the previous one within minutes.
        split_minutes: Their median wait.
        valuable: Share of orders of valuable goods, on top of everybody's.
        cheap: Share of orders of cheap goods, on top of everybody's.
        coupons: How much more it hunts for promotions, 0 to 1.
        declines: Mean declined payments before an order, on top of everybody's.
        other_cards: Share of orders paid with a card never used before.
        guesses_cards: How much those declines name wrong card data (as ``Family.guesses_cards``).
        resets: Share of orders shortly after a changed password, on top of everybody's.
        other_phones: Share of orders with a number never used before, often a foreign one.
        proxied: Share of accounts whose usual network is a proxy.
        forgets: Mean failed sign-ins before an order, on top of everybody's.
        roams: Share of orders to a door in a far city that it never used.
        goes_along: Share of those for which the person is there at the time, and not at home.
        other_devices: Share of orders from a device never used before.
        traced: Share of devices whose browser says that it is automated.
        moves: The person moves to another city during the world, with a new device.
        supports: Share of orders at a seller on the platform that opened a short while ago.
        unlocated: Chance that a permitted position request gives none; 0 is the device's own.
        shows: Number and flag nodes that the kind shows, each with a shift on the node's own scale.
    """

    name: str
    share: float
    gift: float = 0.05
    shifts: Shifts = ()
    market: float | None = _later(None)
    mini: float | None = _later(None)
    lockers: float = _later(0.0)
    by_card: float = _later(0.0)
    pace: float = _later(1.0)
    newcomers: float | None = _later(None)
    waits: float = _later(0.0)
    fans: float = _later(0.0)
    splits: float = _later(0.0)
    split_minutes: float = _later(3.0)
    valuable: float = _later(0.0)
    cheap: float = _later(0.0)
    coupons: float = _later(0.0)
    declines: float = _later(0.0)
    other_cards: float = _later(0.0)
    guesses_cards: float = _later(0.0)
    resets: float = _later(0.0)
    other_phones: float = _later(0.0)
    proxied: float = _later(0.0)
    forgets: float = _later(0.0)
    roams: float = _later(0.0)
    goes_along: float = _later(0.0)
    other_devices: float = _later(0.0)
    traced: float = _later(0.0)
    moves: bool = _later(False)
    supports: float = _later(0.0)
    unlocated: float = _later(0.0)
    shows: Shifts = _later(())


@dataclass(frozen=True)
class Archetype:
    """The figures of a kind of fraud.

    Attributes:
        name: Its name in the oracle.
        family: The group that it belongs to, such as ``ring``, ``identity`` or ``payment``.
        share: Share of fraud orders.
        orders_per_account: Mean orders that the gang places with one account.
        position_fails: Share of permitted position requests that give none.
        window_days: Length of a gang's active time, shortest and longest.
        bursts: Number of bursts inside it.
        delay_days: Median days to the report (lognormal, sigma 0.8, cut at 120).
        reported: Lowest and highest share of a gang's orders that is ever reported.
        report: Outcome kind that carries the label.
        marketplace: Share of gangs that work where there is no front end.
        starts: ISO date (UTC) before which nobody has tried it; None if it was always there.
        shifts: Drivers and by how many standard deviations openly acting gangs differ from ordinary persons.
    """

    name: str
    family: str
    share: float
    orders_per_account: float
    position_fails: float
    window_days: tuple[float, float]
    bursts: int
    delay_days: float
    reported: tuple[float, float]
    report: str
    marketplace: float
    shifts: Shifts
    starts: str | None = _later(None)


HONEST_TYPES = (
    HonestType("ordinary", 0.68),
    HonestType(
        "gift_buyer", 0.06, 0.60, (("paste", 0.9), ("switching", 0.8), ("familiar", -0.9), ("haste", 0.2))
    ),
    HonestType("elderly", 0.045, 0.04, (("haste", -1.3), ("speed", -1.5), ("familiar", -0.3), ("care", 0.5))),
    HonestType("shared_place", 0.04, 0.04, (("bargain", 0.6), ("haste", 0.3))),
    HonestType("keyboard", 0.01, 0.04, (("haste", -0.2), ("regular", 0.6), ("care", 0.3))),
    HonestType("refuser", 0.09),
    HonestType("no_position", 0.025),
    HonestType("vpn", 0.02, 0.05, (("spoof", 1.2), ("switching", 0.3))),
    HonestType(
        "small_business",
        0.02,
        0.20,
        (("haste", 0.7), ("depth", -0.6), ("paste", 0.8), ("bargain", 0.6), ("switching", 0.6)),
    ),
    HonestType("bargain_hunter", 0.01, 0.03, (("bargain", 1.6), ("haste", 0.4), ("depth", 0.6))),
)


def shift_matrix(profiles: tuple[HonestType, ...] | tuple[Archetype, ...]) -> list[list[float]]:
    """One row of driver shifts per profile, columns in the order of ``DRIVERS``."""
    return [[dict(p.shifts).get(driver, 0.0) for driver in DRIVERS] for p in profiles]
