"""Logistics numbers of parcels: sound, left blank, of a wrong format, or used before.

No column of an order or outcome holds a number, so they lie in the oracle; what shows is what follows from
them: a delivery that is never reported, or one that comes too soon, and claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from riskgraph.eval.worlds.config import WorldConfig, order_ids
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.streams import Bools, Ints, pick, stream
from riskgraph.eval.worlds.writer import spans

if TYPE_CHECKING:
    from riskgraph.eval.worlds.visits import Visits

FLAWS = ("none", "blank", "format", "reused")
BLANK, FORMAT, REUSED = 1, 2, 3
# Honest parcels without a scan, and numbers typed wrong at the counter.
_MISHAPS = (0.992, 0.004, 0.004)
_CARRIERS = ("SF", "YT", "ZT", "JD")
# Numbers that a gang has and uses again and again.
RANGE = 12


def mishaps(config: WorldConfig, parcel: Ints, honest: Bools) -> Ints:
    """Flaws of all parcels: those that gangs chose, and a few honest ones where there are sellers."""
    if not config.sellers:
        return parcel
    drawn = pick(stream(config.seed, "mishaps"), _MISHAPS, len(parcel))
    return np.where(honest, drawn, parcel).astype(np.int64)


def parcel_tables(config: WorldConfig, visits: Visits) -> Iterator[Any]:
    """Tables of ``oracle/parcels.parquet``: order_id, number that was entered (or empty), flaw."""
    rng = stream(config.seed, "numbers")
    n = len(visits)
    serial, carrier = rng.permutation(n) + 10**9 * (1 + config.seed % 8), rng.integers(0, len(_CARRIERS), n)
    again = (visits["gang"] + 1) * 1000 + rng.integers(0, RANGE, n)
    for start, stop in spans(n):
        flaws = visits["parcel"][start:stop].tolist()
        columns = (values[start:stop].tolist() for values in (carrier, serial, again))
        texts = [_number(*row) for row in zip(flaws, *columns, strict=True)]
        words = [FLAWS[code] for code in flaws]
        yield arrow().table(
            {"order_id": order_ids(config, range(start, stop)), "number": texts, "flaw": words}
        )


def _number(flaw: int, code: int, number: int, old: int) -> str:
    sound = f"{_CARRIERS[code]}{number:013d}"
    # A digit too few, as in a number that was made up or mistyped.
    return (sound, "", sound[:-2], f"{_CARRIERS[old % len(_CARRIERS)]}{old:013d}")[flaw]
