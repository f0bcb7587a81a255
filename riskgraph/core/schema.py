"""JSON Schemas derived from the catalogue: ``signals`` and the decision request."""

from __future__ import annotations

from typing import Any

from riskgraph.core.catalog import BIN_COUNT, Form, NodeSpec, catalog
from riskgraph.core.order import COUPON_KINDS, JURISDICTIONS, OPAQUE_KINDS, PHASES, PURPOSES
from riskgraph.core.subgraph import ABSENCE_CAUSES

Schema = dict[str, Any]

_HISTOGRAM: Schema = {
    "type": "object",
    "required": ["n", "bins"],
    "additionalProperties": False,
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "bins": {
            "type": "array",
            "minItems": BIN_COUNT,
            "maxItems": BIN_COUNT,
            "items": {"type": "integer", "minimum": 0},
        },
    },
}
_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 512}
_MONEY: Schema = {"type": ["string", "number"], "examples": ["129.00"]}
_TIME: Schema = {"type": "string", "format": "date-time"}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    """An object that may hold nothing else: what is sent there and not known is refused."""
    return _open(properties, required) | {"additionalProperties": False}


def _open(properties: Schema, required: list[str] | None = None) -> Schema:
    """An object that may hold more: shops send what they have, and the door drops what it does not know."""
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_ITEM: Schema = {
    "sku": _TEXT,
    "category": _TEXT,
    "quantity": {"type": "integer", "minimum": 1},
    "price": _MONEY,
    "list_price": _MONEY,
    "released_at": _TIME,
}
_COUPON: Schema = {
    "code": _TEXT,
    "kind": {"enum": list(COUPON_KINDS)},
    "value": _MONEY,
    "claimed_at": _TIME,
}
_PLACE: Schema = {
    "region": _TEXT,
    "lat": {"type": "number", "minimum": -90, "maximum": 90},
    "lon": {"type": "number", "minimum": -180, "maximum": 180},
}
_ENTITIES: Schema = {
    **dict.fromkeys(("account", "device", "card", "address", "phone", "ip"), _TEXT),
    "card_bin": {"type": "string", "pattern": r"^\d{6}$"},
}
_CONSENT: Schema = {
    "record_id": _TEXT,
    "policy_version": _TEXT,
    "at": _TIME,
    "purposes": _object(dict.fromkeys(PURPOSES, {"type": "boolean"})),
    "objected": {"type": "boolean", "default": False},
}


def node_schema(node: NodeSpec) -> Schema:
    """JSON Schema of one node's wire value."""
    about = {"title": node.name, "description": f"{node.name_zh}. {node.definition}"}
    if node.form is Form.FLAG:
        return {"type": "boolean", **about}
    if node.form is Form.CLASS:
        return {"enum": list(node.words), **about}
    if node.form is Form.NUMBER:
        low, high = node.bounds
        return {"type": "number", "minimum": low, "maximum": high, **about}
    if len(node.histograms) == 1:
        return {**_HISTOGRAM, **about}
    names = [h.name for h in node.histograms]
    return _object(dict.fromkeys(names, _HISTOGRAM), required=names) | about


def signals_schema() -> Schema:
    """JSON Schema of ``signals``: nodes by id or by name; graph nodes cannot be sent."""
    sendable = [n for n in catalog() if n.family != "GRF"]
    return _object({key: node_schema(n) for n in sendable for key in (n.id, n.name)}) | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"riskgraph signals, catalogue version {catalog().version}",
    }


def decision_request_schema() -> Schema:
    """JSON Schema of the body of ``POST /v1/decisions`` (free text beside it is dropped)."""
    signals = {k: v for k, v in signals_schema().items() if k != "$schema"}
    return {
        "type": "object",
        "required": ["merchant_id", "order_id", "channel_code", "placed_at", "amount", "jurisdiction"],
        "properties": {
            **dict.fromkeys(("merchant_id", "order_id", "channel_code"), _TEXT),
            **dict.fromkeys(("lang", "region", "line", "session", "guest_key"), _TEXT),
            "attempt": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1},
            "phase": {"enum": list(PHASES), "default": PHASES[0]},
            "placed_at": _TIME,
            "jurisdiction": {"enum": list(JURISDICTIONS)},
            "amount": _object({"value": _MONEY, "currency": _TEXT}, required=["value", "currency"]),
            "list_total": _MONEY,
            "items": _list(_open(_ITEM, required=["sku"])),
            "coupons": _list(_open(_COUPON)),
            "promo_thresholds": _list(_MONEY),
            "account_created_at": _TIME,
            "recipient": {"enum": ["same", "other"]},
            "ship_to": _open(_PLACE),
            "entities": _open(_ENTITIES),
            "opaque": _list({"enum": list(OPAQUE_KINDS)}),
            "consent": _open(_CONSENT),
            "signals": signals,
            "absent": {"type": "object", "additionalProperties": {"enum": list(ABSENCE_CAUSES)}},
            "timeout_ms": {"type": "integer", "minimum": 10, "maximum": 60_000, "default": 300},
            "late": {"type": "boolean", "default": False},
        },
    }
