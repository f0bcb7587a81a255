"""From a world to NDJSON and back: nothing is lost, and nothing is there that must not be."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from riskgraph.core.door import Door
from riskgraph.core.errors import CheckFailed, Conflict, Invalid
from riskgraph.eval.worlds import Oracle, World, export_ndjson, import_ndjson
from riskgraph.eval.worlds.schema import all_order_types, outcome_types
from riskgraph.eval.worlds.writer import write_manifest
from tests.eval.worlds.histories import order_bodies, outcome_bodies, write

BARE = {
    "merchant_id": "m",
    "order_id": "A",
    "channel_code": "shop",
    "placed_at": "2026-03-01T10:00:00Z",
    "amount": {"value": "1.00", "currency": "EUR"},
    "jurisdiction": "EU",
    "guest_key": "g",
}


def observed(world: Path, stem: str) -> Any:
    return pa.concat_tables(pq.read_table(p) for p in sorted((world / "observed").glob(f"{stem}-*.parquet")))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def facts(world: Path) -> dict[str, Any]:
    """What the manifest says of the world; the oracle's file never travels."""
    said: dict[str, Any] = json.loads((world / "manifest.json").read_text("utf-8"))
    return said | {"files": {k: v for k, v in said["files"].items() if not k.startswith("oracle/")}}


def there_and_back(world: Path, folder: Path) -> tuple[Path, Path]:
    """``(ndjson, world)`` after an export and an import; a second export must give the same bytes."""
    ndjson = export_ndjson(World.open(world), folder / "ndjson")
    back = import_ndjson(ndjson, folder / "back")
    again = export_ndjson(World.open(back, digests=True), folder / "again")
    assert contents(again) == contents(ndjson)
    for stem in ("orders", "outcomes"):
        assert observed(back, stem).equals(observed(world, stem))
    return ndjson, back


@pytest.fixture(scope="module")
def travelled(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return there_and_back(small_world.path, tmp_path_factory.mktemp("travelled"))


def test_a_simulated_world_comes_back_with_every_byte_of_what_was_observed(
    small_world: World, travelled: tuple[Path, Path]
) -> None:
    assert facts(travelled[1]) == facts(small_world.path)
    assert World.open(travelled[1]).simulated


def test_the_oracle_is_never_exported(small_oracle: Oracle, travelled: tuple[Path, Path]) -> None:
    names = {p.name.split("-")[0] for p in travelled[0].iterdir()}
    assert names == {"orders", "outcomes", "manifest.json"}
    written = b"".join(contents(travelled[0]).values())
    gangs = {gang for gang in small_oracle.gang_id.tolist() if gang}
    assert gangs
    assert not [gang for gang in gangs if f'"{gang}"'.encode() in written]
    assert b"is_fraud" not in written
    assert not (travelled[1] / "oracle").exists()


def test_several_processes_write_the_same_bytes_as_one(small_world: World, tmp_path: Path) -> None:
    export_ndjson(small_world, tmp_path / "ndjson", workers=2)
    assert contents(tmp_path / "ndjson") == contents(export_ndjson(small_world, tmp_path / "one"))
    many = import_ndjson(tmp_path / "ndjson", tmp_path / "many", workers=2)
    assert contents(many) == contents(import_ndjson(tmp_path / "ndjson", tmp_path / "single"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(order_bodies(), outcome_bodies())
def test_a_shops_own_history_comes_back_whatever_it_holds(
    orders: list[dict[str, Any]], outcomes: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "own", "orders.ndjson", orders)
        write(folder / "own", "outcomes.ndjson", outcomes)
        world = import_ndjson(folder / "own", folder / "world")
        _, back = there_and_back(world, folder)
        assert facts(back) == facts(world)
        assert World.open(back).manifest["provenance"] == "merchant"


def odd_world(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A merchant's world written by hand; only the columns that a row names."""
    types, names = all_order_types(), {name for row in rows for name in row}
    columns = {n: pa.array([row.get(n) for row in rows], types[n]) for n in types if n in names}
    (folder / "observed").mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "observed" / "orders-00000.parquet")
    empty = pa.schema(list(outcome_types().items())).empty_table()
    pq.write_table(empty, folder / "observed" / "outcomes-00000.parquet")
    counts = {"orders": len(rows), "outcomes": 0}
    write_manifest(folder, {"provenance": "merchant", "entities": {"device": "raw"}, "counts": counts})
    return folder


ROW = {
    "merchant_id": "m",
    "order_id": "A",
    "channel_code": "shop",
    "placed_at": 1_772_359_200_000_001,
    "jurisdiction": "EU",
    "amount_value": 0.1 + 0.2,
    "amount_currency": "EUR",
}
CAUSES = bytes([2, 1, 3] + [2] * 134)
DELIVERED = bytes([0 if i in (59, 91) else 2 for i in range(137)])


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"attempt": None, "phase": None, "lang": None, "utc_offset_s": None},
        {"attempt": 3, "phase": "post_auth", "lang": "zh", "utc_offset_s": 0},
        {"utc_offset_s": -12_600},
        {"items": None, "coupons": None, "promo_thresholds": None},
        {"items": [], "coupons": [], "promo_thresholds": []},
        {"promo_thresholds": [199.0, 0.0, 99.5, -1.0]},
        {"items": [{"sku": "s", "quantity": None, "price": 1e-7}, {"sku": "t", "quantity": 1, "price": 5.0}]},
        {"coupons": [{"code": "c", "kind": None, "value": None}, {"code": "d", "kind": "other", "value": 0}]},
        {"absence": None},
        {"absence": CAUSES},
        {"absence": CAUSES, "consent_behavior": False},
        {"absence": bytes([2] * 137), "consent_behavior": False, "consent_motion": None},
        {"consent_behavior": True, "B092": "y1", "B060": 2.0, "absence": DELIVERED},
        {"objected": True},
        {"objected": False, "consent_model_training": True},
        {"account": None, "device": "d", "consent_device": True, "ship_lat": 30.0},
    ],
    ids=lambda row: " ".join(row) or "bare",
)  # fmt: skip
def test_an_odd_world_comes_back_as_it_was(row: dict[str, Any], tmp_path: Path) -> None:
    world = odd_world(tmp_path / "world", [ROW, {**ROW, "order_id": "B", **row}])
    _, back = there_and_back(world, tmp_path)
    assert World.open(back).manifest["entities"] == {"device": "raw"}


