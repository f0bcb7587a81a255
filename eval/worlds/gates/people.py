"""Gates 7 and 8: odd people look odd, and camouflage works by degrees."""

from __future__ import annotations

import numpy as np

from riskgraph.eval.intervals import Interval, ratio_interval
from riskgraph.eval.worlds import reference
from riskgraph.eval.worlds.gates.figure import Figure
from riskgraph.eval.worlds.gates.likeness import odd_types
from riskgraph.eval.worlds.gates.material import Material

ODD_RATIO = 5.0
# Fewer trips of a rule are chance, and a rule that one in a hundred trips makes nobody look odd.
FEWEST_TRIPS, LEAST_SHARE = 5, 0.01
CAMOUFLAGE = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8))
FEWEST_ORDERS, FEWEST_GANGS = 30, 5
LEAST_FALL, LARGEST_STEP = 0.10, 0.75


def odd_people(material: Material) -> list[Figure]:
    """Gate 7: each odd honest type trips some classic rule at least five times as often as most people."""
    held, types = reference.trips(material.table), odd_types(material)
    normal = ~material.oracle.is_fraud & ~np.isin(material.oracle.honest_type.astype(str), types)
    # Half a trip stands for none, so that a rule nobody else trips has a finite ratio.
    usual = np.maximum(held[normal].sum(axis=0), 0.5) / normal.sum()
    figures = []
    for name in types:
        mine = held[material.oracle.honest_type == name]
        often = (mine.sum(axis=0) >= FEWEST_TRIPS) & (mine.mean(axis=0) >= LEAST_SHARE)
        ratio = np.where(often, mine.mean(axis=0) / usual, 0.0)
        top = int(np.argmax(ratio))
        told = f"{reference.rules()[top].name}: {mine[:, top].mean():.1%} against {usual[top]:.1%}"
        figures.append(
            Figure(7, f"oddest rule of {name}", material.seed, float(ratio[top]), ODD_RATIO, more=told)
        )
    return figures


def recall_by_camouflage(material: Material) -> list[tuple[float, float, Interval]]:
    """Ends of each bin of camouflage and the recall of trees on the order alone; thin bins are left out."""
    flagged, truth = material.flags(material.alone), material.oracle
    counted = truth.is_fraud & material.later
    rows = []
    for low, high in CAMOUFLAGE:
        last = high == CAMOUFLAGE[-1][1]
        inside = counted & (truth.camouflage >= low)
        inside &= (truth.camouflage <= high) if last else (truth.camouflage < high)
        if inside.sum() >= FEWEST_ORDERS and len(np.unique(material.gang[inside])) >= FEWEST_GANGS:
            rows.append((low, high, ratio_interval(flagged, inside, material.clusters)))
    return rows


def camouflage(material: Material) -> list[Figure]:
    """Gate 8: recall falls with camouflage, by no step alone, and never rises beyond its intervals."""
    rows = recall_by_camouflage(material)
    told = ", ".join(f"{low:g}-{high:g} {measured.value:.0%}" for low, high, measured in rows)
    points = [measured for _, _, measured in rows]
    if len(points) < len(CAMOUFLAGE) - 1:
        return [Figure(8, "fall with camouflage", material.seed, float("nan"), LEAST_FALL, more=told)]
    fall = points[0].value - points[-1].value
    steps = [a.value - b.value for a, b in zip(points, points[1:], strict=False)]
    rise = max(b.lower - a.upper for a, b in zip(points, points[1:], strict=False))
    step = max(steps) / fall if fall > 0 else float("nan")
    return [
        Figure(8, "fall with camouflage", material.seed, fall, LEAST_FALL, more=told),
        Figure(8, "rise beyond the intervals", material.seed, max(rise, 0.0), high=0.0),
        Figure(8, "largest step, share of the fall", material.seed, step, high=LARGEST_STEP),
    ]
