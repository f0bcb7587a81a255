"""Released rows as training sees them: stacked, split, and masked as if a source were gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NodeSpec, catalog
from riskgraph.core.errors import Invalid
from riskgraph.ports import TrainingColumns, TrainingRows

# Below these a held-out quarter could not tell when to stop.
MIN_FRAUD, MIN_HONEST = 20, 100
MIN_ROWS = MIN_FRAUD + MIN_HONEST
COMPONENT_COUNT = len(catalog().components)
# Components whose values are read at once.
COLUMNS = 16


class Labelled:
    """What M rows have besides their components.

    Attributes:
        availability: object[M], availability class.
        label: int8[M], 1 fraud, 0 honest.
        weight: float64[M], positive.
        cluster: int32[M], fraud cluster, negative where there is none.
    """

    availability: NDArray[np.object_]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    cluster: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The given rows, as a mask or as indexes."""
        return self.having(**{n: a[rows] for n, a in vars(self).items() if isinstance(a, np.ndarray)})

    def having(self, **changed: NDArray[Any]) -> Self:
        """The same rows with some of their arrays changed."""
        kind: Any = type(self)
        made: Self = kind(**(vars(self) | changed))
        return made

    @property
    def fraud(self) -> NDArray[np.bool_]:
        return np.asarray(self.label == 1)

    @property
    def fraud_rate(self) -> float:
        """Weighted share of fraud."""
        return float(self.weight[self.fraud].sum() / self.weight.sum())


@dataclass(frozen=True, eq=False)
class Rows(Labelled):
    """M drawn rows in memory.

    Attributes:
        components: float32[M, 259], NaN where absent.
    """

    ABSENT: ClassVar[float] = np.nan
    components: NDArray[np.float32]
    availability: NDArray[np.object_]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    cluster: NDArray[np.int32]

    @classmethod
    def of(cls, rows: TrainingRows) -> Rows:
        return cls(rows.components, rows.availability, rows.label, rows.weight, rows.cluster)

    def columns(self, part: slice) -> NDArray[np.float32]:
        """float32[M, C]: some neighbouring components."""
        return self.components[:, part]


@dataclass(frozen=True, eq=False)
class BinnedRows(Labelled):
    """M drawn rows, each component the number of its bin: a quarter of the memory.

    Attributes:
        components: uint8[M, 259], 0 where absent.
    """

    ABSENT: ClassVar[float] = 0
    components: NDArray[np.uint8]
    availability: NDArray[np.object_]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    cluster: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ListedRows(Labelled):
    """M drawn rows that stay where they lie; their components are read some columns at a time.

    Attributes:
        place: intp[M], places of the rows in all sources, one after the other.
        sources: Where they lie.
    """

    place: NDArray[np.intp]
    sources: Columns
    availability: NDArray[np.object_]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    cluster: NDArray[np.int32]

    def columns(self, part: slice) -> NDArray[np.float32]:
        """float32[M, C]: some neighbouring components."""
        return self.sources.columns(part)[self.place]

    def load(self) -> Rows:
        """The same rows with all their values in memory."""
        values = np.empty((len(self), COMPONENT_COUNT), dtype=np.float32)
        for first in range(0, COMPONENT_COUNT, COLUMNS):
            part = slice(first, first + COLUMNS)
            values[:, part] = self.columns(part)
        return Rows(values, self.availability, self.label, self.weight, self.cluster)


class Columns:
    """Components of several sources, one after the other; the columns last read are kept."""

    def __init__(self, sources: Sequence[TrainingColumns]) -> None:
        self._sources = sources
        self._last: tuple[slice, NDArray[np.float32]] | None = None

    def columns(self, part: slice) -> NDArray[np.float32]:
        """float32[M, C]: some neighbouring components of all rows."""
        if self._last is None or self._last[0] != part:
            # Let go first, or two parts would be in memory.
            self._last = None
            self._last = part, np.concatenate([source.columns(part) for source in self._sources])
        return self._last[1]


AnyRows = TypeVar("AnyRows", bound=Labelled)


