"""The offline chain at the size of the figures: a simulated shop of 100,000 orders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import riskgraph
from tests.support.once import made_once

pytest.importorskip("pyarrow", reason="the offline chain needs the extra lab")
pytestmark = pytest.mark.slow

UNTIL = "2026-06-30"
QUARTER = ("--from", "2026-07-01", "--to", "2026-09-30")


def _make(folder: Path) -> None:
    def run(name: str, *arguments: object) -> None:
        ran = riskgraph(*arguments, "--json", home=folder / "home")
        assert ran.code == 0, ran.err
        (folder / f"{name}.json").write_bytes(ran.out)

    world = folder / "world"
    run("simulate", "simulate", "--config", "bench", "--out", world)
    for name in ("first", "second"):
        run(
            name,
            "sandbox",
            "release",
            "--world",
            world,
            "--until",
            UNTIL,
            "--seed",
            1,
            "--out",
            folder / name,
        )
    run("backtest", "backtest", "--world", world, *QUARTER, "--out", folder / "report")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "large-world", _make)


def printed(shop: Path, name: str) -> Any:
    return json.loads((shop / f"{name}.json").read_text("utf-8"))


def test_every_group_of_the_release_is_a_crowd(shop):
    held = printed(shop, "first")["certificate"]["independent"]
    assert held["min_units"] >= 50
    assert held["min_components"] >= 5


def test_a_release_of_the_same_seed_is_the_same_release(shop):
    assert printed(shop, "first")["release_id"] == printed(shop, "second")["release_id"]


def test_the_quarters_figures_stand_inside_their_intervals(shop):
    report = printed(shop, "backtest")
    assert report["provenance"] == "simulated"
    for row in report["figures"]:
        if row["lower"] is not None:
            assert row["lower"] <= row["value"] <= row["upper"], row["name"]
    auc = next(row for row in report["figures"] if row["name"] == "auc")
    assert auc["lower"] > 0.5
