"""Replay: the computed nodes of every order, from its own past, in time order."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.core.context import compute_context
from riskgraph.core.door import Door
from riskgraph.core.history import MemoryHistory
from riskgraph.core.outcome import Outcome
from riskgraph.core.past import DAY_S
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds.extras import arrow, parquet
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.schema import COMPUTED, node_columns, node_type
from riskgraph.eval.worlds.writer import ROWS_PER_FILE, Progress, new_folder, quiet, write_table

_TOLD_EVERY = 500


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


def contexts(world: World, door: Door) -> Iterator[tuple[str, dict[str, Any], dict[str, State]]]:
    """``(order_id, values, absent)`` of every order in time order.

    An outcome enters the history when it was reported, never before: nothing from the future is
    read. Of two that fall on the same moment, the outcome counts as known.
    """
    # Orders come in time order, so no window will end much before the newest.
    history = MemoryHistory(keep_s=DAY_S)
    pending = iter(sorted(world.outcomes(), key=lambda o: o.reported_at))
    held: Outcome | None = next(pending, None)
    for order in world.orders(door, signals=False):
        while held is not None and held.reported_at <= order.placed_at:
            history.add_outcome(held)
            held = next(pending, None)
        context = compute_context(order, history)
        # After its own context: an order is no part of its own past.
        history.add_order(order)
        yield order.order_id, dict(context.values), dict(context.absent)


def replay(world: World, door: Door, progress: Progress = quiet) -> Path:
    """Write ``derived/orders-*.parquet``; nothing is done where it is up to date.

    Args:
        world: The world.
        door: Keyed hashing of entities.
        progress: Called with (step, done, total).

    Returns:
        The folder ``derived``.
    """
    target = world.path / "derived"
    if up_to_date(world, door):
        return target
    total = sum(parquet().read_metadata(p).num_rows for p in world.order_files)
    # Stale nodes must not be read while the new ones are made.
    shutil.rmtree(target, ignore_errors=True)
    with new_folder(target) as folder:
        rows: list[tuple[str, dict[str, Any], dict[str, State]]] = []
        done = 0
        for row in contexts(world, door):
            rows.append(row)
            done += 1
            if done % _TOLD_EVERY == 0 or done == total:
                progress("replay", done, total)
            if len(rows) == ROWS_PER_FILE or done == total:
                write_table(_table(rows), folder / f"orders-{(done - 1) // ROWS_PER_FILE:05d}.parquet")
                rows = []
        text = json.dumps(stamp_of(world, door), indent=2, sort_keys=True)
        (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return target


def _table(rows: list[tuple[str, dict[str, Any], dict[str, State]]]) -> Any:
    """Arrow table: order_id, the computed nodes, and ``absence`` with one byte a computed node."""
    pa = arrow()
    columns: dict[str, Any] = {"order_id": pa.array([r[0] for r in rows], pa.string())}
    values = [r[1] for r in rows]
    for node in COMPUTED:
        columns |= _columns(node, [v.get(node.id) for v in values])
    states = [
        bytes(State.PRESENT if n.id in v else absent.get(n.id, State.NOT_DELIVERED) for n in COMPUTED)
        for _, v, absent in rows
    ]
    columns["absence"] = pa.array(states, pa.binary(len(COMPUTED)))
    return pa.table(columns)


def _columns(node: NodeSpec, values: list[Any]) -> dict[str, Any]:
    pa = arrow()
    if node.form is not Form.CONTEXT:
        return {node.id: pa.array(values, node_type(node))}
    return {
        name: pa.array([None if v is None else v.get(part) for v in values], pa.float64())
        for name, part in zip(node_columns(node), node.components, strict=True)
    }
