"""What an attack found: one line of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

from riskgraph.sandbox.attack.rates import Interval, Rate, residual, wilson

LINKAGE, MEMBERSHIP_DATA, MEMBERSHIP_MODEL, RISK = 0.02, 0.60, 0.55, 0.02

SCALED = ("inference", "singling_out", "linkability")


@dataclass(frozen=True)
class Finding:
    """One attack on one class.

    Attributes:
        attack: Its name; method: how it was done.
        subjects: ``honest``, ``fraud`` or ``all``. per: ``row`` or ``person``.
        n, controls: Trials on members and on controls.
        success: Rate or AUC on members; control: on controls, None where there is none.
        value: What is judged: the rate, the AUC or the risk over control.
        lower, upper: Its 95 % interval. bound: None where it is told only.
        by: Which of ``value``, ``lower`` and ``upper`` must not be above the bound.
    """

    attack: str
    method: str
    subjects: str
    per: str
    n: int
    controls: int
    success: float
    control: float | None
    value: float
    lower: float
    upper: float
    bound: float | None
    by: str = "value"

    @property
    def held(self) -> bool:
        """Whether the bound is kept; a line without a bound holds."""
        return self.bound is None or bool(getattr(self, self.by) <= self.bound)

    def to_json(self) -> dict[str, Any]:
        """The line under the names of the audit record."""
        return {
            "name": self.attack,
            "method": self.method,
            "subjects": self.subjects,
            "per": self.per,
            "n": self.n,
            "controls": self.controls,
            "success": self.success,
            "control": self.control,
            "value": self.value,
            "ci": [self.lower, self.upper],
            "bound": self.bound,
            "judged_by": self.by,
            "pass": self.held,
        }


def measured(
    attack: str, method: str, subjects: str, per: str, sizes: tuple[int, int], found: Interval,
    control: float | None, bound: float | None,
) -> Finding:  # fmt: skip
    """A line whose success rate or AUC is judged itself."""
    return Finding(
        attack, method, subjects, per, *sizes, found.value, control, found.value, found.lower, found.upper,
        bound,
    )  # fmt: skip


def risk(
    attack: str, method: str, subjects: str, trials: tuple[int, int], successes: tuple[float, float],
    bound: float | None = RISK, by: str = "upper",
) -> Finding:  # fmt: skip
    """A line whose success over that on controls is judged, members first in each pair.

    The three attacks that are anonymeter's are divided by what the controls left to win.
    """
    mine, other = (wilson(n, s) for n, s in zip(trials, successes, strict=True))
    apart = Rate(mine.value - other.value, hypot(mine.error, other.error))
    over = residual(mine, other) if attack in SCALED else apart
    raw = [s / n if n else 0.0 for n, s in zip(trials, successes, strict=True)]
    value = min(max(over.value, 0.0), 1.0)
    return Finding(
        attack, method, subjects, "row", *trials, raw[0], raw[1], value, over.lower, over.upper, bound, by
    )


def merged(one: Finding, other: Finding) -> Finding:
    """One line of the same attack made twice: trials are added up, AUC and rates are averaged.

    The ends of an interval are averaged too, which is wider than two independent runs would need.
    """
    if any(getattr(one, f) != getattr(other, f) for f in ("attack", "method", "subjects", "per")):
        raise ValueError(f"{one.attack} and {other.attack} are different lines")
    trials = one.n + other.n, one.controls + other.controls
    if one.by == "value":
        mean = Interval(*((getattr(one, f) + getattr(other, f)) / 2 for f in ("value", "lower", "upper")))
        control = None if one.control is None or other.control is None else (one.control + other.control) / 2
        return measured(one.attack, one.method, one.subjects, one.per, trials, mean, control, one.bound)
    successes = (
        one.success * one.n + other.success * other.n,
        (one.control or 0.0) * one.controls + (other.control or 0.0) * other.controls,
    )
    return risk(one.attack, one.method, one.subjects, trials, successes, one.bound, one.by)


def worst(findings: Sequence[Finding], attack: str) -> Finding | None:
    """The line of an attack that comes nearest to its bound, or is furthest above it."""
    mine = [f for f in findings if f.attack == attack]
    bounded = [f for f in mine if f.bound is not None] or mine
    return max(bounded, key=lambda f: getattr(f, f.by), default=None)
