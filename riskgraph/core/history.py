"""Earlier orders as a context reads them, and a history held in memory.

A context never reads more than the newest 200 earlier orders of an entity. Attempts and phases of
one order count once: the first one recorded stands, later ones change nothing here.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Protocol

from riskgraph.core.activity import MerchantActivity
from riskgraph.core.order import Order
from riskgraph.core.outcome import FRAUD_KINDS, Outcome
from riskgraph.core.past import BAD_LINK_KINDS, DAY_S, PastOrder, is_fraud, merchant_of
from riskgraph.core.sales import Sales
from riskgraph.core.spelling import Doors, Spellings

HISTORY_LIMIT = 200
HUB_ORDERS = 500
# The longest windows held in memory: B112 looks back 180 d, all others at most 30 d.
LONGEST_S = 180 * DAY_S
MONTH_S = 30 * DAY_S
FRAUD_S = 365 * DAY_S
REASON = "reason"
_at = attrgetter("at")


class History(Protocol):
    """What a context reads. ``own`` is the order itself as first recorded, never part of its history."""

    def read(self, order: Order) -> tuple[PastOrder | None, Mapping[str, Sequence[PastOrder]]]:
        """An earlier attempt or phase of the order, as first recorded, and by kind its entities' history.

        That is, of each entity, at most 200 orders placed strictly before, newest first.
        """

    def newest(
        self, kind: str, digest: bytes, since: float, before: float, own: PastOrder | None
    ) -> Sequence[PastOrder]:
        """Those of an entity's newest 200 orders before ``before`` that ``since`` reaches, newest first."""

    def alike(self, order: Order) -> Sequence[bytes]:
        """Other addresses with at least 0.8 of the MinHash bands of the order's, whenever used."""

    def door_similarity(self, order: Order, own: PastOrder | None) -> float:
        """The largest share of bands that another account's other address in the cell has, 180 d."""

    def buyers(self, order: Order, own: PastOrder | None) -> tuple[set[bytes | None], set[bytes | None]]:
        """Accounts, None for guests, that bought a SKU of the order in 24 h and in 10 min, any merchant."""

    def log_prices(self, sku: str, currency: str, at: float, own: PastOrder | None) -> list[float]:
        """``ln`` unit price of a SKU's newest 200 orders in the 30 d before ``at``, any merchant, sorted."""

    def is_hub(self, kind: str, digest: bytes, before: float, own: PastOrder | None) -> bool:
        """Whether more than 500 orders of an entity were placed before ``before``."""

    def cards_last_hour(self, order: Order, own: PastOrder | None) -> tuple[int, int]:
        """Distinct cards at the merchant in 60 min: with this order's BIN, and all; this included."""

    def sku_orders_last_minute(self, order: Order, own: PastOrder | None) -> int:
        """Most orders at the merchant in 60 s with one of this order's SKUs, this included."""

    def daily_orders(self, merchant: str, at: float, own: PastOrder | None) -> list[int]:
        """Orders in each complete 24 h slot counted back from ``at``, at most 28, oldest first."""

    def fraud_linked(self, kind: str, digest: bytes, at: float, skip: str) -> bool:
        """Whether an order of the last 365 d of an entity has a fraud label reported by ``at``."""

    def merchants_before(self, at: float, own: PastOrder | None) -> int:
        """Merchants with an order before ``at``."""

    def merchant_reports(self, merchant: str, kind: str, at: float) -> bool:
        """Whether the merchant had reported outcomes of a kind, or any ``reason``, by ``at``."""


