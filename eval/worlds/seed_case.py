"""The seed's case: an honest account's usual order, far or near, position unconfirmed, refused or given."""

from __future__ import annotations

import copy
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import NotFound
from riskgraph.core.outcome import label_at
from riskgraph.eval.worlds import geo
from riskgraph.eval.worlds.exporter import Body, to_request
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.rows import local_time, python_rows, wire_values

FAR_UNCONFIRMED = "far_unconfirmed"
FAR_REFUSED = "far_refused"
NEAR_CONFIRMED = "near_confirmed"
_DELIVERY_NODES = ("B117", "B118", "B122")
_LOCATION_NODES = ("B085", "B108", "B109")
_FAR_KM = 300.0


@dataclass(frozen=True)
class Usual:
    """An account's newest order to its usual address, and every place that it ever ordered to."""

    row: dict[str, Any]
    signals: dict[str, Any]
    places: list[tuple[float, float]]


def km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (lat, lon) in degrees."""
    la, lb = math.radians(a[0]), math.radians(b[0])
    half = (
        math.sin((lb - la) / 2) ** 2
        + math.cos(la) * math.cos(lb) * math.sin(math.radians(b[1] - a[1]) / 2) ** 2
    )
    return 12_742.0 * math.asin(math.sqrt(half))


def _suits(row: dict[str, Any], signals: dict[str, Any]) -> bool:
    return (
        signals.get("B085") == "granted"
        and row["recipient"] == "same"
        and not row["coupons"]
        and row["ship_lat"] is not None
        and row["address"] is not None
        and signals.get("B064", 0) == 0
        and 8 <= local_time(row).hour < 22
    )


def usual_order(world: World) -> Usual:
    """An account without any dispute whose orders go to one home, seen at the front end with its position.

    Raises:
        NotFound: If the world has no such account.
    """
    outcomes: dict[str, list[Any]] = defaultdict(list)
    for outcome in world.outcomes():
        outcomes[outcome.order_key].append(outcome)
    rows: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = defaultdict(list)
    for table in world.parts():
        for row, signals in zip(python_rows(table), wire_values(table, catalog().nodes), strict=True):
            if row["account"] is not None:
                rows[row["account"]].append((row, signals))
    best: tuple[int, str] | None = None
    for account, orders in rows.items():
        opened, newest = orders[-1][0]["account_created_at"], orders[-1][0]["placed_at"]
        if not 5 <= len(orders) <= 12 or opened is None or newest - opened < timedelta(days=365):
            continue
        keys = [f"{r['merchant_id']}|{r['channel_code']}|{r['order_id']}" for r, _ in orders]
        if any(label_at(outcomes[k], math.inf) != 0 for k in keys):
            continue
        home, visits = Counter(r["address"] for r, _ in orders).most_common(1)[0]
        near = sum(_suits(r, s) and r["address"] == home for r, s in orders)
        # Prefer accounts that nearly always ship home and were often seen there; ties by name.
        if near and (best is None or (2 * visits - len(orders) + near, account) > best):
            best = (2 * visits - len(orders) + near, account)
    if best is None:
        raise NotFound("the world has no honest account with a confirmed position at its usual address")
    orders = rows[best[1]]
    home = Counter(r["address"] for r, _ in orders).most_common(1)[0][0]
    row, signals = next((r, s) for r, s in reversed(orders) if r["address"] == home and _suits(r, s))
    places = [(r["ship_lat"], r["ship_lon"]) for r, _ in orders if r["ship_lat"] is not None]
    return Usual(row, signals, places)


def _last_moment(world: World) -> Any:
    last = None
    for table in world.parts(["placed_at", "order_id"]):
        last = table["placed_at"].to_pylist()[-1]
    return last


def _far_place(usual: Usual) -> int:
    """A city of the same market, far from every place of the account; the nearest such one."""
    eu = usual.row["jurisdiction"] == "EU"
    home = (usual.row["ship_lat"], usual.row["ship_lon"])
    found = []
    for i in range(len(geo.CITY_NAME)):
        place = (float(geo.LAT[i]), float(geo.LON[i]))
        if geo.IS_EU[i] == eu and min(km(place, p) for p in usual.places) > _FAR_KM:
            found.append((km(place, home), i))
    if not found:
        raise NotFound("no place is far from every address of the account")
    return min(found)[1]


def _far(body: Body, usual: Usual) -> Body:
    """The same order to a new address far away; the device was asked and gave no position."""
    city = _far_place(usual)
    place = (float(geo.LAT[city]), float(geo.LON[city]))
    far = copy.deepcopy(body)
    far["ship_to"] = {"region": geo.REGION_CODE[city], "lat": place[0], "lon": place[1]}
    text = f"{geo.PROVINCE[city]}{geo.CITY_NAME[city]}新城区和平路18号3栋502室"
    if geo.IS_EU[city]:
        text = f"Station Road 18, 10001 {geo.CITY_NAME[city]}"
    far["entities"]["address"] = text if "address" not in far["opaque"] else "simulated-far-address"
    for node in (*_DELIVERY_NODES, "B109"):
        far["signals"].pop(node, None)
        far["absent"][node] = "not_applicable"
    far["signals"]["B085"] = "unavailable"
    if "B108" in far["signals"]:
        away = km(place, (usual.row["ship_lat"], usual.row["ship_lon"]))
        far["signals"]["B108"] = "km1000" if away >= 1000 else "km200"
    return far


def _refused(far: Body) -> Body:
    refused = copy.deepcopy(far)
    refused["consent"]["purposes"]["location"] = False
    for node in _LOCATION_NODES:
        refused["signals"].pop(node, None)
        refused["absent"][node] = "refused"
    return refused


def seed_case(world: World) -> dict[str, Body]:
    """Three decision requests placed right after the world's last order.

    The account, goods, payment and all other behavior are those of the account's own usual order;
    all three carry the same time, so that none is part of another's history.

    Returns:
        ``far_unconfirmed``: a new address over 200 km away, the position was permitted but not given;
        ``far_refused``: the same order with the permission denied;
        ``near_confirmed``: the same goods to the usual address with the position given.

    Raises:
        NotFound: If the world has no suitable account.
    """
    usual = usual_order(world)
    row = dict(usual.row)
    base = local_time(row)
    last = _last_moment(world).astimezone(base.tzinfo)
    placed = last.replace(hour=base.hour, minute=base.minute, second=base.second)
    row["placed_at"] = placed if placed > last else placed + timedelta(days=1)
    row["items"] = [{**item, "released_at": None} for item in row["items"] or ()]
    near = to_request(row, usual.signals, world.manifest["entities"])
    far = _far(near, usual)
    cases = {FAR_UNCONFIRMED: far, FAR_REFUSED: _refused(far), NEAR_CONFIRMED: near}
    for name, body in cases.items():
        body["order_id"] = f"seed-case-{name.replace('_', '-')}"
    return cases
