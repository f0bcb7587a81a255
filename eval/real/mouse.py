"""What the browser SDK would flush of one mouse trajectory, and the components that follow from it.

The SDK sends histograms and no points. Here the same histograms are counted from recorded points, by the
definitions of the catalogue, or by the SDK's own code (:class:`BySdk`), and ``core`` derives the components
from them as it does for an order. The shares of the 16 bins are components too: a subgraph stores them,
rounded in ``core`` like here.

Of the pointer nodes, B022 to B025 need buttons to click on, which a recording has not.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, HISTOGRAM_COMPONENTS, catalog
from riskgraph.core.components import histogram_components, histogram_shares
from riskgraph.core.errors import Unavailable

Floats = NDArray[np.float64]
# Longest gap between two samples of one step, and of one interval; shortest pause. In ms (B014, B015, B013).
_STEP_MS, _INTERVAL_MS, _PAUSE_MS = 100.0, 1000.0, 100.0
# Node and name of each histogram. Pauses are those of B013, with the whole recording as its zone.
HISTOGRAMS = {"B014": "", "B015": "", "B016": "", "B017": "", "B013": "pause"}
NUMBERS = ("B018.value", "B019.value", "B020.value", "B021.value")
# The same as the SDK flushes them: histograms by zone and name, and counters to be divided.
FLUSHED = {
    "B014": "any.ptr_speed", "B015": "any.ptr_gap", "B016": "any.ptr_accel", "B017": "any.ptr_turn",
    "B013": "address.ptr_pause",
}  # fmt: skip
_STRAIGHTNESS = "any.reach_efficiency"
_SHARES = (("micro_reversals", "micro_steps"), ("reach_peaks", "reach_s"), ("axis_steps", "long_steps"))
# Of a reach: how many steps a speed is smoothed over, and the least height of a peak (B020).
_SMOOTH, _PEAK = 5, 0.2


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Recorded points of one mouse movement.

    Attributes:
        t: float64[n], milliseconds, not falling.
        x, y: float64[n], pixels.
    """

    t: Floats
    x: Floats
    y: Floats


@dataclass(frozen=True, eq=False)
class Steps:
    """Moves between consecutive points.

    Attributes:
        dt, dx, dy, length: float64[n - 1], ms and pixels.
        near: bool[n - 1], both points at most 100 ms apart: a mouse step of the catalogue.
        speed: float64[n - 1], px/s, 0 where ``near`` does not hold.
    """

    dt: Floats
    dx: Floats
    dy: Floats
    length: Floats
    near: NDArray[np.bool_]
    speed: Floats

    @classmethod
    def of(cls, one: Trajectory) -> Steps:
        dt, dx, dy = np.diff(one.t), np.diff(one.x), np.diff(one.y)
        length, near = np.hypot(dx, dy), (dt > 0) & (dt <= _STEP_MS)
        speed = np.divide(1000.0 * length, dt, out=np.zeros_like(dt), where=near)
        return cls(dt, dx, dy, length, near, speed)

    @property
    def turns(self) -> Floats:
        """Absolute angle between consecutive steps, 0 to pi: float64[n - 2]."""
        dx, dy = self.dx, self.dy
        cross, inner = dx[:-1] * dy[1:] - dy[:-1] * dx[1:], dx[:-1] * dx[1:] + dy[:-1] * dy[1:]
        return np.asarray(np.abs(np.arctan2(cross, inner)), dtype=np.float64)


Measured = Callable[[Iterable[Trajectory]], NDArray[np.float32]]


def component_names() -> tuple[str, ...]:
    """Catalogue names of what :func:`components` returns, and names for the shares of bins."""
    prefixes = [f"{node}.{name}." if name else f"{node}." for node, name in HISTOGRAMS.items()]
    derived = [prefix + part for prefix in prefixes for part in HISTOGRAM_COMPONENTS]
    return (*derived, *NUMBERS, *(f"{prefix}bin{i}" for prefix in prefixes for i in range(BIN_COUNT)))


