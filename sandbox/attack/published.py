"""What an attacker holds: R1 to R4 and the drawn rows, read from the files of a release alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.sandbox.bins import Scale
from riskgraph.sandbox.draw import ReleasedRows
from riskgraph.sandbox.files import CENTROIDS, GROUPS, PAIRS, SHAPE, read_table
from riskgraph.sandbox.release import Release
from riskgraph.sandbox.shape import Shape
from riskgraph.sandbox.strata import COUNT, Pattern

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class GroupTable:
    """R1 and R2, one entry per group.

    Attributes:
        label: int8[G]. stratum: int16[G], pattern codes. rows, units: int64[G].
        centroid: float32[G, 259], NaN where absent. mean, sd: float32[G, 259], on the latent scale.
        presence: float32[G, 141], share of rows with each node or part.
    """

    label: NDArray[np.int8]
    stratum: NDArray[np.int16]
    rows: NDArray[np.int64]
    units: NDArray[np.int64]
    centroid: Floats
    mean: Floats
    sd: Floats
    presence: Floats

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class PairCells:
    """R4, one entry per class and pair.

    Attributes:
        label: int8[P]. ends: intp[P, 2], components. cell: uint8[P, 16], released cell of each coarse
            cell. total: float64[P, 18], rows in each released cell.
    """

    label: NDArray[np.int8]
    ends: NDArray[np.intp]
    cell: NDArray[np.uint8]
    total: NDArray[np.float64]


@dataclass(frozen=True)
class Published:
    """A release as an attacker reads it.

    Attributes:
        groups: R1 and R2. scales, shapes: Bins and R3 marginals of the 259 components.
        correlation: R3, float32[400, 400]. pairs: R4. drawn: The training rows.
    """

    groups: GroupTable
    scales: tuple[Scale, ...]
    shapes: tuple[Shape, ...]
    correlation: Floats
    pairs: PairCells
    drawn: ReleasedRows


def read_published(release: Release) -> Published:
    """Read the tables of a verified release."""
    lines = read_table(release.path, SHAPE)
    scales, shapes = _marginals(lines)
    return Published(
        groups=_groups(read_table(release.path, CENTROIDS), read_table(release.path, GROUPS)),
        scales=scales,
        shapes=shapes,
        correlation=np.array(
            [v for k, v in zip(lines["kind"], lines["values"], strict=True) if k == "correlation"], np.float32
        ),
        pairs=_pairs(read_table(release.path, PAIRS)),
        drawn=release.rows,
    )


def _groups(centroids: Mapping[str, Any], groups: Mapping[str, Any]) -> GroupTable:
    codes = {Pattern.of(code).name: code for code in range(COUNT)}
    columns = [np.array(centroids[name], dtype=np.float32) for name in catalog().components]
    return GroupTable(
        label=np.array(groups["label"], np.int8),
        stratum=np.array([codes[name] for name in groups["stratum"]], np.int16),
        rows=np.array(groups["rows"], np.int64),
        units=np.array(groups["units"], np.int64),
        centroid=np.column_stack(columns),
        mean=np.array(groups["mean"], np.float32),
        sd=np.array(groups["sd"], np.float32),
        presence=np.array(groups["presence"], np.float32),
    )


def _marginals(lines: Mapping[str, Any]) -> tuple[tuple[Scale, ...], tuple[Shape, ...]]:
    found: dict[tuple[str, str], list[tuple[float | None, float | None, list[float]]]] = {}
    columns = (lines[name] for name in ("kind", "name", "lower", "upper", "values"))
    for kind, name, lower, upper, values in zip(*columns, strict=True):
        found.setdefault((kind, name), []).append((lower, upper, values))
    scales, shapes = [], []
    for name in catalog().components:
        bins, cells = found["bin", name], found["cell", name]
        z, coarse = np.array([v for *_, v in bins]).T
        edges = np.array([upper for _, upper, _ in bins[:-1]], np.float32)
        scales.append(Scale(edges, z.astype(np.float32), coarse.astype(np.int8)))
        lower, upper = (np.array([c[end] for c in cells], np.float64) for end in (0, 1))
        table = np.array([v for *_, v in cells])
        shapes.append(Shape(lower, upper, table[:, 0].astype(np.int8), table[:, 1:3].T, whole=False))
    return tuple(scales), tuple(shapes)


def _pairs(table: Mapping[str, Any]) -> PairCells:
    index = catalog().component_index
    ends = [[index[a], index[b]] for a, b in zip(table["a"], table["b"], strict=True)]
    return PairCells(
        label=np.array(table["label"], np.int8),
        ends=np.array(ends, np.intp).reshape(-1, 2),
        cell=np.array(table["cell"]).astype(np.uint8),
        total=np.array(table["total"], np.float64),
    )
