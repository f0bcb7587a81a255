"""What R3 tells inside a bin, and of two columns together, stands for k persons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.bounds import component_bounds
from riskgraph.core.catalog import catalog
from riskgraph.sandbox.absence import FLAG_COUNT
from riskgraph.sandbox.bins import NOISE_SD, Scale, Support, round_up
from riskgraph.sandbox.frame import COMPONENT_COUNT
from riskgraph.sandbox.shape import Seen, Shape, fit_shapes, honest_correlation

K = 50
# a number, and a class of eight words
NUMBER = catalog().component_index["B001.p50"]
WORD = catalog().component_index["B002.value"]
Floats = NDArray[np.float32]


class Nobody:
    """Moments of rows that must not be asked for."""

    def mean_sd(self, component: int, bin: int) -> tuple[float, float]:
        raise AssertionError(f"{component} {bin}")


class Rows:
    """Moments of given rows, whatever the bin."""

    def __init__(self, mean: float, sd: float) -> None:
        self.told = mean, sd

    def mean_sd(self, component: int, bin: int) -> tuple[float, float]:
        return self.told


def shape_of(
    j: int, first: list[float], edges: list[float], seed: int = 0, units: int | None = None,
    everyone: Nobody | Rows | None = None,
) -> Shape:  # fmt: skip
    """The shape of one component, of which all others are absent."""
    count = len(edges) + 1
    none = np.empty(0, dtype=np.float32)
    values = [none] * COMPONENT_COUNT
    values[j] = np.array(first, dtype=np.float32)
    bins, one = np.arange(count), Scale(none, np.zeros(1, np.float32), np.zeros(1, np.int8))
    scales = [one] * COMPONENT_COUNT
    scales[j] = Scale(np.array(edges, np.float32), bins.astype(np.float32), bins.astype(np.int8))
    supports = [
        Support(np.zeros((2, 1)), np.zeros((2, 1), np.int64), np.zeros(2, np.int64))
    ] * COMPONENT_COUNT
    inside = np.bincount(np.searchsorted(edges, values[j]), minlength=count) if units is None else [units]
    supports[j] = Support(np.full((2, count), 100.0), np.array([inside, inside]), np.array([500, 500]))
    rng = np.random.default_rng(seed)
    return fit_shapes(values, scales, supports, everyone or Nobody(), K, rng)[j]


def values_of(count: int) -> list[float]:
    """Values of more than three digits; the largest is far off."""
    rng = np.random.default_rng(9)
    return [*(1000 + 900 * rng.random(count - 1)).tolist(), 29_876.5]


def test_cells_of_a_bin_weigh_the_same_however_many_persons_are_in_each() -> None:
    made = shape_of(NUMBER, values_of(251), [])
    assert len(made.share[0]) == 4
    assert set(made.share[0].tolist()) == {0.25}


def test_a_bin_has_no_more_cells_than_crowds_of_k() -> None:
    assert [len(shape_of(NUMBER, values_of(n), []).bin) for n in (60, 120, 160, 400)] == [1, 2, 3, 4]


def test_no_end_of_a_cell_is_the_value_of_an_order() -> None:
    values = values_of(251)
    made = shape_of(NUMBER, values, [])
    ends = np.concatenate([made.lower, made.upper])
    assert np.abs(ends[:, None] - np.array(values)).min() > 1e-3
    inner = made.lower[1:]
    assert np.allclose(round_up(inner), inner)


def test_open_ends_carry_the_noise_of_persons() -> None:
    """An exact mean would be a fraction with the persons of the cell below it."""
    values = (20_000 + 3_000 * np.random.default_rng(1).random(80)).tolist()
    made = [shape_of(NUMBER, values, [], seed) for seed in range(60)]
    middle = np.array([(m.lower[0] + m.upper[0]) / 2 for m in made])
    width = np.array([m.upper[0] - m.lower[0] for m in made])
    moved = NOISE_SD * np.std(values) / 80
    assert abs(middle.std() / moved - 1) < 0.35
    assert abs(width.std() / (4 * moved) - 1) < 0.35


def test_of_a_bin_of_few_persons_only_its_public_ends_are_told() -> None:
    made = shape_of(NUMBER, values_of(10), [])
    low, high = (float(b[NUMBER]) for b in component_bounds())
    assert (made.lower.tolist(), made.upper.tolist()) == ([low], [high])


def test_moments_that_many_rows_tell_carry_noise_as_well() -> None:
    ends = {
        tuple(shape_of(NUMBER, [], [], seed, 60, Rows(2000.0, 300.0)).lower.tolist()) for seed in range(5)
    }
    assert len(ends) == 5


def test_words_of_k_persons_are_told_with_noise_and_others_not() -> None:
    words = [1.0] * 60 + [2.0] * 90 + [4.0] * 30
    made = [shape_of(WORD, words, [], seed) for seed in (1, 2)]
    for shape in made:
        assert shape.lower.tolist() == [1.0, 2.0]
        assert abs(shape.share[0, 0] - 0.4) < 0.1
        assert shape.share[0, 0] != 0.4
    assert made[0].share[0, 0] != made[1].share[0, 0]


def test_a_bin_in_which_no_word_has_k_persons_is_its_first_word() -> None:
    made = shape_of(WORD, [0.0] * 70 + [4.0] * 30 + [5.0] * 30, [2.0])
    assert made.lower.tolist() == made.upper.tolist() == [0.0, 3.0]


def _seen(persons: int, orders: int) -> Seen:
    """Two components that rise together, in rows of some persons; each alone is in many rows more."""
    together, rows = persons * orders, persons * orders + 400
    levels = np.zeros((COMPONENT_COUNT + FLAG_COUNT, rows), dtype=np.uint8)
    levels[0], levels[1] = 1 + np.arange(rows) % 2, 1 + np.arange(rows) % 2
    levels[0, together : together + 200] = 0
    levels[1, together + 200 :] = 0
    unit = np.concatenate([np.repeat(np.arange(persons), orders), persons + np.arange(400)])
    return Seen(levels, np.zeros(rows, np.int32), unit)


def _correlation(seen: Seen, other: int = 1) -> float:
    two = Scale(np.zeros(1, np.float32), np.array([-1, 1], np.float32), np.zeros(2, np.int8))
    shape = (1, COMPONENT_COUNT)
    moments = (
        np.zeros(shape, np.float32),
        np.ones(shape, np.float32),
        np.full((1, FLAG_COUNT), 0.5, np.float32),
    )
    told, _ = honest_correlation(seen, [two] * COMPONENT_COUNT, moments, K)
    return float(told[0, other])


def test_few_persons_of_many_orders_do_not_tell_how_two_components_go_together() -> None:
    assert abs(_correlation(_seen(20, 12))) < 1e-6
    assert abs(_correlation(_seen(49, 1))) < 1e-6
    assert _correlation(_seen(60, 4)) > 0.3


def test_a_flag_that_few_persons_show_tells_nothing_of_their_values() -> None:
    """All others of their group lack it, so that its correlations would be the values of these few."""
    for persons, told in ((1, False), (49, False), (60, True)):
        rows = np.arange(400)
        levels = np.ones((COMPONENT_COUNT + FLAG_COUNT, len(rows)), dtype=np.uint8)
        levels[[0, COMPONENT_COUNT]] += rows < persons
        levels[0] = np.where(rows % 7 == 0, 3 - levels[0], levels[0])
        found = _correlation(Seen(levels, np.zeros(len(rows), np.int32), rows), COMPONENT_COUNT)
        assert found > 0.3 if told else abs(found) < 1e-6
