"""A large release, chunk by chunk: sample, plan, assign, exact counts, merge.

Every step is a task that reads one chunk (or one bucket of items) from the folder and returns little: a
sample, counts, sums. A runner calls the tasks, in this process or on others; what they return is added in
the order of the chunks, and all that is random is drawn here. So the tables do not depend on the runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import CheckFailed
from riskgraph.sandbox.absence import AbsenceTally
from riskgraph.sandbox.bins import (
    FineTally,
    Scale,
    Support,
    all_edges,
    bin_noise,
    merge_bins,
    sample_rows,
)
from riskgraph.sandbox.cells import CellCount, count_seen, parted, seen_again
from riskgraph.sandbox.chunks import Chunking, Chunks, Runner
from riskgraph.sandbox.groups import Sums, shuffle_groups
from riskgraph.sandbox.pairs import PairTally, pair_ends
from riskgraph.sandbox.partition import Partition, Persons
from riskgraph.sandbox.plan import SAMPLE, Plan, crowds, plan_cuts
from riskgraph.sandbox.shape import Moments, Seen, sample_honest
from riskgraph.sandbox.tables import Tables
from riskgraph.sandbox.tasks import (
    Bucket,
    Part,
    ToAssign,
    ToCount,
    ToTell,
    alone,
    assign,
    count_codes,
    pick_values,
    read_features,
    see_persons,
    split_bucket,
    tell,
    write_features,
)

# Honest units whose first rows give the shape inside a bin: a cell of k of them has k units or more.
_SHAPED = 50_000

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Scales = tuple[Scale, ...]
Out = TypeVar("Out")


@dataclass(frozen=True)
class ChunkMoments(Moments):
    """Moments of bins from sums over all chunks: float64[259, 3, 16], see ``tasks.Part``."""

    sums: Doubles

    def mean_sd(self, component: int, bin: int) -> tuple[float, float]:
        count, total, square = self.sums[component, :, bin + 1]
        mean = total / count
        return float(mean), float(np.sqrt(max(square / count - mean**2, 0.0)))


@dataclass(frozen=True)
class ByChunks:
    """The groups of a large release and what the tables read of its rows (``tables.Told``)."""

    items: Persons
    split: Partition
    bins: tuple[Scales, tuple[Support, ...]]
    shaped: Floats
    told: Part
    everyone: Moments
    sampled: NDArray[np.intp]

    def sums(self) -> Sums:
        return self.told.sums

    def first(self) -> Iterable[Floats]:
        return iter(self.shaped)

    def moments(self) -> Moments:
        return self.everyone

    def seen(self, rng: np.random.Generator) -> Seen:
        items = np.repeat(np.arange(len(self.items.rows)), self.items.rows)[self.sampled]
        return Seen(self.told.levels, self.split.group[items], self.items.unit[items])

    def absence(self) -> AbsenceTally:
        return self.told.absence

    def pairs(self) -> PairTally:
        return self.told.pairs


@dataclass(frozen=True)
class _Work:
    """Chunks and who works on them."""

    chunks: Chunks
    run: Runner

    def each(self, task: Callable[..., Out], *known: Any, over: Sequence[Any] | None = None) -> Iterable[Out]:
        """What a task returns for each chunk, or each of some arguments, in order."""
        bound = partial(alone, task, self.chunks.folder, *known)
        return self.run(bound, range(len(self.chunks)) if over is None else over)

    def picked(self, picks: Sequence[NDArray[np.intp]]) -> list[Floats]:
        """float32[259, n] of each of some rising sets of rows."""
        asked = list(enumerate(map(list, zip(*map(self.chunks.by_chunk, picks), strict=True))))
        parts = list(self.each(pick_values, over=asked))
        return [np.concatenate([part[i] for part in parts], axis=1) for i in range(len(picks))]

    def places(self, items: NDArray[np.intp]) -> list[tuple[int, NDArray[np.intp]]]:
        """Rising items, by chunk and place in it."""
        cuts = np.searchsorted(items, self.chunks.items)
        return [
            (chunk, items[start:stop] - self.chunks.items[chunk])
            for chunk, (start, stop) in enumerate(zip(cuts[:-1], cuts[1:], strict=True))
            if stop > start
        ]


def group_chunks(chunks: Chunks, how: Chunking, k: int, rng: np.random.Generator) -> ByChunks:
    """Bins, groups, and what the tables read of the rows.

    Raises:
        CheckFailed: If a class does not reach two groups.
    """
    work, clean = _Work(chunks, how.run), chunks.clean
    picks, noise = sample_rows(clean, int(chunks.rows[-1]), rng), bin_noise(rng)
    *samples, shaped = work.picked([*picks, _first_rows(chunks, rng)])
    edges = all_edges(list(zip(*samples, strict=True)))
    fine = reduce(lambda *two: FineTally.joined(two), work.each(count_codes, edges))
    scales, support = merge_bins(edges, fine, k, noise)
    for _ in work.each(write_features, scales):
        pass
    split = _partition(work, how.bucket, k, rng)
    rows = sample_honest(np.arange(clean), rng)
    asked = [
        ToTell(chunk, split.group[chunks.item_slice(chunk)], part)
        for chunk, part in enumerate(chunks.by_chunk(rows))
    ]
    groups = Partition(split.group[:0], split.label, split.stratum, {})
    told = _joined(work.each(tell, scales, groups, over=asked))
    everyone = ChunkMoments(told.moments)
    return ByChunks(chunks.persons, split, (scales, support), shaped, told, everyone, rows)


def _first_rows(chunks: Chunks, rng: np.random.Generator) -> NDArray[np.intp]:
    """The first rows of a sample of honest units, rising."""
    persons = chunks.persons
    starts = np.cumsum(persons.rows) - persons.rows
    honest = persons.label == 0
    new = np.diff(persons.unit[honest], prepend=-1) != 0
    first = starts[honest][new]
    return np.sort(rng.choice(first, min(_SHAPED, len(first)), replace=False))


def _joined(parts: Iterable[Part]) -> Part:
    """The sum of what chunks tell, added one at a time; only levels of sampled rows are kept of each."""
    levels: list[NDArray[np.uint8]] = []
    counts: list[tuple[Doubles, AbsenceTally, PairTally]] = []

    def sums() -> Iterator[Sums]:
        for part in parts:
            levels.append(part.levels)
            moments, absence, pairs = zip(*counts, (part.moments, part.absence, part.pairs), strict=True)
            counts[:] = [(np.sum(moments, axis=0), AbsenceTally.joined(absence), PairTally.joined(pairs))]
            yield part.sums

    whole = Sums.joined(sums())
    ((moments, absence, pairs),) = counts
    return Part(whole, moments, np.concatenate(levels, axis=1), absence, pairs)


def _partition(work: _Work, most: int, k: int, rng: np.random.Generator) -> Partition:
    persons = work.chunks.persons
    strata = [
        (label, int(stratum), np.flatnonzero((persons.label == label) & (persons.stratum == stratum)))
        for label in (0, 1)
        for stratum in np.unique(persons.stratum[persons.label == label])
    ]
    plans = {}
    for label, stratum, chosen in strata:
        if len(chosen) > most:
            sample = np.sort(rng.choice(chosen, min(SAMPLE, len(chosen)), replace=False))
            values = read_features(work.chunks.folder, work.places(sample))
            plans[label, stratum] = plan_cuts(values, len(chosen), most, rng)
    bucket = _assigned(work, plans)
    members: list[NDArray[np.intp]] = []
    for label, stratum, chosen in strata:
        plan = plans.get((label, stratum))
        parts = crowds(plan, bucket[chosen], persons, chosen, k) if plan else [np.arange(len(chosen))]
        members += [chosen[part] for part in parts]
    return shuffle_groups(_groups(work, members, k, rng), rng)


def _assigned(work: _Work, plans: dict[tuple[int, int], Plan]) -> NDArray[np.int64]:
    persons = work.chunks.persons
    if not plans:
        return np.zeros(len(persons.rows), dtype=np.int64)
    slices = map(work.chunks.item_slice, range(len(work.chunks)))
    asked = [ToAssign(c, persons.label[part], persons.stratum[part]) for c, part in enumerate(slices)]
    return np.concatenate(list(work.each(assign, plans, over=asked)))


def _groups(work: _Work, buckets: list[NDArray[np.intp]], k: int, rng: np.random.Generator) -> Partition:
    """The groups of all buckets, each split for itself, counted exactly."""
    persons = work.chunks.persons
    seeds = rng.integers(2**63, size=len(buckets))
    asked = [
        Bucket(_of(persons, items), work.places(items), int(seed))
        for items, seed in zip(buckets, seeds, strict=True)
    ]
    group = np.full(len(persons.rows), -1, dtype=np.int32)
    label: list[int] = []
    stratum: list[int] = []
    for items, found in zip(buckets, work.each(split_bucket, k, over=asked), strict=True):
        for part in found:
            group[items[part]] = len(label)
            label.append(persons.label[items[0]])
            stratum.append(persons.stratum[items[0]])
    trimmed = work.chunks.trimmed
    trimmed.check(group, k)
    return Partition(group, np.array(label, np.int8), np.array(stratum, np.int16), trimmed.dropped)


def _of(persons: Persons, items: NDArray[np.intp]) -> Persons:
    return Persons(**{name: column[items] for name, column in vars(persons).items()})


def count_chunks(
    chunks: Chunks, person: NDArray[np.int64], group: NDArray[np.int32], tables: Tables, run: Runner
) -> CellCount:
    """Count the persons behind every cell, chunk by chunk, as ``cells.count_cells`` does.

    Args:
        chunks: The rows.
        person: int64[N], person of each row by the independent count.
        group: int32[N], group of each row.
        tables: What is to be released.
        run: Who counts.

    Raises:
        CheckFailed: If a person's rows lie in two chunks by that count: it would count twice; or if a chunk
            holds other rows.
    """
    label = np.repeat(chunks.persons.label, chunks.persons.rows)
    if parted(person, label, chunks.rows):
        raise CheckFailed("a person's rows lie in two chunks by the independent count", field="chunks")
    slices = enumerate(map(chunks.row_slice, range(len(chunks))))
    asked = [ToCount(chunk, person[part], group[part], chunks.source[part]) for chunk, part in slices]
    seen = _Work(chunks, run).each(see_persons, tables, over=asked)
    # a person's honest and fraudulent orders may lie in two chunks
    return count_seen(seen, tables, pair_ends(), seen_again(person, chunks.rows))
