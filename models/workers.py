"""Fitting a network by several workers: Ray Train starts them, torch's DistributedDataParallel joins them.

Workers see bins, classes, labels and weights of rows and nothing else: whoever has read the releases lays
these into a folder of its own and names that folder, which all workers must see. No worker opens a release.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from riskgraph.core.errors import ExtraMissing, Unavailable
from riskgraph.models.binning import BinEdges
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.checkpoint import Checkpoint
from riskgraph.models.compiled import Tables
from riskgraph.models.fit import Batchable, Fit, Recipe, fit_batches
from riskgraph.models.share import Share
from riskgraph.ports import Progress

Guard = Callable[[Path], object]
_ARRAYS = ("bins", "classes", "label", "weight")
_TOLD, _FITTED = "told.jsonl", "fit.npz"
_POLL_S = 0.2


@contextmanager
def cluster(workers: int) -> Iterator[None]:
    """A Ray cluster on this machine for the time of a training, with a token that is made for it.

    It is started in the folder for temporary files. One that this process has joined already is taken.

    Raises:
        ExtraMissing: If Ray is not installed (extra ``ray``).
        Unavailable: If it cannot be started.
    """
    if find_spec("ray") is None:
        raise ExtraMissing("training with several workers", "ray")
    # Its processes start this Python anew and have to find the package where this one did.
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if os.path.isabs(p))
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Nothing is told to Ray's makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.train.torch

    if ray.is_initialized():
        yield
        return
    # The name of a socket below it may have 107 bytes, of which Ray takes 60.
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        try:
            # Never one that RAY_ADDRESS names: rows would go there.
            ray.init(
                address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False,
                logging_level="error", _temp_dir=folder,
            )  # fmt: skip
        except Exception as error:
            raise Unavailable(f"--workers: Ray does not start: {_why(error)}", field="--workers") from error
        try:
            yield
        finally:
            ray.shutdown()


def fit_spread(
    data: Batchable, check: Batchable, edges: BinEdges, seed: int, recipe: Recipe, *, workers: int,
    progress: Progress | None = None, checkpoint: Checkpoint | None = None, guard: Guard | None = None,
) -> Fit:  # fmt: skip
    """:func:`riskgraph.models.fit.fit_batches` by several workers, each with a part of every batch.

    The gradient is that of the whole batch, added in another order: so tables equal those of one worker to
    rounding, not to the bit.

    Args:
        data: Rows to fit on.
        check: Held-out rows.
        edges: Bins.
        seed: As for one worker.
        recipe: As for one worker.
        workers: How many.
        progress: Told after each epoch.
        checkpoint: Saved after each epoch.
        guard: Called in each worker before it opens anything, with the one folder that it may use.

    Raises:
        ExtraMissing: If Ray is not installed (extra ``ray``).
        Unavailable: If Ray does not start, or a worker fails.
        CheckFailed, Invalid: See :meth:`riskgraph.models.checkpoint.Checkpoint.load`.
    """
    if checkpoint:
        # Here too: what is wrong with it is to be told as such, not as a worker's failure.
        checkpoint.load()
    with cluster(workers), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        for name, rows in (("data", data), ("check", check)):
            for array in _ARRAYS:
                np.save(folder / f"{name}-{array}.npy", getattr(rows, array).numpy())
        config = {
            "folder": scratch,
            "rates": {"data": data.fraud_rate, "check": check.fraud_rate},
            "edges": edges,
            "seed": seed,
            "recipe": asdict(recipe),
            "about": dict(checkpoint.about) if checkpoint else {},
            "guard": guard,
        }
        if checkpoint and checkpoint.path.exists():
            (folder / "checkpoint").write_bytes(checkpoint.path.read_bytes())
        with _relayed(folder, progress, checkpoint):
            _run(config, workers)
        with np.load(folder / _FITTED, allow_pickle=False) as fitted:
            bias = dict(zip(AVAILABILITY_CLASSES, fitted["bias"].tolist(), strict=True))
            return Fit(Tables(edges, fitted["own"], fitted["pairs"]), bias, fitted["losses"].tolist())


def _run(config: dict[str, Any], workers: int) -> None:
    import ray.train
    import ray.train.torch

    trainer = ray.train.torch.TorchTrainer(
        _work,
        train_loop_config=config,
        scaling_config=ray.train.ScalingConfig(num_workers=workers),
        torch_config=ray.train.torch.TorchConfig(backend="gloo"),
        run_config=ray.train.RunConfig(name="fit", storage_path=config["folder"]),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise Unavailable(
            f"--workers: Ray Train could not do the work: {_why(error)}", field="--workers"
        ) from error


def _work(config: dict[str, Any]) -> None:
    """What each worker does."""
    import ray.train

    folder, context = Path(config["folder"]), ray.train.get_context()
    if config["guard"]:
        config["guard"](folder)
    work(config, Share(context.get_world_rank(), context.get_world_size()))


def work(config: dict[str, Any], share: Share) -> None:
    """Fit as one of several workers that torch has joined; the first tells, saves and writes the result."""
    folder = Path(config["folder"])
    told = (folder / _TOLD).open("a", encoding="utf-8") if share.rank == 0 else None

    def tell(message: dict[str, Any]) -> None:
        if told:
            told.write(json.dumps(message) + "\n")
            told.flush()

    data, check = (_read(folder, name, config["rates"][name]) for name in ("data", "check"))
    fit = fit_batches(
        data, check,
        config["edges"], config["seed"], Recipe(**config["recipe"]),
        progress=lambda *step: tell({"progress": step}),
        checkpoint=Checkpoint(folder / "checkpoint", config["about"], lambda: tell({"saved": True})),
        share=share,
    )  # fmt: skip
    if told:
        told.close()
        bias = np.array(list(fit.bias.values()))
        np.savez(folder / _FITTED, own=fit.tables.own, pairs=fit.tables.pairs, bias=bias, losses=fit.losses)


def _read(folder: Path, name: str, rate: float) -> Batchable:
    """Rows as they lie on disk, which local workers share; copied where written, which they never are."""
    bins, classes, label, weight = (
        torch.from_numpy(np.load(folder / f"{name}-{array}.npy", mmap_mode="c")) for array in _ARRAYS
    )
    return Batchable(bins, classes, label, weight, rate)


@contextmanager
def _relayed(folder: Path, progress: Progress | None, checkpoint: Checkpoint | None) -> Iterator[None]:
    """Pass on what the first worker tells, while this thread waits for all of them."""
    over = threading.Event()

    def relay() -> None:
        last = False
        lines = _Lines(folder / _TOLD)
        while not last:
            last = over.wait(_POLL_S)
            for message in lines.new():
                if progress and "progress" in message:
                    progress(*message["progress"])
                if checkpoint and "saved" in message:
                    checkpoint.take(folder / "checkpoint")

    with ThreadPoolExecutor(1) as pool:
        relayed = pool.submit(relay)
        try:
            yield
        finally:
            over.set()
        # A checkpoint that could not be kept must not go unnoticed.
        relayed.result()


class _Lines:
    """Whole lines that a file has got since it was last asked."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, 0

    def new(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._seen)
            whole = file.read().rpartition(b"\n")[0]
        self._seen += len(whole) + bool(whole)
        return [json.loads(line) for line in whole.splitlines()]


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
