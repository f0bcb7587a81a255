from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph.core.context import OrderContext, compute_context
from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid, NotFound, SensitiveField
from riskgraph.core.history import MemoryHistory
from riskgraph.core.order import Order, parse_order
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.eval.worlds import (
    World,
    describe,
    import_ndjson,
    outcome_body,
    requests,
    seed_cases,
)

LOCATION = {"B085", "B108", "B109"}


def write(folder: Path, name: str, bodies: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(b, ensure_ascii=False) + "\n" for b in bodies)
    (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def bodies(small_world: World) -> list[dict[str, Any]]:
    return list(requests(small_world))


@pytest.fixture(scope="module")
def case(larger_world: World) -> dict[str, dict[str, Any]]:
    found = next(seed_cases(larger_world, since=0.0), None)
    assert found is not None, "the world holds no order sent far by a device that gave no position"
    return found.requests


@pytest.fixture(scope="module")
def contexts(
    larger_world: World, case: dict[str, dict[str, Any]], door: Door
) -> dict[str, tuple[Order, OrderContext]]:
    parsed = {name: parse_order(body, door) for name, body in case.items()}
    placed = parsed["far_unconfirmed"].placed_at
    history = MemoryHistory()
    for order in larger_world.orders(door, signals=False):
        if order.placed_at < placed:
            history.add_order(order)
    for outcome in larger_world.outcomes():
        history.add_outcome(outcome)
    return {name: (order, compute_context(order, history)) for name, order in parsed.items()}


def test_export_and_import_lose_nothing(
    small_world: World, small_table: OrderTable, bodies: list[dict[str, Any]], door: Door, tmp_path: Path
) -> None:
    write(tmp_path / "ndjson", "orders-1.ndjson", bodies[700:])
    write(tmp_path / "ndjson", "orders-2.ndjson", bodies[:700])
    write(tmp_path / "ndjson", "outcomes.ndjson", [outcome_body(o) for o in small_world.outcomes()])
    world = World.open(import_ndjson(tmp_path / "ndjson", tmp_path / "world"), digests=True)
    assert world.manifest["provenance"] == "merchant"
    assert list(world.orders(door)) == list(small_world.orders(door))
    assert list(world.outcomes()) == list(small_world.outcomes())
    table = world.table(None, door)
    assert table.components.tobytes() == small_table.components.tobytes()
    assert np.array_equal(table.states, small_table.states)
    assert np.array_equal(table.label, small_table.label)


def test_a_world_of_bare_orders_can_be_read(door: Door, tmp_path: Path) -> None:
    body = {
        "merchant_id": "m-1",
        "order_id": "A-1",
        "channel_code": "shop",
        "placed_at": "2026-03-01T10:00:00+01:00",
        "amount": {"value": "12.50", "currency": "EUR"},
        "jurisdiction": "EU",
        "guest_key": "g-1",
    }
    write(tmp_path / "in", "orders.ndjson", [body])
    world = World.open(import_ndjson(tmp_path / "in", tmp_path / "world"))
    table = world.table(None, door)
    assert table.availability.tolist() == ["pre_auth/no_front_end"]
    assert table.label.tolist() == [-1]
    assert table.account.tolist() == [-1]
    (order,) = world.orders(door)
    assert order.guest
    assert next(iter(requests(world)))["guest_key"] == "A-1"


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"amount": {"value": "-1", "currency": "CNY"}}, Invalid, "amount.value"),
        ({"signals": {"B004": -3}}, Invalid, "signals.B004"),
        ({"religion": "x"}, SensitiveField, "religion"),
    ],
)
def test_a_wrong_line_is_named_with_its_file_and_field(
    bodies: list[dict[str, Any]], tmp_path: Path, change: dict[str, Any], error: type[Invalid], field: str
) -> None:
    fronted = next(b for b in bodies if b["consent"]["purposes"].get("behavior"))
    wrong = {**copy.deepcopy(fronted), "absent": {}, **change}
    write(tmp_path / "in", "orders.ndjson", [bodies[0], wrong])
    with pytest.raises(error, match=r"^orders\.ndjson:2") as caught:
        import_ndjson(tmp_path / "in", tmp_path / "world")
    assert caught.value.field == field
    assert not (tmp_path / "world").exists()


