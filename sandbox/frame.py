"""Frame: the accepted rows, sorted so that whatever belongs to one person lies together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.core.units import Units
from riskgraph.sandbox.intake import Intake
from riskgraph.sandbox.strata import merge_patterns, patterns, suppress

_Mask = TypeVar("_Mask", np.uint8, np.uint16)


@dataclass(frozen=True)
class Frame:
    """N accepted rows, sorted by label, unit and stratum; clean rows come first.

    An *item* is one unit's rows of one label and stratum: what the partition keeps together.

    Attributes:
        source: intp[N], positions in the history table.
        label: int8[N]. unit, component: int64[N]. stratum: int16[N], pattern codes.
        values: float32[259, N], NaN where absent. states: uint8[137, N].
    """

    source: NDArray[np.intp]
    label: NDArray[np.int8]
    unit: NDArray[np.int64]
    component: NDArray[np.int64]
    stratum: NDArray[np.int16]
    values: NDArray[np.float32]
    states: NDArray[np.uint8]

    @cached_property
    def unit_starts(self) -> NDArray[np.intp]:
        """First row of each (label, unit)."""
        return run_starts(self.label, self.unit)

    @cached_property
    def item_starts(self) -> NDArray[np.intp]:
        """First row of each (label, unit, stratum)."""
        return run_starts(self.label, self.unit, self.stratum)

    @cached_property
    def item_rows(self) -> NDArray[np.int64]:
        """Rows of each item."""
        return np.diff(np.append(self.item_starts, len(self.label)))

    @cached_property
    def row_item(self) -> NDArray[np.intp]:
        """Item of each row."""
        return np.repeat(np.arange(len(self.item_starts)), self.item_rows)

    def item_sums(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[items, C]: columns float32[C, N] summed over each item's rows."""
        rows = len(self.label)
        ends = np.append(self.item_starts, rows)
        shape = (len(self.item_starts), rows)
        # one sparse product is ten times faster than np.add.reduceat over short runs
        adder = csr_array((np.ones(rows, dtype=np.float32), np.arange(rows), ends), shape=shape)
        out: NDArray[np.float32] = adder @ np.ascontiguousarray(values.T)
        return out

    def rows_of(self, label: int) -> slice:
        """Rows of one class."""
        clean = int(np.searchsorted(self.label, 1))
        return slice(clean, len(self.label)) if label else slice(0, clean)

    def units_of(self, label: int) -> slice:
        """Places in ``unit_starts`` of one class."""
        clean = int(np.searchsorted(self.unit_starts, np.searchsorted(self.label, 1)))
        return slice(clean, len(self.unit_starts)) if label else slice(0, clean)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """bool[137, N]."""
        out: NDArray[np.bool_] = self.states == State.PRESENT
        return out


def code_masks(codes: NDArray[np.uint8], starts: NDArray[np.intp], dtype: type[_Mask]) -> NDArray[_Mask]:
    """Which codes each run of columns of uint8[C, N] shows: bit ``c`` of ``[C, len(starts)]`` for code c.

    A run costs the same for a whole 64-bit word, so as many rows as fit into one are joined at once.
    """
    lanes = 8 // np.dtype(dtype).itemsize
    out = np.empty((len(codes), len(starts)), dtype=dtype)
    words = np.zeros((codes.shape[1], lanes), dtype=dtype)
    for first in range(0, len(codes), lanes):
        part = codes[first : first + lanes]
        np.left_shift(1, part.T, out=words[:, : len(part)], dtype=dtype)
        joined = np.bitwise_or.reduceat(words.view(np.uint64), starts, axis=0)
        out[first : first + lanes] = joined.view(dtype).T[: len(part)]
    return out


def run_starts(*keys: NDArray[np.int8] | NDArray[np.int16] | NDArray[np.int64]) -> NDArray[np.intp]:
    """First place of each run of equal keys."""
    new = np.zeros(len(keys[0]), dtype=np.bool_)
    new[:1] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(new)


def build_frame(table: OrderTable, intake: Intake, units: Units, k: int) -> Frame:
    """Sort the accepted rows and take away the blocks that their strata lost.

    Values and states of ``intake`` are taken over: they are changed in place, for they are large.
    """
    rows = intake.rows
    label, unit = table.label[rows], units.unit[rows]
    states, values = intake.states, intake.values
    before = patterns(states, intake.availability)
    after = merge_patterns(before, unit, label, k)[before]
    suppress(values, states, before, after)
    order = np.lexsort((after, unit, label))
    component = units.component[rows]
    for column in values.T:
        column[:] = column[order]
    return Frame(
        source=rows[order],
        label=label[order],
        unit=unit[order],
        component=component[order],
        stratum=after[order],
        values=values.T,
        states=np.ascontiguousarray(states[order].T),
    )


def keep_rows(frame: Frame, kept: NDArray[np.bool_]) -> Frame:
    """The frame without some of its rows: bool[N]."""
    if kept.all():
        return frame
    return Frame(
        source=frame.source[kept],
        label=frame.label[kept],
        unit=frame.unit[kept],
        component=frame.component[kept],
        stratum=frame.stratum[kept],
        values=frame.values[:, kept],
        states=frame.states[:, kept],
    )


COMPONENT_COUNT = len(catalog().components)
