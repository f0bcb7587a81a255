"""A large release is made chunk by chunk, from counts that add up to those of all rows."""

from __future__ import annotations

import errno
import json
import re
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from riskgraph.core.bounds import category_components
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import CheckFailed, StorageUnavailable
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, Release, ReleaseRequest, by_chunks, find_units, write_release
from riskgraph.sandbox import tabulate as tabulate_module
from riskgraph.sandbox.absence import AbsenceTally, tally_absence
from riskgraph.sandbox.bins import fit_bins
from riskgraph.sandbox.by_chunks import ByChunks, group_chunks
from riskgraph.sandbox.cells import parted
from riskgraph.sandbox.choice import choose, choose_rows
from riskgraph.sandbox.chunks import Chunking, Chunks, Trimmed, read_chunk, spill, survey
from riskgraph.sandbox.files import CENTROIDS, TABLES, read_table
from riskgraph.sandbox.frame import Frame, build_frame
from riskgraph.sandbox.groups import Sums, sum_groups
from riskgraph.sandbox.pairs import PairTally, tally_pairs
from riskgraph.sandbox.partition import Grouped, Persons, Shortage, is_crowd, summarise
from riskgraph.sandbox.plan import Plan, crowds, plan_cuts
from riskgraph.sandbox.shape import RowMoments
from riskgraph.sandbox.tables import Tables, group_rows
from riskgraph.sandbox.tally import Tally
from riskgraph.sandbox.tasks import ToCount, see_persons
from tests.sandbox.conftest import UNTIL, FakeSigner, MakeWorld

K = 50
POLICY = Policy.default()
REQUEST = ReleaseRequest(until=UNTIL, seed=7, provenance="simulated", now=1_782_800_000.0, code="test")
# small chunks, and buckets so small that the plan has cuts
SMALL = Chunking(above=0, rows=2500, bucket=900)
pytestmark = pytest.mark.usefixtures("one_sweep")
SIZES = {"rows": 2500, "bucket": 900, "sample": 16_384}


@pytest.fixture(scope="module")
def small(make_world: MakeWorld) -> OrderTable:
    return make_world(honest=5000, fraud=1000, honest_people=2200, fraud_people=350)


def spilled(table: OrderTable, folder: Path, rows: int = 1500) -> Chunks:
    units, policy = find_units(table), POLICY
    picked = choose_rows(table, units, until=UNTIL, k=K, policy=policy, barred={})
    return spill(table, survey(table, picked, policy), units, policy, K, folder, rows)


@pytest.fixture(scope="module")
def chunks(small: OrderTable, tmp_path_factory: pytest.TempPathFactory) -> Chunks:
    return spilled(small, tmp_path_factory.mktemp("chunks"))


@pytest.fixture(scope="module")
def frame(small: OrderTable) -> Frame:
    return build_frame(small, *choose(small, until=UNTIL, k=K, policy=POLICY), K)


@pytest.fixture(scope="module")
def grouped(frame: Frame) -> Grouped:
    return group_rows(frame, K, np.random.default_rng(3))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def in_chunks(
    small: OrderTable, signer: FakeSigner, scratch: Path, tmp_path_factory: pytest.TempPathFactory
) -> Release:
    out = tmp_path_factory.mktemp("release") / "release"
    return write_release(small, out, REQUEST, signer, policy=POLICY, chunking=replace(SMALL, scratch=scratch))


@pytest.fixture(scope="module")
def plain(small: OrderTable, signer: FakeSigner, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """In one piece: the history is not above the limit."""
    out, limit = tmp_path_factory.mktemp("plain") / "release", Chunking(above=len(small))
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(tabulate_module, "group_chunks")
        return write_release(small, out, REQUEST, signer, policy=POLICY, chunking=limit)


def frames(chunks: Chunks) -> list[Frame]:
    return [read_chunk(chunks.folder, chunk) for chunk in range(len(chunks))]


def test_chunks_hold_the_accepted_rows_in_their_order(chunks: Chunks, frame: Frame) -> None:
    parts = frames(chunks)
    assert len(parts) > 3
    assert np.array_equal(np.concatenate([p.values for p in parts], axis=1), frame.values, equal_nan=True)
    for name in ("source", "label", "unit", "component", "stratum"):
        assert np.array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(frame, name))
    assert np.array_equal(np.concatenate([p.states for p in parts], axis=1), frame.states)


