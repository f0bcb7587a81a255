"""How long one score takes, how far its bytes are from the least, and whether tables and network agree.

The tables stand beside an R-GCN of PyTorch Geometric, ONNX Runtime, TreeSHAP and KernelSHAP in the same run,
one order at a time on one thread. Worlds are simulated; what else is timed is trained on a small release,
since speed does not depend on how well a model does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riskgraph import bootstrap, chain
from riskgraph.bench import Figure
from riskgraph.bench.onnx_graph import run_with, to_onnx
from riskgraph.bench.real import Sets
from riskgraph.bench.shap_values import kernel_shap, tree_shap
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import CheckFailed
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.table import OrderTable
from riskgraph.explainers.games import AnyExplainer
from riskgraph.models import CompiledModel, Model, load_model
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.kinds import Kind
from riskgraph.models.timing import Call, times_us
from riskgraph.models.train import train
from riskgraph.models.trees import TreeModel
from riskgraph.ports import Progress
from riskgraph.sandbox import Policy, Release, ReleaseRequest, write_release
from riskgraph.settings import Settings

CONFIG, SEED = "world-2", 893
UNTIL = date(2025, 12, 2)
# Of the world whose orders are timed; tables and network are compared on one of full size.
SMALL = 20_000
CLASS = "pre_auth/front_end"
TIMED, ROUNDS = 200, 10
# Slow calls see fewer orders.
FEW = {"rgcn_us_p50": 50, "treeshap_us_p50": 50, "kernelshap_us_p50": 2}
LOADS = 7
# Enough for trees of full size; what they learn is of no matter here.
ROWS = 10_000
_CHUNK = 1_024
SCORE, EXPLAINED = OWN = ("score_us_p50", "explained_us_p50")
# What is timed beside ours, and which of ours it is held against.
BESIDE = {
    "rgcn_us_p50": SCORE,
    "onnx_us_p50": SCORE,
    "treeshap_us_p50": EXPLAINED,
    "kernelshap_us_p50": EXPLAINED,
}
BYTES, DIFFERENCE, LOAD = "score_touched_bytes", "table_vs_network_max_diff", "load_ms"


@dataclass(frozen=True, eq=False)
class Ground:
    """A simulated world as arrays, and the model that ships.

    Attributes:
        folder: Where releases and models go.
    """

    folder: Path
    settings: Settings
    table: OrderTable
    model: CompiledModel
    progress: Progress

    @classmethod
    def make(cls, folder: Path, orders: int | None, progress: Progress) -> Ground:
        """Simulate a world; without ``orders`` it has the size that it is certified at."""
        settings = bootstrap.simulated_settings(folder / "home")
        chain.simulate(CONFIG, seed=SEED, orders=orders, out=folder / "world", progress=progress)
        world, door = chain.open_world(folder / "world"), bootstrap.open_door(settings)
        table = chain.world_table(world, chain.midnight(UNTIL), door, progress)
        shipped = CompiledModel.load(bootstrap.serving_folder(settings)[0])
        return cls(folder, settings, table, shipped, progress)

    @cached_property
    def release(self) -> Release:
        request = ReleaseRequest(UNTIL, SEED, "simulated", time.time(), bootstrap.code_version())
        signer = bootstrap.open_signer(self.settings)
        return write_release(
            self.table,
            self.folder / "release",
            request,
            signer,
            policy=Policy.default(),
            progress=self.progress,
        )

    def trained(self, kind: Kind, epochs: int | None = None) -> Model:
        out = self.folder / kind
        train([self.release], out, kind=kind, seed=SEED, epochs=epochs, rows=ROWS, progress=self.progress)
        return load_model(out)

    def last(self, count: int) -> list[OrderSubgraph]:
        """The last orders of the timed class, validated."""
        rows = np.flatnonzero(self.table.availability == CLASS)[-count:]
        return [order_of(self.table, int(row)) for row in rows]


def order_of(table: OrderTable, row: int) -> OrderSubgraph:
    """One order of a table; the shares of its histograms are zero, as no model reads them."""
    shares = np.zeros((catalog().histogram_count, 16), dtype=np.uint8)
    return OrderSubgraph(table.states[row].copy(), table.components[row].copy(), shares)


def own_calls(model: Model) -> dict[str, Call]:
    """Score, and score with φ and pairs; binning included."""
    explainer = AnyExplainer()
    return {
        SCORE: lambda order: model.score(order, CLASS),
        EXPLAINED: lambda order: explainer.explain(model.score(order, CLASS)),
    }


def own_figures(times: Mapping[str, NDArray[np.float64]], note: str) -> list[Figure]:
    """Figures of ``own_calls`` from the microseconds that they took."""
    score = float(np.median(times[SCORE]))
    told = f"; one thread, batch 1, binning included; {note}"
    return [
        Figure(SCORE, score, "us", f"ask: at most 20; {_p99(times[SCORE])}{told}"),
        Figure(
            EXPLAINED, float(np.median(times[EXPLAINED])), "us",
            f"ask: at most 30; {_p99(times[EXPLAINED])}; baseline: the score alone{told}", baseline=score,
        ),
    ]  # fmt: skip


def _p99(times: NDArray[np.float64]) -> str:
    return f"p99 {np.quantile(times, 0.99):.1f}"


@dataclass(frozen=True)
class Contestant:
    """What is timed beside ours, and what a reader has to know of it."""

    call: Call
    note: str


def rgcn(ground: Ground) -> Contestant:
    """The graph network of kind ``rgcn``, as it serves."""
    model = ground.trained("rgcn", epochs=1)
    return Contestant(
        lambda order: model.score(order, CLASS), "PyTorch Geometric, eager, in float64 as it serves"
    )


def onnx(ground: Ground) -> Contestant:
    """The same order-2 network in ONNX Runtime."""
    run = run_with(to_onnx(ground.model.tables, ground.model.card.classes[CLASS].offset))
    return Contestant(
        lambda order: run(order.components[None]),
        "ONNX Runtime, the same network in float64 as one graph, bins included; logit without terms",
    )


def treeshap(ground: Ground) -> Contestant:
    """Exact TreeSHAP of trees of kind ``gbdt``."""
    model = ground.trained("gbdt")
    assert isinstance(model, TreeModel)
    leaves = int((model.forest.left == np.arange(len(model.forest.left))).sum())
    return Contestant(
        tree_shap(model.forest),
        f"shap.TreeExplainer, interventional, the all-absent order its one reference; "
        f"{len(model.forest.roots)} trees of {leaves} leaves in all; explanation without score",
    )


def kernelshap(ground: Ground) -> Contestant:
    """KernelSHAP of the champion."""
    call = kernel_shap(ground.model)
    order = ground.last(1)[0]
    exact = AnyExplainer().explain(ground.model.score(order, CLASS)).phi
    amiss = float(np.abs(call(order) - exact).max())
    return Contestant(
        call,
        f"shap.KernelExplainer, defaults, on the champion; players are the nodes, the all-absent order its "
        f"one reference; its values of one order are off by up to {amiss:.2g} logits",
    )


MAKERS: dict[str, Callable[[Ground], Contestant]] = {
    "rgcn_us_p50": rgcn,
    "onnx_us_p50": onnx,
    "treeshap_us_p50": treeshap,
    "kernelshap_us_p50": kernelshap,
}


def small_world(sets: Sets) -> list[Figure]:
    """Times of ours and of what stands beside it, and the bytes of a score."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        ground = Ground.make(Path(folder), SMALL, sets.progress)
        orders = ground.last(TIMED)
        return [*latency(ground, orders, ROUNDS), touched(ground.model, orders)]


