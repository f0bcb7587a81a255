"""The parquet files of a release, written and read back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.errors import CheckFailed
from riskgraph.sandbox.absence import CAUSES, PARTS
from riskgraph.sandbox.draw import ReleasedRows
from riskgraph.sandbox.pairs import APART, CELLS, pair_ends
from riskgraph.sandbox.strata import Pattern
from riskgraph.sandbox.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Mapping

CENTROIDS, GROUPS, SHAPE, PAIRS, ROWS = (
    f"{name}.parquet" for name in ("centroids", "groups", "shape", "pairs", "rows")
)
TABLES = (CENTROIDS, GROUPS, SHAPE, PAIRS, ROWS)
# Components that are read at once.
_BLOCK = 16


def _arrow() -> tuple[Any, Any]:
    """Pyarrow, imported late: it is slow to load."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa, pq


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, columns: Mapping[str, Any]) -> int:
    pa, pq = _arrow()
    table = pa.table(dict(columns))
    words = [n for n, t in zip(table.column_names, table.schema.types, strict=True) if t == pa.string()]
    pq.write_table(table, path, compression="zstd", compression_level=1, use_dictionary=words)
    return int(table.num_rows)


def _vectors(matrix: NDArray[np.float32]) -> Any:
    """A matrix as one column of fixed-size lists."""
    pa, _ = _arrow()
    flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def write_tables(folder: Path, tables: Tables) -> dict[str, int]:
    """Write R1 to R4 into a folder; returns the rows of each file."""
    groups = tables.groups
    strata = [Pattern.of(int(s)).name for s in groups.stratum]
    head = {"label": groups.label, "stratum": strata}
    sizes = {"rows": groups.rows, "units": groups.units, "components": groups.components}
    values = {name: tables.centroids[:, j] for j, name in enumerate(catalog().components)}
    vectors = {
        "mean": _vectors(groups.mean),
        "sd": _vectors(groups.sd),
        "presence": _vectors(groups.presence),
        "cluster": tables.cluster,
    }
    return {
        CENTROIDS: _write(folder / CENTROIDS, {**head, **sizes, **values}),
        GROUPS: _write(folder / GROUPS, {**head, **sizes, **vectors}),
        SHAPE: _write_shape(folder / SHAPE, tables),
        PAIRS: _write_pairs(folder / PAIRS, tables),
    }


def _shape_lines(tables: Tables) -> list[tuple[str, str, int, float | None, float | None, list[float]]]:
    """Lines (kind, name, place, lower, upper, values) of R3 and of the causes of absence."""
    out: list[tuple[str, str, int, float | None, float | None, list[float]]] = []
    values = catalog().components
    names = (*values, *(f"{n.id}.present" for n in catalog()), *(f"{values[j]}.present" for _, j in PARTS))
    for name, scale, shape in zip(names, tables.scales, tables.shapes, strict=False):
        edges = [*scale.edges.tolist(), None]
        for b, z in enumerate(scale.z.tolist()):
            lower = edges[b - 1] if b else None
            out.append(("bin", name, b, lower, edges[b], [z, float(scale.coarse[b])]))
        for c, b in enumerate(shape.bin.tolist()):
            cell = [float(b), *shape.share[:, c].tolist()]
            out.append(("cell", name, c, float(shape.lower[c]), float(shape.upper[c]), cell))
    for name, row in zip(names, tables.correlation.tolist(), strict=True):
        out.append(("correlation", name, 0, None, None, row))
    for label, stratum in zip(*np.nonzero(tables.absence.cause.any(axis=(2, 3))), strict=True):
        for c, cause in enumerate(CAUSES):
            shares = tables.absence.cause[label, stratum, c].tolist()
            name = f"{Pattern.of(int(stratum)).name}/{cause.word}"
            out.append(("cause", name, int(label), None, None, shares))
    for node, (patterns, share) in tables.absence.parts.items():
        for mask, shares in zip(patterns.tolist(), share.T.tolist(), strict=True):
            out.append(("parts", catalog().nodes[node].id, mask, None, None, shares))
    return out


