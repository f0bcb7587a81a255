"""``riskgraph bench stores``: what orders cost to store and to find again; all orders are simulated."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from riskgraph.bench import (
    Figure,
    measure,
    stores_feed,
    stores_lookups,
    stores_outage,
    stores_shared,
    stores_writes,
)
from riskgraph.bench.asks import at_least, at_most, beside_asks
from riskgraph.bench.stores_ground import QUICK, Ground, Sizes
from riskgraph.core.errors import Invalid
from riskgraph.ports import Progress

# A part and the names of its figures: whoever adds figures adds a module like ``stores_lookups`` here.
PARTS: dict[Callable[[Ground], list[Figure]], tuple[str, ...]] = {
    **stores_lookups.PARTS,
    **stores_writes.PARTS,
    **stores_feed.PARTS,
    **stores_shared.PARTS,
    **stores_outage.PARTS,
}
ASKS = {
    "two_hop_p50_us": at_most(200),
    "two_hop_p99_us": at_most(2_000),
    "context_p50_us": at_most(600),
    "context_p99_us": at_most(3_000),
    "durable_orders_s": at_least(2_000),
    "durable_orders_bare_s": at_least(3_000),
    "bytes_per_order": at_most(1_600),
    "kills": at_least(200),
    "lost_acknowledged": at_most(0),
    "packed_orders_s": at_least(1_500),
    "backlog_10k_s": at_most(60),
    "duplicates": at_most(0),
    "lost": at_most(0),
    "materialise_orders_s": at_least(80),
    "materialise_ratio": at_least(0.8),
    "roundtrip_equal": at_least(1),
    "neo4j_context_p50_ms": at_most(5),
    "neo4j_context_p99_ms": at_most(30),
    "outage_failed": at_most(0),
    "outage_p99_ratio": at_most(2),
    "outage_added_ms": at_most(60),
    "breaker_open_ms": at_most(1_000),
    "breaker_close_s": at_most(10),
}


def part_name(part: Callable[[Ground], list[Figure]]) -> str:
    """What a part is called on the command line: its function, with dashes."""
    return part.__name__.replace("_", "-")


def figures_of(parts: Iterable[str]) -> set[str]:
    """Names of the figures of some parts.

    Raises:
        Invalid: If there is no part of that name.
    """
    known = {part_name(part): names for part, names in PARTS.items()}
    unknown = sorted(set(parts) - known.keys())
    if unknown:
        raise Invalid(f"unknown part {', '.join(unknown)}; known: {', '.join(known)}", field="--part")
    return {name for part in parts for name in known[part]}


def run(
    only: set[str], progress: Progress, *, sizes: Sizes | None = None, quick: bool = False
) -> list[Figure]:
    """Measure all figures, or the named ones; a part that fails is reported, never left out.

    Args:
        only: Names of figures; none means all.
        progress: Told how far the worlds and stores are.
        sizes: How much is measured; by default what the asks name.
        quick: A twentieth of it, to see that all parts run; notes tell the sizes.
    """
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        ground = Ground(Path(folder), progress, sizes or (QUICK if quick else Sizes()))
        return beside_asks(measure(PARTS, ground, only), ASKS)
