"""dsjtzs: mouse trajectories on a slider captcha, human and bot (a contest of 2017).

Each trajectory is a row, seen through what the SDK would flush of it (:mod:`riskgraph.eval.real.mouse`);
each component is a node of the network, and pairs are found by data. A bot is what is looked for. Units
of the contest's coordinates are not pixels; histograms of powers of two only shift by that.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.real import Fold, by_class, find
from riskgraph.eval.real.mouse import Measured, Trajectory, component_names, components

FILE = "dsjtzs_mouse/dsjtzs_dev.txt.gz"
FOLDS = 10

Values = NDArray[np.float32]


@lru_cache(maxsize=1)
def read(path: Path, measured: Measured = components) -> tuple[Values, list[bool]]:
    """Components of the trajectories and whether each is a bot, from lines ``id x,y,t;… target label``."""
    recorded, bots = [], []
    with gzip.open(path, "rt", encoding="ascii") as lines:
        for line in lines:
            _, points, _, label = line.split()
            x, y, t = np.array([p.split(",") for p in points.strip(";").split(";")], dtype=np.float64).T
            recorded.append(Trajectory(t, x, y))
            bots.append(label == "0")
    return measured(recorded), bots


def folds(data: Path | None, seed: int, *, measured: Measured = components) -> Iterator[Fold]:
    """Ten folds; together their test rows are all rows, once each.

    Raises:
        Unavailable: If the set is not there.
    """
    values, bots = read(find(data, FILE), measured)
    names, label = component_names(), np.array(bots)
    parts = by_class(label, (1 / FOLDS,) * (FOLDS - 1), seed)
    for number, test in enumerate(parts):
        yield Fold(
            name=f"fold {number} of seed {seed}",
            components=names,
            values=values,
            words=(0,) * len(names),
            label=label,
            train=np.setdiff1d(np.arange(len(label)), test),
            held_out=np.empty(0, dtype=np.intp),
            test=test,
        )
