"""A release on disk: verified, plausible, useful, and free of persons."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from riskgraph.core.bounds import component_bounds, whole_components
from riskgraph.core.canonical import canonical_json
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import CheckFailed, Conflict, Invalid, RiskgraphError
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import (
    Policy,
    Release,
    ReleasedRows,
    ReleaseRequest,
    read_table,
    verify_audit,
    write_release,
)
from riskgraph.sandbox import tabulate as tabulate_module
from riskgraph.sandbox import write as write_module
from riskgraph.sandbox.draw import DRAWS
from tests.sandbox.conftest import nothing_told_of_pairs, swept_once

FILES = (
    "manifest.json", "manifest.sig", "centroids.parquet", "groups.parquet", "shape.parquet",
    "pairs.parquet", "rows.parquet", "audit.jsonl",
)  # fmt: skip
_NODE = np.array(catalog().component_node)
MakeWorld = Callable[..., OrderTable]


def _options(signer: Any, **changes: Any) -> dict[str, Any]:
    asked = {
        "until": date(2026, 6, 30),
        "seed": 7,
        "provenance": "simulated",
        "now": 1_782_800_000.0,
        "code": "test",
    }
    return {
        "request": ReleaseRequest(**(asked | changes)),
        "signer": signer,
        "policy": Policy.default(),
    }


@pytest.fixture(scope="module")
def small(make_world: MakeWorld) -> OrderTable:
    return make_world(2, 1_600, 700, 700, 260)


@pytest.fixture(scope="module")
def copy(small: OrderTable, signer: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("copy") / "release"
    with swept_once():
        write_release(small, out, **_options(signer))
    yield out
    shutil.rmtree(out)


def test_a_release_has_exactly_the_files_of_the_contract(release: Release) -> None:
    assert sorted(p.name for p in release.path.iterdir()) == sorted(FILES)


def test_an_opened_release_tells_what_training_needs(release: Release, world: OrderTable) -> None:
    assert release.k == 50
    assert release.provenance == "simulated"
    assert release.release_id.startswith("rel-")
    assert release.certificate["independent"]["min_units"] >= 50
    assert release.rows.components.dtype == np.float32
    assert release.rows.states.shape == (len(release.rows), 137)
    assert release.manifest["timings"]["rows"] == len(world)


def test_columns_that_are_read_alone_are_those_of_all_rows(release: Release) -> None:
    part = slice(17, 40)
    assert np.array_equal(release.stored.columns(part), release.rows.components[:, part], equal_nan=True)
    assert np.array_equal(release.stored.weight, release.rows.weight)


def test_rows_that_change_after_the_release_was_verified_are_refused(copy: Path, signer: Any) -> None:
    opened = Release.open(copy, signer)
    assert len(opened.stored.label) == len(opened.rows)
    whole = (copy / "rows.parquet").read_bytes()
    try:
        (copy / "rows.parquet").write_bytes(whole + b" ")
        with pytest.raises(CheckFailed, match="changed while it was read"):
            opened.stored.columns(slice(0, 1))
    finally:
        (copy / "rows.parquet").write_bytes(whole)


def test_a_release_cannot_be_constructed_directly(release: Release) -> None:
    with pytest.raises(TypeError, match=r"Release\.open"):
        Release(release.path, release.manifest, release.stored)
    with pytest.raises(TypeError, match=r"Release\.open"):
        Release(release.path, release.manifest, release.stored, token=object())


@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_one_changed_bit_in_any_file_is_detected(
    copy: Path, signer: Any, name: str, place: float, bit: int
) -> None:
    file = copy / name
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[int(place * len(whole))] ^= 1 << bit
    file.write_bytes(changed)
    try:
        with pytest.raises(CheckFailed) as caught:
            Release.open(copy, signer)
        assert caught.value.field in (name, "manifest.sig")
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Path, signer: Any, name: str) -> None:
    whole = (copy / name).read_bytes()
    (copy / name).unlink()
    try:
        with pytest.raises(CheckFailed):
            Release.open(copy, signer)
    finally:
        (copy / name).write_bytes(whole)


def test_a_stray_file_is_refused(copy: Path, signer: Any) -> None:
    (copy / "map.parquet").write_bytes(b"")
    try:
        with pytest.raises(CheckFailed, match=r"map\.parquet"):
            Release.open(copy, signer)
    finally:
        (copy / "map.parquet").unlink()


def test_another_installations_key_does_not_open_a_release(copy: Path, signer: Any) -> None:
    with pytest.raises(CheckFailed, match="signature"):
        Release.open(copy, dataclasses.replace(signer, key=b"x" * 32))


@pytest.mark.parametrize(
    ("field", "value"),
    [("min_units", 49), ("min_components", 4), ("max_component_share", 0.6), ("max_unit_share", 0.3)],
)
@pytest.mark.parametrize("counter", ["partition", "independent"])
def test_a_signed_certificate_that_does_not_reach_k_is_refused(
    copy: Path, signer: Any, field: str, value: float, counter: str
) -> None:
    old = {name: (copy / name).read_bytes() for name in ("manifest.json", "manifest.sig")}
    manifest = json.loads(old["manifest.json"])
    held = manifest["certificate"]
    (held if counter == "partition" else held["independent"])[field] = value
    data = canonical_json(manifest)
    (copy / "manifest.json").write_bytes(data)
    (copy / "manifest.sig").write_bytes(signer.sign(data))
    try:
        with pytest.raises(CheckFailed, match=f"{field}.*{counter}"):
            Release.open(copy, signer)
    finally:
        for name, content in old.items():
            (copy / name).write_bytes(content)


def test_a_release_with_too_few_fraud_persons_is_refused_and_audited(
    make_world: MakeWorld, signer: Any, tmp_path: Path
) -> None:
    table = make_world(3, 1_500, 400, 700, 90)
    log = tmp_path / "log" / "audit.jsonl"
    with pytest.raises(CheckFailed, match="fraud class has 9.*100 persons"):
        write_release(table, tmp_path / "out", audit_log=log, **_options(signer))
    assert [p.name for p in tmp_path.iterdir()] == ["log"]
    (record,) = verify_audit(log, signer)
    assert record["event"] == "refusal"
    assert record["refused_reasons"][0]["code"] == "check_failed"
    assert record["input"]["classes"][1]["label"] == 1


def test_a_refusal_for_a_group_of_too_few_persons_does_not_say_how_few(
    small: OrderTable, signer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = tabulate_module.certificate
    monkeypatch.setattr(tabulate_module, "certificate", lambda *a: sealed(*a) | {"min_units": 43})
    log = tmp_path / "audit.jsonl"
    with pytest.raises(CheckFailed, match="min_units"), nothing_told_of_pairs():
        write_release(small, tmp_path / "out", audit_log=log, **_options(signer))
    ((reason,),) = (record["refused_reasons"] for record in verify_audit(log, signer))
    assert "min_units" in reason["message"]
    assert "43" not in reason["message"]


def test_a_refusal_of_misshapen_values_does_not_say_how_many_orders_there_are(
    small: OrderTable, signer: Any, tmp_path: Path
) -> None:
    log, bad = tmp_path / "audit.jsonl", dataclasses.replace(small, components=small.components[:, :7])
    with pytest.raises(Invalid, match=r"got shape \[N, 7\]"):
        write_release(bad, tmp_path / "out", audit_log=log, **_options(signer))
    ((reason,),) = (record["refused_reasons"] for record in verify_audit(log, signer))
    assert reason["message"].startswith("components: got shape [N, 7]")


def test_a_run_that_dies_while_writing_leaves_nothing(
    small: OrderTable, signer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(folder: Path, rows: ReleasedRows) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(write_module, "write_rows", die)
    with pytest.raises(KeyboardInterrupt), nothing_told_of_pairs():
        write_release(small, tmp_path / "out", **_options(signer))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_anything_is_never_overwritten(
    small: OrderTable, signer: Any, tmp_path: Path
) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(Conflict, match="not an empty folder"):
        write_release(small, tmp_path, **_options(signer))
    assert (tmp_path / "keep.txt").read_text() == "mine"


@pytest.mark.parametrize(("change", "field"), [({"k": 49}, "k"), ({"provenance": "real"}, "provenance")])
def test_a_wrong_request_names_its_field(
    small: OrderTable, signer: Any, tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        write_release(small, tmp_path / "out", **_options(signer, **change))
    assert caught.value.field == field


def test_the_same_seed_gives_the_same_release_and_another_seed_another(
    copy: Path, small: OrderTable, signer: Any, tmp_path: Path
) -> None:
    first = Release.open(copy, signer)
    with swept_once():
        again = write_release(small, tmp_path / "again", **_options(signer))
        other = write_release(small, tmp_path / "other", **_options(signer, seed=8))
    assert again.release_id == first.release_id
    assert other.release_id != first.release_id


def test_a_merchants_noise_depends_on_the_signing_key(
    copy: Path, small: OrderTable, signer: Any, tmp_path: Path
) -> None:
    """Else whoever guesses the seed takes the noise away."""
    other = dataclasses.replace(signer, key=b"x" * 32)
    with nothing_told_of_pairs():
        mine = write_release(small, tmp_path / "mine", **_options(signer, provenance="merchant"))
        theirs = write_release(small, tmp_path / "theirs", **_options(other, provenance="merchant"))
    assert len({mine.release_id, theirs.release_id, Release.open(copy, signer).release_id}) == 3


def test_weights_restore_the_size_of_each_class(release: Release, world: OrderTable) -> None:
    for label in (0, 1):
        total = release.rows.weight[release.rows.label == label].sum()
        assert total == pytest.approx((world.label == label).sum(), rel=1e-9)
    assert (release.rows.weight > 0).all()
    assert (release.rows.label == 1).sum() == DRAWS[1] * (world.label == 1).sum()


def test_drawn_rows_are_possible_orders(release: Release) -> None:
    rows = release.rows
    low, high = component_bounds()
    filled = ~np.isnan(rows.components)
    assert ((rows.components >= low) | ~filled).all()
    assert ((rows.components <= high) | ~filled).all()
    whole = rows.components[:, whole_components()]
    assert (np.isnan(whole) | (whole == np.round(whole))).all()
    shares = np.zeros((catalog().histogram_count, 16), dtype=np.uint8)
    for place in range(0, len(rows), 97):
        OrderSubgraph(rows.states[place], rows.components[place], shares)


def test_blocks_stay_absent_with_their_cause(release: Release) -> None:
    rows = release.rows
    sdk = np.array([n.computed_by == "sdk" for n in catalog()])
    refused = rows.states[rows.availability == "pre_auth/refused"][:, sdk]
    bare = rows.states[rows.availability == "pre_auth/no_front_end"][:, sdk]
    assert len(refused) > 0
    assert (refused == 3).all()
    assert len(bare) > 0
    assert (bare == 2).all()


def test_presence_shares_are_close_to_raw(release: Release, world: OrderTable) -> None:
    for label in (0, 1):
        mine = release.rows.label == label
        weight = release.rows.weight[mine]
        drawn = ((release.rows.states[mine] == 0) * weight[:, None]).sum(axis=0) / weight.sum()
        raw = (world.states[world.label == label] == 0).mean(axis=0)
        assert np.abs(drawn - raw).max() < 0.06


def test_marginals_are_close_to_raw(release: Release, world: OrderTable) -> None:
    worst = 0.0
    for place in range(len(_NODE)):
        for label in (0, 1):
            raw = world.components[world.label == label, place]
            drawn = release.rows.components[release.rows.label == label, place]
            raw, drawn = raw[~np.isnan(raw)], drawn[~np.isnan(drawn)]
            at = np.quantile(raw, [0.25, 0.5, 0.75])
            gap = [abs((raw <= q).mean() - (drawn <= q).mean()) for q in at + 1e-6]
            worst = max(worst, *gap)
    assert worst < 0.12


def _pair_weight(
    components: NDArray[np.float32], label: NDArray[np.int8], weight: NDArray[np.float64]
) -> float:
    """Coefficient of the planted cell beside its two main effects."""
    a, b = (components[:, catalog().component_index[f"{n}.value"]] for n in ("B110", "B085"))
    both = ~np.isnan(a) & ~np.isnan(b)
    far, gone = a[both] >= 3, b[both] == 1
    features = np.stack([far, gone, far & gone], axis=1).astype(float)
    model = LogisticRegression(C=100).fit(features, label[both], sample_weight=weight[both])
    return float(model.coef_[0, 2])


def test_an_interaction_planted_only_in_fraud_keeps_most_of_its_weight(
    release: Release, world: OrderTable
) -> None:
    raw = _pair_weight(world.components, world.label, np.ones(len(world)))
    rows = release.rows
    drawn = _pair_weight(rows.components, rows.label, rows.weight)
    assert raw > 2
    assert drawn >= 0.7 * raw


def test_no_column_names_a_person_a_group_or_a_time(release: Release) -> None:
    names = set(read_table(release.path, "rows.parquet"))
    extra = {"states", "availability", "label", "weight", "cluster"}
    assert names == set(catalog().components) | extra


def test_a_planted_value_never_leaves_the_sandbox(small: OrderTable, signer: Any, tmp_path: Path) -> None:
    place = catalog().component_index["B010.value"]
    canary = np.float32(123456.789)
    values = small.components.copy()
    values[np.flatnonzero(~np.isnan(values[:, place]))[0], place] = canary
    table = dataclasses.replace(small, components=values)
    with swept_once():
        found = write_release(table, tmp_path / "out", **_options(signer))
    assert not (found.rows.components == canary).any()
    assert canary.tobytes() not in found.rows.components.tobytes()
    for name in ("centroids.parquet", "groups.parquet", "shape.parquet"):
        assert "123456.78" not in repr(read_table(found.path, name))


def test_each_fraud_cluster_joins_two_groups_or_more(release: Release) -> None:
    groups = read_table(release.path, "groups.parquet")
    cluster = np.array(groups["cluster"])
    label = np.array(groups["label"])
    assert (cluster[label == 0] == -1).all()
    assert np.bincount(cluster[label == 1]).min() >= 2
    assert set(release.rows.cluster.tolist()) == set(cluster.tolist())


def test_centroids_differ_from_the_exact_means(release: Release) -> None:
    """R1 must come from R2's noised means: exact ones beside them would undo the noise."""
    groups = read_table(release.path, "groups.parquet")
    mean = np.array(groups["mean"])
    # one that k persons of each honest group have: others are told of pools
    honest, often = np.array(groups["label"]) == 0, catalog().component_index["B101.value"]
    assert len(np.unique(mean[honest, often])) == honest.sum()
    assert np.std(mean) > 0.05


