"""Ranking figures of the model and of what runs beside it, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from riskgraph.eval.cells import unknown
from riskgraph.eval.intervals import RankingDraws, percentile_interval, ranking_draws
from riskgraph.eval.metrics import (
    FIXED_FPRS,
    REFERENCE,
    Bools,
    Floats,
    Ints,
    Roc,
    average_precision,
    roc_curve,
)
from riskgraph.eval.slices import Scored, decisions
from riskgraph.ports import Progress


@dataclass(frozen=True, eq=False)
class Ranked:
    """ROC curve of one scorer, its figures as JSON and the draws behind their intervals.

    Attributes:
        step: int64[N], step of the ROC grid that each order lies in, 0 the riskiest; None of simulated
            orders, whose scores are ranked one by one.
        floor: float64[S], least score of each step, the last 0.
        told: Whether there is more than one step, so that there is a curve.
    """

    roc: Roc
    entry: Mapping[str, Any]
    draws: RankingDraws
    step: Ints | None = None
    floor: Floats | None = None
    told: bool = True


def ranking(
    scored: Mapping[str, Scored], marks: Mapping[str, Sequence[float]], progress: Progress | None
) -> dict[str, Ranked]:
    """Figures of several scorers over the same orders, from the same bootstrap draws.

    Args:
        scored: The orders as each scorer sees them.
        marks: Frozen thresholds of each scorer; a step of its ROC grid may begin there.
        progress: Told of the draws.
    """
    # All hold the same orders and clusters; only scores and verdicts differ.
    rows = next(iter(scored.values()))
    steps = {
        name: s.told.steps(s.probability, marks[name]) for name, s in scored.items() if s.told is not None
    }
    # All that follows sees the least score of a step in place of the scores in it.
    seen = {n: steps[n][1][steps[n][0]] if n in steps else s.probability for n, s in scored.items()}
    draws = ranking_draws(
        seen, rows.is_fraud, rows.clusters, FIXED_FPRS, reps=rows.reps, seed=rows.seed, progress=progress,
    )  # fmt: skip
    return {
        name: _ranked(score, rows.is_fraud, draws[name], *steps.get(name, (None, None)))
        for name, score in seen.items()
    }


def _ranked(
    score: Floats, is_fraud: Bools, draws: RankingDraws, step: Ints | None, floor: Floats | None
) -> Ranked:
    roc = roc_curve(score, is_fraud)
    if step is not None and not step.any():
        return Ranked(roc, _untold(), draws, step, floor, told=False)
    precision = average_precision(score, is_fraud)
    entry = {
        "auc": asdict(percentile_interval(roc.auc, draws.auc)),
        "average_precision": asdict(percentile_interval(precision, draws.average_precision)),
        "recall_at_fpr": {
            f"{f:g}": asdict(percentile_interval(roc.recall_at_fpr(f), draws.recall_at_fpr[f]))
            for f in FIXED_FPRS
        },
    }
    return Ranked(roc, entry, draws, step, floor)


def _untold() -> dict[str, Any]:
    recall = {f"{f:g}": unknown() for f in FIXED_FPRS}
    return {"auc": unknown(), "average_precision": unknown(), "recall_at_fpr": recall}


def baseline_entry(
    name: str, versions: Mapping[str, str], rows: Scored, ranked: Mapping[str, Ranked]
) -> dict[str, Any]:
    """A baseline's figures, and whether the model beats it.

    The model *beats* it when the paired 95 % intervals of both differences (area, and recall at
    0.38 % false positives) lie above 0, *is beaten* when one lies below 0; otherwise no difference
    is shown, which is not beating. Where a curve is withheld, so is the outcome.
    """
    model, other, fixed = ranked["model"], ranked[name], REFERENCE["fpr"]
    frozen = {kind: decisions(rows, kind) for kind in ("reject", "reject_or_review")}
    entry = {"name": name, "versions": dict(versions), "ranking": other.entry, "frozen": frozen}
    if not (model.told and other.told):
        gains = {"auc": unknown(), f"recall_at_fpr_{fixed:g}": unknown()}
        return {**entry, "model_minus_baseline": gains, "outcome": "withheld"}
    gain = percentile_interval(model.roc.auc - other.roc.auc, model.draws.auc - other.draws.auc)
    recall = percentile_interval(
        model.roc.recall_at_fpr(fixed) - other.roc.recall_at_fpr(fixed),
        model.draws.recall_at_fpr[fixed] - other.draws.recall_at_fpr[fixed],
    )
    # One bad figure is enough to be beaten, both must be good to beat: the doubt goes against the model.
    beaten = gain.upper < 0 or recall.upper < 0
    beats = gain.lower > 0 and recall.lower > 0
    return {
        **entry,
        "model_minus_baseline": {"auc": asdict(gain), f"recall_at_fpr_{fixed:g}": asdict(recall)},
        "outcome": "model_is_beaten" if beaten else "model_beats" if beats else "no_difference_shown",
    }
