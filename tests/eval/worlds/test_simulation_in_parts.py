from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riskgraph.eval.worlds import World, preset, simulate, visits
from riskgraph.eval.worlds.shop import build_shop
from riskgraph.eval.worlds.simulate import live
from riskgraph.eval.worlds.streams import stream
from riskgraph.eval.worlds.writer import spans

CONFIG = preset("world-1").scaled(orders=1200)
# What the agents do is drawn for the whole world at once, whatever the parts.
DONE = ["order_id", "placed_at", "account", "device", "card", "address", "phone", "ip", "merchant_id"]


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visits, "PART_ORDERS", 500)
        return simulate(CONFIG, 3, tmp_path_factory.mktemp("worlds") / "parts")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(CONFIG, 3, tmp_path_factory.mktemp("worlds") / "whole")


def test_a_world_in_parts_has_the_same_bytes_every_time(
    in_parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "PART_ORDERS", 500)
    again = simulate(CONFIG, 3, tmp_path / "again")
    assert (again / "manifest.json").read_bytes() == (in_parts / "manifest.json").read_bytes()
    World.open(again, digests=True)


def test_parts_change_neither_agents_nor_outcomes_nor_truth(in_parts: Path, whole: Path) -> None:
    def rows(folder: Path) -> list[list[object]]:
        tables = [pq.read_table(p, columns=DONE) for p in sorted(folder.glob("observed/orders-*.parquet"))]
        return [[v for t in tables for v in t[name].to_pylist()] for name in DONE]

    assert len(list(in_parts.glob("observed/orders-*.parquet"))) == 3
    assert rows(in_parts) == rows(whole)
    for name in ("observed/outcomes-00000.parquet", "oracle/labels.parquet", "oracle/parcels.parquet"):
        assert (in_parts / name).read_bytes() == (whole / name).read_bytes()


def test_later_parts_draw_from_streams_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "PART_ORDERS", 500)
    parts = list(live(CONFIG, build_shop(CONFIG)).parts())
    assert [(len(p), p.first, p.part) for p in parts] == [(500, 0, 0), (500, 500, 1), (200, 1000, 2)]
    drawn = [part.stream(3, "behavior").random() for part in parts]
    # Published worlds are one part, and must keep drawing from the stream that they drew from.
    assert drawn[0] == stream(3, "behavior").random()
    assert len(set(drawn)) == 3


def test_parts_share_what_belongs_to_sellers_and_no_coupon(in_parts: Path, whole: Path) -> None:
    first = pq.read_table(whole / "observed" / "orders-00000.parquet")
    made = pa.concat_tables(pq.read_table(p) for p in sorted(in_parts.glob("observed/orders-*.parquet")))
    assert made["B127"].to_pylist() == first["B127"].to_pylist()
    codes = [c["code"] for row in made["coupons"].to_pylist() for c in row]
    assert len(codes) == len(set(codes))


def test_spans_cover_all_rows_once_and_an_empty_table_is_one_block() -> None:
    assert list(spans(0)) == [(0, 0)]
    assert list(spans(5, 2)) == [(0, 2), (2, 4), (4, 5)]
