"""Values in order of time, of which a window is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
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

    def add(self, at: float, value: T) -> int:
        """Put a value in its place, which is returned; most come in order."""
        place = len(self.times)
        if not place or self.times[-1] <= at:
            self.times.append(at)
            self.values.append(value)
            return place
        place = bisect_right(self.times, at)
        self.times.insert(place, at)
        self.values.insert(place, value)
        return place

    def span(self, since: float, before: float) -> tuple[int, int]:
        """Where the values of ``since <= t < before`` begin and end."""
        end = len(self.times)
        if end and self.times[-1] >= before:
            end = bisect_left(self.times, before)
        return bisect_left(self.times, since, 0, end), end

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
        start, end = self.span(since, before)
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
            self.drop(bisect_left(self.times, before))

    def drop(self, count: int) -> None:
        """Drop the oldest."""
        del self.times[:count], self.values[:count]


class Window(Timeline[T], ABC):
    """A timeline and what is counted of one stretch of it; moving that costs only what enters or leaves.

    Most orders come in order of time, so the stretch has hardly moved when it is asked for again.
    """

    __slots__ = ("_high", "_low")

    def __init__(self, values: MutableSequence[T] | None = None) -> None:
        super().__init__(values)
        self._low = self._high = 0

    @abstractmethod
    def enter(self, value: T) -> None:
        """Count a value in."""

    @abstractmethod
    def leave(self, value: T) -> None:
        """Count a value out that was counted in."""

    def add(self, at: float, value: T) -> int:
        """See :class:`Timeline`."""
        place = super().add(at, value)
        self._low += place < self._low
        if place < self._high:
            self._high += 1
            if place >= self._low:
                self.enter(value)
        return place

    def drop(self, count: int) -> None:
        """See :class:`Timeline`."""
        for value in self.values[self._low : min(count, self._high)]:
            self.leave(value)
        super().drop(count)
        self._low, self._high = max(0, self._low - count), max(0, self._high - count)

    def cover(self, since: float, before: float, newest: int | None = None) -> None:
        """Move to ``since <= t < before``, or to the newest of that."""
        values, was_low, was_high = self.values, self._low, self._high
        low, high = self.span(since, before)
        if newest is not None:
            low = max(low, high - newest)
        for value in (*values[was_low : min(low, was_high)], *values[max(high, was_low) : was_high]):
            self.leave(value)
        for value in (*values[low : min(was_low, high)], *values[max(was_high, low) : high]):
            self.enter(value)
        self._low, self._high = low, high
