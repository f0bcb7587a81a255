"""Order: parsing of ``POST /v1/decisions`` bodies, and what remains after the door."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, NoReturn

from riskgraph.core.catalog import Form, catalog
from riskgraph.core.door import Door, address_normality, cell_of
from riskgraph.core.errors import Invalid
from riskgraph.core.outcome import KINDS, Outcome
from riskgraph.core.reader import MAX_ITEMS, Reader
from riskgraph.core.sensitive import refuse_sensitive_names
from riskgraph.core.subgraph import ABSENCE_CAUSES, State

JURISDICTIONS = ("CN", "EU", "other")
PHASES = ("pre_auth", "post_auth")
PURPOSES = ("behavior", "motion", "location", "device", "model_training")
OPAQUE_KINDS = ("account", "device", "card", "address", "phone", "ip", "merchant")
POST_AUTH_NODES = ("B064", "B065", "B066", "B070")
COUPON_KINDS = ("new_customer", "threshold", "other")
_GRF_NODES = frozenset(n.id for n in catalog() if n.family == "GRF")
_SDK_NODES = frozenset(n.id for n in catalog() if n.computed_by == "sdk")
_NOTHING = object()
_CURRENCY = re.compile("[A-Z]{3}")
_CARD_BIN = re.compile("[0-9]{6}")
_CODE = re.compile(r"[a-z0-9_]{1,40}")
_SENDABLE = {
    key: node.id
    for key, node in catalog().by_key.items()
    if node.id not in _GRF_NODES and node.form is not Form.CONTEXT
}
_OF_PURPOSE = {
    purpose: tuple(n.id for n in catalog() if n.purpose == purpose)
    for purpose in dict.fromkeys(n.purpose for n in catalog())
    if purpose != "none"
}


@dataclass(frozen=True, slots=True)
class Item:
    sku: str
    category: str | None = None
    quantity: int = 1
    price: float | None = None
    list_price: float | None = None
    released_at: float | None = None


@dataclass(frozen=True, slots=True)
class Coupon:
    """``code`` is a keyed hash; ``value`` in the order's currency; ``claimed_at`` epoch seconds."""

    code: bytes
    kind: str = "other"
    value: float = 0.0
    claimed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Entities:
    """Keyed hashes of the order's entities; nothing raw."""

    account: bytes | None = None
    device: bytes | None = None
    card: bytes | None = None
    card_bin: str | None = None
    address: bytes | None = None
    phone: bytes | None = None
    ip: bytes | None = None
    bands: tuple[int, ...] = ()
    phone_class: str | None = None
    address_normality: float | None = None

    def items(self) -> Iterator[tuple[str, bytes]]:
        """``(kind, digest)`` of the entities that link orders (IP networks do not)."""
        for kind in ("account", "device", "card", "address", "phone"):
            digest = getattr(self, kind)
            if digest is not None:
                yield kind, digest


