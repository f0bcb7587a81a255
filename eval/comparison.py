"""Ranking figures of the model and of what runs beside it, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from riskgraph.eval.intervals import RankingDraws, percentile_interval, ranking_draws
from riskgraph.eval.metrics import FIXED_FPRS, REFERENCE, Roc, average_precision, roc_curve
from riskgraph.eval.slices import Scored, decisions
from riskgraph.ports import Progress


@dataclass(frozen=True, eq=False)
class Ranked:
    """ROC curve of one scorer, its figures as JSON and the draws behind their intervals."""

    roc: Roc
    entry: Mapping[str, Any]
    draws: RankingDraws


def ranking(scored: Mapping[str, Scored], progress: Progress | None) -> dict[str, Ranked]:
    """Figures of several scorers over the same orders, from the same bootstrap draws."""
    # All hold the same orders and clusters; only scores and verdicts differ.
    rows = next(iter(scored.values()))
    draws = ranking_draws(
        {name: s.probability for name, s in scored.items()},
        rows.is_fraud, rows.clusters, FIXED_FPRS, reps=rows.reps, seed=rows.seed, progress=progress,
    )  # fmt: skip
    return {name: _ranked(s, draws[name]) for name, s in scored.items()}


def _ranked(rows: Scored, draws: RankingDraws) -> Ranked:
    roc = roc_curve(rows.probability, rows.is_fraud)
    precision = average_precision(rows.probability, rows.is_fraud)
    entry = {
        "auc": asdict(percentile_interval(roc.auc, draws.auc)),
        "average_precision": asdict(percentile_interval(precision, draws.average_precision)),
        "recall_at_fpr": {
            f"{f:g}": asdict(percentile_interval(roc.recall_at_fpr(f), draws.recall_at_fpr[f]))
            for f in FIXED_FPRS
        },
    }
    return Ranked(roc, entry, draws)


def baseline_entry(
    name: str, versions: Mapping[str, str], rows: Scored, ranked: Mapping[str, Ranked]
) -> dict[str, Any]:
    """A baseline's figures, and whether the model beats it.

    The model *beats* it when the paired 95 % intervals of both differences (area, and recall at
    0.38 % false positives) lie above 0, *is beaten* when one lies below 0; otherwise no difference
    is shown, which is not beating.
    """
    model, other, fixed = ranked["model"], ranked[name], REFERENCE["fpr"]
    gain = percentile_interval(model.roc.auc - other.roc.auc, model.draws.auc - other.draws.auc)
    recall = percentile_interval(
        model.roc.recall_at_fpr(fixed) - other.roc.recall_at_fpr(fixed),
        model.draws.recall_at_fpr[fixed] - other.draws.recall_at_fpr[fixed],
    )
    # One bad figure is enough to be beaten, both must be good to beat: the doubt goes against the model.
    beaten = gain.upper < 0 or recall.upper < 0
    beats = gain.lower > 0 and recall.lower > 0
    return {
        "name": name,
        "versions": dict(versions),
        "ranking": other.entry,
        "frozen": {kind: decisions(rows, kind) for kind in ("reject", "reject_or_review")},
        "model_minus_baseline": {"auc": asdict(gain), f"recall_at_fpr_{fixed:g}": asdict(recall)},
        "outcome": "model_is_beaten" if beaten else "model_beats" if beats else "no_difference_shown",
    }
