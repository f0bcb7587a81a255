"""Second half of gate 6: no label is known before it was reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.outcome import FRAUD_KINDS, Outcome
from riskgraph.eval.worlds.gates.figure import Figure
from riskgraph.eval.worlds.gates.material import Material

_CLEAN = ({"confirmed_good"}, {"paid", "delivered"})


def label_guard(
    keys: Sequence[str], label: NDArray[np.int8], outcomes: Iterable[Outcome], known_at: float
) -> tuple[int, int]:
    """Labels that rest on later reports, and fraud reports that the guard held back.

    Reads the reports by itself: a guard that checked itself would not notice that it is gone.

    Args:
        keys: Order keys, N.
        label: int8[N] as said to be known at ``known_at``: 1 fraud, 0 clean, -1 none.
        outcomes: All outcomes, later ones too.
        known_at: Epoch seconds.
    """
    reported: dict[str, set[str]] = defaultdict(set)
    late: dict[str, set[str]] = defaultdict(set)
    for outcome in outcomes:
        (reported if outcome.reported_at <= known_at else late)[outcome.order_key].add(outcome.kind)
    early = 0
    for key, value in zip(keys, label.tolist(), strict=True):
        kinds = reported[key]
        grounded = kinds & FRAUD_KINDS if value == 1 else any(need <= kinds for need in _CLEAN)
        early += value >= 0 and not grounded
    held = sum(bool(late[key] & FRAUD_KINDS) and not reported[key] & FRAUD_KINDS for key in keys)
    return early, held


def label_time(material: Material, outcomes: Iterable[Outcome]) -> list[Figure]:
    """Gate 6: no label from later reports, in a world that has later reports to leak."""
    early, held = label_guard(material.keys, material.table.label, outcomes, material.known_at)
    told = f"{held} reports of fraud held back"
    return [
        Figure(6, "labels from later reports", material.seed, early, 0, 0, more=told),
        Figure(6, "reports of fraud held back", material.seed, held, low=1),
    ]
