"""Accepted rows on disk, in chunks that are cut between persons, so that counts of chunks add up.

A release of a large history holds one chunk at a time. What stays in memory of each row is its place: five
numbers. The folder holds raw rows: it lies where only its owner may read, and goes before rows are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.table import OrderTable, let_go
from riskgraph.core.units import Units
from riskgraph.ports import Progress
from riskgraph.sandbox.frame import COMPONENT_COUNT, Frame, run_starts
from riskgraph.sandbox.intake import Choice, admit_rows
from riskgraph.sandbox.partition import MIN_GROUPS, Persons, check_class, trim
from riskgraph.sandbox.plan import SAMPLE
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.strata import merge_patterns, patterns, suppress

CHUNK_ROWS = 32_768
_PART_ROWS = 8192
_PLACES = ("source", "label", "unit", "component", "stratum")

Rows = NDArray[np.intp]
Out = TypeVar("Out")


class Runner(Protocol):
    """Calls a task with each of some arguments; what it returns comes in the order of the arguments."""

    def __call__(self, task: Callable[[Any], Out], over: Sequence[Any]) -> Iterable[Out]: ...


def in_turn(task: Callable[[Any], Out], over: Sequence[Any]) -> Iterable[Out]:
    """One after another, in this process."""
    return map(task, over)


def watched(run: Runner, progress: Progress) -> Runner:
    """The same runner, and progress is told of each task that has ended."""

    def run_and_tell(task: Callable[[Any], Out], over: Sequence[Any]) -> Iterator[Out]:
        for done, told in enumerate(run(task, over)):
            progress("chunks", done + 1, len(over))
            yield told

    return run_and_tell


@dataclass(frozen=True)
class Chunking:
    """How a release of many orders is cut up.

    Attributes:
        above: Histories of more orders are done in chunks.
        rows: Rows of a chunk, about. bucket: Most items that are split together, about.
        run: Who does the work on chunks.
        scratch: Folder for them, by default that of temporary files; every worker must see it.
    """

    above: int = 250_000
    rows: int = CHUNK_ROWS
    bucket: int = 16_384
    run: Runner = in_turn
    scratch: Path | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """For the record: groups depend on all but ``rows``."""
        return {"rows": self.rows, "bucket": self.bucket, "sample": SAMPLE}


@dataclass(frozen=True)
class Survey:
    """Which rows count, without their values.

    Attributes:
        rows, over_cap, dropped, clipped, withheld: As in ``Intake``.
        pattern: int16[M], the block pattern of each row.
    """

    rows: Rows
    over_cap: Rows
    dropped: dict[str, int]
    clipped: int
    withheld: int
    pattern: NDArray[np.int16]


def survey(table: OrderTable, picked: Choice, policy: Policy) -> Survey:
    """Read every row that counts once, part by part.

    Raises:
        Invalid: If components and states do not agree; the component or node is named.
    """
    rows = picked.rows
    pattern = np.empty(len(rows), dtype=np.int16)
    clipped = withheld = 0
    for start in range(0, len(rows), _PART_ROWS):
        part = table.take(rows[start : start + _PART_ROWS])
        made = admit_rows(part, np.arange(len(part)), policy)
        pattern[start : start + len(part)] = patterns(made.states, made.availability)
        clipped, withheld = clipped + made.clipped, withheld + made.withheld
        let_go(table.components, table.states)
    return Survey(rows, picked.over_cap, picked.dropped, clipped, withheld, pattern)


@dataclass(frozen=True)
class Trimmed:
    """Which items stay when those that dominate a stratum are left out (see ``partition``).

    Attributes:
        everyone: Who stands behind each item, before it.
        stay: bool[items].
        dropped: Rows left out by reason.
    """

    everyone: Persons
    stay: NDArray[np.bool_]
    dropped: dict[str, int]

    def check(self, group: NDArray[np.int32], k: int) -> None:
        """Refuse groups of the items that stay as a release in one piece would.

        Raises:
            Shortage: If a class does not reach two groups.
        """
        whole = np.full(len(self.stay), -1, dtype=np.int32)
        whole[self.stay] = group
        for label in (0, 1):
            check_class(self.everyone, whole, label, k)


@dataclass(frozen=True)
class Chunks:
    """The rows that a release uses, sorted like those of a ``Frame``, on disk.

    Attributes:
        folder: Where they lie.
        rows, items: intp[C + 1], first row and first item of each chunk, and the ends.
        source: intp[N], positions in the history table.
        persons: Who stands behind each item.
        trimmed: What was left out, for a refusal counts it too.
    """

    folder: Path
    rows: Rows
    items: Rows
    source: Rows
    persons: Persons
    trimmed: Trimmed

    def __len__(self) -> int:
        return len(self.rows) - 1

    @cached_property
    def clean(self) -> int:
        """Clean rows, which come first."""
        return int(self.persons.rows[self.persons.label == 0].sum())

    def item_slice(self, chunk: int) -> slice:
        return slice(int(self.items[chunk]), int(self.items[chunk + 1]))

    def row_slice(self, chunk: int) -> slice:
        return slice(int(self.rows[chunk]), int(self.rows[chunk + 1]))

    def by_chunk(self, rows: Rows) -> Iterator[Rows]:
        """Rising places of rows, chunk by chunk, counted from the chunk's first row."""
        cuts = np.searchsorted(rows, self.rows)
        for chunk, first in enumerate(self.rows[:-1].tolist()):
            yield rows[cuts[chunk] : cuts[chunk + 1]] - first


