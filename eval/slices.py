"""Tables of a backtest: where recall and false positives differ.

Every row gives counts beside its shares, so that a thin slice is seen to be thin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.verdict import Thresholds, Verdict
from riskgraph.eval.cells import (
    ACCEPT,
    REJECT,
    REVIEW,
    Parts,
    Persons,
    Told,
    parts_of,
    tells,
    told_ratio,
    unknown,
)
from riskgraph.eval.intervals import REPS, Clusters, Interval, ratio_interval
from riskgraph.eval.metrics import (
    FLAGGED,
    Bools,
    Confusion,
    Floats,
    Ints,
    auc,
    flagged,
    gangs_caught,
    share,
)

DAY_US = 86_400_000_000
WEEK_US = 7 * DAY_US
_MONDAY_US = 4 * DAY_US  # 1970-01-05
BASE_RATES = (0.001, 0.005, 0.01)
CAMOUFLAGE_STEPS = 8
# Which class each cell of the confusion matrix is of, fraud or not.
_CLASS = {"tp": True, "fn": True, "fp": False, "tn": False}
# A slice with fewer honest orders is shown but not judged.
JUDGED_FROM = 500
# A kind of honest person must not carry the false positives of all: neither in absolute numbers nor against
# the rest.
SLICE_FPR_LIMIT = 0.02
SLICE_FPR_RATIO = 5.0


@dataclass(frozen=True, eq=False)
class Scored:
    """Orders of the window with truth, score and verdict; columns of length N.

    Attributes:
        gang: int64[N], -1 for an order of no gang.
        camouflage: float64[N], 0 open to 1 like an honest person; NaN where unknown.
        clusters: What the bootstrap draws as a whole.
        told: Which answers may be told apart; None where all may, as of simulated orders.
    """

    order_id: NDArray[np.object_]
    placed_at: Ints
    availability: NDArray[np.object_]
    probability: Floats
    verdict: NDArray[np.object_]
    is_fraud: Bools
    gang: Ints
    archetype: NDArray[np.object_]
    camouflage: Floats
    honest_type: NDArray[np.object_]
    clusters: Clusters
    reps: int = REPS
    seed: int = 0
    told: Told | None = None

    def __len__(self) -> int:
        return len(self.order_id)

    def with_verdicts(self, verdict: NDArray[np.object_], probability: Floats) -> Scored:
        """The same orders as another scorer sees them."""
        return replace(self, verdict=verdict, probability=probability)

    def tells(self, kind: str, fraud: bool) -> bool:
        """Whether it may be told how many orders of a class were answered so."""
        return self.told is None or self.told.tells(kind, fraud)

    def ratio(self, hit: Bools, among: Bools) -> dict[str, Any]:
        """Share with interval, as JSON."""
        if self.told is not None:
            return asdict(told_ratio(hit, among, self.clusters, self.reps, self.seed))
        return asdict(ratio_interval(hit, among, self.clusters, reps=self.reps, seed=self.seed))

    def share(self, kind: str, among: Bools) -> dict[str, Any]:
        """Share of orders of one class that were answered so, or a bound where it is not told."""
        hit = answered(self.verdict, kind)
        # Of nobody there is no share to withhold.
        if self.told is None or not among.any() or self.told.tells(kind, bool(self.is_fraud[among].any())):
            return self.ratio(hit, among)
        return self.told.withheld(hit, among, self.clusters, self.reps, self.seed)


def answered(verdict: NDArray[np.object_], kind: str) -> Bools:
    """Mask of orders that were flagged, see :func:`flagged`, or that went to ``review``."""
    return verdict == Verdict.REVIEW if kind == "review" else flagged(verdict, kind)


def decisions(rows: Scored, kind: str) -> dict[str, Any]:
    """Recall, FPR, precision and base rate at the frozen thresholds, orders and gangs.

    Args:
        rows: Scored orders.
        kind: ``reject`` or ``reject_or_review``, what counts as flagged.
    """
    hit, fraud = flagged(rows.verdict, kind), rows.is_fraud
    counts = Confusion.of(hit, fraud)
    hidden = {cell for cell, of in _CLASS.items() if not rows.tells(kind, of)}
    return {
        "flagged": kind,
        **{cell: None if cell in hidden else count for cell, count in asdict(counts).items()},
        "recall": rows.share(kind, fraud),
        "fpr": rows.share(kind, ~fraud),
        "precision": unknown() if hidden else rows.ratio(fraud, hit),
        "base_rate": counts.base_rate,
        "precision_at_base_rate": {f"{b:g}": None if hidden else counts.precision_at(b) for b in BASE_RATES},
        "gangs": _gangs(rows, kind),
    }


def _gangs(rows: Scored, kind: str) -> dict[str, Any]:
    hit = flagged(rows.verdict, kind)
    if rows.told is None:
        return gang_decisions(rows, hit)
    among = rows.is_fraud & (rows.gang >= 0)
    if not rows.told.tells_number(rows.gang, among):
        return {"count": None, "caught": None, "recall": unknown()}
    if not tells(_gang_parts(rows, rows.told.persons), kind):
        return {"count": len(np.unique(rows.gang[among])), "caught": None, "recall": unknown()}
    found = gang_decisions(rows, hit)
    return {**found, "recall": asdict(Interval(**found["recall"]).outward())}


def _gang_parts(rows: Scored, persons: Persons) -> Parts:
    """Whether gangs that were caught so may be told apart: their orders are counted, like any others."""
    gang = np.where(rows.is_fraud, rows.gang, -1)
    answer = np.full(len(rows), ACCEPT, dtype=np.int64)
    # What is caught by rejects is caught by rejects and reviews too, so it comes last.
    for kind, code in (("reject_or_review", REVIEW), ("reject", REJECT)):
        codes, caught = gangs_caught(flagged(rows.verdict, kind), gang)
        answer[np.isin(gang, codes[caught])] = code
    return parts_of(persons, answer, gang >= 0)


def gang_decisions(rows: Scored, hit: Bools) -> dict[str, Any]:
    """Gangs of which half of the orders are flagged; intervals draw gangs."""
    # A gang is caught by its fraudulent orders alone.
    codes, caught = gangs_caught(hit, np.where(rows.is_fraud, rows.gang, -1))
    # A gang is one trial here, whatever its size.
    each = Clusters(np.arange(len(codes)), np.ones(len(codes), dtype=bool))
    every = np.ones(len(codes), dtype=bool)
    recall: Interval = ratio_interval(caught, every, each, reps=rows.reps, seed=rows.seed)
    return {"count": len(codes), "caught": int(caught.sum()), "recall": asdict(recall)}


def _recalls(rows: Scored, among: Bools) -> dict[str, Any]:
    return {f"recall_{kind}": rows.share(kind, among) for kind in FLAGGED}


def _fprs(rows: Scored, among: Bools) -> dict[str, Any]:
    return {f"fpr_{kind}": rows.share(kind, among) for kind in FLAGGED}


def _parts(
    rows: Scored, code: Ints, *, ordered: bool = False
) -> tuple[Scored, list[tuple[list[int], Bools]]]:
    """Rows of a table: each code, or of real people so many codes together that all may be told.

    Returns:
        The orders with what the table tells apart, and of each row its codes and orders bool[N]; no row
        where only a single one would be left. -1 is in no row.
    """
    if rows.told is None:
        groups = [[int(c)] for c in np.unique(code[code >= 0])]
    else:
        found = rows.told.rows(code, ordered=ordered)
        if found is None:
            return rows, []
        groups, told = found
        rows = replace(rows, told=told)
    return rows, [(group, np.isin(code, group)) for group in groups]


def by_availability(rows: Scored, thresholds: Mapping[str, Thresholds]) -> list[dict[str, Any]]:
    """One row per availability class, with the frozen thresholds that held for it."""
    names, code = np.unique(rows.availability.astype(str), return_inverse=True)
    rows, parts = _parts(rows, code)
    table = []
    for group, inside in parts:
        fraud, honest = rows.is_fraud & inside, ~rows.is_fraud & inside
        limits = {thresholds[name] for name in names[group]}
        limit = limits.pop() if len(limits) == 1 else None
        # Of real people a class has no grid of its own, and an exact area would tell ranks.
        area = auc(rows.probability[inside], rows.is_fraud[inside]) if rows.told is None else None
        table.append({
            "availability": ", ".join(names[group]),
            "orders": int(inside.sum()),
            "fraud": int(fraud.sum()),
            "review_threshold": limit and limit.review,
            "reject_threshold": limit and limit.reject,
            "auc": area,
            **_recalls(rows, fraud),
            **_fprs(rows, honest),
            "review_share_honest": rows.share("review", honest),
        })  # fmt: skip
    return table


def by_archetype(rows: Scored) -> list[dict[str, Any]]:
    """Recall per kind of fraud, orders and gangs."""
    table = []
    for name in sorted(set(rows.archetype[rows.is_fraud])):
        inside = rows.is_fraud & (rows.archetype == name)
        codes, caught = gangs_caught(flagged(rows.verdict, "reject"), np.where(inside, rows.gang, -1))
        table.append({
            "archetype": name,
            "orders": int(inside.sum()),
            **_recalls(rows, inside),
            "gangs": len(codes),
            "gangs_caught_reject": int(caught.sum()),
        })  # fmt: skip
    return table


def by_honest_type(rows: Scored) -> list[dict[str, Any]]:
    """False-positive rate per kind of honest person, judged where at least 500 orders are.

    A slice fails when more than 2 % of it is rejected, or five times the overall rate.
    """
    overall = share((flagged(rows.verdict, "reject") & ~rows.is_fraud).sum(), (~rows.is_fraud).sum())
    table = []
    for name in sorted(set(rows.honest_type[~rows.is_fraud])):
        inside = ~rows.is_fraud & (rows.honest_type == name)
        fprs, judged = _fprs(rows, inside), int(inside.sum()) >= JUDGED_FROM
        rate = fprs["fpr_reject"]["value"]
        failed = rate > SLICE_FPR_LIMIT or rate > SLICE_FPR_RATIO * overall
        status = ("over_limit" if failed else "within_limit") if judged else "too_few_to_judge"
        table.append({"honest_type": name, "orders": int(inside.sum()), **fprs, "status": status})
    return table


def by_camouflage(rows: Scored) -> list[dict[str, Any]]:
    """Recall against camouflage, in steps with about equally many orders."""
    known = rows.is_fraud & np.isfinite(rows.camouflage)
    if not known.any():
        return []
    values = rows.camouflage[known]
    # Camouflage is one value a gang, so quantiles can coincide.
    edges = np.unique(np.quantile(values, np.linspace(0, 1, CAMOUFLAGE_STEPS + 1)))
    step = np.clip(np.searchsorted(edges, rows.camouflage, side="right") - 1, 0, max(len(edges) - 2, 0))
    table = []
    for i in np.unique(step[known]):
        inside = known & (step == i)
        part = rows.camouflage[inside]
        table.append({
            "from": float(part.min()),
            "to": float(part.max()),
            "mean": float(part.mean()),
            "orders": int(inside.sum()),
            "gangs": len(np.unique(rows.gang[inside & (rows.gang >= 0)])),
            **_recalls(rows, inside),
        })  # fmt: skip
    return table


def by_week(rows: Scored) -> list[dict[str, Any]]:
    """One row per week, Monday to Sunday, UTC; of real people perhaps of several, ``first/last day``."""
    week = (rows.placed_at - _MONDAY_US) // WEEK_US
    rows, parts = _parts(rows, week, ordered=True)
    table = []
    for group, inside in parts:
        fraud, honest = rows.is_fraud & inside, ~rows.is_fraud & inside
        table.append({
            "week": _weeks(group),
            "orders": int(inside.sum()),
            "fraud": int(fraud.sum()),
            **_recalls(rows, fraud),
            **_fprs(rows, honest),
            "review_share_honest": rows.share("review", honest),
        })  # fmt: skip
    return table


def _weeks(numbers: list[int]) -> str:
    monday, next_monday = (
        datetime.fromtimestamp((n * WEEK_US + _MONDAY_US) / 1e6, UTC).date()
        for n in (numbers[0], numbers[-1] + 1)
    )
    first = monday.isoformat()
    return first if len(numbers) == 1 else f"{first}/{(next_monday - timedelta(days=1)).isoformat()}"


def by_novelty(rows: Scored, seen_before: Bools) -> list[dict[str, Any]]:
    """Recall for gangs that placed orders before the window, and for those that did not."""
    table = []
    gang = rows.is_fraud & (rows.gang >= 0)
    if rows.told is not None:
        rows, parts = _parts(rows, np.where(gang, np.where(seen_before, 0, 1), -1))
        if not parts:
            return []
    sides = {"active_before": gang & seen_before, "new_in_window": gang & ~seen_before}
    # Both or none: the number of one follows from that of the other and of all.
    told = rows.told is None or all(rows.told.tells_number(rows.gang, side) for side in sides.values())
    for name, inside in sides.items():
        codes = np.unique(rows.gang[inside])
        row = {"gangs": name, "count": len(codes) if told else None, "orders": int(inside.sum())}
        table.append({**row, **_recalls(rows, inside)})
    return table
