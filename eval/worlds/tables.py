"""From simulated visits to the columns of a world's files."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, Form, NodeSpec, catalog
from riskgraph.core.order import PHASES
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds import geo, habits
from riskgraph.eval.worlds.config import WorldConfig, order_ids
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.outcomes import REFUND_REASONS, SOURCES, WORDS, Reports
from riskgraph.eval.worlds.pools import Pool
from riskgraph.eval.worlds.schema import label_types, node_columns, node_type, order_types, outcome_types
from riskgraph.eval.worlds.sellers import merchant_ids
from riskgraph.eval.worlds.shop import LINES, Baskets, Shop
from riskgraph.eval.worlds.signals import Signals
from riskgraph.eval.worlds.streams import Bools, Floats, Ints
from riskgraph.eval.worlds.visits import Visits

COUPON_KINDS = ("new_customer", "threshold", "other")
_PURPOSES = {
    "behavior": "behavior",
    "motion": "motion",
    "location": "location",
    "device": "device_ok",
    "model_training": "training",
}
_CARRIERS = ("138", "139", "150", "151", "186", "188", "177", "135")
_VIRTUAL = ("170", "171", "165", "167")


def opaque(seed: int, kind: str, numbers: Ints) -> list[str | None]:
    """Opaque identifiers of entities, as a merchant that hashes on its own side would send."""
    names: dict[int, str | None] = {-1: None}
    # Once each: a world repeats its entities many times.
    for number in set(numbers.tolist()) - {-1}:
        names[number] = hashlib.blake2b(f"{seed}|{kind}|{number}".encode(), digest_size=10).hexdigest()
    return [names[number] for number in numbers.tolist()]


def phone_texts(pool: Pool, numbers: Ints) -> list[str]:
    """Raw synthetic phone numbers; they go no further than the hashing door."""
    rows = zip(*(pool[column][numbers].tolist() for column in ("country", "kind", "serial")), strict=True)
    texts = []
    for country, kind, serial in rows:
        if country:
            texts.append(("+1" if kind == 3 else "+49") + f"{15_000_000_000 + serial}"[:11])
        elif kind == 3:
            texts.append(f"+1{2_000_000_000 + serial}")
        elif kind == 2:
            texts.append(f"0571{serial:08d}")
        else:
            prefixes = _VIRTUAL if kind == 1 else _CARRIERS
            texts.append(f"+86{prefixes[serial % len(prefixes)]}{serial:08d}")
    return texts


def utc_offsets(t: Floats, eu: Bools) -> Ints:
    """Seconds ahead of UTC at the shopper's place: China, or central Europe with its summer time."""
    year = datetime.fromtimestamp(float(t[0]), UTC).year
    edges = []
    for y in (year, year + 1):
        for month in (3, 10):
            # Clocks change on the last Sunday of March and October, at one o'clock UTC.
            last = datetime(y, month, 31, 1, tzinfo=UTC)
            edges.append((last - timedelta(days=(last.weekday() + 1) % 7)).timestamp())
    summer = np.searchsorted(np.array(edges), t, side="right") % 2 == 1
    return np.where(eu, np.where(summer, 7200, 3600), 28_800).astype(np.int64)


def stamps(t: Floats, missing: Bools | None = None) -> Any:
    """Arrow timestamps in microseconds, UTC."""
    pa = arrow()
    micros = np.round(np.where(np.isfinite(t), t, 0.0) * 1e6).astype(np.int64)
    return pa.array(micros, pa.int64(), mask=missing).cast(pa.timestamp("us", "UTC"))


def _moment(t: float) -> datetime:
    return datetime.fromtimestamp(round(t, 3), UTC)


def _items(shop: Shop, baskets: Baskets, t: Floats) -> list[list[dict[str, Any]]]:
    releases: dict[int, list[float]] = {}
    for sku, moment in shop.launches:
        releases.setdefault(sku, []).append(moment)
    rows = zip(
        baskets.sku.tolist(), baskets.quantity.tolist(), baskets.price.tolist(), t.tolist(), strict=True
    )
    out = []
    for skus, quantities, prices, when in rows:
        items = []
        for sku, quantity, price in zip(skus, quantities, prices, strict=True):
            if quantity:
                # A launch that is still to come is not known at the order.
                past = [m for m in releases.get(sku, ()) if m <= when]
                items.append(
                    {"sku": f"s-{sku:03d}", "category": LINES[shop.line[sku]], "quantity": quantity,
                    "price": price,
                     "list_price": float(shop.list_price[sku]),
                     "released_at": _moment(past[-1]) if past else None}
                )  # fmt: skip
        out.append(items)
    return out


