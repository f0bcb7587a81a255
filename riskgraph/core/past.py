"""What is kept of an order for the contexts of later ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import accumulate
from operator import attrgetter

from riskgraph.core.order import Order
from riskgraph.core.outcome import FRAUD_KINDS, Outcome, known_outcomes

LINK_KINDS = ("account", "device", "card", "address", "phone")
BAD_LINK_KINDS = ("account", "card", "address", "phone")
DAY_S = 86_400.0
# When outcomes were reported, rising, and the kinds known with none, one, … all of them reported.
_Steps = tuple[tuple[float, ...], tuple[frozenset[str], ...]]
_NOTHING: _Steps = (), (frozenset(),)
_reported = attrgetter("reported_at")


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
    # Of the outcomes that there were when last asked.
    _steps: _Steps = field(default=_NOTHING, init=False)

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
        """Kinds of the outcomes known at ``at``."""
        times, kinds = self._steps
        if len(times) != len(self.outcomes):
            times, kinds = self._steps = _steps_of(sorted(self.outcomes, key=_reported))
        return kinds[bisect_right(times, at)]

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


def _steps_of(outcomes: list[Outcome]) -> _Steps:
    times = tuple([o.reported_at for o in outcomes])
    if not any([o.reverses for o in outcomes]):
        return times, _growing(tuple([o.kind for o in outcomes]))
    known = [frozenset([o.kind for o in known_outcomes(outcomes, at)]) for at in times]
    return times, (frozenset(), *known)


@lru_cache(maxsize=4096)
def _growing(kinds: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """What is known after each of the kinds, before the first too; few orders differ in that."""
    return tuple(accumulate(kinds, lambda known, kind: known | {kind}, initial=frozenset[str]()))


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
