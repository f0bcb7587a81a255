import numpy as np

from riskgraph.models.screening import best_pairs, pair_gains


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
