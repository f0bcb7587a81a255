"""How long one score takes, for ``riskgraph bench``."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.ports import Scorer


def score_times_us(
    scorer: Scorer, subgraphs: Sequence[OrderSubgraph], availability: str, rounds: int = 20
) -> NDArray[np.float64]:
    """Microseconds of each call, float64[rounds * orders]; binning included, one warm-up round first."""
    times: list[int] = []
    for step in range(rounds + 1):
        for subgraph in subgraphs:
            start = time.perf_counter_ns()
            scorer.score(subgraph, availability)
            # The first round fills caches and maps the tables; it is not what a service pays.
            if step:
                times.append(time.perf_counter_ns() - start)
    return np.array(times, dtype=np.float64) / 1e3
