"""Planting an interaction in fraud alone, and weighing what a network makes of it."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from riskgraph.bench.pair_weight import contrast, measure_pairs, pair_index, plant
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.table import OrderTable
from riskgraph.models.binning import fit_edges
from riskgraph.models.compiled import Tables
from riskgraph.sandbox import ReleaseRequest
from tests.sandbox.conftest import FakeSigner, build_world

PAIR = ("B110", "B112")
ENDS = [catalog().component_index[f"{n}.{catalog()[n].pair_component}"] for n in PAIR]


@pytest.fixture(scope="module")
def history() -> OrderTable:
    return build_world(3, 2_000, 600, 700, 260)


def test_planting_changes_no_honest_order_and_no_end_alone(history: OrderTable) -> None:
    planted = plant(history, [PAIR], 0.6, seed=1)
    honest = history.label == 0
    assert np.array_equal(planted.components[honest], history.components[honest], equal_nan=True)
    before, after = history.components[~honest], planted.components[~honest]
    assert np.array_equal(np.sort(before, axis=0), np.sort(after, axis=0), equal_nan=True)
    changed = np.flatnonzero((before != after)[:, :].any(axis=0) & ~np.isnan(before).all(axis=0))
    assert ENDS[1] in changed
    both = ~np.isnan(after[:, ENDS]).any(axis=1)
    assert np.corrcoef(after[both][:, ENDS].T)[0, 1] > 0.4
    assert abs(np.corrcoef(before[both][:, ENDS].T)[0, 1]) < 0.4


def weighed(history: OrderTable, table: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    edges = fit_edges(history.components, history.label, np.ones(len(history)))
    pairs = np.zeros((len(catalog().pairs), 13, 13))
    pairs[pair_index(PAIR)] = table
    pairs[:, 0] = pairs[:, :, 0] = 0.0
    model = SimpleNamespace(tables=Tables(edges, np.zeros((259, 13)), pairs))
    return contrast(cast(Any, model), PAIR, history.components, history.label)


def test_an_effect_of_one_end_alone_weighs_nothing(history: OrderTable) -> None:
    bins = np.arange(13.0)
    assert weighed(history, np.add.outer(bins, 2 * bins)) == pytest.approx(0, abs=1e-9)
    assert weighed(history, np.outer(bins, bins)) > 1


def test_a_pair_that_is_none_is_refused() -> None:
    with pytest.raises(Invalid, match="no template pair") as caught:
        pair_index(("B001", "B137"))
    assert caught.value.field == "pair"


@pytest.mark.slow
def test_interactions_planted_only_in_fraud_keep_most_of_their_weight() -> None:
    kept = []
    for seed in range(2):
        history = build_world(seed, 10_500, 1_500, 4_000, 500)
        request = ReleaseRequest(
            until=date(2026, 6, 30), seed=seed, provenance="simulated", now=0.0, code="test"
        )
        pairs = (PAIR, ("B001", "B002"), ("B103", "B107"))
        found = measure_pairs(history, pairs, request, FakeSigner())
        assert min(p.raw for p in found) > 0.2
        kept += [p.kept for p in found]
    assert np.mean(kept) > 0.7