def test_values_whose_purpose_was_not_granted_stay_behind(door: Door, tmp_path: Path) -> None:
    rows = [
        {**ROW, "order_id": f"A{i}", "consent_behavior": granted, "consent_device": granted, "B003": 5.0,
         "B060": 1.0, "device": "d-secret", "absence": bytes([2] * 2 + [0] + [2] * 134)}
        for i, granted in enumerate((True, False, None))
    ]  # fmt: skip
    world = odd_world(tmp_path / "world", rows)
    ndjson = export_ndjson(World.open(world), tmp_path / "ndjson")
    lines = (ndjson / "orders-00000.ndjson").read_text("utf-8").splitlines()
    assert ["d-secret" in line for line in lines] == [True, False, False]
    assert ["B003" in json.loads(line)["signals"] for line in lines] == [True, False, False]
    back = World.open(import_ndjson(ndjson, tmp_path / "back"))
    states = back.table(None, door).states
    assert states.tolist() == World.open(world).table(None, door).states.tolist()
    assert states[:, 2].tolist() == [0, 3, 2]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"B005": float("nan")}, "B005"),
        ({"amount_value": float("inf")}, "amount_value"),
        ({"items": [{"sku": "s", "price": float("nan")}]}, "amount"),
        ({"account_created_at": 0}, "account_created_at"),
        ({"B013.speed": [1] * 16}, "B013.turn"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_body_can_hold_is_refused_with_file_and_column(
    row: dict[str, Any], named: str, tmp_path: Path
) -> None:
    world = World.open(odd_world(tmp_path / "world", [ROW | row]))
    with pytest.raises(Invalid, match=rf"^observed/orders-00000\.parquet: .*{named}"):
        export_ndjson(world, tmp_path / "ndjson")
    assert not (tmp_path / "ndjson").exists()


def test_an_export_that_was_altered_is_refused(travelled: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "ndjson"
    folder.mkdir()
    for path in travelled[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "orders-more.ndjson").write_text(json.dumps(BARE), "utf-8")
    with pytest.raises(CheckFailed, match=r"orders-more\.ndjson is not listed"):
        import_ndjson(folder, tmp_path / "world")
    (folder / "orders-more.ndjson").unlink()
    with (folder / "orders-00000.ndjson").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(BARE))
    with pytest.raises(CheckFailed, match=r"orders-00000\.ndjson differs"):
        import_ndjson(folder, tmp_path / "world")
    assert not (tmp_path / "world").exists()


def test_a_folder_that_holds_something_is_not_overwritten(small_world: World, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", "utf-8")
    with pytest.raises(Conflict):
        export_ndjson(small_world, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_one_id_for_orders_of_two_channels_is_refused_since_one_would_be_lost(tmp_path: Path) -> None:
    write(tmp_path / "own", "orders.ndjson", [BARE, {**BARE, "channel_code": "market"}])
    with pytest.raises(Invalid, match=r"^orders\.ndjson:2: order_id A is also that"):
        import_ndjson(tmp_path / "own", tmp_path / "world")


def test_orders_and_outcomes_may_come_in_any_order(tmp_path: Path) -> None:
    def bodies() -> Iterator[dict[str, Any]]:
        for i in range(50):
            yield {**BARE, "order_id": f"A-{i}", "placed_at": f"2026-03-01T10:{i * 37 % 50:02d}:00Z"}

    write(tmp_path / "own", "orders-b.ndjson", list(bodies())[:20])
    write(tmp_path / "own", "orders-a.ndjson", list(bodies())[20:])
    table = observed(import_ndjson(tmp_path / "own", tmp_path / "world"), "orders")
    assert sorted(table["placed_at"].to_pylist()) == table["placed_at"].to_pylist()
    assert {row["order_id"] for row in table.to_pylist()} == {f"A-{i}" for i in range(50)}


def test_free_text_of_an_outcome_is_dropped_as_the_service_drops_it(tmp_path: Path) -> None:
    outcome = {k: BARE[k] for k in ("merchant_id", "channel_code", "order_id")} | {
        "outcome_id": "o", "kind": "claim", "effective_at": BARE["placed_at"],
        "reported_at": BARE["placed_at"], "reason": "not_received", "source": "Mrs. Li called twice",
    }  # fmt: skip
    write(tmp_path / "own", "orders.ndjson", [BARE])
    write(tmp_path / "own", "outcomes.ndjson", [outcome])
    (row,) = observed(import_ndjson(tmp_path / "own", tmp_path / "world"), "outcomes").to_pylist()
    assert (row["reason"], row["source"]) == ("not_received", None)
