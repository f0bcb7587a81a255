"""Released causes of absence, and which parts of a context node are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, Form, catalog
from riskgraph.core.subgraph import State
from riskgraph.sandbox.frame import Frame, code_masks
from riskgraph.sandbox.strata import COUNT

_MAY_LACK = ("days_since_last", "share_10m")
# Context nodes with a part that may be left out, and that part: (node, component) indexes.
PARTS = tuple(
    (node.index, catalog().component_index[f"{node.id}.{name}"])
    for node in catalog()
    for name in _MAY_LACK
    if node.form is Form.CONTEXT and name in node.components
)
FLAG_COUNT = NODE_COUNT + len(PARTS)
CAUSES = (State.NOT_APPLICABLE, State.NOT_DELIVERED, State.REFUSED)


@dataclass(frozen=True)
class Absence:
    """Why nodes are absent.

    Attributes:
        cause: float32[2, 24, 3, 137]: share of each cause among the absent rows of a class and
            stratum; zero where the node is never absent there.
        parts: For each context node its part patterns (bit masks) and their shares by class,
            ``{node index: (int64[P], float64[2, P])}``.
    """

    cause: NDArray[np.float32]
    parts: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]


def _settle(counts: NDArray[np.float64], units: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Shares along axis 0 of cells with k units; else all of it to the commonest cell."""
    kept = np.where(units >= k, counts, 0.0)
    best = np.zeros_like(counts)
    np.put_along_axis(best, counts.argmax(axis=0)[None], 1.0, axis=0)
    total = kept.sum(axis=0)
    out = np.where(total > 0, kept / np.maximum(total, 1.0), best)
    return np.where(counts.sum(axis=0) > 0, out, 0.0)


def _causes(frame: Frame, k: int) -> NDArray[np.float32]:
    out = np.zeros((2, COUNT, len(CAUSES), NODE_COUNT), dtype=np.float32)
    first = frame.item_starts
    keys, of_item = np.unique(
        frame.label[first].astype(np.int64) * COUNT + frame.stratum[first], return_inverse=True
    )
    masks = code_masks(frame.states, first, np.uint8)
    rows = _tally(frame.states, of_item[frame.row_item], len(keys), len(State))
    # an item is a unit in a stratum: units with a state are the items whose mask has its bit
    bits = np.arange(1 << len(State))[:, None] >> np.arange(len(State)) & 1
    persons = _tally(masks, of_item, len(keys), len(bits)) @ bits
    for i, key in enumerate(keys):
        counts, units = (tally[:, i, CAUSES].T for tally in (rows, persons))
        out[key // COUNT, key % COUNT] = _settle(counts.astype(np.float64), units, k)
    return out


def _tally(values: NDArray[np.uint8], key: NDArray[np.intp], keys: int, width: int) -> NDArray[np.int64]:
    """int64[R, keys, width]: how often each value of uint8[R, N] occurs with each key."""
    at = key * width
    counts = [np.bincount(at + row, minlength=keys * width) for row in values]
    return np.stack(counts).reshape(len(values), keys, width)


def _parts(frame: Frame, k: int) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    out = {}
    for node in catalog():
        if node.form is not Form.CONTEXT:
            continue
        columns = frame.values[catalog().component_slices[node.index]]
        bits = (1 << np.arange(len(columns)))[:, None]
        mask = (bits * ~np.isnan(columns)).sum(axis=0)
        patterns = np.unique(mask[mask > 0])
        if not len(patterns):
            continue
        share = np.zeros((2, len(patterns)))
        for label in (0, 1):
            rows = frame.rows_of(label)
            counts = np.array([np.count_nonzero(mask[rows] == p) for p in patterns], dtype=np.float64)
            units = [len(np.unique(frame.unit[rows][mask[rows] == p])) for p in patterns]
            share[label] = _settle(counts[:, None], np.array(units)[:, None], k)[:, 0]
        kept = share.any(axis=0)
        out[node.index] = (patterns[kept], share[:, kept])
    return out


def fit_absence(frame: Frame, k: int) -> Absence:
    """Causes and part patterns of the accepted rows; every released cell stands for k units."""
    return Absence(_causes(frame, k), _parts(frame, k))
