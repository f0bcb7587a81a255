"""What is in a world, in counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.order import PHASES
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds.calibration import compare
from riskgraph.eval.worlds.extras import arrow, parquet
from riskgraph.eval.worlds.oracle import read_oracle
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.rows import python_rows
from riskgraph.eval.worlds.schema import PURPOSE_COLUMNS, node_columns

_SDK = [n for n in catalog() if n.computed_by == "sdk"]


def availability(table: Any) -> list[str]:
    """Availability class of each row, from delivered sdk nodes and consent alone."""
    front = np.zeros(table.num_rows, dtype=np.bool_)
    refused = np.zeros(table.num_rows, dtype=np.bool_)
    stated = None
    if "absence" in table.column_names:
        stated = [b or b"" for b in table["absence"].to_pylist()]
    for node in _SDK:
        granted = _granted(table, node.purpose)
        columns = [c for c in node_columns(node) if c in table.column_names]
        if columns:
            valid = table[columns[0]].is_valid().to_numpy()
            front |= valid & (granted == 1)
        refused |= granted == 0
        if stated is not None:
            refused |= np.array([len(b) > node.index and b[node.index] == State.REFUSED for b in stated])
    phases = table["phase"].to_pylist() if "phase" in table.column_names else [None] * table.num_rows
    words = np.where(front, "front_end", np.where(refused, "refused", "no_front_end")).tolist()
    return [f"{p or 'pre_auth'}/{w}" for p, w in zip(phases, words, strict=True)]


def _granted(table: Any, purpose: str) -> NDArray[np.int8]:
    column = PURPOSE_COLUMNS[purpose]
    if column not in table.column_names:
        return np.full(table.num_rows, -1, dtype=np.int8)
    pa = arrow()
    return np.asarray(table[column].cast(pa.int8()).fill_null(-1).to_numpy(), dtype=np.int8)


def _device_class(table: Any) -> list[str]:
    """Word of B077 for each row, ``unknown`` where the shop does not know it."""
    if "B077" not in table.column_names:
        return ["unknown"] * table.num_rows
    return [word or "unknown" for word in table["B077"].to_pylist()]


class _Tally:
    """Counts over the rows of a world's order tables."""

    def __init__(self) -> None:
        names = ("channel", "phase", "device_class", "jurisdiction", "availability")
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in names}
        self.entities: dict[str, set[str]] = {
            name: set() for name in ("account", "device", "card", "address")
        }
        self.refused: Counter[str] = Counter()
        self.channels: dict[str, Counter[str]] = defaultdict(Counter)
        self.orders = self.weekend = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, table: Any) -> None:
        self.counts["availability"].update(availability(table))
        self.counts["device_class"].update(_device_class(table))
        # Without the node columns, which are most of a world.
        for row in python_rows(table.select([c for c in table.column_names if not c.startswith("B")])):
            self._add(row)

    def _add(self, row: dict[str, Any]) -> None:
        self.orders += 1
        self.first, self.last = self.first or row["placed_at"], row["placed_at"]
        local = row["placed_at"] + timedelta(seconds=row["utc_offset_s"] or 0)
        self.weekend += local.weekday() >= 5
        self.counts["channel"][row["channel_code"]] += 1
        self.counts["phase"][row["phase"] or PHASES[0]] += 1
        self.counts["jurisdiction"][row["jurisdiction"]] += 1
        self.refused.update(p for p, c in PURPOSE_COLUMNS.items() if row[c] is False)
        for name, seen in self.entities.items():
            if row[name] is not None:
                seen.add(row[name])
        if row["account"] is not None:
            self.channels[row["account"]][row["channel_code"]] += 1

    def shares(self) -> dict[str, float]:
        """Of all orders: those of accounts that use several channels, and those on local weekends."""
        several = sum(c.total() for c in self.channels.values() if len(c) > 1)
        orders = max(1, self.orders)
        return {"several_channels": round(several / orders, 4), "weekend": round(self.weekend / orders, 4)}


def describe(world: World, *, oracle: bool = False, behavior: bool = False) -> dict[str, Any]:
    """Counts by channel, phase, device class, jurisdiction, availability class and entity.

    Args:
        world: The world.
        oracle: Also count archetypes, gangs and odd honest users of a simulated world.
        behavior: Also lay nodes beside those of measured people (see ``calibration``), with ``oracle``
            those of honest orders alone.
    """
    tally = _Tally()
    for table in world.parts():
        tally.add(table)
    out: dict[str, Any] = {
        "provenance": world.manifest["provenance"],
        "orders": tally.orders,
        "outcomes": sum(parquet().read_metadata(p).num_rows for p in world.outcome_files),
        "from": tally.first.isoformat() if tally.first else None,
        "to": tally.last.isoformat() if tally.last else None,
        **{name: dict(sorted(c.items())) for name, c in tally.counts.items()},
        "shares": tally.shares(),
        "refused": dict(sorted(tally.refused.items())),
        "entities": {name: len(seen) for name, seen in tally.entities.items()},
    }
    out |= _truth(world) if oracle else {}
    return out | ({"behavior": compare(world, oracle=oracle)} if behavior else {})


def _truth(world: World) -> dict[str, Any]:
    truth = read_oracle(world)
    kinds = [k for k in truth.honest_type.tolist() if k is not None]
    return {
        "fraud_share": round(float(truth.is_fraud.mean()), 4),
        "archetype": dict(sorted(Counter(truth.archetype.tolist()).items())),
        "gangs": len({g for g in truth.gang_id.tolist() if g is not None}),
        "honest_type": dict(sorted(Counter(kinds).items())),
    }
