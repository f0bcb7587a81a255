"""The shared-entity nodes against a slow reference, on small random shops where much is shared."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.context import compute_context
from riskgraph.core.history import MemoryHistory
from riskgraph.core.order import Order
from riskgraph.core.past import PastOrder
from tests.stores.builders import DAY, NOW
from tests.stores.streams import crowded_order, random_order, random_stream
from tests.support.literal import LITERAL

NODES = tuple(LITERAL)


def on_record(stream):
    """A history, and the same facts as a plain list."""
    history, past = MemoryHistory(), {}
    outcomes = {}
    for fact in stream:
        if isinstance(fact, Order):
            history.add_order(fact)
            row = past.setdefault(fact.key, PastOrder.of(fact))
            row.outcomes = outcomes.setdefault(fact.key, [])
        elif history.add_outcome(fact):
            outcomes.setdefault(fact.order_key, []).append(fact)
    return history, past


def compare(order, history, past, nodes):
    found = compute_context(order, history).values
    others = [p for p in past.values() if p.key != order.key]
    for node in nodes:
        expected = LITERAL[node](order, others)
        assert found.get(node) == (expected if expected is None else pytest.approx(expected)), node
    return found.keys()


@given(st.integers(0, 2**32), st.sampled_from((random_order, crowded_order)))
@settings(max_examples=30, deadline=None)
def test_every_node_equals_its_literal_definition(seed, maker):
    chance = Random(seed)
    stream = random_stream(seed, 150, make=maker)
    history, past = on_record(stream)
    asked = [f for f in chance.sample(stream, 15) if isinstance(f, Order)]
    asked += [maker(chance, 10_000 + i, NOW - chance.random() * 40 * DAY) for i in range(5)]
    for order in asked:
        compare(order, history, past, NODES)


def test_crowded_shops_fill_every_node():
    seen = set()
    for seed in range(4):
        stream = random_stream(seed, 200, make=crowded_order)
        history, past = on_record(stream)
        for order in [f for f in stream if isinstance(f, Order)][::10]:
            seen |= compare(order, history, past, NODES)
    assert seen >= set(NODES)


@pytest.mark.parametrize(("count", "spellings"), [(230, 1), (530, 1), (700, 3)])
def test_more_than_the_newest_200_and_hubs_follow_the_definitions(count, spellings):
    make = partial(crowded_order, people=250, doors=1, spellings=spellings)
    history, past = on_record(f for f in random_stream(5, count, DAY, make) if isinstance(f, Order))
    chance = Random(5)
    for i in range(2):
        compare(make(chance, 10_000 + i, NOW), history, past, NODES)
