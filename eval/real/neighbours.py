"""What the neighbours of a node are like, as further components of it.

The trick of XGBGraph (GADBench, NeurIPS 2023): aggregates without parameters, computed once, so that a
model without message passing of its own sees the graph. In an order graph these are the GRF nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Rows whose rate stands for a node with few labelled neighbours, in neighbours.
_PRIOR = 3.0


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected graph without loops.

    Attributes:
        adjacency: scipy CSR float64[N, N], 0 or 1, symmetric.
        degree: float64[N].
    """

    adjacency: Any
    degree: Floats

    @classmethod
    def of(cls, count: int, ends: NDArray[np.int64]) -> Graph:
        """From edges int64[E, 2] in any order and direction; loops and repeats are dropped."""
        from scipy.sparse import coo_array

        both = np.concatenate([ends, ends[:, ::-1]])
        both = np.unique(both[both[:, 0] != both[:, 1]], axis=0)
        adjacency = coo_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count)).tocsr()
        return cls(adjacency, np.bincount(both[:, 0], minlength=count).astype(np.float64))

    def mean(self, values: Floats) -> Floats:
        """Mean over neighbours, float64[N, C]; NaN where there is none."""
        degree = self.degree if values.ndim == 1 else self.degree[:, None]
        with np.errstate(invalid="ignore"):
            return np.asarray(self.adjacency @ values / degree, dtype=np.float64)

    def extremes(self, values: Floats) -> tuple[Floats, Floats]:
        """Least and largest over neighbours, both float64[N, C]; NaN where there is none."""
        out = np.full((2, *values.shape), np.nan)
        some, starts = self.degree > 0, self.adjacency.indptr[:-1]
        near = values[self.adjacency.indices]
        out[0, some] = np.minimum.reduceat(near, starts[some])
        out[1, some] = np.maximum.reduceat(near, starts[some])
        return out[0], out[1]


def means(graph: Graph, values: Floats) -> dict[str, Floats]:
    """The values, and their means one and two steps around each node, with degrees alike."""
    columns = {f"x{i}": column for i, column in enumerate(values.T)} | {"degree": graph.degree}
    near = {f"{name}.mean": graph.mean(column) for name, column in columns.items()}
    further = {f"{name}2": graph.mean(np.nan_to_num(column)) for name, column in near.items()}
    return columns | near | further


def extremes(graph: Graph, values: Floats) -> dict[str, Floats]:
    """Sums around each node; of those that are more than a yes or no also least, largest and spread."""
    out = {f"x{i}.sum": column for i, column in enumerate((graph.adjacency @ values).T)}
    numbers = [i for i, column in enumerate(values.T) if len(np.unique(column)) > 2]
    least, largest = graph.extremes(values[:, numbers])
    near = graph.mean(values[:, numbers])
    spread = np.sqrt(np.maximum(graph.mean(values[:, numbers] ** 2) - near**2, 0.0))
    for kind, block in (("min", least), ("max", largest), ("spread", spread)):
        out |= {f"x{i}.{kind}": column for i, column in zip(numbers, block.T, strict=True)}
    return out


def known_neighbours(graph: Graph, label: NDArray[np.bool_], train: NDArray[np.intp]) -> dict[str, Floats]:
    """What the labels of training nodes say of their neighbours; a node's own label takes no part.

    A training node and a test node see the same share of their neighbours' labels, so that nothing
    shifts between them. ``B131.fraud_share`` is the like in an order graph.
    """
    known = np.zeros(len(label))
    known[train] = 1.0
    hits, rate = known * label, float(label[train].mean())
    # An edge of a node with many others says less: divided by its degree, as in random walks.
    light = 1.0 / np.maximum(graph.degree, 1.0)
    near, light_near = graph.adjacency @ known, graph.adjacency @ (known * light)
    return {
        "known.share": (graph.adjacency @ hits + _PRIOR * rate) / (near + _PRIOR),
        "known.light_share": (graph.adjacency @ (hits * light) + 0.05 * rate) / (light_near + 0.05),
        "known.count": graph.adjacency @ hits,
    }