def _coupons(baskets: Baskets, seed: int, first: int) -> list[list[dict[str, Any]]]:
    out = []
    rows = zip(
        baskets.coupon_kind.tolist(), baskets.coupon_value.tolist(), baskets.claimed.tolist(), strict=True
    )
    for i, (kinds, values, claimed) in enumerate(rows, first):
        out.append(
            [{"code": f"c-{seed}-{i}-{j}", "kind": COUPON_KINDS[kind], "value": values[j],
            "claimed_at": _moment(claimed[j])}
             for j, kind in enumerate(kinds) if kind >= 0]
        )  # fmt: skip
    return out


def node_arrays(node: NodeSpec, signals: Signals) -> dict[str, Any]:
    """Arrow columns of one node; null where it is absent."""
    pa = arrow()
    absent = signals.states[:, node.index] != State.PRESENT
    out = {}
    for name in node_columns(node):
        values: NDArray[Any] = signals.columns[name]
        if node.form is Form.HISTOGRAM:
            flat = pa.array(np.where(absent[:, None], 0, values).astype(np.int32).ravel())
            out[name] = pa.FixedSizeListArray.from_arrays(flat, BIN_COUNT, mask=pa.array(absent))
        elif node.form is Form.CLASS:
            words = np.array(node.words, dtype=object)[np.where(absent, 0, values).astype(np.int64)]
            out[name] = pa.array(words, node_type(node), mask=absent)
        else:
            out[name] = pa.array(values, node_type(node), mask=absent)
    return out


def states_array(states: NDArray[np.uint8]) -> Any:
    """The ``absence`` column: 137 bytes an order."""
    pa = arrow()
    buffer = pa.py_buffer(np.ascontiguousarray(states).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(states.shape[1]), len(states), [None, buffer])


def _ids(config: WorldConfig, visits: Visits) -> list[str]:
    return order_ids(config, range(visits.first, visits.first + len(visits)))


def _entities(config: WorldConfig, visits: Visits) -> dict[str, Any]:
    pa, seed = arrow(), config.seed
    # A shop without the consent does not hold the device's identifier.
    device = np.where(visits["device_ok"] == 1, visits["device"], -1)
    bins = visits.cast.cards["bin"][np.maximum(visits["card"], 0)].astype(str).astype(object)
    # Each distinct one once, and no more of them than these orders have.
    doors, door = np.unique(visits["address"], return_inverse=True)
    lines, line = np.unique(visits["phone"], return_inverse=True)
    addresses = geo.address_texts(visits.cast.addresses, seed, doors)
    phones = phone_texts(visits.cast.phones, lines)
    return {
        "account": pa.array(opaque(seed, "account", visits["account"])),
        "device": pa.array(opaque(seed, "device", device), pa.string()),
        "card": pa.array(opaque(seed, "card", visits["card"]), pa.string()),
        "card_bin": pa.array(bins, pa.string(), mask=visits["card"] < 0),
        "address": pa.array([addresses[i] for i in door.tolist()]),
        "phone": pa.array([phones[i] for i in line.tolist()]),
        "ip": pa.array(opaque(seed, "ip", visits["network"]), pa.string()),
    }


def _consents(visits: Visits) -> dict[str, Any]:
    pa = arrow()
    answers = {f"consent_{purpose}": visits[column] for purpose, column in _PURPOSES.items()}
    return {name: pa.array(a == 1, pa.bool_(), mask=a < 0) for name, a in answers.items()}


