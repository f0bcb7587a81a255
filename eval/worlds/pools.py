"""Growing tables of people and things: accounts, devices, cards, addresses, phones, networks, visits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.worlds.streams import Ints


class Pool:
    """A table that grows by chunks; a row's number is its identity.

    Args:
        columns: Name to the value of a row that does not set the column.
    """

    def __init__(self, **columns: Any) -> None:
        self.defaults = columns
        self.chunks: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
        self.count = 0

    def add(self, n: int, **values: Any) -> Ints:
        """Add ``n`` rows; scalars are repeated.

        Returns:
            int64[n], the new rows' numbers.
        """
        for name, default in self.defaults.items():
            value = values.pop(name, default)
            dtype = np.asarray(default).dtype
            self.chunks[name].append(np.broadcast_to(np.asarray(value, dtype=dtype), (n,)).copy())
        # A misspelt column would else be dropped and its default taken, without a sign.
        if values:
            raise KeyError(f"no such columns: {', '.join(values)}")
        self.count += n
        return np.arange(self.count - n, self.count, dtype=np.int64)

    def __getitem__(self, name: str) -> NDArray[Any]:
        parts = self.chunks[name]
        # Joined when first read and kept: writers add chunks, readers ask again and again.
        if len(parts) != 1:
            empty = np.zeros(0, dtype=np.asarray(self.defaults[name]).dtype)
            parts[:] = [np.concatenate(parts) if parts else empty]
        return parts[0]

    def sort(self, order: Ints) -> None:
        """Put the rows in another order, column by column, so that never two whole tables exist."""
        for name, parts in self.chunks.items():
            parts[:] = [self[name][order]]


def _accounts() -> Pool:
    return Pool(
        created=0.0, country=0, home_city=0, profile=0.5, credential=np.nan, invited=False, loop=False
    )


def _devices() -> Pool:
    return Pool(
        kind=0, position_fails=0.08, has_hints=True, ua_lies=False, own_trace=False, hz=125.0, virtual=False
    )


def _addresses() -> Pool:
    return Pool(city=0, lat=0.0, lon=0.0, street=0, house=1, unit=0, variant=0, kind=0)


def _visits() -> Pool:
    """Columns of a visit that ends in an order; -1 stands for none (purposes: never asked).

    ``merchant`` is a seller's number, -1 leaves it to chance; ``parcel`` is an index into ``parcels.FLAWS``;
    ``city`` is where the person is, -1 for the usual place;
    ``victim`` marks orders of a gang that an honest person places, who is taken in by it.
    """
    return Pool(
        t=0.0, account=0, device=-1, card=-1, address=0, phone=0, network=-1, channel=0, style=0,
        kind=0, honest_type=0, gang=-1, camouflage=0.0, behavior=-1, motion=-1, location=-1,
        device_ok=-1, training=1, other=False, basket=0, seek_coupon=0.0, launch=-1, wallet=False,
        clean=True, modality=0, merchant=-1, parcel=0, victim=False, city=-1,
    )  # fmt: skip


@dataclass
class Cast:
    """All agents and things of one world, and the visits they make."""

    accounts: Pool = field(default_factory=_accounts)
    devices: Pool = field(default_factory=_devices)
    cards: Pool = field(default_factory=lambda: Pool(bin=622848))
    addresses: Pool = field(default_factory=_addresses)
    phones: Pool = field(default_factory=lambda: Pool(country=0, kind=0, serial=0))
    networks: Pool = field(default_factory=lambda: Pool(kind=0, city=0))
    sellers: Pool = field(
        default_factory=lambda: Pool(opened=0.0, template=-1, synthetic=False, popularity=0.0)
    )
    styles: list[NDArray[np.float64]] = field(default_factory=list)
    visits: Pool = field(default_factory=_visits)

    def add_styles(self, drivers: NDArray[np.float64]) -> Ints:
        """Register persons' habits, float64[n, drivers]; returns their numbers."""
        first = sum(len(part) for part in self.styles)
        self.styles.append(drivers)
        return np.arange(first, first + len(drivers), dtype=np.int64)
