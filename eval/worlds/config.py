"""Parameters of a simulated world, chosen beforehand from published figures, never from a score.

Shares and delays are design choices, not measured rates. The fraud share is enriched to 5 % so
that releases with k = 50 have persons to work with; reports must say so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import Any

from riskgraph.core.errors import Invalid
from riskgraph.eval.worlds.profiles import HONEST_TYPES, Archetype, HonestType

# Precision is stated at base rates up to 1 %; above that a world has more fraud than shops do.
NATURAL_BELOW = 0.01
_SHARES = (
    "fraud_share", "newcomers", "afterthoughts", "eu_share", "marketplace_share", "mini_program_share",
    "location_asked", "location_denied", "position_fails", "motion_asked", "training_granted", "gang_refuses",
    "wrong_fraud_labels", "wrong_clean_labels", "never_delivered_report", "reviews", "disguise",
    "address_book", "prepared", "cover", "mixed", "switches", "post_auth", "post_auth_market",
)  # fmt: skip


def plain(value: Any) -> Any:
    """A dataclass as what JSON holds.

    Fields marked ``later`` came after configurations were published: at their default they are left out, so
    that an older configuration keeps its digest.
    """
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    if not is_dataclass(value):
        return value
    pairs = ((f, getattr(value, f.name)) for f in fields(value))
    return {f.name: plain(v) for f, v in pairs if not (f.metadata.get("later") and v == f.default)}


def total(shares: Iterable[float]) -> float:
    """Shares added from left to right.

    From Python 3.12 on ``sum`` rounds otherwise, and a digest must not depend on the version.
    """
    return reduce(add, shares, 0.0)


def epoch(date: str) -> float:
    """Start of an ISO date in UTC, epoch seconds."""
    return datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class WorldConfig:
    """Everything that shapes a simulated world, apart from the seed's draws.

    Attributes:
        orders: Number of orders, honest and fraudulent.
        start: First day, UTC; ``days`` later the world ends.
        fraud_share: Share of orders that are fraud (enriched).
        orders_per_account: Mean of the heavy-tailed purchase counts of honest accounts.
        count_sigma: Spread of the log purchase rates.
        newcomers: Share of accounts that open during the world.
        afterthoughts: Share of an account's later orders that follow the previous one at once.
        eu_share: Share of accounts under GDPR; the rest are under PIPL.
        marketplace_share: Accounts that mostly buy where the shop has no front end.
        mini_program_share: Of the others, those that mostly buy in the mini-program.
        location_asked: Share of front-end sessions that ask for the position.
        location_denied: Share of persons who then deny it.
        position_fails: Share of permitted requests without a position on ordinary devices.
        training_granted: Share of persons who let their orders train models.
        gang_refuses: Share of gangs whose accounts all refuse consent.
        camouflage: Beta parameters of a gang's camouflage, 0 open to 1 like an honest person.
        disguise: Share of a fully camouflaged gang's visits that look like any honest person's.
        plain_baskets: Such visits also buy what honest people buy.
        even_camouflage: It is spread evenly within each kind of fraud, so that kinds do not pass for degrees.
        gang_orders: Mean orders of a gang; ``min_gangs`` holds where enough orders exist.
        shift_scale: Factor on all behavior shifts of fraud. Chosen beforehand so that an openly acting
            gang differs from ordinary persons by three to four standard deviations over all habits
            together, and no single habit by more than about two.
        wrong_fraud_labels: Share of honest orders wrongly reported as fraud.
        wrong_clean_labels: Share of reported fraud that a review wrongly confirms as good.
        never_delivered_report: Share of orders whose delivery is never reported.
        since_sign_up: Password changes and claimed coupons lie after the account was opened.
        reviews: Share of the orders stopped by the shop which a review labels. The others get no label: what
            never shipped is never charged back. None reports them like any other.
        viral: Products that honest strangers all buy within some hours.
        group_buys: Purchases that neighbours (a dormitory, an office) make together.
        season: How far sales swing with the year, highest at its end; 0.15 is from 85 % to 115 %.
        drift: How far everybody's habits move from the world's first day to its last, in standard deviations.
        mixed: Share of a fully camouflaged gang's orders that are honest: bought and kept, as cover.
        switches: Share of gangs that change from own front ends to marketplaces, or back, while they last.
        lifelike: Without shortcuts that raw columns hold and no node shows: gangs keep networks, pick
            on accounts of their own country, and some wait for promotions; honest people have own spellings;
            victims at home keep network and consents; cover is bought from own accounts; coupons for
            newcomers go to new accounts.
        festivals: ISO dates and by how much orders multiply on them, as on 11 November.
        address_book: Share of honest orders whose address was saved before the world began.
        address_book_days: How old an account is before it has saved addresses.
        prepared: The same for a fully camouflaged gang, which saves the address on an earlier day.
        cover: How far camouflage reaches into what a gang does: drops near the
            victim, orders from the victim's device, fewer cards an account.
        goods: Seed of goods and prices, so that all seeds have the same shop; None draws them with the seed.
        sellers: Honest third-party sellers on the shop's platform; 0 leaves the shop alone there.
        calibrated: Behavior follows people's percentiles from 5 to 95, not their medians alone.
        post_auth: Share of orders through the shop's own front ends that are decided after payment;
            the others are decided before.
        post_auth_market: The same for orders through marketplaces.
        archetypes: Kinds of fraud; their shares add up to 1.
        honest_types: Kinds of honest accounts; their shares add up to 1.
    """

    name: str = "demo"
    seed: int = 7
    orders: int = 30_000
    start: str = "2026-01-01"
    days: int = 273
    merchant_id: str = "m-demo"
    fraud_share: float = 0.05
    orders_per_account: float = 4.2
    count_sigma: float = 0.95
    newcomers: float = 0.28
    afterthoughts: float = 0.07
    eu_share: float = 0.25
    marketplace_share: float = 0.42
    mini_program_share: float = 0.45
    location_asked: float = 0.55
    location_denied: float = 0.30
    position_fails: float = 0.08
    motion_asked: float = 0.30
    training_granted: float = 0.92
    gang_refuses: float = 0.12
    camouflage: tuple[float, float] = (2.0, 4.5)
    gang_orders: float = 21.0
    min_gangs: int = 60
    shift_scale: float = 1.4
    wrong_fraud_labels: float = 0.001
    wrong_clean_labels: float = 0.015
    never_delivered_report: float = 0.04
    since_sign_up: bool = field(default=False, metadata={"later": True})
    reviews: float | None = field(default=None, metadata={"later": True})
    viral: int = field(default=0, metadata={"later": True})
    group_buys: int = field(default=0, metadata={"later": True})
    festivals: tuple[tuple[str, float], ...] = field(default=(), metadata={"later": True})
    sellers: int = field(default=0, metadata={"later": True})
    lifelike: bool = field(default=False, metadata={"later": True})
    season: float = field(default=0.0, metadata={"later": True})
    drift: float = field(default=0.0, metadata={"later": True})
    mixed: float = field(default=0.0, metadata={"later": True})
    switches: float = field(default=0.0, metadata={"later": True})
    disguise: float = field(default=0.3, metadata={"later": True})
    plain_baskets: bool = field(default=False, metadata={"later": True})
    even_camouflage: bool = field(default=False, metadata={"later": True})
    address_book: float = field(default=0.72, metadata={"later": True})
    address_book_days: float = field(default=0.0, metadata={"later": True})
    prepared: float = field(default=0.0, metadata={"later": True})
    cover: float = field(default=0.0, metadata={"later": True})
    goods: int | None = field(default=None, metadata={"later": True})
    calibrated: bool = field(default=False, metadata={"later": True})
    post_auth: float = field(default=0.0, metadata={"later": True})
    post_auth_market: float = field(default=0.0, metadata={"later": True})
    archetypes: tuple[Archetype, ...] = field(kw_only=True)
    honest_types: tuple[HonestType, ...] = field(default=HONEST_TYPES)

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise Invalid(f"{name} is a share and must lie between 0 and 1, got {value!r}", field=name)
        for name in ("shift_scale", "drift"):
            if not 0 <= getattr(self, name) < 10:
                raise Invalid(f"{name} must lie between 0 and 10, got {getattr(self, name)!r}", field=name)
        if not 0 <= self.season < 1:
            raise Invalid(f"season must lie between 0 and below 1, got {self.season!r}", field="season")

    @property
    def start_s(self) -> float:
        """Start of the world in epoch seconds."""
        return epoch(self.start)

    @property
    def end_s(self) -> float:
        return self.start_s + self.days * 86_400.0

    @property
    def fraud_orders(self) -> int:
        return round(self.orders * self.fraud_share)

    @property
    def enriched(self) -> bool:
        """Whether fraud is oftener than in shops (1 % of orders and more)."""
        return self.fraud_share >= NATURAL_BELOW

    @property
    def gangs(self) -> int:
        """Number of gangs: at least ``min_gangs`` where each can place eight orders."""
        wanted = max(self.min_gangs, round(self.fraud_orders / self.gang_orders))
        return max(len(self.archetypes), min(wanted, self.fraud_orders // 8))

    @property
    def sha256(self) -> str:
        """Digest of all parameters, seed included; written into every manifest."""
        # Sorted, so that a field that moves in the class does not change the digest.
        text = json.dumps(plain(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def scaled(self, *, orders: int | None = None, seed: int | None = None) -> WorldConfig:
        """The same world with another size or seed."""
        return replace(self, orders=orders or self.orders, seed=self.seed if seed is None else seed)

    def joined(self, further: tuple[Archetype, ...]) -> WorldConfig:
        """The same world with further kinds of fraud; the shares of the others fall in proportion.

        Raises:
            Invalid: If the further shares leave nothing to the others.
        """
        left = 1 - total(a.share for a in further)
        if left <= 0:
            raise Invalid(
                f"the shares of {', '.join(a.name for a in further)} add up to {1 - left:g}; they must stay"
                " below 1, since the other kinds of fraud keep the rest",
                field="share",
            )
        kept = (
            tuple(replace(a, share=a.share * left) for a in self.archetypes) if further else self.archetypes
        )
        return replace(self, archetypes=(*kept, *further))


def order_ids(config: WorldConfig, numbers: Iterable[int]) -> list[str]:
    """The ids of a world's orders by their place in time."""
    return [f"{config.name}{config.seed}-{i:06d}" for i in numbers]
