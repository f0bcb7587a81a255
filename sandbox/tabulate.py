"""From a history to the tables of a release: intake, units, groups, tables, and both counts of them.

Rows of a large history lie on disk, and one chunk of them at a time in memory (see ``by_chunks``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.order import JURISDICTIONS
from riskgraph.core.table import OrderTable
from riskgraph.core.units import Units, find_units
from riskgraph.sandbox.books import Books
from riskgraph.sandbox.by_chunks import count_chunks, group_chunks
from riskgraph.sandbox.cells import UsedRows, count_cells
from riskgraph.sandbox.choice import choose, choose_rows
from riskgraph.sandbox.chunks import Chunking, Survey, spill, survey, watched
from riskgraph.sandbox.count import PersonCount
from riskgraph.sandbox.frame import build_frame
from riskgraph.sandbox.intake import Intake, describe_found
from riskgraph.sandbox.ledger import Digests
from riskgraph.sandbox.manifest import Facts, Order, certificate, stamp
from riskgraph.sandbox.pairs import pair_ends
from riskgraph.sandbox.partition import MIN_GROUPS, Grouped, Persons, Shortage, too_few
from riskgraph.sandbox.release import check_certificate
from riskgraph.sandbox.scratch import enough_room, raw_folder
from riskgraph.sandbox.tables import Tables, build_tables, group_rows, tables_of
from riskgraph.sandbox.units import count_units, describe, new_units_per_day
from riskgraph.sandbox.watch import Watch

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Counted:
    """All that is known of a release when the map of rows to groups is gone.

    Attributes:
        tables: What rows are drawn from.
        held: Its certificate. destroyed: When the map was overwritten.
        entered: Keyed digests of the records that went in, sorted; None where no ledger is kept.
    """

    tables: Tables
    held: dict[str, Any]
    destroyed: str
    entered: Digests | None


def tabulate(
    held: list[OrderTable], order: Order, rng: np.random.Generator, watch: Watch, books: Books,
    how: Chunking | None,
) -> Counted:  # fmt: skip
    """All that is released of a window but the rows, which are drawn from it; ``how`` is None for one chunk.

    The history is taken out of ``held``: where nobody else holds it, its values go once they lie in chunks.

    Raises:
        Invalid: If a value of the table is wrong; the field is named.
        CheckFailed: If a class has too few persons (``Shortage``), or a count does not certify the groups.
    """
    if how is not None:
        return _in_chunks(held, order, rng, watch, books, how)
    table = held.pop()
    grouped = group(table, order, rng, watch, books.barred(table))
    frame = grouped.frame
    with watch.step("count"):
        persons = PersonCount(table, frame.source)
        by_group = persons.groups(grouped.row_group)
    with watch.step("tables"):
        tables, seconds = build_tables(grouped, order.request.k, rng)
    watch.seconds |= seconds
    with watch.step("cells"):
        used = UsedRows(
            persons.person, grouped.row_group, frame.label, frame.stratum, frame.values, frame.states
        )
        by_cell = count_cells(used, tables, pair_ends())
        used.group.fill(-1)
    independent = by_group.as_dict() | by_cell.as_dict()
    ids = table.order_id[frame.source]
    return _sealed(tables, grouped.items, grouped.split.group, independent, ids, order, watch, books)


def group(
    table: OrderTable, order: Order, rng: np.random.Generator, watch: Watch,
    barred: Mapping[str, NDArray[np.bool_]],
) -> Grouped:  # fmt: skip
    """Intake, units and groups of a window that is held in memory."""
    k, policy = order.request.k, order.policy
    with watch.step("units"):
        intake, units = choose(table, until=order.request.until, k=k, policy=policy, barred=barred)
    with _announced(table, intake, units, watch, k), watch.step("partition"):
        grouped = group_rows(build_frame(table, intake, units, k), k, rng)
    frame = grouped.frame
    _in_groups(watch, Units(frame.unit, frame.component), table, frame.source, grouped.split.dropped)
    return grouped


def _in_chunks(
    held: list[OrderTable], order: Order, rng: np.random.Generator, watch: Watch, books: Books, how: Chunking
) -> Counted:
    """As :func:`tabulate`, with the rows on disk and one chunk of them at a time in memory."""
    k, policy, whole = order.request.k, order.policy, held.pop()
    how = replace(how, run=watched(how.run, watch.progress)) if watch.progress else how
    with watch.step("units"):
        units, barred = find_units(whole), books.barred(whole)
        picked = choose_rows(whole, units, until=order.request.until, k=k, policy=policy, barred=barred)
        seen = survey(whole, picked, policy)
    # who and when is asked of the history to the end, but no value
    table = replace(whole, components=whole.components[:, :0].copy(), states=whole.states[:, :0].copy())
    with raw_folder(how.scratch) as folder, enough_room(folder, len(seen.rows)):
        with _announced(table, seen, units, watch, k), watch.step("partition"):
            chunks = spill(whole, seen, units, policy, k, folder, how.rows)
            del whole
            told = group_chunks(chunks, how, k, rng)
        mine = Units(*(np.repeat(c, told.items.rows) for c in (told.items.unit, told.items.component)))
        _in_groups(watch, mine, table, chunks.source, chunks.trimmed.dropped)
        with watch.step("count"):
            persons = PersonCount(table, chunks.source)
            row_group = np.repeat(told.split.group, told.items.rows)
            by_group = persons.groups(row_group)
        with watch.step("tables"):
            tables, seconds = tables_of(told, k, rng)
        watch.seconds |= seconds
        with watch.step("cells"):
            by_cell = count_chunks(chunks, persons.person, row_group, tables, how.run)
            row_group.fill(-1)
    independent = by_group.as_dict() | by_cell.as_dict()
    ids = table.order_id[chunks.source]
    return _sealed(tables, told.items, told.split.group, independent, ids, order, watch, books)


def _sealed(
    tables: Tables, items: Persons, group: NDArray[np.int32], independent: dict[str, Any],
    ids: NDArray[np.object_], order: Order, watch: Watch, books: Books,
) -> Counted:  # fmt: skip
    """Tables whose two counts agree; the map of items to groups is destroyed, as that of rows was."""
    held = certificate(order.request.k, items, group, tables.groups, independent)
    check_certificate(held)
    # Sorted, since rows of one group lie together.
    entered = np.sort(books.ledger.digests(ids)) if books.ledger else None
    # with map and raw rows together a release would only be pseudonymous (PIPL Art. 73)
    group.fill(-1)
    return Counted(tables, held, stamp(order.request.now + watch.elapsed()), entered)


@contextmanager
def _announced(
    table: OrderTable, found: Intake | Survey, units: Units, watch: Watch, k: int
) -> Iterator[None]:
    """Tell and keep who counts before anything is grouped; a refusal for want of persons says what helps."""
    under_cap = Units(units.unit[found.rows], units.component[found.rows])
    watch.facts = Facts(
        count_units(under_cap, table.label[found.rows]), _places(table, found.rows), found.dropped,
        found.clipped, found.withheld, watch.found,
    )  # fmt: skip
    # to who runs this: exactly, and as they were before the cap
    rows = np.concatenate([found.rows, found.over_cap])
    mine, label = Units(units.unit[rows], units.component[rows]), table.label[rows]
    counts = count_units(mine, label)
    if watch.tell is not None:
        watch.tell(describe(counts, found.dropped))
        if watch.found:
            watch.tell(describe_found(watch.found))
    try:
        for count in counts:
            if count.units < MIN_GROUPS * k:
                missing = MIN_GROUPS * k - count.units
                raise too_few(count.label, count.units, count.components, 0, k, missing)
        yield
    except Shortage as short:
        of_class = label == short.label
        pace = new_units_per_day(mine.unit[of_class], table.placed_at[rows][of_class])
        raise short.at_pace(pace, found.dropped) from None


def _in_groups(
    watch: Watch, units: Units, table: OrderTable, source: Rows, dropped: Mapping[str, int]
) -> None:
    """Keep what is known of the rows that stand in groups."""
    if watch.facts is None:
        raise RuntimeError("rows are grouped after their intake")
    counts = count_units(units, table.label[source])
    watch.facts = watch.facts.in_groups(counts, _places(table, source), dropped)


def _places(table: OrderTable, rows: Rows) -> tuple[int, ...]:
    """Orders of each jurisdiction."""
    return tuple(np.bincount(table.jurisdiction[rows], minlength=len(JURISDICTIONS)).tolist())
