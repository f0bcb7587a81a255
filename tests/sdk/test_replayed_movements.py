"""What the SDK's own code counts of a recorded movement, and what the figures' own count makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from riskgraph.core.errors import Unavailable
from riskgraph.eval.real.mouse import (
    FLUSHED,
    BySdk,
    Steps,
    Trajectory,
    component_names,
    components,
    histogram,
    samples,
)
from riskgraph.eval.real.mouse import _edges as edges

SDK = Path(__file__).parents[2] / "sdk_js"
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (SDK / "node_modules").exists(),
    reason="needs Node and sdk_js/node_modules (make sdk)",
)


@pytest.fixture(scope="module")
def recorded() -> list[Trajectory]:
    """Movements of many paces, with rests, repeated points and repeated times."""
    rng = np.random.default_rng(11)
    out = []
    for _ in range(120):
        n = int(rng.integers(2, 200))
        t = np.cumsum(
            rng.choice([0.0, 4.0, 8.0, 16.7, 60.0, 140.0, 1200.0], n, p=[0.05, *[0.2] * 4, 0.1, 0.05])
        )
        x, y = rng.integers(-12, 13, (2, n)).cumsum(axis=1).astype(np.float64)
        out.append(Trajectory(t, x, y))
    return out


@needs_node
def test_histograms_of_the_sdk_are_those_counted_from_the_points(recorded: list[Trajectory]) -> None:
    for one, sums in zip(recorded, BySdk(SDK).sums(recorded), strict=True):
        for node, values in samples(Steps.of(one)).items():
            counted = histogram(values, edges()[node])
            assert sums["histograms"].get(FLUSHED[node], [0] * 16) == counted.tolist(), node


@needs_node
def test_all_components_but_those_of_reaches_are_equal(recorded: list[Trajectory]) -> None:
    # A reach of the SDK ends with a rest; the other count takes a recording for one reach.
    same = [place for place, name in enumerate(component_names()) if name[:4] not in ("B018", "B020")]
    by_sdk, by_points = BySdk(SDK)(recorded)[:, same], components(recorded)[:, same]
    np.testing.assert_allclose(by_sdk, by_points, rtol=1e-3)


@needs_node
def test_a_straight_unbroken_reach_has_its_straightness_and_no_more_peaks_than_it_has() -> None:
    t = np.arange(0.0, 800.0, 10.0)
    straight = Trajectory(t, 2.0 * t, 0.0 * t)
    row = dict(zip(component_names(), BySdk(SDK)([straight])[0].tolist(), strict=True))
    assert row["B018.value"] > 15 / 16
    assert row["B020.value"] == 0
    assert row["B021.value"] == 1


def test_a_folder_without_an_sdk_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="sdk_js|replay failed"):
        BySdk(tmp_path / "nothing")([])
