"""A packed world comes back as it was written, and what is wrong in one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="worlds need the extra lab")

from pyarrow import parquet

from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.eval.worlds import World, orders_with_subgraphs, write_packed_world
from riskgraph.eval.worlds.packed import COLUMNS
from riskgraph.eval.worlds.schema import ENTITY_COLUMNS, PURPOSE_COLUMNS

DOOR = Door(b"k" * 32)
FILE = "observed/orders-00000.parquet"
READERS: list[Callable[[World], object]] = [
    lambda world: world.table(None, DOOR),
    lambda world: list(orders_with_subgraphs(world, DOOR)),
]


def subgraph(number: int) -> OrderSubgraph:
    return OrderSubgraph.build({"B093": 100.0 * number}, {})


def digest(kind: str, number: int) -> bytes:
    return f"{kind}{number}".encode().ljust(16, b".")


def row(number: int, **given: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(COLUMNS),
        **dict.fromkeys(PURPOSE_COLUMNS.values(), True),
        **{kind: digest(kind, number).hex() for kind in ENTITY_COLUMNS},
        "merchant_id": "m", "order_id": f"o{number}", "channel_code": "web", "phase": "pre_auth",
        "placed_at": 1_790_000_000.0 + number, "jurisdiction": "CN", "amount_value": 9.0,
        "amount_currency": "CNY", "subgraph": subgraph(number).pack(), **given,
    }  # fmt: skip


def world(folder: Path, **second: Any) -> World:
    """Two orders, of which the second has these values."""
    write_packed_world(folder / "world", [row(0), row(1, **second)], [], {"provenance": "merchant"})
    return World.open(folder / "world")


def test_orders_come_back_with_their_hashes_and_subgraphs(tmp_path: Path) -> None:
    found = list(orders_with_subgraphs(world(tmp_path), DOOR))
    assert [graph for _, graph in found] == [subgraph(0), subgraph(1)]
    for number, (order, _) in enumerate(found):
        who = order.entities
        assert {kind: getattr(who, kind) for kind in ENTITY_COLUMNS} == {
            kind: digest(kind, number) for kind in ENTITY_COLUMNS
        }


def test_a_table_has_the_components_of_the_packed_subgraphs(tmp_path: Path) -> None:
    table = world(tmp_path).table(None, DOOR)
    graphs = [subgraph(0), subgraph(1)]
    assert np.array_equal(table.components, np.stack([g.components for g in graphs]), equal_nan=True)
    assert np.array_equal(table.states, np.stack([g.states for g in graphs]))


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("packed", "what"), [(None, "version"), (b"\x07", "version"), (b"\x01", "bytes")])
def test_a_subgraph_that_is_none_is_told_with_file_and_column(
    tmp_path: Path, read: Callable[[World], object], packed: bytes | None, what: str
) -> None:
    with pytest.raises(Invalid, match=what) as told:
        read(world(tmp_path, subgraph=packed))
    assert told.value.field == f"{FILE}:subgraph"


@pytest.mark.parametrize("read", READERS)
def test_a_packed_world_without_subgraphs_is_told_with_file_and_column(
    tmp_path: Path, read: Callable[[World], object]
) -> None:
    broken = world(tmp_path)
    parquet.write_table(parquet.read_table(broken.path / FILE).drop_columns("subgraph"), broken.path / FILE)
    with pytest.raises(Invalid, match=f"{FILE}:subgraph is missing"):
        read(broken)


@pytest.mark.parametrize("kind", ENTITY_COLUMNS)
@pytest.mark.parametrize("text", ["Ann Lee", "ab", "0" * 31, "0" * 34])
def test_an_entity_that_is_no_keyed_hash_is_told_by_its_kind_and_not_repeated(
    tmp_path: Path, kind: str, text: str
) -> None:
    with pytest.raises(Invalid, match=f"{kind} must be 32 hex digits") as told:
        list(orders_with_subgraphs(world(tmp_path, **{kind: text}), DOOR))
    assert told.value.field == kind
    assert text not in told.value.message
