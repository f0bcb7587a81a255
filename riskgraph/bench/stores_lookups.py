"""How long the embedded store takes to find what lies behind an order's entities, one hub among them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.bench import Figure
from riskgraph.bench.stores_ground import WARM_UP, Ground, Hubbed, frozen
from riskgraph.core.history import IndexedHistory
from riskgraph.core.order import Order
from riskgraph.stores.reads import Decoded, SqliteHistory
from riskgraph.stores.schema import connect


def two_hop(ground: Ground) -> list[Figure]:
    """The newest 200 orders behind each of an order's entities, with what is kept of them."""
    held = ground.hubbed
    connection = connect(held.store.path, write=False)
    nothing, kept = IndexedHistory(), Decoded()
    found: list[int] = []

    def read(order: Order) -> None:
        _, linked = SqliteHistory(connection, nothing, kept).read(order)
        found.append(sum(map(len, linked.values())))

    try:
        us = once_us(read, held.next_orders)
    finally:
        connection.close()
    linked = found[-len(us) :]
    note = f"{_on(held, len(us))}; linked orders: median {np.median(linked):.0f}, most {max(linked)}"
    return _quantiles("two_hop", us, note)


def context(ground: Ground) -> list[Figure]:
    """All computed nodes, as a decision reads them."""
    held = ground.hubbed
    us = once_us(held.store.context, held.next_orders)
    return _quantiles("context", us, f"37 nodes; {_on(held, len(us))}")


def once_us(call: Callable[[Order], Any], orders: Sequence[Order]) -> NDArray[np.float64]:
    """Microseconds of each call, each order once; those that warm up go before, untimed."""
    warm = len(orders) // WARM_UP
    for order in orders[:warm]:
        call(order)
    taken = []
    with frozen():
        for order in orders[warm:]:
            start = time.perf_counter_ns()
            call(order)
            taken.append(time.perf_counter_ns() - start)
    return np.array(taken) / 1e3


def _on(held: Hubbed, lookups: int) -> str:
    return (
        f"{lookups} simulated orders, each once, after {held.orders:,} of which {held.hub_orders:,} went to "
        f"one address; loaded at {held.orders / held.load_s:,.0f}/s in {held.load_s:.0f} s"
    )


def _quantiles(name: str, us: NDArray[np.float64], note: str) -> list[Figure]:
    return [Figure(f"{name}_p{q}_us", float(np.quantile(us, q / 100)), "us", note) for q in (50, 99)]


PARTS = {two_hop: ("two_hop_p50_us", "two_hop_p99_us"), context: ("context_p50_us", "context_p99_us")}
