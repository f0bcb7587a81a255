"""A shop's own history becomes a world: NDJSON of decision and outcome bodies, checked as at the door."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from riskgraph.core.catalog import NODE_COUNT, Form, catalog
from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid, NotFound, RiskgraphError
from riskgraph.core.order import Order, parse_order
from riskgraph.core.outcome import KINDS
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.schema import (
    ENTITY_COLUMNS,
    PURPOSE_COLUMNS,
    all_order_types,
    node_columns,
    order_types,
    outcome_types,
)
from riskgraph.eval.worlds.writer import Progress, new_folder, quiet, write_manifest, write_parts

Body = dict[str, Any]
# Only to check bodies as the service would; nothing that it hashes is kept.
_CHECKING_DOOR = Door(b"import-check-only".ljust(32, b"."))
_NODES = catalog().nodes


def read_lines(folder: Path, stem: str) -> Iterator[tuple[str, Body]]:
    """``(file:line, body)`` of all ``stem*.ndjson`` files.

    Raises:
        Invalid: If a line is no JSON object.
    """
    for path in sorted(folder.glob(f"{stem}*.ndjson")):
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                where = f"{path.name}:{number}"
                try:
                    body = json.loads(line)
                except ValueError as error:
                    raise Invalid(f"{where} is no JSON: {error}", field=where) from error
                if not isinstance(body, dict):
                    raise Invalid(f"{where} is no JSON object", field=where)
                yield where, body


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _coupons(order: Order, body: Mapping[str, Any]) -> list[Body] | None:
    if order.coupons is None:
        return None
    codes = [c["code"] for c in body.get("coupons") or ()]
    return [
        {"code": code, "kind": c.kind, "value": c.value, "claimed_at": _moment(c.claimed_at)}
        for code, c in zip(codes, order.coupons, strict=True)
    ]


def _states(order: Order) -> bytes:
    states = bytearray([State.NOT_DELIVERED] * NODE_COUNT)
    for key, cause in order.absent.items():
        states[catalog()[key].index] = cause
    for key in order.signals:
        states[catalog()[key].index] = State.PRESENT
    return bytes(states)


def order_row(order: Order, body: Mapping[str, Any]) -> Body:
    """Columns of one order: parsed facts, entities as sent, and only what consent allows."""
    raw = body.get("entities") or {}
    ship = body.get("ship_to") or {}
    items = [{**asdict(item), "released_at": _moment(item.released_at)} for item in order.items]
    granted = order.consent.purposes
    return {
        "merchant_id": order.merchant_id, "order_id": order.order_id, "channel_code": order.channel_code,
        "attempt": order.attempt, "phase": order.phase, "placed_at": _moment(order.placed_at),
        "utc_offset_s": order.utc_offset_s, "jurisdiction": order.jurisdiction, "lang": order.lang,
        "region": order.region, "line": order.line, "amount_value": order.amount,
        "amount_currency": order.currency, "list_total": order.list_total,
        "items": items if "items" in body else None,
        "coupons": _coupons(order, body), "promo_thresholds": list(order.promo_thresholds),
        "account_created_at": _moment(order.account_created_at), "recipient": order.recipient,
        "ship_region": order.ship_region, "ship_lat": ship.get("lat"), "ship_lon": ship.get("lon"),
        **{kind: raw.get(kind) for kind in (*ENTITY_COLUMNS, "card_bin")},
        "device": raw.get("device") if granted.get("device") else None,
        **{column: granted.get(purpose) for purpose, column in PURPOSE_COLUMNS.items()},
        "absence": _states(order),
    }  # fmt: skip


def _node_values(order: Order) -> Body:
    values: Body = {}
    for key, value in order.signals.items():
        node = catalog()[key]
        if node.form is not Form.HISTOGRAM:
            values[key] = value
        elif len(node.histograms) == 1:
            values[key] = value["bins"]
        else:
            values |= {f"{key}.{h.name}": value[h.name]["bins"] for h in node.histograms}
    return values


class _Kinds:
    """Whether each entity kind is raw or opaque; one world cannot mix both."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def note(self, body: Mapping[str, Any], where: str) -> None:
        opaque = set(body.get("opaque") or ())
        for kind in ENTITY_COLUMNS:
            if not (body.get("entities") or {}).get(kind):
                continue
            word = "opaque" if kind in opaque else "raw"
            if self.seen.setdefault(kind, word) != word:
                raise Invalid(
                    f"{where}: entity {kind} is {word} here and not elsewhere", field=f"{where}:opaque"
                )


