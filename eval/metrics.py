"""Figures of a backtest: ranking, decisions at frozen thresholds, calibration.

Orders carry ``is_fraud`` (bool[N]) and a score (float64[N], higher is riskier). A share that has
nothing to divide by is NaN here and ``null`` in reports, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.verdict import Verdict

FIXED_FPRS = (0.001, 0.0038, 0.01)
# Somebody else's figures on other data; reports and plots say that they are not ours.
REFERENCE = {"recall": 0.927, "fpr": 0.0038}
FLAGGED = {"reject": (Verdict.REJECT,), "reject_or_review": (Verdict.REJECT, Verdict.REVIEW)}

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def share(part: float, whole: float) -> float:
    """``part / whole``; NaN when there is nothing to divide by."""
    return float(part) / float(whole) if whole else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """A ROC curve in whole orders: at ``threshold[i]`` and above lie ``fp[i]`` and ``tp[i]``.

    Starts at (0, 0) with an infinite threshold; points inside a straight run are left out, which
    changes neither the curve nor the area.
    """

    fp: Ints
    tp: Ints
    threshold: Floats

    @property
    def honest(self) -> int:
        return int(self.fp[-1])

    @property
    def fraud(self) -> int:
        return int(self.tp[-1])

    @property
    def fpr(self) -> Floats:
        return np.asarray(self.fp / max(self.honest, 1), dtype=np.float64)

    @property
    def tpr(self) -> Floats:
        return np.asarray(self.tp / max(self.fraud, 1), dtype=np.float64)

    @property
    def auc(self) -> float:
        """Area by the trapezoidal rule, exact in whole orders."""
        return area(self.fp, self.tp)

    def recall_at_fpr(self, fpr: float) -> float:
        """Recall where ``fpr`` of the honest orders are flagged.

        Between points of the curve the line counts: what drawing lots among tied orders would give,
        so that a coarse baseline does not lose by its ties.
        """
        if not self.fraud or not self.honest:
            return float("nan")
        return float(np.interp(fpr, self.fpr, self.tpr))


def area(fp: Ints, tp: Ints) -> float:
    """Area under ROC points given as cumulated counts; equals the Mann-Whitney statistic."""
    if not int(fp[-1]) or not int(tp[-1]):
        return float("nan")
    # In whole numbers up to the last division: floats would make the area depend on the order of summing.
    doubled = np.sum(np.diff(fp) * (tp[1:] + tp[:-1]), dtype=np.int64)
    return float(doubled) / (2.0 * int(fp[-1]) * int(tp[-1]))


def roc_curve(scores: Floats, is_fraud: Bools) -> Roc:
    """ROC curve over all distinct scores; tied orders enter together."""
    # Ties enter as one point below, so the order among them does not matter.
    order = np.argsort(-scores, kind="stable")
    ranked, hit = scores[order], is_fraud[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.array([], int)
    tp = np.concatenate([[0], np.cumsum(hit, dtype=np.int64)[last]])
    fp = np.concatenate([[0], last + 1 - tp[1:]]).astype(np.int64)
    threshold = np.concatenate([[np.inf], ranked[last]])
    step_fp, step_tp = np.diff(fp), np.diff(tp)
    bend = np.ones(len(fp), dtype=bool)
    # Cross products instead of slopes: exact in whole numbers, and no division by zero.
    bend[1:-1] = step_fp[:-1] * step_tp[1:] != step_fp[1:] * step_tp[:-1]
    return Roc(fp[bend], tp[bend], threshold[bend])


def auc(scores: Floats, is_fraud: Bools) -> float:
    """Chance that a fraudulent order outscores an honest one; ties count half.

    Source: Mann-Whitney U over midranks (Hanley and McNeil 1982).
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    fraud, honest = int(is_fraud.sum()), int((~is_fraud).sum())
    if not fraud or not honest:
        return float("nan")
    midrank = np.cumsum(counts) - (counts - 1) / 2.0
    return float((midrank[place][is_fraud].sum() - fraud * (fraud + 1) / 2.0) / (fraud * honest))


