"""``riskgraph bench worlds``: how fast worlds are made, written, read and replayed; all are simulated."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from filecmp import cmp
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from riskgraph import bootstrap, chain
from riskgraph.bench import Figure, child, measure
from riskgraph.core.errors import CheckFailed
from riskgraph.eval.worlds import ROWS_PER_FILE, preset
from riskgraph.ports import Progress
from riskgraph.settings import Settings

INGEST_ORDERS = 50_000
SAMPLE = 5_000
# Growth is shown over these; the figure is that of ASKED.
GROWTH = (50_000, 100_000, 200_000)
ASKED = 100_000
LARGE = 1_000_000
# More than one part of random streams (eval.worlds.visits), so that the seam is compared too.
TWICE = 150_000
EDGE = 100_000
HARD, SEEDS = ("world-1", "world-2"), 5


@dataclass
class Bench:
    """Shared ground of the figures: a folder, and worlds made on first use."""

    folder: Path
    progress: Progress

    @property
    def settings(self) -> Settings:
        return bootstrap.simulated_settings(self.folder / "home")

    @cached_property
    def world(self) -> Path:
        path = self.folder / "world"
        chain.simulate("demo", seed=7, orders=INGEST_ORDERS, out=path, progress=self.progress)
        return path

    @cached_property
    def large(self) -> tuple[Path, child.Ran]:
        """A large world, and what it took."""
        return self.folder / "large", self.simulated("large", LARGE)

    def simulated(self, name: str, orders: int) -> child.Ran:
        """Simulate ``bench`` in a process of its own, whose memory can be told apart."""
        out = self.folder / name

        def poll() -> None:
            # Until it is whole, a world lies in a folder beside its own, part by part.
            parts = sum(1 for _ in self.folder.glob(f".{name}-*/observed/orders-*.parquet"))
            self.progress(f"simulate {orders:,}", min(parts * ROWS_PER_FILE, orders), orders)

        return child.run("simulate", "--config", "bench", "--orders", orders, "--out", out, poll=poll)


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


def growth(bench: Bench) -> list[Figure]:
    """How long worlds of several sizes take; in proportion to their orders, if nothing grows faster."""
    seconds = {}
    for orders in GROWTH:
        seconds[orders] = bench.simulated(f"growth-{orders}", orders).seconds
        shutil.rmtree(bench.folder / f"growth-{orders}")
    times = ", ".join(f"{orders:,} in {s:.1f} s" for orders, s in seconds.items())
    note = f"ask: at most 60 on 2 cores; start of the process included: {times}"
    return [Figure("orders_100k_s", seconds[ASKED], "s", note)]


def memory(bench: Bench) -> list[Figure]:
    """The most memory that simulating a large world takes."""
    _, ran = bench.large
    note = f"ask: at most 1,500; peak resident set, {LARGE:,} orders in {ran.seconds:.1f} s"
    return [Figure("orders_1m_mb", ran.peak_mb, "MB", note)]


def identical(bench: Bench) -> list[Figure]:
    """Whether two runs with the same seed write the same bytes."""
    folders = [bench.folder / f"twice-{i}" for i in range(2)]
    for folder in folders:
        bench.simulated(folder.name, TWICE)
    one, other = ({p.relative_to(f): p for p in f.rglob("*") if p.is_file()} for f in folders)
    same = one.keys() == other.keys() and all(cmp(one[p], other[p], shallow=False) for p in one)
    note = f"ask: 1; {len(one)} files of two runs of {TWICE:,} orders compared byte for byte"
    return [Figure("identical", float(same), "", note)]


def replayed(bench: Bench) -> list[Figure]:
    """Computing the nodes that follow from earlier orders, over a long history."""
    world, _ = bench.large
    seconds = _seconds(lambda: chain.replay(world, bench.settings, bench.progress))
    rates = edge_rates([p.stat().st_mtime for p in sorted(world.glob("derived/orders-*.parquet"))])
    note = f"ask: at least 5,000 on 2 cores; {LARGE:,} orders"
    if rates:
        note += "; in one process {:,.0f}/s near the start and {:,.0f}/s at the end".format(*rates)
    return [Figure("replay_orders_s", LARGE / seconds, "1/s", note)]


def edge_rates(written: list[float]) -> tuple[float, float] | None:
    """Orders per second of one process over ``EDGE`` orders near both ends of a history.

    Args:
        written: When each file of the history was written, in order. The first is left out, since its
            process had to start; None where there are too few for two ends.
    """
    files = EDGE // ROWS_PER_FILE
    if len(written) <= 2 * files:
        return None
    return EDGE / (written[files] - written[0]), EDGE / (written[-1] - written[-1 - files])


def gates_held(bench: Bench) -> list[Figure]:
    """How many gates hold on the hard worlds, over five seeds each; takes about half an hour a world."""
    held = {}
    for name in HARD:
        first = preset(name).seed
        seeds = range(first, first + SEEDS)
        result = chain.certify(name, seeds, orders=None, out=None, progress=bench.progress)
        held[name] = [gate["gate"] for gate in result["gates"] if gate["held"]]
    told = "; ".join(f"{name}: gates {', '.join(map(str, gates)) or 'none'}" for name, gates in held.items())
    note = f"ask: 8 of 8 on each; {SEEDS} seeds each, the fewest of both: {told}"
    return [Figure("gates_held", float(min(map(len, held.values()))), "of 8", note)]


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
    growth: ("orders_100k_s",),
    identical: ("identical",),
    memory: ("orders_1m_mb",),
    replayed: ("replay_orders_s",),
    gates_held: ("gates_held",),
}


def run(only: set[str], progress: Progress) -> list[Figure]:
    """Measure all figures, or the named ones; a part that fails is reported, never left out."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        return measure(PARTS, Bench(Path(folder), progress), only)
