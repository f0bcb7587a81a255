from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riskgraph import releasing
from riskgraph.core.catalog import catalog
from riskgraph.core.context import compute_context
from riskgraph.core.door import Door
from riskgraph.core.errors import (
    CheckFailed,
    Invalid,
    NotFound,
    RiskgraphError,
    SensitiveField,
    StorageUnavailable,
)
from riskgraph.core.history import MemoryHistory
from riskgraph.core.order import parse_order
from riskgraph.core.outcome import label_at
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable, let_go
from riskgraph.eval.worlds import World, read_oracle, replay, requests
from riskgraph.eval.worlds.replay import up_to_date
from riskgraph.eval.worlds.writer import file_sha256
from riskgraph.pipeline import build_subgraph
from riskgraph.releasing import Source
from riskgraph.sandbox import Chunking, Policy, ReleaseRequest
from riskgraph.sandbox.intake import microseconds
from tests.sandbox.conftest import FakeSigner

PART = "observed/orders-00000.parquet"
Change = Callable[[Any], Any]


def copy(world: World, out: Path) -> Path:
    for part in ("observed", "oracle"):
        shutil.copytree(world.path / part, out / part)
    shutil.copy(world.path / "manifest.json", out)
    return out


def changed(world: World, out: Path, change: Change, part: str = PART) -> Path:
    """A copy with one file rewritten and its digest renewed."""
    copy(world, out)
    pq.write_table(change(pq.read_table(out / part)), out / part)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"][part] = file_sha256(out / part)
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


def test_orders_are_what_the_service_makes_of_their_requests(small_world: World, door: Door) -> None:
    for order, body in zip(small_world.orders(door), requests(small_world), strict=True):
        parsed = parse_order(json.loads(json.dumps(body)), door)
        assert parsed == order


def test_table_rows_are_the_subgraphs_of_the_service_bit_for_bit(
    small_world: World, small_table: OrderTable, door: Door
) -> None:
    history = MemoryHistory()
    late = sorted(small_world.outcomes(), key=lambda o: o.reported_at)
    for i, order in enumerate(small_world.orders(door)):
        while late and late[0].reported_at <= order.placed_at:
            history.add_outcome(late.pop(0))
        subgraph, availability = build_subgraph(order, compute_context(order, history))
        history.add_order(order)
        assert np.array_equal(subgraph.states, small_table.states[i]), order.order_id
        assert subgraph.components.tobytes() == small_table.components[i].tobytes(), order.order_id
        assert availability == small_table.availability[i]


def source_of(world: World, log: Path, until: date = date(2026, 6, 30)) -> Source:
    asked = ReleaseRequest(until, 7, "simulated", 0.0, "test")
    return Source(world, Policy.default(), (), asked, (FakeSigner(), log))


def test_wide_columns_that_lie_in_a_folder_are_the_same_and_have_no_name_there(
    small_world: World, small_table: OrderTable, door: Door, tmp_path: Path
) -> None:
    source, how = source_of(small_world, tmp_path), Chunking(above=10, scratch=tmp_path)
    with releasing.history_folder(source, how) as folder:
        table = small_world.table(None, door, folder=folder)
        assert isinstance(table.components, np.memmap)
        assert isinstance(table.states, np.memmap)
        assert folder is not None
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
    let_go(table.components, table.states)
    for name, column in vars(table).items():
        assert np.asarray(column).tobytes() == getattr(small_table, name).tobytes() or (
            column.dtype == object and column.tolist() == getattr(small_table, name).tolist()
        ), name


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system takes no room ahead")
def test_wide_columns_that_find_no_room_are_an_error_that_says_how_much(
    small_world: World, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageUnavailable, match=r"no room for .* GB of components: No space .*--scratch"):
        small_world.table(None, door, folder=tmp_path)


def test_a_history_that_is_released_in_one_piece_needs_no_folder(small_world: World, tmp_path: Path) -> None:
    with releasing.history_folder(source_of(small_world, tmp_path), None) as folder:
        assert folder is None


def test_a_long_history_of_which_few_orders_are_released_needs_no_folder(
    small_world: World, small_table: OrderTable, tmp_path: Path
) -> None:
    until = datetime.fromtimestamp(small_table.placed_at[0] / 1e6, UTC).date() + timedelta(days=20)
    source = source_of(small_world, tmp_path, until)
    inside = int((small_table.placed_at < microseconds(until)).sum())
    assert 0 < inside < len(small_table)
    for above, large in ((inside, False), (inside - 1, True)):
        with releasing.history_folder(source, Chunking(above=above, scratch=tmp_path)) as folder:
            assert (folder is not None) == large


def test_labels_are_those_known_at_the_asked_time(small_world: World, door: Door) -> None:
    moment = 1_783_000_000.0
    table = small_world.table(moment, door)
    by_key: dict[str, list[Any]] = {}
    for outcome in small_world.outcomes():
        by_key.setdefault(outcome.order_key, []).append(outcome)
    expected = [label_at(by_key.get(o.key, ()), moment) for o in small_world.orders(door)]
    assert table.label.tolist() == [-1 if e is None else e for e in expected]
    assert (table.label == -1).sum() > (small_world.table(None, door).label == -1).sum()


