"""What the parts need from each other, as protocols. Only ``bootstrap`` names concrete classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from riskgraph.core.context import OrderContext
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.core.report import Attribution, Decision
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import RiskScore


class Scorer(Protocol):
    """A loaded model. ``versions`` names it and its digest; refuses unknown availability classes."""

    @property
    def versions(self) -> dict[str, str]: ...

    @property
    def provenance(self) -> str: ...

    def score(self, subgraph: OrderSubgraph, availability: str) -> RiskScore: ...


class Explainer(Protocol):
    def explain(self, score: RiskScore) -> Attribution: ...


class GraphStore(Protocol):
    """Entity history: reads the context of an order as it stood just before ``order.placed_at``."""

    def context(self, order: Order) -> OrderContext: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """All that one decision commits in one transaction.

    ``answer`` is the exact response body kept for idempotent replays; ``body_sha256`` tells
    another body under the same key.
    """

    order: Order
    subgraph: OrderSubgraph
    decision: Decision
    idempotency_key: str
    body_sha256: str
    answer: bytes
    key_id: str


class Ledger(Protocol):
    """Durable record of decisions, outcomes, events and metered calls."""

    def append(self, entry: Entry) -> None:
        """Commit decision, report record, outbox row and meter row; return after the commit.

        Raises:
            StorageUnavailable: If nothing was committed.
        """

    def replay(self, idempotency_key: str) -> tuple[str, bytes] | None:
        """``(body_sha256, answer)`` of an earlier decision under this key."""

    def decision(self, decision_id: str, merchant_id: str | None) -> dict[str, Any] | None: ...

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> int: ...


class Signer(Protocol):
    """Ed25519 signatures of this installation."""

    @property
    def key_id(self) -> str: ...

    def sign(self, data: bytes) -> bytes: ...

    def verify(self, data: bytes, signature: bytes) -> bool: ...


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, UTC; never goes backwards within a process."""

    def monotonic(self) -> float: ...


class Progress(Protocol):
    """Told how far a long step is; shown as a bar on stderr."""

    def __call__(self, step: str, done: int, total: int) -> None: ...
