"""What was sold lately, at any merchant: who bought a SKU and at what price (B130, B135), in memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from threading import Lock

from riskgraph.core.past import DAY_S, PastOrder
from riskgraph.core.timeline import Timeline

PRICES_S = 30 * DAY_S
NEWEST = 200


class Sales:
    """Buyers of 24 h and prices of 30 d by SKU; safe to share between threads.

    Args:
        keep_s: How far behind the newest order a window may still end, in seconds; None keeps
            everything.
    """

    def __init__(self, keep_s: float | None = None) -> None:
        self._keep_s = keep_s
        self._lock = Lock()
        self._buyers: dict[str, Timeline[bytes | None]] = {}
        self._prices: dict[tuple[str, str], Timeline[float]] = {}

    def add(self, past: PastOrder) -> None:
        """Record an order, once per key (the caller sees to that)."""
        keep = math.inf if self._keep_s is None else self._keep_s
        with self._lock:
            for sku, price in past.skus:
                buyers = self._buyers.get(sku)
                if buyers is None:
                    buyers = self._buyers[sku] = Timeline()
                buyers.add(past.at, past.account)
                buyers.forget(past.at - keep - DAY_S)
                if price is not None and price > 0:
                    prices = self._prices.get((sku, past.currency))
                    if prices is None:
                        # Side by side: 200 of them are read at once, and lists of floats lie scattered.
                        prices = self._prices[sku, past.currency] = Timeline(array("d"))
                    prices.add(past.at, math.log(price))
                    prices.forget(past.at - keep - PRICES_S)

    def buyers(self, skus: Iterable[str], since: float, before: float, own: PastOrder | None) -> set[bytes]:
        """Accounts that bought one of the SKUs in ``since <= t < before``."""
        mine = {sku for sku, _ in own.skus} if own is not None else ()
        found: set[bytes | None] = set()
        with self._lock:
            for sku in skus:
                timeline = self._buyers.get(sku)
                if timeline is not None:
                    without = (own.at, own.account) if own is not None and sku in mine else None
                    found.update(timeline.within(since, before, without))
        return {account for account in found if account is not None}

    def log_prices(self, sku: str, currency: str, at: float, own: PastOrder | None) -> list[float]:
        """``ln`` of the unit prices of the newest 200 orders of a SKU in the 30 d before ``at``."""
        price = dict(own.skus).get(sku) if own is not None and own.currency == currency else None
        without = (own.at, math.log(price)) if own is not None and price and price > 0 else None
        with self._lock:
            timeline = self._prices.get((sku, currency))
            return timeline.within(at - PRICES_S, at, without, NEWEST) if timeline is not None else []
