"""Fitters for the utility process: one that behaves, and some that try to carry rows out."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riskgraph.governance.signing import Ed25519Signer
from riskgraph.models import registry
from riskgraph.models.card import read_card
from riskgraph.ports import ArrayScorer, TrainingRows

FOLDER = "UTILITY_TEST_FOLDER"


def distance(rows: TrainingRows, seed: int) -> ArrayScorer:
    """Scores along the difference of the class means."""
    filled = np.nan_to_num(rows.components.astype(np.float64))
    spread = filled.std(axis=0) + 1e-9
    means = [
        np.average(filled[rows.label == c], axis=0, weights=rows.weight[rows.label == c]) for c in (0, 1)
    ]
    axis = (means[1] - means[0]) / spread**2
    return lambda components, availability: np.nan_to_num(components.astype(np.float64)) @ axis


def coin(rows: TrainingRows, seed: int) -> ArrayScorer:
    """Scores that know nothing, the same whatever it is fitted on."""

    def score(components: NDArray[np.float32], availability: NDArray[np.object_]) -> NDArray[np.float64]:
        return np.random.default_rng(seed).random(len(components))

    return score


def hands_out_rows(rows: TrainingRows, seed: int) -> ArrayScorer:
    """Gives rows in place of scores."""
    return lambda components, availability: components.astype(np.float64)


def quotes_a_row(rows: TrainingRows, seed: int) -> ArrayScorer:
    """Fails with a row in its message."""
    raise ValueError(f"secret {rows.components[0].tolist()}")


def dies(rows: TrainingRows, seed: int) -> ArrayScorer:
    """Ends the process."""
    os._exit(7)


def takes_the_pipe(rows: TrainingRows, seed: int) -> ArrayScorer:
    """Finds the pipe and sends rows through it."""
    pipes = [thing for thing in gc.get_objects() if isinstance(thing, Connection)]
    for pipe in pipes:
        pipe.send_bytes(json.dumps(np.nan_to_num(rows.components[:1]).tolist()).encode())
    return distance(rows, seed)


def _promoted(folder: Path, secret: bytes) -> None:
    card = read_card(folder / "model")
    entry = registry.Champion(
        card.name, "model", card.digest, (), "", "observe", (), secret.hex(), "2026-06-30T00:00:00+00:00"
    )  # fmt: skip
    registry.promote(folder, entry, Ed25519Signer(bytes(32)))


def _ways_out(folder: Path, secret: bytes) -> list[Callable[[], object]]:
    libc = ctypes.CDLL(None)

    def native() -> None:
        libc.creat.restype = ctypes.c_int
        handle = libc.creat(str(folder / "native").encode(), 0o600)
        libc.write(handle, secret, len(secret))

    def printed() -> None:
        print(secret)  # noqa: T201
        sys.stderr.write(repr(secret))
        os.write(1, secret)

    return [
        lambda: (folder / "plain").write_bytes(secret),
        lambda: np.save(folder / "array.npy", np.frombuffer(secret, np.uint8)),
        lambda: os.open(folder / "low", os.O_CREAT | os.O_WRONLY),
        lambda: (folder / secret.hex()[:40]).mkdir(),
        lambda: sqlite3.connect(folder / "base.db").execute("create table t (x)"),
        lambda: subprocess.run(["touch", str(folder / "child")], check=True),
        lambda: _promoted(folder, secret),
        native,
        printed,
    ]


def tries_everything(rows: TrainingRows, seed: int) -> ArrayScorer:
    """Tries each way of keeping a row, then behaves."""
    for way in _ways_out(Path(os.environ[FOLDER]), rows.components[0].tobytes()):
        try:
            way()
        except Exception:
            pass
    return distance(rows, seed)