def latency(ground: Ground, orders: Sequence[OrderSubgraph], rounds: int) -> list[Figure]:
    """Ours and all that stands beside it, in turns; what cannot run is told and hides nothing."""
    made: dict[str, Contestant] = {}
    failed: dict[str, str] = {}
    for name, maker in MAKERS.items():
        try:
            made[name] = maker(ground)
        except Exception as failure:  # one that cannot run must not hide the others
            failed[name] = f"{type(failure).__name__}: {failure}"
    calls = own_calls(ground.model) | {name: entrant.call for name, entrant in made.items()}
    with one_thread():
        times = times_us(calls, orders, rounds, FEW)
    where = f"{rounds} rounds in turn; simulated {CONFIG}, seed {SEED}"
    own = own_figures(times, f"{len(orders)} orders, {where}")
    medians = {figure.name: figure.value for figure in own}
    beside = [
        _beside(name, times[name], medians[ours], f"{made[name].note}; {where}")
        if name in made
        else Figure(name, None, "us", failed[name])
        for name, ours in BESIDE.items()
    ]
    return own + beside


def _beside(name: str, times: NDArray[np.float64], ours: float | None, note: str) -> Figure:
    told = f"baseline: {BESIDE[name]}; one thread, batch 1; {_p99(times)} of {len(times)} calls; {note}"
    return Figure(name, float(np.median(times)), "us", told, baseline=ours)


