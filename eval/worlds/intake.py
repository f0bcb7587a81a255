"""A piece of NDJSON becomes columns of a world; every body is parsed by the parser that serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid, RiskgraphError
from riskgraph.core.order import Coupon, Order, parse_order, parse_outcome
from riskgraph.core.outcome import Outcome
from riskgraph.core.subgraph import ABSENCE_CAUSES, OrderSubgraph, State
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.ndjson import Body, Piece, checked, no_cycles
from riskgraph.eval.worlds.node_arrays import Unfit, node_arrays
from riskgraph.eval.worlds.schema import ENTITY_COLUMNS, PURPOSE_COLUMNS, order_types, outcome_types

_INDEX = {key: node.index for key, node in catalog().by_key.items()}
_NOT_DELIVERED = bytes([State.NOT_DELIVERED]) * NODE_COUNT


class _Unhashed(Door):
    """A door that derives nothing: a body is only checked here, and hashing takes no part in that."""

    def digest(self, kind: str, text: str) -> bytes:
        return b""

    def address(self, text: str) -> tuple[bytes, tuple[int, ...]]:
        return b"", ()

    def phone(self, text: str) -> bytes:
        return b""

    def network(self, text: str) -> bytes:
        return b""

    def phone_class(self, text: str, jurisdiction: str) -> str:
        return ""


_DOOR = _Unhashed(b"checks only, nothing is hashed".ljust(32, b"."))


@dataclass
class Kinds:
    """Whether each entity kind is raw or opaque, and where that was seen first."""

    seen: dict[str, tuple[str, str]] = field(default_factory=dict)

    def note(self, kind: str, word: str, where: str) -> None:
        """Take one order's word for a kind.

        Raises:
            Invalid: If an earlier order said otherwise; one world cannot mix both.
        """
        if self.seen.setdefault(kind, (word, where))[0] != word:
            raise Invalid(f"{where}: entity {kind} is {word} here and not elsewhere", field=f"{where}:opaque")

    def note_body(self, body: Mapping[str, Any], where: str) -> None:
        opaque = body.get("opaque") or ()
        for kind, text in (body.get("entities") or {}).items():
            if text and kind in ENTITY_COLUMNS:
                self.note(kind, "opaque" if kind in opaque else "raw", where)


@dataclass
class OrderPiece:
    """Columns of the orders of one piece.

    Attributes:
        places: ``file:line`` of each order.
    """

    columns: dict[str, Any]
    kinds: Kinds
    places: list[str]


@no_cycles()
def read_orders(piece: Piece) -> OrderPiece:
    """Check and convert the decision bodies of a piece.

    Raises:
        RiskgraphError: As the service would for the first wrong body, named by file and line.
    """
    kinds = Kinds()
    places: list[str] = []
    bodies: list[Body] = []
    orders: list[Order] = []
    try:
        for where, body in piece.bodies():
            orders.append(checked(where, _parse, body))
            places.append(where)
            bodies.append(body)
            kinds.note_body(body, where)
    except RiskgraphError:
        # The first wrong body is the one to name, and an earlier one may hold wrong node values.
        _nodes(orders, places)
        raise
    nodes = _nodes(orders, places)
    columns = {name: _array(name, values) for name, values in _order_columns(orders, bodies).items()}
    return OrderPiece(columns | nodes, kinds, places)


def _parse(body: Mapping[str, Any]) -> Order:
    return parse_order(body, _DOOR)


def _nodes(orders: list[Order], places: list[str]) -> dict[str, Any]:
    try:
        return node_arrays([order.signals for order in orders])
    except Unfit:
        for where, order in zip(places, orders, strict=True):
            checked(where, lambda body: OrderSubgraph.build(body, {}), dict(order.signals))
        raise


def _array(name: str, values: list[Any]) -> Any:
    pa, kind = arrow(), order_types()[name]
    if pa.types.is_timestamp(kind):
        return stamps(values)
    return pa.array(values, kind)


def stamps(seconds: list[float | None]) -> Any:
    """Arrow timestamps in microseconds, UTC, from epoch seconds."""
    pa = arrow()
    given = np.array(seconds, dtype=np.float64)
    missing = np.isnan(given)
    micros = np.rint(np.where(missing, 0.0, given) * 1e6).astype(np.int64)
    return pa.array(micros, mask=missing).cast(pa.timestamp("us", "UTC"))


def _micros(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def _order_columns(orders: list[Order], bodies: list[Body]) -> dict[str, list[Any]]:
    """Facts as they were sent, not as they default: what is missing must stay missing."""
    ships = [body.get("ship_to") or {} for body in bodies]
    entities = [body.get("entities") or {} for body in bodies]
    consents = [body.get("consent") or {} for body in bodies]
    granted = [order.consent.purposes for order in orders]
    pairs = list(zip(entities, granted, strict=True))
    sent = ("merchant_id", "order_id", "channel_code", "attempt", "phase", "jurisdiction", "lang")
    return {
        **{name: [b.get(name) for b in bodies] for name in (*sent, "region", "line", "recipient")},
        "placed_at": [o.placed_at for o in orders],
        "utc_offset_s": [_offset(o, b) for o, b in zip(orders, bodies, strict=True)],
        "amount_value": [o.amount for o in orders],
        "amount_currency": [o.currency for o in orders],
        "list_total": [o.list_total for o in orders],
        "items": [_items(o, b) for o, b in zip(orders, bodies, strict=True)],
        "coupons": [_coupons(o.coupons, b) for o, b in zip(orders, bodies, strict=True)],
        "promo_thresholds": [_thresholds(b.get("promo_thresholds")) for b in bodies],
        "account_created_at": [o.account_created_at for o in orders],
        "ship_region": [s.get("region") for s in ships],
        "ship_lat": [_real(s.get("lat")) for s in ships],
        "ship_lon": [_real(s.get("lon")) for s in ships],
        **{kind: [e.get(kind) for e in entities] for kind in (*ENTITY_COLUMNS, "card_bin")},
        "device": [e.get("device") if g.get("device") else None for e, g in pairs],
        **{column: [g.get(purpose) for g in granted] for purpose, column in PURPOSE_COLUMNS.items()},
        "objected": [consent.get("objected") for consent in consents],
        "absence": [_states(o, b) for o, b in zip(orders, bodies, strict=True)],
    }  # fmt: skip


def _real(value: Any) -> float | None:
    return None if value is None else float(value)


def _offset(order: Order, body: Body) -> int | None:
    # RFC 9557: Z tells the moment and leaves the local offset open, +00:00 tells it.
    return None if body["placed_at"][-1] in "Zz" else order.utc_offset_s


def _items(order: Order, body: Body) -> list[Body] | None:
    if "items" not in body:
        return None
    return [
        {"sku": item.sku, "category": item.category, "quantity": raw.get("quantity"), "price": item.price,
         "list_price": item.list_price, "released_at": _micros(item.released_at)}
        for item, raw in zip(order.items, body["items"] or (), strict=True)
    ]  # fmt: skip


def _coupons(coupons: tuple[Coupon, ...] | None, body: Body) -> list[Body] | None:
    if coupons is None:
        return None
    return [
        {"code": raw["code"], "kind": raw.get("kind"), "value": None if raw.get("value") is None else c.value,
         "claimed_at": _micros(c.claimed_at)}
        for c, raw in zip(coupons, body["coupons"] or (), strict=True)
    ]  # fmt: skip


def _thresholds(raw: Any) -> list[float] | None:
    return None if raw is None else [float(value) for value in raw or () if value is not None]


def _states(order: Order, body: Body) -> bytes | None:
    told = body.get("absent")
    if told is None:
        return None
    states = bytearray(_NOT_DELIVERED)
    for key, cause in order.absent.items():
        states[_INDEX[key]] = cause
    # As told, even where consent says more: the consent stands in its own column.
    for key, word in told.items():
        states[_INDEX[key]] = ABSENCE_CAUSES[word]
    for key in order.signals:
        states[_INDEX[key]] = State.PRESENT
    return bytes(states)


@no_cycles()
def read_outcomes(piece: Piece) -> dict[str, Any]:
    """Columns of the outcome bodies of a piece; a reason or source that is free text is dropped.

    Raises:
        RiskgraphError: As the service would for the first wrong body, named by file and line.
    """
    bodies: list[Body] = []
    outcomes: list[Outcome] = []
    for where, body in piece.bodies():
        outcomes.append(checked(where, parse_outcome, body))
        bodies.append(body)
    pa = arrow()
    sent = ("outcome_id", "merchant_id", "channel_code", "order_id", "kind", "reverses")
    columns: dict[str, list[Any]] = {name: [b.get(name) for b in bodies] for name in sent}
    columns |= {"reason": [o.reason for o in outcomes], "source": [o.source for o in outcomes]}
    arrays = {name: pa.array(values, outcome_types()[name]) for name, values in columns.items()}
    return arrays | {
        "effective_at": stamps([o.effective_at for o in outcomes]),
        "reported_at": stamps([o.reported_at for o in outcomes]),
    }
