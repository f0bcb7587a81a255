"""A release of half of a small world's persons, the same as a bad release, and both halves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, Release, ReleaseRequest, write_release
from riskgraph.sandbox.absence import PARTS
from riskgraph.sandbox.attack import (
    Grouping,
    Published,
    Raw,
    Split,
    encode,
    raw_of,
    read_published,
    split_history,
    true_groups,
)
from riskgraph.sandbox.attack.published import GroupTable
from riskgraph.sandbox.choice import choose
from riskgraph.sandbox.draw import ReleasedRows
from tests.support.once import made_once


@dataclass(frozen=True)
class Halves:
    """A release of the members, and what both sides know."""

    published: Published
    members: Raw
    controls: Raw
    group: NDArray[np.int32]
    history: OrderTable
    request: ReleaseRequest
    split: Split
    grouping: Grouping


@pytest.fixture(scope="session")
def halves(world: OrderTable, signer: Any, tmp_path_factory: pytest.TempPathFactory) -> Halves:
    from datetime import date

    until = date(2026, 6, 30)
    usable = choose(world, until=until, k=50, policy=Policy.default())[0].rows
    split = split_history(world, usable, 3)
    inside = np.flatnonzero(split.first)
    history = world.take(inside)
    request = ReleaseRequest(until=until, seed=3, provenance="simulated", now=1_782_800_000.0, code="test")

    def make(folder: Path) -> None:
        write_release(history, folder / "release", request, signer, policy=Policy.default())

    made = Release.open(made_once(tmp_path_factory, "attacked-release", make) / "release", signer)
    published = read_published(made)
    grouping = true_groups(history, request, published, policy=Policy.default())
    members = raw_of(grouping.entered, inside[grouping.rows], split)
    outside = usable[~split.first[usable]]
    controls = raw_of(world.take(outside), outside, split)
    return Halves(published, members, controls, grouping.group, history, request, split, grouping)


def a_few(raw: Raw, honest: int = 500, fraud: int = 200) -> NDArray[np.intp]:
    """Places of some honest and some fraud records."""
    return np.concatenate([np.flatnonzero(raw.label == label)[:n] for label, n in ((0, honest), (1, fraud))])


@dataclass(frozen=True)
class Bad:
    """A release without protection: groups of one, and raw rows as drawn rows."""

    published: Published
    members: Raw
    group: NDArray[np.int32]


@pytest.fixture(scope="session")
def bad(halves: Halves) -> Bad:
    members = halves.members.take(a_few(halves.members))
    records = encode(halves.published, members)
    ones = np.ones(len(members), dtype=np.int64)
    nodes = (records.raw.states == State.PRESENT).astype(np.float32)
    parts = [records.present[:, j] for _, j in PARTS]
    groups = GroupTable(
        label=members.label,
        stratum=records.stratum,
        rows=ones,
        units=ones,
        centroid=records.raw.components,
        mean=records.z,
        sd=np.full_like(records.z, 0.05),
        presence=np.column_stack([nodes, *parts]).astype(np.float32),
    )
    drawn = ReleasedRows(
        components=members.components,
        states=members.states,
        availability=members.availability,
        label=members.label,
        weight=ones.astype(np.float64),
        cluster=np.zeros(len(members), dtype=np.int32),
    )
    published = dataclasses.replace(halves.published, groups=groups, drawn=drawn)
    return Bad(published, members, np.arange(len(members), dtype=np.int32))
