"""``riskgraph bench sandbox``: what a release holds, costs and gains on other tools; all is simulated."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph import attacks, bootstrap, chain
from riskgraph.bench import Figure, child, measure, peers
from riskgraph.bench.pair_weight import PAIRS, SHARE, PairWeight, measure_pairs
from riskgraph.core.errors import Unavailable
from riskgraph.core.table import OrderTable
from riskgraph.ports import Progress
from riskgraph.sandbox import Policy, ReleaseRequest
from riskgraph.sandbox.bins import fit_bins
from riskgraph.sandbox.choice import choose
from riskgraph.sandbox.frame import Frame, build_frame
from riskgraph.sandbox.partition import Items, partition
from riskgraph.settings import Settings

UNTIL = date(2026, 6, 30)
K = 50
SMALL, LARGE = 100_000, 1_000_000
ANONYPY_ROWS = 100_000
# anjana needs minutes for the rows of the ask: a plain run takes fewer, ``--only`` takes them all
ANJANA_ASKED, ANJANA_PLAIN = 30_000, 5_000
MDAV_ROWS = 20_000
HARD_WORLD, HARD_SEED, HARD_UNTIL = "world-2", 871, date(2025, 12, 2)
# None: as many as the world has, and as many as training takes
HARD_ORDERS: int | None = None
PLANTED_EPOCHS: int | None = None
PLANTED_SEEDS: tuple[int, ...] = (0, 1)
SEED = 20
ATTACKED_SEED = 7
ATTACKED_SPLITS = 3


@dataclass(frozen=True)
class Made:
    """A release made in a process of its own: what that took, and its manifest."""

    ran: child.Ran
    manifest: dict[str, Any]


@dataclass
class Bench:
    """Shared ground of the figures: a folder, what was asked for, and releases made on first use."""

    folder: Path
    progress: Progress
    only: set[str] = field(default_factory=set)
    made: dict[int, Made] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        return bootstrap.simulated_settings(self.folder / "home")

    def world(self, orders: int) -> Path:
        """A world of the ``bench`` preset with its computed nodes, made once."""
        path = self.folder / f"world-{orders}"
        if not path.exists():
            chain.simulate("bench", seed=None, orders=orders, out=path, progress=self.progress)
            chain.replay(path, self.settings, self.progress)
        return path

    def release(self, orders: int) -> Made:
        """The release of a world, by the command itself."""
        if orders not in self.made:
            world, out = self.world(orders), self.folder / f"release-{orders}"
            began = time.perf_counter()

            def poll() -> None:
                self.progress(f"release of {orders:,}, seconds", int(time.perf_counter() - began), 600)

            arguments = ("--world", world, "--until", UNTIL, "--k", K, "--out", out)
            home = {"RISKGRAPH_HOME": str(self.settings.home)}
            ran = child.run("sandbox", "release", *arguments, poll=poll, environment=home)
            self.made[orders] = Made(ran, json.loads((out / "manifest.json").read_bytes()))
        return self.made[orders]

    def table(self, world: Path, until: date) -> OrderTable:
        """A world's orders, labels as known on a day."""
        opened, door = chain.open_world(world), bootstrap.open_door(self.settings)
        return chain.world_table(opened, chain.midnight(until), door, self.progress)

    def frame(self, rows: int) -> Frame:
        """Some accepted rows of the small world, in time order from the first."""
        table = self.table(self.world(SMALL), UNTIL)
        table = table.take(choose(table, until=UNTIL, k=K, policy=Policy.default())[0].rows[:rows])
        return build_frame(table, *choose(table, until=UNTIL, k=K, policy=Policy.default()), K)


def small(bench: Bench) -> list[Figure]:
    """Speed of the release of 100,000 orders."""
    made = bench.release(SMALL)
    spent = made.manifest["timings"]
    core = spent["partition_s"] + spent["count_s"] + spent["r1_r3_s"]
    rows = f"simulated world of {SMALL:,} orders, {spent['rows']:,} of them in groups"
    asked = "ask: at least 20,000; partition, both counts of units, count of the cells, R1-R3"
    bare = f"without the count of the cells {spent['rows'] / core:,.0f}"
    return [
        Figure(
            "partition_rows_s", spent["rows"] / (core + spent["cells_s"]), "1/s", f"{asked}; {bare}; {rows}"
        ),
        Figure("s_100k", made.ran.seconds, "s", f"ask: at most 60; {rows}; {_steps(made)}"),
    ]


def large(bench: Bench) -> list[Figure]:
    """Time and memory of the release of 1,000,000 orders."""
    made = bench.release(LARGE)
    note = f"simulated world of {LARGE:,} orders, {made.manifest['timings']['rows']:,} of them in groups"
    return [
        Figure("s_1m", made.ran.seconds, "s", f"ask: at most 600; {note}; {_steps(made)}"),
        Figure("mb_1m", made.ran.peak_mb, "MB", f"ask: at most 4,000; peak resident set; {note}"),
    ]


