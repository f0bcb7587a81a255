"""One order under a forest as a game of leaves, from which exact Shapley values follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.verdict import Leaves

if TYPE_CHECKING:
    from riskgraph.models.trees import Forest


class LeafPaths:
    """The ways to all leaves of a forest, laid out once so that an order costs a few passes over arrays.

    Args:
        forest: Plain node arrays.
        player: intp[inputs], the behavior node behind each input.
        absent: float32[inputs], inputs of the order with all nodes absent.
    """

    def __init__(self, forest: Forest, player: NDArray[np.intp], absent: NDArray[np.float32]) -> None:
        self._forest = forest
        ends = np.flatnonzero(forest.left == forest.right)
        leaf, split, left = _steps(forest, ends)
        node = player[forest.feature[split]]
        # Steps of one leaf that ask for the same node lie side by side: they are one condition.
        order = np.lexsort((node, leaf))
        leaf, node, self._split, self._left = leaf[order], node[order], split[order], left[order]
        first = np.ones(len(leaf), dtype=bool)
        first[1:] = (np.diff(leaf) != 0) | (np.diff(node) != 0)
        self._start = np.flatnonzero(first)
        self._leaf, self._node = leaf[first], node[first]
        self._value = forest.value[ends]
        self._as_absent = forest.goes_left(absent)[self._split] == self._left

    def of(self, inputs: NDArray[np.float32]) -> Leaves:
        """The leaves that some coalition of an order's nodes reaches.

        A split that the order and the all-absent order pass alike is no condition. Where they part, the
        order's side asks for the node behind the input, and the other side excludes it.

        Args:
            inputs: float32[inputs] of the order.
        """
        if not len(self._start):
            none = np.zeros(0, dtype=np.intp)
            return Leaves(self._value, none, none, none.astype(bool))
        as_order = self._forest.goes_left(inputs)[self._split] == self._left
        there = np.logical_or.reduceat(as_order & ~self._as_absent, self._start)
        gone = np.logical_or.reduceat(self._as_absent & ~as_order, self._start)
        barred = np.logical_or.reduceat(~as_order & ~self._as_absent, self._start)
        reached = np.ones(len(self._value), dtype=bool)
        reached[self._leaf[barred | (there & gone)]] = False
        kept = (there | gone) & reached[self._leaf]
        number = np.cumsum(reached) - 1
        return Leaves(self._value[reached], number[self._leaf[kept]], self._node[kept], there[kept])


def _steps(
    forest: Forest, ends: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Every step to every leaf: number of the leaf, split that was passed, and whether to the left."""
    splits = np.flatnonzero(forest.left != forest.right)
    above = np.full(len(forest.left), -1, dtype=np.intp)
    above[forest.left[splits]] = above[forest.right[splits]] = splits
    steps: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]] = []
    leaf, here = np.arange(len(ends)), ends
    while len(here):
        up = above[here]
        leaf, here, up = leaf[up >= 0], here[up >= 0], up[up >= 0]
        steps.append((leaf, up, forest.left[up] == here))
        here = up
    leaves, passed, left = (np.concatenate(part) for part in zip(*steps, strict=True))
    return leaves, passed, left
