"""Computed nodes that read the account's own earlier orders."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from riskgraph.core.context_view import View
from riskgraph.core.history import REASON
from riskgraph.core.outcome import FRAUD_KINDS
from riskgraph.core.past import DAY_S, PastOrder, is_fraud
from riskgraph.core.spread import median_and_mad

_EARTH_KM = 6371.0088
_KM_BANDS = ((5.0, "km0"), (50.0, "km5"), (200.0, "km50"), (1000.0, "km200"))
_REASONS = ("quality", "not_received", "wrong_item", "no_reason", "refund_only")
_YEAR = 365.0
_HALF_YEAR = 180.0


def distinct_cards_24h(v: View) -> int | None:
    """B067."""
    card = v.order.entities.card
    if v.guest or card is None:
        return None
    return len({p.card for p in v.within("account", 1) if p.card is not None} | {card})


def amount_vs_history(v: View) -> float | None:
    """B069; orders of amount 0 have no logarithm and are left out."""
    o = v.order
    logs = [
        math.log(p.amount) for p in v.within("account", _YEAR) if p.currency == o.currency and p.amount > 0
    ]
    if len(logs) < 5 or o.amount <= 0:
        return None
    middle, mad = median_and_mad(sorted(logs))
    return (math.log(o.amount) - middle) / max(1.4826 * mad, 0.1)


def inter_order_interval(v: View) -> float | None:
    """B088, in seconds; the cap is the upper bound of the range."""
    rows = v.earlier("account")
    return v.at - rows[0].at if rows else None


def order_periodicity_index(v: View) -> float | None:
    """B091."""
    gaps = _gaps(v.at, v.within("account", 90)[:19])
    mean = sum(gaps) / len(gaps) if gaps else 0.0
    if len(gaps) < 4 or mean == 0:
        return None
    deviation = math.sqrt(sum((g - mean) ** 2 for g in gaps) / len(gaps))
    return max(0.0, 1 - deviation / mean)


def new_device_first_login(v: View) -> bool | None:
    """B095."""
    device = v.order.entities.device
    seen = {p.device for p in v.within("account", _YEAR) if p.device is not None}
    return device not in seen if device is not None and seen else None


def order_history_rhythm(v: View) -> float | None:
    """B099, in days."""
    gaps = _gaps(v.at, v.earlier("account")[:5])
    return max(gaps) / DAY_S if gaps else None


def payer_consignee_relation(v: View) -> str | None:
    """B100."""
    o = v.order
    if o.recipient != "other":
        return o.recipient
    address, phone = o.entities.address, o.entities.phone
    for p in v.within("account", _YEAR):
        same = (address is not None and p.address == address) or (phone is not None and p.phone == phone)
        if same and not is_fraud(p, v.at):
            return "known"
    return "new"


def coupon_claim_velocity(v: View) -> int | None:
    """B101: a window of 60 minutes that ends at each claim in turn."""
    mine = [(c.claimed_at, c.code) for c in v.order.coupons or () if c.claimed_at is not None]
    if not mine:
        return None
    rows = [(at, code) for p in v.earlier("account") for code, at in p.coupons if at is not None]
    claims = sorted(row for row in {*mine, *rows} if v.at - DAY_S <= row[0] <= v.at)
    times = [at for at, _ in claims]
    most = 0
    for i, at in enumerate(times):
        first = bisect_left(times, at - 3600)
        most = max(most, len({code for _, code in claims[first : i + 1]}))
    return most


def promo_only_purchase_share(v: View) -> float | None:
    """B107."""
    rows = v.within("account", _YEAR)
    return sum(p.promoted for p in rows) / len(rows) if len(rows) >= 3 else None


def ship_history_distance_band(v: View) -> str | None:
    """B110, between cell centres; without a frequent cell the newest order's cell stands in."""
    here = v.order.cell
    if here is None:
        return None
    rows = zip(v.within("account", _YEAR), v.kinds("account"), strict=False)
    cells = [p.cell for p, known in rows if p.cell is not None and FRAUD_KINDS.isdisjoint(known)]
    if not cells:
        return None
    frequent = [cell for cell, n in Counter(cells).items() if n >= 2] or cells[:1]
    km = 0.0 if here in frequent else min([cell_distance_km(here, cell) for cell in frequent])
    return next((word for below, word in _KM_BANDS if km < below), "km1000")


def cell_distance_km(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Great-circle distance between the centres of two 0.1 degree cells, in km (haversine)."""
    if a == b:
        return 0.0
    lat_a, lon_a, lat_b, lon_b = [math.radians((tenths + 0.5) / 10) for tenths in (*a, *b)]
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


def address_freshness(v: View) -> float | None:
    """B114, in days."""
    address = v.order.entities.address
    if v.guest or address is None:
        return None
    used = [p.at for p in v.earlier("account") if p.address == address]
    return (v.at - used[-1]) / DAY_S if used else 0.0


def delivery_to_claim_gap(v: View) -> float | None:
    """B119, in hours."""
    gaps = []
    since = v.at - _HALF_YEAR * DAY_S
    for past in v.having("account", "claim", "refund"):
        if past.at < since:
            break
        known = past.known(v.at)
        claimed = [o.effective_at for o in known if o.kind in ("claim", "refund")]
        delivered = [o.effective_at for o in known if o.kind == "delivered"]
        if delivered:
            gaps.append((min(claimed) - min(delivered)) / 3600)
    return median(gaps) if gaps else None


def refund_rate_180d(v: View) -> float | None:
    """B120."""
    if not v.history.merchant_reports(v.order.merchant_id, "refund", v.at):
        return None
    rows = zip(v.within("account", _HALF_YEAR), v.kinds("account"), strict=False)
    paid = [known for _, known in rows if "paid" in known]
    return sum("refund" in known for known in paid) / len(paid) if len(paid) >= 3 else None


def refund_reason_mix(v: View) -> str | None:
    """B121; an outcome without a listed reason counts towards no reason."""
    if v.guest or not v.history.merchant_reports(v.order.merchant_id, REASON, v.at):
        return None
    since = v.at - _HALF_YEAR * DAY_S
    found = [
        o.reason
        for past in v.having("account", "refund", "claim")
        for o in past.known(v.at)
        if o.kind in ("refund", "claim") and o.reported_at >= since
    ]
    if not found:
        return "none"
    reason, count = Counter(found).most_common(1)[0]
    return reason if reason in _REASONS and count > len(found) / 2 else "mixed"


def _gaps(at: float, rows: Iterable[PastOrder]) -> list[float]:
    """Seconds between consecutive orders, from this one backwards."""
    times = [at, *(p.at for p in rows)]
    return [later - sooner for later, sooner in zip(times, times[1:], strict=False)]


ACCOUNT_NODES: dict[str, Callable[[View], Any]] = {
    "B067": distinct_cards_24h,
    "B069": amount_vs_history,
    "B088": inter_order_interval,
    "B091": order_periodicity_index,
    "B095": new_device_first_login,
    "B099": order_history_rhythm,
    "B100": payer_consignee_relation,
    "B101": coupon_claim_velocity,
    "B107": promo_only_purchase_share,
    "B110": ship_history_distance_band,
    "B114": address_freshness,
    "B119": delivery_to_claim_gap,
    "B120": refund_rate_180d,
    "B121": refund_reason_mix,
}
