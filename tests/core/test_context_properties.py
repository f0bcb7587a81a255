"""No context looks past its order, whatever the history holds."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.core.context import compute_context
from riskgraph.core.history import MemoryHistory
from riskgraph.core.order import Order
from riskgraph.core.subgraph import OrderSubgraph
from tests.stores.builders import NOW
from tests.stores.streams import crowded_order, random_order, random_outcome, random_stream

seeds = st.integers(0, 2**32)


def fill(facts):
    history = MemoryHistory()
    for fact in facts:
        if isinstance(fact, Order):
            history.add_order(fact)
        else:
            history.add_outcome(fact)
    return history


def by_time(fact):
    return fact.placed_at if isinstance(fact, Order) else fact.reported_at


@given(seeds, st.sampled_from((random_order, crowded_order)))
@settings(max_examples=40, deadline=None)
def test_a_planted_future_changes_no_node(seed, maker):
    chance = Random(seed)
    stream = random_stream(seed, 120, make=maker)
    order = maker(chance, 10_000, NOW - chance.random() * 40 * 86_400)
    known = [f for f in stream if by_time(f) < order.placed_at]
    future = [f for f in stream if by_time(f) > order.placed_at]
    future += [replace(order, order_id=f"future{i}", placed_at=order.placed_at + i) for i in range(3)]
    known_orders = [f for f in known if isinstance(f, Order)]
    for i, past in enumerate(known_orders[-5:]):
        outcome = random_outcome(chance, 50_000 + i, past, order.placed_at)
        future.append(outcome._replace(kind="confirmed_fraud", reported_at=order.placed_at + 1))
    # A later attempt of a known order that arrives first would be the one on record.
    seen = {f.key for f in known_orders}
    future = [f for f in future if not (isinstance(f, Order) and f.key in seen)]
    mixed = list(known)
    for fact in future:
        mixed.insert(chance.randrange(len(mixed) + 1), fact)
    expected, found = fill(known), fill(mixed)
    assert compute_context(order, found) == compute_context(order, expected)


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_asking_about_any_instant_leaves_the_answers_for_others_alone(seed):
    """The sliding windows move back and forth; a fresh history must agree with a used one."""
    stream = random_stream(seed, 150)
    used, orders = fill(stream), [f for f in stream if isinstance(f, Order)]
    Random(seed).shuffle(orders)
    for order in orders[:40]:
        assert compute_context(order, used) == compute_context(order, fill(stream))


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_every_context_of_a_stream_fits_the_catalogue(seed):
    stream = random_stream(seed, 100)
    history = fill(stream)
    computed = {n.id for n in catalog() if n.computed_by == "riskgraph"}
    for order in (f for f in stream if isinstance(f, Order)):
        context = compute_context(order, history)
        assert context.values.keys() | context.absent.keys() == computed
        OrderSubgraph.build(context.values, context.absent)


def test_the_random_streams_fill_every_node_that_is_computed_from_history():
    seen = set()
    for seed in range(4):
        stream = random_stream(seed, 300)
        history = fill(stream)
        for order in (f for f in stream if isinstance(f, Order)):
            seen |= compute_context(order, history).values.keys()
    assert seen >= {"B067", "B068", "B069", "B088", "B089", "B091", "B095", "B099", "B100", "B101", "B107"}
    assert seen >= {"B110", "B114", "B116", "B119", "B120", "B121", "B129", "B131", "B132", "B133", "B136"}
