"""Each figure of stores is measured, has its ask, and counts what it says that it counts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="worlds need the extra lab")

from riskgraph.bench import stores, stores_writes
from riskgraph.bench.stores_ground import Ground, Sizes
from riskgraph.core.errors import Invalid
from riskgraph.stores import open_store
from riskgraph.stores.crash import KillResult, synthetic_entry, synthetic_order, synthetic_secrets

TINY = Sizes(
    orders=600, hub_every=5, lookups=50, durable=50, decided=60, kills=2, disturbed=10, raw=10, read_back=20,
    shared=300, rate=10.0, normal_s=1.0, outage_s=1.0,
)  # fmt: skip
EMBEDDED = ("two-hop", "context", "durable", "sizes", "kills")
NO_ASK = {"bytes_per_decision"}
ASKED = {
    "materialise_orders_s", "materialise_ratio", "packed_orders_s", "backlog_10k_s", "duplicates", "lost",
    "neo4j_context_p50_ms", "neo4j_context_p99_ms", "two_hop_p50_us", "two_hop_p99_us", "context_p50_us",
    "context_p99_us", "outage_failed", "outage_p99_ratio", "breaker_open_ms", "breaker_close_s",
    "durable_orders_s", "bytes_per_order", "bytes_per_decision", "kills", "lost_acknowledged",
    "roundtrip_equal",
}  # fmt: skip


def quiet(*_: object) -> None: ...


def test_every_figure_that_was_asked_for_has_a_part() -> None:
    assert {name for names in stores.PARTS.values() for name in names} >= ASKED


def test_every_figure_has_an_ask_but_those_that_are_reported_only() -> None:
    assert {name for names in stores.PARTS.values() for name in names} == stores.ASKS.keys() | NO_ASK


def test_the_figures_of_the_embedded_store_are_measured_and_stand_beside_their_asks() -> None:
    names, steps = stores.figures_of(EMBEDDED), set()
    figures = stores.run(names, lambda step, *_: steps.add(step), sizes=TINY)
    assert {f.name for f in figures} == names
    assert all(f.value is not None and math.isfinite(f.value) for f in figures), figures
    assert all(f.note.startswith("ask: ") for f in figures if f.name not in NO_ASK)
    assert {"history", "decide", "kills"} <= steps
    found = {f.name: f for f in figures}
    # So few kills are not what was asked for, however well the store stood them.
    assert found["kills"].value == 2
    assert "fell short" in found["kills"].note
    assert found["lost_acknowledged"].value == 0
    assert "120 went to one address" in found["two_hop_p50_us"].note


def test_figures_that_need_a_server_say_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RISKGRAPH_NEO4J_URI", raising=False)
    figures = stores.run(stores.figures_of(["backlog", "outage"]), quiet, sizes=TINY)
    assert figures
    assert all(f.value is None and "make neo4j" in f.note for f in figures)


def test_a_part_that_is_not_there_is_named() -> None:
    with pytest.raises(Invalid, match="unknown part nothing; known: two-hop, "):
        stores.figures_of(["kills", "nothing"])


def test_one_order_in_so_many_goes_to_one_address_and_its_cell(tmp_path: Path) -> None:
    ground = Ground(tmp_path, quiet, TINY)
    orders = list(ground.with_hub(ground.world(40), 5))
    hub = orders[0].entities.address
    at_hub = [number for number, order in enumerate(orders) if order.entities.address == hub]
    assert set(range(0, 40, 5)) <= set(at_hub)
    assert len({(orders[n].cell, orders[n].entities.bands) for n in range(0, 40, 5)}) == 1
    assert len({order.entities.account for order in orders}) > 1


def test_pages_of_all_tables_make_up_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}", synthetic_secrets())
    for number in range(200):
        store.append(synthetic_entry(synthetic_order(f"o-{number}", number), f"d-{number}"))
    store.close()
    pages = stores_writes.bytes_by_table(path)
    assert {*stores_writes.PACKED, *stores_writes.INDEXED, "decisions"} <= pages.keys()
    assert sum(pages.values()) == path.stat().st_size


def test_what_any_series_of_kills_lost_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series: list[int] = []

    def killed(rounds: int, directory: Path, seed: int) -> KillResult:
        series.append(rounds)
        return KillResult(rounds, 10 * rounds, lost=len(series) - 1, problems=("torn",))

    monkeypatch.setattr(stores_writes, "run_kills", killed)
    found: dict[str, Any] = {f.name: f for f in stores_writes.kill_figures(tmp_path, 100, quiet)}
    assert series == [40, 40, 20]
    assert (found["kills"].value, found["lost_acknowledged"].value) == (100, 3)
    assert "1000 acknowledged; 3 integrity problems" in found["kills"].note
