"""What the texts of a world are to the sandbox: searched, and never part of an order table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid
from riskgraph.core.order import JURISDICTIONS
from riskgraph.core.table import NODE_PURPOSES, OrderTable
from riskgraph.eval.worlds import World, texts
from riskgraph.eval.worlds.order_table import components_and_states
from riskgraph.eval.worlds.schema import PURPOSE_COLUMNS
from riskgraph.eval.worlds.writer import write_manifest

# Every column in which somebody may write what he likes, but ids and entities.
FREE = ("region", "line", "lang", "ship_region")


def rewritten(world: World, folder: Path, change: Any) -> World:
    """The world with its tables changed, under the same manifest facts."""
    (folder / "observed").mkdir(parents=True)
    for path in [*world.order_files, *world.outcome_files]:
        table = pq.read_table(path)
        pq.write_table(change(table) if path in world.order_files else table, folder / "observed" / path.name)
    manifest = json.loads((world.path / "manifest.json").read_text("utf-8"))
    write_manifest(folder, {name: manifest[name] for name in ("provenance", "entities", "counts", "config")})
    return World.open(folder)


def put(table: Any, column: str, values: list[Any]) -> Any:
    at = table.column_names.index(column)
    return table.set_column(at, column, pa.array(values, table.schema.field(column).type))


def worded(table: Any) -> Any:
    """Special-category words in every free text of the orders."""
    for column in FREE:
        table = put(table, column, ["清真 HIV"] * table.num_rows)
    items = [[{**item, "category": "halal"} for item in row or ()] for row in table["items"].to_pylist()]
    return put(table, "items", items)


@pytest.fixture(scope="module")
def worded_world(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    return rewritten(small_world, tmp_path_factory.mktemp("worded") / "w", worded)


def test_no_free_text_of_a_world_reaches_an_order_table(worded_world: World, door: Door) -> None:
    table = worded_world.table(None, door)
    kinds = {f.name: getattr(table, f.name).dtype.kind for f in dataclasses.fields(OrderTable)}
    assert {name for name, kind in kinds.items() if kind not in "biuf"} == {"order_id", "availability"}
    told = {*table.availability.tolist(), *table.order_id.tolist()}
    assert not any(word in text for text in told for word in ("清真", "HIV", "halal"))


def test_texts_are_counted_by_field_and_entities_are_left_out(worded_world: World) -> None:
    found = texts(worded_world)
    rows = sum(pq.read_metadata(p).num_rows for p in worded_world.order_files)
    assert found["region"] == {"清真 HIV": rows}
    assert set(found["items.category"]) == {"halal"}
    assert found["outcomes.kind"]["paid"] > 0
    assert not {"account", "device", "card", "card_bin", "address", "phone", "ip"} & set(found)
    # Ids lose their digits, or there would be as many texts as orders.
    assert len(found["order_id"]) < 5


def test_jurisdiction_purposes_and_objections_come_from_the_world(
    small_world: World, door: Door, tmp_path: Path
) -> None:
    def objecting(table: Any) -> Any:
        said = [None, True, False]
        values = [said[i % 3] for i in range(table.num_rows)]
        return table.append_column("objected", pa.array(values, pa.bool_()))

    world = rewritten(small_world, tmp_path / "w", objecting)
    table = world.table(None, door)
    raw = pa.concat_tables(list(world.parts()))
    assert table.objected.tolist() == [value is True for value in raw["objected"].to_pylist()]
    assert not small_world.table(None, door).objected.any()
    assert [JURISDICTIONS[j] for j in table.jurisdiction.tolist()] == raw["jurisdiction"].to_pylist()
    for place, purpose in enumerate(NODE_PURPOSES):
        told = [-1 if v is None else int(v) for v in raw[PURPOSE_COLUMNS[purpose]].to_pylist()]
        assert table.purposes[:, place].tolist() == told


@pytest.mark.parametrize("column", ["phase", "jurisdiction"])
def test_an_unlisted_word_is_refused_by_column_and_not_repeated(
    small_world: World, door: Door, tmp_path: Path, column: str
) -> None:
    def odd(table: Any) -> Any:
        return put(table, column, ["HIV positive", *table[column].to_pylist()[1:]])

    world = rewritten(small_world, tmp_path / "w", odd)
    with pytest.raises(Invalid) as caught:
        world.table(None, door)
    assert column in (caught.value.field or "")
    assert "HIV" not in str(caught.value)


def test_an_unlisted_class_of_a_node_is_refused_and_not_repeated(small_world: World) -> None:
    table = next(small_world.parts()).slice(0, 5)
    derived = pa.table({"absence": pa.array([bytes(37)] * 5, pa.binary(37))})
    odd = put(table, "B002", ["HIV positive"] * 5)
    with pytest.raises(Invalid) as caught:
        components_and_states(odd, derived, "orders-00000.parquet")
    assert "B002" in str(caught.value)
    assert "HIV" not in str(caught.value)


def test_purposes_fit_what_a_table_gives(small_table: OrderTable) -> None:
    assert small_table.purposes.shape == (len(small_table), len(NODE_PURPOSES))
    assert np.isin(small_table.purposes, (-1, 0, 1)).all()
