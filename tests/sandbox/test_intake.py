"""What may enter the sandbox."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

import numpy as np
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, SensitiveField
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import admit, check_fields
from riskgraph.sandbox.intake import microseconds

UNTIL = date(2026, 6, 30)


def test_exactly_the_catalogue_is_allowed() -> None:
    check_fields(catalog().components)


@pytest.mark.parametrize("name", ["religion", "B001.p50.ethnicity", "用户民族", "sexualOrientation"])
def test_a_sensitive_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(SensitiveField, match=name) as caught:
        check_fields([*catalog().components, name])
    assert caught.value.field == name


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match=r"B001\.p99") as caught:
        check_fields([*catalog().components, "B001.p99"])
    assert caught.value.field == "B001.p99"


def test_a_missing_or_moved_field_is_refused() -> None:
    with pytest.raises(Invalid, match="missing"):
        check_fields(catalog().components[1:])
    with pytest.raises(Invalid, match="catalogue order"):
        check_fields(reversed(catalog().components))


def test_rows_are_dropped_once_each_under_the_first_reason(world: OrderTable) -> None:
    placed, label = world.placed_at.copy(), world.label.copy()
    consent = world.training_consent.copy()
    consent[:10] = False
    placed[5:25] = microseconds(UNTIL - timedelta(days=69))
    label[20:40] = -1
    table = dataclasses.replace(world, placed_at=placed, label=label, training_consent=consent)
    intake = admit(table, until=UNTIL)
    assert intake.dropped == {"no_consent": 10, "too_recent": 15, "unlabelled": 15}
    assert intake.rows.tolist() == list(range(40, len(world)))


def test_an_order_of_exactly_70_days_ago_counts_and_a_later_one_does_not(world: OrderTable) -> None:
    edge = microseconds(UNTIL - timedelta(days=70))
    placed = np.where(np.arange(len(world)) % 2 == 0, edge, edge + 1)
    intake = admit(dataclasses.replace(world, placed_at=placed), until=UNTIL)
    assert intake.rows.tolist() == list(range(0, len(world), 2))


def test_values_outside_their_public_bounds_are_clipped_and_counted(world: OrderTable) -> None:
    place = catalog().component_index["B110.value"]
    values = world.components.copy()
    row = int(np.flatnonzero(~np.isnan(values[:, place]))[0])
    values[row, place] = 99
    intake = admit(dataclasses.replace(world, components=values), until=UNTIL)
    assert intake.clipped == 1
    assert intake.values[row, place] == 4


def test_a_value_on_a_refused_node_is_an_error_that_names_the_component(world: OrderTable) -> None:
    place = catalog().component_index["B085.value"]
    values = world.components.copy()
    row = int(np.flatnonzero(world.states[:, catalog()["B085"].index] == 3)[0])
    values[row, place] = 1
    with pytest.raises(Invalid, match=r"B085\.value"):
        admit(dataclasses.replace(world, components=values), until=UNTIL)


def test_a_present_node_without_a_value_is_an_error_that_names_the_node(world: OrderTable) -> None:
    node = catalog()["B110"]
    values = world.components.copy()
    row = int(np.flatnonzero(world.states[:, node.index] == 0)[0])
    values[row, catalog().component_slices[node.index]] = np.nan
    with pytest.raises(Invalid, match="B110"):
        admit(dataclasses.replace(world, components=values), until=UNTIL)