def average_precision(scores: Floats, is_fraud: Bools) -> float:
    """``sum((R_n - R_(n-1)) * P_n)`` over distinct scores, without interpolation."""
    if not is_fraud.any():
        return float("nan")
    values, place = np.unique(-scores, return_inverse=True)
    tp = np.cumsum(np.bincount(place[is_fraud], minlength=len(values)))
    seen = np.cumsum(np.bincount(place, minlength=len(values)))
    return float(np.sum(np.diff(tp, prepend=0) / tp[-1] * (tp / seen)))


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of orders at a frozen threshold."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, flagged: Bools, is_fraud: Bools) -> Confusion:
        tp, fp = int((flagged & is_fraud).sum()), int((flagged & ~is_fraud).sum())
        fraud = int(is_fraud.sum())
        return cls(tp, fp, fraud - tp, len(is_fraud) - fraud - fp)

    @property
    def recall(self) -> float:
        return share(self.tp, self.tp + self.fn)

    @property
    def fpr(self) -> float:
        return share(self.fp, self.fp + self.tn)

    @property
    def precision(self) -> float:
        return share(self.tp, self.tp + self.fp)

    @property
    def base_rate(self) -> float:
        return share(self.tp + self.fn, self.tp + self.fn + self.fp + self.tn)

    def precision_at(self, base_rate: float) -> float:
        """Precision if fraud had another base rate, recall and FPR unchanged (Bayes' rule)."""
        caught = self.recall * base_rate
        return share(caught, caught + self.fpr * (1.0 - base_rate))


def flagged(verdicts: NDArray[np.object_], kind: str) -> Bools:
    """Mask of flagged orders; ``kind`` is ``reject`` or ``reject_or_review`` (contracts, section 8)."""
    return np.isin(verdicts.astype(str), [str(v) for v in FLAGGED[kind]])


def gangs_caught(is_flagged: Bools, gang: Ints) -> tuple[Ints, Bools]:
    """Gang codes, and whether half of each gang's orders are flagged.

    Args:
        is_flagged: bool[N].
        gang: int64[N], -1 for an order of no gang.
    """
    member = gang >= 0
    codes, place = np.unique(gang[member], return_inverse=True)
    hits = np.bincount(place, weights=is_flagged[member], minlength=len(codes))
    return codes, 2 * hits >= np.bincount(place, minlength=len(codes))


def brier(probability: Floats, is_fraud: Bools) -> float:
    """Mean squared distance of probability and outcome (Brier 1950)."""
    return float(np.mean((probability - is_fraud) ** 2)) if len(probability) else float("nan")


def reliability(probability: Floats, is_fraud: Bools, bins: int = 15) -> list[dict[str, Any]]:
    """Mean probability and observed share of fraud in ``bins`` bins of equal mass."""
    return reliability_of(np.array_split(np.argsort(probability, kind="stable"), bins), probability, is_fraud)


def reliability_of(parts: Sequence[Ints], probability: Floats, is_fraud: Bools) -> list[dict[str, Any]]:
    """Mean probability and observed share of fraud in bins that are given as places of their orders."""
    return [
        {"orders": len(p), "probability": float(probability[p].mean()), "fraud": float(is_fraud[p].mean())}
        for p in parts
        if len(p)
    ]


def expected_calibration_error(probability: Floats, is_fraud: Bools, bins: int = 15) -> float:
    """Mean |observed - predicted| over equal-mass bins (Naeini et al. 2015, with quantile bins)."""
    return calibration_gap(reliability(probability, is_fraud, bins))


def calibration_gap(rows: Sequence[Mapping[str, Any]]) -> float:
    """Mean |observed - predicted| over the bins of :func:`reliability`; NaN without orders."""
    orders = sum(r["orders"] for r in rows)
    off = sum(r["orders"] * abs(r["fraud"] - r["probability"]) for r in rows)
    return float(off) / orders if orders else float("nan")
