"""Singling out and linkability, by the definitions of anonymeter.

Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data" (PoPETs 2023), which
measures the three criteria of WP216 (Opinion 05/2014 of the Article 29 Working Party); inference, the
third, is in ``inference``. Drawn rows are the synthetic set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.bounds import category_components
from riskgraph.core.catalog import NODE_COUNT
from riskgraph.sandbox.attack.findings import RISK, UPPER, Trials
from riskgraph.sandbox.attack.inference import one_each
from riskgraph.sandbox.attack.likelihood import nearest
from riskgraph.sandbox.attack.records import WIDTH, Records, nodes_of

COLUMNS = 6
MAX_ATTEMPTS = 300_000
_ABSENT = np.float32(-np.inf)

Floats = NDArray[np.float32]
# Which trials won, and whose each was.
Tried = tuple[NDArray[np.bool_], NDArray[np.int64]]


@dataclass(frozen=True)
class Predicate:
    """A conjunction of ranges: ``low <= value <= high`` in each column; absent is minus infinity."""

    columns: NDArray[np.intp]
    low: Floats
    high: Floats

    def fits(self, values: Floats) -> NDArray[np.intp]:
        """Records of float32[259, N] for which it holds."""
        rows: NDArray[np.bool_] = np.ones(values.shape[1], dtype=np.bool_)
        for j, low, high in zip(self.columns, self.low, self.high, strict=True):
            rows &= (values[j] >= low) & (values[j] <= high)
        return np.flatnonzero(rows)


def _columns(values: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """float32[259, M] with minus infinity where absent, each record once, and the row of each."""
    filled = np.where(np.isnan(values), _ABSENT, values) + np.float32(0)
    kept, first = np.unique(filled, axis=0, return_index=True)
    return np.ascontiguousarray(kept.T), first


def univariate(drawn: Floats, count: int, rng: np.random.Generator) -> list[Predicate]:
    """Predicates on one component that hold for exactly one drawn row: its lowest, highest or rare value."""
    found: list[tuple[int, np.float32, np.float32]] = []
    lowest = np.finfo(np.float32).min
    for j, row in enumerate(drawn):
        values, times = np.unique(row, return_counts=True)
        found += [(j, v, v) for v in values[times == 1]]
        # the two ends hold for the same single record, and reach further where nobody was drawn
        finite = np.flatnonzero(np.isfinite(values))
        if len(finite) and times[finite[0]] == 1:
            found.append((j, lowest, values[finite[0]]))
        if len(finite) and times[finite[-1]] == 1:
            found.append((j, values[finite[-1]], np.float32(np.inf)))
    picked = rng.permutation(len(found))[:count]
    return [Predicate(np.array([j]), np.array([a]), np.array([b])) for j, a, b in (found[i] for i in picked)]


def multivariate(drawn: Floats, count: int, rng: np.random.Generator) -> list[Predicate]:
    """Predicates on several components of a drawn row that hold for it alone.

    A class must be the same, an absent value absent, and a number at least as far from the median.
    """
    ordered = np.sort(drawn, axis=1)
    finite = np.where(np.isfinite(drawn), drawn, np.nan)
    known = np.isfinite(drawn).any(axis=1)
    median = np.zeros(len(drawn), dtype=np.float32)
    median[known] = np.nanmedian(finite[known], axis=1)
    out: list[Predicate] = []
    for predicate in _candidates(drawn, median, rng):
        if _singles_out(predicate, drawn, ordered):
            out.append(predicate)
            if len(out) == count:
                break
    return out


def _candidates(drawn: Floats, median: Floats, rng: np.random.Generator) -> Iterator[Predicate]:
    category, lowest = category_components(), np.finfo(np.float32).min
    for row in rng.integers(drawn.shape[1], size=MAX_ATTEMPTS):
        columns = rng.choice(WIDTH, COLUMNS, replace=False)
        value = drawn[columns, row]
        same = category[columns] | ~np.isfinite(value)
        above = value > median[columns]
        low = np.where(same | above, value, lowest).astype(np.float32)
        high = np.where(same | ~above, value, np.float32(np.inf)).astype(np.float32)
        yield Predicate(columns, low, high)


def _singles_out(predicate: Predicate, drawn: Floats, ordered: Floats) -> bool:
    """Whether exactly one drawn row fits; ``ordered`` holds the sorted columns."""
    sizes = [
        int(np.searchsorted(ordered[j], high, "right") - np.searchsorted(ordered[j], low, "left"))
        for j, low, high in zip(predicate.columns, predicate.low, predicate.high, strict=True)
    ]
    rows: NDArray[np.intp] | slice = slice(None)
    # The rarest first, so that few rows are left to look at.
    for i in np.argsort(sizes):
        values = drawn[predicate.columns[i], rows]
        fits = np.flatnonzero((values >= predicate.low[i]) & (values <= predicate.high[i]))
        rows = fits if isinstance(rows, slice) else rows[fits]
    return not isinstance(rows, slice) and len(rows) == 1


def single_out(
    members: Records, controls: Records, drawn: Records, trials: int, rng: np.random.Generator
) -> list[Trials]:
    """Predicates that hold for one drawn row: how often do they hold for exactly one member?

    Members and controls are cut to the same number, so that chance is the same on both sides.
    """
    size = min(len(members), len(controls))
    cut = [side.take(np.sort(rng.permutation(len(side))[:size])) for side in (members, controls)]
    sides = [(*_columns(side.raw.components), side.unit) for side in cut]
    synthetic, out = _columns(drawn.raw.components)[0], []
    for method, make in (("one component", univariate), (f"{COLUMNS} components", multivariate)):
        predicates = make(synthetic, trials, rng)
        found = [_alone(predicates, *side, rng) for side in sides]
        out.append(_risk("singling_out", method, found[0], found[1]))
    return out


def _alone(
    predicates: Sequence[Predicate], values: Floats, row: NDArray[np.intp], unit: NDArray[np.int64],
    rng: np.random.Generator,
) -> Tried:  # fmt: skip
    """Which predicates hold for exactly one record, and whose it is.

    One that fails is about nobody and gets a number below 0 of its own, at random: other releases have
    such predicates too.
    """
    held = [p.fits(values) for p in predicates]
    won = np.array([len(rows) == 1 for rows in held], dtype=np.bool_)
    nobody = -1 - rng.integers(2**62, size=len(held))
    who = [unit[row[rows[0]]] if one else own for rows, one, own in zip(held, won, nobody, strict=True)]
    return won, np.array(who, dtype=np.int64)


def linkability(
    members: Records, controls: Records, drawn: Records, trials: int, rng: np.random.Generator
) -> list[Trials]:
    """Two halves of a record, each with half of the nodes: do they meet in the same drawn row?"""
    half = np.zeros(NODE_COUNT, dtype=np.bool_)
    half[rng.permutation(NODE_COUNT)[: NODE_COUNT // 2]] = True
    columns = half[nodes_of(np.arange(WIDTH))]
    found = []
    for side in (members, controls):
        chosen = side.take(one_each(side, rng)[:trials])
        ends = [nearest(chosen.place[:, c], drawn.place[:, c])[0] for c in (columns, ~columns)]
        found.append((ends[0] == ends[1], chosen.unit))
    return [_risk("linkability", "nearest drawn row of each half", found[0], found[1])]


def _risk(attack: str, method: str, mine: Tried, other: Tried) -> Trials:
    """Trials on members, then on controls; each side is what was won, and by whom."""
    won, unit = (np.concatenate(parts) for parts in zip(mine, other, strict=True))
    member = np.repeat([True, False], [len(mine[0]), len(other[0])])
    return Trials(attack, method, "all", "row", "risk", RISK, UPPER, won * 1.0, member, unit)
