"""Anonymeter itself, on the same data: the own attacks find what it finds.

It needs an older numpy than this project, so it gets an environment of its own: the interpreter that
``RISKGRAPH_ANONYMETER`` names, or one that is made for the test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph.core.bounds import category_components
from riskgraph.core.catalog import NODE_COUNT
from riskgraph.sandbox.attack import encode
from riskgraph.sandbox.attack.criteria import COLUMNS, linkability, single_out
from riskgraph.sandbox.attack.findings import Finding, Trials, pooled
from riskgraph.sandbox.attack.inference import by_nearest, one_each
from riskgraph.sandbox.attack.records import WIDTH, Records, nodes_of
from riskgraph.sandbox.attack.run import drawn_of

SCRIPT = Path(__file__).parent / "run_anonymeter.py"
PREDICATES, TRIALS = 500, 600


@pytest.fixture(scope="module")
def anonymeter(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that can import it."""
    if named := os.environ.get("RISKGRAPH_ANONYMETER"):
        return named
    folder = tmp_path_factory.mktemp("anonymeter") / "env"
    steps: list[list[str]] = [
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "pip"), "install", "-q", "anonymeter==1.1.0"],
    ]
    for step in steps:
        made = subprocess.run(step, capture_output=True, text=True, check=False)
        if made.returncode:
            last = (made.stderr.strip() or "no message").splitlines()[-1]
            pytest.skip(f"no environment for anonymeter: {last}")
    return str(folder / "bin" / "python")


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def ends(rate: list[float]) -> tuple[float, float]:
    return rate[0] - rate[1], rate[0] + rate[1]


def ask(python: str, folder: Path, sides: dict[str, Records], **choices: Any) -> dict[str, Any]:
    """What anonymeter finds in the same records."""
    np.savez(
        folder / "data.npz",
        category=category_components(), columns=COLUMNS, predicates=PREDICATES, trials=TRIALS, **choices,
        **{f"{name}_values": side.raw.components for name, side in sides.items()},
        **{f"{name}_places": side.place for name, side in sides.items()},
    )  # fmt: skip
    ran = subprocess.run(
        [python, str(SCRIPT), str(folder / "data.npz")], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.slow
def test_the_own_attacks_agree_with_anonymeter_within_intervals(
    anonymeter: str, halves: Any, tmp_path: Path
) -> None:
    published, rng = halves.published, np.random.default_rng(1)
    drawn = encode(published, drawn_of(published))
    sides = [encode(published, raw) for raw in (halves.members, halves.controls)]
    size = min(len(side) for side in sides)
    members, controls = (side.take(np.sort(rng.permutation(len(side))[:size])) for side in sides)
    once = [side.take(one_each(side, rng)[:TRIALS]) for side in (members, controls)]
    # components on many bins that everybody has
    bins = np.array([len(scale.z) for scale in published.scales])
    there = members.present.all(axis=0) & controls.present.all(axis=0) & drawn.present.all(axis=0)
    secrets = np.flatnonzero(there & (bins >= 4))[:2]
    half = np.zeros(NODE_COUNT, dtype=np.bool_)
    half[np.random.default_rng(5).permutation(NODE_COUNT)[: NODE_COUNT // 2]] = True
    named = {"members": members, "controls": controls, "drawn": drawn}
    theirs = ask(anonymeter, tmp_path, named, half=half[nodes_of(np.arange(WIDTH))], secrets=secrets)
    tried: dict[str, Trials] = {
        "singling_out": single_out(members, controls, drawn, PREDICATES, np.random.default_rng(5))[1],
        "linkability": linkability(members, controls, drawn, TRIALS, np.random.default_rng(5))[0],
    }
    member = np.repeat([True, False], [len(side) for side in once])
    unit = np.concatenate([side.unit for side in once])
    for j in secrets:
        hits = [by_nearest(side, drawn, np.full(len(side), j)) for side in once]
        won = np.concatenate(hits).astype(np.float64)
        line = Trials("inference", "nearest", "all", "row", "risk", 0.02, "upper", won, member, unit)
        tried[f"inference c{j}"] = line
    ours: dict[str, Finding] = {name: pooled([line]) for name, line in tried.items()}
    assert set(ours) == set(theirs)
    for name, line in ours.items():
        print(name, line, theirs[name])  # noqa: T201 - shown by pytest -s and on failure
        assert line.lower is not None
        assert line.upper is not None
        assert overlap((line.lower, line.upper), tuple(theirs[name]["ci"])), name
    # the same predicates on the same rows: also the rates themselves
    single = ours["singling_out"]
    for mine, rate in ((single.success, "attack"), (single.control, "control")):
        assert mine is not None
        lower, upper = ends(theirs["singling_out"][rate])
        assert lower - 0.04 <= mine <= upper + 0.04
