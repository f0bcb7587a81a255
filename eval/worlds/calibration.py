"""Behavior of a world's orders beside that of people: quantiles of nodes against measured ones.

Sources of the targets:
    UCI: Sakar and Kastro, Online Shoppers Purchasing Intention, UCI Machine Learning Repository,
        doi 10.24432/C5F88Q, CC BY 4.0. A test computes the quantiles again where it finds the set.
    desktop, phone: quantiles of desktop users' keys and mouse, and of 141,317 presses on phones, as the
        project's behavior notes state them; the recordings are not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, catalog
from riskgraph.eval.worlds.behavior import seconds_in
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.oracle import read_oracle
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.streams import Bools, Floats, Ints

PERCENTS = (5, 25, 50, 75, 95)
# Octaves between a world's quantile and a person's that count as near, for each of PERCENTS.
NEAR = (0.5, 0.25, 0.25, 0.25, 0.5)
Quantiles = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Target:
    """What people do, and which node shows it.

    Attributes:
        name: What is measured, with its unit.
        node: The node that shows it.
        reads: ``entries`` pools the entries of all orders' histograms; ``mean`` takes each order's mean
            entry, ``count`` the number of its entries, ``value`` the number itself.
        source: Whom it was measured on.
        people: Their quantiles at PERCENTS.
        modality: Only orders with this input modality (B084); None for all.
    """

    name: str
    node: str
    reads: Literal["entries", "mean", "count", "value"]
    source: str
    people: Quantiles
    modality: str | None = None


_PHONE_INTERVAL = (163, 255, 378, 548, 1220)
TARGETS = (
    # A session's mean, since the source holds no single views. Orders are buyers'; both rows can be met.
    Target("product_dwell_s", "B001", "mean", "UCI, 11,575 sessions", (9.33, 19.6, 30.3, 46.7, 98.1)),
    Target("product_dwell_buyers_s", "B001", "mean", "UCI, 1,895 buyers", (15.3, 25.2, 35.9, 50.7, 89.9)),
    Target("product_pages", "B001", "count", "UCI, 1,908 buyers", (5, 15, 29, 57, 159)),
    # The source does not say whether a page seen again counts again; the node counts it once.
    Target("pages", "B003", "value", "UCI, 1,908 buyers", (7, 17, 32, 62, 168)),
    Target("session_s", "B010", "value", "UCI, 1,908 buyers", (159, 620, 1252, 2514, 6626)),
    Target("key_hold_ms", "B033", "entries", "desktop users", (69, 92, 120, 160, 624)),
    Target("key_interval_ms", "B034", "entries", "desktop users", (47, 130, 216, 356, 899)),
    Target("mouse_speed_px_s", "B014", "entries", "desktop users", (20, 176, 506, 1430, 4960)),
    # No node times virtual keys; a tap on a key is the nearest thing to a press of it.
    Target("phone_key_hold_ms", "B028", "entries", "phone presses", (61, 85, 102, 123, 156), "touch"),
    *(
        Target(f"phone_{zone}_interval_ms", node, "entries", "phone presses", _PHONE_INTERVAL, "touch")
        for zone, node in (("name", "B035"), ("number", "B036"), ("address", "B037"))
    ),
)  # fmt: skip


def _pooled(counts: Ints, edges: Floats) -> Floats:
    """Quantiles of H histograms together, even on the log2 scale inside a bin: float64[5]."""
    total = np.r_[0, counts.sum(axis=0).cumsum()]
    # 0 has no logarithm; nothing of interest lies below 1.
    scale = np.log2(np.maximum(edges, 0.5))
    return np.asarray(2 ** np.interp(np.array(PERCENTS) / 100 * total[-1], total, scale))


def _quantiles(target: Target, found: Ints | Floats) -> Floats:
    """float64[5] of what was found, in the target's unit."""
    numbers = found
    if target.reads != "value":
        bins = catalog()[target.node].histograms[0]
        if target.reads == "entries":
            return _pooled(found.astype(np.int64), np.array(bins.edges))
        numbers = found.sum(axis=1)
        if target.reads == "mean":
            numbers = seconds_in(bins, found.astype(np.int64)) / numbers
    return np.asarray(np.percentile(numbers, PERCENTS), dtype=np.float64)


def _present(world: World, target: Target, honest: Bools | None) -> NDArray[Any]:
    """Values [M] or counts [M, 16] of the orders that have the target's node."""
    parts: list[NDArray[Any]] = [np.empty(0)]
    start = 0
    for part in world.parts([target.node, "B084"]):
        keep = np.ones(part.num_rows, dtype=np.bool_) if honest is None else honest[start:][: part.num_rows]
        start += part.num_rows
        if not {target.node, "B084"} <= set(part.column_names):
            continue
        if target.modality is not None:
            keep = keep & np.array([word == target.modality for word in part["B084"].to_pylist()])
        column = part[target.node].combine_chunks().filter(arrow().array(keep)).drop_null()
        if target.reads == "value":
            parts.append(column.to_numpy(zero_copy_only=False))
        else:
            parts.append(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, BIN_COUNT))
    return np.concatenate(parts[1:] or parts)


def compare(world: World, *, oracle: bool = False) -> list[dict[str, Any]]:
    """Each target beside the world: one row a target that the world's orders show.

    Args:
        world: The world.
        oracle: Of a simulated world's honest orders only; otherwise of all.

    Returns:
        Rows of ``name``, ``node``, ``source``, ``orders``, ``people`` and ``world`` (quantiles at
        PERCENTS), ``octaves`` (log2 of the world's over the people's) and ``near`` (all within NEAR).

    Raises:
        NotFound: If the oracle is asked for and the world has none.
    """
    honest = ~read_oracle(world).is_fraud if oracle else None
    rows = []
    for target in TARGETS:
        found = _present(world, target, honest)
        if not len(found):
            continue
        quantiles = _quantiles(target, found)
        octaves = np.log2(np.maximum(quantiles, 1e-9) / np.array(target.people))
        rows.append(
            {
                "name": target.name,
                "node": target.node,
                "source": target.source,
                "orders": len(found),
                "people": list(target.people),
                "world": [float(f"{q:.3g}") for q in quantiles],
                "octaves": [round(float(o), 2) for o in octaves],
                "near": bool((np.abs(octaves) <= NEAR).all()),
            }
        )
    return rows