def _steps(made: Made) -> str:
    spent = made.manifest["timings"]
    steps = ", ".join(f"{n.removesuffix('_s')} {s:.1f}" for n, s in spent.items() if n.endswith("_s"))
    return f"the whole command, start and reading included; of it by step: {steps}"


def crowds(bench: Bench) -> list[Figure]:
    """The smallest group of every release that this run made, by the independent count."""
    bench.release(SMALL)
    found = [made.manifest["certificate"] for made in bench.made.values()]
    counted = [held["independent"] for held in found]
    groups, orders = sum(held["groups"] for held in found), " and ".join(f"{n:,}" for n in bench.made)
    note = f"independent count over {groups} groups of releases of {orders} simulated orders"

    def least(name: str, unit: str, ask: str) -> Figure:
        return Figure(name, min(c[name] for c in counted), unit, f"ask: at least {ask}; {note}")

    share = max(c["max_component_share"] for c in counted)
    return [
        least("min_units", "persons", "50"),
        least("min_components", "components", "5"),
        Figure("max_component_share", share, "1", f"ask: at most 0.5; {note}"),
    ]


def speed_anonypy(bench: Bench) -> list[Figure]:
    """Times faster than anonypy on the same fields."""
    return [_speed("speed_vs_anonypy", peers.anonypy, ANONYPY_ROWS, 50, "")]


def speed_anjana(bench: Bench) -> list[Figure]:
    """Times faster than anjana on the same fields."""
    whole = "speed_vs_anjana" in bench.only
    rest = "" if whole else f"; --only speed_vs_anjana takes {ANJANA_ASKED:,} rows and minutes"
    rows = ANJANA_ASKED if whole else ANJANA_PLAIN
    return [_speed("speed_vs_anjana", peers.anjana, rows, 1000, rest)]


def _speed(name: str, tool: Callable[[peers.Ints], peers.Output], rows: int, ask: int, rest: str) -> Figure:
    values = peers.adult_like(rows, SEED)
    theirs, mine = tool(values), _ours(values)
    seconds = f"{theirs.seconds:.1f} s of CPU against {mine.seconds:.3f} s"
    note = f"ask: at least {ask}; {rows:,} records, {seconds}; {_classes(values, mine, theirs)}{rest}"
    return Figure(name, theirs.seconds / mine.seconds, "times", note)


def _ours(values: peers.Ints) -> peers.Output:
    """The median of three runs: one alone takes too little time to be told well."""
    return sorted((peers.ours(values) for _ in range(3)), key=lambda out: out.seconds)[1]


def _classes(values: peers.Ints, mine: peers.Output, theirs: peers.Output) -> str:
    k, other = (peers.smallest_class(values, out.group) for out in (mine, theirs))
    return f"8 fields of Adult-like simulated data, k = {K} on records, recounted {k} and {other}"


def information_loss(bench: Bench) -> list[Figure]:
    """NCP beside each tool that is there; the worst ratio counts."""
    found: list[tuple[float, float, str]] = []
    missing: list[str] = []
    for name, tool, rows in (
        ("anonypy", peers.anonypy, ANONYPY_ROWS),
        ("anjana", peers.anjana, ANJANA_PLAIN),
    ):
        values = peers.adult_like(rows, SEED)
        try:
            theirs = tool(values)
        except Unavailable as reason:
            missing.append(reason.message)
            continue
        mine = peers.ours(values)
        one, other = (peers.ncp(values, out.group) for out in (mine, theirs))
        told = f"{one:.3f} against {name}'s {other:.3f} at {rows:,} records"
        found.append((one, other, f"{told}; {_classes(values, mine, theirs)}"))
    if not found:
        return [Figure("ncp_ratio", None, "1", "; ".join(missing))]
    one, other, _ = max(found, key=lambda entry: entry[0] / entry[1])
    note = "; ".join(["ask: below 1; value / baseline = ours / theirs", *(t for *_, t in found), *missing])
    return [Figure("ncp_ratio", one / other, "1", note)]


def microaggregation(bench: Bench) -> list[Figure]:
    """Squared error of the release's own splits beside MDAV, both classes apart, k on records for both."""
    frame = bench.frame(MDAV_ROWS)
    rng = np.random.default_rng(SEED)
    points = np.ascontiguousarray(fit_bins(frame, K, rng).latent(slice(None)).T)
    start = time.process_time()
    mine = partition(_records(frame, points), K, rng).group
    middle = time.process_time()
    theirs = np.empty_like(mine)
    for label in (0, 1):
        rows = frame.rows_of(label)
        theirs[rows] = peers.mdav(points[rows], K) + 2 * len(points) * label
    end = time.process_time()
    classes = frame.label.astype(np.int32)
    error, other, total = (peers.squared_error(points, group) for group in (mine, theirs, classes))
    sizes = [int(np.bincount(group)[np.unique(group)].min()) for group in (mine, theirs)]
    cost = f"SSE/SST {error / total:.3f} in {middle - start:.1f} s of CPU, "
    cost += f"MDAV {other / total:.3f} in {end - middle:.1f} s"
    note = f"ask: at most 1; {cost}; {len(points):,} simulated orders, k = {K} on records, recounted "
    note += f"{sizes[0]} and {sizes[1]}; all {points.shape[1]} components on the latent scale, "
    note += "0 where absent; classes apart"
    return [Figure("sse_ratio_mdav", error / other, "1", note)]


