"""Intake: what may enter the sandbox at all, and which rows count.

Names are checked against the catalogue (:func:`check_fields`), rows and nodes against the policy table
(:func:`admit`), and the texts of a history are searched for special-category values
(:func:`search_values`). No text enters the tables of a release: an ``OrderTable`` holds numbers, but for
an opaque order id and the words of the availability class, of which only the listed ones are taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.bounds import component_bounds
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, RiskgraphError, SensitiveField, UnknownField
from riskgraph.core.sensitive import category_of_name, category_of_value, is_sensitive
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.sandbox.policy import Policy, objectors
from riskgraph.sandbox.units import newest

SETTLED_AFTER = timedelta(days=70)
_CHUNK = 512
_NODE = np.array(catalog().component_node)
_FIRST = np.array([s.start for s in catalog().component_slices])
_SDK = np.array([n.index for n in catalog() if n.computed_by == "sdk"], dtype=np.intp)
_NAME_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Rejected:
    """A field that was refused, or in which values were found; never a value itself.

    Attributes:
        name: The field.
        category, rule: Special category and the articles that name it; or ``unknown``, ``allow-list``.
        count: Columns of that name, or values found.
    """

    name: str
    category: str
    rule: str
    count: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Intake:
    """Rows that may be used.

    Attributes:
        rows: intp[M], their positions in the table.
        over_cap: intp[C], positions of rows that would count but for the cap on orders of a unit.
        values: float32[M, 259], clipped to the public bounds; component by component in memory.
        states: uint8[M, 137] and availability: object[M], after the policy.
        dropped: Rows left out by reason; each row counts once, under the first that applies.
        clipped: Values that lay outside their bounds.
        withheld: Nodes that had a value which the policy did not let through.
    """

    rows: NDArray[np.intp]
    over_cap: NDArray[np.intp]
    values: NDArray[np.float32]
    states: NDArray[np.uint8]
    availability: NDArray[np.object_]
    dropped: dict[str, int]
    clipped: int
    withheld: int


def microseconds(day: date) -> int:
    """Start of a day in UTC, in microseconds since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def check_fields(names: Iterable[str]) -> None:
    """The allow-list: exactly the catalogue's 259 component names, in catalogue order.

    Raises:
        SensitiveField: If a name asks for special-category data; the field is named.
        UnknownField: If a name is not one of the catalogue's; the field is named.
        Invalid: If a name is missing or out of order; the field is named.
    """
    given = list(names)
    unknown = tuple(name for name in given if name not in catalog().component_index)
    unknown = tuple(sorted(unknown, key=is_sensitive, reverse=True))  # stable: sensitive ones first
    for name in filter(is_sensitive, unknown):
        raise SensitiveField(
            f"field {name!r} asks for special-category data and is refused", field=name, names=unknown
        )
    for name in unknown:
        raise UnknownField(f"field {name!r} is not a component of the catalogue", field=name, names=unknown)
    missing = sorted(set(catalog().components) - set(given))
    if missing:
        raise Invalid(f"field {missing[0]!r} is missing ({len(missing)} in all)", field=missing[0])
    if tuple(given) != catalog().components:
        raise Invalid("fields must come once each, in catalogue order", field="fields")


def rejected_names(error: RiskgraphError) -> tuple[Rejected, ...]:
    """Fields that an error refused by name; empty for any other error."""
    if not isinstance(error, UnknownField):
        return ()
    out = []
    for name, count in Counter(error.names).items():
        found = category_of_name(name)
        what = (found.name, found.rule) if found else ("unknown", "allow-list")
        out.append(Rejected(name[:_NAME_SHOWN], *what, count))
    return tuple(out)


