"""Orders and outcomes of a world as the bodies that a shop would post (contracts, sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.outcome import Outcome
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.rows import absences, consent_of, local_time, python_rows, wire_values
from riskgraph.eval.worlds.schema import ENTITY_COLUMNS

Body = dict[str, Any]
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

# Computed by riskgraph alone; a request must not even name them.
_GRF_NODES = frozenset(n.id for n in catalog() if n.family == "GRF")


def money(value: float | None) -> str | float | None:
    """``129.00`` where that is exact, else the number itself."""
    if value is None:
        return None
    # Shops send text with two decimals; what that cannot hold goes as a number, so that nothing is lost.
    text = f"{value:.2f}"
    return text if float(text) == value else value


def time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


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


def to_request(row: Mapping[str, Any], signals: Mapping[str, Any], kinds: Mapping[str, str]) -> Body:
    """The decision request of one order.

    Args:
        row: The order's columns (``rows.python_rows``).
        signals: Its delivered node values by id.
        kinds: Entity kind to ``raw`` or ``opaque``, from the world's manifest.
    """
    absent = absences(row["absence"], dict(signals))
    entities = _filled({kind: row[kind] for kind in (*ENTITY_COLUMNS, "card_bin")})
    body = {
        **{name: row[name] for name in _SAME},
        "placed_at": local_time(row).isoformat(),
        "amount": {"value": money(row["amount_value"]), "currency": row["amount_currency"]},
        "list_total": money(row["list_total"]),
        "items": _items(row),
        "coupons": _coupons(row),
        "promo_thresholds": [money(v) for v in row["promo_thresholds"] or ()] or None,
        "account_created_at": time_text(row["account_created_at"]),
        "ship_to": _filled({"region": row["ship_region"], "lat": row["ship_lat"], "lon": row["ship_lon"]})
        or None,
        "entities": entities,
        # Else the door would parse a digest as an address and derive nonsense from it.
        "opaque": [kind for kind in ENTITY_COLUMNS if kinds.get(kind) != "raw"],
        "consent": {"purposes": consent_of(row)},
        "signals": dict(signals),
        "absent": {key: cause.word for key, cause in absent.items() if key not in _GRF_NODES},
    }
    if row["account"] is None:
        # A guest has nothing that lasts longer than the order.
        body["guest_key"] = row["order_id"]
    return _filled(body)


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
        part = table.slice(low, high - low)
        for row, signals in zip(python_rows(part), wire_values(part, catalog().nodes), strict=True):
            yield to_request(row, signals, kinds)


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
