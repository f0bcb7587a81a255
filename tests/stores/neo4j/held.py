"""A store whose feed goes as far as a test lets it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from riskgraph.core.order import Order
from riskgraph.stores.crash import synthetic_entry
from riskgraph.stores.journal import Journal
from riskgraph.stores.neo4j.store import Neo4jStore
from tests.support.until import until


class HeldJournal(Journal):
    """Shows the feed no event after ``end``."""

    end = 0

    def last(self):
        return min(super().last(), self.end)


class HeldStore(Neo4jStore):
    def journal(self):
        self.held = HeldJournal(self._read, self._writer)
        return self.held

    def pump(self, share=1.0):
        """Let the feed write that share of the events that wait, and wait until it has."""
        waiting = self.feed_end() - self.held.end
        self.held.end += round(waiting * share)
        until(lambda: self.feed.status.packed >= self.held.end)

    def let_go(self):
        """Let the feed write whatever comes."""
        self.held.end = 2**62


def record(store, fact, number):
    """Commit an order or an outcome."""
    if isinstance(fact, Order):
        # Random attempts may repeat; each decision here has a key of its own.
        store.append(replace(synthetic_entry(fact, f"d{number}"), idempotency_key=f"k{number}"))
    else:
        store.append_outcomes([fact])


def context_of(store, order):
    """What the store answers; filed later, so that nobody's patience cuts a busy machine short."""
    return asyncio.run(store.read_context(replace(order, late=True)))