def _records(frame: Frame, points: NDArray[np.float32]) -> Items:
    """Each row as a person of its own, in one stratum: what MDAV is given."""
    count = len(points)
    return Items(
        total=points,
        nodes=np.ascontiguousarray(frame.present.T, dtype=np.float32),
        rows=np.ones(count, dtype=np.int64),
        unit=np.arange(count),
        component=np.arange(count),
        label=frame.label,
        stratum=np.zeros(count, dtype=np.int16),
    )


def pair_weight(bench: Bench) -> list[Figure]:
    """How much of interactions that exist only in fraud a network keeps when a release trains it."""
    bootstrap.require_extra("pair_weight_kept", "train")
    table, signer = _hard_history(bench), bootstrap.open_signer(bench.settings)
    found: list[PairWeight] = []
    for seed in PLANTED_SEEDS:
        request = ReleaseRequest(
            until=HARD_UNTIL, seed=seed, provenance=bootstrap.SIMULATED, now=time.time(),
            code=bootstrap.code_version(), k=K,
        )  # fmt: skip
        found += measure_pairs(
            table, PAIRS, request, signer, epochs=PLANTED_EPOCHS, progress=bench.progress
        )  # fmt: skip
    # not the mean of ratios: a pair that raw rows hardly teach has none worth telling
    raw, released = (sum(getattr(pair, side) for pair in found) for side in ("raw", "released"))
    by_pair = ", ".join(f"{'-'.join(p.pair)} {p.released:.2f} of {p.raw:.2f}" for p in found)
    note = f"ask: at least 0.7; contrasts in logits of {len(PAIRS)} pairs, summed, planted in {SHARE:.0%} of "
    note += f"the fraud of a simulated {HARD_WORLD}, {len(PLANTED_SEEDS)} seeds; a network trained on the "
    note += f"release against one trained on its raw rows; {by_pair}"
    return [Figure("pair_weight_kept", released / raw, "1", note)]


def _hard_history(bench: Bench) -> OrderTable:
    """Orders of a certified hard world, labels as known on the day of its release."""
    path = bench.folder / "world-planted"
    chain.simulate(HARD_WORLD, seed=HARD_SEED, orders=HARD_ORDERS, out=path, progress=bench.progress)
    chain.replay(path, bench.settings, bench.progress)
    return bench.table(path, HARD_UNTIL)


def attacked(bench: Bench) -> list[Figure]:
    """What an attacker who knows whole records learns from releases of either half of the demo's persons."""
    world = bench.folder / "world-attacked"
    chain.simulate("demo", seed=ATTACKED_SEED, orders=None, out=world, progress=bench.progress)
    chain.replay(world, bench.settings, bench.progress)
    found = attacks.attack(
        world, until=UNTIL, seed=0, k=K, kind="order2", splits=ATTACKED_SPLITS, out=None,
        settings=bench.settings, progress=bench.progress,
    )["figures"]  # fmt: skip
    return [
        Figure(name, row["value"], "1", _judged(row), row["lower"], row["upper"])
        for name, row in found.items()
    ]


def _judged(row: dict[str, Any]) -> str:
    """The note of an attacked figure: its bound, the rule that judges it, and whether it holds."""
    if row["value"] is None:
        return str(row["note"])
    kept = "held" if row["pass"] else "broken"
    ask = f"ask: at most {row['bound']:g}, by {row['judged_by']}: {kept}"
    return f"{ask}; {row['note']}; {ATTACKED_SPLITS} splits"


# A part and the names of its figures: whoever adds figures adds a function above and a line here.
PARTS: dict[Callable[[Bench], list[Figure]], tuple[str, ...]] = {
    small: ("partition_rows_s", "s_100k"),
    large: ("s_1m", "mb_1m"),
    crowds: ("min_units", "min_components", "max_component_share"),
    speed_anonypy: ("speed_vs_anonypy",),
    speed_anjana: ("speed_vs_anjana",),
    information_loss: ("ncp_ratio",),
    microaggregation: ("sse_ratio_mdav",),
    pair_weight: ("pair_weight_kept",),
    attacked: (
        *("linkage", "membership_data_auc", "membership_model_auc"),
        *("singling_out", "linkability", "inference"),
    ),
}


def run(only: set[str], progress: Progress) -> list[Figure]:
    """Measure all figures, or the named ones; a part that fails is reported, never left out."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        return measure(PARTS, Bench(Path(folder), progress, only), only)
