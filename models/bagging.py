"""The graph-additive network on any rows: pairs found by data, and tables averaged over several fits.

For rows that are no orders, in a layout of their own. The network and its fit are those of the champion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.models.binning import BinEdges, fit_edges
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import Tables, table_logits
from riskgraph.models.fit import Fit, Recipe, fit_order2
from riskgraph.models.layout import Layout
from riskgraph.models.rows import Rows
from riskgraph.models.screening import LeftOver, best_pairs, pair_gains

# Rows that are no orders know no availability; in this class nothing is hidden from the network either.
CLASS = AVAILABILITY_CLASSES[1]

Floats = NDArray[np.float64]
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to fit: how many pairs, and with which hyperparameters."""

    pairs: int
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class TableModel:
    """Tables with one offset, for rows that are no orders.

    Attributes:
        tables: Of any layout.
        bias: Offset in logits.
        chosen: What it was fitted with.
    """

    tables: Tables
    bias: float
    chosen: Candidate

    def scaled(self, factor: float) -> TableModel:
        """The same model with all logits times a factor."""
        tables = Tables(self.tables.edges, self.tables.own * factor, self.tables.pairs * factor)
        return TableModel(tables, self.bias * factor, self.chosen)

    def logits(self, values: Values) -> Floats:
        """float64[N] of components float32[N, C]."""
        return self.bias + table_logits(self.tables.flat(), self.tables.edges, values)


def plain_rows(values: Values, label: NDArray[np.int8], weight: Floats | None = None) -> Rows:
    """Rows of one class and no cluster; weights default to 1."""
    count = len(label)
    return Rows(
        values,
        np.full(count, CLASS, dtype=object),
        label.astype(np.int8),
        np.ones(count) if weight is None else weight,
        np.full(count, -1, dtype=np.int32),
    )


def averaged(fits: Sequence[Fit], chosen: Candidate) -> TableModel:
    """The mean of fits on the same bins, which is a model of the same form (outer bags of EBM)."""
    edges = fits[0].tables.edges
    own = np.mean([f.tables.own for f in fits], axis=0)
    pairs = np.mean([f.tables.pairs for f in fits], axis=0)
    return TableModel(Tables(edges, own, pairs), float(np.mean([f.bias[CLASS] for f in fits])), chosen)


def found_pairs(fit: Fit, rows: Rows, count: int) -> list[tuple[int, int]]:
    """Pairs of nodes that an additive fit leaves most to, by the rows that it was fitted on."""
    left = LeftOver.of(fit.tables, fit.bias[CLASS], rows)
    return best_pairs(pair_gains(left.bins, left.residual, left.curvature), count)


def fit_bagged(
    rows: Rows, layout: Layout, candidates: Sequence[Candidate], *, bags: int = 4, seed: int = 0
) -> TableModel:
    """Fit each candidate on one bag, then the one with the lowest held-out loss on all of them.

    A bag holds out one of equal parts of the rows, both classes alike, to stop early on. Bins are fitted
    on all rows, once, so that the bags can be averaged; pairs are found on the rows of the first bag.

    Args:
        rows: Training rows; no others are ever seen.
        layout: Of their components, without pairs.
        candidates: Ways to fit.
        bags: How many fits are averaged.
        seed: Of the parts and the fits.
    """
    part = _parts(rows.label, bags, seed)
    edges = fit_edges(rows.components, rows.label, rows.weight, layout)

    def fitted(bag: int, recipe: Recipe, bins: BinEdges) -> Fit:
        inside, outside = rows.take(part != bag), rows.take(part == bag)
        return fit_order2(inside, outside, seed=seed, recipe=recipe, edges=bins)

    tried: list[tuple[Candidate, Fit]] = []
    for one in candidates:
        fit = fitted(0, one.recipe, edges)
        if one.pairs:
            found = found_pairs(fit, rows.take(part != 0), one.pairs)
            fit = fitted(0, one.recipe, BinEdges(edges.inner, layout.with_pairs(found)))
        tried.append((one, fit))
    chosen, first = min(tried, key=lambda entry: min(entry[1].losses))
    bins = first.tables.edges
    return averaged([first, *(fitted(bag, chosen.recipe, bins) for bag in range(1, bags))], chosen)


def _parts(label: NDArray[np.int8], parts: int, seed: int) -> NDArray[np.int64]:
    """A part number for each row, each class spread evenly."""
    rng, out = np.random.default_rng(seed), np.empty(len(label), dtype=np.int64)
    for value in np.unique(label):
        mine = rng.permutation(np.flatnonzero(label == value))
        out[mine] = np.arange(len(mine)) % parts
    return out
