"""The same function over many jobs, results in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from riskgraph.core.errors import Unavailable

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


# Below this many bytes a process takes longer to start than it saves.
WORTHWHILE = 128 << 20


def workers_for(size: int) -> int:
    """How many processes pay off for ``size`` bytes of bodies: one, or one a core."""
    return 1 if size < WORTHWHILE else os.cpu_count() or 1


class Workers:
    """Processes that take jobs; the results are the same with any number of them.

    Args:
        count: 1 does everything in this process.
    """

    def __init__(self, count: int = 1) -> None:
        self._count = max(1, count)
        self._pool: Executor | None = None
        if self._count > 1:
            # A fork would copy locks that a library's threads hold at that moment.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, mp_context=context)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[_Job], _Result], jobs: Iterable[_Job]) -> Iterator[_Result]:
        """Results in the order of the jobs; only a few wait, so memory stays bounded.

        Args:
            function: Of a module, since another process must find it.
            jobs: Taken one after another.

        Raises:
            Exception: What the first job that fails raises.
        """
        if self._pool is None:
            yield from map(function, jobs)
            return
        waiting: deque[Future[_Result]] = deque()
        for job in jobs:
            waiting.append(self._pool.submit(function, job))
            if len(waiting) > 2 * self._count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def beside(jobs: Sequence[Callable[[], None]]) -> Iterator[list[Future[None]]]:
    """Run each job in a process of its own while this one goes on; leaving waits for them.

    Args:
        jobs: Bound methods or functions that another process can find.

    Raises:
        Exception: What the first job that fails raises.
        Unavailable: If a process was stopped from outside.
    """
    if not jobs:
        yield []
        return
    with ProcessPoolExecutor(len(jobs), mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(job) for job in jobs]
        yield running
        try:
            for future in running:
                future.result()
        except BrokenProcessPool as broken:
            raise Unavailable(
                "a process beside this one was stopped, as systems do that run out of memory; "
                'a script of your own must keep its work below `if __name__ == "__main__":`'
            ) from broken
