"""One order with its earlier orders, read once each, as the node functions see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from riskgraph.core.history import HISTORY_LIMIT, History
from riskgraph.core.order import Order
from riskgraph.core.past import DAY_S, PastOrder

if TYPE_CHECKING:
    from riskgraph.core.context_ring import Ring


class View:
    """An order, and what was known strictly before it was placed."""

    __slots__ = ("_earlier", "_kinds", "at", "history", "key", "order", "own", "ring")

    def __init__(self, order: Order, history: History) -> None:
        self.order = order
        self.history = history
        self.at = order.placed_at
        self.key = order.key
        self.own, self._earlier = history.read(order)
        self._kinds: dict[str, list[frozenset[str]]] = {}
        self.ring: Ring | None = None

    def earlier(self, kind: str) -> Sequence[PastOrder]:
        """The newest 200 earlier orders that share the entity of that kind, newest first."""
        return self._earlier.get(kind, ())

    def within(self, kind: str, days: float) -> Sequence[PastOrder]:
        """Those of the last ``days``."""
        rows = self.earlier(kind)
        since = self.at - days * DAY_S
        if not rows or rows[-1].at >= since:
            return rows
        return [p for p in rows if p.at >= since]

    def recent(self, kind: str, digest: bytes, days: float) -> Sequence[PastOrder]:
        """The newest 200 earlier orders of any entity, as far as they lie in the last ``days``."""
        if getattr(self.order.entities, kind) == digest:
            return self.within(kind, days)
        return self.history.newest(kind, digest, self.at - days * DAY_S, self.at, self.own)

    def is_hub(self, kind: str, digest: bytes) -> bool:
        """Whether the entity is on more than 500 earlier orders."""
        if getattr(self.order.entities, kind) == digest and len(self.earlier(kind)) < HISTORY_LIMIT:
            return False
        return self.history.is_hub(kind, digest, self.at, self.own)

    def at_door(self) -> Sequence[PastOrder]:
        """The newest 200 earlier orders to the address or to one that is spelled alike."""
        rows = self.earlier("address")
        others = self.history.alike(self.order)
        if not others:
            return rows
        found = list(rows)
        for address in others:
            theirs = self.history.newest("address", address, -math.inf, self.at, self.own)
            # Bands that only a later order brought were not known then.
            found += [p for p in theirs if p.bands]
        return sorted(found, key=lambda p: (p.at, p.key), reverse=True)[:HISTORY_LIMIT]

    def kinds(self, kind: str) -> list[frozenset[str]]:
        """Of each earlier order, the kinds of its outcomes known now."""
        rows = self._kinds.get(kind)
        if rows is None:
            at = self.at
            rows = self._kinds[kind] = [p.kinds(at) for p in self.earlier(kind)]
        return rows

    def having(self, kind: str, *kinds: str) -> list[PastOrder]:
        """Earlier orders with a known outcome of one of the kinds, newest first; mostly there are none."""
        found = self.kinds(kind)
        wanted = {known for known in set(found) if not known.isdisjoint(kinds)}
        if not wanted:
            return []
        return [p for p, known in zip(self.earlier(kind), found, strict=True) if known in wanted]

    @property
    def guest(self) -> bool:
        return self.order.entities.account is None
