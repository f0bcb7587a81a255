"""A small simulated world, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from riskgraph.core.door import Door
from riskgraph.core.table import OrderTable
from riskgraph.eval.worlds import Oracle, World, preset, read_oracle, simulate

ORDERS = 1500


@pytest.fixture(scope="session")
def door() -> Door:
    return Door(b"a door key for tests, 32 bytes ok")


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    out = tmp_path_factory.mktemp("worlds") / "small"
    return World.open(simulate(preset("demo").scaled(orders=ORDERS), 3, out))


@pytest.fixture(scope="session")
def small_table(small_world: World, door: Door) -> OrderTable:
    return small_world.table(None, door)


@pytest.fixture(scope="session")
def small_oracle(small_world: World) -> Oracle:
    return read_oracle(small_world)


@pytest.fixture(scope="session")
def larger_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Enough orders for rates in small classes."""
    out: Path = tmp_path_factory.mktemp("worlds") / "larger"
    return World.open(simulate(preset("demo").scaled(orders=10_000), 5, out))
