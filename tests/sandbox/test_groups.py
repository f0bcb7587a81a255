"""What R2 tells of groups: noise of rows, and one draw for what several groups tell together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.sandbox.bins import NOISE_SD, Scale, _scores
from riskgraph.sandbox.files import read_table
from riskgraph.sandbox.groups import _Moments, _noised_moments, _pooled_share
from riskgraph.sandbox.release import Release

K = 50


def scale(*z: float) -> Scale:
    return Scale(np.zeros(len(z) - 1, np.float32), np.array(z, np.float32), np.zeros(len(z), np.int8))


def test_where_a_row_would_show_mean_and_spread_carry_the_noise_of_rows() -> None:
    """Two bins, 100 rows, one of them in the rarer bin: one row or five are not told apart."""
    count, step = 4000, 6.0
    sd = step * np.sqrt(0.01 * 0.99)
    shape = (count, 1)
    exact = _Moments(
        np.zeros(shape, np.float32), np.full(shape, sd, np.float32), np.full(shape, 100.0, np.float32),
        np.zeros(shape, np.int8),
    )  # fmt: skip
    mean, spread = _noised_moments(exact, [scale(0.0, step)], np.random.default_rng(3))
    assert abs(mean.std() / (NOISE_SD * step / 100) - 1) < 0.05
    rows = spread[:, 0] ** 2 / step**2 * 100
    assert rows.std() > 0.5 * NOISE_SD
    assert 0.3 < (rows < 0.5).mean() < 0.6


@pytest.mark.parametrize(
    ("z", "step"), [((-3.0, 0.0, 5.0), 8.0), ((-2.0, -1.0, 0.0, 4.0), 4.0), ((-5.0, 0.0, 1.0, 2.0), 5.0)]
)
def test_a_row_moves_a_mean_by_the_largest_step_that_bins_allow(z: tuple[float, ...], step: float) -> None:
    """Of up to three bins mean and spread give the rows in each, so from the first bin to the last."""
    shape = (3000, 1)
    ones = np.ones(shape, np.float32)
    exact = _Moments(0 * ones, 0 * ones, 60 * ones, np.zeros(shape, np.int8))
    mean, spread = _noised_moments(exact, [scale(*z)], np.random.default_rng(5))
    assert abs(mean.std() / (NOISE_SD * step / 60) - 1) < 0.06
    upper = (spread[spread > 0] ** 2).astype(np.float64)
    assert abs(np.sqrt(np.mean(upper**2)) / (NOISE_SD * step**2 / 60) - 1) < 0.06


def test_a_pool_is_told_alike_by_all_its_groups() -> None:
    pool = np.array([0, 1, 1, 2, 2, 3, 3, 0], dtype=np.int8)[:, None]
    ones = np.ones((len(pool), 1), np.float32)
    exact = _Moments(ones, ones, 60 * ones, pool)
    for told in _noised_moments(exact, [scale(-1.0, 0.0, 1.0)], np.random.default_rng(1)):
        same = [set(told[pool == number].tolist()) for number in (1, 2, 3)]
        assert [len(values) for values in same] == [1, 1, 1]
        assert len(set(told[:, 0].tolist())) == 5


sizes = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(0, 1)), min_size=1, max_size=12
)


@given(sizes, st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=200)
def test_a_pooled_share_of_a_part_has_k_units_on_each_side(
    groups: list[tuple[int, int, int]], honest: int, fraud: int, both: int
) -> None:
    having, lacking, label = (np.array(column) for column in zip(*groups, strict=True))
    holders, shared = having + lacking, np.array([honest, fraud, honest + fraud + both])
    rows = having.astype(np.float32) * 2, holders.astype(np.float32) * 2
    units = having.astype(np.float32), holders.astype(np.float32)
    share, _, pool = _pooled_share(rows, units, label.astype(np.int8), shared, K)
    assert ((pool != 0) == (holders < K)).all()
    assert ((pool < 0) <= np.isin(share, (0, 1))).all()
    for number in (1, 2, 3):
        mine = np.abs(pool) == number
        if mine.any():
            assert len(set(share[mine].tolist())) == 1
            counted = shared[number - 1]
            if 0 < share[mine][0] < 1:
                assert min(having[mine].sum(), lacking[mine].sum()) - counted >= K


def test_the_latent_values_of_bins_follow_from_the_shares_that_are_told(release: Release) -> None:
    """Else exact counts of rows could be had from them."""
    shape = read_table(release.path, "shape.parquet")
    bins: dict[str, list[list[float]]] = {}
    share: dict[str, dict[int, np.ndarray]] = {}
    for kind, name, values in zip(shape["kind"], shape["name"], shape["values"], strict=True):
        if kind == "bin":
            bins.setdefault(name, []).append(values)
        if kind == "cell":
            into = share.setdefault(name, {})
            into[int(values[0])] = into.get(int(values[0]), np.zeros(2)) + values[1:3]
    tried = 0
    for name, told in bins.items():
        parts = np.stack([share[name][b] for b in range(len(told))])
        if len(told) > 1:
            z = _scores(parts.mean(axis=1))
            assert np.allclose(z, [v[0] for v in told], atol=1e-3), name
            tried += 1
    assert tried > 50
