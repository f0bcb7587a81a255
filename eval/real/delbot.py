"""DELBOT: circles drawn by people on two devices and by bots of two families.

Each recording is a row, seen through what the SDK would flush of it (:mod:`riskgraph.eval.real.mouse`).
One human device and one bot family are trained on, the other device and the other family measured.

Devices differ more than people and bots do: what the histograms hold is mostly the clock and the pointer.
The product therefore never judges a trajectory without a baseline of its own merchant's people
(contracts, section 6), and abstains until there is one. Here too: half of a device's people are its
baseline, unlabelled and never scored, and a component becomes how far outside the baseline's middle it
lies. ``strict`` leaves the baseline out, for comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.real import Fold, find
from riskgraph.eval.real.mouse import Measured, Trajectory, component_names, components

FILE = "delbot_mouse/delbot_mouse.zip"
PEOPLE, BOTS = ("circles_human_pc2", "circles_human_vm"), ("circles_bot_gan", "circles_bot_pynput")
# Median, and the middle nine tenths.
_LOW, _MIDDLE, _HIGH = 0.05, 0.5, 0.95
# Values of a component that make a baseline, and the least half width, in medians.
_ENOUGH, _LEAST = 20, 0.01

Values = NDArray[np.float32]


@lru_cache(maxsize=1)
def read(path: Path, measured: Measured = components) -> dict[str, Values]:
    """Components of the recordings of each group; those with fewer than two moves have none."""
    found: dict[str, list[Trajectory]] = {group: [] for group in (*PEOPLE, *BOTS)}
    with ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            group, _, file = name.partition("/")
            if file:
                lines = archive.read(name).decode("ascii").splitlines()[1:]
                moves = [(t, x, y) for t, kind, x, y in (line.split(",") for line in lines) if kind == "Move"]
                if len(moves) >= 2:
                    found[group].append(Trajectory(*np.array(moves, dtype=np.float64).T))
    return {group: measured(recorded) for group, recorded in found.items()}


def distance(baseline: Values, values: Values) -> Values:
    """How far each component lies from the baseline's median, in half widths of its middle 90 %.

    1 is the edge of what is usual, on either side, 0 its middle. NaN where a component is absent, or has
    too few values in the baseline to say what is usual.
    """
    out = np.full(values.shape, np.nan, dtype=np.float32)
    for column in range(values.shape[1]):
        usual = baseline[:, column]
        usual = usual[~np.isnan(usual)]
        if len(usual) < _ENOUGH:
            continue
        low, middle, high = np.quantile(usual, [_LOW, _MIDDLE, _HIGH])
        off = values[:, column] - middle
        # Where the baseline hardly varies, the least difference must not count as far outside.
        width = np.where(off > 0, high - middle, middle - low)
        out[:, column] = np.abs(off) / np.maximum(width, _LEAST * max(abs(middle), 1.0))
    return out


def folds(
    data: Path | None, seed: int, *, strict: bool = False, measured: Measured = components
) -> Iterator[Fold]:
    """The four ways to leave out a device and a family.

    Raises:
        Unavailable: If the set is not there.
    """
    groups = read(find(data, FILE), measured)
    rng = np.random.default_rng(seed)
    halves = {name: np.array_split(rng.permutation(len(groups[name])), 2) for name in PEOPLE}

    def part(people: str, bots: str) -> tuple[Values, int]:
        usual, scored = (groups[people][rows] for rows in halves[people])
        values = np.concatenate([scored, groups[bots]])
        return (values if strict else distance(usual, values)), len(scored)

    for device in (0, 1):
        for family in (0, 1):
            train, train_people = part(PEOPLE[device], BOTS[family])
            test, test_people = part(PEOPLE[1 - device], BOTS[1 - family])
            place = np.arange(len(train) + len(test))
            bot = (place >= train_people) & ((place < len(train)) | (place >= len(train) + test_people))
            yield Fold(
                name=f"{PEOPLE[1 - device]} and {BOTS[1 - family]} unseen",
                components=component_names(),
                values=np.concatenate([train, test]),
                words=(0,) * train.shape[1],
                label=bot,
                train=place[: len(train)],
                held_out=np.empty(0, dtype=np.intp),
                test=place[len(train) :],
            )