def read_chunk(folder: Path, chunk: int) -> Frame:
    """One chunk, as it was written."""
    import pyarrow.parquet as pq

    table = pq.read_table(_path(folder, chunk))
    values = np.empty((COMPONENT_COUNT, table.num_rows), dtype=np.float32)
    for name, out in zip(catalog().components, values, strict=True):
        out[:] = table[name].to_numpy()
    states = np.stack([table[node.id].to_numpy() for node in catalog()])
    places = {name: table[name].to_numpy() for name in _PLACES}
    return Frame(**places, values=values, states=states)


def _path(folder: Path, chunk: int) -> Path:
    return folder / f"rows-{chunk}.parquet"


def _write(folder: Path, chunk: int, frame: Frame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {name: getattr(frame, name) for name in _PLACES}
    columns |= dict(zip(catalog().components, frame.values, strict=True))
    states = {node.id: states for node, states in zip(catalog(), frame.states, strict=True)}
    # Parquet has no single bytes: a state by itself would take four
    pq.write_table(
        pa.table(columns | states), _path(folder, chunk), compression="none", use_dictionary=list(states),
        write_statistics=False,
    )  # fmt: skip


def _trimmed(persons: Persons, k: int) -> Trimmed:
    """Trim every stratum of both classes.

    Raises:
        Shortage: If too few persons of a class stay for two groups, however they are split.
    """
    stay, dropped = np.zeros(len(persons.rows), dtype=np.bool_), {"cap": 0, "residual": 0}
    for label in (0, 1):
        mine = persons.label == label
        for stratum in np.unique(persons.stratum[mine]):
            chosen = np.flatnonzero(mine & (persons.stratum == stratum))
            kept = trim(persons, chosen, k)
            lost = int(persons.rows[chosen].sum() - persons.rows[kept].sum())
            dropped["cap" if len(kept) else "residual"] += lost
            stay[kept] = True
        if len(np.unique(persons.unit[mine & stay])) < MIN_GROUPS * k:
            # no stratum can be split, so each that stays would be a group
            check_class(persons, np.where(stay, persons.stratum, -1).astype(np.int32), label, k)
    return Trimmed(persons, stay, dropped)


def _bounds(starts: Rows, count: int, size: int) -> Rows:
    """Cuts at some of the starts, about ``size`` rows apart, with both ends."""
    wanted = np.arange(size, count, size)
    cuts = starts[np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)]
    return np.unique(np.concatenate([[0], cuts, [count]])).astype(np.intp)


def _places(table: OrderTable, rows: Rows, units: Units, stratum: NDArray[np.int16]) -> dict[str, Any]:
    """The small columns of rows, sorted by label, unit and stratum."""
    label, unit = table.label[rows], units.unit[rows]
    order = np.lexsort((stratum, unit, label))
    columns: tuple[NDArray[Any], ...] = (rows, label, unit, units.component[rows], stratum)
    return {name: column[order] for name, column in zip(_PLACES, columns, strict=True)}


def _persons(place: dict[str, Any]) -> Persons:
    starts = run_starts(place["label"], place["unit"], place["stratum"])
    columns = {name: place[name][starts] for name in ("unit", "component", "label", "stratum")}
    return Persons(rows=np.diff(np.append(starts, len(place["label"]))), **columns)


def spill(
    table: OrderTable, seen: Survey, units: Units, policy: Policy, k: int, folder: Path, size: int
) -> Chunks:
    """Write the rows that stay into chunks.

    Args:
        table: The history.
        seen: The rows that count.
        units: Of the whole history.
        policy: What each row may give.
        k: Persons per group.
        folder: An empty folder that nobody else may read.
        size: Rows of a chunk, about; a unit's rows of a class always lie in one.

    Raises:
        Shortage: If too few persons of a class stay for two groups.
    """
    rows = seen.rows
    become = merge_patterns(seen.pattern, units.unit[rows], table.label[rows], k)
    place = _places(table, rows, units, become[seen.pattern])
    trimmed = _trimmed(_persons(place), k)
    kept = np.repeat(trimmed.stay, trimmed.everyone.rows)
    place = {name: column[kept] for name, column in place.items()}
    persons = _persons(place)
    count = len(place["label"])
    bounds = _bounds(run_starts(place["label"], place["unit"]), count, size)
    for chunk, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        part = table.take(place["source"][start:stop])
        made = admit_rows(part, np.arange(len(part)), policy)
        before, after = patterns(made.states, made.availability), place["stratum"][start:stop]
        let_go(table.components, table.states)
        suppress(made.values.T, made.states, before, after)
        columns = {name: column[start:stop] for name, column in place.items()}
        _write(folder, chunk, Frame(**columns, values=made.values, states=made.states.T))
    items = np.searchsorted(np.cumsum(persons.rows), bounds, side="right")
    return Chunks(folder, bounds, items, place["source"], persons, trimmed)
