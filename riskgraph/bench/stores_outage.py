"""What orders get while Neo4j is down, slow or half-open: decided at a steady rate, through a proxy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import cycle
from typing import Any

import msgspec
import numpy as np

from riskgraph import bootstrap
from riskgraph.bench import Figure
from riskgraph.bench.fault_proxy import FaultProxy, Mode
from riskgraph.bench.stores_ground import KEY_ID, Ground
from riskgraph.bench.stores_server import Server
from riskgraph.pipeline import decide
from riskgraph.service import Service
from riskgraph.stores.neo4j.store import Neo4jStore

RATE_S = 40.0
LOOK_S = 0.002
READY_S = 120.0
SLOW_S = 5.0
FAULTS = {"down": Mode("refuse"), "slow": Mode("delay", seconds=SLOW_S), "half-open": Mode("half_open")}


@dataclass
class _Seen:
    """What became of the orders of one phase, and when the breaker turned, in seconds of its start."""

    before_ms: list[float] = field(default_factory=list)
    open_ms: list[float] = field(default_factory=list)
    failed: int = 0
    opened_s: float | None = None
    closed_s: float | None = None


def outage(ground: Ground) -> list[Figure]:
    """Three faults one after another, each with its end; every order is decided and committed."""
    server = Server.given()
    server.wiped()
    with FaultProxy(*server.address) as proxy:
        settings = server.at(proxy.port).settings(ground.settings, ground.folder / "outage.db", "flagged")
        service = bootstrap.open_service(settings, bootstrap.demo_profile())
        try:
            return asyncio.run(_phases(service, proxy, ground))
        finally:
            service.close()


async def _phases(service: Service, proxy: FaultProxy, ground: Ground) -> list[Figure]:
    store, whole = service.store, ground.sizes.outage_s
    assert isinstance(store, Neo4jStore)
    bodies = _bodies(ground)
    await _until(store.shares, READY_S)
    # The model, the pages of the store and the server's plans are warm after some orders.
    await _phase(service, bodies, whole / 6)
    calm = await _phase(service, bodies, whole / 2)
    seen: dict[str, _Seen] = {}
    for name, mode in FAULTS.items():
        ground.progress("outage", len(seen), len(FAULTS))
        proxy.set(mode)
        seen[name] = await _phase(service, bodies, whole if name == "down" else whole / 2)
        proxy.set(Mode())
        # The next fault begins once all is as it was.
        after = await _phase(service, bodies, READY_S, until_closed=True)
        seen[name].closed_s, seen[name].failed = after.closed_s, seen[name].failed + after.failed
    return _figures(calm, seen)


def _bodies(ground: Ground) -> Iterator[dict[str, Any]]:
    """Orders without end: a world's, under numbers of their own."""
    some = list(ground.bodies(ground.sizes.lookups))
    for number, body in enumerate(cycle(some)):
        yield body | {"order_id": f"outage-{number}", "placed_at": _now()}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())


async def _until(holds: Any, limit_s: float) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.05)


async def _phase(
    service: Service, bodies: Iterator[dict[str, Any]], seconds: float, *, until_closed: bool = False
) -> _Seen:
    """Send orders at the rate, whatever becomes of earlier ones."""
    seen, began, sent, store = _Seen(), time.perf_counter(), [], service.store
    assert isinstance(store, Neo4jStore)
    watching = asyncio.ensure_future(_watch(store, seen, began))
    for number in range(int(seconds * RATE_S)):
        await asyncio.sleep(max(0.0, began + number / RATE_S - time.perf_counter()))
        if until_closed and store.breaker.closed:
            break
        sent.append(asyncio.ensure_future(_one(service, next(bodies), seen)))
    await asyncio.gather(*sent)
    watching.cancel()
    return seen


async def _watch(store: Neo4jStore, seen: _Seen, began: float) -> None:
    while True:
        closed = store.breaker.closed
        if not closed and seen.opened_s is None:
            seen.opened_s = time.perf_counter() - began
        if closed and seen.closed_s is None:
            seen.closed_s = time.perf_counter() - began
        await asyncio.sleep(LOOK_S)


async def _one(service: Service, body: dict[str, Any], seen: _Seen) -> None:
    digest = sha256(msgspec.json.encode(body)).hexdigest()
    store, began = service.store, time.perf_counter()
    assert isinstance(store, Neo4jStore)
    asks = store.breaker.closed
    try:
        answer = await decide(body, service.line, key_id=KEY_ID, idempotency_key=digest, body_sha256=digest)
    except Exception:  # what a checkout would have got an error for
        seen.failed += 1
        return
    seen.failed += answer.decision.degraded_cause is not None
    (seen.before_ms if asks else seen.open_ms).append((time.perf_counter() - began) * 1e3)


def _figures(calm: _Seen, seen: dict[str, _Seen]) -> list[Figure]:
    usual, usual_p99 = np.quantile(calm.before_ms, [0.5, 0.99])
    during = [ms for phase in seen.values() for ms in phase.open_ms]
    orders = sum(len(phase.before_ms) + len(phase.open_ms) for phase in seen.values())
    p99 = float(np.quantile(during, 0.99))
    rate = f"{RATE_S:g} simulated orders/s, {orders:,} in all"
    added = max(float(np.median(phase.before_ms)) for phase in seen.values() if phase.before_ms) - usual
    failed = sum(phase.failed for phase in seen.values())
    opened, closed = [p.opened_s for p in seen.values()], [p.closed_s for p in seen.values()]
    told = f"once the breaker is open {p99:.1f} ms, with Neo4j {usual_p99:.1f} ms"
    before = f"before it opens, median, worst fault; with Neo4j {usual:.1f} ms"
    return [
        Figure("outage_failed", failed, "orders", f"{rate}; errors and degraded answers"),
        Figure("outage_p99_ratio", p99 / float(usual_p99), "1", told),
        Figure("outage_added_ms", added, "ms", before),
        Figure("breaker_open_ms", 1e3 * _worst(opened), "ms", _each(seen, "opened_s", 1e3)),
        Figure("breaker_close_s", _worst(closed), "s", _each(seen, "closed_s", 1.0)),
    ]


def _worst(found: Sequence[float | None]) -> float:
    return max(float("inf") if value is None else value for value in found)


def _each(seen: dict[str, _Seen], name: str, factor: float) -> str:
    found = {fault: getattr(phase, name) for fault, phase in seen.items()}
    return ", ".join(
        f"{fault} {'not' if value is None else format(factor * value, ',.4g')}"
        for fault, value in found.items()
    )


PARTS = {
    outage: ("outage_failed", "outage_p99_ratio", "outage_added_ms", "breaker_open_ms", "breaker_close_s")
}
