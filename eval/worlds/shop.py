"""The simulated shop: goods, launches, promotion days, baskets and coupons."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np

from riskgraph.eval.worlds.config import WorldConfig, epoch
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, pick, stream

LINES = ("3c", "beauty", "apparel", "home", "food", "toys")
_LINE_PRICE = (900.0, 180.0, 220.0, 260.0, 70.0, 120.0)
_SKUS_PER_LINE = 45
THRESHOLDS = (99.0, 199.0, 399.0)
BASKETS = ("usual", "valuable", "hot", "tiny", "bulk")
# How often ordinary people fill each basket, and how much they hunt for promotions (a beta law).
USUAL_BASKETS, USUAL_SEEK = (0.86, 0.08, 0.03, 0.03), (1.2, 4.0)
MAX_LINES = 4
DAY = 86_400.0
# Epoch seconds UTC of 10 May 2003, when Taobao opened: no account of a shop is older than the shop.
OPENED = 1_052_524_800.0
_AT_MIDNIGHT = 0.2
# Sales peak before the year ends.
_PEAK_DAY = 345
_HOURS = (
    1.0, 0.6, 0.4, 0.25, 0.2, 0.3, 0.7, 1.4, 2.2, 2.9, 3.4, 3.4,
    3.6, 3.3, 3.1, 3.1, 3.2, 3.2, 3.4, 4.0, 4.9, 5.2, 4.2, 2.2,
)  # fmt: skip
_NIGHT = (
    4.0, 4.5, 4.5, 4.0, 3.0, 2.0, 1.0, 0.7, 0.7, 0.8, 1.0, 1.0,
    1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.1, 1.3, 1.6, 2.0, 2.6, 3.2,
)  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """Goods and calendar.

    Attributes:
        line: int64[S] product line of each SKU.
        list_price: float64[S].
        popularity: float64[S].
        launches: Launch SKU and its release time in epoch seconds, in order of time.
        day_weight: float64[days] weekly cycle, growth and promotion days.
        promo_day: bool[days] days on which full-reduction thresholds are in force.
        festival: bool[days] days of a festival: a part of their orders comes in the first hour.
    """

    start: float
    line: Ints
    list_price: Floats
    popularity: Floats
    launches: tuple[tuple[int, float], ...]
    day_weight: Floats
    promo_day: Bools
    festival: Bools

    def times(self, rng: np.random.Generator, low: Floats, *, night: Bools | None = None) -> Floats:
        """Order times after the fractions ``low`` of the calendar, by day weight and hour of day."""
        cumulative = np.concatenate([[0.0], np.cumsum(self.day_weight) / self.day_weight.sum()])
        # Who joins late buys on the remaining days, with the weights that those have.
        base = np.interp(low, np.linspace(0, 1, len(cumulative)), cumulative)
        u = base + rng.random(len(low)) * (1 - base)
        day = np.clip(np.searchsorted(cumulative, u, side="right") - 1, 0, len(self.day_weight) - 1)
        hour = pick(rng, _HOURS, len(low))
        if night is not None:
            hour = np.where(night, pick(rng, _NIGHT, len(low)), hour)
        if self.festival.any():
            hour = np.where(self.festival[day] & (rng.random(len(low)) < _AT_MIDNIGHT), 0, hour)
        # Hours of day are local; the shop's clock is China's, eight hours ahead of UTC.
        return np.asarray(
            self.start + day * DAY + (hour - 8.0) * 3600 + rng.random(len(low)) * 3600, dtype=np.float64
        )

    def promo(self, t: Floats) -> Bools:
        day = np.clip(((t + 8 * 3600 - self.start) // DAY).astype(np.int64), 0, len(self.promo_day) - 1)
        return np.asarray(self.promo_day[day], dtype=np.bool_)


def build_shop(config: WorldConfig) -> Shop:
    """Goods, launches about every twelve days, and the calendar of the configured year."""
    rng = stream(config.seed if config.goods is None else config.goods, "shop")
    line = np.repeat(np.arange(len(LINES), dtype=np.int64), _SKUS_PER_LINE)
    spread = np.exp(rng.normal(0, 0.75, len(line)))
    price = np.maximum(4.9, np.round(np.array(_LINE_PRICE)[line] * spread, 0) - 0.1)
    # A few goods make most sales, as in any shop.
    popularity: Floats = np.asarray((1.0 + rng.permutation(len(line))) ** -0.6, dtype=np.float64)
    days = np.arange(config.days)
    # The week is that of a world that begins on a Thursday, as 2026 does.
    weekly = np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.25, 1.2])[(days + 3) % 7]
    weight: Floats = np.asarray(weekly * (1 + 0.25 * days / max(1, config.days)), dtype=np.float64)
    first = datetime.fromisoformat(config.start).timetuple().tm_yday
    weight *= 1 + config.season * np.cos(2 * np.pi * (days + first - _PEAK_DAY) / 365)
    promo = (days % 31 < 3) | ((days % 91 >= 60) & (days % 91 < 66))
    hot = [int(s) for s in np.flatnonzero(line == 0)[:: max(1, _SKUS_PER_LINE // 22)]]
    moments = np.arange(6, config.days - 1, 12)
    launches = tuple(
        (hot[i % len(hot)], config.start_s + float(d) * DAY + 2 * 3600.0) for i, d in enumerate(moments)
    )
    weight[promo] *= 2.2
    festival = np.zeros(config.days, dtype=np.bool_)
    for date, factor in config.festivals:
        day = int((epoch(date) - config.start_s) // DAY)
        if 0 <= day < config.days:
            festival[day] = True
            weight[day] *= factor
            # Thresholds are announced and tried some days before.
            promo[max(0, day - 2) : day + 1] = True
    return Shop(config.start_s, line, np.asarray(price), popularity, launches, weight, promo, festival)


@dataclass(frozen=True)
class Baskets:
    """Goods of N orders: up to four lines each, and what was paid.

    Attributes:
        sku, quantity: int64[N, 4]; quantity 0 marks an empty line.
        price: float64[N, 4] paid per piece.
        list_total, amount: float64[N].
        coupon_kind: int64[N, 2]; -1 none, 0 new_customer, 1 threshold, 2 other.
        coupon_value: float64[N, 2].
        claimed: float64[N, 2] epoch seconds.
        promo: bool[N] thresholds in force.
    """

    sku: Ints
    quantity: Ints
    price: Floats
    list_total: Floats
    amount: Floats
    coupon_kind: Ints
    coupon_value: Floats
    claimed: Floats
    promo: Bools

    def rows(self, start: int, stop: int) -> Baskets:
        """Some of the orders, as views of the same columns."""
        return Baskets(*(getattr(self, f.name)[start:stop] for f in fields(self)))


def _goods(rng: np.random.Generator, shop: Shop, basket: Ints, launch: Ints) -> tuple[Ints, Ints]:
    n = len(basket)
    sku = np.column_stack([pick(rng, shop.popularity, n) for _ in range(MAX_LINES)])
    order = np.argsort(shop.list_price)
    cheap, dear = order[: len(order) // 6], order[-len(order) // 3 :]
    for code, goods in ((1, dear), (3, cheap)):
        rows = (basket == code)[:, None] & (rng.random((n, MAX_LINES)) < 0.75)
        sku = np.where(rows, goods[rng.integers(0, len(goods), (n, MAX_LINES))], sku)
    lines = 1 + pick(rng, (0.62, 0.22, 0.10, 0.06), n)
    # Testing a card or catching a launch takes one line.
    lines = np.where((basket == 3) | (basket == 2), 1, lines)
    quantity = (
        1 + (rng.random((n, MAX_LINES)) < 0.12) + (basket == 4)[:, None] * rng.poisson(2.0, (n, MAX_LINES))
    )
    quantity = np.where(np.arange(MAX_LINES) < lines[:, None], quantity, 0)
    sku[:, 0] = np.where(launch >= 0, launch, sku[:, 0])
    return sku.astype(np.int64), quantity.astype(np.int64)


def _fill_up(
    rng: np.random.Generator, shop: Shop, sku: Ints, quantity: Ints, seek: Floats, promo: Bools
) -> None:
    """Bargain seekers add a cheap piece that lifts the total just over a threshold."""
    total = (shop.list_price[sku] * quantity).sum(axis=1)
    lines = np.array(THRESHOLDS)
    above = np.searchsorted(lines, total, side="left")
    target = lines[np.minimum(above, len(lines) - 1)]
    gap = target - total
    free = np.argmin(np.where(quantity > 0, 1, 0), axis=1)
    wants = (
        promo & (rng.random(len(total)) < seek * 0.8) & (gap > 0) & (gap < 90) & (quantity.min(axis=1) == 0)
    )
    order = np.argsort(shop.list_price)
    step = np.searchsorted(shop.list_price[order], gap) + rng.integers(0, 4, len(gap))
    rows = np.flatnonzero(wants)
    sku[rows, free[rows]] = order[np.minimum(step, len(order) - 1)][rows]
    quantity[rows, free[rows]] = 1


def fill_baskets(
    rng: np.random.Generator, shop: Shop, t: Floats, basket: Ints, launch: Ints, seek: Floats, rank: Ints
) -> Baskets:
    """Choose goods and coupons.

    Args:
        rng: The part's random stream.
        shop: Goods and calendar.
        t: float64[N] order times.
        basket: int64[N] index into ``BASKETS``.
        launch: int64[N] a launched SKU, or -1.
        seek: float64[N] 0..1 how much the shopper hunts for promotions.
        rank: int64[N] number of earlier orders of the account.
    """
    n = len(t)
    promo = shop.promo(t)
    sku, quantity = _goods(rng, shop, basket, launch)
    _fill_up(rng, shop, sku, quantity, seek, promo)
    markdown = 1 - np.clip(
        rng.beta(1.2, 14, (n, MAX_LINES)) + promo[:, None] * rng.beta(2, 18, (n, MAX_LINES)), 0, 0.6
    )
    price = np.round(shop.list_price[sku] * markdown, 2)
    list_total = np.round((shop.list_price[sku] * quantity).sum(axis=1), 2)
    paid = np.round((price * quantity).sum(axis=1), 2)
    new = (rank == 0) & (rng.random(n) < 0.30 + 0.55 * seek)
    threshold = promo & (list_total >= THRESHOLDS[0]) & (rng.random(n) < 0.45 + 0.5 * seek)
    other = (rng.random(n) < 0.07 + 0.35 * seek) & ~threshold
    kind = np.column_stack([np.where(new, 0, -1), np.where(threshold, 1, np.where(other, 2, -1))])
    value = np.column_stack(
        [
            np.minimum(paid * 0.45, rng.choice([10.0, 20.0, 30.0], n)),
            np.minimum(paid * 0.3, rng.choice([5.0, 10.0, 20.0, 40.0], n)),
        ]
    )
    value = np.where(kind >= 0, np.round(np.maximum(value, 0.5), 2), 0.0)
    wait = np.exp(rng.normal(10.2 - 2.6 * seek[:, None], 1.6, (n, 2)))
    # Coupons never make an order free: an amount of zero would be a payment that nobody makes.
    amount = np.maximum(0.5, np.round(paid - value.sum(axis=1), 2))
    return Baskets(sku, quantity, price, list_total, amount, kind, value, t[:, None] - wait, promo)
