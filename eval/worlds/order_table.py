"""OrderTable of a world: the same components, bit for bit, as ``core`` derives order by order."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, NODE_COUNT, Form, NodeSpec, catalog
from riskgraph.core.components import histogram_components, histogram_shares
from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid, StorageUnavailable, SubgraphError
from riskgraph.core.order import JURISDICTIONS, PHASES, Order, order_key
from riskgraph.core.outcome import Outcome, label_at
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.table import NODE_PURPOSES, OrderTable, let_go
from riskgraph.eval.worlds.extras import arrow, parquet
from riskgraph.eval.worlds.hashing import EntityHasher
from riskgraph.eval.worlds.orders import part_orders
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.replay import derived_files, replay
from riskgraph.eval.worlds.schema import COMPUTED, PURPOSE_COLUMNS, node_columns
from riskgraph.eval.worlds.writer import Progress

_NODES = catalog().nodes
# Columns that take nearly all of the room.
_WIDE = ("components", "states")
_SDK = np.array([n.computed_by == "sdk" for n in _NODES])


def _numbers(node: NodeSpec, column: Any, name: str) -> NDArray[np.float64]:
    """float64[M], NaN where null; checked against the node's form and range."""
    where = f"{name}:{node.id}"
    if node.form is Form.CLASS:
        codes = {word: float(i) for i, word in enumerate(node.words)} | {None: math.nan}
        try:
            return np.array([codes[word] for word in column.to_pylist()], dtype=np.float64)
        except KeyError:
            # Never the word itself: it would stand in the sandbox's audit record.
            known = ", ".join(node.words)
            raise Invalid(f"{where} must be one of {known}", field=where) from None
    # Flags become 0.0 and 1.0.
    pa = arrow()
    number = column.cast(pa.int8()) if node.form is Form.FLAG else column
    values = np.asarray(number.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    if node.form is Form.NUMBER:
        low, high = node.bounds
        known_values = values[~np.isnan(values)]
        if known_values.size and not (low <= known_values.min() and known_values.max() <= high):
            raise Invalid(f"{where} must lie in {low:g}..{high:g} {node.unit}", field=where)
    return values


def _counts(column: Any, where: str) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """bool[M] present and int64[present, 16]."""
    flat = column.combine_chunks()
    present = np.asarray(flat.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
    counts = np.asarray(flat.flatten().to_numpy(zero_copy_only=False), dtype=np.int64).reshape(-1, BIN_COUNT)
    if counts.size and (counts.min() < 0 or not counts.sum(axis=1).min()):
        raise Invalid(f"{where}: a histogram has 16 whole counts, not all zero", field=where)
    return present, counts


def _node_block(node: NodeSpec, table: Any, name: str) -> NDArray[np.float32] | None:
    """float32[M, components] of one node from its columns, or None where no column is there."""
    columns = node_columns(node)
    if not set(columns) <= set(table.column_names):
        return None
    block = np.full((table.num_rows, len(node.components)), np.nan, dtype=np.float32)
    if node.form is Form.HISTOGRAM:
        width = len(node.components) // len(node.histograms)
        for i, (spec, column) in enumerate(zip(node.histograms, columns, strict=True)):
            present, counts = _counts(table[column], f"{name}:{column}")
            edges = np.broadcast_to(np.array(spec.edges), (len(counts), BIN_COUNT + 1))
            # One rule for both: a model must see in training the very bits that it sees when it serves.
            block[present, i * width : (i + 1) * width] = histogram_components(edges, counts)
        return block
    for i, column in enumerate(columns):
        block[:, i] = _numbers(node, table[column], name)
    return block


def _stated(table: Any) -> NDArray[np.uint8]:
    """uint8[M, 137] as written; not delivered where the world has no such column."""
    states = np.full((table.num_rows, NODE_COUNT), State.NOT_DELIVERED, dtype=np.uint8)
    if "absence" in table.column_names:
        for i, row in enumerate(table["absence"].to_pylist()):
            if row is not None:
                states[i] = np.frombuffer(row, dtype=np.uint8)
    return states


def _purposes(table: Any) -> dict[str, NDArray[np.int8]]:
    """1 granted, 0 refused, -1 never asked."""
    never = np.full(table.num_rows, -1, dtype=np.int8)
    out = {}
    for purpose, column in PURPOSE_COLUMNS.items():
        out[purpose] = never
        if column in table.column_names:
            values = table[column].to_pylist()
            out[purpose] = np.array([-1 if v is None else int(v) for v in values], dtype=np.int8)
    return out


def components_and_states(
    table: Any, derived: Any, name: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """float32[M, 259] and uint8[M, 137] of one part, observed and computed nodes together."""
    components = np.full((table.num_rows, len(catalog().components)), np.nan, dtype=np.float32)
    states = _stated(table)
    states[states == State.PRESENT] = State.NOT_DELIVERED
    purposes = _purposes(table)
    computed = {n.id: i for i, n in enumerate(COMPUTED)}
    made = np.array([list(row) for row in derived["absence"].to_pylist()], dtype=np.uint8)
    for node in _NODES:
        block = _node_block(node, table, name) if node.form is not Form.CONTEXT else None
        if block is None:
            block = np.full((table.num_rows, len(node.components)), np.nan, dtype=np.float32)
        granted = purposes[node.purpose] if node.purpose != "none" else None
        unasked = np.zeros(table.num_rows, dtype=np.bool_)
        if granted is not None:
            unasked = (granted < 0) & ~np.isnan(block).all(axis=1)
            block[granted != 1] = np.nan
        if node.id in computed:
            missing = np.isnan(block).all(axis=1) & ~unasked
            block[missing] = _node_block(node, derived, "derived")[missing]  # type: ignore[index]
            stated = states[missing, node.index]
            # A cause that the world states wins over the computed one, as in the service.
            keep = np.isin(stated, (State.NOT_APPLICABLE, State.REFUSED))
            states[missing, node.index] = np.where(keep, stated, made[missing, computed[node.id]])
            block[np.flatnonzero(missing)[keep]] = np.nan
        if granted is not None:
            block[granted == 0] = np.nan
            states[granted == 0, node.index] = State.REFUSED
            states[unasked, node.index] = State.NOT_DELIVERED
        present = ~np.isnan(block).all(axis=1)
        column = states[:, node.index]
        column[~present & (column == State.PRESENT)] = State.NOT_DELIVERED
        column[present] = State.PRESENT
        components[:, catalog().component_slices[node.index]] = block
    return components, states


def _unpack(table: Any, name: str) -> Iterator[OrderSubgraph]:
    """The subgraphs of one part of a packed world.

    Raises:
        Invalid: If the column is missing, or one of them is or cannot be unpacked; file and column are named.
    """
    where = f"{name}:subgraph"
    if "subgraph" not in table.column_names:
        raise Invalid(f"{where} is missing, and the manifest says packed: true", field=where)
    for packed in table["subgraph"].to_pylist():
        try:
            graph = OrderSubgraph.unpack(packed or b"")
        except SubgraphError as wrong:
            raise Invalid(f"{where}: {wrong}", field=where) from wrong
        yield graph


def unpacked(table: Any, name: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """float32[M, 259] and uint8[M, 137] of one part of a packed world."""
    graphs = list(_unpack(table, name))
    width = len(catalog().components)
    components = np.array([g.components for g in graphs], dtype=np.float32).reshape(-1, width)
    return components, np.array([g.states for g in graphs], dtype=np.uint8).reshape(-1, NODE_COUNT)


def part_subgraphs(world: World, table: Any, derived: Any, name: str) -> Iterator[OrderSubgraph]:
    """The subgraphs of one part, in its order, with the shares of their histograms."""
    if world.packed:
        yield from _unpack(table, name)
        return
    components, states = components_and_states(table, derived, name)
    shares = np.zeros((table.num_rows, catalog().histogram_count, BIN_COUNT), dtype=np.uint8)
    for node, rows in zip(_NODES, catalog().histogram_slices, strict=True):
        for row, column in zip(range(rows.start, rows.stop), node_columns(node), strict=False):
            if column in table.column_names:
                there, counts = _counts(table[column], f"{name}:{column}")
                shares[there, row] = histogram_shares(counts)
        # What was not granted is no value, and has no shares either.
        shares[states[:, node.index] != State.PRESENT, rows] = 0
    yield from map(OrderSubgraph, states, components, shares)


def subgraph_parts(world: World, door: Door) -> Iterator[tuple[Any, Iterator[OrderSubgraph]]]:
    """Arrow tables of the orders, file by file, each with the subgraphs of its rows."""
    replay(world, door)
    sizes = [parquet().read_metadata(p).num_rows for p in world.order_files]
    parts = zip(world.parts(), _derived_parts(world, sizes), world.order_files, strict=True)
    for table, derived, path in parts:
        name = path.relative_to(world.path).as_posix()
        yield table, part_subgraphs(world, table, derived, name)


def orders_with_subgraphs(world: World, door: Door) -> Iterator[tuple[Order, OrderSubgraph]]:
    """Orders in time order, each with its subgraph, computed nodes included."""
    hasher = world.hasher(door)
    for table, graphs in subgraph_parts(world, door):
        yield from zip(part_orders(table, hasher, signals=False), graphs, strict=True)


def _codes(digests: list[bytes | None]) -> NDArray[np.int64]:
    """63 bits of each digest, the same in every world hashed with the same key; -1 for none."""
    return np.array([-1 if d is None else int.from_bytes(d[:8]) >> 1 for d in digests], dtype=np.int64)


def _entities(table: Any, hasher: EntityHasher) -> dict[str, NDArray[np.int64]]:
    def texts(column: str) -> list[Any]:
        return table[column].to_pylist() if column in table.column_names else [None] * table.num_rows

    shown = zip(texts("device"), texts("consent_device"), strict=True)
    columns = {
        "account": hasher.plain("account", texts("account")),
        "device": hasher.plain("device", [text if ok else None for text, ok in shown]),
        "card": hasher.plain("card", texts("card")),
        "address": [found[0] for found in hasher.addresses(texts("address"))],
    }
    return {name: _codes(digests) for name, digests in columns.items()}


def _labels(table: Any, outcomes: dict[str, list[Outcome]], known_at: float) -> NDArray[np.int8]:
    """Labels of one part; its outcomes are taken out of the dict, for a million orders have gigabytes."""
    keys = zip(*(table[c].to_pylist() for c in ("merchant_id", "channel_code", "order_id")), strict=True)
    labels = (label_at(outcomes.pop(order_key(*key), ()), known_at) for key in keys)
    return np.array([-1 if label is None else label for label in labels], dtype=np.int8)


def _coded(table: Any, column: str, words: tuple[str, ...], name: str) -> NDArray[np.int8]:
    """Place of each word, -1 where null; a word that is not listed is refused, and not repeated."""
    places = {word: place for place, word in enumerate(words)} | {None: -1}
    try:
        return np.array([places[word] for word in table[column].to_pylist()], dtype=np.int8)
    except KeyError:
        where = f"{name}:{column}"
        raise Invalid(f"{where} must be one of {', '.join(words)}", field=where) from None


def _jurisdiction(table: Any, name: str) -> NDArray[np.int8]:
    places = _coded(table, "jurisdiction", JURISDICTIONS, name)
    if (places < 0).any():
        raise Invalid(f"{name}:jurisdiction is missing in some rows", field=f"{name}:jurisdiction")
    return places


def _objected(table: Any) -> NDArray[np.bool_]:
    if "objected" not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.bool_)
    return np.array([value is True for value in table["objected"].to_pylist()], dtype=np.bool_)


def _availability(table: Any, states: NDArray[np.uint8], name: str) -> NDArray[np.object_]:
    front = (states[:, _SDK] == State.PRESENT).any(axis=1)
    refused = (states[:, _SDK] == State.REFUSED).any(axis=1)
    word = np.where(front, "front_end", np.where(refused, "refused", "no_front_end"))
    phase = np.zeros(table.num_rows, dtype=np.int8)
    if "phase" in table.column_names:
        phase = np.maximum(_coded(table, "phase", PHASES, name), 0)
    return np.array(
        [f"{PHASES[p]}/{w}" for p, w in zip(phase.tolist(), word.tolist(), strict=True)], dtype=object
    )


def _derived_parts(world: World, sizes: list[int]) -> Iterator[Any]:
    """The computed nodes of each part, a file at a time."""
    if world.packed:
        yield from [None] * len(sizes)
        return
    files = derived_files(world)
    held = parquet().read_table(files[0])
    unread = iter(files[1:])
    for size in sizes:
        while held.num_rows < size:
            held = arrow().concat_tables([held, parquet().read_table(next(unread))])
        yield held.slice(0, size)
        held = held.slice(size)


def _outcomes(world: World, known_at: float) -> dict[str, list[Outcome]]:
    """Outcomes reported by a moment, by order."""
    out: dict[str, list[Outcome]] = {}
    for outcome in world.outcomes():
        if outcome.reported_at <= known_at:
            out.setdefault(outcome.order_key, []).append(outcome)
    return out


def _room(rows: int, values: NDArray[Any], path: Path | None) -> NDArray[Any]:
    shape = (rows, *values.shape[1:])
    if path is None:
        return np.empty(shape, dtype=values.dtype)
    size = math.prod(shape) * values.dtype.itemsize
    with path.open("wb+") as file:
        try:
            # Room is taken now: where a mapped file has none, the system ends the process by SIGBUS.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise StorageUnavailable(
                f"{path.parent} has no room for {size / 1e9:.1f} GB of {path.stem}: {error.strerror};"
                " another folder is named with --scratch",
                field="scratch",
            ) from error
        mapped = np.memmap(file, values.dtype, "r+", shape=shape)
    # What is mapped stays without a name, and goes with the table, also where the run is killed.
    with suppress(PermissionError):  # Windows keeps the file until its folder goes
        path.unlink()
    return mapped


def order_table(
    world: World, known_at: float | None, door: Door, progress: Progress, folder: Path | None = None
) -> OrderTable:
    """See :meth:`World.table`."""
    replay(world, door, progress)
    at = math.inf if known_at is None else known_at
    by_order = _outcomes(world, at)
    sizes = [parquet().read_metadata(p).num_rows for p in world.order_files]
    hasher = world.hasher(door)
    whole: dict[str, NDArray[Any]] = {}
    start = 0
    for i, (table, derived) in enumerate(zip(world.parts(), _derived_parts(world, sizes), strict=True)):
        progress("order table", i, len(sizes))
        name = world.order_files[i].relative_to(world.path).as_posix()
        both = unpacked(table, name) if world.packed else components_and_states(table, derived, name)
        components, states = both
        purposes = _purposes(table)
        columns = {
            "order_id": np.array(table["order_id"].to_pylist(), dtype=object),
            "placed_at": table["placed_at"].cast(arrow().int64()).to_numpy(),
            "components": components,
            "states": states,
            "availability": _availability(table, states, name),
            **_entities(table, hasher),
            "label": _labels(table, by_order, at),
            "training_consent": purposes["model_training"] == 1,
            "jurisdiction": _jurisdiction(table, name),
            "purposes": np.column_stack([purposes[purpose] for purpose in NODE_PURPOSES]),
            "objected": _objected(table),
        }
        for column, values in columns.items():
            if not start:
                # room for all parts at once: joining them at the end would hold everything twice
                path = folder / f"{column}.npy" if folder and column in _WIDE else None
                whole[column] = _room(sum(sizes), values, path)
            whole[column][start : start + len(values)] = values
            let_go(whole[column])
        start += len(table)
    progress("order table", len(sizes), len(sizes))
    return OrderTable(**whole)