def components(recorded: Iterable[Trajectory]) -> NDArray[np.float32]:
    """Components float32[N, 109] of N trajectories, NaN where nothing could be counted.

    The minimum counts below which the catalogue calls a node absent are left out: they guard whole
    visits, and a recording here is one gesture. So it is one reach, from its first point to its last.
    """
    rows = []
    for one in recorded:
        steps, edges = Steps.of(one), _edges()
        counts = {node: histogram(values, edges[node]) for node, values in samples(steps).items()}
        rows.append(_row(counts, _numbers(one, steps)))
    return np.array(rows, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class BySdk:
    """The same components as :func:`components`, counted by the SDK's own code in Node.

    A reach of the SDK begins anew after a rest, and its straightness comes from a histogram of 16 bins; so
    B018 and B020 may differ from those of :func:`components`, which takes a recording for one reach.

    Attributes:
        folder: ``sdk_js`` of a checkout, its packages installed.
    """

    folder: Path

    def __call__(self, recorded: Iterable[Trajectory]) -> NDArray[np.float32]:
        """Components float32[N, 109] of N trajectories, NaN where nothing could be counted.

        Raises:
            Unavailable: If Node or the folder is not there, or the replay failed.
        """
        return np.array([self._row(sums) for sums in self.sums(recorded)], dtype=np.float32)

    def sums(self, recorded: Iterable[Trajectory]) -> list[dict[str, dict[str, list[int] | float]]]:
        """``histograms`` and ``counters`` of each trajectory, as the SDK would flush them."""
        lines = "".join(
            json.dumps({"t": one.t.tolist(), "x": one.x.tolist(), "y": one.y.tolist()}) + "\n"
            for one in recorded
        )
        command = ["node", "bench/replay.mjs"]
        try:
            done = subprocess.run(
                command, cwd=self.folder, input=lines, capture_output=True, text=True, check=True
            )
        except FileNotFoundError as wrong:
            raise Unavailable(
                f"{wrong.filename} is not here: needs Node and a checkout with sdk_js"
            ) from wrong
        except subprocess.CalledProcessError as wrong:
            told = wrong.stderr.strip().splitlines()[-1:] or ["no message"]
            raise Unavailable(f"the SDK's replay failed (make sdk installs it): {told[0]}") from wrong
        return [json.loads(line) for line in done.stdout.splitlines()]

    @staticmethod
    def _row(sums: Mapping[str, Mapping[str, list[int] | float]]) -> Floats:
        found, counters = sums["histograms"], sums["counters"]
        none = [0] * BIN_COUNT
        counts = {node: np.array(found.get(key, none), dtype=np.int64) for node, key in FLUSHED.items()}
        straight = np.array(found.get(_STRAIGHTNESS, none), dtype=np.int64)
        middle = np.nan
        if straight.any():
            middle = float(histogram_components(np.linspace(0, 1, BIN_COUNT + 1)[None], straight[None])[0][1])
        shares = [
            float(counters.get(of, 0)) / float(counters[over]) if counters.get(over) else np.nan  # type: ignore[arg-type]
            for of, over in _SHARES
        ]
        return _row(counts, np.array([middle, *shares]))


def samples(steps: Steps) -> dict[str, Floats]:
    """What goes into each histogram, by node: px/s, ms, px/s2, rad and ms."""
    dt, both = steps.dt, steps.near[1:] & steps.near[:-1]
    between = (dt[1:] + dt[:-1]) / 2000.0
    long = both & (steps.length[1:] >= 2) & (steps.length[:-1] >= 2)
    return {
        "B014": steps.speed[steps.near],
        "B015": dt[(dt >= 0) & (dt <= _INTERVAL_MS)],
        "B016": np.abs(np.diff(steps.speed))[both] / between[both],
        "B017": steps.turns[long],
        "B013": dt[dt >= _PAUSE_MS],
    }


@lru_cache(maxsize=1)
def _edges() -> Mapping[str, Floats]:
    """float64[17] of each histogram, as the catalogue has them."""
    return {
        node: np.array(next(h.edges for h in catalog()[node].histograms if h.name == name))
        for node, name in HISTOGRAMS.items()
    }


def histogram(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Counts int64[16]; the last bin is open above."""
    place = np.searchsorted(edges[1:-1], values, side="right")
    return np.bincount(place, minlength=len(edges) - 1).astype(np.int64)


def _row(counts: Mapping[str, NDArray[np.int64]], numbers: Floats) -> Floats:
    """Derived components of the histograms float64[25], the four numbers, and shares of bins float64[80]."""
    derived = np.full((len(HISTOGRAMS), len(HISTOGRAM_COMPONENTS)), np.nan)
    shares = np.full((len(HISTOGRAMS), BIN_COUNT), np.nan)
    for row, (node, edges) in enumerate(_edges().items()):
        if counts[node].any():
            derived[row] = histogram_components(edges[None], counts[node][None])[0]
            shares[row] = histogram_shares(counts[node][None])[0]
    return np.concatenate([derived.ravel(), numbers, shares.ravel()])


def _numbers(one: Trajectory, steps: Steps) -> Floats:
    """B018 straightness, B019 reversals of small steps, B020 peaks a second, B021 axis-aligned steps."""
    path = float(steps.length.sum())
    straight = float(np.hypot(one.x[-1] - one.x[0], one.y[-1] - one.y[0])) / path if path else np.nan
    small = steps.near[1:] & steps.near[:-1] & (steps.length[:-1] > 0)
    small &= (steps.length[1:] >= 1) & (steps.length[1:] <= 5)
    aligned = (steps.dx == 0) | (steps.dy == 0)
    large = steps.near & (steps.length >= 4)
    return np.array([straight, _mean(steps.turns[small] > np.pi / 2), _peaks(steps), _mean(aligned[large])])


def _peaks(steps: Steps) -> float:
    """Peaks of the smoothed speed per second; NaN where there are too few steps for one."""
    if len(steps.dt) < _SMOOTH + 2 or steps.dt.sum() <= 0:
        return float("nan")
    speed = np.convolve(steps.speed, np.ones(_SMOOTH) / _SMOOTH, "valid")
    here = speed[1:-1]
    peak = (here > speed[:-2]) & (here > speed[2:]) & (here > _PEAK * speed.max())
    return float(peak.sum() / (steps.dt.sum() / 1000.0))


def _mean(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else float("nan")