def test_raw_and_opaque_entities_of_one_kind_do_not_mix(bodies: list[dict[str, Any]], tmp_path: Path) -> None:
    other = {**bodies[1], "opaque": [*bodies[1]["opaque"], "address"]}
    write(tmp_path / "in", "orders.ndjson", [bodies[0], other])
    with pytest.raises(Invalid, match="entity address is opaque here"):
        import_ndjson(tmp_path / "in", tmp_path / "world")


def test_the_first_attempt_of_an_order_stands(bodies: list[dict[str, Any]], tmp_path: Path) -> None:
    again = {**bodies[0], "attempt": 9}
    write(tmp_path / "in", "orders.ndjson", [bodies[0], again])
    world = World.open(import_ndjson(tmp_path / "in", tmp_path / "world"))
    assert world.manifest["counts"]["orders"] == 1
    assert world.manifest["counts"]["repeated_attempts_left_out"] == 1


def test_an_empty_folder_is_no_history(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(NotFound, match="no orders"):
        import_ndjson(tmp_path / "in", tmp_path / "world")


def test_an_outcome_without_a_zone_is_refused(bodies: list[dict[str, Any]], tmp_path: Path) -> None:
    outcome = {k: bodies[0][k] for k in ("merchant_id", "channel_code", "order_id")}
    times = {"effective_at": "2026-01-02T00:00:00", "reported_at": "2026-01-02T00:00:00+00:00"}
    write(tmp_path / "in", "orders.ndjson", bodies[:1])
    write(tmp_path / "in", "outcomes.ndjson", [{**outcome, **times, "outcome_id": "o", "kind": "paid"}])
    with pytest.raises(Invalid, match=r"outcomes\.ndjson:1: effective_at"):
        import_ndjson(tmp_path / "in", tmp_path / "world")


def test_requests_can_be_cut_by_time(small_world: World, bodies: list[dict[str, Any]], door: Door) -> None:
    times = [o.placed_at for o in small_world.orders(door, signals=False)]
    part = list(requests(small_world, since=times[100], before=times[160]))
    assert [b["order_id"] for b in part] == [b["order_id"] for b in bodies[100:160]]


def test_the_description_counts_every_order_and_truth_only_on_request(
    small_world: World, small_table: OrderTable
) -> None:
    plain = describe(small_world)
    classes, counts = np.unique(small_table.availability.astype(str), return_counts=True)
    assert plain["availability"] == dict(zip(classes.tolist(), counts.tolist(), strict=True))
    assert sum(plain["channel"].values()) == plain["orders"] == len(small_table)
    assert "archetype" not in plain
    truth = describe(small_world, oracle=True)
    assert sum(truth["archetype"].values()) == len(small_table)


def test_the_refused_order_differs_from_the_far_one_only_in_its_position(
    case: dict[str, dict[str, Any]],
) -> None:
    far, refused = copy.deepcopy(case["far_unconfirmed"]), copy.deepcopy(case["far_refused"])
    assert far["signals"]["B085"] == "unavailable"
    assert refused["consent"]["purposes"].pop("location") is False
    assert far["consent"]["purposes"].pop("location") is True
    assert not LOCATION & (set(refused["signals"]) | set(refused["absent"]))
    for body in (far, refused):
        del body["order_id"]
        for node in LOCATION:
            body["signals"].pop(node, None)
            body["absent"].pop(node, None)
    assert far == refused


def test_the_far_order_is_an_order_of_the_world_as_it_is(
    larger_world: World, case: dict[str, dict[str, Any]]
) -> None:
    far = case["far_unconfirmed"]
    assert far in [body for body in requests(larger_world) if body["order_id"] == far["order_id"]]


def test_the_service_sees_far_and_unconfirmed_far_and_refused_near_and_confirmed(
    contexts: dict[str, tuple[Order, OrderContext]],
) -> None:
    far, refused, near = (contexts[n] for n in ("far_unconfirmed", "far_refused", "near_confirmed"))
    assert far[1].values["B110"] in ("km200", "km1000")
    assert refused[1].values["B110"] == far[1].values["B110"]
    assert near[1].values["B110"] == "km0"
    assert refused[0].absent["B085"] is State.REFUSED
    assert near[0].signals["B085"] == "granted"
