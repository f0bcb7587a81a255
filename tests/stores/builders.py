"""Orders and outcomes for tests, with short names for entities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.history import MemoryHistory
from riskgraph.core.order import Coupon, Entities, Item, Order, order_key
from riskgraph.core.outcome import Outcome

NOW = 1_790_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
# Nodes: one whose value stays with its order, and one whose time is over before.
NEEDED = next(n.id for n in catalog() if n.retention_class != "optional" and n.form.value == "number")
OPTIONAL = next(n.id for n in catalog() if n.retention_class == "optional" and n.form.value == "number")
_ENTITIES = ("account", "device", "card", "address", "phone")


def digest(kind: str, name: str | None) -> bytes | None:
    return None if name is None else f"{kind}:{name}".encode().ljust(16, b".")


def an_order(order_id: str = "now", ago: float = 0.0, **given: Any) -> Order:
    """An order of account ``ann`` at merchant ``m`` placed ``ago`` seconds before NOW."""
    names = {kind: given.pop(kind, "ann" if kind == "account" else None) for kind in _ENTITIES}
    who = Entities(
        **{kind: digest(kind, name) for kind, name in names.items()},
        **{
            key: given.pop(key)
            for key in ("card_bin", "bands", "phone_class", "address_normality")
            if key in given
        },
    )
    facts: dict[str, Any] = {
        "merchant_id": "m",
        "order_id": order_id,
        "channel_code": "web",
        "placed_at": NOW - ago,
        "amount": 100.0,
        "currency": "CNY",
        "jurisdiction": "CN",
        "entities": who,
    }
    return Order(**facts | given)


def an_outcome(order_id: str, kind: str, ago: float = 0.0, **given: Any) -> Outcome:
    """An outcome of that order, effective and reported ``ago`` seconds before NOW."""
    facts: dict[str, Any] = {
        "outcome_id": f"{order_id}-{kind}",
        "order_key": order_key(given.pop("merchant", "m"), "web", order_id),
        "kind": kind,
        "effective_at": NOW - ago,
        "reported_at": NOW - ago,
    }
    return Outcome(**facts | given)


def history_of(*facts: Order | Outcome, keep_s: float | None = None) -> MemoryHistory:
    history = MemoryHistory(keep_s)
    for fact in facts:
        if isinstance(fact, Order):
            history.add_order(fact)
        else:
            history.add_outcome(fact)
    return history


def sold(*skus: str, released_ago: float | None = None) -> tuple[Item, ...]:
    released = None if released_ago is None else NOW - released_ago
    return tuple(Item(sku, price=9.0, released_at=released) for sku in skus)


def coupon(code: str, claimed_ago: float | None = None, **given: Any) -> Coupon:
    claimed = None if claimed_ago is None else NOW - claimed_ago
    return Coupon(code.encode(), claimed_at=claimed, **given)


def attempt(order: Order, number: int, later: float) -> Order:
    return replace(order, attempt=number, placed_at=order.placed_at + later)
