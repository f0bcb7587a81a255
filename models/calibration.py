"""Offsets and thresholds per availability class, from released rows held out from training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.verdict import Thresholds
from riskgraph.models.card import AVAILABILITY_CLASSES, PHASES, Calibration
from riskgraph.models.compiled import sigmoid
from riskgraph.models.rows import BinnedRows, Labelled, Rows, without_source

REJECT_SHARE = 0.0038
FLAGGED_SHARE = 0.013
# Rows drawn from a release have thinner tails than raw ones: about twice as many raw honest orders lie
# beyond a cut, measured on three simulated worlds (docs/decisions/0029).
DRAWN_TAIL = 2.0
# 0.19 % of fewer rows than this is not even four orders: no cut for *reject* can be read off so few.
MIN_HONEST = 2000
# Of refusers the share beyond a cut is below the wanted one with this confidence: a refusal may cost nothing
# (GDPR Art. 7(4); PIPL Art. 16), so the doubt of few rows is theirs.
REFUSED_CONFIDENCE = 0.95
# With so many fraud rows the own correction of a class counts half.
FEW_FRAUD = 30.0
# In logits.
_MARGIN = 0.5
# A threshold of 1 could not be reached, and review has to lie below reject.
_CEILING = 1.0 - 1e-9

RawLogits = Callable[[NDArray[Any]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Sample:
    """Rows that stand for one class, and where they come from, in words."""

    rows: Rows | BinnedRows
    source: str


def calibrate(
    raw: RawLogits, bias: Mapping[str, float], held_out: Rows | BinnedRows
) -> dict[str, Calibration]:
    """Offset and thresholds of every availability class.

    The offset makes the mean prediction equal the weighted fraud rate of the class; with few fraud
    rows the correction leans on that of all rows. *Reject* aims at 0.38 % of honest
    orders, *reject and review* together at 1.3 %; on held-out drawn rows the cuts are at half of that,
    for those who refuse with 95 % confidence: chance does not fall to their cost (docs/decisions/0012).

    A class with too few honest rows borrows: ``refused`` and ``no_front_end`` from front-end rows of
    the same phase with the nodes of that source masked, any class from the same source of the other
    phase, and at last from all rows.

    Held-out rows come from the same groups as training rows (``rows.split``) and a group gives several, so
    a cut rests on fewer persons than rows, and its share of new orders is another; a backtest
    measures it.

    Args:
        raw: Logits without offset of the components of ``held_out``.
        bias: Offset of each class as training left it.
        held_out: Rows that training has not fitted.
    """
    general = 0.0
    if held_out.fraud.any():
        logit = raw(held_out.components) + _trained(bias, held_out)
        general = solve_shift(logit, held_out.weight, held_out.fraud_rate)
    return {name: _class(raw, bias, held_out, name, general) for name in AVAILABILITY_CLASSES}


def _class(
    raw: RawLogits, bias: Mapping[str, float], held_out: Rows | BinnedRows, name: str, general: float
) -> Calibration:
    sample, trained = _sample(held_out, name), bias[name]
    if sample is None:
        # Its phase was never seen, so its trained bias says nothing: take the other phase's whole.
        phase, source = name.split("/")
        other = next(p for p in PHASES if p != phase)
        name = f"{other}/{source}"
        sample, trained = _sample(held_out, name), bias[name]
        sample = sample and _Sample(sample.rows, f"copied from {name}: {sample.source}")
    if sample is None:
        sample = _Sample(without_source(held_out, name.split("/")[1]), "all held-out rows, source masked")
    logit = raw(sample.rows.components) + trained
    shift = _shift(logit, sample.rows, general)
    honest = ~sample.rows.fraud
    refused = name.endswith("/refused")
    confidence = REFUSED_CONFIDENCE if refused else None
    weight = sample.rows.weight[honest]
    thresholds = find_thresholds(logit[honest] + shift, weight, confidence)
    how = (
        f"{sample.source}; {int(honest.sum())} honest and {int((~honest).sum())} fraud rows; "
        f"fraud rate {sample.rows.fraud_rate:.5f}; cuts at 1/{DRAWN_TAIL:g} of the wanted shares"
        f"{_how_sure(weight, confidence)}: "
        f"{_rest(sigmoid(logit[honest] + shift), thresholds)}"
    )
    return Calibration(trained + shift, thresholds, how)


def _how_sure(weight: NDArray[np.float64], confidence: float | None) -> str:
    """With what confidence the cuts hold, and which of them no cut off so few rows could, in words."""
    if confidence is None:
        return ""
    shares = dict(zip(("reject", "review"), _wanted(weight, confidence), strict=True))
    unsure = [name for name, share in shares.items() if np.isnan(share)]
    words = f", with {100 * confidence:g} % confidence"
    return f"{words} but for {' and '.join(unsure)}, which would take more rows" if unsure else words


def _rest(honest: NDArray[np.float64], thresholds: Thresholds) -> str:
    """How many honest rows each cut rests on, in words."""
    reject, review = (int((honest >= cut).sum()) for cut in (thresholds.reject, thresholds.review))
    if reject:
        return f"reject rests on the {reject} highest honest rows, review on {review}"
    above = f"review rests on the {review} highest" if review else "so does review"
    return f"reject lies above every honest row, {above}"


def _sample(held_out: Rows | BinnedRows, name: str) -> _Sample | None:
    phase, source = name.split("/")
    own = held_out.take(held_out.availability == name)
    if _enough(own):
        return _Sample(own, "own rows")
    front = held_out.take(held_out.availability == f"{phase}/front_end")
    if source != "front_end" and _enough(front):
        masked = "C and R nodes" if source == "refused" else "SDK nodes"
        return _Sample(without_source(front, source), f"{phase}/front_end rows with {masked} masked")
    return None


def _enough(rows: Labelled) -> bool:
    return int((~rows.fraud).sum()) >= MIN_HONEST


def _trained(bias: Mapping[str, float], rows: Labelled) -> NDArray[np.float64]:
    return np.array([bias[name] for name in rows.availability], dtype=np.float64)


def _shift(logit: NDArray[np.float64], rows: Labelled, general: float) -> float:
    """Correction that makes the mean prediction equal the fraud rate, pulled to ``general``."""
    fraud = float(rows.fraud.sum())
    if fraud == 0:
        return general
    own = solve_shift(logit, rows.weight, rows.fraud_rate)
    return (fraud * own + FEW_FRAUD * general) / (fraud + FEW_FRAUD)


def solve_shift(logit: NDArray[np.float64], weight: NDArray[np.float64], rate: float) -> float:
    """The s in -20..20 for which the weighted mean of ``sigmoid(logit + s)`` equals ``rate``."""
    low, high = -20.0, 20.0
    # Bisection needs no slope, which a saturated mean does not have; 60 halvings exhaust a float64.
    for _ in range(60):
        middle = (low + high) / 2
        if float(np.average(sigmoid(logit + middle), weights=weight)) < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def find_thresholds(
    logit: NDArray[np.float64], weight: NDArray[np.float64], confidence: float | None = None
) -> Thresholds:
    """Thresholds from honest logits: review below reject, always.

    Args:
        logit: float64[N].
        weight: float64[N].
        confidence: With which the wanted shares hold for all such rows; left out, they hold for these. A cut
            that rests on too few rows to be sure lies above them all.
    """
    shares = _wanted(weight, confidence)
    reject = min(_cut(logit, weight, shares[0]), _CEILING)
    review = min(_cut(logit, weight, shares[1]), float(np.nextafter(reject, 0.0)))
    return Thresholds(review, reject)


def _wanted(weight: NDArray[np.float64], confidence: float | None) -> list[float]:
    """Shares of rows that may lie beyond the cuts for reject and review."""
    shares = [share / DRAWN_TAIL for share in (REJECT_SHARE, FLAGGED_SHARE)]
    if confidence is None:
        return shares
    # rows of unequal weight count as so many of equal weight (Kish 1965)
    count = float(weight.sum() ** 2 / np.square(weight).sum())
    return [sure_share(share, count, confidence) for share in shares]


def sure_share(share: float, count: float, confidence: float) -> float:
    """The highest observed share of ``count`` rows of which the true one is below ``share`` with confidence.

    By the upper bound of Clopper and Pearson (1934); NaN where not even none observed would do.
    """
    from scipy.special import betaincinv

    seen = np.arange(int(share * count) + 1)
    upper = betaincinv(seen + 1, np.maximum(count - seen, 1e-9), confidence)
    fitting = seen[upper <= share]
    return float(fitting[-1] / count) if len(fitting) else float("nan")


def _cut(logit: NDArray[np.float64], weight: NDArray[np.float64], share: float) -> float:
    """Lowest probability that at most ``share`` of the weight reaches.

    It lies half way between two honest logits, so that rounding moves nobody across; where even
    the highest logit weighs more than the share, or the share is NaN, a margin above it.
    """
    values, place = np.unique(logit, return_inverse=True)
    mass = np.bincount(place, weights=weight, minlength=len(values))
    above = np.cumsum(mass[::-1])[::-1] / mass.sum()
    reached = np.flatnonzero(above <= share)
    first = int(reached[0]) if len(reached) else len(values)
    if first == len(values):
        cut = float(values[-1]) + _MARGIN
    else:
        cut = float(values[first - 1] + values[first]) / 2
    return float(sigmoid(np.array([cut]))[0])
