"""How long calls on one thing take, an order or a report, for ``riskgraph bench``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.subgraph import OrderSubgraph

Call = Callable[[OrderSubgraph], object]
Thing = TypeVar("Thing")


def times_us(
    calls: Mapping[str, Callable[[Thing], object]],
    things: Sequence[Thing],
    rounds: int,
    few: Mapping[str, int] | None = None,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, NDArray[np.float64]]:
    """Microseconds of each call on each thing, one at a time; one warm-up round first.

    The calls take turns round by round, so that whatever else the machine does hits all alike.

    Args:
        calls: By name.
        things: Orders, for instance.
        rounds: How often each call sees its things.
        few: Of slow calls, how many of them they see; others see all.
        clock_ns: The clock on the wall, or that of the thread.

    Returns:
        float64[rounds * things of the call] by name.
    """
    times: dict[str, list[int]] = {name: [] for name in calls}
    for step in range(rounds + 1):
        for name, call in calls.items():
            for thing in things[: (few or {}).get(name)]:
                start = clock_ns()
                call(thing)
                # The first round fills caches and maps the tables; it is not what a service pays.
                if step:
                    times[name].append(clock_ns() - start)
    return {name: np.array(spent, dtype=np.float64) / 1e3 for name, spent in times.items()}
