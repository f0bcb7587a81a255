"""Random streams of orders and outcomes in a small shop where entities collide often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from riskgraph.core.order import Coupon, Entities, Item, Order
from riskgraph.core.outcome import KINDS, Outcome
from tests.stores.builders import DAY, HOUR, NOW, digest

REASONS = (None, "quality", "refund_only", "something_else")


def spelling(door: int, variant: int) -> tuple[int, ...]:
    """MinHash bands of a door's spelling; variants of one door share most of them."""
    bands = [door * 100 + i for i in range(16)]
    for i in range(variant):
        bands[(door + 5 * i) % 16] += 50 + variant
    return tuple(bands)


def random_order(chance: Random, number: int, at: float) -> Order:
    def some(kind: str, of: int) -> bytes | None:
        return digest(kind, str(chance.randrange(of))) if chance.random() < 0.85 else None

    price = chance.choice((5.0, 20.0, 80.0, 0.0))
    where = some("address", 6)
    raw = where is not None and chance.random() < 0.8
    codes = [chance.randrange(6) for _ in range(chance.randrange(3))]
    return Order(
        merchant_id=f"m{chance.randrange(3)}",
        order_id=f"o{number if chance.random() < 0.9 else chance.randrange(number + 1)}",
        channel_code="web",
        placed_at=at,
        amount=price,
        currency=chance.choice(("CNY", "EUR")),
        jurisdiction="CN",
        entities=Entities(
            account=some("account", 5),
            device=some("device", 6),
            card=some("card", 40),
            card_bin=chance.choice(("622848", "400000", None)),
            address=where,
            phone=some("phone", 8),
            bands=spelling(where[8] // 3, where[8] % 3) if raw and where else (),
        ),
        attempt=chance.randint(1, 3),
        list_total=chance.choice((None, price, price * 1.5 + 1)),
        items=tuple(Item(f"s{chance.randrange(4)}", price=price) for _ in range(chance.randrange(3))),
        coupons=tuple(
            Coupon(str(c).encode(), value=1.0, claimed_at=at - chance.randrange(7200)) for c in codes
        ),
        account_created_at=at - chance.randrange(400) * DAY,
        recipient=chance.choice((None, "same", "other")),
        ship_region=chance.choice((None, "330000", "DE")),
        cell=(300 + chance.randrange(3), 1200 + chance.randrange(40)) if chance.random() < 0.9 else None,
    )


def crowded_order(
    chance: Random, number: int, at: float, people: int = 12, doors: int = 3, spellings: int = 5
) -> Order:
    """An order of a shop where accounts share doors, cards and phones, and many merchants sell."""
    order = random_order(chance, number, at)
    door, variant = chance.randrange(doors), chance.randrange(spellings)

    def some(kind: str, of: int) -> bytes | None:
        return digest(kind, str(chance.randrange(of))) if chance.random() < 0.9 else None

    who = replace(
        order.entities,
        account=some("account", people),
        card=some("card", 2 * people),
        phone=some("phone", 2 * people),
        address=digest("address", f"{door}.{variant}"),
        bands=spelling(door, variant) if chance.random() < 0.9 else (),
    )
    price = chance.choice((8.0, 9.0, 10.0, 300.0))
    items = tuple(Item(f"s{chance.randrange(3)}", price=price) for _ in range(chance.randrange(3)))
    merchant = "m0" if chance.random() < 0.6 else f"m{chance.randrange(14)}"
    cell = (300, 1200 + door) if chance.random() < 0.9 else None
    return replace(order, merchant_id=merchant, entities=who, items=items, cell=cell)


def random_outcome(chance: Random, number: int, order: Order, until: float) -> Outcome:
    effective = order.placed_at + chance.random() * 30 * DAY
    return Outcome(
        outcome_id=f"x{number}",
        order_key=order.key,
        kind=chance.choice(KINDS),
        effective_at=effective,
        reported_at=max(effective, until - chance.random() * 60 * DAY),
        reason=chance.choice(REASONS),
        reverses=f"x{chance.randrange(number + 1)}" if chance.random() < 0.1 else None,
    )


def random_stream(
    seed: int,
    length: int,
    span_s: float = 60 * DAY,
    make: Callable[[Random, int, float], Order] = random_order,
) -> list[Order | Outcome]:
    """Orders in nearly time order (some late, some attempts of earlier ones) and their outcomes."""
    chance = Random(seed)
    at, orders = NOW - span_s, []
    stream: list[Order | Outcome] = []
    for number in range(length):
        # Bursts, so that hours and minutes fill up, and pauses of days between them.
        at += 20 * span_s / length if chance.random() < 0.05 else chance.choice((0.0, 10.0, 60.0))
        late = chance.random() * 3 * HOUR if chance.random() < 0.1 else 0.0
        order = make(chance, number, at - late)
        orders.append(order)
        stream.append(order)
        if chance.random() < 0.6:
            stream.append(random_outcome(chance, number, chance.choice(orders), at))
    return stream
