"""What the embedded store commits a second, how many bytes that takes, and whether kills lose any of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import apsw

from riskgraph.bench import Figure
from riskgraph.bench.stores_ground import Ground
from riskgraph.core.report import DecisionReport
from riskgraph.ports import Entry, Progress
from riskgraph.stores import open_store
from riskgraph.stores.crash import KillResult, run_kills, synthetic_entry, synthetic_order, synthetic_secrets

IN_FLIGHT = 64
# Each series grows a file of its own, since every round reads the whole file.
SERIES = 40
PACKED = ("orders", "sqlite_autoindex_orders_1", "orders_ts")
INDEXED = ("oe", "spellings")


def durable(ground: Ground) -> list[Figure]:
    """Group commit with the report record in the transaction, and without."""
    return durable_figures(ground.folder, ground.sizes.durable)


def durable_figures(folder: Path, orders: int) -> list[Figure]:
    """Commits of so many orders a second, the store alone; files are made in the folder."""
    full = [synthetic_entry(synthetic_order(f"full-{i}", i), f"full-{i}") for i in range(orders)]
    bare = [_bare(synthetic_entry(synthetic_order(f"bare-{i}", i), f"bare-{i}")) for i in range(orders)]
    with_record = _rate(folder / "durable-full.db", full)
    without = _rate(folder / "durable-bare.db", bare)
    note = f"{orders} orders, {IN_FLIGHT} in flight, synchronous=FULL"
    return [
        Figure("durable_orders_s", with_record, "1/s", note + "; baseline: without it", baseline=without),
        Figure("durable_orders_bare_s", without, "1/s", note + "; no report record"),
    ]


def _bare(entry: Entry) -> Entry:
    report = entry.decision.report
    empty: DecisionReport = replace(report, phi=b"", pairs=b"", subgraph=b"", reasons=(), order={}, score={})
    return replace(entry, decision=replace(entry.decision, report=empty))


def _rate(path: Path, entries: Iterable[Entry]) -> float:
    store = open_store(f"sqlite:///{path}", synthetic_secrets())
    waiting: deque[Future[None]] = deque()
    start, count = time.perf_counter(), 0
    for entry in entries:
        if len(waiting) >= IN_FLIGHT:
            waiting.popleft().result()
        waiting.append(store.submit(entry))
        count += 1
    while waiting:
        waiting.popleft().result()
    seconds = time.perf_counter() - start
    store.close()
    return count / seconds


def sizes(ground: Ground) -> list[Figure]:
    """Bytes of the file, page by page, after every order of a world was decided."""
    path, orders = ground.decided, ground.sizes.decided
    pages = bytes_by_table(path)
    parts = {name: pages.get(name, 0) / orders for name in (*PACKED, *INDEXED)}
    told = ", ".join(f"{name} {size:,.0f}" for name, size in parts.items())
    rest = ", ".join(f"{name} {size / orders:,.0f}" for name, size in list(pages.items())[:6])
    world = f"mean of {orders:,} orders of a simulated world, whole pages"
    return [
        Figure("bytes_per_order", sum(parts.values()), "B", f"packed and entity index; {world}: {told}"),
        Figure("bytes_per_decision", path.stat().st_size / orders, "B", f"the file; {world}; most: {rest}"),
    ]


def bytes_by_table(path: Path) -> dict[str, int]:
    """Bytes of the pages of each table and index of a closed store, largest first."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY 1 ORDER BY 2 DESC"))
    finally:
        connection.close()


def kills(ground: Ground) -> list[Figure]:
    """Kill -9 in the middle of load; every acknowledged decision must be there afterwards."""
    return kill_figures(ground.folder / "kills", ground.sizes.kills, ground.progress)


def kill_figures(folder: Path, rounds: int, progress: Progress) -> list[Figure]:
    """So many kills, in series of which each grows one file."""
    series: list[KillResult] = []
    for start in range(0, rounds, SERIES):
        progress("kills", start, rounds)
        # its seed is its own, so that no two die at the same places
        path = folder / f"from-{start}"
        path.mkdir(parents=True)
        series.append(run_kills(min(SERIES, rounds - start), path, seed=1 + start))
    progress("kills", rounds, rounds)
    problems = [problem for result in series for problem in result.problems]
    note = f"{sum(r.acknowledged for r in series)} acknowledged; {len(problems)} integrity problems"
    return [
        Figure("kills", sum(r.kills for r in series), "kills", note),
        Figure("lost_acknowledged", sum(r.lost for r in series), "decisions", note),
    ]


PARTS = {
    durable: ("durable_orders_s", "durable_orders_bare_s"),
    sizes: ("bytes_per_order", "bytes_per_decision"),
    kills: ("kills", "lost_acknowledged"),
}
