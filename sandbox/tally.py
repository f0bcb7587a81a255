"""Counts that add up: what one chunk of rows tells, and what all of them tell together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tally:
    """How often each key occurs.

    Attributes:
        key: int64[n], rising, each once.
        number: int64[n], how often.
    """

    key: Ints
    number: Ints

    @classmethod
    def of(cls, keys: NDArray[np.integer]) -> Tally:
        """Count keys."""
        key, number = np.unique(keys, return_counts=True)
        return cls(key.astype(np.int64), number.astype(np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Tally]) -> Tally:
        """The sum of tallies, in any order."""
        key, place = np.unique(np.concatenate([part.key for part in parts]), return_inverse=True)
        number = np.zeros(len(key), dtype=np.int64)
        np.add.at(number, place, np.concatenate([part.number for part in parts]))
        return cls(key, number)

    def between(self, low: int, high: int) -> Tally:
        """The keys of ``[low, high)``, less ``low``."""
        part = slice(*np.searchsorted(self.key, (low, high)))
        return Tally(self.key[part] - low, self.number[part])
