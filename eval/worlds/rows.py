"""One row of a world as an order after the door, the same as the service would make of its request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.core.door import cell_of
from riskgraph.core.order import Consent, Coupon, Item, Order
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds.hashing import EntityHasher
from riskgraph.eval.worlds.schema import PURPOSE_COLUMNS, node_columns, order_types

Signals = dict[str, Any]
_NODES = catalog().nodes


def stamp(moment: datetime | None) -> float | None:
    """Epoch seconds."""
    return None if moment is None else moment.timestamp()


def python_rows(table: Any) -> Iterator[dict[str, Any]]:
    """Rows of an order table as dicts; columns that are missing are None."""
    present = set(table.column_names)
    names = [n for n in order_types() if n in present]
    lists = [table[n].to_pylist() for n in names]
    empty = dict.fromkeys(n for n in order_types() if n not in present)
    for values in zip(*lists, strict=True):
        yield {**empty, **dict(zip(names, values, strict=True))}


def wire_values(table: Any, nodes: tuple[NodeSpec, ...]) -> list[Signals]:
    """Delivered node values of every row, as on the wire."""
    out: list[Signals] = [{} for _ in range(table.num_rows)]
    present = set(table.column_names)
    for node in nodes:
        columns = node_columns(node)
        if not present.issuperset(columns):
            continue
        if node.form is Form.HISTOGRAM:
            _histograms(table, node, columns, out)
            continue
        for signals, value in zip(out, table[columns[0]].to_pylist(), strict=True):
            if value is not None:
                signals[node.id] = value
    return out


def _histograms(table: Any, node: NodeSpec, columns: tuple[str, ...], out: list[Signals]) -> None:
    for spec, column in zip(node.histograms, columns, strict=True):
        for signals, bins in zip(out, table[column].to_pylist(), strict=True):
            if bins is None:
                continue
            value = {"n": sum(bins), "bins": bins}
            if spec.name:
                signals.setdefault(node.id, {})[spec.name] = value
            else:
                signals[node.id] = value


def absences(absence: bytes | None, signals: Signals) -> dict[str, State]:
    """Causes worth telling: not applicable and refused (what is left out is not delivered)."""
    if absence is None:
        return {}
    causes = {_NODES[i].id: State(b) for i, b in enumerate(absence) if b in (1, 3)}
    # A node cannot be both delivered and absent; what was delivered is the fact.
    return {k: v for k, v in causes.items() if k not in signals}


def consent_of(row: Mapping[str, Any]) -> dict[str, bool]:
    """Purposes that were asked for."""
    return {p: row[c] for p, c in PURPOSE_COLUMNS.items() if row[c] is not None}


def apply_consent(signals: Signals, absent: dict[str, State], purposes: Mapping[str, bool]) -> None:
    """Drop what was not granted: refused, or not delivered where nobody asked."""
    for node in _NODES:
        if node.purpose == "none":
            continue
        granted = purposes.get(node.purpose)
        if granted is False:
            signals.pop(node.id, None)
            absent[node.id] = State.REFUSED
        elif granted is None and node.id in signals:
            del signals[node.id]
            absent[node.id] = State.NOT_DELIVERED


def _items(row: Mapping[str, Any]) -> tuple[Item, ...]:
    return tuple(
        Item(
            i["sku"], i["category"], i["quantity"] or 1, i["price"], i["list_price"], stamp(i["released_at"])
        )
        for i in row["items"] or ()
    )


def _coupons(row: Mapping[str, Any], hasher: EntityHasher) -> tuple[Coupon, ...] | None:
    if row["coupons"] is None:
        return None
    return tuple(
        Coupon(
            hasher.door.digest("coupon", c["code"]),
            c["kind"] or "other",
            c["value"] or 0.0,
            stamp(c["claimed_at"]),
        )
        for c in row["coupons"]
    )


def local_time(row: Mapping[str, Any]) -> datetime:
    """``placed_at`` at the shopper's own offset, UTC where the world does not tell it."""
    moment: datetime = row["placed_at"]
    return moment.astimezone(timezone(timedelta(seconds=row["utc_offset_s"] or 0)))


def to_order(row: Mapping[str, Any], signals: Signals, hasher: EntityHasher) -> Order:
    """The order after the door."""
    purposes = consent_of(row)
    absent = absences(row["absence"], signals)
    apply_consent(signals, absent, purposes)
    placed = local_time(row)
    lat, lon = row["ship_lat"], row["ship_lon"]
    entities = hasher.entities(row)
    return Order(
        merchant_id=row["merchant_id"],
        order_id=row["order_id"],
        channel_code=row["channel_code"],
        placed_at=placed.astimezone(UTC).timestamp(),
        amount=row["amount_value"],
        currency=row["amount_currency"],
        jurisdiction=row["jurisdiction"],
        entities=entities,
        placed_text=placed.isoformat(),
        utc_offset_s=row["utc_offset_s"] or 0,
        attempt=row["attempt"] or 1,
        phase=row["phase"] or "pre_auth",
        guest=entities.account is None,
        lang=row["lang"] or "en",
        region=row["region"],
        line=row["line"],
        list_total=row["list_total"],
        items=_items(row),
        coupons=_coupons(row, hasher),
        promo_thresholds=tuple(sorted(v for v in row["promo_thresholds"] or () if v > 0)),
        account_created_at=stamp(row["account_created_at"]),
        recipient=row["recipient"],
        ship_region=row["ship_region"],
        cell=cell_of(lat, lon) if lat is not None and lon is not None else None,
        consent=Consent(purposes),
        signals=signals,
        absent=absent,
    )
