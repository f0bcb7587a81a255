"""Replay: the computed nodes of every order, from its own past, in time order."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.core.context import compute_context
from riskgraph.core.door import Door
from riskgraph.core.history import MemoryHistory
from riskgraph.core.outcome import Outcome
from riskgraph.core.past import DAY_S
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds.extras import arrow, parquet
from riskgraph.eval.worlds.ndjson import no_cycles
from riskgraph.eval.worlds.parallel import beside
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.schema import COMPUTED, node_columns, node_type
from riskgraph.eval.worlds.writer import ROWS_PER_FILE, Progress, new_folder, quiet, write_table

_Row = tuple[str, Mapping[str, Any], Mapping[str, State]]
_TOLD_EVERY = 500
_UNMADE = State.NOT_DELIVERED
_PLACE = {node.id: place for place, node in enumerate(COMPUTED)}
# Share of an order's time that goes into reading and recording it: a quarter, set a little higher because
# later orders have more history to read.
_RECORDING = 0.33
# A third one would gain a seventh, and hold the history in memory once more.
_PROCESSES = 2
_WORTHWHILE = 50_000
_POLL_S = 0.5


def code_sha256() -> str:
    """Digest of the core's source: computed nodes are made anew when it changes."""
    digest = hashlib.sha256()
    core = resources.files("riskgraph.core")
    for entry in sorted(core.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".py"):
            digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return digest.hexdigest()


def stamp_of(world: World, door: Door) -> dict[str, Any]:
    """What the derived files depend on. The door's key shows only as a keyed digest of a constant."""
    observed = {k: v for k, v in world.manifest["files"].items() if k.startswith("observed/")}
    return {
        "catalog": catalog().sha256,
        "code": code_sha256(),
        "door": door.digest("derived", "riskgraph").hex(),
        "entities": world.manifest["entities"],
        "observed": observed,
    }


def derived_files(world: World) -> list[Path]:
    return sorted((world.path / "derived").glob("orders-*.parquet"))


def up_to_date(world: World, door: Door) -> bool:
    """Whether the derived files belong to this world, catalogue, code and door."""
    path = world.path / "derived" / "manifest.json"
    if not path.is_file() or not derived_files(world):
        return False
    try:
        # Compared whole: whatever the derived nodes depend on makes them stale.
        return bool(json.loads(path.read_text(encoding="utf-8")) == stamp_of(world, door))
    except ValueError:
        return False


def contexts(world: World, door: Door, start: int = 0, stop: int | None = None) -> Iterator[_Row]:
    """``(order_id, values, absent)`` of the orders from ``start`` to before ``stop``, in time order.

    An outcome enters the history when it was reported, never before: nothing from the future is
    read. Of two that fall on the same moment, the outcome counts as known.
    """
    # Orders come in time order, so no window will end much before the newest.
    history = MemoryHistory(keep_s=DAY_S)
    pending = world.outcomes_by_report()
    held: Outcome | None = next(pending, None)
    for number, order in enumerate(islice(world.orders(door, signals=False), stop)):
        while held is not None and held.reported_at <= order.placed_at:
            history.add_outcome(held)
            held = next(pending, None)
        context = compute_context(order, history) if number >= start else None
        # After its own context: an order is no part of its own past.
        history.add_order(order)
        if context is not None:
            yield order.order_id, context.values, context.absent


