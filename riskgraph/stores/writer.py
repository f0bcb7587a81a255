"""The one writing thread: whatever is queued when it looks is committed together.

A transaction costs one sync however many decisions it holds, so throughput grows with load while
a lone caller waits for a single sync. Rows are inserted many to a statement: each call into SQLite
hands the interpreter lock to another thread, and a busy server would wait for it back each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import apsw

from riskgraph.core.errors import Conflict, RiskgraphError, StorageUnavailable
from riskgraph.core.history import IndexedHistory
from riskgraph.stores.graph import OUTBOX, After, write_orders
from riskgraph.stores.insert import insert, insert_new
from riskgraph.stores.log import Log
from riskgraph.stores.reviews import open_held
from riskgraph.stores.rows import EntryRows, decision_event
from riskgraph.stores.schema import connect, storage_errors, unavailable
from riskgraph.stores.sealing import Secrets, Vault

_LOG = logging.getLogger("riskgraph.stores")
MAX_BATCH = 128
MAX_QUEUED = 20_000
LINGER_S = 0.0005
DECISION_COLUMNS = (
    "decisions(seq, decision_id, key, trace_id, idempotency_key, body_sha256, merchant_id, ts, verdict, "
    "subject, sealed)"
)
METER = "meter(ts, key_id, merchant_id, line, decision_id)"
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    work: EntryRows | Callable[..., Any]
    alone: bool = False
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: Exception | None = None


class Writer:
    """Owns the writing connection.

    Args:
        path: A file made by ``schema.prepare``.
        indexes: The in-memory part of the history, brought up to date after each commit.
        secrets: Keys that reports are sealed and tree heads are signed with.
        reload: Reads the indexes anew, for orders that another process has erased.

    Raises:
        StorageUnavailable: If the file cannot be opened, was sealed under another key, or its log does not
            fit the signed head.
    """

    def __init__(
        self, path: Path, indexes: IndexedHistory, secrets: Secrets, reload: Callable[[apsw.Connection], None]
    ) -> None:
        self._vault, self.log = Vault(secrets.wrapping_key), Log(secrets.signer)
        with storage_errors(f"cannot open {path} for writing"):
            self._connection = connect(path, write=True)
            try:
                self._vault.check(self._connection)
                self.log.refresh(self._connection)
            except StorageUnavailable:
                self._connection.close()
                raise
        self._indexes, self._reload = indexes, reload
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

    def alone(self, work: Callable[[apsw.Connection], T]) -> Future[T]:
        """Queue work that no transaction may surround, such as VACUUM."""
        return self._put(_Job(work, alone=True))

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
        for batch in self._batches():
            for alone, jobs in groupby(batch, key=attrgetter("alone")):
                if alone:
                    self._do_alone(jobs)
                else:
                    self._commit(list(jobs))
        self._connection.close()

    def _do_alone(self, jobs: Iterable[_Job]) -> None:
        for job in jobs:
            assert callable(job.work)
            try:
                result = job.work(self._connection)
            except Exception as error:  # the thread must outlive it, as it does a batch
                job.future.set_exception(_told(error))
            else:
                job.future.set_result(result)

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
            if self.log.refresh(self._connection):
                self._reload(self._connection)
            self._apply(jobs, after)
            self.log.sign(self._connection)
            self._connection.execute("COMMIT")
            self.log.committed()
        except Exception as error:  # the thread must outlive whatever goes wrong in one batch
            self._roll_back()
            for job in jobs:
                job.future.set_exception(_told(error))
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
            entries, done, mark = [], len(after), self.log.mark()
            try:
                with self._connection:
                    job.result = job.work(self._connection, after)
            except Exception as error:
                # Its savepoint takes back what it wrote, so decisions beside it are committed all the same;
                # unless SQLite has ended the whole transaction, as it does on a full disk.
                if not self._connection.in_transaction:
                    raise
                job.error = _told(error)
                self.log.back_to(mark)
                del after[done:]
        self._write(entries, after)

    def _write(self, jobs: Sequence[_Job], after: After) -> None:
        fresh = self._insert_decisions(jobs)
        if not fresh:
            return
        first = set(write_orders(self._connection, fresh, self._indexes, after))
        insert(self._connection, OUTBOX, [decision_event(r, first=r in first) for r in fresh])
        insert(self._connection, METER, [r.meter for r in fresh])
        open_held([r.held for r in fresh if r.held is not None], self._connection)

    def _insert_decisions(self, jobs: Sequence[_Job]) -> list[EntryRows]:
        """Rows of the decisions that are new, sealed and logged; the others' jobs end in Conflict."""
        rows = [job.work for job in jobs if isinstance(job.work, EntryRows)]
        if not rows:
            return []
        values = list(self._sealed(rows))
        written = {seq for (seq,) in insert_new(self._connection, DECISION_COLUMNS, values, "seq")}
        fresh = {}
        for job, row, (seq, *_) in zip(jobs, rows, values, strict=True):
            if seq in written:
                fresh[seq] = row
            else:
                job.error = Conflict("a decision under this idempotency key is on record")
        self._close_gaps(fresh)
        self.log.append([row.leaf for row in fresh.values()], self._connection)
        return list(fresh.values())

    def _sealed(self, rows: Sequence[EntryRows]) -> Iterator[tuple[Any, ...]]:
        ciphers = self._vault.ciphers([row.subject for row in rows], self._connection)
        for seq, row in enumerate(rows, self.log.size):
            yield seq, *row.decision, self._vault.seal(ciphers[row.subject], row.plain, row.decision)

    def _close_gaps(self, numbers: Iterable[int]) -> None:
        """A decision's number is its leaf; those that were refused leave none out."""
        for leaf, number in enumerate(numbers, self.log.size):
            if leaf != number:
                self._connection.execute("UPDATE decisions SET seq=? WHERE seq=?", (leaf, number))


def _told(error: Exception) -> Exception:
    return error if isinstance(error, RiskgraphError) else unavailable("nothing was committed", error)
