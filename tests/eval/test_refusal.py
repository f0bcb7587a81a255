"""The same orders are judged twice, as they are and refusing, and are their own controls."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.eval.intervals import Clusters, cluster_orders
from riskgraph.eval.refusal import Refusal, refusing, two_rates, with_front_end

CLASSES = ("pre_auth/front_end", "post_auth/front_end", "pre_auth/no_front_end", "pre_auth/refused")


def table(count: int = 8) -> OrderTable:
    whole = np.arange(count)
    return OrderTable(
        order_id=np.array([f"o{i}" for i in whole], dtype=object),
        placed_at=whole.astype(np.int64),
        components=np.ones((count, len(catalog().components)), dtype=np.float32),
        states=np.full((count, NODE_COUNT), State.PRESENT, dtype=np.uint8),
        availability=np.array([CLASSES[i % 4] for i in whole], dtype=object),
        account=whole, device=whole, card=whole, address=whole,
        label=np.zeros(count, dtype=np.int8),
        training_consent=np.ones(count, dtype=bool),
        jurisdiction=np.zeros(count, dtype=np.int8),
        purposes=np.ones((count, 4), dtype=np.int8),
        objected=np.zeros(count, dtype=bool),
    )  # fmt: skip


def alone(count: int) -> Clusters:
    none = np.full(count, -1)
    return cluster_orders(np.zeros(count, dtype=bool), none, none)


def test_only_orders_of_a_front_end_have_something_to_refuse() -> None:
    assert with_front_end(table()).tolist() == [True, True, False, False] * 2


def test_refusing_takes_away_what_needs_consent_and_nothing_else() -> None:
    before = table()
    after = refusing(before)
    for node, part in zip(catalog().nodes, catalog().component_slices, strict=True):
        gone = np.isnan(after.components[:, part]).all()
        assert gone == node.consent_needed
        assert (after.states[:, node.index] == (State.REFUSED if gone else State.PRESENT)).all()
    assert after.availability.tolist()[:2] == ["pre_auth/refused", "post_auth/refused"]
    assert not np.isnan(before.components).any(), "the orders as they are stay"
    assert not after.purposes.any()


def test_verdicts_are_compared_order_by_order() -> None:
    def judge(orders: OrderTable) -> np.ndarray:
        refused = np.isnan(orders.components).any()
        words = (
            ["review", "accept", "reject", "accept"] if refused else ["accept", "accept", "reject", "review"]
        )
        return np.array(words * 2, dtype=object)

    both = Refusal.of(table(), judge)
    reject = both.compare(("reject",), alone(8))
    assert (reject.granted.value, reject.refused.value, reject.ratio.value) == (0.25, 0.25, 1.0)
    assert (reject.ratio.lower, reject.ratio.upper) == (1.0, 1.0), "each order is its own control"
    flagged = both.compare(("reject", "review"), alone(8))
    assert flagged.ratio.value == 1.0
    assert flagged.ratio.lower < 1 < flagged.ratio.upper
    first = np.arange(8) % 4 == 0
    assert np.isnan(both.compare(("review",), alone(8), first).ratio.value)


@given(st.integers(0, 1000), st.integers(20, 300), st.floats(0.05, 0.5), st.floats(0.5, 2.0))
def test_the_interval_of_a_ratio_holds_the_ratio(seed: int, count: int, rate: float, times: float) -> None:
    rng = np.random.default_rng(seed)
    granted = rng.random(count) < rate
    refused = rng.random(count) < min(1.0, rate * times)
    account = rng.integers(0, count, count)
    clusters = cluster_orders(np.zeros(count, dtype=bool), np.full(count, -1), account)
    found = two_rates(granted, refused, clusters, reps=200)
    if granted.any():
        assert found.ratio.lower <= found.ratio.value <= found.ratio.upper
        assert found.ratio.value == refused.sum() / granted.sum()


def test_orders_of_one_account_are_drawn_together() -> None:
    """Twenty accounts of ten orders each say less than two hundred of one."""
    granted = np.repeat(np.arange(20) % 2 == 0, 10)
    refused = np.repeat(np.arange(20) % 3 == 0, 10)
    wide = cluster_orders(np.zeros(200, dtype=bool), np.full(200, -1), np.repeat(np.arange(20), 10))
    together, apart = two_rates(granted, refused, wide).ratio, two_rates(granted, refused, alone(200)).ratio
    assert together.upper - together.lower > 2 * (apart.upper - apart.lower)
