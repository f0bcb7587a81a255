"""The shared-entity nodes once more, slowly and literally from the catalogue's definitions.

``past`` are the orders on record, each once, in order of arrival; the order itself is not among them.
"""

from __future__ import annotations

import math
from itertools import combinations
from statistics import median

from riskgraph.core.past import is_fraud

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
HASHES = ("card", "address", "phone")


def newest(order, past, match, days=math.inf, limit=200):
    """The newest earlier orders that match, newest first; of equal times the later arrival first."""
    rows = [(p.at, number, p) for number, p in enumerate(past) if p.at < order.placed_at and match(p)]
    chosen = [p for _, _, p in sorted(rows, reverse=True)[:limit]]
    return [p for p in chosen if p.at >= order.placed_at - days * DAY]


def having(kind, digest):
    return lambda p: getattr(p, kind) == digest


def hub(order, past, kind, digest):
    return len(newest(order, past, having(kind, digest), limit=10**9)) > 500


def own_hashes(order):
    who = order.entities
    return {(kind, getattr(who, kind)) for kind in HASHES if getattr(who, kind) is not None}


def account_hashes(order, past, account):
    rows = newest(order, past, having("account", account), 30)
    found = {(kind, getattr(p, kind)) for p in rows for kind in HASHES if getattr(p, kind) is not None}
    return found | (own_hashes(order) if account == order.entities.account else set())


def account_set(order, past):
    me = order.entities.account
    found, step = [me], [me]
    for _ in range(2):
        last = {}
        for kind, digest in {link for account in step for link in account_hashes(order, past, account)}:
            if hub(order, past, kind, digest):
                continue
            for p in newest(order, past, having(kind, digest), 30):
                if p.account is not None and p.account not in found:
                    last[p.account] = max(p.at, last.get(p.account, p.at))
        step = sorted(last, key=lambda account: (-last[account], account))[: 201 - len(found)]
        found += step
    return found


def b134(order, past):
    me = order.entities.account
    if me is None:
        return None
    accounts = account_set(order, past)
    hashes = {
        a: {link for link in account_hashes(order, past, a) if not hub(order, past, *link)} for a in accounts
    }
    pairs = list(combinations(accounts, 2))
    linked = sum(bool(hashes[a] & hashes[b]) for a, b in pairs)
    kinds = {kind for a in accounts if a != me for kind, _ in hashes[a] & hashes[me]}
    return {
        "density": linked / len(pairs) if pairs else 0.0,
        "component_size_log2": math.log2(len(accounts)),
        "shared_kinds": len(kinds),
    }


def b137(order, past):
    if order.entities.account is None or len({p.merchant for p in past if p.at < order.placed_at}) < 10:
        return None
    accounts = account_set(order, past)
    rows = [p for a in accounts for p in newest(order, past, having("account", a), 30)]
    here = [p for p in rows if p.merchant == order.merchant_id]
    return len({p.account for p in here}) >= 5 and len(here) >= 0.8 * len(rows)


def similarity(a, b):
    return sum(x == y for x, y in zip(a, b, strict=True)) / len(a) if a and b else 0.0


def b132(order, past):
    """A spelling is similar when at least 0.8 of its MinHash bands are equal."""
    who = order.entities
    if who.address is None:
        return None

    def to_it(p):
        same = p.address == who.address
        return p.address is not None and (same or similarity(p.bands, who.bands) >= 0.8)

    rows = newest(order, past, to_it)

    def accounts(age):
        return {p.account for p in rows if p.account is not None and order.placed_at - p.at <= age}

    value = {
        "accounts_24h": len(accounts(DAY)),
        "accounts_30d": len(accounts(30 * DAY)),
        "orders_1h": sum(order.placed_at - p.at <= HOUR for p in rows),
        "orders_30d": sum(order.placed_at - p.at <= 30 * DAY for p in rows),
    }
    recent = [p for p in rows if order.placed_at - p.at <= 180 * DAY]
    if rows:
        value["days_since_last"] = (order.placed_at - rows[0].at) / DAY
    if recent:
        value["fraud_share"] = sum(is_fraud(p, order.placed_at) for p in recent) / len(recent)
    return value


def b112(order, past):
    who = order.entities
    if not who.bands:
        return None
    rows = newest(order, past, lambda p: p.cell == order.cell, 180, limit=10**9) if order.cell else []
    return max(
        (
            similarity(p.bands, who.bands)
            for p in rows
            if p.address not in (None, who.address) and p.account not in (None, who.account)
        ),
        default=0.0,
    )


def b135(order, past):
    skus = {item.sku for item in order.items}
    shares = {}
    rows = [p for kind, digest in own_hashes(order) for p in newest(order, past, having(kind, digest), 180)]
    linked = {p.account for p in rows}
    for name, seconds in (("share_10m", 600), ("share_24h", DAY)):
        buyers = {
            p.account
            for p in past
            if order.placed_at - seconds <= p.at < order.placed_at and skus & {sku for sku, _ in p.skus}
        } - {None, order.entities.account}
        if buyers:
            shares[name] = len(buyers & linked) / len(buyers)
    return shares or None


def b130(order, past):
    found = []
    for item in order.items:
        if not item.price or item.price <= 0:
            continue

        def sold(p, sku=item.sku):
            return p.currency == order.currency and any(s == sku and x and x > 0 for s, x in p.skus)

        logs = [math.log(dict(p.skus)[item.sku]) for p in newest(order, past, sold, 30)]
        if len(logs) >= 20:
            middle = median(logs)
            spread = median([abs(x - middle) for x in logs])
            found.append((math.log(item.price) - middle) / max(1.4826 * spread, 0.02))
    return min(max(max(found, key=abs), -10.0), 10.0) if found else None


LITERAL = {"B112": b112, "B130": b130, "B132": b132, "B134": b134, "B135": b135, "B137": b137}
