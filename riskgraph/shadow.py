"""Challengers in shadow: other models score each order after it was answered, for later comparison."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Full, Queue
from threading import Thread

from riskgraph.core.baseline_view import Views
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import DecisionTree
from riskgraph.ports import Scorer, ShadowLedger, ShadowScore

_LOG = logging.getLogger("riskgraph.shadow")
MAX_WAITING = 1000
# A service that ends must be gone before whoever stops it loses patience and kills it.
CLOSE_S = 3.0

_Job = tuple[str, OrderSubgraph, str, str]


class Challengers:
    """Scores committed orders in a thread of its own; whatever goes wrong in it stays in it.

    Args:
        scorers: The challengers.
        views: By which each of them sees orders; none where they see what is stored.
        tree: Gives their verdicts; nobody acts on these.
        ledger: Keeps their scores.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        tree: DecisionTree,
        ledger: ShadowLedger,
        views: Sequence[Views] = (),
    ) -> None:
        self._scorers = tuple(zip(scorers, views or [Views()] * len(scorers), strict=True))
        self._tree, self._ledger = tree, ledger
        self._waiting: Queue[_Job | None] = Queue(MAX_WAITING)
        self.dropped = 0
        self._until = math.inf
        self._thread = Thread(target=self._run, name="riskgraph-challengers", daemon=True)
        self._thread.start()

    def submit(self, decision_id: str, subgraph: OrderSubgraph, availability: str, merchant_id: str) -> None:
        """Queue an order; one too many is left out and counted, since answers do not wait."""
        try:
            self._waiting.put_nowait((decision_id, subgraph, availability, merchant_id))
        except Full:
            self.dropped += 1
            # While it lasts, since a service runs for months; and not for each, since a log is read.
            if self.dropped % MAX_WAITING == 1:
                self._tell_dropped()

    def close(self) -> None:
        """Score what is queued, for some seconds at most, and end; what is left then is left out."""
        self._until = time.monotonic() + CLOSE_S
        with suppress(Full):
            self._waiting.put(None, timeout=CLOSE_S)
        # Longer than it may score, since it still has an order at hand; one that hangs is left behind.
        self._thread.join(2 * CLOSE_S)
        if self.dropped:
            self._tell_dropped()

    def _tell_dropped(self) -> None:
        _LOG.warning("challengers could not keep up: %d orders were left out", self.dropped)

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            if time.monotonic() > self._until:
                self.dropped += 1
                continue
            rows = [self._score(job, scorer, views) for scorer, views in self._scorers]
            try:
                self._ledger.append_shadow(rows)
            except Exception as failure:  # the decision is on record; a comparison may lack an order
                _LOG.error("scores of challengers were not kept: %s", type(failure).__name__)

    def _score(self, job: _Job, scorer: Scorer, views: Views) -> ShadowScore:
        decision_id, subgraph, availability, merchant_id = job
        told = decision_id, scorer.versions["model"], scorer.versions["model_sha256"]
        try:
            score = scorer.score(views.see(subgraph, merchant_id), availability)
            return ShadowScore(*told, score.probability, self._tree.walk(score).verdict.value, None)
        except Exception as failure:  # a challenger that fails is a finding, kept like a score
            return ShadowScore(*told, None, None, type(failure).__name__)
