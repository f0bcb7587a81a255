"""A store whose feed goes as far as a test lets it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from riskgraph.core.order import Order
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.journal import Journal
from riskgraph.stores.neo4j.connect import Connection, parse_url
from riskgraph.stores.neo4j.store import Neo4jOptions, Neo4jStore
from tests.support.until import until


class HeldJournal(Journal):
    """Shows the feed no event after ``end``."""

    end = 0

    def last(self):
        return min(super().last(), self.end)


class HeldStore(Neo4jStore):
    held = None

    def journal(self):
        if self.held is None:
            self.held = HeldJournal(self._read, self._writer)
        return self.held

    def feed_end(self):
        """The newest event, whether the feed is shown it or not."""
        return super().journal().last()

    def pump(self, share=1.0):
        """Let the feed write that share of the events that wait, and wait until it has."""
        waiting = self.feed_end() - self.held.end
        self.held.end += round(waiting * share)
        until(lambda: self.feed.status.packed >= self.held.end)

    def let_go(self):
        """Let the feed write whatever comes."""
        self.held.end = 2**62


def open_held(server, path, uri=None, deadline_s=2.0, days=3650, **given):
    """A store beside the server, or beside another address of it."""
    credentials = (server.user, server.password) if server.user else None
    connection = Connection(parse_url(f"{uri or server.uri}?journal={path}"), credentials)
    # Wide, since a test is no checkout and its machine is busy; what it cuts is cut all the same.
    options = Neo4jOptions(deadline_s=deadline_s, days=days)
    return HeldStore(path, synthetic_secrets(), connection, options, **given)


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
