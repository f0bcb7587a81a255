"""Ranking figures of the model and of what runs beside it, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from riskgraph.eval.cells import unknown
from riskgraph.eval.intervals import Interval, RankingDraws, percentile_interval, ranking_draws
from riskgraph.eval.metrics import (
    FIXED_FPRS,
    REFERENCE,
    Floats,
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
        told: Whether there is a curve: of real people not where a single step of its grid is left.
    """

    roc: Roc
    entry: Mapping[str, Any]
    draws: RankingDraws
    told: bool = True


def ranking(scored: Mapping[str, Scored], progress: Progress | None) -> dict[str, Ranked]:
    """Figures of several scorers over the same orders, from the same bootstrap draws."""
    # All hold the same orders and clusters; only scores and verdicts differ.
    rows = next(iter(scored.values()))
    # All that follows sees the least score of a step in place of the scores in it.
    seen = {n: s.probability if s.told is None else s.told.floor[s.told.step] for n, s in scored.items()}
    draws = ranking_draws(
        seen, rows.is_fraud, rows.clusters, FIXED_FPRS, reps=rows.reps, seed=rows.seed, progress=progress,
    )  # fmt: skip
    return {name: _ranked(seen[name], s, draws[name]) for name, s in scored.items()}


def _ranked(score: Floats, rows: Scored, draws: RankingDraws) -> Ranked:
    roc, is_fraud = roc_curve(score, rows.is_fraud), rows.is_fraud
    if rows.told is not None and len(rows.told.floor) == 1:
        return Ranked(roc, _untold(), draws, told=False)
    precision = average_precision(score, is_fraud)
    entry = {
        "auc": asdict(_interval(rows, roc.auc, draws.auc)),
        "average_precision": asdict(_interval(rows, precision, draws.average_precision)),
        "recall_at_fpr": {
            f"{f:g}": asdict(_interval(rows, roc.recall_at_fpr(f), draws.recall_at_fpr[f]))
            for f in FIXED_FPRS
        },
    }
    return Ranked(roc, entry, draws)


def _interval(rows: Scored, value: float, draws: Floats) -> Interval:
    interval = percentile_interval(value, draws)
    return interval if rows.told is None else interval.outward()


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
    gain = _interval(rows, model.roc.auc - other.roc.auc, model.draws.auc - other.draws.auc)
    recall = _interval(
        rows,
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
