"""A store whose feed goes as far as a test lets it."""

from __future__ import annotations

from riskgraph.stores.neo4j.journal import Journal
from riskgraph.stores.neo4j.store import Neo4jStore
from tests.support.until import until


class HeldJournal(Journal):
    """Shows the feed no event after ``end``."""

    end = 0

    def last(self):
        return min(super().last(), self.end)


class HeldStore(Neo4jStore):
    def _journal(self):
        self.held = HeldJournal(self._read, self._writer)
        return self.held

    def pump(self, share=1.0):
        """Let the feed write that share of the events that wait, and wait until it has."""
        waiting = self.feed_end() - self.held.end
        self.held.end += round(waiting * share)
        until(lambda: self.feed.status.packed >= self.held.end)
