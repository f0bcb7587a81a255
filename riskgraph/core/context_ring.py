"""B134 and B137: the accounts around an order's own, over shared cards, addresses and phones.

An account's hashes are those of its newest 200 earlier orders of the last 30 d, and of this order for
this order's account. A step leads from an account over one of its hashes to the accounts of that hash's
newest 200 earlier orders of the last 30 d. Hashes on over 500 earlier orders are cut. The set holds at
most 200 other accounts, nearer steps first and then those that were linked last: a locker or a campus
must not cost a decision its time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from riskgraph.core.context_view import View
from riskgraph.core.history import HISTORY_LIMIT
from riskgraph.core.past import PastOrder

RING_KINDS = ("card", "address", "phone")
RING_DAYS = 30.0
_digests = attrgetter(*RING_KINDS)
_STEPS = 2
_MIN_MERCHANTS = 10
_MIN_BUYERS = 5
_MIN_SHARE = 0.8
_Link = tuple[str, bytes]


class Ring:
    """The set of accounts, with their earlier orders of 30 d and their hashes."""

    def __init__(self, view: View, account: bytes) -> None:
        self._view = view
        self._walked: set[_Link] = set()
        self._hubs: dict[_Link, bool] = {}
        self._own = view.order.entities
        self.orders: dict[bytes, Sequence[PastOrder]] = {}
        self._hashes: dict[bytes, set[_Link]] = {}
        self._join(account)
        self._hashes[account] |= {link for link in self._own.items() if link[0] in RING_KINDS}
        reached = [account]
        for _ in range(_STEPS):
            reached = self._step(reached)
            for other in reached:
                self._join(other)

    def _join(self, account: bytes) -> None:
        rows = self._view.recent("account", account, RING_DAYS)
        self.orders[account] = rows
        self._hashes[account] = hashes = set[_Link]()
        for digests in set(map(_digests, rows)):
            hashes.update((k, d) for k, d in zip(RING_KINDS, digests, strict=True) if d is not None)

    def _step(self, reached: Iterable[bytes]) -> list[bytes]:
        newest: dict[bytes, float] = {}
        for link in {link for account in reached for link in self._hashes[account]} - self._walked:
            self._walked.add(link)
            # Counting a hub's orders is quick, and reading 200 of them is not.
            if self._cut(link):
                continue
            for past in self._view.recent(*link, RING_DAYS):
                account = past.account
                if account is not None and account not in self.orders:
                    newest[account] = max(past.at, newest.get(account, past.at))
        room = HISTORY_LIMIT + 1 - len(self.orders)
        return sorted(newest, key=lambda account: (-newest[account], account))[:room]

    def _cut(self, link: _Link) -> bool:
        if link not in self._hubs:
            self._hubs[link] = self._view.is_hub(*link)
        return self._hubs[link]

    def shared(self) -> dict[_Link, list[int]]:
        """Positions of the accounts of each hash that several of the set have; this account is 0."""
        users: dict[_Link, list[int]] = {}
        for number, links in enumerate(self._hashes.values()):
            for link in links:
                users.setdefault(link, []).append(number)
        return {link: who for link, who in users.items() if len(who) > 1 and not self._cut(link)}


def ring_of(v: View) -> Ring | None:
    """The set around the order's account, found once; None for guests."""
    account = v.order.entities.account
    if v.ring is None and account is not None:
        v.ring = Ring(v, account)
    return v.ring


def shared_entity_density(v: View) -> dict[str, float] | None:
    """B134."""
    ring = ring_of(v)
    if ring is None:
        return None
    size = len(ring.orders)
    if size == 1:
        return {"density": 0.0, "component_size_log2": 0.0, "shared_kinds": 0}
    linked, shared = [0] * size, ring.shared()
    for who in shared.values():
        mask = sum(1 << number for number in who)
        for number in who:
            linked[number] |= mask
    ends = sum(mask.bit_count() - 1 for mask in linked if mask)
    return {
        "density": ends / (size * (size - 1)),
        "component_size_log2": math.log2(size),
        "shared_kinds": len({kind for (kind, _), who in shared.items() if who[0] == 0}),
    }


def buyer_merchant_ring(v: View) -> bool | None:
    """B137."""
    if v.guest or v.history.merchants_before(v.at, v.own) < _MIN_MERCHANTS:
        return None
    ring = ring_of(v)
    if ring is None:
        return None
    rows = [past for orders in ring.orders.values() for past in orders]
    here = [past.account for past in rows if past.merchant == v.order.merchant_id]
    return len(set(here)) >= _MIN_BUYERS and len(here) >= _MIN_SHARE * len(rows)


RING_NODES: dict[str, Callable[[View], Any]] = {
    "B134": shared_entity_density,
    "B137": buyer_merchant_ring,
}
