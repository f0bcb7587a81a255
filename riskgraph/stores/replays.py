"""Prints of histograms: whether another session has had the very counts that one brings.

A print is a keyed digest of one histogram's counts under a random mark of its session. Of each signal the
zone with most bits leaves one, since zones of a signal hold the same movements, and of these the eight with
most bits do: prints have 8 bits at least, so eight hold more than a refusal needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

REPLAY_BITS = 40.0
# Smaller histograms are equal by chance.
PRINT_BITS = 8.0
# Counts that so many sessions have had are no sign of a copy.
COMMON = 200
LEFT_AT_ONCE, LEFT_BY_FLUSHES, LEFT_IN_ALL = 8, 200, 240
# What a print takes in the file, its index included.
PRINT_BYTES = 140


@dataclass(frozen=True, slots=True)
class Print:
    """What one histogram leaves behind: ``name`` is that of its signal, ``bits`` how surprising it is."""

    digest: bytes
    name: str
    bits: float


def replayed(mark: bytes, prints: Sequence[Print], connection: apsw.Connection) -> bool:
    """Whether one other session left these prints, so many that chance does not explain it.

    Histograms of one signal in several zones hold the same movements: the largest of them speaks for all.
    """
    found: dict[bytes, dict[str, float]] = {}
    for one in prints:
        query = "SELECT mark FROM prints WHERE digest=? AND mark<>? LIMIT ?"
        others: list[Any] = connection.execute(query, (one.digest, mark, COMMON + 1)).fetchall()
        for (other,) in others if len(others) <= COMMON else ():
            names = found.setdefault(other, {})
            names[one.name] = max(names.get(one.name, 0.0), one.bits)
    return any(sum(names.values()) >= REPLAY_BITS for names in found.values())


def leave(mark: bytes, prints: Sequence[Print], room: int, at: float, connection: apsw.Connection) -> int:
    """Leave the strongest prints, as many as there is room for; returns how many are new."""
    best: dict[str, Print] = {}
    for one in prints:
        if one.name not in best or one.bits > best[one.name].bits:
            best[one.name] = one
    strongest = sorted(best.values(), key=lambda one: -one.bits)[: max(0, min(LEFT_AT_ONCE, room))]
    left = 0
    for one in strongest:
        row = (one.digest, mark, one.name, one.bits, at)
        connection.execute("INSERT OR IGNORE INTO prints VALUES(?, ?, ?, ?, ?)", row)
        left += connection.changes()
    return left


def forget_oldest(most_bytes: int, connection: apsw.Connection) -> int:
    """Take out the oldest prints beyond what may stay; returns how many."""
    newest = "SELECT at FROM prints ORDER BY at DESC LIMIT 1 OFFSET ?"
    connection.execute(f"DELETE FROM prints WHERE at <= ({newest})", (most_bytes // PRINT_BYTES,))
    return connection.changes()
