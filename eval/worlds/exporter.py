"""Orders and outcomes of a world as the bodies that a shop would post (contracts, sections 2 and 3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from riskgraph.core.catalog import NodeSpec, catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.outcome import Outcome
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds.ndjson import Body
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.rows import consent_of, local_time, python_rows, wire_values
from riskgraph.eval.worlds.schema import ENTITY_COLUMNS

_SAME = (
    "merchant_id",
    "order_id",
    "channel_code",
    "attempt",
    "phase",
    "jurisdiction",
    "lang",
    "region",
    "line",
    "recipient",
)

# What riskgraph computes alone, a request must not even name.
_SENDABLE = tuple(n for n in catalog() if n.family != "GRF")
_BY_PURPOSE = {
    p: frozenset(n.id for n in _SENDABLE if n.purpose == p) for p in {n.purpose for n in _SENDABLE}
}
_WORDS = {int(state): state.word for state in State}


def money(value: float | None) -> str | float | None:
    """``129.00`` where that is exact, else the number itself.

    Raises:
        Invalid: If the number is not finite, which JSON cannot say.
    """
    if value is None:
        return None
    if not math.isfinite(value):
        raise Invalid(f"an amount is {value}, which no body can hold", field="amount")
    # Shops send text with two decimals; what that cannot hold goes as a number, so that nothing is lost.
    text = f"{value:.2f}"
    return text if float(text) == value else value


def time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def placed_text(row: Mapping[str, Any]) -> str:
    """Local time; ends with Z where the offset is not known, and with +00:00 where it is zero (RFC 9557)."""
    text = local_time(row["placed_at"], row["utc_offset_s"]).isoformat()
    return text if row["utc_offset_s"] is not None else f"{text.removesuffix('+00:00')}Z"


def _filled(body: Mapping[str, Any]) -> Body:
    return {k: v for k, v in body.items() if v is not None}


def _items(row: Mapping[str, Any]) -> list[Body] | None:
    if row["items"] is None:
        return None
    return [
        _filled(
            {
                **item,
                "price": money(item["price"]),
                "list_price": money(item["list_price"]),
                "released_at": time_text(item["released_at"]),
            }
        )
        for item in row["items"]
    ]


def _coupons(row: Mapping[str, Any]) -> list[Body] | None:
    if row["coupons"] is None:
        return None
    return [
        _filled({**c, "value": money(c["value"]), "claimed_at": time_text(c["claimed_at"])})
        for c in row["coupons"]
    ]


def _withheld(purposes: Mapping[str, bool]) -> set[str]:
    """Nodes whose purpose was not granted: what nobody may use must not travel either."""
    closed = (nodes for p, nodes in _BY_PURPOSE.items() if p != "none" and not purposes.get(p))
    return set().union(*closed)


def _absent(row: Mapping[str, Any], sent: Mapping[str, Any], purposes: Mapping[str, bool]) -> Body | None:
    """Causes by node; what is left out was not delivered, or refused where its purpose was refused."""
    stated = row["absence"]
    if stated is None:
        return None
    causes = {n.id: _WORDS[b] for n in _SENDABLE if (b := stated[n.index]) in (1, 3) and n.id not in sent}
    for purpose, granted in purposes.items():
        if not granted:
            told = (
                n for n in _BY_PURPOSE.get(purpose, ()) if stated[catalog()[n].index] == State.NOT_DELIVERED
            )
            causes |= {node: State.NOT_DELIVERED.word for node in told if node not in sent}
    return causes


def to_request(row: Mapping[str, Any], signals: Mapping[str, Any], kinds: Mapping[str, str]) -> Body:
    """The decision request of one order; values whose purpose was not granted stay behind.

    Args:
        row: The order's columns (``rows.python_rows``).
        signals: Its delivered node values by id.
        kinds: Entity kind to ``raw`` or ``opaque``, from the world's manifest.

    Raises:
        Invalid: If an amount is not finite.
    """
    purposes = consent_of(row)
    withheld = _withheld(purposes)
    sent = {node: value for node, value in signals.items() if node not in withheld}
    entities = _filled({kind: row[kind] for kind in (*ENTITY_COLUMNS, "card_bin")})
    if not purposes.get("device"):
        entities.pop("device", None)
    thresholds = row["promo_thresholds"]
    body = {
        **{name: row[name] for name in _SAME},
        "placed_at": placed_text(row),
        "amount": {"value": money(row["amount_value"]), "currency": row["amount_currency"]},
        "list_total": money(row["list_total"]),
        "items": _items(row),
        "coupons": _coupons(row),
        "promo_thresholds": None if thresholds is None else [money(v) for v in thresholds],
        "account_created_at": time_text(row["account_created_at"]),
        "ship_to": _filled({"region": row["ship_region"], "lat": row["ship_lat"], "lon": row["ship_lon"]})
        or None,
        "entities": entities,
        # Else the door would parse a digest as an address and derive nonsense from it.
        "opaque": [kind for kind in ENTITY_COLUMNS if kinds.get(kind) != "raw"],
        "consent": _filled({"purposes": purposes, "objected": row["objected"]}),
        "signals": sent,
        "absent": _absent(row, sent, purposes),
    }
    if row["account"] is None:
        # A guest has nothing that lasts longer than the order.
        body["guest_key"] = row["order_id"]
    return _filled(body)


def order_bodies(
    table: Any, kinds: Mapping[str, str], nodes: tuple[NodeSpec, ...] = _SENDABLE
) -> Iterator[Body]:
    """Decision requests of the rows of an order table."""
    for row, signals in zip(python_rows(table), wire_values(table, nodes), strict=True):
        yield to_request(row, signals, kinds)


def requests(world: World, *, since: float | None = None, before: float | None = None) -> Iterator[Body]:
    """Decision requests in time order.

    Args:
        world: The world.
        since: Only orders placed at this time or later (epoch seconds).
        before: Only orders placed before this time.
    """
    kinds = world.manifest["entities"]
    for table in world.parts():
        times = [m.timestamp() for m in table["placed_at"].to_pylist()]
        # In time order, so a part outside is passed over before its nodes are decoded.
        if (since is not None and times[-1] < since) or (before is not None and times[0] >= before):
            continue
        low = 0 if since is None else sum(t < since for t in times)
        high = len(times) if before is None else sum(t < before for t in times)
        yield from order_bodies(table.slice(low, high - low), kinds)


def outcome_bodies(table: Any) -> Iterator[Body]:
    """Bodies of ``POST /v1/outcomes`` of the rows of an outcome table."""
    for row in table.to_pylist():
        times = {name: row[name].isoformat() for name in ("effective_at", "reported_at")}
        yield _filled(row | times)


def outcome_body(outcome: Outcome) -> Body:
    """The body of ``POST /v1/outcomes`` for one outcome."""
    merchant, channel, order_id = outcome.order_key.split("|", 2)
    return _filled(
        {
            "outcome_id": outcome.outcome_id, "merchant_id": merchant, "channel_code": channel,
            "order_id": order_id,
            "kind": outcome.kind, "reason": outcome.reason, "source": outcome.source,
            "reverses": outcome.reverses,
            "effective_at": datetime.fromtimestamp(outcome.effective_at, UTC).isoformat(),
            "reported_at": datetime.fromtimestamp(outcome.reported_at, UTC).isoformat(),
        }
    )  # fmt: skip
