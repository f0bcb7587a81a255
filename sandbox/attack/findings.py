"""What attacks found: trials of single releases, and the lines that are judged from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.sandbox.attack import rates

LINKAGE, MEMBERSHIP_DATA, MEMBERSHIP_MODEL, RISK = 0.015, 0.60, 0.55, 0.02
SCALED = ("inference", "singling_out", "linkability")

VALUE, UPPER, HOLM = "value", "upper", "holm"
HELD, BROKEN, OPEN, TOLD, UNMEASURED = "held", "broken", "open", "told only", "not measured"
RULES = {
    VALUE: "the value must not be above the bound; open while the interval reaches above it",
    UPPER: "the upper end of the 95 % interval must not be above the bound",
    HOLM: "broken if shown to be above the bound (Holm's step-down over all such lines, 5 %); held if the "
    "upper end is not above it; else open",
}

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Trials:
    """What one attack on one release gave, one entry a trial.

    Attributes:
        attack: Its name; method: how it was done.
        subjects: ``honest``, ``fraud`` or ``all``. per: ``row`` or ``person``.
        kind: ``mean`` (of members), ``area`` (members against controls) or ``risk`` (members over controls).
        bound: None where it is told only. by: The rule that judges it, one of ``RULES``.
        value: float64[N], success or score. member: bool[N], trials on members. unit: int64[N], persons;
            below 0 for a trial that is about nobody.
        blind: Success of a blind guess, of a mean.
        reason: Why nothing was measured; empty where it was.
    """

    attack: str
    method: str
    subjects: str
    per: str
    kind: str
    bound: float | None
    by: str
    value: Doubles
    member: NDArray[np.bool_]
    unit: NDArray[np.int64]
    blind: float | None = None
    reason: str = ""

    @property
    def line(self) -> tuple[str, str, str, str]:
        """What tells a line from others."""
        return self.attack, self.method, self.subjects, self.per

    def checked(self) -> Trials:
        """The same, with a reason where trials cannot tell members from controls."""
        return self if self.reason else replace(self, reason=self._vacuous())

    def _vacuous(self) -> str:
        if not self.member.any() or (self.kind != "mean" and self.member.all()):
            return "nobody to try it on"
        if self.kind == "area" and np.ptp(self.value) == 0:
            return "all scores are alike"
        if self.kind == "risk" and self.value.all():
            return "every guess is right, on controls too"
        return ""


@dataclass(frozen=True)
class Finding:
    """One line: one attack, by one method, on one class, over all releases.

    Attributes:
        attack, method, subjects, per, bound, by: As in ``Trials``.
        n, controls: Trials on members and on controls. persons: Persons behind those on
            members; of singling out, whom a predicate met.
        success: Rate or AUC on members; control: on controls or by a blind guess, None where there is none.
        value: What is judged: the rate, the AUC or the risk over control; None if nothing was measured.
        lower, upper: Its 95 % interval over persons.
        p: One-sided p value of being above the bound.
        verdict: ``held``, ``broken``, ``open``, ``told only`` or ``not measured``.
        reason: Why nothing was measured, or not on every release.
    """

    attack: str
    method: str
    subjects: str
    per: str
    n: int
    controls: int
    persons: int
    success: float | None
    control: float | None
    value: float | None
    lower: float | None
    upper: float | None
    bound: float | None
    by: str
    p: float | None = None
    verdict: str = UNMEASURED
    reason: str = ""

    @property
    def judged(self) -> float | None:
        """The number that is held against the bound."""
        return self.upper if self.by == UPPER else self.value

    def to_json(self) -> dict[str, Any]:
        """The line under the names of the audit record; ``pass`` is null where nothing was decided."""
        return {
            "name": self.attack,
            "method": self.method,
            "subjects": self.subjects,
            "per": self.per,
            "n": self.n,
            "controls": self.controls,
            "persons": self.persons,
            "success": self.success,
            "control": self.control,
            "value": self.value,
            "ci": None if self.value is None else [self.lower, self.upper],
            "bound": self.bound,
            "judged_by": None if self.bound is None else self.by,
            "p": self.p,
            "verdict": self.verdict,
            "pass": {HELD: True, BROKEN: False}.get(self.verdict),
            "reason": self.reason or None,
        }


def pooled(trials: Sequence[Trials]) -> Finding:
    """One line from its trials on several releases; releases on which it could not be tried drop out."""
    first, checked = trials[0], [t.checked() for t in trials]
    tried = [t for t in checked if not t.reason]
    reason = "; ".join(dict.fromkeys(t.reason for t in checked if t.reason))
    if not tried:
        return _nothing(first, reason)
    if reason:
        reason = f"{len(trials) - len(tried)} of {len(trials)} releases left out: {reason}"
    value, member, unit = (
        np.concatenate([getattr(t, f) for t in tried]) for f in ("value", "member", "unit")
    )
    control: float | None = None
    if first.kind == "area":
        found = rates.areas([(t.value, t.member, t.unit) for t in tried])
        success = found.value
    else:
        success = float(value[member].mean())
        if first.kind == "risk":
            control = float(value[~member].mean())
            found = rates.risk(value, member, unit, scaled=first.attack in SCALED)
        else:
            control = _blind(tried)
            found = rates.mean(value, unit)
    p = None if first.bound is None else found.above(first.bound)
    shown = min(max(found.value, 0.0), 1.0)
    sizes = int(member.sum()), int((~member).sum()), len(np.unique(unit[member & (unit >= 0)]))
    return Finding(
        *first.line, *sizes, success, control, shown, found.lower, found.upper, first.bound, first.by,
        p, reason=reason,
    )  # fmt: skip


def _nothing(line: Trials, reason: str) -> Finding:
    return Finding(
        *line.line, n=0, controls=0, persons=0, success=None, control=None, value=None, lower=None,
        upper=None, bound=line.bound, by=line.by, reason=reason,
    )  # fmt: skip


def _blind(tried: Sequence[Trials]) -> float | None:
    """Success of blind guesses over all releases, by their trials."""
    if any(t.blind is None for t in tried):
        return None
    return float(
        np.average([t.blind for t in tried if t.blind is not None], weights=[len(t.value) for t in tried])
    )


def judge(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Give each line its verdict. Lines that Holm's procedure judges are one family, however many.

    Figures that are asked for by value or by upper end break at their bound as they stand.
    """
    family = [f for f in findings if f.by == HOLM and f.p is not None]
    shown = rates.holm([f.p for f in family if f.p is not None])
    above = {id(f) for f, is_shown in zip(family, shown, strict=True) if is_shown}
    return tuple(replace(f, verdict=_verdict(f, id(f) in above)) for f in findings)


def _verdict(line: Finding, shown: bool) -> str:
    if line.value is None or line.judged is None or line.upper is None:
        return UNMEASURED
    if line.bound is None:
        return TOLD
    if shown if line.by == HOLM else line.judged > line.bound:
        return BROKEN
    return HELD if line.upper <= line.bound else OPEN


def worst(findings: Sequence[Finding], attack: str) -> Finding | None:
    """The line of an attack that comes nearest to the bound of its figure, or is furthest above it."""
    mine = [f for f in findings if f.attack == attack and f.by != HOLM and f.judged is not None]
    return max(mine, key=lambda f: f.judged or 0.0, default=None)
