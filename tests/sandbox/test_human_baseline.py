"""The human baseline: quantiles per device class, made of a release and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.sandbox.baseline import (
    ANY_DEVICE,
    MAX_BINS,
    behavior_components,
    honest_quantiles,
    human_baseline,
    weighted_quantiles,
)
from riskgraph.sandbox.bounds import component_bounds

DEVICE = catalog().component_index["B077.value"]


@pytest.fixture(scope="module")
def baseline(release):
    return human_baseline(release)


@given(
    rows=st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), st.floats(0.125, 8)), min_size=1, max_size=400),
    k=st.integers(5, 60),
)
def test_between_neighbouring_quantiles_lie_k_units_by_rank(rows, k):
    values = np.array([v for v, _ in rows], dtype=np.float32)
    units = np.array([u for _, u in rows])
    table = weighted_quantiles(values, units, k)
    if units.sum() < 2 * k:
        assert len(table) == 0
        return
    bins = len(table) - 1
    assert 2 <= bins <= MAX_BINS
    assert units.sum() / bins >= k
    assert (np.diff(table) >= 0).all()
    assert (table[0], table[-1]) == (values.min(), values.max())
    for step, value in enumerate(table):
        # The definition of a weighted quantile, from both sides; a row's weight is the rounding.
        rank = step / bins * units.sum()
        assert units[values < value].sum() <= rank + 1e-6
        assert units[values <= value].sum() >= rank * (1 - 1e-9)


def test_a_baseline_is_made_of_a_release_alone(release):
    with pytest.raises(TypeError, match=r"Release\.open"):
        human_baseline(release.rows)


def test_the_same_release_gives_the_same_baseline_as_json(release, baseline):
    assert json.loads(json.dumps(baseline, allow_nan=False)) == json.loads(
        json.dumps(human_baseline(release))
    )
    assert baseline["release_id"] == release.release_id


def test_only_what_the_sdk_measures_of_behavior_is_in_it(baseline):
    named = {row["component"].split(".")[0] for row in baseline["quantiles"]}
    assert named
    for node in named:
        assert catalog()[node].computed_by == "sdk"
        assert catalog()[node].purpose in ("behavior", "motion")


def test_every_bin_stands_for_k_persons_and_lies_in_the_public_bounds(release, baseline):
    low, high = component_bounds()
    honest = release.manifest["input"]["classes"][0]["units"]
    for row in baseline["quantiles"]:
        column = catalog().component_index[row["component"]]
        assert row["units"] <= honest
        assert row["units"] >= baseline["k"] * (len(row["values"]) - 1)
        assert low[column] <= min(row["values"])
        assert max(row["values"]) <= high[column]


def test_every_component_is_in_it_or_named_as_left_out(baseline):
    kinds = (ANY_DEVICE, *catalog()["B077"].words)
    told = [[r["component"], r["device_class"]] for r in baseline["quantiles"]] + baseline["left_out"]
    assert sorted(map(tuple, told)) == sorted(
        (catalog().components[c], kind) for c in behavior_components() for kind in kinds
    )


def test_medians_are_near_those_of_the_honest_orders_behind_the_release(world, baseline):
    """Ranks of the released medians among raw honest values: half is right."""
    ranks = []
    for row in baseline["quantiles"]:
        values = world.components[world.label == 0, catalog().component_index[row["component"]]]
        if row["device_class"] != ANY_DEVICE:
            word = catalog()["B077"].words.index(row["device_class"])
            values = values[world.components[world.label == 0, DEVICE] == word]
        values = values[~np.isnan(values)]
        middle = row["values"][len(row["values"]) // 2 : len(row["values"]) // 2 + 1][0]
        if len(row["values"]) % 2 == 1 and len(np.unique(values)) > 50:
            ranks.append(np.mean(values < middle))
    assert len(ranks) > 100
    assert abs(np.median(ranks) - 0.5) < 0.02
    assert np.quantile(np.abs(np.array(ranks) - 0.5), 0.9) < 0.08


def test_fraud_rows_do_not_count(release):
    rows, (_, high) = release.rows, component_bounds()
    there = (rows.label == 1)[:, None] & ~np.isnan(rows.components)
    changed = replace(rows, components=np.where(there, high.astype(np.float32), rows.components))
    assert honest_quantiles(changed, 3000, 50) == honest_quantiles(rows, 3000, 50)
