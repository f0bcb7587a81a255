"""Computed nodes that need nothing but the order itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from riskgraph.core.context_view import View
from riskgraph.core.past import DAY_S, discount
from riskgraph.core.subgraph import State

_RELEASE_WINDOW_MS = 3_600_000.0
_AGE_BANDS = ((1, "d0"), (8, "d1"), (31, "d8"), (181, "d31"), (365, "d181"), (1095, "y1"))
_GB2260 = re.compile(r"[1-8](\d|\d{3}|\d{5})")
_HAN = re.compile(r"[一-鿿]")
_CENT = 0.005


def order_hour_bucket(v: View) -> str:
    """B086, at the order's own UTC offset."""
    hour = int((v.at + v.order.utc_offset_s) % DAY_S // 3600)
    return f"h{hour // 4 * 4:02d}"


def release_to_order_latency(v: View) -> float | None:
    """B087, in milliseconds."""
    gaps = [(v.at - i.released_at) * 1000 for i in v.order.items if i.released_at is not None]
    return min((gap for gap in gaps if 0 <= gap <= _RELEASE_WINDOW_MS), default=None)


def account_age_bucket(v: View) -> str | None:
    """B092; an account made during checkout by a faster clock counts as new."""
    created = v.order.account_created_at
    if created is None or v.guest:
        return None
    days = (v.at - created) // DAY_S
    return next((word for below, word in _AGE_BANDS if days < below), "y3")


def phone_number_class(v: View) -> str | None:
    """B097, classed at the door."""
    return v.order.entities.phone_class


def coupon_stack_depth(v: View) -> int | None:
    """B102; half a cent of rounding is no further promotion."""
    o = v.order
    if o.coupons is None or o.list_total is None:
        return None
    worth = [c.value for c in o.coupons if c.value > 0]
    return len(worth) + (o.list_total - o.amount - sum(worth) > _CENT)


def discount_ratio(v: View) -> float | None:
    """B103."""
    o = v.order
    return min(max(discount(o.list_total, o.amount), 0.0), 1.0) if o.list_total else None


def threshold_gap(v: View) -> float | None:
    """B104."""
    total = v.order.list_total
    if total is None:
        return None
    reached = [t for t in v.order.promo_thresholds if 0 < t <= total]
    return min(1.0, (total - max(reached)) / max(reached)) if reached else None


def first_order_benefit_use(v: View) -> bool | None:
    """B105."""
    coupons = v.order.coupons
    return None if coupons is None else any(c.kind == "new_customer" for c in coupons)


def address_normality(v: View) -> float | State | None:
    """B111; bands without a share mean a text that does not follow China's address form."""
    who = v.order.entities
    if who.address_normality is None and who.bands:
        return State.NOT_APPLICABLE
    return who.address_normality


def ship_region(v: View) -> str | None:
    """B115; a Chinese text that is no GB/T 2260 code tells nothing, any other code is abroad."""
    region = v.order.ship_region
    if region is None or _HAN.search(region):
        return None
    return region[0] if _GB2260.fullmatch(region) else "abroad"


ORDER_NODES: dict[str, Callable[[View], Any]] = {
    "B086": order_hour_bucket,
    "B087": release_to_order_latency,
    "B092": account_age_bucket,
    "B097": phone_number_class,
    "B102": coupon_stack_depth,
    "B103": discount_ratio,
    "B104": threshold_gap,
    "B105": first_order_benefit_use,
    "B111": address_normality,
    "B115": ship_region,
}