def search_values(texts: Mapping[str, Mapping[str, int]]) -> tuple[Rejected, ...]:
    """Search the texts of a history for values that name a special category.

    None of them enters a release whatever they say; the search puts on record that a merchant's history
    holds them. A street named after a church counts too: too many are told rather than too few.

    Args:
        texts: For each field how often each text stands in it.

    Returns:
        By field and category, the number of values; the values themselves are forgotten here.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    for field, counts in texts.items():
        for text, count in counts.items():
            category = category_of_value(text)
            if category is not None:
                found[field, category.name, category.rule] += count
    return tuple(Rejected(*key, count) for key, count in sorted(found.items()))


def describe_found(found: Sequence[Rejected]) -> str:
    """One line of what :func:`search_values` found."""
    each = ", ".join(f"{f.count} in {f.name} ({f.category})" for f in found)
    return f"texts of the whole history that name a special category, none of which is released: {each}"


@dataclass(frozen=True)
class Admitted:
    """What the policy lets in of some rows.

    Attributes:
        values: float32[259, M], clipped. states: uint8[M, 137]. availability: object[M].
        clipped, withheld: As in :class:`Intake`.
    """

    values: NDArray[np.float32]
    states: NDArray[np.uint8]
    availability: NDArray[np.object_]
    clipped: int
    withheld: int


def admit_rows(table: OrderTable, rows: NDArray[np.intp], policy: Policy) -> Admitted:
    """Check, clip and withhold the values of rows that count.

    Raises:
        Invalid: If components and states do not agree; the component or node is named.
    """
    values, states, clipped, withheld = _admit_values(table, rows, policy, policy.codes(table))
    return Admitted(values, states, _availability(table.availability[rows], states), clipped, withheld)


def _admit_values(
    table: OrderTable, rows: NDArray[np.intp], policy: Policy, codes: NDArray[np.int16]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], int, int]:
    """The checked values of some rows, clipped to their bounds, without what the policy withholds."""
    if table.components.ndim != 2 or table.components.shape[1] != len(_NODE):
        # not how many orders: the refusal goes on record
        shape = ", ".join(map(str, ("N", *table.components.shape[1:])))
        raise Invalid(f"components: got shape [{shape}], expected [N, {len(_NODE)}]", field="components")
    low, high = component_bounds()[:, :, None]
    out, clipped, withheld = np.empty((len(_NODE), len(rows)), dtype=np.float32), 0, 0
    kept = np.empty((len(rows), len(_FIRST)), dtype=np.uint8)
    stray, empty = np.zeros(len(_NODE), dtype=np.bool_), np.zeros(len(_FIRST), dtype=np.bool_)
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        values = np.ascontiguousarray(table.components[part].T)
        states = table.states[part]
        present = np.ascontiguousarray(states.T) == State.PRESENT
        filled = ~np.isnan(values)
        stray |= (filled > present.take(_NODE, axis=0)).any(axis=1)
        empty |= (present > np.logical_or.reduceat(filled, _FIRST, axis=0)).any(axis=1)
        barred = present & ~policy.may_give(codes[part]).T
        if barred.any():
            withheld += int(barred.sum())
            states[barred.T] = policy.cause(codes[part])[barred.T]
            values[barred.take(_NODE, axis=0)] = np.nan
        outside = int(np.count_nonzero((values < low) | (values > high)))
        out[:, start : start + _CHUNK] = np.clip(values, low, high) if outside else values
        kept[start : start + _CHUNK] = states
        clipped += outside
    _check_agree(stray, empty)
    return out, kept, clipped, withheld


def _check_agree(stray: NDArray[np.bool_], empty: NDArray[np.bool_]) -> None:
    if stray.any():
        name = catalog().components[int(np.argmax(stray))]
        raise Invalid(f"{name}: a value on an absent node; a refusal is never a value", field=name)
    if empty.any():
        name = catalog().nodes[int(np.argmax(empty))].id
        raise Invalid(f"{name}: present without a value", field=name)


def _availability(words: NDArray[np.object_], states: NDArray[np.uint8]) -> NDArray[np.object_]:
    """Changed in place where the policy took a row's front end away (contracts, section 2)."""
    sdk = states[:, _SDK]
    fronts = np.array([str(word).endswith("/front_end") for word in words.tolist()], dtype=np.bool_)
    for row in np.flatnonzero(fronts & ~(sdk == State.PRESENT).any(axis=1)):
        front = "refused" if (sdk[row] == State.REFUSED).any() else "no_front_end"
        words[row] = f"{str(words[row]).partition('/')[0]}/{front}"
    return words


@dataclass(frozen=True)
class Choice:
    """Positions of rows that count, and of those that would but for the cap; rows left out by reason."""

    rows: NDArray[np.intp]
    over_cap: NDArray[np.intp]
    dropped: dict[str, int]


def choose_rows(
    table: OrderTable, *, until: date, policy: Policy, barred: Mapping[str, NDArray[np.bool_]] | None = None,
    unit: NDArray[np.int64] | None = None, cap: int | None = None,
) -> Choice:  # fmt: skip
    """Which rows :func:`admit` takes; see there."""
    nothing = policy.gives_nothing(policy.codes(table))
    reasons = {
        "objected": objectors(table, unit),
        "no_consent": nothing & ~table.training_consent,
        "barred": nothing,
        "too_recent": table.placed_at > microseconds(until - SETTLED_AFTER),
        "unlabelled": ~np.isin(table.label, (0, 1)),
        **(barred or {}),
    }
    kept, dropped = np.ones(len(table), dtype=np.bool_), {}
    for name, mask in reasons.items():
        dropped[name] = int((kept & mask).sum())
        kept &= ~mask
    rows = np.flatnonzero(kept)
    if unit is None or cap is None:
        return Choice(rows, rows[:0], dropped)
    stay = newest(unit[rows] * 2 + table.label[rows], table.placed_at[rows], cap)
    return Choice(rows[stay], rows[~stay], {**dropped, "cap": int((~stay).sum())})


def admit(
    table: OrderTable, *, until: date, policy: Policy,
    barred: Mapping[str, NDArray[np.bool_]] | None = None, unit: NDArray[np.int64] | None = None,
    cap: int | None = None,
) -> Intake:  # fmt: skip
    """Apply the policy table, the settled window, and the cap on orders of a unit.

    A row counts when its shopper did not object, the policy lets it give something (by default:
    ``model_training`` was granted), it was placed at least 70 days before ``until`` (a clean label needs
    60 days), it is labelled, and nothing else bars it.

    Args:
        table: The history.
        until: Day on which the labels are read.
        policy: What an order may give.
        barred: Further rows that must not enter, bool[N] by reason: those that earlier releases hold,
            and erased ones.
        unit: int64[N], unit of each order of the table (``find_units``); needed for a cap.
        cap: Most orders of a unit in each label class; the newest stay.

    Raises:
        Invalid: If components and states do not agree; the component or node is named.
    """
    picked = choose_rows(table, until=until, policy=policy, barred=barred, unit=unit, cap=cap)
    rows = picked.rows
    made = admit_rows(table, rows, policy)
    return Intake(
        rows, picked.over_cap, made.values.T, made.states, made.availability, picked.dropped, made.clipped,
        made.withheld,
    )  # fmt: skip