class ReportTimes:
    """When each merchant first reported an outcome of each kind, or one with a reason."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], float] = {}

    def add(self, outcome: Outcome) -> None:
        """Take note of one outcome."""
        merchant = merchant_of(outcome.order_key)
        self.set_first(merchant, outcome.kind, outcome.reported_at)
        if outcome.reason:
            self.set_first(merchant, REASON, outcome.reported_at)

    def set_first(self, merchant: str, kind: str, at: float) -> None:
        """Keep the earliest time, whatever the order of arrival."""
        known = self._first.get((merchant, kind))
        if known is None or at < known:
            self._first[merchant, kind] = at

    def reported(self, merchant: str, kind: str, at: float) -> bool:
        """Whether anything of that kind was reported by ``at``."""
        first = self._first.get((merchant, kind))
        return first is not None and first <= at


class FraudLinks:
    """Orders that ever had a fraud outcome, by the hashes that B136 follows."""

    def __init__(self) -> None:
        self._orders: dict[str, PastOrder] = {}
        self._links: dict[tuple[str, bytes], list[PastOrder]] = {}

    def add(self, past: PastOrder) -> None:
        """Index an order with a fraud outcome, or refresh the outcomes of one that is indexed."""
        known = self._orders.get(past.key)
        if known is not None:
            known.outcomes = past.outcomes
            return
        if not any(o.kind in FRAUD_KINDS for o in past.outcomes):
            return
        self._orders[past.key] = past
        for link in past.links(BAD_LINK_KINDS):
            self._links.setdefault(link, []).append(past)

    def orders(self, kind: str, digest: bytes) -> Sequence[PastOrder]:
        """Of an entity, the orders that ever had a fraud outcome."""
        return tuple(self._links.get((kind, digest), ()))

    def linked(self, kind: str, digest: bytes, at: float, skip: str) -> bool:
        """See :meth:`History.fraud_linked`."""
        rows = self._links.get((kind, digest))
        return rows is not None and any_fraud(tuple(rows), at, skip)


def any_fraud(orders: Iterable[PastOrder], at: float, skip: str) -> bool:
    """Whether one of the last 365 d has a fraud label reported by ``at``, the order ``skip`` aside."""
    since = at - FRAUD_S
    return any(since <= p.at < at and p.key != skip and is_fraud(p, at) for p in orders)


class IndexedHistory:
    """The part of a history that lives in memory in every store.

    Args:
        keep_s: How far behind the newest order windows may still end, in seconds; None keeps
            everything.
    """

    def __init__(self, keep_s: float | None = None) -> None:
        self.activity = MerchantActivity(keep_s)
        self.sales = Sales(keep_s)
        self.doors = Doors(keep_s)
        self.frauds = FraudLinks()
        self.reports = ReportTimes()

    def replace(self, fresh: IndexedHistory) -> None:
        """Take another's place in all windows, as after an erasure; a context being read keeps its own."""
        self.activity, self.sales, self.doors = fresh.activity, fresh.sales, fresh.doors
        self.frauds, self.reports = fresh.frauds, fresh.reports

    def note(self, past: PastOrder) -> None:
        """Record an order in all windows, once per key (the caller sees to that)."""
        self.activity.add(past)
        self.sales.add(past)
        self.doors.add(past)

    def cards_last_hour(self, order: Order, own: PastOrder | None) -> tuple[int, int]:
        """See :class:`History`."""
        return self.activity.cards(order, own)

    def sku_orders_last_minute(self, order: Order, own: PastOrder | None) -> int:
        """See :class:`History`."""
        return self.activity.sku_orders(order, own)

    def daily_orders(self, merchant: str, at: float, own: PastOrder | None) -> list[int]:
        """See :class:`History`."""
        return self.activity.daily(merchant, at, own)

    def door_similarity(self, order: Order, own: PastOrder | None) -> float:
        """See :class:`History`."""
        return self.doors.similarity(order, own)

    def buyers(self, order: Order, own: PastOrder | None) -> tuple[set[bytes | None], set[bytes | None]]:
        """See :class:`History`."""
        return self.sales.buyers({item.sku for item in order.items}, order.placed_at, own)

    def log_prices(self, sku: str, currency: str, at: float, own: PastOrder | None) -> list[float]:
        """See :class:`History`."""
        return self.sales.log_prices(sku, currency, at, own)

    def fraud_linked(self, kind: str, digest: bytes, at: float, skip: str) -> bool:
        """See :class:`History`."""
        return self.frauds.linked(kind, digest, at, skip)

    def merchants_before(self, at: float, own: PastOrder | None) -> int:
        """See :class:`History`."""
        return self.activity.merchants_before(at, own)

    def merchant_reports(self, merchant: str, kind: str, at: float) -> bool:
        """See :class:`History`."""
        return self.reports.reported(merchant, kind, at)


