"""``riskgraph bench line``: the straight line's figures. Everything simulated is called simulated."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from importlib import resources
from pathlib import Path

import msgspec
import numpy as np

from riskgraph import bootstrap, chain
from riskgraph.bench import Figure, measure
from riskgraph.bench.load import Load, drive
from riskgraph.bench.server import running
from riskgraph.bench.speed import OWN, own_calls, own_figures
from riskgraph.bench.stores_writes import durable_figures, kill_figures
from riskgraph.models.timing import times_us
from riskgraph.pipeline import observe
from riskgraph.ports import Progress
from riskgraph.settings import Settings

RATE = 100.0
REQUESTS = 1_500
BLOCK = 300
WARM_UP = 200
HTTP_WORLD_ORDERS = 6_000
DURABLE = 6_000
KILLS = 20
SCORED = 400
ROUNDS = 5
UNTIL = date(2026, 6, 30)
TEST_FROM, TEST_TO = date(2026, 7, 1), date(2026, 9, 30)
MEASURED = ("demo_s", "test_s", "core_mb", "lab_mb")


@dataclass
class Bench:
    """Shared ground of the figures: a folder, and the 100,000-order world made on first use."""

    folder: Path
    progress: Progress
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = bootstrap.simulated_settings(self.folder / "home")

    @cached_property
    def world(self) -> Path:
        path = self.folder / "world-100k"
        chain.simulate("bench", seed=None, orders=None, out=path, progress=self.progress)
        chain.replay(path, self.settings, self.progress)
        return path

    @cached_property
    def small_world(self) -> Path:
        path = self.folder / "world-http"
        orders = HTTP_WORLD_ORDERS
        chain.simulate("demo", seed=11, orders=orders, out=path, progress=self.progress)
        return path


def latency(bench: Bench) -> list[Figure]:
    """Score, and score with φ and pairs, from validated subgraphs, one thread."""
    service = bootstrap.open_service(bench.settings, bootstrap.demo_profile())
    model = bootstrap.serving_model(bench.settings)[0]
    bodies = chain.held_out(bench.small_world, SCORED).requests
    subgraphs = [asyncio.run(observe(body, service.line))[2] for body in bodies]
    service.close()
    times = times_us(own_calls(model), subgraphs, ROUNDS)
    return own_figures(times, f"{len(subgraphs)} simulated orders, {ROUNDS} rounds")


@dataclass
class Route:
    """What the blocks of one route took: their loads, and microseconds of the server's CPU a request."""

    loads: list[Load] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def measure(self, url: str, path: str, key: str, bodies: Sequence[bytes]) -> None:
        before = cpu_seconds(url, key)
        self.loads.append(drive(url, path, key, bodies, RATE))
        self.cpu_us.append((cpu_seconds(url, key) - before) / len(bodies) * 1e6)

    @property
    def load(self) -> Load:
        """All blocks together."""
        return Load(
            np.concatenate([load.ms for load in self.loads]), [s for b in self.loads for s in b.statuses]
        )


def http(bench: Bench) -> list[Figure]:
    """Decisions over HTTP with a durable commit, beside an echo of the same bodies."""
    held = chain.held_out(bench.small_world, REQUESTS + WARM_UP)
    home = bench.folder / "home-http"
    settings = replace(bench.settings, home=home)
    chain.load_history(bench.small_world, settings, bench.progress, before=held.since)
    bodies = [msgspec.json.encode(body) for body in held.requests]
    routes: dict[str, Route] = {path: Route() for path in ("/bench/echo", "/v1/decisions")}
    with running(home) as (url, key):
        for path in routes:
            drive(url, path, key, bodies[:WARM_UP], RATE)
        # in turns, so that whatever else the machine does hits both alike
        for start in range(WARM_UP, len(bodies), BLOCK):
            for path, route in routes.items():
                route.measure(url, path, key, bodies[start : start + BLOCK])
    echo, decisions = (route.load for route in routes.values())
    echo_cpu, cpu = (float(np.median(route.cpu_us)) for route in routes.values())
    failed = sum(status != 200 for status in decisions.statuses)
    size = int(np.median([len(b) for b in bodies]))
    note = f"{len(decisions.ms)} simulated orders at {RATE:g}/s, median body {size} B, {failed} failed; "
    note += "baseline: a FastAPI route that echoes the same body"
    cpu_note = f"{note}; medians of {len(bodies[WARM_UP::BLOCK])} blocks in turn"
    return [
        Figure("http_p50_ms", decisions.quantile(0.5), "ms", note, baseline=echo.quantile(0.5)),
        Figure("http_p99_ms", decisions.quantile(0.99), "ms", note, baseline=echo.quantile(0.99)),
        Figure("http_cpu_us", cpu, "us", cpu_note, baseline=echo_cpu),
    ]


