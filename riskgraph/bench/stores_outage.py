"""What orders notice of a Neo4j that is down, slow or silent, at a steady rate of decisions."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from riskgraph.bench import Figure
from riskgraph.bench.fault_proxy import FaultProxy, Mode
from riskgraph.bench.stores_graph import Server, graph_of, serving, until
from riskgraph.bench.stores_ground import Ground, decide_one, frozen
from riskgraph.core.errors import CheckFailed, RiskgraphError
from riskgraph.pipeline import Line
from riskgraph.stores.neo4j.breaker import Breaker

FAULTS = {"down": Mode("refuse"), "slow": Mode("delay", seconds=5.0), "half-open": Mode("half_open")}
LOOK_S = 0.002
OPEN_LIMIT_S, CLOSE_LIMIT_S = 10.0, 120.0
# Connections are opened, and plans are made, in the first seconds.
WARM_UP_S = 5.0


@dataclass(frozen=True, slots=True)
class Shot:
    """One order: when it was due, how long it took from then, where its history was read, what went wrong."""

    due: float
    ms: float
    context: str
    wrong: str = ""


@dataclass(slots=True)
class Outage:
    """One fault, in seconds of the performance counter."""

    name: str
    onset: float
    opened: float = 0.0
    over: float = 0.0
    closed: float = 0.0


@dataclass
class Run:
    """What was seen."""

    shots: list[Shot] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)

    def between(self, since: float, before: float) -> list[Shot]:
        return [shot for shot in self.shots if since <= shot.due < before]


def outage(ground: Ground) -> list[Figure]:
    """Three faults, one after the other, under a steady rate of decisions."""
    server, sizes = Server.from_environment(), ground.sizes
    journal = ground.journal("outage")
    with graph_of(server), FaultProxy(*server.address) as proxy:
        settings = server.settings(ground.settings, journal, "flagged", proxy.port)
        with serving(settings) as (service, store):
            last = store.journal().last()
            until(lambda: store.shares() and store.feed.status.nodes >= last, "the feed's end")
            bodies = list(ground.bodies(sizes.decided + sizes.disturbed, sizes.in_outages))
            with frozen():
                run = asyncio.run(_measured(ground, service.line, store.breaker, proxy, bodies))
            last = store.journal().last()
            drained = until(lambda: store.feed.status.packed >= last, "the feed's end")
    return figures(run, ground, drained)


def figures(run: Run, ground: Ground, drained_s: float) -> list[Figure]:
    """The figures of one run; each fault counts, and the worst is told."""
    start = run.shots[0].due
    normal = run.between(start + min(WARM_UP_S, ground.sizes.normal_s / 2), run.outages[0].onset)
    usual, p50 = _quantile(normal, 0.99), _quantile(normal, 0.5)
    opened = {o.name: (o.opened - o.onset) * 1e3 for o in run.outages}
    closed = {o.name: o.closed - o.over for o in run.outages}
    p99 = {o.name: _quantile(run.between(o.opened, o.over), 0.99) for o in run.outages}
    added = {o.name: _most(run.between(o.onset, o.opened)) - p50 for o in run.outages}
    wrong = Counter(shot.wrong for shot in run.shots if shot.wrong)
    sources = Counter(s.context for o in run.outages for s in run.between(o.opened, o.over))
    sizes = ground.sizes
    note = f"{len(run.shots):,} simulated orders at {sizes.rate:g}/s, {sizes.outage_s:g} s of each fault"
    told = f"{note}; failures: {_words(wrong, '{}') or 'none'}; context in outages: {_words(sources, '{}')}; "
    told += f"the feed had the rest {drained_s:.1f} s after the end"
    return [
        Figure("outage_failed", float(wrong.total()), "", told),
        Figure(
            "outage_p99_ratio", max(p99.values()) / usual, "1",
            f"{note}; p99 once the breaker is open, by {usual:.1f} ms before: {_words(p99, '{:.1f} ms')}",
        ),
        Figure(
            "outage_added_ms", max(added.values()), "ms",
            f"{note}; slowest order before the breaker opened less {p50:.1f} ms: {_words(added, '{:.0f}')}",
        ),
        Figure("breaker_open_ms", max(opened.values()), "ms", f"{note}; {_words(opened, '{:.0f}')}"),
        Figure("breaker_close_s", max(closed.values()), "s", f"{note}; {_words(closed, '{:.1f}')}"),
    ]  # fmt: skip


def _words(values: dict[str, Any] | Counter[str], form: str) -> str:
    return ", ".join(f"{name} {form.format(value)}" for name, value in values.items())


def _quantile(shots: Sequence[Shot], q: float) -> float:
    if not shots:
        raise CheckFailed("no order was decided in a window: the rate or its seconds are too small")
    return float(np.quantile([shot.ms for shot in shots], q))


def _most(shots: Sequence[Shot]) -> float:
    return max((shot.ms for shot in shots), default=0.0)


async def _measured(
    ground: Ground, line: Line, breaker: Breaker, proxy: FaultProxy, bodies: Sequence[dict[str, Any]]
) -> Run:
    run, ended = Run(), asyncio.Event()
    load = asyncio.create_task(_steady(line, bodies, ground.sizes.rate, ended, run.shots))
    try:
        await _faults(ground, breaker, proxy, run.outages)
    finally:
        ended.set()
        await load
    return run


async def _faults(ground: Ground, breaker: Breaker, proxy: FaultProxy, outages: list[Outage]) -> None:
    sizes = ground.sizes
    await asyncio.sleep(sizes.normal_s)
    for number, (name, mode) in enumerate(FAULTS.items()):
        ground.progress("faults", number, len(FAULTS))
        await _when(lambda: breaker.closed, CLOSE_LIMIT_S, f"before {name}: a closed breaker")
        await asyncio.to_thread(proxy.set, mode)
        now = Outage(name, time.perf_counter())
        outages.append(now)
        now.opened = await _when(lambda: not breaker.closed, OPEN_LIMIT_S, f"{name}: an open breaker")
        await asyncio.sleep(max(0.0, now.onset + sizes.outage_s - time.perf_counter()))
        await asyncio.to_thread(proxy.set, Mode())
        now.over = time.perf_counter()
        now.closed = await _when(lambda: breaker.closed, CLOSE_LIMIT_S, f"{name}: a closed breaker")
        await asyncio.sleep(sizes.normal_s / 3)
    ground.progress("faults", len(FAULTS), len(FAULTS))


async def _when(holds: Callable[[], bool], limit_s: float, what: str) -> float:
    start = time.perf_counter()
    while not holds():
        if time.perf_counter() - start > limit_s:
            raise CheckFailed(f"{what} did not come to pass within {limit_s:g} s")
        await asyncio.sleep(LOOK_S)
    return time.perf_counter()


async def _steady(
    line: Line, bodies: Iterable[dict[str, Any]], rate: float, ended: asyncio.Event, shots: list[Shot]
) -> None:
    """One order after the other leaves on schedule, whatever became of those before."""
    start, running = time.perf_counter(), set[asyncio.Task[None]]()
    for number, body in enumerate(bodies):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if ended.is_set():
            break
        task = asyncio.create_task(_shoot(line, body, due, shots))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    if not ended.is_set():
        raise CheckFailed("there were too few orders for all faults")


async def _shoot(line: Line, body: dict[str, Any], due: float, shots: list[Shot]) -> None:
    try:
        decision = (await decide_one(body, line)).decision
    except RiskgraphError as failure:
        context, wrong = "none", type(failure).__name__
    else:
        context, wrong = decision.context, decision.degraded_cause or ""
    shots.append(Shot(due, (time.perf_counter() - due) * 1e3, context, wrong))


PARTS = {
    outage: ("outage_failed", "outage_p99_ratio", "outage_added_ms", "breaker_open_ms", "breaker_close_s")
}
