import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import Form, catalog
from riskgraph.models.binning import COMPONENT_COUNT, MAX_BINS, BinEdges, fit_edges
from tests.models.helpers import random_components, random_edges


def test_absent_is_bin_zero_and_nothing_else_is() -> None:
    edges, x = random_edges(1), random_components(200, 2)
    np.testing.assert_array_equal(edges.apply(x) == 0, np.isnan(x))


def test_bins_rise_with_the_value_and_stay_in_range() -> None:
    edges, x = random_edges(1), np.sort(random_components(200, 3, absent=0.0), axis=0)
    bins = edges.apply(x).astype(int)
    assert (np.diff(bins, axis=0) >= 0).all()
    assert (bins >= 1).all()
    assert (bins <= edges.counts).all()
    assert bins.max() == MAX_BINS


def test_a_value_on_an_edge_belongs_to_the_upper_bin() -> None:
    edges = BinEdges.of([[0.5, 2.0]] + [[]] * (COMPONENT_COUNT - 1))
    x = np.full((4, COMPONENT_COUNT), np.nan, dtype=np.float32)
    x[:, 0] = [np.nextafter(np.float32(0.5), np.float32(0)), 0.5, 2.0, 1e30]
    assert edges.apply(x)[:, 0].tolist() == [1, 2, 3, 3]


def test_classes_and_flags_get_one_bin_a_word() -> None:
    edges = random_edges(4)
    for node, part in zip(catalog().nodes, catalog().component_slices, strict=True):
        if node.form in (Form.CLASS, Form.FLAG):
            words = 2 if node.form is Form.FLAG else len(node.words)
            x = np.full((words, COMPONENT_COUNT), np.nan, dtype=np.float32)
            x[:, part.start] = np.arange(words)
            assert edges.apply(x)[:, part.start].tolist() == list(range(1, words + 1))


def test_rare_fraud_moves_the_edges() -> None:
    x = np.full((10_000, COMPONENT_COUNT), np.nan, dtype=np.float32)
    column = catalog().component_index["B003.value"]
    x[:, column] = np.concatenate([np.linspace(0, 100, 9900), np.linspace(900, 1000, 100)])
    label = np.repeat([0, 1], [9900, 100]).astype(np.int8)
    edges = fit_edges(x, label, np.ones(10_000)).inner[column]
    assert (edges > 900).sum() >= 4
    assert (edges < 100).sum() >= 4


def test_row_weights_move_the_edges() -> None:
    x = np.full((2000, COMPONENT_COUNT), np.nan, dtype=np.float32)
    column = catalog().component_index["B003.value"]
    x[:, column] = np.arange(2000)
    label = (np.arange(2000) % 2).astype(np.int8)
    weight = np.where(np.arange(2000) < 1000, 1.0, 0.1)
    edges = fit_edges(x, label, weight).inner[column]
    assert (edges < 1000).sum() == 10


def test_few_distinct_values_get_a_bin_each() -> None:
    x = np.full((100, COMPONENT_COUNT), np.nan, dtype=np.float32)
    column = catalog().component_index["B131.accounts_30d"]
    x[:, column] = np.arange(100) % 5
    edges = fit_edges(x, np.zeros(100, dtype=np.int8), np.ones(100))
    assert edges.counts[column] == 5
    assert edges.counts[column - 1] == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=80))
def test_any_values_give_sound_edges(values: list[float]) -> None:
    x = np.full((len(values), COMPONENT_COUNT), np.nan, dtype=np.float32)
    x[:, 0] = values
    edges = fit_edges(x, np.zeros(len(values), dtype=np.int8), np.ones(len(values)))
    used = np.unique(edges.apply(x)[:, 0])
    assert used.tolist() == list(range(1, int(edges.counts[0]) + 1))


@pytest.mark.parametrize("bad", [[2.0, 1.0], [1.0, 1.0], [np.nan], [np.inf], list(range(12))])
def test_unsound_edges_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"B001\.n"):
        BinEdges.of([bad] + [[]] * (COMPONENT_COUNT - 1))


def test_edges_of_too_few_components_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 259"):
        BinEdges.of([[]])
