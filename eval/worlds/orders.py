"""Orders and outcomes from arrow tables; orders as the service would have made them of their requests.

Read column by column: a dict a row, with moments of time as objects, takes several times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from riskgraph.core.catalog import NODE_COUNT, NodeSpec, catalog
from riskgraph.core.door import Door, cell_of
from riskgraph.core.errors import Invalid
from riskgraph.core.order import Consent, Coupon, Item, Order, order_key
from riskgraph.core.outcome import KINDS, Outcome
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.hashing import EntityHasher
from riskgraph.eval.worlds.rows import Signals, local_time, wire_values
from riskgraph.eval.worlds.schema import COMPUTED, PURPOSE_COLUMNS, node_columns, order_types

_MICROS = 1e6
_NOT_STATED = bytes(NODE_COUNT)
_STATES = tuple(State)


def columns_without_signals() -> list[str]:
    """Columns that context nodes read; histograms are most of a world, and they never read one."""
    return [*order_types(), *(name for node in COMPUTED for name in node_columns(node))]


def part_orders(table: Any, hasher: EntityHasher, *, signals: bool) -> Iterator[Order]:
    """Orders of one part of a world, in its order.

    Args:
        table: Columns of the contract's types.
        hasher: The door, with a memory.
        signals: False leaves out what context nodes never read: delivered nodes of others, causes of
            their absence, and the local time as text.
    """
    part = _Part(table)
    nodes = catalog().nodes if signals else COMPUTED
    purposes = [part.values(column) for column in PURPOSE_COLUMNS.values()]
    consents = _Consents(nodes)
    entities = hasher.entities(
        part.values, [allowed is True for allowed in part.values(PURPOSE_COLUMNS["device"])]
    )
    delivered = wire_values(table, nodes)
    rows = zip(
        entities, _items(part), _coupons(part, hasher.door), delivered, _absences(part, nodes, delivered),
        zip(*purposes, strict=True), _plain(part, text=signals), strict=True,
    )  # fmt: skip
    for who, items, coupons, values, absent, answers, fields in rows:
        yield Order(
            entities=who,
            guest=who.account is None,
            items=items,
            coupons=coupons,
            consent=consents.apply(answers, values, absent),
            signals=values,
            absent=absent,
            **fields,
        )


class _Part:
    """Columns of a table as lists; one that is missing is all None."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.size = table.num_rows

    def has(self, name: str) -> bool:
        return name in self.table.column_names

    def values(self, name: str) -> list[Any]:
        found: list[Any] = self.table[name].to_pylist() if self.has(name) else [None] * self.size
        return found

    def words(self, name: str) -> list[Any]:
        """Texts of which there are few: one object each, or a large history keeps millions of copies."""
        return _words(self.table[name].combine_chunks()) if self.has(name) else [None] * self.size

    def seconds(self, name: str) -> list[Any]:
        return _seconds(self.table[name]) if self.has(name) else [None] * self.size

    def nested(self, name: str) -> tuple[Any, list[slice | None]]:
        """All structs of a list column, and where each row's lie; None for a row without a list."""
        whole = self.table[name].combine_chunks()
        starts = pairwise(whole.offsets.to_pylist())
        valid = whole.is_valid().to_pylist()
        return whole.values, [slice(*ends) if ok else None for ends, ok in zip(starts, valid, strict=True)]


def _seconds(column: Any) -> list[float | None]:
    """Epoch seconds of timestamps in microseconds."""
    return [None if m is None else m / _MICROS for m in column.cast(arrow().int64()).to_pylist()]


def _words(column: Any) -> list[Any]:
    coded = column.dictionary_encode()
    words = coded.dictionary.to_pylist()
    return [None if code is None else words[code] for code in coded.indices.to_pylist()]


def _plain(part: _Part, *, text: bool) -> Iterator[dict[str, Any]]:
    """The fields of ``Order`` that are columns, or follow from one or two."""
    columns = {
        "merchant_id": part.words("merchant_id"),
        "order_id": part.values("order_id"),
        "channel_code": part.words("channel_code"),
        "placed_at": part.seconds("placed_at"),
        "amount": part.values("amount_value"),
        "currency": part.words("amount_currency"),
        "jurisdiction": part.words("jurisdiction"),
        "utc_offset_s": _or(part.values("utc_offset_s"), 0),
        "attempt": _or(part.values("attempt"), 1),
        "phase": _or(part.words("phase"), "pre_auth"),
        "lang": _or(part.words("lang"), "en"),
        "region": part.words("region"),
        "line": part.words("line"),
        "list_total": part.values("list_total"),
        "promo_thresholds": [
            tuple(sorted(v for v in values or () if v > 0)) for values in part.values("promo_thresholds")
        ],
        "account_created_at": part.seconds("account_created_at"),
        "recipient": part.words("recipient"),
        "ship_region": part.words("ship_region"),
        "cell": [
            cell_of(lat, lon) if lat is not None and lon is not None else None
            for lat, lon in zip(part.values("ship_lat"), part.values("ship_lon"), strict=True)
        ],
    }
    if text:
        offsets = columns["utc_offset_s"]
        moments = part.values("placed_at")
        columns["placed_text"] = [local_time(*row).isoformat() for row in zip(moments, offsets, strict=True)]
    names = tuple(columns)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(names, values, strict=True))


