"""Counters that share nothing with the partition find the same persons, components and cells."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import CheckFailed
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, Release, ReleaseRequest, read_table, verify_audit, write_release
from riskgraph.sandbox import tabulate as tabulate_module
from riskgraph.sandbox.absence import CAUSES
from riskgraph.sandbox.cells import _Crowd
from riskgraph.sandbox.partition import Grouped
from riskgraph.sandbox.release import check_certificate
from riskgraph.sandbox.tables import Tables

MakeWorld = Callable[..., OrderTable]
Change = Callable[[Tables, Grouped], Tables]
K = 50


def _request() -> ReleaseRequest:
    return ReleaseRequest(
        until=date(2026, 6, 30), seed=7, provenance="simulated", now=1_782_800_000.0, code="test"
    )


pytestmark = pytest.mark.usefixtures("one_sweep")


@dataclasses.dataclass(frozen=True)
class Watched:
    """A release, its tables, and what it was made from: rows of the history, their groups and values."""

    release: Release
    source: NDArray[np.intp]
    group: NDArray[np.int32]
    label: NDArray[np.int8]
    values: NDArray[np.float32]
    built: tuple[Tables, dict[str, float]]


@pytest.fixture(scope="module")
def history(make_world: MakeWorld) -> OrderTable:
    return make_world(2, 2_600, 900, 1_100, 300)


@pytest.fixture(scope="module")
def watched(history: OrderTable, signer: Any, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    seen: dict[str, Any] = {}
    build = tabulate_module.build_tables

    def spy(grouped: Grouped, k: int, rng: np.random.Generator) -> tuple[Tables, dict[str, float]]:
        frame = grouped.frame
        seen.update(source=frame.source.copy(), group=grouped.row_group.copy(), label=frame.label.copy())
        seen["values"] = frame.values.copy()
        seen["built"] = build(grouped, k, rng)
        return seen["built"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabulate_module, "build_tables", spy)
        release = write_release(
            history,
            tmp_path_factory.mktemp("watched") / "release",
            _request(),
            signer,
            policy=Policy.default(),
        )
    return Watched(release, **seen)


class Sets:
    """Union-find over anything hashable."""

    def __init__(self) -> None:
        self.parent: dict[Any, Any] = {}

    def find(self, key: Any) -> Any:
        self.parent.setdefault(key, key)
        while self.parent[key] != key:
            key = self.parent[key]
        return key

    def join(self, a: Any, b: Any) -> None:
        self.parent[self.find(a)] = self.find(b)


def _columns(table: OrderTable) -> dict[str, list[int]]:
    return {name: getattr(table, name).tolist() for name in ("account", "device", "card", "address")}


def _persons(table: OrderTable) -> list[Any]:
    """Person of each order, straight from the definition."""
    given = _columns(table)
    holders: dict[str, dict[int, set[int]]] = {"device": {}, "card": {}, "address": {}}
    for kind, of in holders.items():
        for entity, account in zip(given[kind], given["account"], strict=True):
            if entity >= 0 and account >= 0:
                of.setdefault(entity, set()).add(account)
    pairs = {
        kind: {(a, b) for held in of.values() if len(held) <= 8 for a in held for b in held if a < b}
        for kind, of in holders.items()
    }
    sets = Sets()
    for a, b in pairs["card"] | (pairs["device"] & pairs["address"]):
        sets.join(a, b)
    return [sets.find(a) if a >= 0 else ("guest", i) for i, a in enumerate(given["account"])]


def _components(table: OrderTable, persons: list[Any]) -> list[Any]:
    """Component of each order, straight from the definition."""
    given, sets = _columns(table), Sets()
    for kind in ("device", "card", "address"):
        orders = Counter(given[kind])
        for entity, person in zip(given[kind], persons, strict=True):
            if entity >= 0 and orders[entity] <= 500:
                sets.join(("person", person), (kind, entity))
    return [sets.find(("person", person)) for person in persons]


def test_pycanon_finds_k_records_over_all_columns_of_the_centroids(watched: Watched) -> None:
    anonymity = pytest.importorskip("pycanon.anonymity", reason="the extra peers has pycanon")
    import pandas as pd

    centroids = read_table(watched.release.path, "centroids.parquet")
    columns = [*catalog().components, "label"]
    # an absent node is a value like any other; a group-by would drop it
    table = pd.DataFrame({name: centroids[name] for name in columns}).astype(float).fillna(-1e9)
    rows = np.repeat(np.arange(len(table)), centroids["rows"])
    k = anonymity.k_anonymity(table.iloc[rows].reset_index(drop=True), columns)
    assert k >= K
    assert k == min(centroids["rows"])


def test_every_group_holds_the_persons_and_components_that_it_says(
    watched: Watched, history: OrderTable
) -> None:
    persons = _persons(history)
    components = _components(history, persons)
    centroids = read_table(watched.release.path, "centroids.parquet")
    for number in range(len(centroids["units"])):
        rows = watched.source[watched.group == number].tolist()
        units = {persons[row] for row in rows}
        home = {persons[row]: components[row] for row in rows}
        assert len(units) == centroids["units"][number] >= K
        assert len(set(home.values())) == centroids["components"][number] >= 5
        assert max(Counter(home.values()).values()) <= 0.5 * len(units)
        assert set(history.label[rows].tolist()) == {centroids["label"][number]}


def _coarse(release: Release, values: NDArray[np.float32]) -> dict[str, list[int | None]]:
    """Coarse bin of every value, by component, from the released edges."""
    shape = read_table(release.path, "shape.parquet")
    bins: dict[str, list[tuple[float, int]]] = {}
    lines = zip(shape["kind"], shape["name"], shape["upper"], shape["values"], strict=True)
    for kind, name, upper, told in lines:
        if kind == "bin":
            bins.setdefault(name, []).append((np.inf if upper is None else upper, int(told[1])))
    return {
        name: [
            None if np.isnan(value) else next(coarse for edge, coarse in bins[name] if value <= edge)
            for value in row.tolist()
        ]
        for name, row in zip(catalog().components, values, strict=True)
    }


def test_every_cell_of_every_joint_table_holds_k_persons(watched: Watched, history: OrderTable) -> None:
    persons = _persons(history)
    who = [persons[row] for row in watched.source.tolist()]
    coarse = _coarse(watched.release, watched.values)
    pairs = read_table(watched.release.path, "pairs.parquet")
    released = 0
    for label, a, b, cell, total in zip(
        *(pairs[c] for c in ("label", "a", "b", "cell", "total")), strict=True
    ):
        found: dict[int, set[Any]] = {}
        for person, one, other, mine in zip(who, coarse[a], coarse[b], watched.label == label, strict=True):
            if mine and one is not None and other is not None:
                found.setdefault(int(cell[4 * one + other]), set()).add(person)
        for place, rows in enumerate(total[:17]):
            if rows > 0:
                released += 1
                assert len(found[place]) >= K, (label, a, b, place)
    assert released > 400


def test_the_certificate_tells_how_many_cells_were_counted_and_not_which_is_thinnest(
    watched: Watched,
) -> None:
    held = watched.release.certificate["independent"]
    assert held["cells"] > 2_000
    assert held["min_cell_units"] >= K
    assert "thinnest_cell" not in held


def _thin_pair(tables: Tables, grouped: Grouped) -> Tables:
    """A cell that belongs into the rest of its pair, released by itself."""
    cell, total = tables.pairs.cell.copy(), tables.pairs.total.copy()
    codes = grouped.binned.codes
    for p, (a, b) in enumerate(tabulate_module.pair_ends()):
        coarse = [tables.scales[j].coarse[codes[j].astype(int) - 1] for j in (a, b)]
        both = (codes[a] > 0) & (codes[b] > 0) & (grouped.frame.label == 1)
        rows = np.bincount((4 * coarse[0] + coarse[1])[both], minlength=16)
        thin = np.flatnonzero((cell[1, p] == 16) & (rows > 0) & (rows < K))
        if len(thin):
            cell[1, p, thin[0]], total[1, p, thin[0]] = thin[0], 30.0
            return dataclasses.replace(
                tables, pairs=dataclasses.replace(tables.pairs, cell=cell, total=total)
            )
    raise AssertionError("no pair has a rest")


def _thin_line(tables: Tables, grouped: Grouped) -> Tables:
    """A table that shows the large cells of one row: its marginal less these tells of a few persons."""
    codes, unit = grouped.binned.codes, grouped.frame.unit
    for p, ends in enumerate(tabulate_module.pair_ends()):
        a, b = (np.append(tables.scales[j].coarse + 1, 0)[codes[j].astype(int) - 1] for j in ends)
        mine = grouped.frame.label == 1
        for code in range(1, 5):
            row = [len(np.unique(unit[mine & (a == code) & (b == other)])) for other in range(5)]
            large = [other for other in range(1, 5) if row[other] >= K]
            if large and 0 < sum(row[1:]) - sum(row[j] for j in large) < K - row[0]:
                cell, total = tables.pairs.cell.copy(), tables.pairs.total.copy()
                places = [4 * (code - 1) + other - 1 for other in large]
                cell[1, p], cell[1, p, places] = 16, places
                total[1, p, :17] = 0.0
                total[1, p, [*places, 16]] = 100.0
                pairs = dataclasses.replace(tables.pairs, cell=cell, total=total)
                return dataclasses.replace(tables, pairs=pairs)
    raise AssertionError("no table has a row that hides a few persons")


def _inner(tables: Tables, grouped: Grouped) -> tuple[int, int]:
    """A component and a cell between two others of its bin, with few orders near its lower end."""
    for j, shape in enumerate(tables.shapes):
        values = grouped.frame.values[j, grouped.frame.rows_of(0)]
        for c in range(1, len(shape.bin) - 1):
            low = shape.lower[c]
            near = int(((values > 0.98 * low) & (values < 1.02 * low)).sum())
            if shape.bin[c - 1] == shape.bin[c + 1] and shape.upper[c] > low > 0 and near < K:
                return j, c
    raise AssertionError("no bin has three cells")


def _thin_cell(tables: Tables, grouped: Grouped) -> Tables:
    """A cell of a marginal, cut down to a sliver of itself."""
    j, c = _inner(tables, grouped)
    shape = tables.shapes[j]
    upper = shape.upper.copy()
    upper[c] = 1.001 * shape.lower[c]
    shapes = (*tables.shapes[:j], dataclasses.replace(shape, upper=upper), *tables.shapes[j + 1 :])
    return dataclasses.replace(tables, shapes=shapes)


def _thin_bin(tables: Tables, grouped: Grouped) -> Tables:
    """The first edge of a component moved down to its third smallest value."""
    j = next(j for j, scale in enumerate(tables.scales) if len(scale.z) > 3)
    values = np.sort(grouped.frame.values[j][~np.isnan(grouped.frame.values[j])])
    edges = tables.scales[j].edges.copy()
    edges[0] = values[2]
    assert edges[0] < edges[1]
    assert (values <= edges[0]).sum() < K
    scales = (*tables.scales[:j], dataclasses.replace(tables.scales[j], edges=edges), *tables.scales[j + 1 :])
    return dataclasses.replace(tables, scales=scales)


def _thin_cause(tables: Tables, grouped: Grouped) -> Tables:
    """A cause of absence that fewer than k persons of a class and stratum have."""
    frame, cause = grouped.frame, tables.absence.cause.copy()
    label, stratum = int(frame.label[0]), int(frame.stratum[0])
    mine = (frame.label == label) & (frame.stratum == stratum)
    for c, state in enumerate(CAUSES):
        for node, states in enumerate(frame.states[:, mine]):
            if len(np.unique(frame.unit[mine][states == state])) < K:
                cause[label, stratum, c, node] = 0.3
                return dataclasses.replace(tables, absence=dataclasses.replace(tables.absence, cause=cause))
    raise AssertionError("every cause has k persons")


def _thin_parts(tables: Tables, _: Grouped) -> Tables:
    """A pattern of parts of a context node that nobody shows, told of one class."""
    parts = dict(tables.absence.parts)
    node, (masks, shares) = next(iter(parts.items()))
    unseen = next(mask for mask in range(1, 256) if mask not in masks)
    parts[node] = np.append(masks, unseen), np.column_stack([shares, [0.1, 0.2]])
    return dataclasses.replace(tables, absence=dataclasses.replace(tables.absence, parts=parts))


def _thin_value(tables: Tables, _: Grouped) -> Tables:
    """A value that nobody has as the only one of its bin."""
    for j, shape in enumerate(tables.shapes):
        alone = np.flatnonzero(np.bincount(shape.bin) == 1)
        if len(alone) and len(shape.bin) > 1:
            c = int(np.flatnonzero(shape.bin == alone[0])[0])
            value = shape.lower.copy()
            value[c] = (shape.lower[c] + shape.upper[c]) / 2 + 1e-3
            upper = np.where(np.arange(len(value)) == c, value, shape.upper)
            thin = dataclasses.replace(shape, lower=value, upper=upper)
            return dataclasses.replace(tables, shapes=(*tables.shapes[:j], thin, *tables.shapes[j + 1 :]))
    raise AssertionError("no bin has a single cell")


def _thin_parts(tables: Tables, _: Grouped) -> Tables:
    """A pattern of parts of a context node that nobody shows, told of one class."""
    parts = dict(tables.absence.parts)
    node, (masks, shares) = next(iter(parts.items()))
    unseen = next(mask for mask in range(1, 256) if mask not in masks)
    parts[node] = np.append(masks, unseen), np.column_stack([shares, [0.1, 0.2]])
    return dataclasses.replace(tables, absence=dataclasses.replace(tables.absence, parts=parts))


def _thin_value(tables: Tables, _: Grouped) -> Tables:
    """A value that nobody has as the only one of its bin."""
    for j, shape in enumerate(tables.shapes):
        alone = np.flatnonzero(np.bincount(shape.bin) == 1)
        if len(alone) and len(shape.bin) > 1:
            c = int(np.flatnonzero(shape.bin == alone[0])[0])
            value = shape.lower.copy()
            value[c] = (shape.lower[c] + shape.upper[c]) / 2 + 1e-3
            upper = np.where(np.arange(len(value)) == c, value, shape.upper)
            thin = dataclasses.replace(shape, lower=value, upper=upper)
            return dataclasses.replace(tables, shapes=(*tables.shapes[:j], thin, *tables.shapes[j + 1 :]))
    raise AssertionError("no bin has a single cell")


def _thin_mean(tables: Tables, _: Grouped) -> Tables:
    """A group tells the mean of a component that under k of its persons have for itself."""
    pools = tables.pools.mean.copy()
    g, j = np.argwhere(pools > 0)[0]
    pools[g, j] = 0
    return dataclasses.replace(tables, pools=dataclasses.replace(tables.pools, mean=pools))


def _thin_part(tables: Tables, _: Grouped) -> Tables:
    """Groups of too few persons who have a context node tell the share of its part."""
    pools = tables.pools.parts.copy()
    pools[pools < 0] = 0
    assert not np.array_equal(pools, tables.pools.parts)
    return dataclasses.replace(tables, pools=dataclasses.replace(tables.pools, parts=pools))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (_thin_cause, r"R3 .* stratum"),
        (_thin_parts, r"R3 .* parts"),
        (_thin_value, r"R3 honest .* cell"),
        (_thin_pair, r"R4 fraud .* cell"),
        (_thin_line, r"R4 fraud .* set"),
        (_thin_cell, r"R3 honest .* cell"),
        (_thin_bin, r"R3 .* bin 0"),
        (_thin_part, "R2 shares of parts"),
    ],
)
def test_a_release_with_a_thin_cell_is_refused_and_audited(
    history: OrderTable,
    watched: Watched,
    signer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    where: str,
) -> None:
    def planted(grouped: Grouped, k: int, rng: np.random.Generator) -> tuple[Tables, dict[str, float]]:
        assert np.array_equal(grouped.row_group, watched.group)
        tables, seconds = watched.built
        return change(tables, grouped), seconds

    monkeypatch.setattr(tabulate_module, "build_tables", planted)
    counted: list[Any] = []
    count = tabulate_module.count_cells
    monkeypatch.setattr(tabulate_module, "count_cells", lambda *a: counted.append(count(*a)) or counted[-1])
    log = tmp_path / "log" / "audit.jsonl"
    with pytest.raises(CheckFailed, match=f"fewer than {K} persons") as caught:
        write_release(history, tmp_path / "out", _request(), signer, audit_log=log, policy=Policy.default())
    assert counted[0].min_cell_units < K
    assert re.match(where, counted[0].thinnest_cell)
    assert caught.value.field == "certificate.min_cell_units"
    assert [p.name for p in tmp_path.iterdir()] == ["log"]
    assert [record["event"] for record in verify_audit(log, signer)] == ["refusal"]


def test_a_certificate_without_a_count_of_cells_does_not_hold(watched: Watched) -> None:
    held = dict(watched.release.certificate)
    held["independent"] = {n: v for n, v in held["independent"].items() if "cell" not in n}
    with pytest.raises(CheckFailed, match="cells were not counted"):
        check_certificate(held)


rows = st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 4)), min_size=1, max_size=60)


@given(rows)
def test_persons_in_a_cell_are_counted_once_each(given_rows: list[tuple[int, int]]) -> None:
    person, cell = (np.array(column) for column in zip(*given_rows, strict=True))
    crowd = _Crowd(person)
    wanted = [{p for p, c in given_rows if c == place} for place in range(5)]
    assert crowd.count(cell, 5).tolist() == [len(who) for who in wanted]
    assert [crowd.among(np.flatnonzero(cell == place)) for place in range(5)] == [len(who) for who in wanted]
