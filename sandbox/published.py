"""Counts of orders as manifest, audit record and certificate may tell them.

A count of the intake is rounded down to a multiple of k, and below k (none at all included) it is the
string ``<50``, with the k of the release. Totals are not counted: they are added up from what is told, so
that no total gives away a part of it. Exact are counts of single groups only, as R1 has them; shares are
rounded up to a twentieth, since an exact one is a fraction of one group's orders.

What holds: whoever reads all of these counts, and R1, knows each count of the intake to k orders and no
closer, however few persons stand behind it. What does not: who knows all orders of a count but one can
tell whether the last one crosses a multiple of k; and a name stands beside ``<50`` whether or not an order
is behind it, but the grounds of a record name the jurisdictions that gave any.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

Told = int | str


def told(count: int, k: int) -> Told:
    """A count as it may be told: rounded down to a multiple of k, ``<50`` below k."""
    return count - count % k if count >= k else f"<{k}"


def told_share(share: float) -> float:
    """A share as it may be told: rounded up to a multiple of 0.05, as the bounds on shares are."""
    return math.ceil(share * 20 - 1e-9) / 20


def least(count: Told) -> int:
    """What a told count is at least."""
    return 0 if isinstance(count, str) else count


def total(counts: Iterable[Told]) -> int:
    """What told counts add up to, at least."""
    return sum(map(least, counts))


def shares(counts: Mapping[str, int], whole: int, k: int) -> dict[str, Told]:
    """Parts of a whole that is itself told: the largest part is what the others leave of it.

    Were it counted too, whole and largest part would give a small one by subtraction.
    """
    largest = max(counts, key=lambda name: counts[name])
    out = {name: told(count, k) for name, count in counts.items()}
    rest = whole - total(value for name, value in out.items() if name != largest)
    return {**out, largest: told(max(rest, 0), k)}