def test_every_pair_cell_stands_for_k_persons(release: Release, world: OrderTable) -> None:
    pairs = read_table(release.path, "pairs.parquet")
    assert len(pairs["a"]) == 2 * len(catalog().pairs)
    total = np.array(pairs["total"])
    sizes = np.array([(world.label == label).sum() for label in pairs["label"]])
    assert np.allclose(total.sum(axis=1), sizes, rtol=1e-3)
    assert total[:, :17][total[:, :17] > 0].min() > 50 - 6 * 5


def test_the_release_carries_its_own_signed_audit_record(release: Release, signer: Any) -> None:
    (record,) = verify_audit(release.path / "audit.jsonl", signer)
    assert record["event"] == "release"
    assert record["output"]["release_id"] == release.release_id
    assert record["k_check"]["min_units"] >= 50
    assert record["mapping_destroyed_at"] == release.manifest["mapping_destroyed_at"]
    assert record["utility"] is None


def test_no_release_lies_in_its_place_before_it_is_logged(
    small: OrderTable, signer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two leaves an entry without a release, never a release without an entry."""
    log, out = tmp_path / "log" / "audit.jsonl", tmp_path / "out"
    replace = Path.replace

    def die(self: Path, target: Path) -> Path:
        if target == out:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt), nothing_told_of_pairs():
        write_release(small, out, **_options(signer), audit_log=log)
    assert not out.exists()
    assert [record["event"] for record in verify_audit(log, signer)] == ["release"]


def test_a_log_that_cannot_be_written_stops_the_release(
    small: OrderTable, signer: Any, tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(OSError, match="log"), nothing_told_of_pairs():
        write_release(small, tmp_path / "out", **_options(signer), audit_log=tmp_path / "log")
    assert not (tmp_path / "out").exists()


def test_opening_something_else_says_so(signer: Any, tmp_path: Path) -> None:
    with pytest.raises(RiskgraphError, match="no release"):
        Release.open(tmp_path, signer)


def test_undelivered_nodes_and_left_out_parts_stay_out(
    small: OrderTable, signer: Any, tmp_path: Path
) -> None:
    """A node that nothing delivers, one that few fraud orders have, and a context node in parts."""
    values, states = small.components.copy(), small.states.copy()
    index = {key: catalog()[key].index for key in ("B119", "B122", "B131")}
    place = {key: catalog().component_slices[node] for key, node in index.items()}
    few = (small.label == 1) & (np.arange(len(small)) % 40 > 0)
    for key, rows in (("B119", np.ones(len(small), dtype=bool)), ("B122", few)):
        states[rows, index[key]] = 2
        values[rows, place[key]] = np.nan
    values[::2, place["B131"].start + 4] = np.nan
    table = dataclasses.replace(small, components=values, states=states)
    with swept_once():
        rows = write_release(table, tmp_path / "out", **_options(signer)).rows
    assert (rows.states[:, index["B119"]] == 2).all()
    assert np.isnan(rows.components[:, place["B119"]]).all()
    assert (rows.states[rows.label == 1, index["B122"]] == 2).mean() > 0.9
    there = rows.states[:, index["B131"]] == 0
    parts = rows.components[there, place["B131"]]
    assert 0.4 < np.isnan(parts[:, 4]).mean() < 0.6
    assert not np.isnan(np.delete(parts, 4, axis=1)).any()
