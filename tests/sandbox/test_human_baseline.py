"""The human baseline: quantiles per device class, made of a release and nothing else."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from copy import copy
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.commands import sandbox_baseline
from riskgraph.core.baseline import ANY_DEVICE, Baseline, device_classes, trajectory_components
from riskgraph.core.bounds import component_bounds
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.sandbox.baseline import MAX_BINS, honest_quantiles, human_baseline, weighted_quantiles
from tests.support.baselines import some_baseline
from tests.support.cli import riskgraph

DEVICE = catalog().component_index["B077.value"]


@pytest.fixture(scope="module")
def baseline(release):
    return human_baseline([release])


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
        human_baseline([release.rows])
    for wrong in ([], [release, release]):
        with pytest.raises(Invalid, match="each once"):
            human_baseline(wrong)


def test_the_same_release_gives_the_same_baseline_as_json(release, baseline):
    data = json.loads(json.dumps(baseline.to_json(), allow_nan=False))
    assert Baseline.parse(data) == human_baseline([release])
    assert baseline.releases == (release.release_id,)
    assert baseline.provenance == release.provenance


def test_every_bin_stands_for_k_persons_and_lies_in_the_public_bounds(release, baseline):
    low, high = component_bounds()
    honest = release.manifest["input"]["classes"][0]["units"]
    told = [row for row in baseline.quantiles if row.values]
    assert told
    for row in told:
        column = catalog().component_index[row.component]
        assert row.units <= honest
        assert row.units >= baseline.k * (len(row.values) - 1)
        assert low[column] <= min(row.values)
        assert max(row.values) <= high[column]


def test_every_trajectory_component_is_in_it_even_where_too_few_stand_behind(baseline):
    expected = {(catalog().components[c], kind) for c in trajectory_components() for kind in device_classes()}
    assert baseline.by_place.keys() == expected
    for row in baseline.quantiles:
        assert bool(row.values) == (row.units >= 2 * baseline.k)


def test_medians_are_near_those_of_the_honest_orders_behind_the_release(world, baseline):
    """Ranks of the released medians among raw honest values: half is right."""
    ranks = []
    for row in baseline.quantiles:
        if not row.values:
            continue
        values = world.components[world.label == 0, catalog().component_index[row.component]]
        if row.device_class != ANY_DEVICE:
            word = catalog()["B077"].words.index(row.device_class)
            values = values[world.components[world.label == 0, DEVICE] == word]
        values = values[~np.isnan(values)]
        middle = row.values[len(row.values) // 2]
        if len(row.values) % 2 == 1 and len(np.unique(values)) > 50:
            ranks.append(np.mean(values < middle))
    assert len(ranks) > 100
    assert abs(np.median(ranks) - 0.5) < 0.02
    assert np.quantile(np.abs(np.array(ranks) - 0.5), 0.9) < 0.08


def test_fraud_rows_do_not_count(release, baseline):
    rows = release.rows
    honest = rows.components[rows.label == 0]
    units = rows.weight[rows.label == 0]
    units = units * (release.manifest["input"]["classes"][0]["units"] / units.sum())
    assert tuple(honest_quantiles(lambda part: honest[:, part], units, release.k)) == baseline.quantiles


def test_the_pool_of_two_releases_lies_between_them(release, baseline):
    """Two releases of which the second moves slower; made up past the door, since a release has one world."""
    places = list(trajectory_components())
    slower = copy(release)
    changed = release.rows.components.copy()
    changed[:, places] *= 0.5
    stored = SimpleNamespace(
        label=release.stored.label, weight=release.stored.weight, columns=lambda part: changed[:, part]
    )
    manifest = {**release.manifest, "release_id": "rel-other", "provenance": "merchant"}
    for name, value in (("stored", stored), ("manifest", manifest)):
        object.__setattr__(slower, name, value)
    pooled, other = human_baseline([release, slower]), human_baseline([slower])
    assert (pooled.releases, pooled.provenance) == ((release.release_id, "rel-other"), "simulated")
    for key, row in pooled.by_place.items():
        own, its = baseline.by_place[key], other.by_place[key]
        assert row.units == pytest.approx(own.units + its.units, abs=1)
        if own.values:
            assert (row.values[0], row.values[-1]) == (its.values[0], own.values[-1])


def test_the_command_writes_what_the_service_reads(chain, tmp_path):
    (tmp_path / "home").mkdir()
    shutil.copytree(chain / "home-secrets", tmp_path / "home-secrets")
    out = tmp_path / "own.json"
    asked = ("sandbox", "baseline", "--release", chain / "release", "--out", out)
    told = riskgraph(*asked, "--json", home=tmp_path / "home").json()
    made = Baseline.load(out)
    assert (told["baseline_id"], told["releases"]) == (made.baseline_id, list(made.releases))
    counts = Counter(q.device_class for q in made.quantiles if q.calibrated)
    assert {kind: count for kind, count in told["calibrated"].items() if count} == counts
    assert [path.name for path in tmp_path.glob("*.json")] == ["own.json"]
    assert (told["merchants"], made.merchants) == ([], ())
    named = riskgraph(
        *asked, "--merchant", "m-18", "--merchant", "m-17", "--json", home=tmp_path / "home"
    ).json()
    assert named["merchants"] == list(Baseline.load(out).merchants) == ["m-17", "m-18"]
    assert named["baseline_id"] != told["baseline_id"]
    twice = riskgraph(*asked, "--release", chain / "release", home=tmp_path / "home")
    assert twice.code != 0
    assert "each once" in twice.error


def test_the_command_asks_whose_shoppers_real_releases_are_of(tmp_path, monkeypatch):
    def of_real_releases(releases, merchants):
        return some_baseline(2, merchants=tuple(merchants))

    monkeypatch.setattr("riskgraph.sandbox.human_baseline", of_real_releases)
    monkeypatch.setenv("RISKGRAPH_HOME", str(tmp_path / "home"))
    out = tmp_path / "own.json"
    with pytest.raises(Invalid, match="--merchant"):
        sandbox_baseline.baseline([], out)
    assert not out.exists()
    sandbox_baseline.baseline([], out, ["m-17"], as_json=True)
    assert Baseline.load(out).merchants == ("m-17",)
