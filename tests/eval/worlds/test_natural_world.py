"""``world-natural``: world-1's people at a rate of fraud such as shops have."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from riskgraph.core.door import Door
from riskgraph.eval.worlds import FAMILIES, World, preset, read_oracle, simulate

HARD, NATURAL = preset("world-1"), preset("world-natural")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.open(simulate(NATURAL.scaled(orders=6000), 3, tmp_path_factory.mktemp("natural") / "w"))


def test_it_differs_from_world_1_in_size_and_fraud_alone() -> None:
    differs = {f.name for f in fields(HARD) if getattr(HARD, f.name) != getattr(NATURAL, f.name)}
    assert differs == {"name", "orders", "fraud_share", "min_gangs", "wrong_fraud_labels"}
    assert NATURAL.gangs < HARD.gangs / 5


def test_three_orders_in_a_thousand_are_fraud_of_most_kinds(world: World) -> None:
    truth = read_oracle(world)
    # A gang of one order may play a few more.
    assert 18 <= truth.is_fraud.sum() <= 26
    assert set(truth.archetype) <= {"honest", *FAMILIES}
    assert len(set(truth.archetype)) > 8


def test_it_says_that_its_fraud_is_not_enriched(world: World, small_world: World, tmp_path: Path) -> None:
    assert "Fraud is 0.3% of orders" in world.manifest["note"]
    assert not world.enriched
    assert small_world.enriched
    assert not World(tmp_path, {"provenance": "merchant"}).enriched
    assert World(tmp_path, {"provenance": "simulated"}).enriched


def test_it_can_be_replayed(world: World, door: Door) -> None:
    table = world.table(None, door)
    assert len(table) == len(read_oracle(world))