class MemoryHistory(IndexedHistory):
    """A history held in memory, for replaying worlds and for tests. For use by one thread.

    Args:
        keep_s: See :class:`IndexedHistory`; orders and spellings are always kept.
    """

    def __init__(self, keep_s: float | None = None) -> None:
        super().__init__(keep_s)
        self._spellings = Spellings()
        self._orders: dict[str, PastOrder] = {}
        # Outcomes of orders that are not on record yet.
        self._early: dict[str, list[Outcome]] = {}
        self._entities: dict[tuple[str, bytes], list[PastOrder]] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def add_order(self, order: Order) -> None:
        """Record an order; a further attempt or phase of a recorded one changes nothing."""
        if order.key in self._orders:
            return
        past = PastOrder.of(order)
        past.outcomes = self._early.pop(past.key, past.outcomes)
        self._orders[past.key] = past
        for link in past.links():
            rows = self._entities.get(link)
            if rows is None:
                self._entities[link] = [past]
            elif rows[-1].at <= past.at:
                rows.append(past)
            else:
                rows.insert(bisect_right(rows, past.at, key=_at), past)
        self._spellings.add(past.address, past.bands)
        self.note(past)
        if past.outcomes:
            self.frauds.add(past)

    def add_outcome(self, outcome: Outcome) -> bool:
        """Record an outcome once; False if the order already has one of that id."""
        past = self._orders.get(outcome.order_key)
        rows = self._early.setdefault(outcome.order_key, []) if past is None else past.outcomes
        if outcome.outcome_id in [o.outcome_id for o in rows]:
            return False
        rows.append(outcome)
        self.reports.add(outcome)
        if past is not None and outcome.kind in FRAUD_KINDS:
            self.frauds.add(past)
        return True

    def read(self, order: Order) -> tuple[PastOrder | None, Mapping[str, Sequence[PastOrder]]]:
        """See :class:`History`."""
        own = self._orders.get(order.key)
        at = order.placed_at
        return own, {
            kind: self.newest(kind, digest, -math.inf, at, own) for kind, digest in order.entities.items()
        }

    def alike(self, order: Order) -> Sequence[bytes]:
        """See :class:`History`."""
        who = order.entities
        return self._spellings.find(who.address, who.bands) if who.address is not None else ()

    def newest(
        self, kind: str, digest: bytes, since: float, before: float, own: PastOrder | None
    ) -> Sequence[PastOrder]:
        """See :class:`History`."""
        rows = self._entities.get((kind, digest))
        if rows is None or rows[-1].at < since:
            return ()
        end = len(rows) if rows[-1].at < before else bisect_left(rows, before, key=_at)
        start = max(0, end - HISTORY_LIMIT - (own is not None))
        if start < end and rows[start].at < since:
            start = bisect_left(rows, since, start, end, key=_at)
        tail = rows[start:end]
        tail.reverse()
        return tail if own is None else [p for p in tail if p is not own][:HISTORY_LIMIT]

    def is_hub(self, kind: str, digest: bytes, before: float, own: PastOrder | None) -> bool:
        """See :class:`History`."""
        rows = self._entities.get((kind, digest), ())
        if len(rows) <= HUB_ORDERS:
            return False
        count = bisect_left(rows, before, key=_at)
        if own is not None and own.at < before and getattr(own, kind) == digest:
            count -= 1
        return count > HUB_ORDERS
