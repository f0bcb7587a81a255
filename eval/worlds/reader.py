"""World: orders and outcomes of a folder, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.core.table import OrderTable
from riskgraph.eval.worlds.check import check_columns, check_files, check_order, read_manifest
from riskgraph.eval.worlds.config import NATURAL_BELOW
from riskgraph.eval.worlds.extras import arrow, parquet
from riskgraph.eval.worlds.hashing import EntityHasher
from riskgraph.eval.worlds.orders import columns_without_signals, part_orders, part_outcomes
from riskgraph.eval.worlds.schema import all_order_types, outcome_types
from riskgraph.eval.worlds.writer import Progress, quiet


@dataclass(frozen=True)
class World:
    """A history of orders on disk.

    Attributes:
        path: The folder.
        manifest: Provenance, entity kinds, counts and file digests.
    """

    path: Path
    manifest: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path | str, *, digests: bool = False) -> World:
        """Open a world and check its manifest, files and columns.

        Args:
            path: The folder.
            digests: Also compare every file with its SHA-256 in the manifest.

        Raises:
            NotFound: There is no manifest, or a listed file is missing.
            Invalid: A field, file or column is wrong; it is named.
            CheckFailed: A digest differs.
            ExtraMissing: If the extra ``lab`` is not installed.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        check_files(folder, manifest, digests=digests)
        # Columns are checked here, rows only when they are read: a world can be larger than memory.
        world = cls(folder, manifest)
        if not world.order_files:
            raise Invalid("the world has no observed/orders-*.parquet", field="observed")
        check_columns(folder, world.order_files, world.outcome_files)
        return world

    @property
    def simulated(self) -> bool:
        return bool(self.manifest["provenance"] == "simulated")

    @property
    def enriched(self) -> bool:
        """Simulated with more fraud than shops have; so are simulated worlds that do not tell."""
        share = self.manifest.get("config", {}).get("fraud_share", 1.0)
        return self.simulated and float(share) >= NATURAL_BELOW

    @property
    def packed(self) -> bool:
        """Orders hold their subgraphs whole, computed nodes too: nothing is replayed."""
        return bool(self.manifest.get("packed", False))

    @property
    def order_files(self) -> list[Path]:
        return sorted((self.path / "observed").glob("orders-*.parquet"))

    @property
    def outcome_files(self) -> list[Path]:
        return sorted((self.path / "observed").glob("outcomes-*.parquet"))

    def hasher(self, door: Door) -> EntityHasher:
        return EntityHasher(door, self.manifest["entities"])

    def parts(self, columns: list[str] | None = None) -> Iterator[Any]:
        """Arrow tables of the orders, file by file, in time order, columns cast to the contract's types.

        Raises:
            Invalid: Naming the file and the column that cannot be read, or rows out of order.
        """
        last: int | None = None
        seen: set[str] = set()
        for path in self.order_files:
            name = path.relative_to(self.path).as_posix()
            known = set(parquet().read_schema(path).names)
            wanted = None if columns is None else [c for c in columns if c in known]
            table = cast(parquet().read_table(path, columns=wanted), all_order_types(), name)
            if columns is None or {"placed_at", "order_id"} <= set(columns):
                last = check_order(table, last, seen, name)
            yield table

    def orders(self, door: Door, *, signals: bool = True) -> Iterator[Order]:
        """Orders after the door, in time order.

        Args:
            door: Keyed hashing of raw and opaque entities.
            signals: False leaves out what context nodes never read (faster).
        """
        hasher = self.hasher(door)
        for table in self.parts(None if signals else columns_without_signals()):
            yield from part_orders(table, hasher, signals=signals)

    def outcomes(self) -> Iterator[Outcome]:
        """Outcomes in the order of the files (a simulated world's: by time of report).

        Raises:
            Invalid: If a kind is unknown.
        """
        for path in self.outcome_files:
            name = path.relative_to(self.path).as_posix()
            table = cast(parquet().read_table(path), outcome_types(), name)
            yield from part_outcomes(table, name)

    def outcomes_by_report(self) -> Iterator[Outcome]:
        """Outcomes by time of report; those of a world that is in that order are read bit by bit."""
        parts = [parquet().read_table(path, columns=["reported_at"])[0] for path in self.outcome_files]
        micros = [part.cast(arrow().timestamp("us", "UTC")).to_numpy() for part in parts]
        times = np.concatenate(micros).astype(np.int64) if micros else np.zeros(0, np.int64)
        if np.all(times[1:] >= times[:-1]):
            yield from self.outcomes()
        else:
            yield from sorted(self.outcomes(), key=lambda outcome: outcome.reported_at)

    def table(
        self, known_at: float | None, door: Door, progress: Progress = quiet, folder: Path | None = None
    ) -> OrderTable:
        """All orders as arrays; computed nodes come from ``derived``, which is made first if missing.

        Args:
            known_at: Labels as known at this time (epoch seconds); None means all that was ever reported.
            door: Keyed hashing of entities.
            progress: Called with (step, done, total).
            folder: Where the wide columns lie, as ``numpy.memmap``; by default they are held in memory.
        """
        # Here, since that module reads worlds itself.
        from riskgraph.eval.worlds.order_table import order_table

        return order_table(self, known_at, door, progress, folder)


def cast(table: Any, types: dict[str, Any], name: str) -> Any:
    """Bring every column to the contract's type.

    Raises:
        Invalid: Naming the file and the column.
    """
    pa = arrow()
    columns = {}
    for column in table.column_names:
        try:
            columns[column] = table[column].cast(types[column])
        except pa.ArrowException as error:
            raise Invalid(f"{name}: column {column}: {error}", field=f"{name}:{column}") from error
    return pa.table(columns)
