from __future__ import annotations

import importlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riskgraph.core.door import Door
from riskgraph.core.subgraph import State
from riskgraph.eval.worlds import World, parallel, replay
from riskgraph.eval.worlds.schema import COMPUTED
from riskgraph.eval.worlds.writer import file_sha256

# The function of the same name hides the module in the package.
module = importlib.import_module("riskgraph.eval.worlds.replay")


def copied(world: World, out: Path) -> World:
    shutil.copytree(world.path, out, ignore=shutil.ignore_patterns("derived"))
    return World.open(out)


def derived(world: World) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (world.path / "derived").iterdir()}


def test_two_processes_write_what_one_writes(
    small_world: World, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_PER_FILE", 200)
    told: list[tuple[str, int, int]] = []
    one, two = (copied(small_world, tmp_path / name) for name in ("one", "two"))
    replay(one, door, processes=1)
    replay(two, door, lambda *step: told.append(step), processes=2)
    assert len(derived(one)) == 9
    assert derived(two) == derived(one)
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert told[-1] == ("replay", 1500, 1500)


def test_contexts_from_a_later_order_on_are_those_of_the_whole_history(
    small_world: World, door: Door
) -> None:
    whole = list(module.contexts(small_world, door))
    assert list(module.contexts(small_world, door, 700, 1100)) == whole[700:1100]


def test_outcomes_count_from_their_report_in_whatever_order_they_lie(
    small_world: World, door: Door, tmp_path: Path
) -> None:
    world = copied(small_world, tmp_path / "w")
    (path,) = world.outcome_files
    table = pq.read_table(path)
    pq.write_table(table.take(pa.array(range(table.num_rows - 1, -1, -1))), path)
    world.manifest["files"]["observed/outcomes-00000.parquet"] = file_sha256(path)
    (world.path / "manifest.json").write_text(json.dumps(world.manifest), encoding="utf-8")
    again = World.open(world.path)
    assert next(again.outcomes()) != next(again.outcomes_by_report())
    assert list(module.contexts(again, door)) == list(module.contexts(small_world, door))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_are_whole_files_that_cover_all_orders_and_fall(count: int) -> None:
    spans = module.shares(1_010_000, count, 25_000)
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
    assert spans[-1][1] == 1_010_000
    assert all(start % 25_000 == 0 for start, _ in spans)
    sizes = [stop - start for start, stop in spans]
    assert len(sizes) == count
    assert sizes == sorted(sizes, reverse=True)


def test_a_world_of_one_file_is_one_share() -> None:
    assert module.shares(300, 2, 25_000) == [(0, 300)]


def test_a_node_that_the_checkout_delivered_is_not_made() -> None:
    values: dict[str, Any] = {n.id: 1 for n in COMPUTED[:30]}
    absent = {n.id: State.REFUSED for n in COMPUTED[30:]}
    assert module._states(values, absent) == bytes([State.PRESENT] * 30 + [State.REFUSED] * 7)
    del values[COMPUTED[4].id]
    assert module._states(values, absent)[3:6] == bytes([State.PRESENT, State.NOT_DELIVERED, State.PRESENT])


def test_what_fails_in_another_process_fails_here() -> None:
    with pytest.raises(ValueError, match="invalid literal"), parallel.beside([partial(int, "x")]):
        pass
