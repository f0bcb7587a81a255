"""How long training takes as released rows grow, in processes of their own whose memory can be told apart."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from riskgraph import bootstrap, chain
from riskgraph.bench import Figure
from riskgraph.bench.child import peak_mb
from riskgraph.bench.real import Sets
from riskgraph.models.train import _train_rows
from riskgraph.ports import Progress
from riskgraph.sandbox import Release
from riskgraph.sandbox.draw import ReleasedRows
from riskgraph.sandbox.files import ROWS, StoredRows, file_sha256, write_rows
from riskgraph.sandbox.scratch import stoppable

# Growth is shown over these; the figure is that of the last.
GROWTH = (250_000, 500_000, 1_000_000)
CONFIG, SEED, ORDERS, UNTIL = "demo", 7, 30_000, date(2026, 6, 30)
_ORIGIN = {"provenance": "simulated", "releases": [], "window": {}}
NAMES = ("train_1m_s", "train_1m_mb")


@dataclass(frozen=True)
class Trained:
    """One training from a Parquet file to a model folder."""

    rows: int
    seconds: float
    peak_mb: float
    epochs: int


def figures(sets: Sets) -> list[Figure]:
    """The figures of training, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        rows = _released(Path(folder), sets.progress)
        return measure(Path(folder), rows, sets.progress)


def measure(
    folder: Path, rows: ReleasedRows, progress: Progress, growth: tuple[int, ...] = GROWTH,
    epochs: int | None = None,
) -> list[Figure]:  # fmt: skip
    """The figures of training.

    Args:
        folder: Where rows and models go.
        rows: Released rows to draw from.
        progress: Told after each training.
        growth: Numbers of rows, rising.
        epochs: Upper limit, the usual one if left out.
    """
    runs: list[Trained] = []
    for count in growth:
        write_rows(folder, _resampled(rows, count))
        runs.append(_alone(folder, count, epochs))
        progress("train", len(runs), len(growth))
    told = "; ".join(
        f"{r.rows:,} rows {r.seconds:.0f} s, {r.peak_mb:,.0f} MB, {r.epochs} epochs" for r in runs
    )
    slope = _exponent(runs)
    note = (
        f"order2, one process, one thread of torch, from Parquet to a model; {told}; seconds an epoch "
        f"grow with rows to the power {slope:.2f}; rows are drawn with replacement from {len(rows):,} "
        f"released rows of the simulated world {CONFIG}, seed {SEED}, so what is learned means nothing"
    )
    last = runs[-1]
    return [
        Figure("train_1m_s", last.seconds, "s", f"ask: at most 900 on 2 cores; {note}"),
        Figure("train_1m_mb", last.peak_mb, "MB", f"peak resident set; {note}"),
    ]


def _released(folder: Path, progress: Progress) -> ReleasedRows:
    settings = bootstrap.simulated_settings(folder / "home")
    world, out = folder / "world", folder / "release"
    chain.simulate(CONFIG, seed=SEED, orders=ORDERS, out=world, progress=progress)
    chain.release(world, out, until=UNTIL, k=50, seed=0, settings=settings, progress=progress)
    return Release.open(out, bootstrap.open_signer(settings)).rows


def _resampled(rows: ReleasedRows, count: int) -> ReleasedRows:
    """As many rows as asked for, drawn with replacement: a world of that size takes hours to simulate."""
    at = np.random.default_rng(SEED).integers(0, len(rows), count)
    arrays = {name: value[at] for name, value in vars(rows).items()}
    return replace(rows, **arrays)


def _alone(folder: Path, count: int, epochs: int | None) -> Trained:
    # Spawned, not forked: a fork would have this process's memory counted as its own.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process, stoppable():
        try:
            return process.submit(_train, folder, count, epochs).result()
        except BaseException:
            # Else the pool would wait until training is done, and whoever cannot wait would leave it behind.
            for child in multiprocessing.active_children():
                child.kill()
            raise


def _train(folder: Path, count: int, epochs: int | None) -> Trained:
    start = time.perf_counter()
    stored = StoredRows(folder / ROWS, file_sha256(folder / ROWS))
    # The private part of training on purpose: no release is signed that has these rows.
    card = _train_rows([stored], _ORIGIN, folder / "model", epochs=epochs)
    seconds = time.perf_counter() - start
    return Trained(count, seconds, peak_mb(os.getpid()), card.recipe["epochs_run"])


def _exponent(runs: list[Trained]) -> float:
    """By how much seconds an epoch grow with rows: 1 is linear."""
    size, each = np.log([r.rows for r in runs]), np.log([r.seconds / r.epochs for r in runs])
    return float(np.polyfit(size, each, 1)[0])


PARTS = {figures: NAMES}