def stack(sources: Sequence[TrainingColumns]) -> ListedRows:
    """Rows of several releases, their components left where they lie; clusters stay apart.

    Raises:
        Invalid: If there are too few rows of a class to train on.
    """
    clusters, shift = [], 0
    for source in sources:
        # Each release numbers its clusters from zero; the same number in two releases is not the same
        # fraud.
        clusters.append(np.where(source.cluster >= 0, source.cluster + shift, -1).astype(np.int32))
        shift = max(shift, int(clusters[-1].max(initial=-1)) + 1)
    label = np.concatenate([s.label for s in sources])
    fraud = int((label == 1).sum())
    if fraud < MIN_FRAUD or len(label) - fraud < MIN_HONEST:
        raise Invalid(
            f"the releases hold {fraud} fraud and {len(label) - fraud} honest rows; training needs at "
            f"least {MIN_FRAUD} and {MIN_HONEST}",
            field="release",
        )
    return ListedRows(
        place=np.arange(len(label)),
        sources=Columns(sources),
        availability=np.concatenate([s.availability for s in sources]),
        label=label,
        weight=np.concatenate([s.weight for s in sources]).astype(np.float64),
        cluster=np.concatenate(clusters),
    )


def balanced(rows: AnyRows) -> AnyRows:
    """The same rows where each fraud cluster weighs as much as any other, and fraud as much as before.

    Against leaning on the largest gangs (group-balanced weights; Sagawa et al. 2020, section 4). Fraud of no
    cluster is a cluster of its own.
    """
    weight, fraud = rows.weight.copy(), rows.fraud
    _, cluster = np.unique(rows.cluster[fraud], return_inverse=True)
    mass = np.bincount(cluster, weight[fraud])
    weight[fraud] *= (mass.sum() / len(mass) / mass)[cluster]
    return rows.having(weight=weight)


def split(rows: AnyRows, seed: int, share: float = 0.25) -> tuple[AnyRows, AnyRows]:
    """Training rows and held-out rows, each class by chance.

    By row, not by fraud cluster: a release has about six clusters, and a held-out quarter of them
    stops training after a few epochs (docs/decisions/0019). A release draws several rows of each group
    and does not say which, so held-out rows come from the same groups as training rows: what is
    measured on them says that training went well, not how the model does on new orders.
    Held-out weights are scaled so that both parts have the fraud rate of the whole.
    """
    rng = np.random.default_rng(seed)
    out = np.zeros(len(rows), dtype=bool)
    for label in (0, 1):
        mine = rng.permutation(np.flatnonzero(rows.label == label))
        out[mine[: round(share * len(mine))]] = True
    return _with_rate(rows.take(~out), rows.fraud_rate), _with_rate(rows.take(out), rows.fraud_rate)


def some_of(rows: AnyRows, count: int, seed: int) -> AnyRows:
    """At most so many rows by chance, each class in proportion; weights keep the fraud rate."""
    if count >= len(rows):
        return rows
    rng = np.random.default_rng(seed)
    chosen = []
    for label in (0, 1):
        mine = rng.permutation(np.flatnonzero(rows.label == label))
        chosen.append(mine[: max(1, round(count * len(mine) / len(rows)))])
    return _with_rate(rows.take(np.concatenate(chosen)), rows.fraud_rate)


def _with_rate(rows: AnyRows, rate: float) -> AnyRows:
    weight = rows.weight.copy()
    weight[rows.fraud] *= rate * weight.sum() / weight[rows.fraud].sum()
    weight[~rows.fraud] *= (1 - rate) * rows.weight.sum() / weight[~rows.fraud].sum()
    return rows.having(weight=weight / weight.mean())


def source_columns(source: str) -> NDArray[np.bool_]:
    """bool[259]: components that vanish in an availability class, told by its second word.

    ``refused`` takes every node that needs consent (classes C and R), ``no_front_end`` every node
    that the SDK measures, ``front_end`` none.
    """

    def gone(node: NodeSpec) -> bool:
        if source == "refused":
            return node.consent_needed
        return source == "no_front_end" and node.computed_by == "sdk"

    return np.array([gone(catalog().nodes[i]) for i in catalog().component_node], dtype=bool)


def without_source(rows: Rows | BinnedRows, source: str) -> Rows | BinnedRows:
    """The same rows as if that source had not been there."""
    components = rows.components.copy()
    components[:, source_columns(source)] = rows.ABSENT
    return rows.having(components=components)
