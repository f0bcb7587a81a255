"""Fitting on arrays, for the one place that may: the sandbox, where it measures what a release costs.

Nothing here writes a model, makes a card or knows a registry; :func:`riskgraph.models.train.train`
does, and takes releases only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from riskgraph.models.calibration import calibrate
from riskgraph.models.fitters import Task, fit_kind
from riskgraph.models.kinds import Kind
from riskgraph.models.rows import Rows, split, stack
from riskgraph.ports import TrainingRows

Score = Callable[[NDArray[np.float32], NDArray[np.object_]], NDArray[np.float64]]


def fit_scorer(rows: TrainingRows, seed: int, *, kind: Kind) -> Score:
    """Fit with the code, recipe and early stopping of ``train`` and return what scores rows.

    Args:
        rows: Columns of :class:`riskgraph.models.rows.Rows`.
        seed: Of the split and of the fit.
        kind: One of :data:`riskgraph.models.kinds.KINDS`.

    Returns:
        A function from components float32[N, 259] and availability classes object[N] to logits
        float64[N].

    Raises:
        Invalid: If the kind is unknown, or there are too few rows of a class to train on.
        ExtraMissing: If the kind's library is not installed.
    """
    fitting, held_out = split(stack([Rows.of(rows)]), seed)
    fit = fit_kind(kind, Task(fitting, held_out, held_out, seed))
    # Offsets too, since one ranking over all availability classes depends on them.
    offset = {name: c.offset for name, c in calibrate(fit.raw, fit.bias, fit.judged).items()}

    def score(components: NDArray[np.float32], availability: NDArray[np.object_]) -> NDArray[np.float64]:
        shifts = np.array([offset[str(name)] for name in availability], dtype=np.float64)
        return np.asarray(fit.raw(components) + shifts, dtype=np.float64)

    return score
