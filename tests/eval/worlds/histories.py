"""A shop's own orders and outcomes, with all that a body may hold, for property tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.core.order import COUPON_KINDS, PHASES, PURPOSES
from riskgraph.core.outcome import KINDS

Bodies = st.SearchStrategy[list[dict[str, Any]]]
SENDABLE = tuple(n for n in catalog() if n.family != "GRF")
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="|"), min_size=1, max_size=12)
MONEY = st.one_of(
    st.decimals(0, 99_999, places=2).map(str),
    st.floats(0, 1e6, allow_subnormal=False),
    st.integers(0, 10**6),
    st.sampled_from(["0", "0.000001", "7.5", "-0.00", 0.1 + 0.2, 1e-7]),
)


def write(folder: Path, name: str, bodies: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(b, ensure_ascii=False) + "\n" for b in bodies)
    (folder / name).write_text(text, encoding="utf-8")


@st.composite
def times(draw: st.DrawFn) -> str:
    moment = draw(st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)))
    minutes = draw(st.sampled_from([None, 0, 480, -210, 60, 845]))
    if minutes is None:
        return f"{moment.isoformat()}Z"
    return moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes))).isoformat()


def histogram() -> st.SearchStrategy[dict[str, Any]]:
    bins = st.lists(st.integers(0, 500), min_size=16, max_size=16).filter(any)
    return bins.map(lambda b: {"n": sum(b), "bins": b})


def node_value(node: NodeSpec) -> st.SearchStrategy[Any]:
    if node.form is Form.HISTOGRAM:
        named = {h.name: histogram() for h in node.histograms}
        return st.fixed_dictionaries(named) if len(named) > 1 else histogram()
    if node.form is Form.CLASS:
        return st.sampled_from(node.words)
    if node.form is Form.FLAG:
        return st.booleans()
    low, high = node.bounds
    return st.one_of(st.floats(low, high), st.integers(int(low) + 1, int(high)), st.just(low))


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Each field given, null, or left out."""
    return st.fixed_dictionaries({}, optional={k: st.one_of(st.none(), v) for k, v in fields.items()})


def left_out(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Each field given or left out; these may not be null."""
    return st.fixed_dictionaries({}, optional=fields)


def both(a: st.SearchStrategy[dict[str, Any]], b: st.SearchStrategy[dict[str, Any]]) -> Any:
    return st.tuples(a, b).map(lambda pair: pair[0] | pair[1])


ITEM = both(
    both(st.fixed_dictionaries({"sku": TEXTS}), left_out(quantity=st.integers(1, 9))),
    optional(category=TEXTS, price=MONEY, list_price=MONEY, released_at=times()),
)
COUPON = both(
    st.fixed_dictionaries({"code": TEXTS}),
    optional(kind=st.sampled_from(COUPON_KINDS), value=MONEY, claimed_at=times()),
)
FACTS = optional(
    phase=st.sampled_from(PHASES), lang=TEXTS, region=TEXTS, line=TEXTS, list_total=MONEY,
    items=st.lists(ITEM, max_size=3), coupons=st.lists(COUPON, max_size=2),
    promo_thresholds=st.lists(MONEY, max_size=3), account_created_at=times(),
    recipient=st.sampled_from(["same", "other"]),
    ship_to=optional(region=TEXTS, lat=st.floats(-90, 90), lon=st.integers(-180, 180)),
    entities=optional(
        account=TEXTS, device=TEXTS, card=TEXTS, card_bin=st.just("622848"), address=TEXTS, phone=TEXTS,
        ip=st.just("203.0.113.9"),
    ),
    session=TEXTS, note=TEXTS,
)  # fmt: skip


@st.composite
def nodes(draw: st.DrawFn) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(SENDABLE), max_size=8, unique=True))
    cut = draw(st.integers(0, len(chosen)))
    key = draw(st.sampled_from(["id", "name"]))
    causes = st.sampled_from(["not_applicable", "not_delivered", "refused"])
    out: dict[str, Any] = {"signals": {getattr(n, key): draw(node_value(n)) for n in chosen[:cut]}}
    told = {getattr(n, key): draw(causes) for n in chosen[cut:]}
    return out | {"absent": told} if told or draw(st.booleans()) else out


@st.composite
def order_bodies(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Orders with ids of their own, and sometimes a second attempt of one."""
    opaque = draw(
        st.lists(st.sampled_from(["account", "device", "card", "address", "phone", "ip"]), unique=True)
    )
    purposes = left_out(**dict.fromkeys(PURPOSES, st.booleans()))
    objection = left_out(objected=st.booleans())
    bodies = []
    for number in range(draw(st.integers(1, 4))):
        fixed = {
            "merchant_id": "m-1", "order_id": f"A-{number}", "channel_code": "shop", "guest_key": "g",
            "placed_at": draw(times()), "jurisdiction": draw(st.sampled_from(["CN", "EU", "other"])),
            "amount": {"value": draw(MONEY), "currency": "CNY"}, "opaque": opaque,
            "consent": {"record_id": "c", "purposes": draw(purposes)} | draw(objection),
        }  # fmt: skip
        bodies.append(draw(FACTS) | draw(left_out(attempt=st.integers(1, 9))) | draw(nodes()) | fixed)
    return [*bodies, {**bodies[0], "attempt": 10}] if draw(st.booleans()) else bodies


def outcome_bodies() -> Bodies:
    fixed = {
        "outcome_id": TEXTS, "merchant_id": st.just("m-1"), "channel_code": st.just("shop"),
        "order_id": st.sampled_from(["A-0", "A-1", "elsewhere"]), "kind": st.sampled_from(KINDS),
        "effective_at": times(), "reported_at": times(),
    }  # fmt: skip
    said = optional(reason=st.sampled_from(["not_received", "Free text"]), source=TEXTS, reverses=TEXTS)
    return st.lists(both(st.fixed_dictionaries(fixed), said), max_size=4)