def test_entities_have_one_code_each_and_none_where_absent(
    small_world: World, small_table: OrderTable, door: Door
) -> None:
    orders = list(small_world.orders(door))
    for kind in ("account", "device", "card", "address"):
        codes = getattr(small_table, kind).tolist()
        pairs = {(getattr(o.entities, kind), code) for o, code in zip(orders, codes, strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
        assert all((digest is None) == (code == -1) for digest, code in pairs)


def test_training_consent_is_true_only_where_granted(
    small_world: World, small_table: OrderTable, door: Door
) -> None:
    granted = [o.consent.purposes.get("model_training") is True for o in small_world.orders(door)]
    assert small_table.training_consent.tolist() == granted
    assert 0.8 < np.mean(granted) < 0.97


def test_replay_is_done_once_and_again_when_the_door_changes(small_world: World, door: Door) -> None:
    folder = replay(small_world, door)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert replay(small_world, door) == folder
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    assert up_to_date(small_world, door)
    assert not up_to_date(small_world, Door(b"another key, also of 32 bytes !!"))


def test_replay_reads_nothing_from_the_future(small_world: World, door: Door, tmp_path: Path) -> None:
    half = 700
    cut = changed(small_world, tmp_path / "cut", lambda t: t.slice(0, half))
    whole, part = small_world.table(None, door), World.open(cut).table(None, door)
    assert part.components.tobytes() == whole.components[:half].tobytes()


def test_progress_is_told_up_to_the_end(small_world: World, door: Door, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    world = World.open(copy(small_world, tmp_path / "w"))
    replay(world, door, lambda *step: told.append(step))
    assert told[-1] == ("replay", 1500, 1500)


def test_a_folder_without_manifest_is_no_world(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"manifest\.json is missing"):
        World.open(tmp_path)


def test_a_changed_byte_is_found_by_its_digest(small_world: World, tmp_path: Path) -> None:
    out = copy(small_world, tmp_path / "w")
    path = out / "observed" / "outcomes-00000.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckFailed, match="outcomes-00000") as caught:
        World.open(out, digests=True)
    assert caught.value.field == "observed/outcomes-00000.parquet"


def test_a_file_that_the_manifest_does_not_list_is_refused(small_world: World, tmp_path: Path) -> None:
    out = copy(small_world, tmp_path / "w")
    shutil.copy(out / PART, out / "observed" / "orders-00009.parquet")
    with pytest.raises(Invalid, match="orders-00009"):
        World.open(out)


def test_a_world_without_its_oracle_is_read_but_tells_no_truth(small_world: World, tmp_path: Path) -> None:
    out = copy(small_world, tmp_path / "w")
    shutil.rmtree(out / "oracle")
    world = World.open(out, digests=True)
    with pytest.raises(NotFound, match="no oracle"):
        read_oracle(world)


@pytest.mark.parametrize(
    ("change", "field", "kind"),
    [
        (lambda t: t.drop_columns(["amount_value"]), "amount_value", Invalid),
        (lambda t: t.append_column("mood", t["lang"]), "mood", Invalid),
        (lambda t: t.append_column("religion", t["lang"]), "religion", SensitiveField),
        (lambda t: t.append_column("B136", t["lang"]), "B136", Invalid),
        (lambda t: t.drop_columns(["B003"]).append_column("B003", t["lang"]), "B003", Invalid),
    ],
)
def test_a_wrong_column_is_named(
    small_world: World, tmp_path: Path, change: Change, field: str, kind: type[RiskgraphError]
) -> None:
    out = changed(small_world, tmp_path / "w", change)
    with pytest.raises(kind) as caught:
        World.open(out)
    assert caught.value.field == f"{PART}:{field}"


def replaced(column: str, values: Callable[[int], list[Any]]) -> Change:
    def change(table: Any) -> Any:
        at = table.column_names.index(column)
        kind = table.schema.field(column).type
        return table.set_column(at, column, pa.array(values(table.num_rows), kind))

    return change


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("B004", lambda n: [-1.0] * n),
        ("B113", lambda n: ["castle"] * n),
        ("B012", lambda n: [[0] * 16] * n),
    ],
)
def test_a_value_outside_its_node_is_named(
    small_world: World, door: Door, tmp_path: Path, column: str, values: Callable[[int], list[Any]]
) -> None:
    out = changed(small_world, tmp_path / "w", replaced(column, values))
    with pytest.raises(Invalid) as caught:
        World.open(out).table(None, door)
    assert caught.value.field == f"{PART}:{column}"


def test_orders_out_of_time_order_are_refused(small_world: World, door: Door, tmp_path: Path) -> None:
    out = changed(small_world, tmp_path / "w", lambda t: t.take(list(range(t.num_rows))[::-1]))
    with pytest.raises(Invalid, match="not in time order"):
        list(World.open(out).orders(door))


def test_an_order_id_appears_once(small_world: World, door: Door, tmp_path: Path) -> None:
    out = changed(small_world, tmp_path / "w", replaced("order_id", lambda n: ["same"] * n))
    with pytest.raises(Invalid, match="appears twice"):
        list(World.open(out).orders(door))


def test_an_unknown_outcome_kind_is_refused(small_world: World, tmp_path: Path) -> None:
    part = "observed/outcomes-00000.parquet"
    out = changed(small_world, tmp_path / "w", replaced("kind", lambda n: ["vanished"] * n), part)
    with pytest.raises(Invalid, match="unknown kind"):
        list(World.open(out).outcomes())


def test_a_value_that_consent_does_not_cover_is_never_read(
    small_world: World, door: Door, tmp_path: Path
) -> None:
    out = changed(small_world, tmp_path / "w", replaced("consent_behavior", lambda n: [False] * n))
    table = World.open(out).table(None, door)
    behavior = [n.index for n in catalog() if n.purpose == "behavior"]
    assert (table.states[:, behavior] == State.REFUSED).all()
    assert np.isnan(table.components[:, catalog().component_slices[behavior[0]]]).all()
