"""Released causes of absence, and which parts of a context node are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, Form, catalog
from riskgraph.core.subgraph import State
from riskgraph.sandbox.bins import NOISE_SD
from riskgraph.sandbox.frame import Frame, code_masks
from riskgraph.sandbox.strata import COUNT, blocked
from riskgraph.sandbox.tally import Tally

_MAY_LACK = ("days_since_last", "share_10m")
# Context nodes with a part that may be left out, and that part: (node, component) indexes.
PARTS = tuple(
    (node.index, catalog().component_index[f"{node.id}.{name}"])
    for node in catalog()
    for name in _MAY_LACK
    if node.form is Form.CONTEXT and name in node.components
)
FLAG_COUNT = NODE_COUNT + len(PARTS)
_MASKS = 1 << 8
CAUSES = (State.NOT_APPLICABLE, State.NOT_DELIVERED, State.REFUSED)


@dataclass(frozen=True)
class Absence:
    """Why nodes are absent.

    Attributes:
        cause: float32[2, 24, 3, 137]: share of each cause among the absent rows of a class and
            stratum; all zero where no cause has k units: the node counts as not delivered there.
        parts: For each context node its part patterns (bit masks) and their shares by class,
            ``{node index: (int64[P], float64[2, P])}``.
    """

    cause: NDArray[np.float32]
    parts: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]


def _shares(
    counts: NDArray[np.float64], units: NDArray[np.int64], k: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Shares along axis 0 of cells with k units, from counts with noise; 0 where no cell has them.

    Exact shares would be fractions with one denominator, and that is a count of rows which may be few.
    """
    noised = np.maximum(counts + rng.normal(0, NOISE_SD, counts.shape), 1.0)
    kept = np.where(units >= k, noised, 0.0)
    out: NDArray[np.float64] = kept / np.maximum(kept.sum(axis=0), 1.0)
    return out


def _held(units: NDArray[np.int64]) -> NDArray[np.int64]:
    return units[..., State.PRESENT]


def _lacked(units: NDArray[np.int64]) -> NDArray[np.int64]:
    """At least: a unit may lack a node for several causes, so those of the commonest one."""
    out: NDArray[np.int64] = units[..., CAUSES].max(axis=-1)
    return out