def read_orders(folder: Path, progress: Progress) -> tuple[list[Body], dict[str, str], int]:
    """Rows in time order, entity kinds, and how many repeated attempts or phases were left out.

    Raises:
        RiskgraphError: As the service would for the body; the message names file and line.
    """
    rows: dict[str, Body] = {}
    kinds, repeated = _Kinds(), 0
    for done, (where, body) in enumerate(read_lines(folder, "orders"), start=1):
        try:
            order = parse_order(body, _CHECKING_DOOR)
            OrderSubgraph.build(order.signals, order.absent)
        except RiskgraphError as error:
            error.args = (f"{where}: {error.message}",)
            error.message = error.args[0]
            raise
        kinds.note(body, where)
        # Attempts and phases of one order count as one order everywhere.
        if order.order_id in rows:
            repeated += 1
            continue
        rows[order.order_id] = order_row(order, body) | _node_values(order)
        if done % 500 == 0:
            progress("orders", done, done)
    if not rows:
        raise NotFound(f"{folder} has no orders*.ndjson with orders", field="orders")
    # Files may lie in any order; a replay needs time.
    ordered = sorted(rows.values(), key=lambda r: r["placed_at"])
    return ordered, {kind: kinds.seen.get(kind, "opaque") for kind in ENTITY_COLUMNS}, repeated


def orders_table(rows: list[Body]) -> Any:
    """Arrow table; node columns that no order fills are left out."""
    pa = arrow()
    filled = {column for row in rows for column in row}
    types = all_order_types()
    columns = {}
    for name in (*order_types(), *(c for n in _NODES for c in node_columns(n))):
        if name in filled:
            values = [row.get(name) for row in rows]
            if pa.types.is_floating(types[name]):
                values = [None if v is None else float(v) for v in values]
            columns[name] = pa.array(values, types[name])
    return pa.table(columns)


def outcomes_table(folder: Path) -> Any:
    """Arrow table of all outcome bodies, in order of report.

    Raises:
        Invalid: Naming file, line and field.
    """
    pa = arrow()
    rows: list[Body] = []
    required = ("outcome_id", "merchant_id", "channel_code", "order_id")
    for where, body in read_lines(folder, "outcomes"):
        for name in required:
            if not isinstance(body.get(name), str):
                raise Invalid(f"{where}: {name} must be a text", field=f"{where}:{name}")
        if body.get("kind") not in KINDS:
            raise Invalid(f"{where}: kind must be one of {', '.join(KINDS)}", field=f"{where}:kind")
        times = {name: _time(body, name, where) for name in ("effective_at", "reported_at")}
        rows.append({**{n: body.get(n) for n in outcome_types()}, **times})
    # By report, not by event: nothing may be known before it was told.
    rows.sort(key=lambda r: r["reported_at"])
    return pa.table({n: pa.array([r[n] for r in rows], kind) for n, kind in outcome_types().items()})


def _time(body: Mapping[str, Any], name: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(body[name])
    except (KeyError, TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid(f"{where}: {name} must be an ISO 8601 time with an offset", field=f"{where}:{name}")
    return moment.astimezone(UTC)


def import_ndjson(source: Path, out: Path, progress: Progress = quiet) -> Path:
    """Write a world from ``orders*.ndjson`` and ``outcomes*.ndjson``.

    One row an order: the first attempt or phase of an order stands. Values whose purpose was not
    granted never enter the world.

    Args:
        source: Folder with the files.
        out: A folder that does not exist yet, or is empty.
        progress: Called with (step, done, total).

    Raises:
        RiskgraphError: A body is wrong; file, line and field are named.
        Conflict: If ``out`` is not empty.
    """
    rows, kinds, repeated = read_orders(Path(source), progress)
    late = outcomes_table(Path(source))
    with new_folder(Path(out)) as folder:
        write_parts(orders_table(rows), folder / "observed", "orders")
        write_parts(late, folder / "observed", "outcomes")
        counts = {"orders": len(rows), "outcomes": late.num_rows, "repeated_attempts_left_out": repeated}
        write_manifest(folder, {"provenance": "merchant", "entities": kinds, "counts": counts})
    progress("orders", len(rows), len(rows))
    return Path(out)