def test_no_person_of_a_class_has_rows_in_two_chunks(chunks: Chunks) -> None:
    persons = chunks.persons
    unit, label = (np.repeat(column, persons.rows) for column in (persons.unit, persons.label))
    assert not parted(unit, label, chunks.rows)
    middle = np.sort(np.append(chunks.rows, np.flatnonzero(np.diff(unit) == 0)[0] + 1))
    assert parted(unit, label, middle)


def test_what_chunks_count_adds_up_to_what_all_rows_count(chunks: Chunks, grouped: Grouped) -> None:
    whole, split = grouped.frame, grouped.split
    binned = [replace(grouped.binned, codes=_codes(grouped, part)) for part in frames(chunks)]
    pairs = PairTally.joined([tally_pairs(f, b) for f, b in zip(frames(chunks), binned, strict=True)])
    expected = tally_pairs(whole, grouped.binned)
    assert np.array_equal(pairs.rows, expected.rows)
    assert _same(pairs.seen, expected.seen)
    absence, asked = AbsenceTally.joined([tally_absence(f) for f in frames(chunks)]), tally_absence(whole)
    assert np.array_equal(absence.rows, asked.rows)
    assert np.array_equal(absence.units, asked.units)
    assert _same(absence.part_rows, asked.part_rows)
    assert _same(absence.part_units, asked.part_units)
    sums = Sums.joined(
        sum_groups(Grouped(f, b, summarise(f, b), replace(split, group=split.group[chunks.item_slice(c)])))
        for c, (f, b) in enumerate(zip(frames(chunks), binned, strict=True))
    )
    for name, values in vars(sum_groups(grouped)).items():
        assert np.allclose(getattr(sums, name), values, rtol=1e-4, atol=1e-2), name
    assert np.array_equal(sums.units, sum_groups(grouped).units)


def _codes(grouped: Grouped, part: Frame) -> NDArray[np.uint8]:
    return np.stack([s.code(row) for s, row in zip(grouped.binned.scales, part.values, strict=True)])


def _same(one: Tally, other: Tally) -> bool:
    return np.array_equal(one.key, other.key) and np.array_equal(one.number, other.number)


def test_bins_are_those_of_all_rows(chunks: Chunks, frame: Frame) -> None:
    made = group_chunks(chunks, SMALL, K, np.random.default_rng(3))
    scales, support = made.bins
    binned = fit_bins(frame, K, np.random.default_rng(3))
    for mine, whole in zip(scales, binned.scales, strict=True):
        assert np.array_equal(mine.edges, whole.edges)
        assert np.array_equal(mine.z, whole.z)
    for mine_support, whole_support in zip(support, binned.support, strict=True):
        assert np.array_equal(mine_support.rows, whole_support.rows)
        assert np.array_equal(mine_support.units, whole_support.units)
        assert np.array_equal(mine_support.holders, whole_support.holders)


def test_moments_of_a_bin_are_those_of_its_rows(chunks: Chunks, frame: Frame) -> None:
    mine = group_chunks(chunks, SMALL, K, np.random.default_rng(3)).moments()
    rows = RowMoments(frame, fit_bins(frame, K, np.random.default_rng(3)))
    category = category_components()
    for j, support in enumerate(rows.binned.support):
        for b in np.flatnonzero(support.rows[0]).tolist():
            if not category[j]:
                assert mine.mean_sd(j, b) == pytest.approx(rows.mean_sd(j, b), rel=1e-6, abs=1e-3)


