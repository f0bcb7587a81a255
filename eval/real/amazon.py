"""Amazon U-P-U: reviewers, some of them fraudulent, who reviewed the same product.

Each reviewer is a row. Components are the 25 given features and what neighbours one and two edges away
are like; each component is a node of the network, and pairs are found by data. Splits are drawn, 40 %
to fit on, 20 % to choose on and 40 % to measure, with both classes in the same shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from riskgraph.eval.real import Fold, by_class, find
from riskgraph.eval.real.neighbours import Graph, means

FILE = "amazon_upu/Amazon.mat"
SHARES = (0.4, 0.2)


def folds(data: Path | None, seeds: range) -> Iterator[Fold]:
    """One split a seed.

    Raises:
        Unavailable: If the set is not there.
    """
    from scipy.io import loadmat

    stored = loadmat(find(data, FILE))
    features = np.asarray(stored["Attributes"].todense(), dtype=np.float64)
    label = stored["Label"].ravel() == 1
    ends = np.stack(stored["Network"].nonzero(), axis=1).astype(np.int64)
    columns = means(Graph.of(len(label), ends), features)
    values = np.stack(list(columns.values()), axis=1).astype(np.float32)
    for seed in seeds:
        train, held_out, test = by_class(label, SHARES, seed)
        yield Fold(
            name=f"seed {seed}",
            components=tuple(columns),
            values=values,
            words=(0,) * len(columns),
            label=label,
            train=train,
            held_out=held_out,
            test=test,
        )