def cpu_seconds(url: str, key: str) -> float:
    """CPU seconds of the server process so far."""
    import urllib.request

    request = urllib.request.Request(
        f"{url}/bench/cpu", data=b"{}", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request) as answer:
        return float(json.load(answer)["seconds"])


def durable(bench: Bench) -> list[Figure]:
    """The store alone: group commit, with the report record in the transaction and without."""
    return durable_figures(bench.folder, DURABLE)


def release(bench: Bench) -> list[Figure]:
    """A release of the 100,000-order world, and its independent count."""
    made = chain.release(
        bench.world,
        bench.folder / "release-100k",
        until=UNTIL,
        k=50,
        seed=1,
        settings=bench.settings,
        progress=bench.progress,
    )
    spent, held = made["timings"], made["certificate"]["independent"]
    core = spent["partition_s"] + spent["count_s"] + spent["r1_r3_s"]
    note = f"simulated world of 100,000 orders, {spent['rows']} of them in groups"
    return [
        Figure("partition_rows_s", spent["rows"] / core, "1/s", note + "; partition, unit count, R1-R3"),
        Figure("release_s", spent["total_s"], "s", note),
        Figure(
            "release_min_units", held["min_units"], "persons", f"independent count, {held['groups']} groups"
        ),
        Figure("release_min_components", held["min_components"], "components", "independent count"),
    ]


def kills(bench: Bench) -> list[Figure]:
    """Kill -9 in the middle of load; ``bench stores`` kills ten times as often."""
    return kill_figures(bench.folder / "kills", KILLS, bench.progress)


def quality(bench: Bench) -> list[Figure]:
    """The shipped champion, out of time, at its frozen thresholds, on the 100,000-order world."""
    result = chain.backtest(
        bench.world, None, TEST_FROM, TEST_TO, bench.folder / "backtest", bench.settings, bench.progress
    )
    found = {row["name"]: row for row in result["figures"]}
    names = {
        "auc_release": "auc",
        "recall_release": "recall (reject)",
        "recall_release_flagged": "recall (reject or review)",
        "fpr_release": "fpr (reject)",
        "fpr_release_flagged": "fpr (reject or review)",
        "precision_release": "precision (reject)",
        "review_share": "honest orders sent to review",
        "base_rate": "base rate",
    }
    note = f"SIMULATED, fraud-enriched; {TEST_FROM} to {TEST_TO}; trained on releases of other worlds"
    return [
        Figure(name, row["value"], "1", note, row["lower"], row["upper"])
        for name, row in ((name, found[key]) for name, key in names.items())
    ]


def measured(bench: Bench) -> list[Figure]:
    """What cannot be measured from inside: written by ``make measure``, quoted here."""
    file = resources.files("riskgraph.bench").joinpath("measured.json")
    if not file.is_file():
        return [Figure(name, None, "", "run make measure in a checkout") for name in MEASURED]
    data = json.loads(file.read_text("utf-8"))
    units = {"demo_s": "s", "test_s": "s", "core_mb": "MB", "lab_mb": "MB"}
    return [Figure(name, data.get(name), units[name], data["note"]) for name in MEASURED]


PARTS: dict[Callable[[Bench], list[Figure]], tuple[str, ...]] = {
    latency: OWN,
    http: ("http_p50_ms", "http_p99_ms", "http_cpu_us"),
    durable: ("durable_orders_s", "durable_orders_bare_s"),
    kills: ("kills", "lost_acknowledged"),
    release: ("partition_rows_s", "release_s", "release_min_units", "release_min_components"),
    quality: (
        "auc_release",
        "recall_release",
        "recall_release_flagged",
        "fpr_release",
        "fpr_release_flagged",
        "precision_release",
        "review_share",
        "base_rate",
    ),
    measured: MEASURED,
}


def run(only: set[str], progress: Progress) -> list[Figure]:
    """Measure all figures, or the named ones; a part that fails is reported, never left out."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        return measure(PARTS, Bench(Path(folder), progress), only)
