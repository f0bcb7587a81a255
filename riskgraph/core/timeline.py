"""Values in order of time, of which a window is read."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import MutableSequence
from typing import Generic, TypeVar

T = TypeVar("T")
_PRUNE_ABOVE = 64


class Timeline(Generic[T]):
    """Values sorted by time in epoch seconds; of equal times the one added last comes last.

    Args:
        values: An empty sequence to keep them in; an array holds numbers side by side, a list by default.
    """

    __slots__ = ("times", "values")

    def __init__(self, values: MutableSequence[T] | None = None) -> None:
        self.times: array[float] = array("d")
        self.values: MutableSequence[T] = [] if values is None else values

    def add(self, at: float, value: T) -> None:
        """Put a value in its place; most come in order."""
        if not self.times or self.times[-1] <= at:
            self.times.append(at)
            self.values.append(value)
            return
        place = bisect_right(self.times, at)
        self.times.insert(place, at)
        self.values.insert(place, value)

    def within(
        self, since: float, before: float, without: tuple[float, T] | None = None, newest: int | None = None
    ) -> list[T]:
        """The values of ``since <= t < before``, oldest first.

        Args:
            since: Epoch seconds, as is ``before``.
            before: The end, itself outside.
            without: ``(time, value)`` of one that is left out.
            newest: How many to return at most; None for all.
        """
        end = len(self.times)
        if end and self.times[-1] >= before:
            end = bisect_left(self.times, before)
        start = bisect_left(self.times, since, 0, end)
        if newest is not None:
            start = max(start, end - newest - 1)
        rows = list(self.values[start:end])
        if without is not None:
            at, value = without
            first, last = bisect_left(self.times, at, start, end), bisect_right(self.times, at, start, end)
            if value in self.values[first:last]:
                del rows[self.values.index(value, first, last) - start]
        return rows if newest is None else rows[-newest:]

    def forget(self, before: float) -> None:
        """Drop what is older, when that is at least half."""
        if len(self.times) > _PRUNE_ABOVE and self.times[len(self.times) // 2] < before:
            cut = bisect_left(self.times, before)
            del self.times[:cut], self.values[:cut]
