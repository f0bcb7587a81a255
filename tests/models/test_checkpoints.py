"""Training that is stopped after an epoch goes on to the very same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.models.checkpoint import Checkpoint
from riskgraph.models.fitters import Means
from riskgraph.models.rows import Rows
from riskgraph.models.train import _train_rows
from tests.models.helpers import planted_rows

pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

ORIGIN = {"provenance": "simulated", "releases": [{"digests": {"rows.parquet": "ab"}}], "window": {}}
EPOCHS = 5


class Killed(Exception):
    """Stands for a kill: nothing of the run is left but the checkpoint."""


@pytest.fixture(scope="module")
def rows() -> Rows:
    return planted_rows(3000, 7)[0]


def train(
    source: Rows, out: Path, checkpoint: Path, killed_after: int | None = None, **asked: object
) -> bytes:
    """The bytes of the tables."""
    saves: list[int] = []

    def saved() -> None:
        saves.append(1)
        if len(saves) == killed_after:
            raise Killed

    options = {"kind": "order2", "seed": 3, "epochs": EPOCHS, "origin": ORIGIN, **asked}
    means = Means(device="cpu", checkpoint=Checkpoint(checkpoint, {}, saved))
    _train_rows([source], options.pop("origin"), out, means=means, **options)
    return (out / "tables.npy").read_bytes()


@pytest.fixture(scope="module")
def whole(rows, tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    return train(rows, folder / "model", folder / "checkpoint")


@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_a_run_that_was_killed_after_any_epoch_goes_on_to_the_same_bytes(epoch, rows, whole, tmp_path):
    with pytest.raises(Killed):
        train(rows, tmp_path / "model", tmp_path / "checkpoint", killed_after=epoch)
    assert not (tmp_path / "model").exists()
    assert train(rows, tmp_path / "model", tmp_path / "checkpoint") == whole


def test_a_network_without_pairs_goes_on_to_the_same_bytes(rows, tmp_path):
    with pytest.raises(Killed):
        train(rows, tmp_path / "model", tmp_path / "checkpoint", killed_after=2, kind="additive")
    went_on = train(rows, tmp_path / "model", tmp_path / "checkpoint", kind="additive")
    assert went_on == train(rows, tmp_path / "whole", tmp_path / "other", kind="additive")


def test_a_run_that_was_killed_twice_ends_in_the_same_bytes(rows, whole, tmp_path):
    for _ in range(2):
        with pytest.raises(Killed):
            train(rows, tmp_path / "model", tmp_path / "checkpoint", killed_after=2)
    assert train(rows, tmp_path / "model", tmp_path / "checkpoint") == whole


def test_a_run_goes_on_with_the_epochs_that_are_left(rows, tmp_path):
    told: list[int] = []
    with pytest.raises(Killed):
        train(rows, tmp_path / "model", tmp_path / "checkpoint", killed_after=3)
    train(rows, tmp_path / "model", tmp_path / "checkpoint", progress=lambda _, done, __: told.append(done))
    assert told == [4, 5]


def test_early_stopping_counts_the_epochs_before_the_kill(tmp_path):
    torch_fit = pytest.importorskip("riskgraph.models.fit")
    train_part, held_out = planted_rows(600, 1)[0], planted_rows(400, 2)[0]
    wrong = replace(held_out, label=(1 - held_out.label).astype(np.int8))
    recipe = torch_fit.Recipe(epochs=30, patience=3)

    def losses(saved: object = lambda: None) -> list[float]:
        kept = Checkpoint(tmp_path / "checkpoint", {}, saved)  # type: ignore[arg-type]
        return torch_fit.fit_order2(train_part, wrong, seed=0, recipe=recipe, checkpoint=kept).losses

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        losses(kill)
    stopped = losses()
    assert stopped == torch_fit.fit_order2(train_part, wrong, seed=0, recipe=recipe).losses
    assert len(stopped) == 1 + int(np.argmin(stopped)) + 3


OTHERS = [
    ("seed", {"seed": 4}),
    ("kind", {"kind": "additive"}),
    ("rows", {"rows": 1000}),
    ("recipe", {"epochs": 9}),
    ("releases", {"origin": {**ORIGIN, "releases": [{"digests": {"rows.parquet": "cd"}}]}}),
]


@pytest.mark.parametrize(("named", "asked"), OTHERS)
def test_a_checkpoint_of_another_run_is_refused_and_what_differs_is_named(named, asked, rows, tmp_path):
    with pytest.raises(Killed):
        train(rows, tmp_path / "model", tmp_path / "checkpoint", killed_after=1)
    with pytest.raises(Invalid, match=f"another run: {named} was") as told:
        train(rows, tmp_path / "model", tmp_path / "checkpoint", **asked)
    assert told.value.field == "--resume"


@settings(max_examples=30)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_checkpoint_with_any_bit_turned_is_refused(place, bit, tmp_path_factory):
    checkpoint = Checkpoint(tmp_path_factory.mktemp("bits") / "checkpoint", {"seed": 1})
    checkpoint.save({"losses": np.arange(3.0)})
    data = bytearray(checkpoint.path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    checkpoint.path.write_bytes(data)
    with pytest.raises(CheckFailed, match="damaged"):
        checkpoint.load()


def test_a_cut_off_checkpoint_is_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", {})
    checkpoint.save({"losses": np.arange(3.0)})
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-1])
    with pytest.raises(CheckFailed, match="damaged"):
        checkpoint.load()


def test_a_save_leaves_one_whole_file(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", {"seed": 1})
    for value in (1.0, 2.0):
        checkpoint.save({"losses": np.array([value])})
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]
    arrays = checkpoint.load()
    assert arrays is not None
    assert arrays["losses"].tolist() == [2.0]


@pytest.mark.parametrize("kind", ["gbdt", "logistic", "rgcn"])
def test_kinds_that_are_fitted_in_one_go_know_no_checkpoint(kind, rows, tmp_path):
    with pytest.raises(Invalid, match=f"--resume is for kinds order2 and additive, not for {kind}"):
        train(rows, tmp_path / "model", tmp_path / "checkpoint", kind=kind)
