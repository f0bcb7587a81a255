"""The other orders behind one order's entities, as of now, for people to look at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.outcome import FRAUD_KINDS, known_outcomes
from riskgraph.core.past import LINK_KINDS, PastOrder

NAME_LENGTH = 8
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class LinkedEntity:
    """An entity of the order.

    Attributes:
        kind: One of ``LINK_KINDS``.
        name: The first eight hex digits of its keyed hash.
        orders: All its orders, this one among them.
        hidden: Those of them that are drawn neither as this order nor as another.
    """

    kind: str
    name: str
    orders: int
    hidden: int

    @property
    def hub(self) -> bool:
        """Over 500 orders, as in the catalogue's definitions: a count, no edges."""
        return self.orders > HUB_ORDERS


@dataclass(frozen=True, slots=True)
class LinkedOrder:
    """An order that shares an entity with the one looked at; ``name`` is a digest of its key.

    Attributes:
        at: ``placed_at``, epoch seconds UTC.
        fraud: A fraud outcome stands, whenever it was reported.
        verdict: Of its newest decision; None for an order that was only loaded.
        shares: Kinds of the shared entities, in the order of ``LINK_KINDS``.
    """

    name: str
    at: float
    amount: float
    currency: str
    fraud: bool
    verdict: str | None
    shares: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrderLinks:
    """One order, its entities, and the newest other orders behind them, the newest first."""

    order: LinkedOrder
    entities: tuple[LinkedEntity, ...]
    orders: tuple[LinkedOrder, ...]


def short_name(order_key: str) -> str:
    """What a picture calls an order: a digest of its key, which holds the shop's own number."""
    return hashlib.sha256(order_key.encode()).hexdigest()[:NAME_LENGTH]


def order_links(
    own: PastOrder,
    counts: Mapping[str, int],
    found: Iterable[PastOrder],
    verdicts: Callable[[list[str]], Mapping[str, str]],
    most: int,
) -> OrderLinks:
    """Put together what a store found.

    Args:
        own: The order looked at.
        counts: Orders of each of its entities, by kind.
        found: Newest orders of each of its entities; those of hubs are left out here.
        verdicts: Verdicts by order key, of the orders that were decided.
        most: How many other orders are named; the newest, and those that share most before them.
    """
    links = dict(own.links())
    plain = {kind: digest for kind, digest in links.items() if counts[kind] <= HUB_ORDERS}
    others = {past.key: past for past in found if past.key != own.key}
    shares = {key: _shares(past, plain) for key, past in others.items()}
    ranked = sorted(
        (past for past in others.values() if shares[past.key]),
        key=lambda past: (len(shares[past.key]), past.at, past.key),
        reverse=True,
    )[:most]
    drawn = sorted(ranked, key=lambda past: (past.at, past.key), reverse=True)
    told = verdicts([own.key, *(past.key for past in drawn)])
    entities = tuple(
        LinkedEntity(
            kind, digest.hex()[:NAME_LENGTH], counts[kind],
            counts[kind] - 1 - sum(kind in shares[past.key] for past in drawn),
        )
        for kind, digest in links.items()
    )  # fmt: skip
    linked = tuple(_linked(past, told.get(past.key), shares[past.key]) for past in drawn)
    return OrderLinks(_linked(own, told.get(own.key), LINK_KINDS), entities, linked)


def _shares(past: PastOrder, links: Mapping[str, bytes]) -> tuple[str, ...]:
    return tuple(kind for kind, digest in links.items() if getattr(past, kind) == digest)


def _linked(past: PastOrder, verdict: str | None, shares: tuple[str, ...]) -> LinkedOrder:
    kinds = {outcome.kind for outcome in known_outcomes(past.outcomes, FOREVER)}
    fraud = not FRAUD_KINDS.isdisjoint(kinds)
    return LinkedOrder(short_name(past.key), past.at, past.amount, past.currency, fraud, verdict, shares)