def test_a_release_in_chunks_passes_both_counts(in_chunks: Release) -> None:
    held = in_chunks.certificate
    assert held["groups"] > 10
    assert held["min_units"] >= K
    assert held["independent"]["min_cell_units"] >= K
    assert held["independent"]["cells"] > 5000


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(
    small: OrderTable, in_chunks: Release, signer: FakeSigner, tmp_path: Path
) -> None:
    again = write_release(small, tmp_path / "again", REQUEST, signer, policy=POLICY, chunking=SMALL)
    for name in TABLES:
        assert (again.path / name).read_bytes() == (in_chunks.path / name).read_bytes()


def test_where_rows_are_cut_changes_no_group(chunks: Chunks, small: OrderTable, tmp_path: Path) -> None:
    other = spilled(small, tmp_path, rows=2000)
    assert len(other) != len(chunks)
    one, two = (group_chunks(part, SMALL, K, np.random.default_rng(3)) for part in (chunks, other))
    assert np.array_equal(one.split.group, two.split.group)


def test_a_history_up_to_the_limit_goes_in_one_piece_into_about_as_many_groups(
    in_chunks: Release, plain: Release
) -> None:
    mine, whole = (len(read_table(r.path, CENTROIDS)["units"]) for r in (in_chunks, plain))
    assert mine >= 0.9 * whole


def test_no_raw_row_is_left_behind(in_chunks: Release, scratch: Path) -> None:
    assert (in_chunks.path / CENTROIDS).exists()
    assert list(scratch.iterdir()) == []


def refusal(table: OrderTable, signer: FakeSigner, folder: Path, how: Chunking) -> tuple[str, dict[str, Any]]:
    """What a refusal says, and its record without what differs from run to run."""
    folder.mkdir()
    log = folder / "log.jsonl"
    with pytest.raises(Shortage) as caught:
        write_release(table, folder / "out", REQUEST, signer, policy=POLICY, audit_log=log, chunking=how)
    record = json.loads(log.read_bytes())
    assert record["algorithm"].pop("chunked") == (None if how.above else SIZES)
    return caught.value.message, {name: record[name] for name in ("input", "algorithm", "refused_reasons")}


def _at(table: OrderTable, label: int, *, alone: int) -> OrderTable:
    """Persons of a class share one address, but for one in ``alone``."""
    together = (table.label == label) & (table.account % alone != 0)
    return replace(table, address=np.where(together, 3_000_000 + label, table.address))


@pytest.mark.parametrize(
    ("gang", "change", "said"),
    [
        pytest.param(60, None, "fraud class has .* 3 components and forms 0 groups", id="few gangs"),
        pytest.param(500, None, "fraud class has .* 1 component and forms 0 groups", id="one gang"),
        pytest.param(1, (1, 3), "fraud class .* forms 1 group;", id="a gang and a group"),
        pytest.param(500, (0, 10_000), "honest class .* 1 component and forms 0 groups", id="both classes"),
    ],
)
def test_a_refusal_says_and_records_what_one_piece_does_and_leaves_no_raw_row(
    make_world: MakeWorld, signer: FakeSigner, tmp_path: Path, gang: int, change: tuple[int, int] | None,
    said: str,
) -> None:  # fmt: skip
    table = make_world(honest=480, fraud=300, honest_people=300, fraud_people=170, gang=gang)
    if change:
        table = _at(table, change[0], alone=change[1])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    mine = refusal(table, signer, tmp_path / "chunks", replace(SMALL, scratch=scratch))
    assert mine == refusal(table, signer, tmp_path / "whole", Chunking(above=len(table)))
    assert re.search(said, mine[0]), mine[0]
    assert list(scratch.iterdir()) == []


def test_groups_are_refused_by_a_count_of_all_persons_also_of_those_left_out() -> None:
    number = np.arange(240)
    one, clean = np.ones(240, dtype=np.int64), (number < 120).astype(np.int8)
    everyone = Persons(one, number, number, label=clean, stratum=np.zeros(240, dtype=np.int16))
    trimmed = Trimmed(everyone, number % 12 > 0, {})
    group = np.repeat([0, 1, 2], [110, 55, 55]).astype(np.int32)
    with pytest.raises(Shortage, match="fraud class has 120 persons in 120 components and forms 1 group;"):
        trimmed.check(group, K)


