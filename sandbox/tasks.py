"""What is done to one chunk of rows, or one bucket of items, in a large release.

Each task is a function of the folder that chunks lie in, of what is known of all of them, and of what is
asked. It draws nothing at random but from a seed that it is given, and leaves no trace but features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from riskgraph.core.errors import CheckFailed
from riskgraph.sandbox.absence import AbsenceTally, tally_absence
from riskgraph.sandbox.bins import CODES, Binned, FineTally, Scale, fine_codes, tally_codes
from riskgraph.sandbox.cells import PersonsSeen, UsedRows, persons_seen
from riskgraph.sandbox.chunks import read_chunk
from riskgraph.sandbox.frame import COMPONENT_COUNT, Frame
from riskgraph.sandbox.groups import Sums, sum_groups
from riskgraph.sandbox.pairs import PairTally, pair_ends, tally_pairs
from riskgraph.sandbox.partition import Grouped, Partition, Persons, features, split_crowd, summarise
from riskgraph.sandbox.plan import Plan
from riskgraph.sandbox.shape import levels_of
from riskgraph.sandbox.tables import Tables

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Scales = tuple[Scale, ...]
Out = TypeVar("Out")


def alone(task: Callable[..., Out], *arguments: Any) -> Out:
    """Call a task: its sums must not depend on how many cores a worker has."""
    with threadpool_limits(limits=1, user_api="blas"):
        return task(*arguments)


def _features_path(folder: Path, chunk: int) -> Path:
    return folder / f"features-{chunk}.npy"


def _binned(frame: Frame, scales: Scales) -> Binned:
    return Binned(scales, (), fine_codes(frame, [scale.edges for scale in scales]))


def pick_values(folder: Path, asked: tuple[int, list[NDArray[np.intp]]]) -> list[Floats]:
    """float32[259, n] of each of some sets of a chunk's rows."""
    chunk, picks = asked
    values = read_chunk(folder, chunk).values
    return [values[:, rows] for rows in picks]


def count_codes(folder: Path, edges: list[Floats], chunk: int) -> FineTally:
    """What the bins are merged by."""
    frame = read_chunk(folder, chunk)
    return tally_codes(frame, fine_codes(frame, edges))


def write_features(folder: Path, scales: Scales, chunk: int) -> None:
    """Put the features of a chunk's items beside it: float32[items, 396]."""
    frame = read_chunk(folder, chunk)
    items = summarise(frame, _binned(frame, scales))
    np.save(_features_path(folder, chunk), features(items, np.arange(len(items.rows))))


@dataclass(frozen=True)
class ToAssign:
    """The items of a chunk."""

    chunk: int
    label: NDArray[np.int8]
    stratum: NDArray[np.int16]


def assign(folder: Path, plans: dict[tuple[int, int], Plan], asked: ToAssign) -> NDArray[np.int64]:
    """int64[items], the bucket of each item in its class and stratum; 0 where there is no plan."""
    out = np.zeros(len(asked.label), dtype=np.int64)
    values = np.load(_features_path(folder, asked.chunk), mmap_mode="r")
    for (label, stratum), plan in plans.items():
        here = np.flatnonzero((asked.label == label) & (asked.stratum == stratum))
        out[here] = plan.assign(values[here])
    return out


@dataclass(frozen=True)
class Bucket:
    """Items to be split, by chunk and place in it, with a seed of their own."""

    persons: Persons
    places: list[tuple[int, NDArray[np.intp]]]
    seed: int


def read_features(folder: Path, places: Iterable[tuple[int, NDArray[np.intp]]]) -> Floats:
    """float32[n, 396], the features of items by chunk and place in it."""
    parts = [np.load(_features_path(folder, chunk), mmap_mode="r")[rows] for chunk, rows in places]
    return np.concatenate(parts)


def split_bucket(folder: Path, k: int, bucket: Bucket) -> list[NDArray[np.int64]]:
    """The groups of a bucket, each as places in it."""
    everyone = np.arange(len(bucket.persons.rows))
    values, rng = read_features(folder, bucket.places), np.random.default_rng(bucket.seed)
    return split_crowd(bucket.persons, everyone, values, k, rng)


@dataclass(frozen=True)
class ToTell:
    """What is asked of a chunk once the groups are known: the group of each item, and sampled rows."""

    chunk: int
    group: NDArray[np.int32]
    rows: NDArray[np.intp]


@dataclass(frozen=True)
class Part:
    """What the tables read of one chunk, or of all.

    Attributes:
        sums: By group. absence, pairs: Counts.
        moments: float64[259, 3, 16]: honest rows, their sum and sum of squares by code.
        levels: uint8[400, n], of the sampled honest rows.
    """

    sums: Sums
    moments: Doubles
    levels: NDArray[np.uint8]
    absence: AbsenceTally
    pairs: PairTally


def tell(folder: Path, scales: Scales, groups: Partition, asked: ToTell) -> Part:
    """Sums and counts of a chunk; ``groups`` has the label and stratum of all groups."""
    frame = read_chunk(folder, asked.chunk)
    binned = _binned(frame, scales)
    known = Partition(asked.group, groups.label, groups.stratum, {})
    grouped = Grouped(frame, binned, summarise(frame, binned), known)
    return Part(
        sum_groups(grouped),
        _moments(frame, binned),
        levels_of(frame, binned, asked.rows),
        tally_absence(frame),
        tally_pairs(frame, binned),
    )


def _moments(frame: Frame, binned: Binned) -> Doubles:
    out = np.zeros((COMPONENT_COUNT, 3, CODES))
    rows = frame.rows_of(0)
    for codes, row, sums in zip(binned.codes[:, rows], frame.values[:, rows], out, strict=True):
        values = np.nan_to_num(row.astype(np.float64))
        for power in range(3):
            sums[power] = np.bincount(codes, weights=values**power, minlength=CODES)
    return out


@dataclass(frozen=True)
class ToCount:
    """Persons of a chunk's rows by the independent count, their groups, and their places in the history."""

    chunk: int
    person: NDArray[np.int64]
    group: NDArray[np.int32]
    source: NDArray[np.intp]


def see_persons(folder: Path, tables: Tables, asked: ToCount) -> PersonsSeen:
    """The persons of a chunk behind every cell.

    Raises:
        CheckFailed: If the chunk holds other rows than those whose persons were counted.
    """
    frame = read_chunk(folder, asked.chunk)
    if not np.array_equal(frame.source, asked.source):
        raise CheckFailed(f"chunk {asked.chunk} holds other rows than were counted", field="chunks")
    used = UsedRows(asked.person, asked.group, frame.label, frame.stratum, frame.values, frame.states)
    return persons_seen(used, tables, pair_ends())
