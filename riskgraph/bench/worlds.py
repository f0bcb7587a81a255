"""``riskgraph bench worlds``: how fast worlds are written and read. All of them are simulated."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from riskgraph import chain
from riskgraph.bench import Figure, measure
from riskgraph.core.errors import CheckFailed
from riskgraph.ports import Progress

INGEST_ORDERS = 50_000
SAMPLE = 5_000


@dataclass
class Bench:
    """Shared ground of the figures: a folder, and worlds made on first use."""

    folder: Path
    progress: Progress

    @cached_property
    def world(self) -> Path:
        path = self.folder / "world"
        chain.simulate("demo", seed=7, orders=INGEST_ORDERS, out=path, progress=self.progress)
        return path


def ingest(bench: Bench) -> list[Figure]:
    """A world to NDJSON and back through the commands' own code, beside Python's ``json`` alone."""
    ndjson, back = bench.folder / "ndjson", bench.folder / "back"
    world = bench.world
    out_s = _seconds(lambda: chain.export_ndjson(world, ndjson, bench.progress))
    in_s = _seconds(lambda: chain.import_ndjson(ndjson, back, bench.progress))
    if not _same(world, back):
        raise CheckFailed("the world that came back differs from the one that was exported")
    orders = chain.describe(back)["orders"]
    lines = _sample(ndjson)
    bodies = [json.loads(line) for line in lines]
    loads_s = _seconds(lambda: [json.loads(line) for line in lines])
    dumps_s = _seconds(lambda: [json.dumps(body) for body in bodies])
    note = f"{orders} simulated orders and their outcomes, median body {int(median(map(len, lines)))} B, "
    note += "came back the same; baseline: "
    return [
        Figure(
            "ingest_ndjson_orders_s",
            orders / in_s,
            "1/s",
            f"import: {note}json.loads of the order bodies alone",
            baseline=len(lines) / loads_s,
        ),
        Figure(
            "ingest_ndjson_export_orders_s",
            orders / out_s,
            "1/s",
            f"export: {note}json.dumps of the order bodies alone",
            baseline=len(lines) / dumps_s,
        ),
    ]


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _sample(ndjson: Path) -> list[bytes]:
    """Some order bodies as lines."""
    with sorted(ndjson.glob("orders*.ndjson"))[0].open("rb") as stream:
        return [line for line, _ in zip(stream, range(SAMPLE), strict=False)]


def _same(world: Path, back: Path) -> bool:
    """Whether all observed orders and outcomes are equal."""
    one, other = chain.open_world(world), chain.open_world(back)
    orders = all(a.equals(b) for a, b in zip(one.parts(), other.parts(), strict=True))
    return orders and list(one.outcomes()) == list(other.outcomes())


# A part and the names of its figures: whoever adds figures adds a function above and a line here.
PARTS: dict[Callable[[Bench], list[Figure]], tuple[str, ...]] = {
    ingest: ("ingest_ndjson_orders_s", "ingest_ndjson_export_orders_s"),
}


def run(only: set[str], progress: Progress) -> list[Figure]:
    """Measure all figures, or the named ones; a part that fails is reported, never left out."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        return measure(PARTS, Bench(Path(folder), progress), only)
