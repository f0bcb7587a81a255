"""Released rows as training sees them: stacked, split, and masked as if a source were gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NodeSpec, catalog
from riskgraph.core.errors import Invalid
from riskgraph.ports import TrainingRows

# Below these a held-out quarter could not tell when to stop.
MIN_FRAUD, MIN_HONEST = 20, 100
MIN_ROWS = MIN_FRAUD + MIN_HONEST


@dataclass(frozen=True, eq=False)
class Rows:
    """M drawn rows.

    Attributes:
        components: float32[M, 259], NaN where absent.
        availability: object[M], availability class.
        label: int8[M], 1 fraud, 0 honest.
        weight: float64[M], positive.
        cluster: int32[M], fraud cluster, negative where there is none.
    """

    components: NDArray[np.float32]
    availability: NDArray[np.object_]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    cluster: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Rows:
        """The given rows, as a mask or as indexes."""
        return Rows(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def fraud(self) -> NDArray[np.bool_]:
        return np.asarray(self.label == 1)

    @property
    def fraud_rate(self) -> float:
        """Weighted share of fraud."""
        return float(self.weight[self.fraud].sum() / self.weight.sum())


def stack(sources: Sequence[TrainingRows]) -> Rows:
    """Rows of several releases; clusters stay apart.

    Raises:
        Invalid: If there are too few rows of a class to train on.
    """
    clusters, shift = [], 0
    for source in sources:
        # Each release numbers its clusters from zero; the same number in two releases is not the same
        # fraud.
        clusters.append(np.where(source.cluster >= 0, source.cluster + shift, -1).astype(np.int32))
        shift = max(shift, int(clusters[-1].max(initial=-1)) + 1)
    rows = Rows(
        components=np.concatenate([s.components for s in sources]),
        availability=np.concatenate([s.availability for s in sources]),
        label=np.concatenate([s.label for s in sources]),
        weight=np.concatenate([s.weight for s in sources]).astype(np.float64),
        cluster=np.concatenate(clusters),
    )
    fraud = int(rows.fraud.sum())
    if fraud < MIN_FRAUD or len(rows) - fraud < MIN_HONEST:
        raise Invalid(
            f"the releases hold {fraud} fraud and {len(rows) - fraud} honest rows; training needs at "
            f"least {MIN_FRAUD} and {MIN_HONEST}",
            field="release",
        )
    return rows


def split(rows: Rows, seed: int, share: float = 0.25) -> tuple[Rows, Rows]:
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


def some_of(rows: Rows, count: int, seed: int) -> Rows:
    """At most so many rows by chance, each class in proportion; weights keep the fraud rate."""
    if count >= len(rows):
        return rows
    rng = np.random.default_rng(seed)
    chosen = []
    for label in (0, 1):
        mine = rng.permutation(np.flatnonzero(rows.label == label))
        chosen.append(mine[: max(1, round(count * len(mine) / len(rows)))])
    return _with_rate(rows.take(np.concatenate(chosen)), rows.fraud_rate)


def _with_rate(rows: Rows, rate: float) -> Rows:
    weight = rows.weight.copy()
    weight[rows.fraud] *= rate * weight.sum() / weight[rows.fraud].sum()
    weight[~rows.fraud] *= (1 - rate) * rows.weight.sum() / weight[~rows.fraud].sum()
    return Rows(rows.components, rows.availability, rows.label, weight / weight.mean(), rows.cluster)


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


def without_source(rows: Rows, source: str) -> Rows:
    """The same rows as if that source had not been there."""
    components = rows.components.copy()
    components[:, source_columns(source)] = np.nan
    return Rows(components, rows.availability, rows.label, rows.weight, rows.cluster)
