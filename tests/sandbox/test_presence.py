"""What is there depends on what is there besides, in drawn rows as in raw ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, Release, ReleaseRequest, write_release
from tests.sandbox.conftest import UNTIL, FakeSigner, build_world

VALUE = catalog().component_index["B103.value"]
NODE = catalog()["B113"]
HISTORY = catalog()["B132"]
PART = catalog().component_index["B132.days_since_last"]


def planted(world: OrderTable) -> OrderTable:
    """B113 is there, and B132 has its history, mostly where B103 is high."""
    rng = np.random.default_rng(5)
    components, states = world.components.copy(), world.states.copy()
    components[:, VALUE] = rng.random(len(world))
    states[:, catalog()["B103"].index] = State.PRESENT
    there = rng.random(len(world)) < np.where(components[:, VALUE] > 0.5, 0.9, 0.2)
    states[:, NODE.index] = np.where(there, State.PRESENT, State.NOT_DELIVERED)
    kinds = rng.integers(0, len(NODE.words), len(world)).astype(np.float32)
    components[:, catalog().component_slices[NODE.index]] = np.where(there, kinds, np.nan)[:, None]
    states[:, HISTORY.index] = State.PRESENT
    place = catalog().component_slices[HISTORY.index]
    components[:, place] = rng.integers(0, 4, (len(world), place.stop - place.start))
    components[~there, PART : PART + 2] = np.nan
    return replace(world, components=components, states=states)


@pytest.fixture(scope="module")
def drawn(signer: FakeSigner, tmp_path_factory: pytest.TempPathFactory) -> Release:
    world = build_world(2, 4_000, 1_200, 1_600, 400)
    out: Path = tmp_path_factory.mktemp("presence") / "release"
    request = ReleaseRequest(until=UNTIL, seed=3, provenance="simulated", now=0.0, code="test")
    return write_release(planted(world), out, request, signer, policy=Policy.default())


def dependence(there: NDArray[np.bool_], value: NDArray[np.float32]) -> float:
    return float(np.corrcoef(there, value)[0, 1])


def test_a_node_that_comes_with_a_high_value_still_does(drawn: Release) -> None:
    rows = drawn.rows
    honest = rows.label == 0
    found = dependence(rows.states[honest, NODE.index] == 0, rows.components[honest, VALUE])
    assert found > 0.4


def test_a_part_of_a_context_node_that_comes_with_a_node_still_does(drawn: Release) -> None:
    rows = drawn.rows
    honest = rows.label == 0
    part = ~np.isnan(rows.components[honest, PART])
    both = np.corrcoef(part, rows.states[honest, NODE.index] == 0)[0, 1]
    assert both > 0.6
    assert not np.isnan(rows.components[honest, PART - 1]).any()