def test_a_class_of_which_nothing_can_be_made_is_refused(
    chunks: Chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_chunks, "split_bucket", lambda folder, k, bucket: [])
    with pytest.raises(Shortage, match="the honest class has .* and forms 0 groups"):
        group_chunks(chunks, SMALL, K, np.random.default_rng(3))


def test_values_of_the_history_are_gone_before_rows_of_chunks_are_grouped(
    make_world: MakeWorld, signer: FakeSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [make_world(honest=1500, fraud=500, honest_people=500, fraud_people=200)]
    values, states = weakref.ref(tables[0].components), weakref.ref(tables[0].states)

    def grouping(*_: object) -> None:
        assert values() is None
        assert states() is None
        raise CheckFailed("seen")

    monkeypatch.setattr(tabulate_module, "group_chunks", grouping)
    with pytest.raises(CheckFailed, match="seen"):
        write_release(tables.pop(), tmp_path / "out", REQUEST, signer, policy=POLICY, chunking=SMALL)


def in_a_file(values: NDArray[Any], path: Path) -> NDArray[Any]:
    mapped = np.memmap(path, values.dtype, "w+", shape=values.shape)
    mapped[:] = values
    return mapped


@pytest.mark.slow
def test_a_release_of_values_that_lie_in_a_file_has_the_same_bytes(
    small: OrderTable, in_chunks: Release, signer: FakeSigner, tmp_path: Path
) -> None:
    wide = {name: in_a_file(getattr(small, name), tmp_path / name) for name in ("components", "states")}
    mapped = replace(small, **wide)
    made = write_release(mapped, tmp_path / "out", REQUEST, signer, policy=POLICY, chunking=SMALL)
    for name in TABLES:
        assert (made.path / name).read_bytes() == (in_chunks.path / name).read_bytes()


def test_a_full_disk_is_an_error_that_says_how_much_room_is_needed_and_is_on_record(
    make_world: MakeWorld, signer: FakeSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(by_chunks, "write_features", full)
    table, log = make_world(honest=1500, fraud=500, honest_people=500, fraud_people=200), tmp_path / "log"
    with pytest.raises(StorageUnavailable, match=r"No space left on device; .* GB, .* --scratch") as caught:
        write_release(
            table, tmp_path / "full", REQUEST, signer, policy=POLICY, chunking=SMALL, audit_log=log
        )  # fmt: skip
    assert json.loads(log.read_bytes())["refused_reasons"] == [
        {"code": "storage_unavailable", "message": caught.value.message}
    ]


@pytest.fixture(scope="module")
def messy(make_world: MakeWorld) -> OrderTable:
    """Objections, nodes without a purpose, values out of bounds, persons of many orders, and a large gang."""
    table = make_world(honest=2600, fraud=700, honest_people=1100, fraud_people=330)
    who, values, purposes = table.account, table.components.copy(), table.purposes.copy()
    purposes[who % 4 == 0, 0] = 0
    values[:, catalog().component_index["B110.value"]] *= 40
    one = np.where((table.label == 0) & (np.arange(len(who)) % 12 == 0), 10_000, who)
    busy = replace(table, account=one, device=one, card=one, address=np.where(one == who, table.address, -1))
    return _at(replace(busy, components=values, purposes=purposes, objected=one % 17 == 3), 1, alone=3)


def test_what_went_in_is_told_as_by_one_piece(messy: OrderTable, signer: FakeSigner, tmp_path: Path) -> None:
    small_chunks, whole = replace(SMALL, rows=800, bucket=400), Chunking(above=len(messy))
    mine, other = (
        write_release(messy, tmp_path / name, REQUEST, signer, policy=POLICY, chunking=how).manifest
        for name, how in (("chunks", small_chunks), ("whole", whole))
    )
    assert mine["algorithm"]["chunked"] == {"rows": 800, "bucket": 400, "sample": 16_384}
    assert other["algorithm"]["chunked"] is None
    told = mine["input"]
    assert told == other["input"]
    assert all(told["dropped"][reason] != "<50" for reason in ("objected", "cap"))
    assert told["clipped_values"] != "<50" != told["withheld_nodes"]
    picked = choose(messy, until=UNTIL, k=K, policy=POLICY)[0]
    assert told["dropped"]["cap"] >= picked.dropped["cap"] + K, "grouping leaves nothing out"


def test_a_thin_cell_is_found_in_chunks(
    small: OrderTable, signer: FakeSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = tabulate_module.tables_of

    def planted(*told: Any) -> tuple[Tables, dict[str, float]]:
        tables, seconds = build(*told)
        j = next(j for j, scale in enumerate(tables.scales) if len(scale.z) > 3)
        edges = tables.scales[j].edges.copy()
        edges[0] = np.sort(small.components[:, j])[2]
        scales = [replace(s, edges=edges) if s is tables.scales[j] else s for s in tables.scales]
        return replace(tables, scales=tuple(scales)), seconds

    monkeypatch.setattr(tabulate_module, "tables_of", planted)
    with pytest.raises(CheckFailed, match=f"fewer than {K} persons") as caught:
        write_release(small, tmp_path / "out", REQUEST, signer, policy=POLICY, chunking=SMALL)
    assert caught.value.field == "certificate.min_cell_units"


@pytest.mark.parametrize("chunking", [SMALL, Chunking()])
def test_no_map_of_persons_to_groups_is_left_when_it_is_said_to_be_destroyed(
    make_world: MakeWorld, signer: FakeSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    chunking: Chunking,
) -> None:  # fmt: skip
    table, maps, looks = make_world(2, 2_600, 900, 1_100, 300), [], []
    for module, name, at in ((by_chunks, "ToTell", 1), (by_chunks, "Seen", 1), (by_chunks, "Partition", 0)):
        made = getattr(module, name)

        def kept(*given: Any, made: Any = made, at: int = at) -> Any:
            maps.append(weakref.ref(given[at]))
            return made(*given)

        monkeypatch.setattr(module, name, kept)
    stamp, group = tabulate_module.stamp, tabulate_module.group_chunks

    def grouped(*given: Any) -> ByChunks:
        told = group(*given)
        maps.append(weakref.ref(told.split.group))
        return told

    monkeypatch.setattr(tabulate_module, "group_chunks", grouped)
    for name, at in (("count_cells", 0), ("count_chunks", 2)):
        count = getattr(tabulate_module, name)

        def counted(*given: Any, count: Any = count, at: int = at) -> Any:
            maps.append(weakref.ref(getattr(given[at], "group", given[at])))
            return count(*given)

        monkeypatch.setattr(tabulate_module, name, counted)

    def look(at: float) -> str:
        looks.append(all((left == -1).all() for left in (known() for known in maps) if left is not None))
        return stamp(at)

    monkeypatch.setattr(tabulate_module, "stamp", look)
    write_release(table, tmp_path / "out", REQUEST, signer, policy=POLICY, chunking=chunking)
    assert len(maps) > (3 if chunking is SMALL else 0)
    assert looks == [True]


def test_rows_of_another_chunk_stop_the_count(chunks: Chunks) -> None:
    asked = ToCount(
        1, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32), chunks.source[chunks.row_slice(0)]
    )
    with pytest.raises(CheckFailed, match="chunk 1 holds other rows"):
        see_persons(chunks.folder, None, asked)  # type: ignore[arg-type]


def test_a_person_in_two_chunks_by_the_independent_count_stops_the_release(
    small: OrderTable, signer: FakeSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_chunks, "parted", lambda *_: True)
    with pytest.raises(CheckFailed, match="two chunks"):
        write_release(small, tmp_path / "out", REQUEST, signer, policy=POLICY, chunking=SMALL)
    assert not (tmp_path / "out").exists()


@given(st.lists(st.lists(st.integers(0, 40), max_size=30), min_size=1, max_size=6))
def test_tallies_of_parts_add_up(parts: list[list[int]]) -> None:
    joined = Tally.joined([Tally.of(np.array(part, dtype=np.int64)) for part in parts])
    whole = [key for part in parts for key in part]
    assert _same(joined, Tally.of(np.array(whole, dtype=np.int64)))
    inner = joined.between(10, 20)
    assert inner.number.sum() == sum(10 <= key < 20 for key in whole)


@given(st.integers(0, 10_000), st.integers(60, 2000), st.integers(10, 400), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_no_bucket_is_less_than_a_crowd_however_badly_the_sample_plans(
    seed: int, count: int, sampled: int, clans: int
) -> None:
    rng = np.random.default_rng(seed)
    persons = Persons(
        rows=rng.integers(1, 12, count),
        unit=np.arange(count),
        component=rng.integers(0, clans, count),
        label=np.zeros(count, dtype=np.int8),
        stratum=np.zeros(count, dtype=np.int16),
    )
    chosen = np.arange(count)
    values = rng.standard_normal((count, 396), dtype=np.float32)
    # the sample says nothing of the items: its cuts fall anywhere
    sample = rng.standard_normal((max(sampled, 300), 396), dtype=np.float32) * rng.integers(1, 9)
    plan = plan_cuts(sample + np.float32(rng.normal()), count, max(1, count // 8), rng)
    found = crowds(plan, plan.assign(values), persons, chosen, K)
    assert np.array_equal(np.sort(np.concatenate(found)), chosen)
    if len(found) > 1:
        assert all(is_crowd(persons.component[part], persons.rows[part], K) for part in found)


def persons_apart(count: int) -> Persons:
    number, none = np.arange(count), np.zeros(count, dtype=np.int16)
    return Persons(np.ones(count, dtype=np.int64), number, number, none.astype(np.int8), none)


def test_cuts_whose_sides_are_all_crowds_are_kept_and_others_are_not() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((1600, 396), dtype=np.float32)
    plan = plan_cuts(values, 1600, 400, rng)
    bucket = plan.assign(values)
    found = crowds(plan, bucket, persons_apart(1600), np.arange(1600), K)
    assert [part.tolist() for part in found] == [np.flatnonzero(bucket == b).tolist() for b in range(4)]
    # but for 10 of them nobody lies in the first bucket, so that it and its sibling are one
    few = np.flatnonzero((bucket != 0) | (np.cumsum(bucket == 0) <= 10))
    left = crowds(plan, bucket[few], persons_apart(1600), few, K)
    sibling = next(sides for sides in plan.side.tolist() if -1 in sides)
    joined = {-1 - side for side in sibling}
    assert sorted(map(len, left)) == sorted(
        [int(np.isin(bucket[few], list(joined)).sum())]
        + [int((bucket == b).sum()) for b in range(4) if b not in joined]
    )


@given(st.integers(0, 1000), st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_which_bucket_a_person_falls_into_does_not_depend_on_who_stands_beside(seed: int, many: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((many, 396), dtype=np.float32)
    axis = rng.standard_normal((1, 396), dtype=np.float32)
    alone = np.array([np.einsum("ij,j->i", row[None], axis[0])[0] for row in values])
    # cuts at the very scores
    for score in alone[:20]:
        plan = Plan(axis, np.array([score]), np.array([[-1, -2]]))
        assert np.array_equal(plan.assign(values), alone > score)


def test_a_plan_cuts_a_stratum_into_parts_that_fit() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((8000, 396), dtype=np.float32)
    plan = plan_cuts(values, len(values), 1000, rng)
    sizes = np.bincount(plan.assign(values))
    assert len(sizes) == 8
    assert sizes.max() <= 1100
    assert sizes.sum() == len(values)