@dataclass(frozen=True)
class AbsenceTally:
    """What the causes are made of; those of chunks add up, if no unit of a class lies in two.

    Attributes:
        rows, units: int64[137, 2, 24, 4], rows and units of a class and stratum by a node's state.
        persons: int64[137, 2, 4], units of a class.
        part_rows, part_units: Rows and units by ``(2 node + class) << 8 | mask of its parts``.
    """

    rows: NDArray[np.int64]
    units: NDArray[np.int64]
    persons: NDArray[np.int64]
    part_rows: Tally
    part_units: Tally

    def rare_shares(self, shared: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Share of rows with a node where under k units of a class and stratum have it, or lack it.

        Such strata of a class are pooled; where they have not k units together nobody has it, or everybody.

        Args:
            shared: int64[2], by how much the units of strata exceed those of each class: as many units at
                most were counted twice.
            k: Least number of units.

        Returns:
            float64[2, 24, 137], NaN where k units have the node and k lack it, and where nobody has a
            node of a block that the stratum lacks.
        """
        rows, whole = self.rows[..., State.PRESENT], self.rows.sum(axis=-1)
        have, lack, out = _held(self.units), _lacked(self.units), np.full(rows.shape, np.nan)
        # a block that is named may still be there: results of a payment, before it
        gone = blocked().T[:, None, :] & (have == 0)
        few = (np.minimum(have, lack) < k) & ~gone & (whole > 0)
        sides = ((have, lack, _held(self.persons), 0.0), (lack, have, _lacked(self.persons), 1.0))
        for fewer, more, persons, none in sides:
            rare = few & ((fewer < more) if none else (fewer <= more))
            # at least: those of the pooled strata less all that were counted twice, or who is in no other
            units = np.maximum((fewer * rare).sum(axis=-1) - shared, persons - (fewer * ~rare).sum(axis=-1))
            enough = (units >= k) & ((more * rare).sum(axis=-1) - shared >= k)
            share = (rows * rare).sum(axis=-1) / np.maximum((whole * rare).sum(axis=-1), 1)
            out = np.where(rare, np.where(enough, share, none)[..., None], out)
        return np.moveaxis(out, 0, -1)

    @classmethod
    def joined(cls, parts: Sequence[AbsenceTally]) -> AbsenceTally:
        """The sum of tallies."""
        return cls(
            np.sum([p.rows for p in parts], axis=0),
            np.sum([p.units for p in parts], axis=0),
            np.sum([p.persons for p in parts], axis=0),
            Tally.joined([p.part_rows for p in parts]),
            Tally.joined([p.part_units for p in parts]),
        )


def tally_absence(frame: Frame) -> AbsenceTally:
    """Count the rows and units behind each cause of absence and each pattern of parts."""
    first, keys = frame.item_starts, 2 * COUNT
    of_item = (frame.label[first].astype(np.intp) * COUNT + frame.stratum[first]).astype(np.intp)
    rows = _tally(frame.states, of_item[frame.row_item], keys, len(State))
    # an item is a unit in a stratum
    units, starts = _with_state(frame, first, of_item, keys), frame.unit_starts
    persons = _with_state(frame, starts, frame.label[starts].astype(np.intp), 2)
    shape = (NODE_COUNT, 2, COUNT, len(State))
    part_rows, part_units = (Tally.joined(part) for part in zip(*_part_tallies(frame), strict=True))
    return AbsenceTally(rows.reshape(shape), units.reshape(shape), persons, part_rows, part_units)


def _with_state(
    frame: Frame, starts: NDArray[np.intp], key: NDArray[np.intp], keys: int
) -> NDArray[np.int64]:
    """int64[137, keys, 4]: of runs of rows with a key each, those that have a row with a node's state."""
    bits = np.arange(1 << len(State))[:, None] >> np.arange(len(State)) & 1
    out: NDArray[np.int64] = _tally(code_masks(frame.states, starts, np.uint8), key, keys, len(bits)) @ bits
    return out


def _part_tallies(frame: Frame) -> Iterator[tuple[Tally, Tally]]:
    for node in catalog():
        if node.form is Form.CONTEXT:
            columns = frame.values[catalog().component_slices[node.index]]
            mask = ((1 << np.arange(len(columns)))[:, None] * ~np.isnan(columns)).sum(axis=0)
            key = (2 * node.index + frame.label.astype(np.int64)) * _MASKS + mask
            span = np.int64(frame.unit.max(initial=0) + 1)
            yield Tally.of(key), Tally.of(np.unique(key * span + frame.unit) // span)


def _causes(tally: AbsenceTally, k: int, rng: np.random.Generator) -> NDArray[np.float32]:
    out = np.zeros((2, COUNT, len(CAUSES), NODE_COUNT), dtype=np.float32)
    for label, stratum in zip(*np.nonzero(tally.rows.any(axis=(0, 3))), strict=True):
        counts, units = (part[:, label, stratum][:, CAUSES].T for part in (tally.rows, tally.units))
        out[label, stratum] = _shares(counts.astype(np.float64), units, k, rng)
    return out


def _tally(values: NDArray[np.uint8], key: NDArray[np.intp], keys: int, width: int) -> NDArray[np.int64]:
    """int64[R, keys, width]: how often each value of uint8[R, N] occurs with each key."""
    at = key * width
    counts = [np.bincount(at + row, minlength=keys * width) for row in values]
    return np.stack(counts).reshape(len(values), keys, width)


def _parts(
    tally: AbsenceTally, k: int, rng: np.random.Generator
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    out = {}
    for node in (n.index for n in catalog() if n.form is Form.CONTEXT):
        counts, units = np.zeros((_MASKS, 2)), np.zeros((_MASKS, 2), dtype=np.int64)
        for label in (0, 1):
            start = (2 * node + label) * _MASKS
            rows, persons = (t.between(start, start + _MASKS) for t in (tally.part_rows, tally.part_units))
            counts[rows.key, label] = rows.number
            units[persons.key, label] = persons.number
        share = _shares(counts[1:], units[1:], k, rng).T
        told: NDArray[np.bool_] = np.any(share, axis=1)
        if told.any():
            # a class with no pattern of its own takes the other's
            share = np.where(told[:, None], share, share[::-1])
            kept = share.any(axis=0)
            out[node] = (1 + np.flatnonzero(kept), share[:, kept])
    return out


def fit_absence(tally: AbsenceTally, k: int, rng: np.random.Generator) -> Absence:
    """Causes and part patterns of the accepted rows; every released cell stands for k units."""
    return Absence(_causes(tally, k, rng), _parts(tally, k, rng))
