import numpy as np
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.eval.real.mouse import (
    HISTOGRAMS,
    Steps,
    Trajectory,
    component_names,
    components,
    histogram,
    samples,
)


def line(points: list[tuple[float, float, float]]) -> Trajectory:
    t, x, y = np.array(points, dtype=np.float64).T
    return Trajectory(t, x, y)


def value(trajectory: Trajectory, name: str) -> float:
    return float(components([trajectory])[0, component_names().index(name)])


def test_names_are_those_of_the_catalogue_but_for_the_shares_of_bins() -> None:
    derived = [name for name in component_names() if ".bin" not in name]
    assert set(derived) <= set(catalog().components)
    assert len(component_names()) == len(derived) + 16 * len(HISTOGRAMS)


def test_speed_is_counted_per_step_and_a_long_gap_is_a_pause_and_no_step() -> None:
    # 10 px in 10 ms, 20 px in 10 ms, then half a second without a move.
    found = samples(Steps.of(line([(0, 0, 0), (10, 10, 0), (20, 30, 0), (520, 40, 0)])))
    assert found["B014"].tolist() == [1000.0, 2000.0]
    assert found["B015"].tolist() == [10.0, 10.0, 500.0]
    assert found["B013"].tolist() == [500.0]
    assert found["B016"].tolist() == [pytest.approx(1000 / 0.01)]


def test_a_gap_of_over_a_second_is_no_interval() -> None:
    assert samples(Steps.of(line([(0, 0, 0), (1500, 5, 0), (1510, 9, 0)])))["B015"].tolist() == [10.0]


def test_a_right_angle_is_half_pi_and_tiny_steps_do_not_turn() -> None:
    corner = line([(0, 0, 0), (10, 5, 0), (20, 5, 5), (30, 5, 6)])
    assert samples(Steps.of(corner))["B017"].tolist() == [pytest.approx(np.pi / 2)]


def test_the_last_bin_is_open_and_an_edge_belongs_to_the_bin_above() -> None:
    edges = np.array(catalog()["B015"].histograms[0].edges)
    counts = histogram(np.array([0.0, 1.0, 3.9, 4.0, 1e9]), edges)
    assert counts.sum() == 5
    assert counts[[0, 1, 2, 3, 15]].tolist() == [1, 1, 1, 1, 1]


def test_an_even_straight_movement_has_no_entropy_and_is_all_straight() -> None:
    even = line([(10.0 * i, 8.0 * i, 0.0) for i in range(40)])
    assert value(even, "B014.entropy") == 0.0
    assert value(even, "B015.mode_share") == 1.0
    assert value(even, "B018.value") == pytest.approx(1.0)
    assert value(even, "B021.value") == 1.0
    assert value(even, "B020.value") == 0.0


def test_trembling_shows_as_reversals() -> None:
    tremble = line([(10.0 * i, 3.0 * (i % 2), 0.0) for i in range(40)])
    assert value(tremble, "B019.value") == 1.0


def test_what_could_not_be_counted_is_absent() -> None:
    two = components([line([(0, 0, 0), (10, 4, 0)])])[0]
    absent = {name.split(".")[0] for name, x in zip(component_names(), two, strict=True) if np.isnan(x)}
    assert {"B013", "B016", "B017"} <= absent
    assert "B014" not in absent


def test_more_than_one_speed_bump_is_counted_per_second() -> None:
    x = np.cumsum(np.tile([1, 1, 4, 9, 14, 9, 4, 1, 1, 1], 3))
    bumps = line([(20.0 * i, float(v), 0.0) for i, v in enumerate(x)])
    assert value(bumps, "B020.value") == pytest.approx(3 / (0.02 * (len(x) - 1)))
