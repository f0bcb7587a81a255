"""Rows that are read some columns at a time give the bins that rows in memory give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.models.binning import COMPONENT_COUNT, edges_of, fit_edges, read_binned
from riskgraph.models.compiled import table_logits
from riskgraph.models.rows import COLUMNS, BinnedRows, ListedRows, Rows, some_of, split, stack, without_source
from tests.models.helpers import planted_rows, random_tables


class Watched:
    """A source that notes how many columns are asked for at once."""

    def __init__(self, rows: Rows) -> None:
        self.rows, self.asked = rows, []
        self.availability, self.label = rows.availability, rows.label
        self.weight, self.cluster = rows.weight, rows.cluster

    def columns(self, part: slice) -> np.ndarray:
        found = self.rows.columns(part)
        self.asked.append(found.shape[1])
        return found


@pytest.fixture(scope="module")
def rows() -> Rows:
    return planted_rows(3000, 3)[0]


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 99), cut=st.integers(500, 2500), fewer=st.booleans())
def test_edges_and_bins_are_those_of_the_same_rows_in_memory(rows, seed, cut, fewer):
    sources = [Watched(rows.take(np.arange(cut))), Watched(rows.take(np.arange(cut, 3000)))]
    train, held_out = split(stack(sources), seed)
    alone, checked = split(rows, seed)
    if fewer:
        train, alone = some_of(train, 900, seed), some_of(alone, 900, seed)
    edges, (binned, looked) = read_binned(train, [held_out])
    known = fit_edges(alone.components, alone.label, alone.weight)
    assert [e.tolist() for e in edges.inner] == [e.tolist() for e in known.inner]
    for mine, theirs in ((binned, alone), (looked, checked)):
        np.testing.assert_array_equal(mine.components, known.apply(theirs.components))
        np.testing.assert_array_equal(mine.weight, theirs.weight)
        np.testing.assert_array_equal(mine.availability, theirs.availability)


def test_every_column_is_read_once_and_few_of_them_at_a_time(rows):
    source = Watched(rows)
    read_binned(*(lambda a, b: (a, [b]))(*split(stack([source]), 0)))
    assert max(source.asked) == COLUMNS
    assert sum(source.asked) == COMPONENT_COUNT


def test_listed_rows_are_loaded_as_they_are(rows):
    train, _ = split(stack([rows]), 1)
    assert isinstance(train, ListedRows)
    alone, _ = split(rows, 1)
    np.testing.assert_array_equal(train.load().components, alone.components)


@pytest.mark.parametrize("source", ["refused", "no_front_end"])
def test_a_source_gone_from_bins_is_the_source_gone_from_values(rows, source):
    tables = random_tables(2)
    bins = BinnedRows(
        tables.edges.apply(rows.components), rows.availability, rows.label, rows.weight, rows.cluster
    )
    logits = [
        table_logits(tables.flat(), tables.edges, without_source(r, source).components) for r in (rows, bins)
    ]
    np.testing.assert_array_equal(*logits)


def test_rows_in_bins_are_not_cut_into_bins_again(rows):
    bins = BinnedRows(
        np.zeros((3000, COMPONENT_COUNT), np.uint8), rows.availability, rows.label, rows.weight, rows.cluster
    )
    with pytest.raises(TypeError, match="edges of these bins"):
        edges_of(bins)