@dataclass(frozen=True)
class _Span:
    """Orders whose computed nodes one process writes, in files of ``rows`` orders."""

    world: World
    door: Door
    folder: Path
    start: int
    stop: int
    rows: int

    def file(self, part: int) -> Path:
        return self.folder / f"orders-{part:05d}.parquet"

    @no_cycles()
    def write(self, told: Callable[[int], None] = lambda done: None) -> None:
        """Write the files; ``told`` hears how many orders are done."""
        rows: list[_Row] = []
        done = self.start
        for row in contexts(self.world, self.door, self.start, self.stop):
            rows.append(row)
            done += 1
            if done % _TOLD_EVERY == 0:
                told(done - self.start)
            if len(rows) == self.rows or done == self.stop:
                write_table(_table(rows), self.file((done - 1) // self.rows))
                rows = []
        told(done - self.start)


def shares(total: int, count: int, rows: int) -> list[tuple[int, int]]:
    """``(start, stop)`` of the orders of each of ``count`` processes, in whole files of ``rows`` orders.

    Each process records all orders before its own, without computing their nodes. So that all are done
    at the same time, the shares fall in the ratio of computing to computing and recording.
    """
    weights = np.cumsum([(1 - _RECORDING) ** place for place in range(count)])
    cuts = [round(total * weight / weights[-1] / rows) * rows for weight in weights[:-1]]
    return [span for span in pairwise([0, *cuts, total]) if span[0] < span[1]]


def replay(world: World, door: Door, progress: Progress = quiet, processes: int | None = None) -> Path:
    """Write ``derived/orders-*.parquet``; nothing is done where it is up to date, or the world is packed.

    Args:
        world: The world.
        door: Keyed hashing of entities.
        progress: Called with (step, done, total).
        processes: How many compute beside one another, each with a history of its own in memory;
            by default one for a small world and else two. The result is the same.

    Returns:
        The folder ``derived``.
    """
    target = world.path / "derived"
    if world.packed or up_to_date(world, door):
        return target
    total = sum(parquet().read_metadata(p).num_rows for p in world.order_files)
    if processes is None:
        processes = min(_PROCESSES, os.cpu_count() or 1) if total >= _WORTHWHILE else 1
    # Stale nodes must not be read while the new ones are made.
    shutil.rmtree(target, ignore_errors=True)
    with new_folder(target) as folder:
        spans = [
            _Span(world, door, folder, *share, ROWS_PER_FILE)
            for share in shares(total, processes, ROWS_PER_FILE)
        ]
        _write(spans, total, progress)
        text = json.dumps(stamp_of(world, door), indent=2, sort_keys=True)
        (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return target


def _write(spans: list[_Span], total: int, progress: Progress) -> None:
    """The first span in this process, whose progress is known to the order, the others beside it."""
    if not spans:
        return
    first, others = spans[0], spans[1:]

    def told(done: int) -> None:
        progress("replay", done + _written(others), total)

    with beside([span.write for span in others]) as running:
        first.write(told)
        while not all(future.done() for future in running):
            time.sleep(_POLL_S)
            told(first.stop)
    progress("replay", total, total)


def _written(spans: list[_Span]) -> int:
    """Orders in finished files; files of another process are the only sign of how far it is."""
    return sum(
        span.rows
        for span in spans
        for part in range(span.start // span.rows, span.stop // span.rows)
        if span.file(part).exists()
    )


def _table(rows: list[_Row]) -> Any:
    """Arrow table: order_id, the computed nodes, and ``absence`` with one byte a computed node."""
    pa = arrow()
    columns: dict[str, Any] = {"order_id": pa.array([r[0] for r in rows], pa.string())}
    values = [r[1] for r in rows]
    for node in COMPUTED:
        columns |= _columns(node, [v.get(node.id) for v in values])
    states = [_states(values, absent) for _, values, absent in rows]
    columns["absence"] = pa.array(states, pa.binary(len(COMPUTED)))
    return pa.table(columns)


def _states(values: Mapping[str, Any], absent: Mapping[str, State]) -> bytes:
    """One byte a computed node; one that the checkout delivered is in neither and not made here."""
    if len(values) + len(absent) < len(COMPUTED):
        return bytes([State.PRESENT if n.id in values else absent.get(n.id, _UNMADE) for n in COMPUTED])
    states = bytearray(len(COMPUTED))
    for node_id, cause in absent.items():
        states[_PLACE[node_id]] = cause
    return bytes(states)


def _columns(node: NodeSpec, values: list[Any]) -> dict[str, Any]:
    pa = arrow()
    if node.form is not Form.CONTEXT:
        return {node.id: pa.array(values, node_type(node))}
    return {
        name: pa.array([None if v is None else v.get(part) for v in values], pa.float64())
        for name, part in zip(node_columns(node), node.components, strict=True)
    }
