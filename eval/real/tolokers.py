"""Tolokers: crowd workers, some of them banned, who worked on the same tasks.

Each worker is a row. Components are the ten given features, what workers one and two edges away are
like, and how many known (training) neighbours were banned; each component is a node of the network, and
pairs are found by data. The ten splits and their masks are the set's own (yandex-research, ICLR 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from riskgraph.eval.real import Fold, find
from riskgraph.eval.real.neighbours import Graph, extremes, known_neighbours, means

FILE = "tolokers/tolokers.npz"


def folds(data: Path | None) -> Iterator[Fold]:
    """The given splits.

    Raises:
        Unavailable: If the set is not there.
    """
    with np.load(find(data, FILE), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    features, label = arrays["node_features"].astype(np.float64), arrays["node_labels"] == 1
    graph = Graph.of(len(label), arrays["edges"].astype(np.int64))
    columns = means(graph, features) | extremes(graph, features)
    masks = (arrays["train_masks"], arrays["val_masks"], arrays["test_masks"])
    for number, parts in enumerate(zip(*masks, strict=True)):
        train, held_out, test = (np.flatnonzero(mask) for mask in parts)
        known = columns | known_neighbours(graph, label, train)
        yield Fold(
            name=f"split {number}",
            components=tuple(known),
            values=np.stack(list(known.values()), axis=1).astype(np.float32),
            words=(0,) * len(known),
            label=label,
            train=train,
            held_out=held_out,
            test=test,
        )
