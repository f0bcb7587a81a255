"""The partition beside other tools: the same eight fields, k on records, one measure, one counter.

anonypy comes with ``riskgraph[peers]``. anjana pins numpy 2.0.2, which riskgraph cannot use, and so
runs in an environment of its own, whose Python ``RISKGRAPH_PEERS_PYTHON`` names.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riskgraph.bench import peer_anjana
from riskgraph.core.errors import CheckFailed, Unavailable
from riskgraph.sandbox.records import partition_records

K = 50
SUPPRESSED = 5
PYTHON = "RISKGRAPH_PEERS_PYTHON"
# Fields of the Adult census data (UCI) and how many values each takes.
FIELDS = {
    "age": 74,
    "workclass": 8,
    "education": 16,
    "marital_status": 7,
    "occupation": 14,
    "race": 5,
    "sex": 2,
    "hours": 99,
}

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Output:
    """What a tool made of N records.

    Attributes:
        seconds: CPU time of its partition; all run on one core, and others may share it.
        group: int64[N], class of each record; -1 where it was suppressed.
    """

    seconds: float
    group: Ints


def adult_like(rows: int, seed: int) -> Ints:
    """int64[rows, 8]: codes with the fields and sizes of Adult, skewed, and correlated by two factors."""
    rng = np.random.default_rng(seed)
    levels = np.array(list(FIELDS.values()))
    factors = rng.standard_normal((rows, 2)) @ rng.normal(0, 0.6, (2, len(levels)))
    ranks = (factors + rng.standard_normal(factors.shape)).argsort(axis=0).argsort(axis=0)
    return np.floor(levels * (ranks / rows) ** 1.7).astype(np.int64)


def ours(values: Ints) -> Output:
    """Our partition of plain records."""
    partition_records(values[: 2 * K], K)
    return _with_cpu_seconds(lambda: partition_records(values, K).astype(np.int64))


def anonypy(values: Ints) -> Output:
    """The Mondrian of anonypy, its partition alone, without the text that it makes of it.

    Raises:
        Unavailable: If it is not installed.
    """
    if find_spec("anonypy") is None or find_spec("pandas") is None:
        raise Unavailable("anonypy is not installed: pip install 'riskgraph[peers]'")
    import pandas as pd
    from anonypy.mondrian import Mondrian

    frame = pd.DataFrame(values, columns=list(FIELDS))

    def run() -> Ints:
        group = np.full(len(values), -1, dtype=np.int64)
        for number, members in enumerate(Mondrian(frame, list(FIELDS)).partition(K)):
            group[np.asarray(members)] = number
        return group

    return _with_cpu_seconds(run)


def anjana(values: Ints) -> Output:
    """Generalisation of anjana over nested intervals, at most 5 % of the records suppressed.

    Raises:
        Unavailable: If no Python that has it is named.
        CheckFailed: If it fails there; its last words are told.
    """
    python = os.environ.get(PYTHON)
    if not python:
        raise Unavailable(
            f"anjana pins numpy 2.0.2 and needs an environment of its own: python -m venv DIR && "
            f"DIR/bin/pip install anjana, then set {PYTHON}=DIR/bin/python"
        )
    with tempfile.TemporaryDirectory(prefix="riskgraph-anjana-") as folder:
        source, target = Path(folder) / "in.npy", Path(folder) / "out.npz"
        np.save(source, values)
        script = [python, "-I", peer_anjana.__file__, str(source), str(target), str(K), str(SUPPRESSED)]
        ended = subprocess.run(script, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise CheckFailed(f"anjana ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")
        with np.load(target) as out:
            group = np.full(len(values), -1, dtype=np.int64)
            group[out["kept"]] = np.unique(out["codes"], axis=0, return_inverse=True)[1].ravel()
            return Output(float(out["seconds"]), group)


def _with_cpu_seconds(call: Callable[[], Ints]) -> Output:
    start = time.process_time()
    group = call()
    return Output(time.process_time() - start, group)


def _ranges(values: Ints, group: Ints) -> tuple[Ints, Ints, Ints]:
    """Lowest and highest value of each class, int64[G, Q], and its records, without suppressed ones."""
    kept = np.flatnonzero(group >= 0)
    order = kept[np.argsort(group[kept], kind="stable")]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    low, high = (f.reduceat(values[order], starts, axis=0) for f in (np.minimum, np.maximum))
    return low, high, np.diff(np.append(starts, len(order)))


def smallest_class(values: Ints, group: Ints) -> int:
    """The k of an output, counted over what would be published: each class's ranges of all fields."""
    low, high, size = _ranges(values, group)
    _, place = np.unique(np.hstack([low, high]), axis=0, return_inverse=True)
    return int(np.bincount(place.ravel(), weights=size).min())


def ncp(values: Ints, group: Ints) -> float:
    """Normalised certainty penalty (Xu et al., KDD 2006) over tight ranges; a suppressed record costs 1."""
    low, high, size = _ranges(values, group)
    width = ((high - low) / np.maximum(np.ptp(values, axis=0), 1)).mean(axis=1)
    return float(((width * size).sum() + (len(values) - size.sum())) / len(values))


def mdav(points: NDArray[np.float32], k: int) -> NDArray[np.int32]:
    """Fixed-size microaggregation, MDAV-generic (Domingo-Ferrer and Torra 2005, algorithm 5.1).

    Args:
        points: float32[N, D].
        k: Least number of points in a group, at most N.

    Returns:
        int32[N], the group of each point.
    """
    left, group, made = np.arange(len(points)), np.empty(len(points), dtype=np.int32), 0

    def gather(left: NDArray[np.intp], seed: NDArray[np.float32]) -> NDArray[np.intp]:
        nonlocal made
        near = np.argpartition(_distance(points[left], seed), k - 1)[:k]
        group[left[near]] = made
        made += 1
        return np.delete(left, near)

    while len(left) >= 2 * k:
        rest = points[left]
        far = rest[np.argmax(_distance(rest, rest.mean(axis=0)))]
        opposite = rest[np.argmax(_distance(rest, far))]
        both = len(left) >= 3 * k
        left = gather(left, far)
        if both:
            left = gather(left, opposite)
    group[left] = made
    return group


def _distance(points: NDArray[np.float32], one: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distance of each point to one point."""
    apart = points - one
    out: NDArray[np.float32] = np.einsum("nd,nd->n", apart, apart)
    return out


def squared_error(points: NDArray[np.float32], group: NDArray[np.int32]) -> float:
    """Sum of squared distances of all points to the mean of their group."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sums = np.add.reduceat(points[order].astype(np.float64), starts, axis=0)
    size = np.diff(np.append(starts, len(order)))
    return float(np.square(points, dtype=np.float64).sum() - (np.square(sums).sum(axis=1) / size).sum())
