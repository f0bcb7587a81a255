"""Orders as arrays: what a world hands to the sandbox and to backtests."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

NODE_PURPOSES = ("behavior", "motion", "location", "device")


@dataclass(frozen=True)
class OrderTable:
    """N orders in time order, columns as arrays of length N.

    Attributes:
        order_id: Unique ids (object array of str).
        placed_at: int64 microseconds since the epoch, UTC.
        components: float32[N, 259], NaN where absent (contracts, section 1).
        states: uint8[N, 137], see ``core.subgraph.State``.
        availability: Availability class of each order, for instance ``pre_auth/front_end``.
        account, device, card, address: int64 codes of the hashed entities, -1 where there is none.
        label: int8 as known at ``known_at``: 1 fraud, 0 clean, -1 unlabelled.
        training_consent: bool, purpose ``model_training`` granted.
        jurisdiction: int8, place in ``core.order.JURISDICTIONS``.
        purposes: int8[N, 4], each of ``NODE_PURPOSES``: 1 granted, 0 refused, -1 never asked.
        objected: bool, the shopper objected to the use of the order (GDPR Art. 21; PIPL Art. 44).

    The only text is ``order_id`` and the words of ``availability``; everything else is a number.
    """

    order_id: NDArray[np.object_]
    placed_at: NDArray[np.int64]
    components: NDArray[np.float32]
    states: NDArray[np.uint8]
    availability: NDArray[np.object_]
    account: NDArray[np.int64]
    device: NDArray[np.int64]
    card: NDArray[np.int64]
    address: NDArray[np.int64]
    label: NDArray[np.int8]
    training_consent: NDArray[np.bool_]
    jurisdiction: NDArray[np.int8]
    purposes: NDArray[np.int8]
    objected: NDArray[np.bool_]

    def __post_init__(self) -> None:
        sizes = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"columns differ in length: {sizes}")

    def __len__(self) -> int:
        return len(self.order_id)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> OrderTable:
        """The given rows, as a mask or as indexes."""
        return OrderTable(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def let_go(*columns: NDArray[Any]) -> None:
    """Drop from memory what was read of columns that lie in a file (``numpy.memmap``); others stay.

    They can be read as before. Pages of a file count as memory of the process while they are mapped, so
    whoever reads a large history part by part lets go of each part.
    """
    for column in columns:
        pages = getattr(column, "_mmap", None)
        if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)