@contextmanager
def one_thread() -> Iterator[None]:
    """torch, BLAS and OpenMP on one thread each."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


def touched(model: CompiledModel, orders: Sequence[OrderSubgraph]) -> Figure:
    """Bytes that a score reads and holds, beside the least that any score of these tables has to read."""
    layout, tables = model.tables.edges.layout, model.tables
    cells = len(layout.components) + len(layout.ends)
    indexes = layout.own_offset, layout.pair_a, layout.pair_b, layout.pair_offset
    read = tables.edges.matrix.nbytes + orders[0].components.nbytes + sum(i.nbytes for i in indexes)
    read += cells * tables.own.itemsize
    held = max(scratch_bytes(lambda o=order: model.score(o, CLASS)) for order in orders)  # type: ignore[misc]
    floor = float(np.median([floor_bytes(model, order) for order in orders]))
    whole = tables.own.nbytes + tables.pairs.nbytes
    note = (
        f"{read:,} read, of which edges {tables.edges.matrix.nbytes:,} and {cells} table cells "
        f"{cells * tables.own.itemsize:,}; at most {held:,} of scratch and result; baseline: the floor, "
        f"median of {len(orders)} orders; the mapped tables are {whole:,}, of which the cells lie in at most "
        f"{min(cells * 64, whole):,} of cache lines"
    )
    return Figure(BYTES, float(read + held), "B", note, baseline=floor)


def floor_bytes(model: CompiledModel, order: OrderSubgraph) -> int:
    """The least that any score of these tables has to read of one order.

    All components, since any may be absent; for each that is there the edges on both sides of its bin, and
    one cell; one cell for each pair whose ends are both there.
    """
    edges, tables = model.tables.edges, model.tables
    bins = edges.apply(order.components[None])[0].astype(np.int64)
    there = bins > 0
    bounds = int(((bins > 1).astype(int) + (there & (bins < edges.counts))).sum())
    pairs = there[edges.layout.pair_a] & there[edges.layout.pair_b]
    cells = int(there.sum() + pairs.sum())
    return order.components.nbytes + bounds * edges.matrix.itemsize + cells * tables.own.itemsize


def scratch_bytes(call: Callable[[], object]) -> int:
    """Most bytes that a call holds beside what was there before, its result included."""
    call()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        kept = call()
        peak = tracemalloc.get_traced_memory()[1]
        del kept
    finally:
        tracemalloc.stop()
    return peak - before


def full_world(sets: Sets) -> list[Figure]:
    """Tables beside the network that holds the same weights, on every order of a world."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        ground = Ground.make(Path(folder), None, sets.progress)
        batch, single = differences(ground.model, ground.table, sets.progress)
    note = (
        f"ask: at most 1e-6; logits of the champion's tables and of its network with message passing, on all "
        f"{len(ground.table):,} orders of a simulated {CONFIG}, seed {SEED}; in batches {batch:.2g}, one "
        f"order at a time {single:.2g}"
    )
    return [Figure(DIFFERENCE, max(batch, single), "logits", note)]


def differences(model: CompiledModel, table: OrderTable, progress: Progress) -> tuple[float, float]:
    """Largest differences of logits from the network's: of the batch path, and one order at a time."""
    batch = model.score_batch(table.components, table.availability)[0]
    network, count = network_logits(model, table), len(table)
    one = np.empty(count)
    for row in range(count):
        one[row] = model.score(order_of(table, row), table.availability[row]).logit
        if row % _CHUNK == 0:
            progress("tables beside the network", row, count)
    return float(np.abs(batch - network).max()), float(np.abs(one - network).max())


def network_logits(model: CompiledModel, table: OrderTable) -> NDArray[np.float64]:
    """Logits float64[N] of the torch network that holds a model's weights."""
    import torch

    from riskgraph.models.network import GraphAdditiveNetwork

    offsets = [model.card.classes[name].offset for name in AVAILABILITY_CLASSES]
    network = GraphAdditiveNetwork.of(model.tables, offsets)
    place = {name: i for i, name in enumerate(AVAILABILITY_CLASSES)}
    classes = torch.tensor([place[name] for name in table.availability])
    out = np.empty(len(table))
    with torch.inference_mode():
        for start in range(0, len(table), _CHUNK):
            part = slice(start, start + _CHUNK)
            bins = torch.from_numpy(network.edges.apply(table.components[part])).long()
            out[part] = network(bins, classes[part]).numpy()
    return out


_LOAD = """
import sys, time
begun = time.perf_counter()
from riskgraph.models import load_model
start = time.perf_counter()
load_model(sys.argv[1])
end = time.perf_counter()
if {"torch", "onnxruntime", "sklearn"} & set(sys.modules):
    raise SystemExit("a learning library was imported")
print((end - start) * 1e3, (start - begun) * 1e3)
"""


def loading(sets: Sets) -> list[Figure]:
    """Loading the champion in a fresh process, without torch."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        champion = bootstrap.serving_folder(bootstrap.simulated_settings(Path(folder) / "home"))[0]
        spent = np.array([_load(champion) for _ in range(LOADS)])
    load, imports = np.median(spent, axis=0).tolist()
    note = (
        f"card and tables of the champion, digests checked, tables mapped; median of {LOADS} fresh processes "
        f"without torch; importing takes {imports:.0f} ms before"
    )
    return [Figure(LOAD, load, "ms", note)]


def _load(folder: Path) -> list[float]:
    command = [sys.executable, "-c", _LOAD, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise CheckFailed(f"loading ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")
    return [float(word) for word in ended.stdout.split()]


PARTS: dict[Callable[[Sets], list[Figure]], tuple[str, ...]] = {
    small_world: (*OWN, *BESIDE, BYTES),
    full_world: (DIFFERENCE,),
    loading: (LOAD,),
}
