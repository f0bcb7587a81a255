"""Step 8: values exchanged between drawn rows of one group until the template pairs show R4.

A swap moves what one node holds from one row to another row of the same group. So every group keeps
its values, each class its marginals, and each row what is absent in it. Moving the latent values
along keeps the honest correlation for pairs that R4 does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from riskgraph.core.catalog import catalog
from riskgraph.sandbox.bins import COARSE_BINS, NOISE_SD
from riskgraph.sandbox.draw import ClassDraw
from riskgraph.sandbox.pairs import APART
from riskgraph.sandbox.rake import Target, targets
from riskgraph.sandbox.tables import Tables

SWEEPS = 12
DAMPING = 0.5
LIMIT = 4.0
_CODES = COARSE_BINS + 1
# rows that are taken at a time: what is taken for them stays in the cache of a core
_STEP = 256

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class _Node:
    """One node that has template pairs.

    Attributes:
        block: Its components. stand_in: The one that pairs read.
        rows: intp[n], rows that have the node.
        run: float64[n], whole numbers from 0; only rows of one run, with the same group and the same
            parts of the node, may exchange.
        first: The even places of each run but a last one without a next, once rows are sorted by run.
        pairs: Index of each pair, the component of its other end, and whether this node is its first.
    """

    block: slice
    stand_in: int
    rows: Rows
    run: NDArray[np.float64]
    first: Rows
    pairs: tuple[tuple[int, int, bool], ...]


def swap(tables: Tables, draw: ClassDraw, label: int, rng: np.random.Generator) -> ClassDraw:
    """Exchange values within groups, guided by the released joint tables.

    Gibbs sampling (Barker 1965) of an exchange of ``(value, e)`` between rows x and y, with log odds
    ``theta(after) - theta(before) - (e_y - e_x)(h_x - h_y)``: ``h = Q e`` over the other components,
    ``Q`` the precision of the released honest correlation, ``theta`` one number per released cell.
    After each sweep theta moves towards ``log(released / drawn)``.

    Args:
        tables: The released tables; nothing else is read.
        draw: Drawn rows of one class, with their latent values.
        label: The class.
        rng: Source of proposals.

    Returns:
        The same rows after the swaps; ``draw`` stays as it is.
    """
    moved = replace(
        draw,
        rows=replace(draw.rows, components=draw.rows.components.copy()),
        coarse={end: codes.copy() for end, codes in draw.coarse.items()},
        latent=draw.latent.copy(),
    )
    wanted = targets(tables, draw, label)
    theta = np.zeros((len(tables.pairs.cell[label]), APART + 1))
    precision = np.linalg.inv(tables.correlation.astype(np.float64)).astype(np.float32)
    nodes = _nodes(moved, wanted)
    gaps = _Gaps(moved.latent, max((len(node.first) for node in nodes), default=0))
    for _ in range(SWEEPS):
        for node in nodes:
            _exchange(moved, node, _pair_tables(node, wanted, theta), precision, gaps, rng)
        _adapt(moved, wanted, theta)
    return moved


def _nodes(draw: ClassDraw, wanted: dict[int, Target]) -> list[_Node]:
    places = catalog().component_slices
    beside: dict[int, list[tuple[int, int, bool]]] = {}
    for p, target in wanted.items():
        a, b = target.ends
        beside.setdefault(a, []).append((p, b, True))
        beside.setdefault(b, []).append((p, a, False))
    out = []
    for end in sorted(beside):
        block = places[catalog().component_node[end]]
        filled = ~np.isnan(draw.rows.components[:, block])
        rows = np.flatnonzero(filled[:, end - block.start])
        width = filled.shape[1]
        parts = filled[rows] @ (1 << np.arange(width))
        run = np.unique((draw.group[rows] << width) + parts, return_inverse=True)[1]
        first = _first_places(np.bincount(run))
        out.append(_Node(block, end, rows, run.astype(np.float64), first, tuple(beside[end])))
    return out


def _first_places(size: NDArray[np.int64]) -> Rows:
    """Where pairs of neighbours begin in runs of these sizes that lie one after another."""
    place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return np.flatnonzero((place % 2 == 0) & (place + 1 < np.repeat(size, size)))


def _propose(node: _Node, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Random disjoint pairs of rows, each within one run."""
    rows = node.rows[np.argsort(node.run + rng.random(len(node.run)))]
    return rows[node.first], rows[node.first + 1]


