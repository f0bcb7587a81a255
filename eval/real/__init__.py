"""Public data sets that were not written for this project, mapped to components, nodes and pairs.

A set is read from a folder that the user names, and nothing of it is kept. An adapter turns a set into
:class:`Fold` s: which rows may be learned from, which may be chosen on, and which are only measured. It
knows no model. Measured figures are those of real data, each of its own small field; none of them says
how well fraud in orders is found.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import Unavailable

VARIABLE = "RISKGRAPH_DATA"

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Fold:
    """One split of a set.

    Attributes:
        name: For notes.
        components: Names of the C components.
        values: float32[N, C], NaN where absent; words are numbered from 0.
        words: How many words each component has, 0 where it is a number.
        label: bool[N], True for what is looked for: a ban, a fraud, a bot.
        train: Rows to fit on.
        held_out: Rows to stop and choose on; empty where the set gives none, then training rows serve.
        test: Rows to measure, once.
    """

    name: str
    components: tuple[str, ...]
    values: NDArray[np.float32]
    words: tuple[int, ...]
    label: NDArray[np.bool_]
    train: Rows
    held_out: Rows
    test: Rows


def find(data: Path | None, relative: str) -> Path:
    """A file of a set.

    Args:
        data: Folder of all sets; if left out, the one that the environment names.
        relative: Path of the file in it.

    Raises:
        Unavailable: If there is no folder or it lacks the file; the message says what to do.
    """
    named = data or os.environ.get(VARIABLE)
    if not named:
        raise Unavailable(f"real data is not part of the project: name its folder with {VARIABLE} or --data")
    path = Path(named) / relative
    if not path.is_file():
        raise Unavailable(f"the set is missing: {relative} is not under the data folder")
    return path


def by_class(label: NDArray[np.bool_], shares: tuple[float, ...], seed: int) -> list[Rows]:
    """Random parts of the rows with both classes in the same shares; the last part takes the rest."""
    rng = np.random.default_rng(seed)
    parts: list[list[Rows]] = [[] for _ in range(len(shares) + 1)]
    for value in (False, True):
        mine = rng.permutation(np.flatnonzero(label == value))
        cuts = np.rint(np.cumsum(shares) * len(mine)).astype(int)
        for part, rows in zip(parts, np.split(mine, cuts), strict=True):
            part.append(rows)
    return [np.sort(np.concatenate(part)) for part in parts]
