"""Which orders of a world are sent to a service, and what is history before them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="worlds need the extra lab")

from riskgraph import chain

FIRST = date(2026, 7, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("held-out") / "world"
    chain.simulate("demo", seed=7, orders=300, out=out, progress=lambda *_: None)
    return out


def placed(requests: list[dict[str, Any]]) -> list[float]:
    return [datetime.fromisoformat(body["placed_at"]).timestamp() for body in requests]


def test_orders_are_held_out_from_a_day_on_in_time_order(world):
    held, all_after = (chain.held_out(world, count, FIRST) for count in (20, 10_000))
    assert held.since == datetime(2026, 7, 1, tzinfo=UTC).timestamp()
    assert held.requests == all_after.requests[:20]
    assert placed(held.requests) == sorted(placed(held.requests))
    assert min(placed(held.requests)) >= held.since
    assert 20 < len(all_after.requests) < 300


def test_without_a_day_the_last_orders_are_held_out(world):
    last, everything = chain.held_out(world, 20), chain.held_out(world, 10_000)
    assert len(everything.requests) == 300
    assert last.requests == everything.requests[-20:]
    assert last.since == placed(last.requests)[0]


def test_no_order_is_held_out_from_a_day_after_the_world(world):
    held = chain.held_out(world, 20, date(2030, 1, 1))
    assert held.requests == []
    assert chain.seed_cases(world, held) == {}
