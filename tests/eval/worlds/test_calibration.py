"""Simulated people behave as measured people do, node by node, from the 5th to the 95th percentile.

``RISKGRAPH_UCI`` may name a folder with the UCI set Online Shoppers Purchasing Intention.
"""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import NotFound
from riskgraph.eval.worlds import World, preset, simulate
from riskgraph.eval.worlds.behavior import seconds_in
from riskgraph.eval.worlds.calibration import PERCENTS, TARGETS, compare

UCI = "online_shoppers_intention.csv.gz"
NAMES = [target.name for target in TARGETS]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    config = preset("world-1").scaled(orders=16_000)
    return World.open(simulate(config, 23, tmp_path_factory.mktemp("calibrated") / "w"))


@pytest.fixture(scope="module")
def rows(world: World) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in compare(world, oracle=True)}


@pytest.mark.parametrize("name", NAMES)
def test_honest_people_of_a_later_world_lie_near_measured_ones(
    name: str, rows: dict[str, dict[str, Any]]
) -> None:
    assert rows[name]["near"], rows[name]["octaves"]


def test_published_worlds_meet_the_medians_of_hands_and_not_every_tail(larger_world: World) -> None:
    found = {row["name"]: row for row in compare(larger_world, oracle=True)}
    for name in ("key_hold_ms", "key_interval_ms", "mouse_speed_px_s", "session_s"):
        assert abs(found[name]["octaves"][2]) < 0.25
    assert not all(row["near"] for row in found.values())


def test_a_visit_lasts_as_long_as_its_product_pages_were_seen(world: World) -> None:
    for part in world.parts(["B001", "B010"]):
        pairs = zip(part["B001"].to_pylist(), part["B010"].to_pylist(), strict=True)
        both = [(counts, lasts) for counts, lasts in pairs if counts is not None and lasts is not None]
        seen = seconds_in(catalog()["B001"].histograms[0], np.array([counts for counts, _ in both]))
        assert (np.array([lasts for _, lasts in both]) > seen - 0.1).all()


def test_nodes_that_a_world_does_not_hold_are_left_out(small_world: World, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    source = small_world.order_files[0]
    bare = tmp_path / "bare"
    (bare / "observed").mkdir(parents=True)
    table = pq.read_table(source)
    pq.write_table(table.drop_columns(["B010"]), bare / "observed" / source.name)
    names = {row["name"] for row in compare(World(bare, small_world.manifest))}
    assert names == set(NAMES) - {"session_s"}
    with pytest.raises(NotFound, match="oracle"):
        compare(World(bare, small_world.manifest), oracle=True)


def test_the_quantiles_of_the_uci_set_are_the_stated_ones() -> None:
    if "RISKGRAPH_UCI" not in os.environ:
        pytest.skip("RISKGRAPH_UCI does not name a folder with the UCI set")
    with gzip.open(Path(os.environ["RISKGRAPH_UCI"]) / UCI, "rt", encoding="utf-8") as lines:
        sessions = [line for line in csv.reader(lines) if line[0] != "Administrative"]
    numbers = np.array([line[:6] for line in sessions], dtype=np.float64)
    bought = np.array([line[17] == "TRUE" for line in sessions])
    pages, seconds = numbers[:, 4], numbers[:, 5]
    dwelt = seconds > 0
    dwell = seconds[dwelt] / pages[dwelt]
    found = {
        "product_dwell_s": dwell,
        "product_dwell_buyers_s": dwell[bought[dwelt]],
        "product_pages": pages[bought],
        "pages": numbers[bought][:, [0, 2, 4]].sum(axis=1),
        "session_s": numbers[bought][:, [1, 3, 5]].sum(axis=1),
    }
    for target in TARGETS:
        if target.source.startswith("UCI"):
            values = found.pop(target.name)
            assert f"{len(values):,}" in target.source
            assert np.percentile(values, PERCENTS) == pytest.approx(target.people, rel=0.006)
    assert not found
