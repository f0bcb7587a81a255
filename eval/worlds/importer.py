"""A history becomes a world: NDJSON of decision and outcome bodies, checked as at the door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from riskgraph.core.errors import Invalid, NotFound
from riskgraph.eval.worlds.exchange import Origin, read_origin
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.intake import Kinds, OrderPiece, read_orders, read_outcomes
from riskgraph.eval.worlds.ndjson import Piece, files, pieces
from riskgraph.eval.worlds.parallel import Workers
from riskgraph.eval.worlds.schema import ENTITY_COLUMNS, all_order_types, order_types, outcome_types
from riskgraph.eval.worlds.spill import Spill
from riskgraph.eval.worlds.writer import Progress, new_folder, quiet, write_manifest

_Read = TypeVar("_Read")


class _Orders:
    """Orders of all pieces, each order once."""

    def __init__(self, spill: Spill) -> None:
        self.spill = spill
        self.kinds = Kinds()
        self.repeated = 0
        self._shops: dict[tuple[str, str], int] = {}
        # An id and a small number for each order; the orders themselves lie on disk.
        self._seen: dict[str, int] = {}

    def add(self, piece: OrderPiece) -> None:
        for kind, (word, where) in piece.kinds.seen.items():
            self.kinds.note(kind, word, where)
        new = self._new_rows(piece)
        self.repeated += len(piece.places) - len(new)
        if len(new) < len(piece.places):
            at = arrow().array(np.array(new, dtype=np.int64))
            piece.columns = {name: values.take(at) for name, values in piece.columns.items()}
        self.spill.add(piece.columns)

    def _new_rows(self, piece: OrderPiece) -> list[int]:
        """Rows of orders not seen before: attempts and phases of one order count as one order.

        Raises:
            Invalid: If an id is that of another merchant's or channel's order; nothing may be lost.
        """
        rows: list[int] = []
        names = [piece.columns[n].to_pylist() for n in ("order_id", "merchant_id", "channel_code")]
        for row, (order_id, *shop) in enumerate(zip(*names, strict=True)):
            number = self._shops.setdefault((shop[0], shop[1]), len(self._shops))
            known = self._seen.setdefault(order_id, number)
            if known != number:
                where = piece.places[row]
                raise Invalid(
                    f"{where}: order_id {order_id[:64]} is also that of an order of another merchant or "
                    "channel; make order ids unique, for instance with the channel before them",
                    field=f"{where}:order_id",
                )
            if len(self._seen) > len(self.spill) + len(rows):
                rows.append(row)
        return rows


def _told(
    jobs: Iterable[Piece], sizes: Mapping[Path, int], tell: Callable[[int, int], None]
) -> Iterator[Piece]:
    """Pieces as they are handed out, with the share of bytes told in thousands."""
    done, total = 0, sum(sizes.values())
    for piece in jobs:
        yield piece
        done += piece.size
        tell(done // 1000, total // 1000)


def _read(
    folder: Path, stem: str, read: Callable[[Piece], _Read], progress: Progress, pool: Workers
) -> Iterator[_Read]:
    sizes = {path: path.stat().st_size for path in files(folder, stem)}
    jobs = _told(pieces(folder, stem), sizes, lambda done, total: progress(f"{stem} (kB)", done, total))
    yield from pool.map(read, jobs)


def import_ndjson(source: Path, out: Path, progress: Progress = quiet, *, workers: int = 1) -> Path:
    """Write a world from ``orders*.ndjson`` and ``outcomes*.ndjson``.

    One row an order: the first attempt or phase of an order stands. Values whose purpose was not
    granted never enter the world. A folder that ``export_ndjson`` wrote comes back as it was, with
    its provenance; any other folder is a merchant's. Memory holds some pieces of a megabyte and an id an
    order; the disk needs as much room as the source for a while.

    Args:
        source: Folder with the files.
        out: A folder that does not exist yet, or is empty.
        progress: Called with (step, done, total).
        workers: Processes that read; the result is the same with any number.

    Raises:
        RiskgraphError: A body is wrong; file, line and field are named.
        CheckFailed: The folder is an export and was altered since.
        Conflict: If ``out`` is not empty.
    """
    source = Path(source)
    with new_folder(Path(out)) as folder, Workers(workers) as pool:
        origin = read_origin(source)
        (folder / "observed").mkdir()
        counts, kinds = _write_orders(source, folder, origin, progress, pool)
        counts["outcomes"] = _write_outcomes(source, folder, origin, progress, pool)
        facts = {**origin.facts, "entities": kinds, "counts": {**origin.facts.get("counts", {}), **counts}}
        write_manifest(folder, facts)
    return Path(out)


def _write_orders(
    source: Path, folder: Path, origin: Origin, progress: Progress, pool: Workers
) -> tuple[dict[str, int], dict[str, str]]:
    spill = Spill(folder / "orders.spill", all_order_types(), "placed_at")
    orders = _Orders(spill)
    for piece in _read(source, "orders", read_orders, progress, pool):
        orders.add(piece)
    if not len(spill):
        raise NotFound(f"{source} has no orders*.ndjson with orders", field="orders")
    always = set(order_types())
    columns = origin.columns.get("orders") or [
        name for name in all_order_types() if name in always or name in spill.filled
    ]
    spill.write(folder / "observed", "orders", columns, progress)
    counts = {"orders": len(spill)}
    spill.close()
    if origin.told:
        return counts, dict(origin.facts["entities"])
    counts["repeated_attempts_left_out"] = orders.repeated
    seen = {kind: word for kind, (word, _) in orders.kinds.seen.items()}
    return counts, {kind: seen.get(kind, "opaque") for kind in ENTITY_COLUMNS}


def _write_outcomes(source: Path, folder: Path, origin: Origin, progress: Progress, pool: Workers) -> int:
    # By report, not by event: nothing may be known before it was told.
    spill = Spill(folder / "outcomes.spill", outcome_types(), "reported_at")
    for columns in _read(source, "outcomes", read_outcomes, progress, pool):
        spill.add(columns)
    spill.write(
        folder / "observed", "outcomes", origin.columns.get("outcomes") or list(outcome_types()), progress
    )
    spill.close()
    return len(spill)
