"""Adapters on small files in the formats of the sets."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray

from riskgraph.core.errors import Unavailable
from riskgraph.eval.real import VARIABLE, Fold, amazon, by_class, delbot, dsjtzs, find, insurance, tolokers
from riskgraph.eval.real.mouse import Trajectory, components
from riskgraph.eval.real.neighbours import Graph, extremes, known_neighbours, means

pytest.importorskip("scipy")

HEADER = (
    "Month,WeekOfMonth,Make,Sex,MaritalStatus,Age,VehiclePrice,VehiclePrice_min,FraudFound_P,PolicyNumber,"
    "Days_Policy_Claim,Days_Policy_Claim_Min,Days_Policy_Claim,AgeOfPolicyHolder,NumberOfCars,Year"
).split(",")


def disjoint(fold: Fold) -> bool:
    rows = np.concatenate([fold.train, fold.held_out, fold.test])
    return len(np.unique(rows)) == len(rows)


def path_graph() -> Graph:
    """0 - 1 - 2 - 3, and 4 alone; one edge twice, one loop."""
    return Graph.of(5, np.array([[0, 1], [2, 1], [1, 2], [2, 3], [4, 4]]))


def test_loops_and_repeated_edges_do_not_count() -> None:
    assert path_graph().degree.tolist() == [1, 2, 2, 1, 0]


def test_means_look_one_and_two_steps_around() -> None:
    columns = means(path_graph(), np.array([[0.0], [1.0], [2.0], [3.0], [9.0]]))
    np.testing.assert_allclose(columns["x0.mean"], [1, 1, 2, 2, np.nan])
    np.testing.assert_allclose(columns["x0.mean2"], [1, 1.5, 1.5, 2, np.nan])
    np.testing.assert_allclose(columns["degree.mean"], [2, 1.5, 1.5, 2, np.nan])


def test_extremes_are_those_of_neighbours_alone() -> None:
    columns = extremes(path_graph(), np.array([[0.0], [1.0], [2.0], [3.0], [9.0]]))
    np.testing.assert_allclose(columns["x0.min"], [1, 0, 1, 2, np.nan])
    np.testing.assert_allclose(columns["x0.max"], [1, 2, 3, 2, np.nan])
    np.testing.assert_allclose(columns["x0.sum"], [1, 2, 4, 2, 0])


def test_known_labels_are_those_of_training_neighbours_and_never_the_own() -> None:
    label = np.array([True, False, True, True, True])
    known = known_neighbours(path_graph(), label, np.array([0, 1]))
    assert known["known.count"].tolist() == [0, 1, 0, 0, 0]
    flipped = known_neighbours(path_graph(), label ^ np.array([0, 0, 1, 1, 1], dtype=bool), np.array([0, 1]))
    assert all(np.array_equal(known[name], flipped[name]) for name in known)


def test_parts_by_class_hold_each_row_once_and_both_classes_alike() -> None:
    label = np.arange(200) % 10 == 0
    parts = by_class(label, (0.4, 0.2), 3)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(200))
    assert [int(label[p].sum()) for p in parts] == [8, 4, 8]
    assert any((a != b).any() for a, b in zip(parts, by_class(label, (0.4, 0.2), 4), strict=True))


@pytest.fixture
def tolokers_data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    part = np.stack([rng.permutation(40) % 4 for _ in range(10)])
    (tmp_path / "tolokers").mkdir()
    np.savez(
        tmp_path / tolokers.FILE,
        node_features=rng.random((40, 10)).astype(np.float32),
        node_labels=rng.integers(0, 2, 40),
        edges=rng.integers(0, 40, (90, 2)),
        train_masks=part < 2,
        val_masks=part == 2,
        test_masks=part == 3,
    )
    return tmp_path


def test_the_splits_of_tolokers_are_the_given_ones(tolokers_data: Path) -> None:
    folds = list(tolokers.folds(tolokers_data))
    assert len(folds) == 10
    with np.load(tolokers_data / tolokers.FILE) as stored:
        for i, fold in enumerate(folds):
            assert np.array_equal(fold.test, np.flatnonzero(stored["test_masks"][i]))
            assert disjoint(fold)
            assert fold.values.shape == (40, len(fold.components))


def test_labels_of_test_workers_change_no_component(tolokers_data: Path) -> None:
    before = next(iter(tolokers.folds(tolokers_data)))
    with np.load(tolokers_data / tolokers.FILE) as stored:
        arrays = dict(stored)
    unseen = np.concatenate([before.test, before.held_out])
    arrays["node_labels"][unseen] = 1 - arrays["node_labels"][unseen]
    np.savez(tolokers_data / tolokers.FILE, **arrays)
    after = next(iter(tolokers.folds(tolokers_data)))
    assert (after.label != before.label).sum() == len(unseen)
    np.testing.assert_array_equal(after.values, before.values)


def test_amazon_is_split_forty_twenty_forty(tmp_path: Path) -> None:
    io, sparse = pytest.importorskip("scipy.io"), pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(1)
    (tmp_path / "amazon_upu").mkdir()
    stored = {
        "Attributes": sparse.csc_matrix(rng.random((50, 25))),
        "Network": sparse.csc_matrix((rng.random((50, 50)) < 0.1).astype(float)),
        "Label": (np.arange(50) % 5 == 0).astype(np.uint8)[:, None],
    }
    io.savemat(tmp_path / amazon.FILE, stored)
    folds = list(amazon.folds(tmp_path, range(2)))
    assert [[len(part) for part in (f.train, f.held_out, f.test)] for f in folds] == [[20, 10, 20]] * 2
    assert all(map(disjoint, folds))
    assert folds[0].values.shape == (50, 3 * 26)


def claim(month: str, year: str, make: str, fraud: str) -> list[str]:
    return [
        month, "3", make, "Female", "Single", "34", "20000 to 29000", "20000", fraud, "17", "more than 30",
        "30", "2 to 4", "31 to 35", "1 vehicle", year,
    ]  # fmt: skip


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    rows = [claim("Jan", "1994", "Honda", "0"), claim("Mar", "1994", "Ford", "1")]
    rows += [
        claim("May", "1994", "Saab", "0"),
        claim("Dec", "1994", "Honda", "1"),
        claim("Feb", "1995", "VW", "0"),
    ]
    (tmp_path / "fraud_oracle").mkdir()
    with gzip.open(tmp_path / insurance.FILE, "wt", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    return tmp_path


def test_a_quarter_is_measured_by_all_quarters_before_it(claims: Path) -> None:
    folds = list(insurance.folds(claims))
    assert [f.name for f in folds] == ["1994-Q2", "1994-Q4", "1995-Q1"]
    assert [(f.train.tolist(), f.test.tolist()) for f in folds] == [
        ([0, 1], [2]),
        ([0, 1, 2], [3]),
        ([0, 1, 2, 3], [4]),
    ]


def test_sex_marital_status_and_age_are_refused(claims: Path) -> None:
    seen = " ".join(next(iter(insurance.folds(claims))).components)
    assert not [
        n for n in ("Sex", "MaritalStatus", "Age", "PolicyNumber", "Year", "_min", "FraudFound") if n in seen
    ]
    assert insurance.refused("marital_status")
    assert insurance.refused("Religion")
    assert not insurance.refused("Make")


def test_bands_are_numbers_and_other_values_words_of_the_training_rows(claims: Path) -> None:
    fold = next(iter(insurance.folds(claims)))
    columns = {name.split(".")[1]: place for place, name in enumerate(fold.components)}
    assert fold.words[columns["VehiclePrice"]] == 0
    assert (fold.values[:, columns["VehiclePrice"]] == 1).all()
    # Two makes to learn from, and one word for all others.
    assert fold.words[columns["Make"]] == 3
    assert fold.values[:, columns["Make"]].tolist() == [0, 1, 2, 0, 2]


def test_trajectories_of_dsjtzs_are_read_with_their_label(tmp_path: Path) -> None:
    (tmp_path / "dsjtzs_mouse").mkdir()
    lines = [f"{i} 353,2607,349;367,{2607 + i},376;388,2620,418; 900.5,200 {i % 2}" for i in range(40)]
    with gzip.open(tmp_path / dsjtzs.FILE, "wt", encoding="ascii") as stream:
        stream.write("\n".join(lines) + "\n")
    seen: list[Trajectory] = []

    def measured(recorded: Iterable[Trajectory]) -> NDArray[np.float32]:
        seen.extend(recorded)
        return components(seen)

    _, bots = dsjtzs.read(tmp_path / dsjtzs.FILE, measured)
    assert seen[0].t.tolist() == [349, 376, 418]
    assert bots[:3] == [True, False, True]
    folds = list(dsjtzs.folds(tmp_path, 0))
    assert len(folds) == 10
    assert np.sort(np.concatenate([f.test for f in folds])).tolist() == list(range(40))
    assert all(map(disjoint, folds))


@pytest.fixture
def circles(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    (tmp_path / "delbot_mouse").mkdir()
    with ZipFile(tmp_path / delbot.FILE, "w") as archive:
        for number, group in enumerate((*delbot.PEOPLE, *delbot.BOTS)):
            archive.writestr(f"{group}/", "")
            for i in range(60):
                t = np.cumsum(rng.integers(5 + 5 * number, 15 + 5 * number, 30))
                moves = [
                    f"{a},Move,{b},{c}" for a, b, c in zip(t, *rng.integers(0, 300, (2, 30)), strict=True)
                ]
                text = ["resolution:1536,864", "0,Pressed,1,1", *moves, f"{t[-1] + 5},Released,1,1"]
                archive.writestr(f"{group}/{i}.txt", "\r\n".join(text))
    return tmp_path


def test_device_and_family_of_a_test_are_unseen_and_its_baseline_is_not_scored(circles: Path) -> None:
    folds = list(delbot.folds(circles, 0))
    assert len({f.name for f in folds}) == 4
    for fold in folds:
        assert disjoint(fold)
        # Half of the people of a device are its baseline, so 30 of them are left.
        assert [int((~fold.label[part]).sum()) for part in (fold.train, fold.test)] == [30, 30]
        assert [int(fold.label[part].sum()) for part in (fold.train, fold.test)] == [60, 60]
        assert np.nanmin(fold.values) >= 0


def test_distance_is_one_at_the_edge_of_what_is_usual_on_either_side() -> None:
    usual = np.arange(101, dtype=np.float32)[:, None]
    asked = np.array([[50], [95], [5], [140], [np.nan]], dtype=np.float32)
    np.testing.assert_allclose(delbot.distance(usual, asked)[:, 0], [0, 1, 1, 2, np.nan], rtol=1e-6)


def test_a_component_that_few_of_the_baseline_have_says_nothing() -> None:
    usual = np.full((30, 1), np.nan, dtype=np.float32)
    usual[:19] = 1.0
    assert np.isnan(delbot.distance(usual, np.ones((3, 1), dtype=np.float32))).all()


def test_a_missing_set_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="tolokers.npz is not under"):
        list(tolokers.folds(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(Unavailable, match="RISKGRAPH_DATA or --data"):
        find(None, tolokers.FILE)


def test_the_folder_can_come_from_the_environment(
    tolokers_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tolokers_data))
    assert len(list(tolokers.folds(None))) == 10
