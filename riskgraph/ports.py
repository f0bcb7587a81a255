"""What the parts need from each other, as protocols. Only ``bootstrap`` names concrete classes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.behavior_nodes import SessionNodes
from riskgraph.core.context import OrderContext
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.core.report import Attribution, Counterfactual, Decision, DecisionReport
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import DecisionTree, OrderScore, Scale, Walk


class Scorer(Protocol):
    """A loaded model. ``versions`` names it and its digest; refuses unknown availability classes."""

    @property
    def versions(self) -> dict[str, str]: ...

    @property
    def provenance(self) -> str: ...

    def score(self, subgraph: OrderSubgraph, availability: str) -> OrderScore: ...

    def scale(self, availability: str) -> Scale | None:
        """What a class is judged on; None for one that the model does not know."""


class Explainer(Protocol):
    def explain(self, score: OrderScore) -> Attribution: ...


class CounterfactualFinder(Protocol):
    def __call__(
        self, subgraph: OrderSubgraph, score: OrderScore, walk: Walk, scorer: Scorer, tree: DecisionTree, /
    ) -> Counterfactual | None:
        """The fewest acts of the shopper that lead to a milder verdict; None for an accepted order."""


class ReportWriter(Protocol):
    """Decides the action under the merchant's policy and writes the report record."""

    @property
    def provenance(self) -> str:
        """``simulated`` when the model or the merchant is, else ``merchant``."""

    @property
    def simulated(self) -> bool:
        """Whether the merchant is, and so are all orders."""

    def action_for(self, order: Order, walk: Walk, *, degraded: bool) -> tuple[str, str]:
        """``(action, mode)``: none | step_up | hold | block, and observe | enforce."""

    def write(
        self,
        order: Order,
        subgraph: OrderSubgraph,
        score: OrderScore | None,
        walk: Walk,
        attribution: Attribution | None,
        decision_id: str,
        action: str,
        mode: str,
        degraded_cause: str | None,
        context_source: str,
        counterfactual: Counterfactual | None = None,
    ) -> DecisionReport: ...

    def review_due(self, decision: Decision) -> float | None:
        """Until when a person looks at what was decided, epoch seconds; None where nobody has to."""

    def texts(self, report: DecisionReport, subgraph: OrderSubgraph, lang: str) -> list[str]:
        """One text a reason, in the asked language."""


class GraphStore(Protocol):
    """Entity history: reads the context of an order as it stood just before ``order.placed_at``."""

    async def read_context(self, order: Order) -> OrderContext:
        """The computed nodes of an order; the loop goes on where another machine is asked."""


class BehaviorSource(Protocol):
    """Sessions of the browser SDK."""

    async def nodes(self, order: Order) -> SessionNodes:
        """What ``order.session`` tells of the order's nodes, by its consent and that of the order.

        The first order that names a session has it; for any other there is nothing.
        """


@dataclass(frozen=True, slots=True)
class Entry:
    """All that one decision commits in one transaction.

    ``answer`` is the exact response body kept for idempotent replays; ``body_sha256`` tells
    another body under the same key. ``simulated`` tells orders of a simulated shop. ``review_due`` is until
    when a person must have looked at it, where the decision holds the order.
    """

    order: Order
    subgraph: OrderSubgraph
    decision: Decision
    idempotency_key: str
    body_sha256: str
    answer: bytes
    key_id: str
    simulated: bool
    review_due: float | None = None


class Ledger(Protocol):
    """Durable record of decisions, outcomes, events and metered calls."""

    def submit(self, entry: Entry) -> Future[None]:
        """Commit decision, report record, outbox row and meter row in one transaction.

        The future is done after the commit; it holds StorageUnavailable if nothing was committed
        and Conflict if the idempotency key is taken.
        """

    def replay(self, idempotency_key: str) -> tuple[str, bytes] | None:
        """``(body_sha256, answer)`` of an earlier decision under this key."""

    def decision(self, decision_id: str, merchant_id: str | None) -> dict[str, Any] | None: ...

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> int: ...