def orders_table(
    config: WorldConfig, shop: Shop, visits: Visits, baskets: Baskets, signals: Signals, declined: Ints
) -> Any:
    """Orders as an arrow table, in time order."""
    pa, t = arrow(), visits["t"]
    city = visits.cast.addresses["city"][visits["address"]]
    eu = visits.of_account("country") == 1
    columns: dict[str, Any] = {
        "merchant_id": merchant_ids(config, visits["merchant"]),
        "order_id": _ids(config, visits),
        "channel_code": np.array(habits.CHANNELS, dtype=object)[visits["channel"]],
        "attempt": declined + 1,
        "phase": np.array(PHASES, dtype=object)[visits["paid_first"].astype(np.int64)],
        "placed_at": stamps(t),
        "utc_offset_s": utc_offsets(t, eu),
        "jurisdiction": np.where(eu, "EU", "CN").astype(object),
        "lang": np.where(eu, "en", "zh").astype(object),
        "region": np.array(geo.SALES_REGION, dtype=object)[city],
        "line": np.array(LINES, dtype=object)[shop.line[baskets.sku[:, 0]]],
        "amount_value": baskets.amount,
        "amount_currency": np.where(eu, "EUR", "CNY").astype(object),
        "list_total": baskets.list_total,
        "items": _items(shop, baskets, t),
        "coupons": _coupons(baskets, config.seed, visits.first),
        "promo_thresholds": [[99.0, 199.0, 399.0] if p else [] for p in baskets.promo.tolist()],
        "account_created_at": stamps(visits.of_account("created")),
        "recipient": np.where(visits["other"], "other", "same").astype(object),
        "ship_region": np.array(geo.REGION_CODE, dtype=object)[city],
        "ship_lat": visits.cast.addresses["lat"][visits["address"]],
        "ship_lon": visits.cast.addresses["lon"][visits["address"]],
        **_entities(config, visits),
        **_consents(visits),
        "absence": states_array(signals.states),
    }
    types = order_types()
    arrays = {k: v if isinstance(v, pa.Array) else pa.array(v, types[k]) for k, v in columns.items()}
    for node in catalog():
        if node.computed_by != "riskgraph":
            arrays |= node_arrays(node, signals) if node_columns(node)[0] in signals.columns else {}
    return pa.table(arrays)


def outcomes_table(config: WorldConfig, visits: Visits, reports: Reports, first: int) -> Any:
    """Outcomes as an arrow table, in order of report; ``first`` is the number of the first of them."""
    pa, n, rows = arrow(), len(reports), reports.row
    types = outcome_types()
    columns = {
        "outcome_id": [f"o-{config.seed}-{i:07d}" for i in range(first, first + n)],
        "merchant_id": merchant_ids(config, visits["merchant"][rows]),
        "channel_code": [habits.CHANNELS[c] for c in visits["channel"][rows].tolist()],
        "order_id": order_ids(config, rows.tolist()),
        "kind": [WORDS[k] for k in reports.kind.tolist()],
        "reason": [None if r < 0 else REFUND_REASONS[r] for r in reports.reason.tolist()],
        "effective_at": stamps(reports.effective_at),
        "reported_at": stamps(reports.reported_at),
        "source": [SOURCES[s] for s in reports.source.tolist()],
        "reverses": [None] * n,
    }
    return pa.table({k: v if isinstance(v, pa.Array) else pa.array(v, types[k]) for k, v in columns.items()})


def labels_table(config: WorldConfig, visits: Visits) -> Any:
    """The oracle: what only the simulator knows."""
    pa = arrow()
    kind, gang = visits["kind"].tolist(), visits["gang"].tolist()
    archetypes = [f.archetype for f in visits.families]
    names, groups = (["honest", *(getattr(a, word) for a in archetypes)] for word in ("name", "family"))
    honest = [h.name for h in config.honest_types]
    columns = {
        "order_id": _ids(config, visits),
        "is_fraud": [k > 0 for k in kind],
        "archetype": [names[k] for k in kind],
        "family": [groups[k] for k in kind],
        "gang_id": [f"g-{g:04d}" if g >= 0 else None for g in gang],
        "camouflage": visits["camouflage"],
        "honest_type": [
            None if g >= 0 else honest[h] for g, h in zip(gang, visits["honest_type"].tolist(), strict=True)
        ],
    }
    return pa.table({k: pa.array(v, label_types()[k]) for k, v in columns.items()})