def _write_shape(path: Path, tables: Tables) -> int:
    columns = zip(*_shape_lines(tables), strict=True)
    return _write(
        path, dict(zip(("kind", "name", "place", "lower", "upper", "values"), columns, strict=True))
    )


def _write_pairs(path: Path, tables: Tables) -> int:
    names = catalog().components
    labels, pairs = (a.ravel() for a in np.indices(tables.pairs.total.shape[:2]))
    ends = pair_ends()[pairs]
    total = tables.pairs.total.reshape(-1, APART + 1)
    return _write(
        path,
        {
            "label": labels.astype(np.int8),
            "a": [names[e] for e in ends[:, 0]],
            "b": [names[e] for e in ends[:, 1]],
            "cell": _vectors(tables.pairs.cell.reshape(-1, CELLS).astype(np.float32)),
            "total": _vectors(total.astype(np.float32)),
        },
    )


def write_rows(folder: Path, rows: ReleasedRows) -> int:
    """Write the drawn rows: one column per component, states as 137 bytes."""
    pa, _ = _arrow()
    columns: dict[str, Any] = {
        name: np.ascontiguousarray(rows.components[:, j]) for j, name in enumerate(catalog().components)
    }
    buffer = pa.py_buffer(np.ascontiguousarray(rows.states).tobytes())
    columns["states"] = pa.Array.from_buffers(pa.binary(NODE_COUNT), len(rows), [None, buffer])
    columns["availability"] = pa.array(rows.availability, type=pa.string())
    columns |= {"label": rows.label, "weight": rows.weight, "cluster": rows.cluster}
    return _write(folder / ROWS, columns)


def count_rows(folder: Path) -> int:
    """How many drawn rows there are, by the footer of their file."""
    _, pq = _arrow()
    return int(pq.read_metadata(folder / ROWS).num_rows)


@dataclass(frozen=True)
class StoredRows:
    """Drawn rows that are read column by column, so that memory never holds all their values.

    Attributes:
        path: Their file.
        sha256: Its digest, which has to hold after each reading too.

    Raises:
        CheckFailed: While reading, if the file has changed.
    """

    path: Path
    sha256: str

    def columns(self, part: slice) -> NDArray[np.float32]:
        """float32[M, C]: some neighbouring components, NaN where absent."""
        read = self._read(list(catalog().components[part]))
        return np.stack([column.to_numpy() for column in read.columns], axis=1)

    @property
    def availability(self) -> NDArray[np.object_]:
        return np.array(self._rest["availability"].to_pylist(), dtype=object)

    @property
    def label(self) -> NDArray[np.int8]:
        return np.asarray(self._rest["label"].to_numpy(), dtype=np.int8)

    @property
    def weight(self) -> NDArray[np.float64]:
        return np.asarray(self._rest["weight"].to_numpy(), dtype=np.float64)

    @property
    def cluster(self) -> NDArray[np.int32]:
        return np.asarray(self._rest["cluster"].to_numpy(), dtype=np.int32)

    @cached_property
    def _rest(self) -> Any:
        return self._read(["availability", "label", "weight", "cluster"])

    def all(self) -> ReleasedRows:
        """Every row and column at once."""
        components = np.empty((len(self.label), len(catalog().components)), dtype=np.float32)
        for first in range(0, components.shape[1], _BLOCK):
            components[:, first : first + _BLOCK] = self.columns(slice(first, first + _BLOCK))
        states = np.frombuffer(b"".join(self._read(["states"])["states"].to_pylist()), dtype=np.uint8)
        return ReleasedRows(
            components, states.reshape(-1, NODE_COUNT).copy(),
            self.availability, self.label, self.weight, self.cluster,
        )  # fmt: skip

    def _read(self, names: list[str]) -> Any:
        _, pq = _arrow()
        try:
            return pq.read_table(self.path, columns=names)
        finally:
            # Afterwards: what was read came from the file that was verified, however long ago that was.
            if file_sha256(self.path) != self.sha256:
                raise CheckFailed(f"{self.path.name} changed while it was read", field=self.path.name)


def read_table(folder: Path, name: str) -> dict[str, Any]:
    """Columns of one table of a release, as Python lists."""
    _, pq = _arrow()
    columns: dict[str, Any] = pq.read_table(folder / name).to_pydict()
    return columns
