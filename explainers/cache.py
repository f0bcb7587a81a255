"""Rendered pages and PDFs, kept for a while in the process that made them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

LIMIT_BYTES = 32 * 1024 * 1024
# Who reads it, under which law, in which language and form, of which record, profile and standing.
Key = tuple[str, ...]


class RenderedReports:
    """The reports read last, up to a number of bytes; safe to use from many threads.

    Whoever asks has read the record first, and its digest is part of the key: what was erased is not found
    and what was corrected has another key, so neither is ever answered from here. :meth:`drop` and
    :meth:`clear` take them out of memory too.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit, self._bytes, self._drops = limit_bytes, 0, 0
        self._kept: OrderedDict[tuple[str, Key], bytes] = OrderedDict()
        self._lock = Lock()

    def rendered(self, decision_id: str, key: Key, make: Callable[[], bytes]) -> bytes:
        """The report under a key; made now if it is not kept."""
        with self._lock:
            found = self._kept.get((decision_id, key))
            drops = self._drops
            if found is not None:
                self._kept.move_to_end((decision_id, key))
                return found
        made = make()
        with self._lock:
            # What was dropped while it was being made must not come back.
            if drops == self._drops:
                self._keep(decision_id, key, made)
        return made

    def drop(self, decision_id: str) -> None:
        """Forget all reports of a decision: it was erased, corrected or is gone."""
        with self._lock:
            self._drops += 1
            for name in [name for name in self._kept if name[0] == decision_id]:
                self._bytes -= len(self._kept.pop(name))

    def clear(self) -> None:
        """Forget all reports: somebody was erased."""
        with self._lock:
            self._drops += 1
            self._kept.clear()
            self._bytes = 0

    def _keep(self, decision_id: str, key: Key, made: bytes) -> None:
        self._bytes += len(made) - len(self._kept.pop((decision_id, key), b""))
        self._kept[decision_id, key] = made
        while self._bytes > self._limit:
            self._bytes -= len(self._kept.popitem(last=False)[1])
