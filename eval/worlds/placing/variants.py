"""Variants of a kind of fraud: what a gang can choose, within ranges that a gang could keep to.

What it cannot choose stays: who shares what (its play), who reports it, and when.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from riskgraph.eval.worlds.profiles import DRIVERS, Archetype, Shifts
from riskgraph.eval.worlds.streams import chance

# Lowest and highest figure of a variant; a base that lies outside has its own figure as that end.
RANGES: dict[str, tuple[float, float]] = {
    "position_fails": (0.05, 0.9),
    "marketplace": (0.0, 0.5),
    "orders_per_account": (1.0, 5.0),
    "bursts": (1, 8),
}
# Active time, as a factor on the base's.
PACE = (0.5, 3.0)
LONGEST_DAYS = 90.0
# Strength of all habits together, as a share of the base's: whoever hides everything earns nothing.
STRENGTH = (0.5, 1.0)
_REDRAWN = 0.5


def strength(shifts: Shifts) -> float:
    """How far habits lie from an ordinary person's over all drivers together, in standard deviations."""
    return float(np.linalg.norm(list(dict(shifts).values())))


def vary(rng: np.random.Generator, base: Archetype, start: Archetype, days: float) -> Archetype:
    """A variant near another one: about half of its figures are drawn anew, each over its whole range.

    Args:
        rng: Random stream.
        base: The kind of fraud that is varied; ranges follow from it.
        start: The variant to change, or the base.
        days: Days in which a gang can be active.
    """

    def drawn(own: float, low: float, high: float) -> float:
        anew = float(rng.uniform(low, high))
        return anew if rng.random() < _REDRAWN else own

    figures = {name: drawn(getattr(start, name), *_ends(base, name)) for name in RANGES}
    shortest, longest = base.window_days
    slowest = max(1.0, min(PACE[1], min(LONGEST_DAYS, days) / longest))
    pace = drawn(start.window_days[1] / longest, PACE[0], slowest)
    return replace(
        start,
        position_fails=round(figures["position_fails"], 3),
        marketplace=round(figures["marketplace"], 3),
        orders_per_account=round(figures["orders_per_account"], 2),
        bursts=round(figures["bursts"]),
        window_days=(_three_digits(pace * shortest), _three_digits(pace * longest)),
        shifts=_shifts(rng, base.shifts, start.shifts, drawn),
    )


def _three_digits(days: float) -> float:
    return float(f"{days:.3g}")


def _ends(base: Archetype, name: str) -> tuple[float, float]:
    own = getattr(base, name)
    # A kind that is never on marketplaces needs the shop's own pages.
    if name == "marketplace" and not own:
        return 0.0, 0.0
    low, high = RANGES[name]
    return min(low, own), max(high, own)


def _shifts(
    rng: np.random.Generator, base: Shifts, start: Shifts, drawn: Callable[[float, float, float], float]
) -> Shifts:
    """Half of the shifts move to other drivers, in either direction; all together fade or grow.

    Their sizes stay in proportion, so that no habit shows more strongly than the base's strongest does.
    """
    # A driver that is named twice counts once (``shift_matrix``).
    start = tuple(dict(start).items())
    whole, own = strength(base), strength(start)
    if not own:
        return start
    factor = drawn(own / whole, *STRENGTH) * whole / own
    moves = chance(rng, _REDRAWN, len(start))
    turned = rng.choice((-1.0, 1.0), len(start)).tolist()
    kept = {driver for (driver, _), moving in zip(start, moves, strict=True) if not moving}
    free = iter(rng.permutation([driver for driver in DRIVERS if driver not in kept]).tolist())
    return tuple(
        (next(free), round(factor * turn * by, 3)) if moving else (driver, round(factor * by, 3))
        for (driver, by), moving, turn in zip(start, moves, turned, strict=True)
    )
