"""Middle and spread of a few numbers, robust against those that lie far off."""

from __future__ import annotations

from collections.abc import Sequence


def median_and_mad(rows: Sequence[float]) -> tuple[float, float]:
    """Median of sorted numbers, and median absolute deviation from it, without a further sort."""
    size = len(rows)
    middle = (rows[(size - 1) // 2] + rows[size // 2]) / 2

    def nearest(count: int) -> float:
        """The farthest of the ``count`` values nearest to the median: neighbours among the sorted."""
        low, high = 0, size - count
        while low < high:
            at = (low + high) // 2
            if middle - rows[at] > rows[at + count] - middle:
                low = at + 1
            else:
                high = at
        return max(middle - rows[low], rows[low + count - 1] - middle)

    return middle, (nearest((size + 1) // 2) + nearest(size // 2 + 1)) / 2
