"""Rows that arrive in any order wait on disk until they can be written in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.writer import ROWS_PER_FILE, Progress, write_table

Rows = NDArray[np.int64]


class Spill:
    """Record batches in one file; memory holds a time a row, and what is being written.

    Args:
        path: A file that does not exist yet; removed by :meth:`close`.
        types: Arrow types of all columns, in file order. A batch may lack columns.
        key: The column of times that orders the rows.
    """

    def __init__(self, path: Path, types: dict[str, Any], key: str) -> None:
        pa = arrow()
        self._path, self._key = path, key
        self._schema = pa.schema(list(types.items()))
        self._writer = pa.ipc.new_file(path, self._schema)
        self._times: list[Rows] = []
        self._filled: set[str] = set()

    def __len__(self) -> int:
        return sum(map(len, self._times))

    def add(self, columns: dict[str, Any]) -> None:
        """Keep some rows."""
        pa = arrow()
        count = len(columns[self._key])
        self._filled |= {name for name, values in columns.items() if values.null_count < count}
        arrays = [
            columns[field.name] if field.name in columns else pa.nulls(count, field.type)
            for field in self._schema
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._times.append(columns[self._key].cast(pa.int64()).to_numpy())

    @property
    def filled(self) -> set[str]:
        """Columns in which some row has a value."""
        return self._filled

    def write(self, folder: Path, stem: str, columns: list[str], progress: Progress) -> None:
        """Write ``stem-00000.parquet`` and so on; of equal times the row that came first comes first."""
        self._writer.close()
        times = np.concatenate(self._times) if self._times else np.zeros(0, dtype=np.int64)
        order = np.argsort(times, kind="stable")
        starts = np.cumsum([0, *map(len, self._times)])
        # Read, not mapped: a mapped file counts as memory once it was touched.
        with arrow().OSFile(str(self._path)) as source:
            reader = arrow().ipc.open_file(source)
            for part, start in enumerate(range(0, max(1, len(order)), ROWS_PER_FILE)):
                wanted = order[start : start + ROWS_PER_FILE]
                table = self._rows(reader, starts, wanted).select(columns)
                write_table(table, folder / f"{stem}-{part:05d}.parquet")
                progress(f"write {stem}", start + len(wanted), len(order))

    def _rows(self, reader: Any, starts: Rows, wanted: Rows) -> Any:
        """The wanted rows, in their order."""
        pa = arrow()
        batch_of = np.searchsorted(starts, wanted, side="right") - 1
        found, places = [], []
        for batch, at in _grouped(batch_of):
            rows = wanted[at] - starts[batch]
            found.append(_taken(reader.get_batch(batch), rows))
            places.append(at)
        if not found:
            return self._schema.empty_table()
        table = pa.Table.from_batches(found).combine_chunks()
        place = np.concatenate(places)
        return table if (np.diff(place) == 1).all() else table.take(pa.array(np.argsort(place)))

    def close(self) -> None:
        """Remove the file."""
        self._writer.close()
        self._path.unlink(missing_ok=True)


def _grouped(batch_of: Rows) -> Iterator[tuple[int, Rows]]:
    """``(batch, positions)`` for each batch that some row comes from."""
    for batch in np.unique(batch_of).tolist():
        yield batch, np.flatnonzero(batch_of == batch)


def _taken(batch: Any, rows: Rows) -> Any:
    if (np.diff(rows) == 1).all():
        return batch.slice(rows[0], len(rows))
    return batch.take(arrow().array(rows))
