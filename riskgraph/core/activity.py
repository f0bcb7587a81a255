"""What happens at a merchant by the minute, hour and day (B068, B089, B129), held in memory.

Every answer is for an instant and counts only what was placed strictly before it, so orders may
arrive late and out of order. Windows include their lower end: ``at - length <= t < at``.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from operator import itemgetter
from threading import Lock
from typing import TypeVar

import numpy as np

from riskgraph.core.order import Order
from riskgraph.core.past import DAY_S, PastOrder

HOUR_S = 3600.0
MINUTE_S = 60.0
RAMP_SLOTS = 28
_DAYS_BACK = DAY_S * np.arange(RAMP_SLOTS, -1.0, -1.0)
_PRUNE_ABOVE = 4096
_Row = tuple[float, bytes, str | None]
_K = TypeVar("_K")
_at = itemgetter(0)


class _CardWindow:
    """Counts over a window of rows sorted by time; moving it costs only what enters or leaves."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self.low = self.high = 0
        self.cards: Counter[bytes] = Counter()
        self.with_bin: Counter[tuple[str, bytes]] = Counter()
        self.per_bin: Counter[str] = Counter()

    def insert(self, row: _Row) -> None:
        at = bisect_right(self.rows, row[0], key=_at)
        self.rows.insert(at, row)
        if at < self.low:
            self.low, self.high = self.low + 1, self.high + 1
        elif at < self.high:
            self.high += 1
            self.count((row,))

    def count(self, rows: Iterable[_Row]) -> None:
        for _, card, bin_ in rows:
            self.cards[card] += 1
            if bin_ is not None:
                self.with_bin[bin_, card] += 1
                if self.with_bin[bin_, card] == 1:
                    self.per_bin[bin_] += 1

    def uncount(self, rows: Iterable[_Row]) -> None:
        for _, card, bin_ in rows:
            _less(self.cards, card)
            if bin_ is not None and _less(self.with_bin, (bin_, card)):
                _less(self.per_bin, bin_)

    def move(self, start: float, end: float) -> None:
        low, high = bisect_left(self.rows, start, key=_at), bisect_left(self.rows, end, key=_at)
        if low >= self.high or high <= self.low:
            for counter in (self.cards, self.with_bin, self.per_bin):
                counter.clear()
            self.count(self.rows[low:high])
        else:
            self.count(self.rows[low : self.low])
            self.count(self.rows[self.high : high])
            self.uncount(self.rows[self.low : low])
            self.uncount(self.rows[high : self.high])
        self.low, self.high = low, high

    def prune(self, before: float) -> None:
        cut = min(bisect_left(self.rows, before, key=_at), self.low)
        if cut > _PRUNE_ABOVE:
            del self.rows[:cut]
            self.low, self.high = self.low - cut, self.high - cut


def _less(counter: Counter[_K], key: _K) -> bool:
    """Count down; True when nothing is left."""
    counter[key] -= 1
    if counter[key]:
        return False
    del counter[key]
    return True


def _no_times() -> array[float]:
    return array("d")


def _put(times: array[float], at: float) -> None:
    if not times or times[-1] <= at:
        times.append(at)
    else:
        insort(times, at)


