"""Rates, areas and their 95 % intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

ROUNDS = 200
_Z = NormalDist().inv_cdf(0.975)

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Rate:
    """An estimate and the half width of its 95 % interval."""

    value: float
    error: float

    @property
    def lower(self) -> float:
        return min(max(self.value - self.error, 0.0), 1.0)

    @property
    def upper(self) -> float:
        return min(max(self.value + self.error, 0.0), 1.0)


def wilson(trials: int, successes: float) -> Rate:
    """Wilson's score interval of a rate (J. Am. Stat. Assoc. 22, 1927), as anonymeter takes it.

    Nothing is known after no trial: the interval is 0 to 1.
    """
    if trials == 0:
        return Rate(0.5, 0.5)
    below = trials + _Z * _Z
    spread = math.sqrt(successes * (trials - successes) / trials + _Z * _Z / 4)
    return Rate((successes + _Z * _Z / 2) / below, _Z / below * spread)


def residual(attack: Rate, control: Rate) -> Rate:
    """Success over that on controls, scaled by what was left to win: ``(a - c) / (1 - c)``.

    Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data" (PoPETs 2023),
    equation 4; the errors are propagated to first order.
    """
    left = max(1.0 - control.value, 1e-12)
    value = (attack.value - control.value) / left
    error = math.hypot(attack.error / left, control.error * (attack.value - 1) / left**2)
    return Rate(value, error)


def area(score: Doubles, member: NDArray[np.bool_], weight: Doubles | None = None) -> float:
    """Chance that a member scores above a control, ties counted half (the AUC).

    Args:
        score: float64[N], larger for a member.
        member: bool[N].
        weight: float64[N], or None for one each.
    """
    weight = np.ones(len(score)) if weight is None else weight
    values, place = np.unique(score, return_inverse=True)
    mine, other = (np.bincount(place, weight * side, len(values)) for side in (member, ~member))
    above = (mine * (np.cumsum(other) - other / 2)).sum()
    return float(above / max(float(mine.sum() * other.sum()), 1e-300))


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval."""

    value: float
    lower: float
    upper: float


def area_interval(
    score: Doubles, member: NDArray[np.bool_], unit: NDArray[np.int64], rng: np.random.Generator
) -> Interval:
    """The AUC with a bootstrap over persons: all rows of a person are drawn together."""
    place, count = _persons(unit)
    # Ranked once: a resample changes weights only.
    ranks = np.unique(score, return_inverse=True)[1].astype(np.float64)
    found = [area(ranks, member, w[place]) for w in _resamples(count, rng)]
    return _interval(area(ranks, member), found)


def mean_interval(value: Doubles, unit: NDArray[np.int64], rng: np.random.Generator) -> Interval:
    """A mean over rows with a bootstrap over persons."""
    place, count = _persons(unit)
    total, rows = np.bincount(place, value, count), np.bincount(place, minlength=count)
    found = [float(w @ total / max(float(w @ rows), 1e-12)) for w in _resamples(count, rng)]
    return _interval(float(value.mean()), found)


def _persons(unit: NDArray[np.int64]) -> tuple[NDArray[np.intp], int]:
    names, place = np.unique(unit, return_inverse=True)
    return place, len(names)


def _resamples(count: int, rng: np.random.Generator) -> list[Doubles]:
    """How often each person is drawn, in each round."""
    drawn = (rng.integers(count, size=count) for _ in range(ROUNDS))
    return [np.bincount(d, minlength=count).astype(np.float64) for d in drawn]


def _interval(value: float, found: list[float]) -> Interval:
    lower, upper = np.quantile(found, [0.025, 0.975])
    return Interval(value, float(lower), float(upper))


def per_person(score: Doubles, unit: NDArray[np.int64]) -> tuple[Doubles, NDArray[np.intp]]:
    """Mean score of each person, and the first row of each."""
    _, first, place = np.unique(unit, return_index=True, return_inverse=True)
    return np.bincount(place, score) / np.bincount(place), first
