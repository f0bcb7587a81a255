"""How long calls on one order take, for ``riskgraph bench``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.subgraph import OrderSubgraph

Call = Callable[[OrderSubgraph], object]


def times_us(
    calls: Mapping[str, Call],
    subgraphs: Sequence[OrderSubgraph],
    rounds: int,
    few: Mapping[str, int] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Microseconds of each call on each order, one order at a time; one warm-up round first.

    The calls take turns round by round, so that whatever else the machine does hits all alike.

    Args:
        calls: By name.
        subgraphs: Orders.
        rounds: How often each call sees its orders.
        few: Of slow calls, how many of the orders they see; others see all.

    Returns:
        float64[rounds * orders of the call] by name.
    """
    times: dict[str, list[int]] = {name: [] for name in calls}
    for step in range(rounds + 1):
        for name, call in calls.items():
            for subgraph in subgraphs[: (few or {}).get(name)]:
                start = time.perf_counter_ns()
                call(subgraph)
                # The first round fills caches and maps the tables; it is not what a service pays.
                if step:
                    times[name].append(time.perf_counter_ns() - start)
    return {name: np.array(spent, dtype=np.float64) / 1e3 for name, spent in times.items()}
