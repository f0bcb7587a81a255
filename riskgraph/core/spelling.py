"""One door, many spellings: addresses whose MinHash bands are mostly equal (B112, B132).

Two addresses are alike in as much as their 16 keyed bands are equal, band by band. B132 asks for a
share of 0.8, which is 13 bands. Two lists that differ in at most three of 16 places agree wholly in at
least one of four parts of four places, so a lookup by parts finds every such pair (A. Broder 1997 for
MinHash; the rest is the pigeonhole principle).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import eq
from struct import Struct
from threading import Lock

import numpy as np
import numpy.typing as npt

from riskgraph.core.door import BAND_COUNT
from riskgraph.core.order import Order
from riskgraph.core.past import DAY_S, PastOrder
from riskgraph.core.timeline import Timeline

MIN_EQUAL = 13
_PARTS = BAND_COUNT - MIN_EQUAL + 1
_WINDOW_S = 180 * DAY_S
_FEWEST_ROWS = 16
# A large odd number; that two parts meet by accident costs one comparison and no wrong answer.
_MIX = 0x9E37_79B9_7F4A_7C15
_PACKED, _PAIRS = Struct(f"<{BAND_COUNT}I"), Struct(f"<{2 * _PARTS}Q")
_BAND = np.dtype("<u4")
_Bands = tuple[int, ...]


def alike(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether at least 0.8 of the bands are equal."""
    equal: int = sum(map(eq, a, b))
    return equal >= MIN_EQUAL


def parts(bands: Sequence[int]) -> list[int]:
    """Four 63-bit numbers, of which alike addresses have at least one in common."""
    pairs = _PAIRS.unpack(_PACKED.pack(*bands))
    return [(pairs[i] * _MIX + pairs[i + 1] + i) & 0x7FFF_FFFF_FFFF_FFFF for i in range(0, 2 * _PARTS, 2)]


class Spellings:
    """Every address with bands, and which others are alike."""

    def __init__(self) -> None:
        self._alike: dict[bytes, list[bytes]] = {}
        self._by_part: dict[int, list[tuple[bytes, _Bands]]] = {}

    def add(self, address: bytes | None, bands: _Bands) -> None:
        """Record an address; the bands that came first stand."""
        if address is None or not bands or address in self._alike:
            return
        near = self._alike[address] = self.find(address, bands)
        for other in near:
            self._alike[other].append(address)
        for part in parts(bands):
            self._by_part.setdefault(part, []).append((address, bands))

    def find(self, address: bytes, bands: _Bands) -> list[bytes]:
        """Other addresses that are alike."""
        if not bands:
            return []
        known = self._alike.get(address)
        if known is not None:
            return known
        rows = [row for part in parts(bands) for row in self._by_part.get(part, ())]
        return unique_alike(address, bands, rows)


def unique_alike(
    address: bytes, bands: Sequence[int], rows: Iterable[tuple[bytes, Sequence[int]]]
) -> list[bytes]:
    """Those of ``(address, bands)`` that are alike, each other address once."""
    return [other for other, theirs in dict(rows).items() if other != address and alike(bands, theirs)]


class _Cell:
    """The addresses of one delivery cell: bands in columns, and by whom each was used when."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.uses: list[Timeline[bytes | None]] = []
        self.bands: npt.NDArray[np.uint32] = np.empty((BAND_COUNT, _FEWEST_ROWS), np.uint32)

    def add(self, past: PastOrder, address: bytes, forget: float) -> None:
        row = self.rows.get(address)
        if row is None:
            if len(self.uses) == self.bands.shape[1]:
                self._make_room(forget)
            row = self.rows[address] = len(self.uses)
            self.uses.append(Timeline())
            self.bands[:, row] = past.bands
        self.uses[row].add(past.at, past.account)
        self.uses[row].forget(forget)

    def _make_room(self, forget: float) -> None:
        """Drop addresses that no window reaches any more; double the room if they were few."""
        kept = [(a, row) for a, row in self.rows.items() if self.uses[row].times[-1] >= forget]
        bands = self.bands[:, [row for _, row in kept]]
        self.uses = [self.uses[row] for _, row in kept]
        self.rows = {address: row for row, (address, _) in enumerate(kept)}
        self.bands = np.empty((BAND_COUNT, max(_FEWEST_ROWS, 2 * len(kept))), np.uint32)
        self.bands[:, : len(kept)] = bands

    def most_equal(self, order: Order, own: PastOrder | None) -> int:
        """The most bands that an address in use by another account has in common with the order's."""
        who, at = order.entities, order.placed_at
        bands = np.frombuffer(_PACKED.pack(*who.bands), _BAND)[:, None]
        equal = np.equal(self.bands[:, : len(self.uses)], bands)
        counts = np.add.reduce(equal.view(np.uint8), axis=0, dtype=np.uint8)
        if who.address in self.rows:
            counts[self.rows[who.address]] = 0
        here = own is not None and own.cell == order.cell and len(own.bands) == BAND_COUNT
        mine = self.rows.get(own.address) if own is not None and own.address is not None and here else None
        without = (own.at, own.account) if own is not None else None
        while True:
            row = int(counts.argmax())
            most = int(counts[row])
            if not most:
                return 0
            users = self.uses[row].within(at - _WINDOW_S, at, without if row == mine else None)
            if any(user is not None and user != who.account for user in reversed(users)):
                return most
            counts[row] = 0


class Doors:
    """Addresses in use, by delivery cell (B112); safe to share between threads.

    Args:
        keep_s: How far behind the newest order a window may still end, in seconds; None keeps
            everything.
    """

    def __init__(self, keep_s: float | None = None) -> None:
        self._keep_s = keep_s
        self._lock = Lock()
        self._cells: defaultdict[tuple[int, int], _Cell] = defaultdict(_Cell)

    def add(self, past: PastOrder) -> None:
        """Record an order; one without cell, address or bands tells nothing."""
        if past.cell is None or past.address is None or len(past.bands) != BAND_COUNT:
            return
        forget = float("-inf") if self._keep_s is None else past.at - self._keep_s - _WINDOW_S
        with self._lock:
            self._cells[past.cell].add(past, past.address, forget)

    def similarity(self, order: Order, own: PastOrder | None) -> float:
        """The largest share of equal bands with another address of another account in the cell, 180 d."""
        if order.cell is None:
            return 0.0
        with self._lock:
            cell = self._cells.get(order.cell)
            return cell.most_equal(order, own) / BAND_COUNT if cell is not None else 0.0
