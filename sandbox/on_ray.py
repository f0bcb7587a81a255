"""The work on chunks spread over a Ray cluster (extra ``ray``).

The data set that Ray Data maps has one row for each task: the number of a chunk, or a bucket. The rows of
orders never go through it, for Ray cuts batches by size and would cut through a person. Workers read whole
chunks from the folder instead, so it must be one that all of them see.

What is asked and told passes through Ray's object store, sampled rows and the groups of items among it. The
store lives until the cluster is left, and Ray may spill it to disk: a merchant's release belongs on a cluster
of the sandbox's own, started for it and ended after it, whose disks only the sandbox may read.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

from riskgraph.core.errors import ExtraMissing

Out = TypeVar("Out")


def _work(task: Callable[[Any], Any], row: dict[str, Any]) -> dict[str, Any]:
    told = task(pickle.loads(row["asked"]))
    return {"place": row["place"], "told": pickle.dumps(told)}


def _in_order(rows: Iterator[dict[str, Any]]) -> Iterator[Any]:
    """What tasks told, by place: they end in any order, and sums depend on the order of adding."""
    early: dict[int, bytes] = {}
    place = 0
    for row in rows:
        early[int(row["place"])] = row["told"]
        while place in early:
            yield pickle.loads(early.pop(place))
            place += 1


def run_on_ray(task: Callable[[Any], Out], over: Sequence[Any]) -> Iterator[Out]:
    """A ``Runner`` on the cluster that this process has joined (see :func:`cluster`)."""
    import ray.data

    asked = [{"place": place, "asked": pickle.dumps(argument)} for place, argument in enumerate(over)]
    if not asked:
        return
    # a block for each row, else tasks would wait for one another in one block
    rows = ray.data.from_items(asked, override_num_blocks=len(asked)).map(partial(_work, task))
    yield from _in_order(rows.iter_rows())


@contextmanager
def cluster(address: str | None = None, workers: int | None = None) -> Iterator[None]:
    """Join a Ray cluster, or start one on this machine, and leave it at the end.

    Args:
        address: Of a running cluster; by default one is started here.
        workers: Cores that a cluster started here uses, by default all.

    Raises:
        ExtraMissing: If Ray is not installed.
    """
    if find_spec("ray") is None:
        raise ExtraMissing("a release on Ray", "ray")
    # nothing is told to Ray's makers, and no page shows what runs
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    local: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
    ray.init(address=address or "local", log_to_driver=False, logging_level="error", **local)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()
