"""What is in a world, in counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import State
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


def describe(world: World, *, oracle: bool = False) -> dict[str, Any]:
    """Counts by channel, jurisdiction, availability class and entity; what is fraud only on request.

    Args:
        world: The world.
        oracle: Also count archetypes, gangs and odd honest users of a simulated world.
    """
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("channel", "jurisdiction", "availability")
    }
    entities: dict[str, set[str]] = {name: set() for name in ("account", "device", "card", "address")}
    refusals: Counter[str] = Counter()
    span: list[Any] = []
    orders = 0
    for table in world.parts():
        counts["availability"].update(availability(table))
        # Without the node columns, which are most of a world.
        for row in python_rows(table.select([c for c in table.column_names if not c.startswith("B")])):
            orders += 1
            counts["channel"][row["channel_code"]] += 1
            counts["jurisdiction"][row["jurisdiction"]] += 1
            refusals.update(p for p, c in PURPOSE_COLUMNS.items() if row[c] is False)
            for name, seen in entities.items():
                if row[name] is not None:
                    seen.add(row[name])
            span = [span[0] if span else row["placed_at"], row["placed_at"]]
    out: dict[str, Any] = {
        "provenance": world.manifest["provenance"],
        "orders": orders,
        "outcomes": sum(parquet().read_metadata(p).num_rows for p in world.outcome_files),
        "from": span[0].isoformat() if span else None,
        "to": span[1].isoformat() if span else None,
        **{name: dict(sorted(c.items())) for name, c in counts.items()},
        "refused": dict(sorted(refusals.items())),
        "entities": {name: len(seen) for name, seen in entities.items()},
    }
    return out | (_truth(world) if oracle else {})


def _truth(world: World) -> dict[str, Any]:
    truth = read_oracle(world)
    kinds = [k for k in truth.honest_type.tolist() if k is not None]
    return {
        "fraud_share": round(float(truth.is_fraud.mean()), 4),
        "archetype": dict(sorted(Counter(truth.archetype.tolist()).items())),
        "gangs": len({g for g in truth.gang_id.tolist() if g is not None}),
        "honest_type": dict(sorted(Counter(kinds).items())),
    }
