"""What is kept of an order for the contexts of later ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from riskgraph.core.order import Order
from riskgraph.core.outcome import FRAUD_KINDS, Outcome, label_at

LINK_KINDS = ("account", "device", "card", "address", "phone")
BAD_LINK_KINDS = ("account", "card", "address", "phone")
DAY_S = 86_400.0


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
        outcomes: Every outcome on record, whenever reported; readers apply their own cut-off.
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


def discount(list_total: float | None, amount: float) -> float:
    """Share of the list total that was not charged; 0 without a list total."""
    return (list_total - amount) / list_total if list_total else 0.0


def is_fraud(past: PastOrder, at: float) -> bool:
    """Whether the order carries a fraud label that was reported by ``at``."""
    for outcome in past.outcomes:
        if outcome.kind in FRAUD_KINDS and outcome.reported_at <= at:
            return label_at(past.outcomes, at) == 1
    return False


def merchant_of(order_key: str) -> str:
    """The merchant's id, the first part of an order key."""
    return order_key.partition("|")[0]