@dataclass(frozen=True, slots=True)
class ShadowScore:
    """What a challenger said of a decided order: probability and verdict, or the error that it raised."""

    decision_id: str
    model: str
    model_sha256: str
    score: float | None
    verdict: str | None
    error: str | None


class ShadowLedger(Protocol):
    def append_shadow(self, rows: Sequence[ShadowScore]) -> None: ...


class Shadow(Protocol):
    def submit(self, decision_id: str, subgraph: OrderSubgraph, availability: str, merchant_id: str) -> None:
        """Have challengers score an order that is committed; returns at once and never raises."""


class Verifier(Protocol):
    """Checks Ed25519 signatures of one installation, this or another; needs its public key only."""

    @property
    def key_id(self) -> str: ...

    def verify(self, data: bytes, signature: bytes) -> bool: ...


class Signer(Verifier, Protocol):
    """Makes this installation's signatures too."""

    def sign(self, data: bytes) -> bytes: ...


class LogSigner(Signer, Protocol):
    """Signs tree heads; ``verify`` answers for earlier keys of this installation too."""

    def signs_now(self, data: bytes, signature: bytes) -> bool:
        """Whether a signature is of the key that signs now, or is the last one of the key before it."""


class TrainingRows(Protocol):
    """M rows to fit on.

    Attributes:
        components: float32[M, 259], NaN where absent.
        availability: object[M], availability class.
        label: int8[M], 1 fraud, 0 honest.
        weight: float64[M], positive.
        cluster: int32[M], fraud cluster, negative where there is none.
    """

    @property
    def components(self) -> NDArray[np.float32]: ...
    @property
    def availability(self) -> NDArray[np.object_]: ...
    @property
    def label(self) -> NDArray[np.int8]: ...
    @property
    def weight(self) -> NDArray[np.float64]: ...
    @property
    def cluster(self) -> NDArray[np.int32]: ...


class TrainingColumns(Protocol):
    """M rows to fit on, of which components are read some at a time; the rest as in ``TrainingRows``."""

    @property
    def availability(self) -> NDArray[np.object_]: ...
    @property
    def label(self) -> NDArray[np.int8]: ...
    @property
    def weight(self) -> NDArray[np.float64]: ...
    @property
    def cluster(self) -> NDArray[np.int32]: ...

    def columns(self, part: slice) -> NDArray[np.float32]:
        """float32[M, C], some neighbouring components, NaN where absent."""


class ArrayScorer(Protocol):
    def __call__(
        self, components: NDArray[np.float32], availability: NDArray[np.object_], /
    ) -> NDArray[np.float64]:
        """float64[N], higher for fraud, of components float32[N, 259] and availability classes."""


class Fitter(Protocol):
    """Fits arrays; injected where the sandbox measures what a release costs.

    It goes to another process by name, so it is a function of a module.
    """

    def __call__(self, rows: TrainingRows, seed: int, /) -> ArrayScorer: ...


class PairScreen(Protocol):
    """What additive terms leave over on M rows, by pair of nodes.

    Attributes:
        bins: uint8[M, 137], bin 1 to 12 of the component that stands for each node, 0 where absent.
    """

    @property
    def bins(self) -> NDArray[np.uint8]: ...

    def interactions(self, a: int, b: int, /) -> NDArray[np.float64]:
        """float64[12, 12], gain of each cut of two nodes: [i, j] low up to bin i + 1 and j + 1."""

    def redrawn(self, level: NDArray[np.float64], /) -> PairScreen:
        """The same with labels that follow the terms: fraud where its chance is above float64[M]."""


class PairScreener(Protocol):
    """Fits additive terms on rows; injected where the sandbox looks for pairs, as a ``Fitter`` is."""

    def __call__(self, rows: TrainingRows, seed: int, /) -> PairScreen: ...


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, UTC; never goes backwards within a process."""

    def monotonic(self) -> float: ...


class Progress(Protocol):
    """Told how far a long step is; shown as a bar on stderr.

    What follows ": " in ``step`` is shown beside the bar and may change from call to call.
    """

    def __call__(self, step: str, done: int, total: int) -> None: ...
