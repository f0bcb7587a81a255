"""``riskgraph bench sandbox``: measures and counters that judge every tool alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph import bootstrap
from riskgraph.bench import Figure, child, peers, sandbox
from riskgraph.bench.pair_weight import PairWeight

NAMES = {
    "min_units", "min_components", "max_component_share", "partition_rows_s", "s_100k", "s_1m", "mb_1m",
    "speed_vs_anonypy", "speed_vs_anjana", "ncp_ratio", "sse_ratio_mdav", "pair_weight_kept",
}  # fmt: skip


def _quiet(*_: object) -> None:
    pass


def _made(units: int, share: float) -> sandbox.Made:
    counted = {"min_units": units, "min_components": 7, "max_component_share": share}
    spent = {
        "rows": 900,
        "partition_s": 0.1,
        "count_s": 0.1,
        "cells_s": 0.05,
        "r1_r3_s": 0.05,
        "total_s": 1.0,
    }
    manifest = {"certificate": {"groups": 4, "independent": counted}, "timings": spent}
    return sandbox.Made(child.Ran(2.0, 300.0), manifest)


def test_every_figure_that_was_asked_for_has_a_place() -> None:
    assert {name for names in sandbox.PARTS.values() for name in names} >= NAMES


def test_the_smallest_group_of_all_releases_counts(tmp_path: Path) -> None:
    made = {sandbox.SMALL: _made(60, 0.2), sandbox.LARGE: _made(51, 0.4)}
    found = {f.name: f for f in sandbox.crowds(sandbox.Bench(tmp_path, _quiet, made=made))}
    assert {name: f.value for name, f in found.items()} == {
        "min_units": 51, "min_components": 7, "max_component_share": 0.4,
    }  # fmt: skip
    assert all("over 8 groups" in f.note and "100,000 and 1,000,000" in f.note for f in found.values())


def test_rows_a_second_include_every_count(tmp_path: Path) -> None:
    made = {sandbox.SMALL: _made(60, 0.2)}
    rate, seconds = sandbox.small(sandbox.Bench(tmp_path, _quiet, made=made))
    assert rate.value == pytest.approx(900 / 0.3)
    assert seconds.value == 2.0
    assert "cells 0.1" in seconds.note


@pytest.mark.parametrize("name", ["speed_vs_anjana", "ncp_ratio"])
def test_a_missing_peer_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(peers.PYTHON, raising=False)
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    (figure,) = sandbox.run({name}, _quiet)
    assert figure.value is None
    assert peers.PYTHON in figure.note


def test_a_speed_is_how_many_times_longer_the_other_tool_took(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(values: peers.Ints) -> peers.Output:
        return peers.Output(8.0, np.repeat(np.arange(len(values) // 100), 100))

    monkeypatch.setattr(peers, "ours", lambda values: peers.Output(0.5, slow(values).group))
    monkeypatch.setattr(peers, "anonypy", slow)
    monkeypatch.setattr(sandbox, "ANONYPY_ROWS", 1_000)
    (figure,) = sandbox.run({"speed_vs_anonypy"}, _quiet)
    assert figure.value == 16.0
    assert "8.0 s of CPU against 0.500 s" in figure.note
    assert "recounted 100 and 100" in figure.note


def test_without_torch_the_weight_of_pairs_is_told_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "find_spec", lambda name: None)
    (figure,) = sandbox.run({"pair_weight_kept"}, _quiet)
    assert figure.value is None
    assert "riskgraph[train]" in figure.note


def test_the_weight_of_pairs_is_that_of_all_of_them_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = [PairWeight(("B110", "B112"), 1, 2.0, 1.8), PairWeight(("B001", "B002"), 1, 0.01, 0.21)]
    monkeypatch.setattr(bootstrap, "require_extra", lambda *_: None)
    monkeypatch.setattr(sandbox, "measure_pairs", lambda *_, **__: weights)
    monkeypatch.setattr(sandbox, "_hard_history", lambda _: None)
    (figure,) = sandbox.pair_weight(sandbox.Bench(tmp_path, _quiet))
    assert figure.value == pytest.approx(1.0)
    assert "B001-B002 0.21 of 0.01" in figure.note


@pytest.mark.slow
def test_the_weight_of_pairs_is_measured_on_a_world(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the extra train has torch")
    monkeypatch.setattr(sandbox, "HARD_ORDERS", 40_000)
    monkeypatch.setattr(sandbox, "PLANTED_EPOCHS", 2)
    monkeypatch.setattr(sandbox, "PLANTED_SEEDS", (1,))
    (figure,) = sandbox.run({"pair_weight_kept"}, _quiet)
    # How much is kept, the bench says on the whole world; two epochs learn little of it.
    assert figure.value is not None, figure
    assert "B110-B112" in figure.note


def test_the_data_of_the_comparison_are_the_same_each_time_and_fill_every_field() -> None:
    values = peers.adult_like(5_000, 1)
    assert np.array_equal(values, peers.adult_like(5_000, 1))
    assert (values.min(axis=0) == 0).all()
    assert (values.max(axis=0) == np.array(list(peers.FIELDS.values())) - 1).all()


def test_certainty_lost_is_the_mean_width_and_a_suppressed_record_loses_all() -> None:
    values = np.array([[0, 0], [10, 0], [0, 4], [0, 4], [5, 2]])
    group = np.array([0, 0, 1, 1, -1])
    # one class is as wide as its first field and has one value in the other; one has no width; one is lost
    assert peers.ncp(values, group) == pytest.approx((2 * 0.5 + 2 * 0 + 1) / 5)
    assert peers.ncp(values, np.zeros(5, dtype=np.int64)) == 1.0


def test_classes_that_publish_the_same_ranges_count_as_one() -> None:
    values = np.array([[1, 1], [2, 2], [1, 1], [2, 2], [9, 9]])
    assert peers.smallest_class(values, np.array([0, 0, 1, 1, 2])) == 1
    assert peers.smallest_class(values, np.array([0, 0, 1, 1, -1])) == 4


@given(count=st.integers(6, 90), k=st.integers(2, 6), seed=st.integers(0, 999))
def test_microaggregation_makes_groups_of_k_and_beats_one_group(count: int, k: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    group = peers.mdav(points, k)
    assert k <= np.bincount(group).min()
    assert np.bincount(group).max() < 2 * k or count < 2 * k
    error = sum(
        float(((points[group == g] - points[group == g].mean(axis=0)) ** 2).sum())
        for g in range(group.max() + 1)
    )
    assert peers.squared_error(points, group) == pytest.approx(error, rel=1e-4, abs=1e-4)
    assert error <= peers.squared_error(points, np.zeros(count, dtype=np.int32)) * (1 + 1e-4) + 1e-4


def test_anonypy_and_our_partition_reach_k_on_the_same_records() -> None:
    pytest.importorskip("anonypy", reason="the extra peers has anonypy")
    values = peers.adult_like(3_000, 1)
    mine, theirs = peers.ours(values), peers.anonypy(values)
    assert min(peers.smallest_class(values, out.group) for out in (mine, theirs)) >= peers.K
    assert peers.ncp(values, mine.group) < peers.ncp(values, theirs.group)


@pytest.mark.slow
def test_a_release_is_measured_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SMALL", 30_000)
    monkeypatch.setattr(sandbox, "MDAV_ROWS", 4_000)
    asked = {"partition_rows_s", "s_100k", "min_units", "sse_ratio_mdav"}
    found: dict[str, Figure] = {f.name: f for f in sandbox.run(asked, _quiet)}
    assert set(found) == asked
    values: dict[str, Any] = {name: f.value for name, f in found.items()}
    assert values["min_units"] >= 50, found
    assert values["partition_rows_s"] > 100
    # How good it is, the bench says at 20,000 rows; on so few the splits are coarse.
    assert values["sse_ratio_mdav"] > 0
