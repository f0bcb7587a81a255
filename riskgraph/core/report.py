"""Attribution, reasons, the report record, and the decision that cannot exist without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.verdict import Verdict

MAX_REASONS = 4
BANDS = ("slight", "moderate", "strong")
# Of a sum of terms, of trees, and of any other model.
CLOSED_FORM, TREES, PERMUTATIONS = "closed_form", "trees", "permutations"


@dataclass(frozen=True, slots=True)
class Explained:
    """How contributions were found.

    Attributes:
        method: ``closed_form`` and ``trees`` are exact, ``permutations`` is an estimate.
        seed: Of the permutations; None where nothing is drawn.
        evaluations: How often the model was asked.
        error: float64[137], standard errors of phi; None where it is exact.
        optional: What the logit loses without all consent-based nodes; None where the terms tell it.
    """

    method: str = CLOSED_FORM
    seed: int | None = None
    evaluations: int = 1
    error: NDArray[np.float64] | None = None
    optional: float | None = None


_FROM_TERMS = Explained()


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """Shapley values on the logit scale, against the order with all nodes absent.

    Of a sum of terms they are ``phi_i = f_i(x_i) + 1/2 * sum_j g_ij(x_i, x_j)``. By every method their
    sum equals logit - offset.

    Attributes:
        phi: float64[137].
        own: float64[137], f_i; of a model without terms phi itself.
        pairs: float64[284], g_ij; of a model without terms zero.
        gap: ``abs(sum(phi) - (logit - offset))``.
        how: Method, and what an estimate has to state.
    """

    phi: NDArray[np.float64]
    own: NDArray[np.float64]
    pairs: NDArray[np.float64]
    gap: float
    how: Explained = _FROM_TERMS


@dataclass(frozen=True, slots=True)
class Reason:
    """One coded reason. ``nodes`` has the id or ids of its leading term, then those of others that count."""

    code: str
    nodes: tuple[str, ...]
    direction: str
    band: str
    share: float


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """The fewest things done otherwise that would have changed a verdict (C-203/22 ¶62; PIPL Art. 24(3)).

    Attributes:
        acts: Their codes, the easiest first; empty where none was found.
        verdict: What the order would have come to, by scoring it again; None where none was found.
        search: ``exact``: no set of fewer acts does. ``greedy``: no three do; of more, none that can be
            spared. ``bounded``: by few evaluations of a model without terms.
        evaluations: How often the model was asked.
        table: SHA-256 of the table of acts that it was sought in.
    """

    acts: tuple[str, ...]
    verdict: Verdict | None
    search: str
    evaluations: int
    table: str = ""


@dataclass(frozen=True, slots=True)
class DecisionReport:
    """The stored record beside a verdict, from which every audience's report is rendered.

    It holds what cannot be recomputed (order facts without identifiers, the packed subgraph,
    versions) and the exact explanation; wording and layout are made when someone reads it.
    """

    decision_id: str
    issued_at: str
    order: Mapping[str, Any]
    subgraph: bytes
    score: Mapping[str, Any]
    phi: bytes
    pairs: bytes
    reasons: tuple[Reason, ...]
    mitigating: tuple[Reason, ...]
    other_share: float
    versions: Mapping[str, str]
    provenance: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its report; there is no default verdict."""

    decision_id: str
    trace_id: str
    verdict: Verdict
    action: str
    mode: str
    score: float | None
    path: tuple[str, ...]
    degraded_cause: str | None
    context: str
    availability: str
    report: DecisionReport

    def __post_init__(self) -> None:
        if not isinstance(self.verdict, Verdict):
            raise TypeError(f"a decision needs a Verdict, got {self.verdict!r}")
        if not isinstance(self.report, DecisionReport):
            raise TypeError("a decision cannot exist without its report")
