"""Columns of a world's files (contracts, section 5) and their arrow types."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from riskgraph.core.catalog import BIN_COUNT, NODE_COUNT, Form, NodeSpec, catalog
from riskgraph.eval.worlds.extras import arrow

SCHEMA = "riskgraph-world/1"
REQUIRED = (
    "merchant_id",
    "order_id",
    "channel_code",
    "placed_at",
    "amount_value",
    "amount_currency",
    "jurisdiction",
)
ENTITY_COLUMNS = ("account", "device", "card", "address", "phone", "ip")
PURPOSE_COLUMNS = {
    "behavior": "consent_behavior",
    "motion": "consent_motion",
    "location": "consent_location",
    "device": "consent_device",
    "model_training": "consent_model_training",
}
COMPUTED = tuple(n for n in catalog() if n.computed_by == "riskgraph")


def node_columns(node: NodeSpec) -> tuple[str, ...]:
    """Column names of a delivered node: its id, or one name per histogram or part."""
    if node.form is Form.HISTOGRAM:
        return tuple(f"{node.id}.{h.name}" if h.name else node.id for h in node.histograms)
    if node.form is Form.CONTEXT:
        return tuple(f"{node.id}.{part}" for part in node.components)
    return (node.id,)


def node_type(node: NodeSpec) -> Any:
    """Arrow type of the node's columns."""
    pa = arrow()
    if node.form is Form.HISTOGRAM:
        return pa.list_(pa.int32(), BIN_COUNT)
    if node.form is Form.CLASS:
        return pa.string()
    return pa.bool_() if node.form is Form.FLAG else pa.float64()


@lru_cache(maxsize=1)
def order_types() -> dict[str, Any]:
    """Arrow types of the order columns before the nodes, in file order."""
    pa = arrow()
    text, number, flag, stamp = pa.string(), pa.float64(), pa.bool_(), pa.timestamp("us", "UTC")
    item = {
        "sku": text,
        "category": text,
        "quantity": pa.int32(),
        "price": number,
        "list_price": number,
        "released_at": stamp,
    }
    coupon = {"code": text, "kind": text, "value": number, "claimed_at": stamp}
    return {
        "merchant_id": text, "order_id": text, "channel_code": text, "attempt": pa.int16(), "phase": text,
        "placed_at": stamp, "utc_offset_s": pa.int32(), "jurisdiction": text, "lang": text, "region": text,
        "line": text, "amount_value": number, "amount_currency": text, "list_total": number,
        "items": pa.list_(pa.struct(list(item.items()))),
        "coupons": pa.list_(pa.struct(list(coupon.items()))),
        "promo_thresholds": pa.list_(number), "account_created_at": stamp, "recipient": text,
        "ship_region": text, "ship_lat": number, "ship_lon": number, "account": text, "device": text,
        "card": text, "card_bin": text, "address": text, "phone": text, "ip": text,
        **{column: flag for column in PURPOSE_COLUMNS.values()}, "objected": flag,
        "absence": pa.binary(NODE_COUNT),
    }  # fmt: skip


@lru_cache(maxsize=1)
def all_order_types() -> dict[str, Any]:
    """Every column that a world's orders may have; ``subgraph`` stands for all nodes of a packed world."""
    nodes = {name: node_type(n) for n in catalog() for name in node_columns(n)}
    return {**order_types(), "subgraph": arrow().binary(), **nodes}


@lru_cache(maxsize=1)
def outcome_types() -> dict[str, Any]:
    pa = arrow()
    text, stamp = pa.string(), pa.timestamp("us", "UTC")
    return {
        "outcome_id": text, "merchant_id": text, "channel_code": text, "order_id": text, "kind": text,
        "reason": text, "effective_at": stamp, "reported_at": stamp, "source": text, "reverses": text,
    }  # fmt: skip


@lru_cache(maxsize=1)
def label_types() -> dict[str, Any]:
    pa = arrow()
    text = pa.string()
    return {
        "order_id": text, "is_fraud": pa.bool_(), "archetype": text, "family": text, "gang_id": text,
        "camouflage": pa.float64(), "honest_type": text,
    }  # fmt: skip
