"""What was sold lately, at any merchant: who bought a SKU and at what price (B130, B135), in memory."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from threading import Lock

from riskgraph.core.past import DAY_S, PastOrder
from riskgraph.core.timeline import Window

PRICES_S = 30 * DAY_S
MINUTES_S = 600.0
NEWEST = 200


class _Buyers(Window[bytes | None]):
    """Who bought a SKU, with the number of orders of each account."""

    __slots__ = ("orders",)

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[bytes | None, int] = {}

    def enter(self, value: bytes | None) -> None:
        self.orders[value] = self.orders.get(value, 0) + 1

    def leave(self, value: bytes | None) -> None:
        self.orders[value] -= 1
        if not self.orders[value]:
            del self.orders[value]


class _Prices(Window[float]):
    """Prices of a SKU; side by side, since lists of floats lie scattered."""

    __slots__ = ("sorted",)

    def __init__(self) -> None:
        super().__init__(array("d"))
        self.sorted: list[float] = []

    def enter(self, value: float) -> None:
        insort(self.sorted, value)

    def leave(self, value: float) -> None:
        del self.sorted[bisect_left(self.sorted, value)]


class Sales:
    """Buyers of 24 h and prices of 30 d by SKU; safe to share between threads.

    Args:
        keep_s: How far behind the newest order a window may still end, in seconds; None keeps
            everything.
    """

    def __init__(self, keep_s: float | None = None) -> None:
        self._keep_s = keep_s
        self._lock = Lock()
        self._buyers: dict[str, _Buyers] = {}
        self._prices: dict[tuple[str, str], _Prices] = {}

    def add(self, past: PastOrder) -> None:
        """Record an order, once per key (the caller sees to that)."""
        keep = math.inf if self._keep_s is None else self._keep_s
        with self._lock:
            for sku, price in past.skus:
                buyers = self._buyers.get(sku)
                if buyers is None:
                    buyers = self._buyers[sku] = _Buyers()
                buyers.add(past.at, past.account)
                buyers.forget(past.at - keep - DAY_S)
                if price is not None and price > 0:
                    prices = self._prices.get((sku, past.currency))
                    if prices is None:
                        prices = self._prices[sku, past.currency] = _Prices()
                    prices.add(past.at, math.log(price))
                    prices.forget(past.at - keep - PRICES_S)

    def buyers(
        self, skus: Iterable[str], at: float, own: PastOrder | None
    ) -> tuple[set[bytes | None], set[bytes | None]]:
        """Accounts, None for guests, that bought a SKU in the 24 h, and in the 10 min, before ``at``."""
        mine = {sku for sku, _ in own.skus} if own is not None else ()
        day: set[bytes | None] = set()
        minutes: set[bytes | None] = set()
        with self._lock:
            for sku in skus:
                buyers = self._buyers.get(sku)
                if buyers is None:
                    continue
                without = (own.at, own.account) if own is not None and sku in mine else None
                if without is None:
                    buyers.cover(at - DAY_S, at)
                    day.update(buyers.orders)
                else:
                    day.update(buyers.within(at - DAY_S, at, without))
                minutes.update(buyers.within(at - MINUTES_S, at, without))
        return day, minutes

    def log_prices(self, sku: str, currency: str, at: float, own: PastOrder | None) -> list[float]:
        """``ln`` of the unit prices of the newest 200 orders of a SKU in the 30 d before ``at``, sorted."""
        price = dict(own.skus).get(sku) if own is not None and own.currency == currency else None
        without = (own.at, math.log(price)) if own is not None and price and price > 0 else None
        with self._lock:
            prices = self._prices.get((sku, currency))
            if prices is None:
                return []
            if without is not None:
                return sorted(prices.within(at - PRICES_S, at, without, NEWEST))
            prices.cover(at - PRICES_S, at, NEWEST)
            return prices.sorted.copy()
