"""Swaps bring drawn rows to the released joint tables and change nothing else that is released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, admit, draw, find_units
from riskgraph.sandbox import swap as swaps
from riskgraph.sandbox.draw import ClassDraw, ReleasedRows, draw_class
from riskgraph.sandbox.frame import build_frame
from riskgraph.sandbox.pairs import APART
from riskgraph.sandbox.rake import targets
from riskgraph.sandbox.swap import swap
from riskgraph.sandbox.tables import Tables, build_tables, group_rows

MakeWorld = Callable[..., OrderTable]


@pytest.fixture(scope="module")
def tables(make_world: MakeWorld) -> Tables:
    """What is released of a small history: all that draws and swaps are given here."""
    table = make_world(2, 1_600, 700, 700, 260)
    frame = build_frame(
        table, admit(table, until=date(2026, 6, 30), policy=Policy.default()), find_units(table), 50
    )
    rng = np.random.default_rng(1)
    return build_tables(group_rows(frame, 50, rng), 50, rng)[0]


@pytest.fixture(scope="module", params=[0, 1], ids=["honest", "fraud"])
def label(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def drawn(tables: Tables, label: int) -> ClassDraw:
    return draw_class(tables, label, np.random.default_rng(5))


@pytest.fixture(scope="module")
def moved(tables: Tables, drawn: ClassDraw, label: int) -> ClassDraw:
    return swap(tables, drawn, label, np.random.default_rng(3))


def by_group(draw: ClassDraw, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each column sorted within each group; NaN last."""
    return np.concatenate([np.sort(values[draw.group == g], axis=0) for g in np.unique(draw.group)])


def gap(tables: Tables, draw: ClassDraw, label: int) -> float:
    """Mean absolute log ratio of drawn to released cells."""
    found = []
    for target in targets(tables, draw, label).values():
        weight = target.weights(draw, draw.rows.weight)
        told = target.wanted[:APART] > 0
        found.append(np.abs(np.log((target.wanted[:APART] + 5) / (weight[:APART] + 5)))[told].mean())
    return float(np.mean(found))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_swap_keeps_each_groups_values_each_rows_absence_and_everything_else(
    tables: Tables, drawn: ClassDraw, label: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swaps, "SWEEPS", 2)
    moved = swap(tables, drawn, label, np.random.default_rng(seed))
    before, after = drawn.rows.components, moved.rows.components
    assert (before != after)[~np.isnan(before)].any()
    assert np.array_equal(np.isnan(before), np.isnan(after))
    assert np.array_equal(by_group(drawn, before), by_group(drawn, after), equal_nan=True)
    assert np.array_equal(by_group(drawn, drawn.latent), by_group(drawn, moved.latent))
    for field in fields(ReleasedRows):
        if field.name != "components":
            assert getattr(moved.rows, field.name) is getattr(drawn.rows, field.name)


def test_values_move_together_with_their_latent_values_and_their_bins(
    drawn: ClassDraw, moved: ClassDraw
) -> None:
    for end, codes in moved.coarse.items():
        there = codes > 0
        triples = [
            np.stack(
                [d.group[there], d.coarse[end][there], d.rows.components[there, end], d.latent[there, end]]
            )
            for d in (drawn, moved)
        ]
        assert np.array_equal(*(t[:, np.lexsort(t)] for t in triples))


def test_drawn_pairs_come_closer_to_the_released_tables(
    tables: Tables, drawn: ClassDraw, moved: ClassDraw, label: int
) -> None:
    assert gap(tables, moved, label) < 0.6 * gap(tables, drawn, label)


def test_the_honest_correlation_stays_where_no_joint_table_tells_otherwise(
    tables: Tables, moved: ClassDraw
) -> None:
    away = np.corrcoef(moved.latent.T) - tables.correlation
    # without the latent values carried along, moved ends would be uncorrelated with all the rest
    strong = np.abs(tables.correlation) > 0.3
    np.fill_diagonal(strong, False)
    kept = np.corrcoef(moved.latent.T)[strong] / tables.correlation[strong]
    assert np.median(np.abs(away)) < 0.05
    assert np.median(kept) > 0.8


def test_the_same_seed_swaps_the_same_way(
    tables: Tables, drawn: ClassDraw, label: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swaps, "SWEEPS", 1)
    first, again, other = (
        swap(tables, drawn, label, np.random.default_rng(seed)).rows.components for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_a_class_of_many_rows_is_drawn_fewer_times_and_keeps_its_weight(
    tables: Tables, label: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = int(tables.groups.rows[tables.groups.label == label].sum())
    monkeypatch.setattr(draw, "DRAWN_MOST", 2 * size)
    rows = draw_class(tables, label, np.random.default_rng(5)).rows
    assert len(rows) == 2 * size
    assert rows.weight.sum() == pytest.approx(size)
