"""Logistic regression on the hard bins of all components.

One weight per component and bin, and none where a component is absent: so it is a sum of terms, an absent
node adds exactly zero, and it compiles to the same tables as the network, without pairs. Beside the kind
``additive`` it is the plain method: a ridge and nothing else, no demand of the catalogue, no row shown again
with a source gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import ExtraMissing
from riskgraph.models.binning import BinEdges, edges_of
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import Tables, sigmoid
from riskgraph.models.layout import WIDTH, Layout
from riskgraph.models.rows import BinnedRows, Rows
from riskgraph.ports import Progress

# Prior precisions of a weight, from strong to weak; rows weigh 1 on average.
RIDGES = (300.0, 100.0, 30.0, 10.0, 3.0)
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """Tables, one raw offset per class, and the recipe for the card."""

    tables: Tables
    bias: dict[str, float]
    recipe: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Data:
    """Rows in bins, one line per component: a column read at once is twice as quick."""

    bins: NDArray[np.uint8]
    classes: NDArray[np.intp]
    label: Floats
    weight: Floats

    @classmethod
    def of(cls, rows: Rows | BinnedRows, edges: BinEdges) -> _Data:
        classes = np.array([AVAILABILITY_CLASSES.index(str(name)) for name in rows.availability], np.intp)
        bins = np.ascontiguousarray(edges.of_rows(rows.components).T)
        return cls(bins, classes, rows.label.astype(np.float64), rows.weight / rows.weight.mean())

    def logits(self, own: Floats, bias: Floats) -> Floats:
        out = bias[self.classes]
        for table, bins in zip(own, self.bins, strict=True):
            out += table.take(bins)
        return np.asarray(out, dtype=np.float64)

    def loss(self, own: Floats, bias: Floats) -> float:
        """Mean weighted log loss."""
        logit = self.logits(own, bias)
        return float(np.average(np.logaddexp(0.0, logit) - self.label * logit, weights=self.weight))


def fit_logistic(
    train: Rows | BinnedRows, held_out: Rows | BinnedRows, edges: BinEdges | None = None, *,
    epochs: int | None = None, progress: Progress | None = None,
) -> LogisticFit:  # fmt: skip
    """Fit by L-BFGS; of several ridges the one with the least held-out loss is taken.

    Nothing is drawn by chance: the same rows give the same tables.

    Args:
        train: Rows to fit weights on.
        held_out: Rows that choose the ridge.
        edges: Bins; if left out, they are fitted first.
        epochs: At most so many steps of L-BFGS for each ridge, 200 if left out.
        progress: Told after each ridge.

    Raises:
        ExtraMissing: If scipy is not installed (extra ``lab``).
    """
    edges = edges_of(train, edges)
    data, check = _Data.of(train, edges), _Data.of(held_out, edges)
    steps, losses = epochs or 200, []
    start = np.zeros(len(edges.inner) * WIDTH + len(AVAILABILITY_CLASSES))
    start[-len(AVAILABILITY_CLASSES) :] = np.log(train.fraud_rate / (1 - train.fraud_rate))
    best = start
    for done, ridge in enumerate(RIDGES, start=1):
        start = _minimise(data, start, ridge, steps)
        losses.append(check.loss(*_parts(start)))
        if losses[-1] == min(losses):
            best = start
        if progress:
            progress("train", done, len(RIDGES))
        if losses[-1] > min(losses):
            break
    own, bias = _parts(best)
    pairs = np.zeros((len(Layout.of_catalog().ends), WIDTH, WIDTH))
    recipe = {"ridge": RIDGES[int(np.argmin(losses))], "ridges": list(RIDGES), "max_steps": steps}
    named = dict(zip(AVAILABILITY_CLASSES, bias.tolist(), strict=True))
    return LogisticFit(Tables(edges, own.copy(), pairs), named, recipe)


def _parts(vector: Floats) -> tuple[Floats, Floats]:
    classes = len(AVAILABILITY_CLASSES)
    return vector[:-classes].reshape(-1, WIDTH), vector[-classes:]


def _minimise(data: _Data, start: Floats, ridge: float, steps: int) -> Floats:
    try:
        from scipy.optimize import minimize
    except ImportError as missing:
        raise ExtraMissing("training a logistic model", "lab") from missing

    def loss(vector: Floats) -> tuple[float, Floats]:
        own, bias = _parts(vector)
        logit = data.logits(own, bias)
        each = data.weight * (np.logaddexp(0.0, logit) - data.label * logit)
        error = data.weight * (sigmoid(logit) - data.label)
        slopes = np.array([np.bincount(bins, error, WIDTH) for bins in data.bins])
        # Absent has no weight of its own: it starts at zero, and without a slope it stays there.
        slopes[:, 0] = 0.0
        slope = np.concatenate([(slopes + ridge * own).ravel(), np.bincount(data.classes, error, len(bias))])
        value = each.sum() + 0.5 * ridge * np.square(own).sum()
        return float(value) / len(logit), slope / len(logit)

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": steps, "ftol": 1e-7})
    return np.asarray(found.x, dtype=np.float64)
