"""The work on chunks spread over a Ray cluster (extra ``ray``).

The data set that Ray Data maps has one row for each task: the number of a chunk, or a bucket. The rows of
orders never go through it, for Ray cuts batches by size and would cut through a person. Workers read whole
chunks from the folder instead, so it must be one that all of them see, as the same user of the system.

What is asked and told passes through Ray's object store, sampled rows and the groups of items among it. The
store lives until the cluster is left, and Ray may spill it to disk: a merchant's release belongs on a cluster
of the sandbox's own, started for it and ended after it, whose disks only the sandbox may read.

A cluster opens ports on all interfaces of its machines, also one that is started here: whoever reaches them
and is let in runs code. One that is started here lets nobody in without a token that is made for it; another
one must be guarded by who runs it (``RAY_AUTH_MODE=token``, and a network of its own).
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from warnings import catch_warnings

from riskgraph.core.errors import ExtraMissing, Unavailable
from riskgraph.sandbox.chunks import Runner
from riskgraph.sandbox.scratch import raw_folder

# A task that kills its worker would kill each that comes after it; Ray Data's own default has no end.
_RETRIES = 3
_REACHED_IN_S = 10.0

Out = TypeVar("Out")


def _work(task: Callable[[Any], Any], row: dict[str, Any]) -> dict[str, Any]:
    """An error of the task is told too, so that whatever Ray raises is an error of Ray."""
    try:
        told = pickle.dumps((task(pickle.loads(row["asked"])), None))
    except Exception as error:
        told = pickle.dumps((None, error))
    return {"place": row["place"], "told": told}


def _in_order(rows: Iterable[dict[str, Any]]) -> Iterator[Any]:
    """What tasks told, by place: they end in any order, and sums depend on the order of adding."""
    early: dict[int, bytes] = {}
    place = 0
    for row in rows:
        early[int(row["place"])] = row["told"]
        while place in early:
            told, error = pickle.loads(early.pop(place))
            if error is not None:
                raise error
            yield told
            place += 1


def _rows(task: Callable[[Any], Any], asked: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    import ray.data

    try:
        # a block for each row, else tasks would wait for one another in one block
        blocks = ray.data.from_items(asked, override_num_blocks=len(asked))
        with catch_warnings(action="ignore"):  # of the only way to say it, which goes with Ray 2.64
            done = blocks.map(partial(_work, task), max_retries=_RETRIES)
        yield from done.iter_rows()
    except Exception as error:
        why = _first_line(error)
        raise Unavailable(f"--ray: the cluster could not do the work: {why}", field="ray") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def run_on_ray(task: Callable[[Any], Out], over: Sequence[Any]) -> Iterator[Out]:
    """A ``Runner`` on the cluster that this process has joined (see :func:`cluster`).

    Raises:
        Unavailable: If the cluster fails, or a task has ended its worker four times.
    """
    asked = [{"place": place, "asked": pickle.dumps(argument)} for place, argument in enumerate(over)]
    if asked:
        yield from _in_order(_rows(task, asked))


@contextmanager
def runner(address: str | None = None, scratch: Path | None = None) -> Iterator[Runner]:
    """A ``Runner`` on a running cluster, or on one that is started here at its first task.

    Args:
        address: Of a running cluster.
        scratch: Folder for what a cluster that is started here spills.

    Raises:
        ExtraMissing: If Ray is not installed.
        Unavailable: If there is no cluster at the address; the field is named.
    """
    if find_spec("ray") is None:
        raise ExtraMissing("a release on Ray", "ray")
    with ExitStack() as joined:
        if address:
            joined.enter_context(cluster(address))
        started = [address] if address else []

        def run(task: Callable[[Any], Out], over: Sequence[Any]) -> Iterator[Out]:
            if not started:
                started.append("local")
                joined.enter_context(cluster(scratch=scratch))
            return run_on_ray(task, over)

        yield run


@contextmanager
def cluster(
    address: str | None = None, *, workers: int | None = None, scratch: Path | None = None
) -> Iterator[None]:
    """Join a Ray cluster, or start one on this machine, and leave it at the end.

    Args:
        address: Of a running cluster; by default one is started here, which opens ports (see above).
        workers: Cores that a cluster started here uses, by default all.
        scratch: Where a cluster started here makes a folder for what it spills.

    Raises:
        Unavailable: If there is no cluster at the address, or none can be started; the field is named.
    """
    # nothing is told to Ray's makers, and no page shows what runs
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with ExitStack() as folders:
        if address:
            _reach(address)
            asked: dict[str, Any] = {}
        else:
            _let_nobody_in()
            spilled = folders.enter_context(raw_folder(scratch))
            asked = {
                "num_cpus": workers,
                "include_dashboard": False,
                "object_spilling_directory": str(spilled),
            }
        _join(address or "local", asked)
        try:
            yield
        finally:
            import ray

            ray.shutdown()


def _let_nobody_in() -> None:
    """Ask for a token; it stands in the environment, since Ray would leave one of its own in a file."""
    if "ray" in sys.modules and os.environ.get("RAY_AUTH_MODE") != "token":
        raise Unavailable("--ray local: RAY_AUTH_MODE must be token before Ray is imported", field="ray")
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _join(address: str, asked: dict[str, Any]) -> None:
    import ray
    import ray.data

    # Ray has a handler of its own, and its processes inherit who may read their files
    on_stop, mask = signal.getsignal(signal.SIGTERM), os.umask(0o077)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **asked)
    except Exception as error:
        raise Unavailable(f"--ray {address}: {_first_line(error)}", field="ray") from error
    finally:
        os.umask(mask)
        if on_stop is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_stop)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False


def _reach(address: str) -> None:
    """See that somebody listens, for Ray itself waits for minutes, or ends the process."""
    try:
        split = urlsplit(address if "//" in address else f"//{address}")
        if split.hostname and split.port:
            socket.create_connection((split.hostname, split.port), _REACHED_IN_S).close()
    except (OSError, ValueError) as error:
        raise Unavailable(f"--ray {address}: no cluster answers there: {error}", field="ray") from error
