"""What is known of a decision beside its record: it came later, or is kept elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskgraph.explainers.afterwards import NOTHING_YET, Afterwards


@dataclass(frozen=True)
class Standing:
    """Where a decision stands when its report is read; of none of it is a word in the record.

    Attributes:
        model: What the card of the model that decided says of its origin, as JSON; None if that model is not
            at hand any more.
        approvals: Promotions of that model, oldest first, as JSON.
        after: Objections and what a person made of the decision.
        legal_hold: Why the report is kept beyond its period; None where nothing holds it.
        erasure_state: ``kept``, or ``restricted`` where it is only stored (GDPR Art. 18; PIPL Art. 47).
        supersedes: Id of the report that this one takes the place of.
        correction_of: Id of the decision that was corrected (GDPR Art. 16; PIPL Art. 46).
    """

    model: Mapping[str, Any] | None = None
    approvals: tuple[Mapping[str, Any], ...] = ()
    after: Afterwards = NOTHING_YET
    legal_hold: str | None = None
    erasure_state: str = "kept"
    supersedes: str | None = None
    correction_of: str | None = None


AS_DECIDED = Standing()
