"""Orders of later worlds come from several channels and are decided before or after payment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from riskgraph.core.door import Door
from riskgraph.core.order import Order
from riskgraph.core.table import OrderTable
from riskgraph.eval.worlds import (
    World,
    describe,
    export_ndjson,
    import_ndjson,
    preset,
    read_oracle,
    simulate,
)

FRONT = ("own_web", "mini_program")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    config = preset("world-1").scaled(orders=8000)
    return World.open(simulate(config, 31, tmp_path_factory.mktemp("phases") / "w"))


@pytest.fixture(scope="module")
def orders(world: World, door: Door) -> list[Order]:
    return list(world.orders(door))


def with_cards(orders: list[Order], phase: str) -> list[Order]:
    return [o for o in orders if o.phase == phase and o.signals.get("B064") is not None]


def test_before_payment_answers_speak_of_earlier_attempts_only(orders: list[Order]) -> None:
    before = with_cards(orders, "pre_auth")
    answered = [o for o in before if "B066" in o.signals or "B070" in o.signals]
    assert answered
    assert all(o.signals["B064"] > 0 and o.attempt > 1 for o in answered)


def test_after_payment_answers_speak_of_the_order_itself(orders: list[Order]) -> None:
    after = with_cards(orders, "post_auth")
    first = [o for o in after if o.attempt == 1]
    for node, least in (("B066", 0.75), ("B070", 0.7)):
        assert np.mean([node in o.signals for o in first]) > least
    # A mismatch seldom pays, and a challenge that nobody answered never does.
    assert np.mean([o.signals["B066"] for o in after if "B066" in o.signals]) < 0.05
    assert "abandoned" not in {o.signals.get("B070") for o in after}


def test_the_phase_is_a_matter_of_the_channel_and_not_of_fraud(world: World, orders: list[Order]) -> None:
    fraud = read_oracle(world).is_fraud
    paid = np.array([o.phase == "post_auth" for o in orders])
    front = np.array([o.channel_code in FRONT for o in orders])
    assert paid[~front].mean() > 0.6 > 0.2 > paid[front].mean() > 0.1
    for group in (front, ~front):
        assert abs(paid[group & fraud].mean() - paid[group & ~fraud].mean()) < 0.08


def test_about_64_in_100_orders_come_from_elsewhere_than_the_own_web(world: World) -> None:
    described = describe(world)
    assert 1 - described["channel"]["own_web"] / described["orders"] == pytest.approx(0.64, abs=0.04)
    assert sum(described["phase"].values()) == described["orders"]
    assert set(described["device_class"]) == {"desktop", "phone", "tablet", "webview", "unknown"}
    assert 0.4 < described["shares"]["several_channels"] < 0.6


def test_both_phases_go_to_ndjson_and_back_into_the_order_table(
    world: World, door: Door, tmp_path: Path
) -> None:
    export_ndjson(world, tmp_path / "lines")
    import_ndjson(tmp_path / "lines", tmp_path / "again")
    tables: list[OrderTable] = [w.table(None, door) for w in (world, World.open(tmp_path / "again"))]
    first, again = (table.availability.tolist() for table in tables)
    assert first == again
    sources = ("front_end", "no_front_end", "refused")
    assert set(first) == {f"{phase}/{source}" for phase in ("pre_auth", "post_auth") for source in sources}
