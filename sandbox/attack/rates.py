"""Means, areas and risks over persons, with 95 % intervals.

Trials of one person hang together, in one release and over several: whatever a person gave is one
cluster. Every error is the root of the summed squares of what each person contributes to the estimate
(its influence), members and controls together, for over several splits one person is both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf(0.975)

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """An estimate between 0 and 1 and its standard error."""

    value: float
    error: float

    @property
    def lower(self) -> float:
        """Lower end of the 95 % interval."""
        return min(max(self.value - _Z * self.error, 0.0), 1.0)

    @property
    def upper(self) -> float:
        """Upper end of the 95 % interval."""
        return min(max(self.value + _Z * self.error, 0.0), 1.0)

    def above(self, bound: float) -> float:
        """One-sided p value of the claim that the truth is above a bound."""
        if self.error == 0:
            return 0.0 if self.value > bound else 1.0
        return _NORMAL.cdf((bound - self.value) / self.error)


def _by_person(value: Doubles, unit: Ints, names: Ints) -> Doubles:
    """float64[U]: sums of ``value`` by person; ``names`` are sorted and hold every unit."""
    out: Doubles = np.bincount(np.searchsorted(names, unit), value, len(names)).astype(np.float64)
    return out


def mean(value: Doubles, unit: Ints) -> Estimate:
    """A mean over trials, trials of a person together."""
    found = float(value.mean())
    pull = _by_person(value - found, unit, np.unique(unit)) / len(value)
    return Estimate(found, float(np.sqrt(np.square(pull).sum())))


def area(score: Doubles, member: Bools) -> float:
    """Chance that a member scores above a control, ties counted half (the AUC)."""
    return _area(score, member)[0]


def _area(score: Doubles, member: Bools) -> tuple[float, Doubles]:
    """The AUC, and the influence of each row: how far its own share of won pairs is from it."""
    values, place = np.unique(score, return_inverse=True)
    mine, other = (np.bincount(place, side, len(values)) for side in (member, ~member))
    many, few = max(mine.sum(), 1), max(other.sum(), 1)
    below = (np.cumsum(other) - other / 2)[place] / few
    above = 1 - (np.cumsum(mine) - mine / 2)[place] / many
    found = float(below[member].sum() / many)
    return found, np.where(member, (below - found) / many, (above - found) / few)


def areas(parts: Sequence[tuple[Doubles, Bools, Ints]]) -> Estimate:
    """The mean AUC of several releases, each of which has scores of its own.

    DeLong et al. (Biometrics 44, 1988) for clustered data: Obuchowski (Biometrics 53, 1997).

    Args:
        parts: Of each release score float64[N], member bool[N] and unit int64[N].
    """
    found = [_area(score, member) for score, member, _ in parts]
    unit = np.concatenate([part[2] for part in parts])
    pull = _by_person(np.concatenate([p for _, p in found]), unit, np.unique(unit)) / len(parts)
    value = float(np.mean([a for a, _ in found]))
    return Estimate(value, float(np.sqrt(np.square(pull).sum())))


@dataclass(frozen=True)
class Share:
    """Success on one side.

    Attributes:
        rate: The rate. pull: float64[U], influence of each person. added: Variance of the added persons.
    """

    rate: float
    pull: Doubles
    added: float


def share(won: Doubles, unit: Ints, names: Ints) -> Share:
    """A rate by Agresti and Coull (Am. Stat. 52, 1998), over persons.

    ``z²/2`` persons are added who win all they try, and as many who win nothing, so that an attack that
    never won has an interval too. With one trial a person it is their interval.

    Args:
        won: float64[N], 1 where a trial succeeded.
        unit: int64[N], persons.
        names: int64[U], the persons to tell of, sorted; they hold every unit.
    """
    tried = _by_person(np.ones(len(won)), unit, names)
    each = len(won) / max(int((tried > 0).sum()), 1)
    half = _Z * _Z / 2
    whole = len(won) + 2 * half * each
    rate = (float(won.sum()) + half * each) / whole
    pull = (_by_person(won, unit, names) - rate * tried) / whole
    added = half * (each / whole) ** 2 * ((1 - rate) ** 2 + rate**2)
    return Share(rate, pull, added)


def risk(won: Doubles, member: Bools, unit: Ints, *, scaled: bool) -> Estimate:
    """Success on members over that on controls.

    Scaled by what controls left to win, ``(a - c) / (1 - c)``, it is the risk of Giomi et al., "A Unified
    Framework for Quantifying Privacy Risk in Synthetic Data" (PoPETs 2023), equation 4.

    Args:
        won: float64[N], 1 where a trial succeeded.
        member: bool[N], trials on members; some on each side.
        unit: int64[N], persons.
        scaled: Whether to scale; else it is ``a - c``.
    """
    names = np.unique(unit)
    mine, other = (share(won[side], unit[side], names) for side in (member, ~member))
    left = 1 - other.rate if scaled else 1.0
    value = (mine.rate - other.rate) / left
    steep = 1 - value if scaled else 1.0
    pull = mine.pull - steep * other.pull
    spread = float(np.square(pull).sum()) + mine.added + steep**2 * other.added
    return Estimate(value, math.sqrt(spread) / left)


def holm(p: Sequence[float], level: float = 0.05) -> list[bool]:
    """Which of several claims are shown, at most ``level`` of all families with a false one.

    Holm, "A simple sequentially rejective multiple test procedure" (Scand. J. Stat. 6, 1979).
    """
    shown = [False] * len(p)
    for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[i] > level / (len(p) - step):
            break
        shown[i] = True
    return shown


def per_person(score: Doubles, unit: Ints) -> tuple[Doubles, NDArray[np.intp]]:
    """Mean score of each person, and the first row of each."""
    _, first, place = np.unique(unit, return_index=True, return_inverse=True)
    return np.bincount(place, score) / np.bincount(place), first
