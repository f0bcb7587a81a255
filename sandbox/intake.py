"""Intake: what may enter the sandbox at all, and which rows count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, SensitiveField
from riskgraph.core.sensitive import is_sensitive
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.sandbox.bounds import component_bounds

SETTLED_AFTER = timedelta(days=70)
_CHUNK = 512
_NODE = np.array(catalog().component_node)
_FIRST = np.array([s.start for s in catalog().component_slices])


@dataclass(frozen=True)
class Intake:
    """Rows that may be used.

    Attributes:
        rows: intp[M], their positions in the table.
        values: float32[M, 259], clipped to the public bounds; component by component in memory.
        dropped: Rows left out by reason; each row counts once, under the first that applies.
        clipped: Values that lay outside their bounds.
    """

    rows: NDArray[np.intp]
    values: NDArray[np.float32]
    dropped: dict[str, int]
    clipped: int


def microseconds(day: date) -> int:
    """Start of a day in UTC, in microseconds since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def check_fields(names: Iterable[str]) -> None:
    """The allow-list: exactly the catalogue's 259 component names, in catalogue order.

    Raises:
        SensitiveField: If a name asks for special-category data; the field is named.
        Invalid: If a name is unknown, missing or out of order; the field is named.
    """
    given = list(names)
    for name in given:
        if is_sensitive(name):
            raise SensitiveField(f"field {name!r} asks for special-category data and is refused", field=name)
        if name not in catalog().component_index:
            raise Invalid(f"field {name!r} is not a component of the catalogue", field=name)
    missing = sorted(set(catalog().components) - set(given))
    if missing:
        raise Invalid(f"field {missing[0]!r} is missing ({len(missing)} in all)", field=missing[0])
    if tuple(given) != catalog().components:
        raise Invalid("fields must come once each, in catalogue order", field="fields")


def _admit_values(table: OrderTable, rows: NDArray[np.intp]) -> tuple[NDArray[np.float32], int]:
    """The checked values of some rows, float32[259, M], clipped to their bounds, and how many were."""
    if table.components.ndim != 2 or table.components.shape[1] != len(_NODE):
        shape = [len(rows), *table.components.shape[1:]]
        raise Invalid(f"components: got shape {shape}, expected [N, {len(_NODE)}]", field="components")
    low, high = component_bounds()[:, :, None]
    out, clipped = np.empty((len(_NODE), len(rows)), dtype=np.float32), 0
    stray, empty = np.zeros(len(_NODE), dtype=np.bool_), np.zeros(len(_FIRST), dtype=np.bool_)
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        values = np.ascontiguousarray(table.components[part].T)
        present = np.ascontiguousarray(table.states[part].T) == State.PRESENT
        filled = ~np.isnan(values)
        stray |= (filled > present.take(_NODE, axis=0)).any(axis=1)
        empty |= (present > np.logical_or.reduceat(filled, _FIRST, axis=0)).any(axis=1)
        outside = int(np.count_nonzero((values < low) | (values > high)))
        out[:, start : start + _CHUNK] = np.clip(values, low, high) if outside else values
        clipped += outside
    if stray.any():
        name = catalog().components[int(np.argmax(stray))]
        raise Invalid(f"{name}: a value on an absent node; a refusal is never a value", field=name)
    if empty.any():
        name = catalog().nodes[int(np.argmax(empty))].id
        raise Invalid(f"{name}: present without a value", field=name)
    return out, clipped


def admit(table: OrderTable, *, until: date, barred: Mapping[str, NDArray[np.bool_]] | None = None) -> Intake:
    """Apply the default policy to a table.

    A row counts when its shopper granted ``model_training``, it was placed at least 70 days before
    ``until`` (a clean label needs 60 days), and it is labelled. ``barred`` names further rows that
    must not enter, bool[N] by reason: those that earlier releases hold, and erased ones.

    Raises:
        Invalid: If components and states do not agree; the component or node is named.
    """
    latest = microseconds(until - SETTLED_AFTER)
    reasons = {
        "no_consent": ~table.training_consent,
        "too_recent": table.placed_at > latest,
        "unlabelled": ~np.isin(table.label, (0, 1)),
        **(barred or {}),
    }
    kept = np.ones(len(table), dtype=np.bool_)
    dropped = {}
    for name, mask in reasons.items():
        dropped[name] = int((kept & mask).sum())
        kept &= ~mask
    rows = np.flatnonzero(kept)
    values, clipped = _admit_values(table, rows)
    return Intake(rows, values.T, dropped, clipped)
