"""The partition of plain records."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.errors import Invalid
from riskgraph.sandbox.records import partition_records


@given(seed=st.integers(0, 10_000), count=st.integers(5, 400), k=st.integers(1, 5), levels=st.integers(1, 50))
def test_every_group_has_k_records_and_only_equal_ones_stay_together_longer(
    seed: int, count: int, k: int, levels: int
) -> None:
    values = np.random.default_rng(seed).integers(0, levels, (count, 3))
    group = partition_records(values, k)
    sizes = np.bincount(group)
    assert sizes.min() >= k
    for number in np.flatnonzero(sizes >= 2 * k):
        assert len(np.unique(values[group == number], axis=0)) == 1


def test_groups_lie_close_together() -> None:
    values = np.random.default_rng(1).random((4_000, 2))
    group = partition_records(values, 50)
    widths = [np.ptp(values[group == number], axis=0).mean() for number in range(group.max() + 1)]
    assert np.mean(widths) < 0.2


def test_a_field_with_a_wide_range_does_not_outweigh_another() -> None:
    values = np.random.default_rng(1).random((2_000, 2))
    assert np.array_equal(partition_records(values, 50), partition_records(values * [1024.0, 1.0], 50))


@pytest.mark.parametrize(
    ("values", "field"),
    [(np.zeros((4, 2)), "k"), (np.full((9, 2), np.nan), "values"), (np.zeros(9), "values")],
)
def test_wrong_input_names_its_field(values: np.ndarray, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        partition_records(values, 5)
    assert caught.value.field == field
