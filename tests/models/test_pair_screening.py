import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.models.screening import LeftOver, best_pairs, pair_gains


def coupled(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins of six components; the outcome depends on whether 1 and 4 are on the same side."""
    rng = np.random.default_rng(seed)
    bins = rng.integers(1, 13, (rows, 6)).astype(np.uint8)
    chance = np.where((bins[:, 1] > 6) == (bins[:, 4] > 6), 0.7, 0.3)
    residual = (rng.random(rows) < chance) - 0.5
    return bins, residual, np.full(rows, 0.25)


def test_the_pair_that_additive_terms_cannot_tell_comes_first() -> None:
    assert best_pairs(pair_gains(*coupled(2000, 1)), 3)[0] == (1, 4)


def test_gains_are_those_of_the_best_two_by_two_table_written_out() -> None:
    bins, residual, curvature = coupled(300, 2)
    best = 0.0
    for a in range(2, 13):
        for b in range(2, 13):
            quadrant = 2 * (bins[:, 0] >= a) + (bins[:, 3] >= b)
            g, h = (np.bincount(quadrant, w, 4) for w in (residual, curvature))
            best = max(best, float((g**2 / (h + 1.0)).sum()))
    # The float32 products of the fast form round.
    np.testing.assert_allclose(pair_gains(bins, residual, curvature)[0, 3], best, rtol=1e-4)


def test_rows_where_one_end_is_absent_take_no_part() -> None:
    bins, residual, curvature = coupled(500, 3)
    bins[250:, 1] = 0
    with_them, without = (
        pair_gains(bins, residual, curvature),
        pair_gains(bins[:250], residual[:250], curvature[:250]),
    )
    np.testing.assert_allclose(with_them[1], without[1], rtol=1e-5)


def test_no_pair_is_named_twice_or_with_itself() -> None:
    pairs = best_pairs(pair_gains(*coupled(300, 4)), 100)
    assert len(set(pairs)) == len(pairs) == 15
    assert all(a < b for a, b in pairs)


def left(rows: int, seed: int) -> LeftOver:
    bins, residual, _ = coupled(rows, seed)
    return LeftOver(bins, (residual > 0).astype(np.int8), np.ones(rows), np.full(rows, 0.5))


def test_an_interaction_gains_what_the_contrast_of_its_quadrants_does_written_out() -> None:
    some = left(300, 5)
    gains = some.interactions(0, 3)
    for i, j in ((0, 0), (4, 7), (10, 2)):
        quadrant = 2 * (some.bins[:, 0] > i + 1) + (some.bins[:, 3] > j + 1)
        g, h = (np.bincount(quadrant, w, 4) for w in (some.residual, some.curvature + 0.0))
        mean = g / (h + 1.0)
        expected = (mean[0] - mean[1] - mean[2] + mean[3]) ** 2 / (1 / (h + 1.0)).sum()
        np.testing.assert_allclose(gains[i, j], expected, rtol=1e-9)


def test_a_coupling_gains_at_the_cut_where_it_lies() -> None:
    gains = left(4000, 6).interactions(1, 4)
    assert np.unravel_index(gains.argmax(), gains.shape) == (5, 5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.04, 0.04))
def test_what_one_component_has_alone_is_no_interaction(seed: int, slope: float) -> None:
    rng = np.random.default_rng(seed)
    one = left(20_000, seed)
    # labels that rise with component 0 alone, of which the model knows nothing
    alone = LeftOver(
        one.bins, (rng.random(20_000) < 0.5 + slope * (one.bins[:, 0] - 6.5)), one.weight, one.chance
    )
    whole = pair_gains(alone.bins, alone.residual, alone.curvature)[0, 2]
    # of a chi-squared with one degree, the best of 121 cuts that overlap
    assert alone.interactions(0, 2).max() < 25
    if abs(slope) > 0.03:
        assert whole > 100


def test_labels_drawn_anew_follow_the_model() -> None:
    some = left(4000, 7)
    drawn = some.redrawn(np.random.default_rng(0).random(4000))
    assert abs(drawn.label.mean() - 0.5) < 0.05
    assert drawn.interactions(1, 4).max() < some.interactions(1, 4).max() / 10
