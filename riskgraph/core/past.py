"""What is kept of an order for the contexts of later ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from riskgraph.core.order import Order
from riskgraph.core.outcome import FRAUD_KINDS, Outcome, known_outcomes

LINK_KINDS = ("account", "device", "card", "address", "phone")
BAD_LINK_KINDS = ("account", "card", "address", "phone")
DAY_S = 86_400.0
# Every set of kinds there is, once: few differ, and one object each stays at hand where millions would not.
_KINDS: dict[frozenset[str], frozenset[str]] = {}
_NOTHING: tuple[int, float, frozenset[str]] = (0, -math.inf, frozenset())


@dataclass(slots=True, eq=False)
class PastOrder:
    """What is kept of an order for the contexts of later ones; entities are keyed hashes.

    Attributes:
        at: ``placed_at``, epoch seconds UTC.
        amount: In ``currency``, as is ``list_total``.
        cell: The 0.1 degree delivery cell.
        bands: Keyed MinHash bands of the delivery address.
        coupons: ``(code hash, claimed_at or None)``.
        skus: ``(sku, unit price or None)``, each sku once.
        outcomes: Every outcome on record, whenever reported; readers apply their own cut-off. Further
            ones are appended, none is ever taken away.
    """

    key: str
    at: float
    merchant: str
    account: bytes | None
    device: bytes | None
    card: bytes | None
    address: bytes | None
    phone: bytes | None
    card_bin: str | None
    currency: str
    amount: float
    list_total: float | None
    cell: tuple[int, int] | None
    bands: tuple[int, ...]
    coupons: tuple[tuple[bytes, float | None], ...]
    skus: tuple[tuple[str, float | None], ...]
    outcomes: list[Outcome] = field(default_factory=list)
    # How many outcomes there were when last read, since when all of them are reported, and their kinds.
    _settled: tuple[int, float, frozenset[str]] = field(default=_NOTHING, init=False)

    @classmethod
    def of(cls, order: Order) -> PastOrder:
        """The facts of an order that later contexts may need."""
        who = order.entities
        return cls(
            key=order.key,
            at=order.placed_at,
            merchant=order.merchant_id,
            account=who.account,
            device=who.device,
            card=who.card,
            address=who.address,
            phone=who.phone,
            card_bin=who.card_bin,
            currency=order.currency,
            amount=order.amount,
            list_total=order.list_total,
            cell=order.cell,
            bands=who.bands,
            coupons=tuple((c.code, c.claimed_at) for c in order.coupons or ()),
            skus=tuple({item.sku: item.price for item in order.items}.items()),
        )

    def kinds(self, at: float) -> frozenset[str]:
        """Kinds of the outcomes known at ``at``; most orders are settled, and need no further look."""
        count, since, kinds = self._settled
        if count != len(self.outcomes):
            count, since, kinds = self._settled = _settle(tuple(self.outcomes))
        return kinds if at >= since else frozenset([o.kind for o in self.known(at)])

    def known(self, at: float) -> list[Outcome]:
        """Outcomes reported by ``at`` and not reversed by then."""
        return known_outcomes(self.outcomes, at)

    @property
    def promoted(self) -> bool:
        """Bought with a coupon or at least 20 % below list (B107)."""
        if self.coupons:
            return True
        return bool(self.list_total) and discount(self.list_total, self.amount) >= 0.2

    def links(self, kinds: Iterable[str] = LINK_KINDS) -> Iterator[tuple[str, bytes]]:
        """``(kind, digest)`` of the entities under which the order can be found."""
        for kind in kinds:
            digest = getattr(self, kind)
            if digest is not None:
                yield kind, digest


def _settle(outcomes: tuple[Outcome, ...]) -> tuple[int, float, frozenset[str]]:
    since = max(o.reported_at for o in outcomes)
    kinds = frozenset([o.kind for o in known_outcomes(outcomes, since)])
    return len(outcomes), since, _KINDS.setdefault(kinds, kinds)


# What makes an order what it is, in the order that its constructor takes; the rest follows.
FACTS = tuple(f.name for f in fields(PastOrder) if f.init)


def discount(list_total: float | None, amount: float) -> float:
    """Share of the list total that was not charged; 0 without a list total."""
    return (list_total - amount) / list_total if list_total else 0.0


def is_fraud(past: PastOrder, at: float) -> bool:
    """Whether the order carries a fraud label that was reported by ``at``."""
    return not FRAUD_KINDS.isdisjoint(past.kinds(at))


def merchant_of(order_key: str) -> str:
    """The merchant's id, the first part of an order key."""
    return order_key.partition("|")[0]