@dataclass(frozen=True, slots=True)
class Consent:
    """Consent record; a purpose that is missing was never asked for.

    ``objected`` is an objection (GDPR Art. 21; PIPL Art. 44) or a withdrawal of consent (GDPR Art. 7(3);
    PIPL Art. 15): no order of the person enters a later release of training data.
    """

    purposes: Mapping[str, bool] = field(default_factory=dict)
    record_id: str | None = None
    policy_version: str | None = None
    at: str | None = None
    objected: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One order after the door. Money in units of ``currency``, times in epoch seconds UTC."""

    merchant_id: str
    order_id: str
    channel_code: str
    placed_at: float
    amount: float
    currency: str
    jurisdiction: str
    entities: Entities
    placed_text: str = ""
    utc_offset_s: int = 0
    attempt: int = 1
    phase: str = "pre_auth"
    guest: bool = False
    lang: str = "en"
    region: str | None = None
    line: str | None = None
    list_total: float | None = None
    items: tuple[Item, ...] = ()
    coupons: tuple[Coupon, ...] | None = None
    promo_thresholds: tuple[float, ...] = ()
    account_created_at: float | None = None
    recipient: str | None = None
    ship_region: str | None = None
    cell: tuple[int, int] | None = None
    consent: Consent = field(default_factory=Consent)
    session: str | None = None
    signals: Mapping[str, Any] = field(default_factory=dict)
    absent: Mapping[str, State] = field(default_factory=dict)
    timeout_ms: int = 300
    late: bool = False

    @property
    def key(self) -> str:
        """Attempts and phases of one order count as one order everywhere."""
        return order_key(self.merchant_id, self.channel_code, self.order_id)

    @property
    def trace_id(self) -> str:
        return trace_id(self.order_id, self.channel_code, self.placed_at)


def trace_id(order_id: str, channel_code: str, placed_at: float) -> str:
    """``order_id.channel_code.`` + 12 hex of SHA-256 of placed_at in UTC milliseconds."""
    millis = str(round(placed_at * 1000)).encode()
    return f"{order_id}.{channel_code}.{hashlib.sha256(millis).hexdigest()[:12]}"


def trace_of(body: Mapping[str, Any]) -> str | None:
    """The trace id of a body that may be wrong elsewhere; None if it lacks what makes one."""
    read = Reader(body)
    try:
        order, channel = read.text("order_id", required=True), read.text("channel_code", required=True)
        placed = read.stamp("placed_at")
    except Invalid:
        return None
    return None if placed is None else trace_id(order or "", channel or "", placed)


def order_key(merchant_id: str, channel_code: str, order_id: str) -> str:
    return f"{merchant_id}|{channel_code}|{order_id}"


def availability_class(phase: str, delivered: Mapping[str, Any], absent: Mapping[str, State]) -> str:
    """``{phase}/{front_end|refused|no_front_end}``.

    Front end when any sdk node is delivered, else refused when any sdk node is refused.
    """
    if not _SDK_NODES.isdisjoint(delivered):
        return f"{phase}/front_end"
    refused = any(cause is State.REFUSED and key in _SDK_NODES for key, cause in absent.items())
    return f"{phase}/refused" if refused else f"{phase}/no_front_end"


def parse_order(body: Mapping[str, Any], door: Door) -> Order:
    """Validate a decision request and take it through the door.

    Args:
        body: The decoded JSON object.
        door: Keyed hashing; raw identifiers do not outlive this call.

    Raises:
        Invalid: One named field is wrong.
        SensitiveField: A field name asks for special-category data.
    """
    refuse_sensitive_names(body)
    read = Reader(body)
    merchant = read.text("merchant_id", required=True) or ""
    placed = read.time("placed_at", required=True)
    assert placed is not None
    money, amount = _amount(read)
    jurisdiction = read.text("jurisdiction", required=True, words=JURISDICTIONS) or ""
    consent = _consent(read.child("consent"))
    entities = _entities(read, door, consent, jurisdiction)
    signals, absent = parse_signals(read.child("signals"), read.child("absent"), consent)
    offset = placed.utcoffset()
    return Order(
        merchant_id=merchant,
        placed_at=placed.astimezone(UTC).timestamp(),
        placed_text=placed.isoformat(),
        utc_offset_s=int(offset.total_seconds()) if offset else 0,
        jurisdiction=jurisdiction,
        amount=amount,
        entities=entities,
        guest=entities.account is None,
        consent=consent,
        signals=signals,
        absent=absent,
        **_place(read.child("ship_to")),
        **_details(read, money, door),
    )


def _amount(read: Reader) -> tuple[Reader, float]:
    """``amount`` with its value, which may be 0."""
    if "amount" not in read.body:
        raise Invalid("amount is required", field="amount")
    money = read.child("amount")
    amount = money.money("value")
    if amount is None or amount < 0:
        raise Invalid("amount.value is required and not negative", field="amount.value")
    return money, amount


def _place(ship: Reader) -> dict[str, Any]:
    lat, lon = ship.number("lat", -90, 90), ship.number("lon", -180, 180)
    cell = cell_of(lat, lon) if lat is not None and lon is not None else None
    return {"cell": cell, "ship_region": ship.text("region")}


def _currency(money: Reader) -> str:
    code = money.text("currency", required=True) or ""
    if not _CURRENCY.fullmatch(code):
        raise Invalid(
            "amount.currency must be three capitals such as CNY (ISO 4217)", field="amount.currency"
        )
    return code


def _details(read: Reader, money: Reader, door: Door) -> dict[str, Any]:
    """The fields of an order that nothing else in it depends on."""
    return {
        "order_id": read.text("order_id", required=True) or "",
        "channel_code": read.text("channel_code", required=True) or "",
        "attempt": read.integer("attempt", 1, 1000, 1),
        "phase": read.text("phase", words=PHASES) or "pre_auth",
        "lang": read.text("lang") or "en",
        "region": read.text("region"),
        "line": read.text("line"),
        "currency": _currency(money),
        "list_total": read.money("list_total"),
        "items": tuple([_item(row) for row in read.rows("items")]),
        "coupons": _coupons(read, door) if "coupons" in read.body else None,
        "promo_thresholds": _thresholds(read),
        "account_created_at": read.stamp("account_created_at"),
        "recipient": read.text("recipient", words=("same", "other")),
        "session": read.text("session"),
        "timeout_ms": read.integer("timeout_ms", 10, 60_000, 300),
        "late": read.flag("late"),
    }


def _consent(read: Reader) -> Consent:
    raw = read.child("purposes").body
    for key, value in raw.items():
        if key not in PURPOSES or not isinstance(value, bool):
            name = f"consent.purposes.{key}"
            raise Invalid(f"{name} must be true or false and one of {', '.join(PURPOSES)}", field=name)
    version, at = read.text("policy_version"), read.text("at")
    return Consent(dict(raw), read.text("record_id"), version, at, read.flag("objected"))


def _entities(order: Reader, door: Door, consent: Consent, jurisdiction: str) -> Entities:
    read = order.child("entities")
    opaque = order.body.get("opaque") or []
    if not isinstance(opaque, list) or any(kind not in OPAQUE_KINDS for kind in opaque):
        raise Invalid(f"opaque lists entity kinds out of {', '.join(OPAQUE_KINDS)}", field="opaque")
    account = read.text("account")
    if account is None and order.text("guest_key") is None:
        raise Invalid("entities.account or guest_key is required", field="entities.account")
    card_bin = read.text("card_bin")
    if card_bin is not None and not _CARD_BIN.fullmatch(card_bin):
        raise Invalid("entities.card_bin must be 6 digits", field="entities.card_bin")
    device = read.text("device") if consent.purposes.get("device") else None
    card, address = read.text("card"), read.text("address")
    phone, ip = read.text("phone"), read.text("ip")
    raw_address = address if address and "address" not in opaque else None
    where, bands = door.address(raw_address) if raw_address else (None, ())
    raw_phone = phone if phone and "phone" not in opaque else None
    return Entities(
        account=door.digest("account", account) if account else None,
        device=door.digest("device", device) if device else None,
        card=door.digest("card", card) if card else None,
        card_bin=card_bin,
        address=door.digest("address", address) if address and where is None else where,
        phone=(door.phone(phone) if raw_phone else door.digest("phone", phone)) if phone else None,
        ip=(door.digest("ip", ip) if "ip" in opaque else door.network(ip)) if ip else None,
        bands=bands,
        phone_class=door.phone_class(raw_phone, jurisdiction) if raw_phone else None,
        address_normality=address_normality(raw_address) if raw_address else None,
    )


def _item(read: Reader) -> Item:
    return Item(
        sku=read.text("sku", required=True) or "",
        category=read.text("category"),
        quantity=read.integer("quantity", 1, 1_000_000, 1),
        price=read.money("price"),
        list_price=read.money("list_price"),
        released_at=read.stamp("released_at"),
    )


def _coupons(order: Reader, door: Door) -> tuple[Coupon, ...]:
    return tuple(
        Coupon(
            code=door.digest("coupon", read.text("code", required=True) or ""),
            kind=read.text("kind", words=COUPON_KINDS) or "other",
            value=read.money("value") or 0.0,
            claimed_at=read.stamp("claimed_at"),
        )
        for read in order.rows("coupons")
    )


def _thresholds(read: Reader) -> tuple[float, ...]:
    raw = read.body.get("promo_thresholds") or []
    if not isinstance(raw, list) or len(raw) > MAX_ITEMS:
        raise Invalid(f"promo_thresholds must be a list of at most {MAX_ITEMS}", field="promo_thresholds")
    rows = [Reader({"value": v}, f"promo_thresholds[{i}].") for i, v in enumerate(raw)]
    return tuple(sorted(v for v in (row.money("value") for row in rows) if v is not None and v > 0))


def parse_signals(
    values: Reader, causes: Reader, consent: Consent
) -> tuple[dict[str, Any], dict[str, State]]:
    """Delivered node values and causes of absence by node id; values stay wire values.

    A node whose purpose is refused is dropped and recorded ``refused``; one whose purpose is
    missing is dropped and ``not_delivered`` (GDPR Art. 7; PIPL Art. 14-16). Never an error.

    Raises:
        Invalid: Unknown node, node given twice, a GRF node, or an unknown cause.
    """
    signals: dict[str, Any] = {}
    absent: dict[str, State] = {}
    for key, value in values.body.items():
        node_id = _SENDABLE.get(key) or _refuse_node(key, f"signals.{key}")
        if node_id in signals:
            raise Invalid(f"{node_id} is given twice, by id and by name", field=f"signals.{key}")
        signals[node_id] = value
    for key, word in causes.body.items():
        node_id = _SENDABLE.get(key) or _refuse_node(key, f"absent.{key}")
        if not isinstance(word, str) or word not in ABSENCE_CAUSES:
            known = ", ".join(ABSENCE_CAUSES)
            raise Invalid(f"absent.{key} must be one of {known}", field=f"absent.{key}")
        if node_id in signals or node_id in absent:
            raise Invalid(f"{node_id} is given twice", field=f"absent.{key}")
        absent[node_id] = ABSENCE_CAUSES[word]
    for purpose, nodes in _OF_PURPOSE.items():
        granted = consent.purposes.get(purpose)
        if granted:
            continue
        for node_id in nodes:
            if signals.pop(node_id, _NOTHING) is not _NOTHING or granted is False:
                absent[node_id] = State.NOT_DELIVERED if granted is None else State.REFUSED
    return signals, absent


def _refuse_node(key: str, where: str) -> NoReturn:
    node = catalog().by_key.get(key)
    if node is None:
        raise Invalid(f"{where}: no such node in catalogue version {catalog().version}", field=where)
    if node.id in _GRF_NODES:
        raise Invalid(f"{node.id} is computed by riskgraph alone and cannot be sent", field=where)
    raise Invalid(f"{node.id} is a context node and cannot be sent", field=where)


def _coded(read: Reader, key: str) -> str | None:
    """A code such as ``not_received``; free text is dropped, never kept (contracts, section 2)."""
    value = read.text(key)
    return value if value is not None and _CODE.fullmatch(value) else None


def parse_outcome(body: Mapping[str, Any]) -> Outcome:
    """Validate the body of ``POST /v1/outcomes`` (contracts, section 3).

    Raises:
        Invalid: One named field is wrong.
        SensitiveField: A field name asks for special-category data.
    """
    refuse_sensitive_names(body)
    read = Reader(body)
    names = ("merchant_id", "channel_code", "order_id")
    merchant, channel, order = (read.text(name, required=True) or "" for name in names)
    effective = read.time("effective_at", required=True)
    reported = read.time("reported_at", required=True)
    assert effective is not None
    assert reported is not None
    return Outcome(
        outcome_id=read.text("outcome_id", required=True) or "",
        order_key=order_key(merchant, channel, order),
        kind=read.text("kind", required=True, words=KINDS) or "",
        effective_at=effective.astimezone(UTC).timestamp(),
        reported_at=reported.astimezone(UTC).timestamp(),
        reason=_coded(read, "reason"),
        source=_coded(read, "source"),
        reverses=read.text("reverses"),
    )