def _prune(times: array[float], before: float) -> None:
    if len(times) > _PRUNE_ABOVE and times[len(times) // 2] < before:
        del times[: bisect_left(times, before)]


class MerchantActivity:
    """Recent orders of every merchant; safe to share between threads.

    Args:
        keep_s: How long the short windows are kept behind the newest order, in seconds; the daily
            counts are kept 28 days longer. None keeps everything (replay).
    """

    def __init__(self, keep_s: float | None = None) -> None:
        self._keep_s = keep_s
        self._lock = Lock()
        self._cards: defaultdict[str, _CardWindow] = defaultdict(_CardWindow)
        self._skus: defaultdict[tuple[str, str], array[float]] = defaultdict(_no_times)
        self._times: defaultdict[str, array[float]] = defaultdict(_no_times)
        self._first: dict[str, float] = {}
        self._firsts: array[float] = array("d")

    def add(self, past: PastOrder) -> None:
        """Record an order, once per key (the caller sees to that)."""
        with self._lock:
            _put(self._times[past.merchant], past.at)
            self.set_first(past.merchant, past.at)
            for sku, _ in past.skus:
                _put(self._skus[past.merchant, sku], past.at)
            if past.card is not None:
                self._cards[past.merchant].insert((past.at, past.card, past.card_bin))
            if self._keep_s is not None:
                self._forget(past, past.at - self._keep_s)

    def first(self, merchant: str) -> float | None:
        """When the merchant's first order was placed."""
        return self._first.get(merchant)

    def set_first(self, merchant: str, at: float) -> None:
        """The time of a merchant's first order, where the order itself is not kept here."""
        known = self._first.get(merchant)
        if known is None or at < known:
            if known is not None:
                self._firsts.remove(known)
            self._first[merchant] = at
            _put(self._firsts, at)

    def merchants_before(self, at: float, own: PastOrder | None) -> int:
        """Merchants with an order before ``at``, without the order itself."""
        with self._lock:
            count = bisect_left(self._firsts, at)
            return count - (own is not None and own.at < at and self._first_without(own, at) >= at)

    def _first_without(self, own: PastOrder, at: float) -> float:
        """The merchant's first order if ``own`` is left out; ``at`` if there is none."""
        first, times = self._first[own.merchant], self._times.get(own.merchant)
        if own.at == first and times and times[0] == first:
            return times[1] if len(times) > 1 else at
        return first

    def _forget(self, past: PastOrder, before: float) -> None:
        _prune(self._times[past.merchant], before - (RAMP_SLOTS + 1) * DAY_S)
        for sku, _ in past.skus:
            _prune(self._skus[past.merchant, sku], before)
        window = self._cards.get(past.merchant)
        if window is not None:
            window.prune(before)

    def cards(self, order: Order, own: PastOrder | None) -> tuple[int, int]:
        """Distinct cards with this order's BIN and all distinct cards in 60 min, this included."""
        who, at = order.entities, order.placed_at
        with self._lock:
            window = self._cards.get(order.merchant_id) or _CardWindow()
            window.move(at - HOUR_S, at)
            seen = own is not None and own.card is not None and at - HOUR_S <= own.at < at
            before = ((own.at, own.card, own.card_bin),) if seen and own and own.card else ()
            window.uncount(before)
            same, cards = window.per_bin.get(who.card_bin or "", 0), len(window.cards)
            if who.card is not None:
                same += who.card_bin is not None and (who.card_bin, who.card) not in window.with_bin
                cards += who.card not in window.cards
            window.count(before)
        return same, cards

    def sku_orders(self, order: Order, own: PastOrder | None) -> int:
        """Most orders in 60 s with one of this order's SKUs, this one included; 0 without SKUs."""
        at, start = order.placed_at, order.placed_at - MINUTE_S
        own_skus = {sku for sku, _ in own.skus} if own and start <= own.at < at else set()
        most = 0
        with self._lock:
            for sku in {item.sku for item in order.items}:
                times = self._skus.get((order.merchant_id, sku))
                count = bisect_left(times, at) - bisect_left(times, start) if times else 0
                most = max(most, count + 1 - (sku in own_skus))
        return most

    def daily(self, merchant: str, at: float, own: PastOrder | None) -> list[int]:
        """Orders in each complete 24 h slot counted back from ``at``, at most 28, oldest first."""
        with self._lock:
            times = self._times.get(merchant, array("d"))
            if merchant not in self._first:
                return []
            first = self._first_without(own, at) if own is not None else self._first[merchant]
            slots = min(RAMP_SLOTS, int((at - first) // DAY_S))
            if slots < 1:
                return []
            edges = at - _DAYS_BACK[-slots - 1 :]
            # The view is gone with its line: an array that is looked at cannot grow.
            ranks = np.frombuffer(times).searchsorted(edges).tolist() if times else [0] * (slots + 1)
        counts = [later - sooner for sooner, later in pairwise(ranks)]
        if own is not None and edges[0] <= own.at < at:
            counts[int(edges.searchsorted(own.at, "right")) - 1] -= 1
        return counts
