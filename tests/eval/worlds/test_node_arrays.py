"""Values of many orders at once are judged as the service judges them one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import NodeSpec
from riskgraph.core.door import Door
from riskgraph.core.errors import RiskgraphError
from riskgraph.core.order import PURPOSES, parse_order
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.eval.worlds import import_ndjson
from riskgraph.eval.worlds.node_arrays import Unfit, node_arrays
from tests.eval.worlds.histories import SENDABLE, node_value, write

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10), st.floats(), st.text(max_size=3), st.just(10**400),
    st.just([]), st.just({}), st.just("direct"), st.just({"n": 1}),
    st.sampled_from([0, 1, 2, True, 1.0, -1, 10_000_001, "1", None]).flatmap(
        lambda first: st.sampled_from([1, True, 1.0, 2, 0, -1, 10_000_001, "1", None]).map(
            lambda n: {"n": n, "bins": [first] + [0] * 15}
        )
    ),
    st.just({"n": 15, "bins": [1] * 15}), st.just({"n": 16, "bins": [1] * 16, "more": 1}),
    st.just({"n": 16, "bins": (1,) * 16}), st.just({"speed": {"n": 16, "bins": [1] * 16}}),
)  # fmt: skip


def a_value(node: NodeSpec) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(ODD, node_value(node)).map(lambda value: {node.id: value})


def fits(signals: dict[str, Any]) -> bool:
    try:
        OrderSubgraph.build(signals, {})
    except RiskgraphError:
        return False
    return True


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(SENDABLE).flatmap(a_value), min_size=1, max_size=2))
def test_they_fit_together_exactly_if_each_order_fits_alone(signals: list[dict[str, Any]]) -> None:
    if all(map(fits, signals)):
        node_arrays(signals)
    else:
        with pytest.raises(Unfit):
            node_arrays(signals)


BODY = {
    "merchant_id": "m", "order_id": "A", "channel_code": "shop", "placed_at": "2026-03-01T10:00:00Z",
    "amount": {"value": "1.00", "currency": "EUR"}, "jurisdiction": "EU", "guest_key": "g",
    "consent": {"purposes": dict.fromkeys(PURPOSES, True)},
}  # fmt: skip
WRONG: list[dict[str, Any]] = [
    {"signals": {"B003": -1}},
    {"signals": {"B003": float("nan")}},
    {"signals": {"session_entry_channel": "teleport"}},
    {"signals": {"B001": {"n": 2, "bins": [1] + [0] * 15}}},
    {"signals": {"B013": {"speed": {"n": 1, "bins": [1] + [0] * 15}}}},
    {"signals": {"B131": {}}},
    {"signals": {"B999": 1}},
    {"placed_at": "2026-03-01T10:00:00"},
    {"amount": {"value": float("inf"), "currency": "EUR"}},
    {"entities": {"address": ""}},
    {"items": [{"sku": "s", "quantity": None}]},
    {"promo_thresholds": ["many"]},
    {"absent": {"B003": "lost"}},
    {"anything": {"deep": [{"religion": "x"}]}},
]


def serve(body: dict[str, Any]) -> None:
    order = parse_order(body, Door(b"a door key for tests, 32 bytes ok"))
    OrderSubgraph.build(order.signals, order.absent)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: json.dumps(wrong)[:40])
def test_a_wrong_body_is_refused_in_the_words_of_the_service(wrong: dict[str, Any], tmp_path: Path) -> None:
    body = BODY | wrong
    with pytest.raises(RiskgraphError) as served:
        serve(body)
    right = [BODY | {"order_id": f"B-{i}"} for i in range(3)]
    write(tmp_path / "own", "orders.ndjson", [*right, body, BODY | {"placed_at": "also wrong"}])
    with pytest.raises(type(served.value)) as imported:
        import_ndjson(tmp_path / "own", tmp_path / "world")
    assert imported.value.message == f"orders.ndjson:4: {served.value.message}"
    assert imported.value.field == served.value.field
    assert not list(tmp_path.glob("*world*"))
