"""Computed nodes that read what other accounts did: at the merchant, and over shared entities."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter, mul
from typing import Any

from riskgraph.core.context_view import View
from riskgraph.core.history import HISTORY_LIMIT
from riskgraph.core.past import BAD_LINK_KINDS, DAY_S, PastOrder, is_fraud
from riskgraph.core.spread import median_and_mad

_MIN_CARDS = 10
_MIN_SLOTS = 7
_MIN_PRICES = 20
_HOUR_S = 3600.0
_GUEST = frozenset({None})
_digests = attrgetter(*BAD_LINK_KINDS)
_SHARED_KINDS = ("card", "address", "phone")


def bin_concentration(v: View) -> float | None:
    """B068."""
    if v.order.entities.card_bin is None:
        return None
    same, cards = v.history.cards_last_hour(v.order, v.own)
    return same / cards if cards >= _MIN_CARDS else None


def sku_minute_density(v: View) -> int | None:
    """B089."""
    return v.history.sku_orders_last_minute(v.order, v.own) if v.order.items else None


def reroute_request_count(v: View) -> int | None:
    """B116."""
    if not v.earlier("address") or not v.history.merchant_reports(v.order.merchant_id, "reroute", v.at):
        return None
    since = v.at - 180 * DAY_S
    return sum(
        o.kind == "reroute" and since <= o.effective_at <= v.at
        for past in v.having("address", "reroute")
        for o in past.known(v.at)
    )


@lru_cache(maxsize=32)
def _slope_weights(n: int) -> tuple[float, ...]:
    """Weights whose dot product with n values at 0, 1, ... is their least-squares slope."""
    middle = (n - 1) / 2
    square = sum((i - middle) ** 2 for i in range(n))
    return tuple((i - middle) / square for i in range(n))


def merchant_ramp_profile(v: View) -> float | None:
    """B129, per day."""
    counts = v.history.daily_orders(v.order.merchant_id, v.at, v.own)
    if len(counts) < _MIN_SLOTS:
        return None
    weights = _slope_weights(len(counts))
    slope: float = sum(map(mul, weights, map(math.log1p, counts)))
    return slope


def fanout(v: View, kind: str) -> dict[str, float] | None:
    """B131 to B133. The fraud share is over all orders of 180 days, labelled or not.

    B132 takes spellings with at least 13 of 16 equal bands for the same address.
    """
    if getattr(v.order.entities, kind) is None:
        return None
    rows = v.at_door() if kind == "address" else v.earlier(kind)
    recent = rows[: _reach(rows, v.at, 180 * DAY_S)]
    month = recent[: _reach(recent, v.at, 30 * DAY_S)]
    day = month[: _reach(month, v.at, DAY_S)]
    value: dict[str, float] = {
        "accounts_24h": len({p.account for p in day} - _GUEST),
        "accounts_30d": len({p.account for p in month} - _GUEST),
        "orders_1h": _reach(day, v.at, _HOUR_S),
        "orders_30d": len(month),
    }
    if rows:
        value["days_since_last"] = (v.at - rows[0].at) / DAY_S
    if recent:
        value["fraud_share"] = sum([is_fraud(p, v.at) for p in recent]) / len(recent)
    return value


def _reach(rows: Sequence[PastOrder], at: float, seconds: float) -> int:
    """How many of the rows, newest first, are at most so old."""
    if not rows or at - rows[-1].at <= seconds:
        return len(rows)
    return bisect_right(rows, seconds, key=lambda past: at - past.at)


def address_perturbation(v: View) -> float | None:
    """B112; 0 as well where no delivery cell was sent, since no other address is known to lie in it."""
    return v.history.door_similarity(v.order, v.own) if v.order.entities.bands else None


def price_outlier_ratio(v: View) -> float | None:
    """B130, within the order's currency; the item whose price is farthest off counts."""
    found = 0.0
    compared = False
    for item in v.order.items:
        if item.price is None or item.price <= 0:
            continue
        logs = v.history.log_prices(item.sku, v.order.currency, v.at, v.own)
        if len(logs) < _MIN_PRICES:
            continue
        middle, mad = median_and_mad(logs)
        z = (math.log(item.price) - middle) / max(1.4826 * mad, 0.02)
        found = z if not compared or abs(z) > abs(found) else found
        compared = True
    return found if compared else None


def cobuy_sync_ratio(v: View) -> dict[str, float] | None:
    """B135, at any merchant; of this order's hashes the newest 200 earlier orders of 180 d count."""
    if not v.order.items:
        return None
    shares: dict[str, float] = {}
    me = v.order.entities.account
    linked = {p.account for kind in _SHARED_KINDS for p in v.within(kind, 180)}
    for name, others in zip(("share_24h", "share_10m"), v.history.buyers(v.order, v.own), strict=True):
        others -= {me, None}
        if not others:
            break
        shares[name] = len(others & linked) / len(others)
    return shares or None


def known_bad_hops(v: View) -> str:
    """B136; an entity counts by its newest 200 orders when the second hop is followed."""
    history, at = v.history, v.at

    def bad(kind: str, digest: bytes) -> bool:
        return history.fraud_linked(kind, digest, at, v.key) and not history.is_hub(kind, digest, at, v.own)

    who = v.order.entities
    mine = {(k, d) for k in BAD_LINK_KINDS if (d := getattr(who, k)) is not None}
    if any(bad(kind, digest) for kind, digest in mine):
        return "1"
    theirs: set[tuple[bytes | None, ...]] = set()
    for kind, digest in mine:
        rows = v.within(kind, 365)
        if len(rows) == HISTORY_LIMIT and history.is_hub(kind, digest, at, v.own):
            continue
        theirs.update(map(_digests, rows))
    beyond = {link for digests in theirs for link in zip(BAD_LINK_KINDS, digests, strict=True)} - mine
    return "2" if any(bad(kind, digest) for kind, digest in beyond if digest is not None) else "3+"


LINKED_NODES: dict[str, Callable[[View], Any]] = {
    "B068": bin_concentration,
    "B089": sku_minute_density,
    "B112": address_perturbation,
    "B116": reroute_request_count,
    "B129": merchant_ramp_profile,
    "B130": price_outlier_ratio,
    "B131": lambda v: fanout(v, "device"),
    "B132": lambda v: fanout(v, "address"),
    "B133": lambda v: fanout(v, "card"),
    "B135": cobuy_sync_ratio,
    "B136": known_bad_hops,
}
