"""The seed's case: an order far from every usual address whose device gave no position, three ways."""

from __future__ import annotations

import copy
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.eval.worlds.exporter import to_request
from riskgraph.eval.worlds.ndjson import Body
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.rows import python_rows, wire_values

FAR_UNCONFIRMED = "far_unconfirmed"
FAR_REFUSED = "far_refused"
NEAR_CONFIRMED = "near_confirmed"
FAR_KM = 200.0
_LOCATION_NODES = ("B085", "B108", "B109")
Row = dict[str, Any]


@dataclass(frozen=True)
class SeedCase:
    """One order of the world as it is, with the position refused, and sent home with a position.

    Attributes:
        order_id: The order's own id; the other two carry it with a suffix.
        requests: ``far_unconfirmed`` (the order itself), ``far_refused`` (the same order, permission
            denied), ``near_confirmed`` (the same order to the usual address, position given). All
            three carry the same time, so that none is part of another's history.
    """

    order_id: str
    requests: dict[str, Body]


def km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (lat, lon) in degrees."""
    la, lb = math.radians(a[0]), math.radians(b[0])
    half = (
        math.sin((lb - la) / 2) ** 2
        + math.cos(la) * math.cos(lb) * math.sin(math.radians(b[1] - a[1]) / 2) ** 2
    )
    return 12_742.0 * math.asin(math.sqrt(half))


def seed_cases(world: World, since: float) -> Iterator[SeedCase]:
    """Every order since a time that was sent far while the asked device gave no position.

    No address to which the account has ordered twice (without such, its newest) lies within 200 km.
    Nothing of the order is changed in ``far_unconfirmed``.

    Args:
        world: A world with delivery coordinates.
        since: Epoch seconds UTC.
    """
    earlier: dict[str, list[Row]] = defaultdict(list)
    kinds = world.manifest["entities"]
    for table in world.parts():
        for row, signals in zip(python_rows(table), wire_values(table, catalog().nodes), strict=True):
            account = row["account"]
            if account is None or row["ship_lat"] is None or row["address"] is None:
                continue
            if row["placed_at"].timestamp() >= since and signals.get("B085") == "unavailable":
                home = _home(earlier[account], row)
                if home is not None:
                    yield _case(to_request(row, signals, kinds), home)
            # After the look: an order is no part of its own past.
            earlier[account].append(row)


def _home(earlier: list[Row], row: Row) -> Row | None:
    """The newest earlier order to the commonest address, if every frequent one lies far (as in B110)."""
    if not earlier:
        return None
    visits = Counter(r["address"] for r in earlier)
    frequent = [r for r in earlier if visits[r["address"]] >= 2] or earlier[-1:]
    here = (row["ship_lat"], row["ship_lon"])
    if min(km((r["ship_lat"], r["ship_lon"]), here) for r in frequent) < FAR_KM:
        return None
    return max(reversed(frequent), key=lambda r: visits[r["address"]])


def _case(far: Body, home: Row) -> SeedCase:
    name = far["order_id"]
    refused, near = copy.deepcopy(far), copy.deepcopy(far)
    refused["order_id"], near["order_id"] = f"{name}-refused", f"{name}-near"
    refused["consent"]["purposes"]["location"] = False
    for node in _LOCATION_NODES:
        # A refusal is an absence: nothing is sent, the door records it from the consent.
        refused["signals"].pop(node, None)
        refused.get("absent", {}).pop(node, None)
    near["ship_to"] = {"region": home["ship_region"], "lat": home["ship_lat"], "lon": home["ship_lon"]}
    near["entities"]["address"] = home["address"]
    # Home means to oneself; everything else of the order stays as it is.
    near["recipient"] = "same"
    near["signals"]["B085"] = "granted"
    for node in ("B108", "B109"):
        near.get("absent", {}).pop(node, None)
        # Sent home, the order is near its network and its device again.
        near["signals"][node] = "km0"
    return SeedCase(name, {FAR_UNCONFIRMED: far, FAR_REFUSED: refused, NEAR_CONFIRMED: near})