def _pair_tables(
    node: _Node, wanted: dict[int, Target], theta: NDArray[np.float64]
) -> list[tuple[int, NDArray[np.float64]]]:
    """For each pair of a node the other end and float64[25] theta, the node's own code first."""
    out = []
    for p, other, first in node.pairs:
        table = theta[p][wanted[p].lookup]
        out.append((other, np.ascontiguousarray(table if first else table.T).ravel()))
    return out


class _Gaps:
    """Differences of latent rows, in one piece of memory that every proposal uses again.

    Args:
        latent: float32[M, 400], changed in place meanwhile.
        most: Pairs of rows in a proposal, at most.
    """

    def __init__(self, latent: Floats, most: int) -> None:
        self._latent = latent
        self._gap = np.empty((most, latent.shape[1]), dtype=latent.dtype)
        self._other = np.empty((_STEP, latent.shape[1]), dtype=latent.dtype)

    def between(self, x: Rows, y: Rows) -> Floats:
        """float32[n, 400], ``latent[x] - latent[y]``, until the next call."""
        for start in range(0, len(x), _STEP):
            gap = self._gap[start : min(start + _STEP, len(x))]
            other = self._other[: len(gap)]
            for rows, out in ((x, gap), (y, other)):
                # the mode writes straight to out; all rows exist
                self._latent.take(rows[start : start + _STEP], axis=0, out=out, mode="clip")
            np.subtract(gap, other, out=gap)
        return self._gap[: len(x)]


def _exchange(
    draw: ClassDraw,
    node: _Node,
    tables: list[tuple[int, NDArray[np.float64]]],
    precision: Floats,
    gaps: _Gaps,
    rng: np.random.Generator,
) -> None:
    """One proposal for each row that has the node, in place."""
    latent = draw.latent
    own, block = draw.coarse[node.stand_in], node.block
    x, y = _propose(node, rng)
    apart = own[x] != own[y]  # the others change no cell
    x, y = x[apart], y[apart]
    at_x, at_y = (own[rows].astype(np.intp) * _CODES for rows in (x, y))
    odds = np.zeros(len(x))
    for other, table in tables:
        beside = draw.coarse[other]
        to_x, to_y = beside[x], beside[y]
        odds += table[at_y + to_x] + table[at_x + to_y] - table[at_x + to_x] - table[at_y + to_y]
    pull = precision[:, block].copy()
    pull[block] = 0.0
    change = gaps.between(x, y)
    odds += np.einsum("ij,ij->i", change[:, block], change @ pull)
    taken = rng.random(len(x)) < expit(odds)
    x, y = x[taken], y[taken]
    both, turned = np.concatenate([x, y]), np.concatenate([y, x])
    own[both] = own[turned]
    latent[both, block] = latent[turned, block]
    draw.rows.components[both, block] = draw.rows.components[turned, block]


def _adapt(draw: ClassDraw, wanted: dict[int, Target], theta: NDArray[np.float64]) -> None:
    """Move theta towards what is released, in place; its last cell, not both present, stays 0."""
    for p, target in wanted.items():
        drawn = target.weights(draw, draw.rows.weight)
        # the noise's size on both sides: a cell of a few rows must not swing on its noise
        gap = np.log((target.wanted + NOISE_SD) / (drawn + NOISE_SD))[:APART]
        theta[p, :APART] = np.clip(theta[p, :APART] + DAMPING * gap, -LIMIT, LIMIT)
