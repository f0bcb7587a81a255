"""A canary: one order with a combination that nobody else has must never reach a training batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from riskgraph.core.bounds import component_bounds, whole_components
from riskgraph.core.catalog import Form, catalog
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.models import train as training
from riskgraph.models.binning import BinEdges
from riskgraph.models.rows import Rows
from riskgraph.sandbox import Policy, Release, ReleaseRequest, write_release
from tests.sandbox.conftest import UNTIL, FakeSigner, build_world

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph.models import fit as fitting  # noqa: E402

ORIGIN = {"provenance": "simulated", "releases": [], "window": {}}
LOW, HIGH = component_bounds()
# Numbers of many values, of every source but the SDK, whose nodes are often absent as a block.
RARE = [
    catalog().component_slices[i].start
    for i, node in enumerate(catalog().nodes)
    if node.form is Form.NUMBER
    and node.computed_by != "sdk"
    and HIGH[catalog().component_slices[i].start] > 50
][:12]
Floats = NDArray[np.float32]


def canaries() -> Floats:
    """float32[2, 12]: allowed values of the honest and of the fraud canary; the two differ everywhere."""
    ends = np.stack([LOW[RARE] + 0.99 * (HIGH[RARE] - LOW[RARE]), LOW[RARE] + 0.97 * (HIGH - LOW)[RARE]])
    return np.where(whole_components()[RARE], np.floor(ends), ends).astype(np.float32)


def plant(table: OrderTable) -> OrderTable:
    """One order of each class gets the values of its canary."""
    values, states = table.components.copy(), table.states.copy()
    for label, canary in enumerate(canaries()):
        row = int(np.flatnonzero(table.label == label)[len(table) // 40])
        values[row, RARE] = canary
        states[row, np.array(catalog().component_node)[RARE]] = State.PRESENT
    return replace(table, components=values, states=states)


def alike(components: Floats) -> list[int]:
    """For each canary, in how many rare components the closest row lies within 0.5 % of their range."""
    width = 0.005 * (HIGH - LOW)[RARE]
    near = np.abs(components[:, None, RARE] - canaries()) <= width
    return near.sum(axis=2).max(axis=0, initial=0).tolist()


def in_the_bins_of(bins: NDArray[Any], edges: BinEdges) -> list[int]:
    """For each canary, in how many rare components the closest row of a batch is in its bin."""
    full = np.full((2, len(catalog().components)), np.nan, dtype=np.float32)
    full[:, RARE] = canaries()
    same = bins[:, None, RARE] == edges.apply(full)[:, RARE].astype(np.int64)
    return same.sum(axis=2).max(axis=0, initial=0).tolist()


@dataclass
class Seen:
    """How close anything that reached training came to each canary, look by look."""

    drawn: list[list[int]] = field(default_factory=list)
    batches: list[list[int]] = field(default_factory=list)
    calibration: list[list[int]] = field(default_factory=list)


def watched(sources: Sequence[Any], out: Path, patch: pytest.MonkeyPatch) -> Seen:
    """Train two epochs, looking at every batch and at all rows that thresholds come from."""
    seen, used = Seen(drawn=[alike(s.components) for s in sources]), []

    class Watched(fitting.GraphAdditiveNetwork):  # type: ignore[misc]
        def forward(self, bins: Any, classes: Any) -> Any:
            used.append(self.edges)
            seen.batches.append(in_the_bins_of(bins.numpy(), self.edges))
            return super().forward(bins, classes)

    plain = training.calibrate

    def calibrate(raw: Callable[[Floats], Any], bias: Any, held_out: Any) -> Any:
        def looked_at(bins: NDArray[np.uint8]) -> Any:
            seen.calibration.append(in_the_bins_of(bins, used[-1]))
            return raw(bins)

        return plain(looked_at, bias, held_out)

    patch.setattr(fitting, "GraphAdditiveNetwork", Watched)
    patch.setattr(training, "calibrate", calibrate)
    training._train_rows([Rows.of(s) for s in sources], ORIGIN, out, epochs=2)
    return seen


@pytest.fixture(scope="module")
def history() -> OrderTable:
    return plant(build_world(11, 4_100, 1_200, 1_600, 400))


@pytest.fixture(scope="module")
def released(history: OrderTable, signer: FakeSigner, tmp_path_factory: pytest.TempPathFactory) -> Release:
    request = ReleaseRequest(until=UNTIL, seed=3, provenance="simulated", now=1_782_800_000.0, code="test")
    return write_release(
        history, tmp_path_factory.mktemp("canary") / "release", request, signer, policy=Policy.default()
    )


def raw_rows(table: OrderTable) -> SimpleNamespace:
    """The history as rows of training, as they would look past the sandbox."""
    return SimpleNamespace(
        components=table.components,
        availability=table.availability,
        label=table.label,
        weight=np.ones(len(table)),
        cluster=np.full(len(table), -1, dtype=np.int32),
    )


def test_the_canaries_are_orders_that_the_sandbox_takes(history, released):
    assert alike(history.components) == [len(RARE)] * 2
    assert released.manifest["input"]["accepted"] == len(history)


def test_no_batch_and_no_threshold_of_a_release_sees_a_canary(released, tmp_path, monkeypatch):
    seen = watched([released.rows], tmp_path, monkeypatch)
    assert len(seen.batches) > 20
    assert len(seen.calibration) > 6
    # A third is far from near: in single components somebody may well lie there.
    assert np.max(seen.drawn) <= len(RARE) // 3
    # The highest bin of a component holds a twelfth of all rows.
    assert np.max([*seen.batches, *seen.calibration]) <= len(RARE) * 2 // 3


def test_the_same_look_finds_both_canaries_when_raw_rows_are_passed(history, tmp_path, monkeypatch):
    seen = watched([raw_rows(history)], tmp_path, monkeypatch)
    for place in (seen.drawn, seen.batches):
        assert np.max(place, axis=0).tolist() == [len(RARE)] * 2
    # At this seed one of them is held out for calibration.
    assert np.max(seen.calibration) > len(RARE) * 2 // 3
