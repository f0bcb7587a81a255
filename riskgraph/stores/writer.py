"""The one writing thread: whatever is queued when it looks is committed together.

A transaction costs one sync however many decisions it holds, so throughput grows with load while
a lone caller waits for a single sync. Rows are inserted many to a statement: each call into SQLite
hands the interpreter lock to another thread, and a busy server would wait for it back each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import apsw

from riskgraph.core.errors import Conflict, RiskgraphError, StorageUnavailable
from riskgraph.core.history import IndexedHistory
from riskgraph.stores.graph import OUTBOX, After, write_orders
from riskgraph.stores.insert import insert, insert_new
from riskgraph.stores.reviews import open_held
from riskgraph.stores.rows import EntryRows
from riskgraph.stores.schema import connect, storage_errors, unavailable

_LOG = logging.getLogger("riskgraph.stores")
MAX_BATCH = 128
MAX_QUEUED = 20_000
LINGER_S = 0.0005
DECISIONS = (
    "decisions(decision_id, key, trace_id, idempotency_key, body_sha256, merchant_id, ts, verdict, "
    "answer, record)"
)
DECISION_KEYS = "idempotency_key, decision_id"
METER = "meter(ts, key_id, merchant_id, line, decision_id)"
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    work: EntryRows | Callable[[apsw.Connection, After], Any]
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: Exception | None = None


class Writer:
    """Owns the writing connection.

    Args:
        path: A file made by ``schema.prepare``.
        indexes: The in-memory part of the history, brought up to date after each commit.
    """

    def __init__(self, path: Path, indexes: IndexedHistory) -> None:
        with storage_errors(f"cannot open {path} for writing"):
            self._connection = connect(path, write=True)
        self._indexes = indexes
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closing = Lock()
        self._closed = False
        self._thread = Thread(target=self._run, name="riskgraph-writer", daemon=True)
        self._thread.start()

    def submit(self, rows: EntryRows) -> Future[None]:
        """Queue one decision; the future is done after its commit."""
        return self._put(_Job(rows))

    def call(self, work: Callable[[apsw.Connection, After], T]) -> Future[T]:
        """Queue other work for the same transaction; ``After`` runs once it is committed."""
        return self._put(_Job(work))

    def _put(self, job: _Job) -> Future[Any]:
        with self._closing:
            if self._closed or self._queue.qsize() >= MAX_QUEUED:
                cause = "the store is closed" if self._closed else f"{MAX_QUEUED} writes are queued"
                job.future.set_exception(StorageUnavailable(cause))
            else:
                self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Commit what is queued, then close the file."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        for jobs in self._batches():
            self._commit(jobs)
        self._connection.close()

    def _batches(self) -> Iterator[list[_Job]]:
        usual = 1
        while True:
            job = self._queue.get()
            jobs: list[_Job] = []
            while job is not None:
                # A caller that gave up before this point is not written; after it, it is.
                if job.future.set_running_or_notify_cancel():
                    jobs.append(job)
                if len(jobs) == MAX_BATCH:
                    break
                try:
                    # Callers of the last batch are about to come back: one sync for all of them.
                    job = self._queue.get(timeout=LINGER_S) if len(jobs) < usual else self._queue.get_nowait()
                except Empty:
                    break
            usual = min(len(jobs) + self._queue.qsize(), MAX_BATCH)
            if jobs:
                yield jobs
            if job is None:
                return

    def _commit(self, jobs: list[_Job]) -> None:
        after: After = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._apply(jobs, after)
            self._connection.execute("COMMIT")
        except Exception as error:  # the thread must outlive whatever goes wrong in one batch
            self._roll_back()
            for job in jobs:
                job.future.set_exception(unavailable("nothing was committed", error))
            return
        self._learn(after)
        for job in jobs:
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _learn(self, after: After) -> None:
        for step in after:
            try:
                step()
            except Exception:  # what is committed stays acknowledged; the next start reads the indexes anew
                _LOG.exception("an index missed a committed row")

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error:
            # The next BEGIN fails as well and says so; nothing of this batch was acknowledged.
            return

    def _apply(self, jobs: Sequence[_Job], after: After) -> None:
        entries: list[_Job] = []
        for job in jobs:
            if isinstance(job.work, EntryRows):
                entries.append(job)
                continue
            self._write(entries, after)
            entries, done = [], len(after)
            try:
                with self._connection:
                    job.result = job.work(self._connection, after)
            except Exception as error:
                # Its savepoint takes back what it wrote, so decisions beside it are committed all the same;
                # unless SQLite has ended the whole transaction, as it does on a full disk.
                if not self._connection.in_transaction:
                    raise
                known = isinstance(error, RiskgraphError)
                job.error = error if known else unavailable("nothing was committed", error)
                del after[done:]
        self._write(entries, after)

    def _write(self, jobs: Sequence[_Job], after: After) -> None:
        fresh = self._insert_decisions(jobs)
        if not fresh:
            return
        write_orders(self._connection, fresh, self._indexes, after)
        insert(self._connection, OUTBOX, [r.event for r in fresh])
        insert(self._connection, METER, [r.meter for r in fresh])
        open_held([r.held for r in fresh if r.held is not None], self._connection)

    def _insert_decisions(self, jobs: Sequence[_Job]) -> list[EntryRows]:
        """Rows of the decisions that are new; the others' jobs end in Conflict."""
        rows = [job.work for job in jobs if isinstance(job.work, EntryRows)]
        written = set(insert_new(self._connection, DECISIONS, [r.decision for r in rows], DECISION_KEYS))
        fresh = []
        for job, row in zip(jobs, rows, strict=True):
            keys = row.idempotency_key, row.decision_id
            if keys in written:
                written.remove(keys)  # a second one of the same keys was not written
                fresh.append(row)
            else:
                job.error = Conflict("a decision under this idempotency key is on record")
        return fresh