def _or(values: Iterable[Any], default: Any) -> list[Any]:
    return [value or default for value in values]


def _items(part: _Part) -> Iterator[tuple[Item, ...]]:
    if not part.has("items"):
        yield from [()] * part.size
        return
    structs, places = part.nested("items")
    field = structs.field
    items = [
        Item(sku, category, quantity or 1, price, list_price, released)
        for sku, category, quantity, price, list_price, released in zip(
            _words(field("sku")),
            _words(field("category")),
            *(field(name).to_pylist() for name in ("quantity", "price", "list_price")),
            _seconds(field("released_at")),
            strict=True,
        )
    ]
    for place in places:
        yield () if place is None else tuple(items[place])


def _coupons(part: _Part, door: Door) -> Iterator[tuple[Coupon, ...] | None]:
    if not part.has("coupons"):
        yield from [None] * part.size
        return
    structs, places = part.nested("coupons")
    field = structs.field
    coupons = [
        Coupon(door.digest("coupon", code), kind or "other", value or 0.0, claimed)
        for code, kind, value, claimed in zip(
            field("code").to_pylist(),
            _words(field("kind")),
            field("value").to_pylist(),
            _seconds(field("claimed_at")),
            strict=True,
        )
    ]
    for place in places:
        yield None if place is None else tuple(coupons[place])


def _absences(
    part: _Part, nodes: tuple[NodeSpec, ...], delivered: list[Signals]
) -> Iterator[dict[str, State]]:
    """Causes worth telling: not applicable and refused (what is left out is not delivered)."""
    rows = [row or _NOT_STATED for row in part.values("absence")]
    stated = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, NODE_COUNT)
    stated = stated[:, [node.index for node in nodes]]
    told = (stated == State.NOT_APPLICABLE) | (stated == State.REFUSED)
    where, which = np.nonzero(told)
    ends = np.searchsorted(where, np.arange(part.size + 1)).tolist()
    pairs = [
        (nodes[n].id, _STATES[s]) for n, s in zip(which.tolist(), stated[where, which].tolist(), strict=True)
    ]
    for (start, stop), values in zip(pairwise(ends), delivered, strict=True):
        # A node cannot be both delivered and absent; what was delivered is the fact.
        yield {k: cause for k, cause in pairs[start:stop] if k not in values}


class _Consents:
    """What each combination of answers means, worked out once."""

    def __init__(self, nodes: tuple[NodeSpec, ...]) -> None:
        self._bound = [(node.id, node.purpose) for node in nodes if node.purpose != "none"]
        self._known: dict[tuple[bool | None, ...], tuple[Consent, list[str], list[str]]] = {}

    def apply(self, answers: tuple[bool | None, ...], signals: Signals, absent: dict[str, State]) -> Consent:
        """Drop what was not granted: refused, or not delivered where nobody asked."""
        found = self._known.get(answers)
        if found is None:
            found = self._known[answers] = self._meaning(answers)
        consent, refused, unasked = found
        for node_id in refused:
            signals.pop(node_id, None)
            absent[node_id] = State.REFUSED
        for node_id in unasked:
            if node_id in signals:
                del signals[node_id]
                absent[node_id] = State.NOT_DELIVERED
        return consent

    def _meaning(self, answers: tuple[bool | None, ...]) -> tuple[Consent, list[str], list[str]]:
        given: Mapping[str, bool] = {
            purpose: answer
            for purpose, answer in zip(PURPOSE_COLUMNS, answers, strict=True)
            if answer is not None
        }
        refused = [node for node, purpose in self._bound if given.get(purpose) is False]
        unasked = [node for node, purpose in self._bound if purpose not in given]
        return Consent(given), refused, unasked


def part_outcomes(table: Any, name: str) -> Iterator[Outcome]:
    """Outcomes of one part of a world, in its order; ``name`` is that of the file.

    Raises:
        Invalid: If a kind is unknown.
    """
    part = _Part(table)
    kinds = part.words("kind")
    for word in sorted(set(map(str, kinds)) - set(KINDS)):
        raise Invalid(f"{name}: unknown kind {word!r:.40}", field=f"{name}:kind")
    keys = map(order_key, part.words("merchant_id"), part.words("channel_code"), part.values("order_id"))
    times = ([at or 0.0 for at in part.seconds(column)] for column in ("effective_at", "reported_at"))
    reasons, sources = part.words("reason"), part.words("source")
    yield from map(
        Outcome, part.values("outcome_id"), keys, kinds, *times, reasons, sources, part.values("reverses")
    )
