"""Joint tables: no count of under k persons can be computed from what is released."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import State
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, admit, find_units
from riskgraph.sandbox.bins import NOISE_SD
from riskgraph.sandbox.cells import _table_cells
from riskgraph.sandbox.frame import build_frame
from riskgraph.sandbox.pairs import APART, REST, WIDTH, _Crowd, coarse_codes, pair_ends, pool_cells
from riskgraph.sandbox.partition import Grouped
from riskgraph.sandbox.tables import Tables, build_tables, group_rows, rows_with_both
from riskgraph.sandbox.tally import Tally

K = 50
RUNS = [(4,), (1, 3), (2, 2), (3, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1), (1, 1, 1, 1)]
UNTIL = date(2026, 6, 30)
MakeWorld = Callable[..., OrderTable]
Ints = NDArray[np.int64]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Ints, NDArray[np.uint32]]:
    """int64[5, 5] rows in each cell and the cells of each person; each bin of an end has k persons."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    many = draw(st.integers(100, 2_000))
    share = rng.gamma(draw(st.sampled_from([0.2, 0.5, 2.0])), size=(WIDTH, WIDTH))
    share[0] *= draw(st.sampled_from([0.0, 0.05, 1.0]))
    share[:, 0] *= draw(st.sampled_from([0.0, 0.05, 1.0]))
    person = np.concatenate([np.arange(many), rng.integers(0, many, many)])
    code = rng.choice(WIDTH**2, len(person), p=(share / share.sum()).ravel())
    # a bin of fewer persons would have been merged with its neighbour: here it goes to absent
    while thin := [
        line
        for axis, own in product((0, 1), range(1, WIDTH))
        if 0 < len(np.unique(person[(line := np.stack(divmod(code, WIDTH))[axis] == own)])) < K
    ]:
        code[np.any(thin, axis=0)] = 0
    seen = np.zeros(many, dtype=np.uint32)
    np.bitwise_or.at(seen, person, np.left_shift(1, code).astype(np.uint32))
    return np.bincount(code, minlength=WIDTH**2).reshape(WIDTH, WIDTH), seen


def placed(cell: NDArray[np.uint8]) -> Ints:
    """int64[5, 5]: the released cell of each two codes, 17 where an end is absent."""
    out = np.full((WIDTH, WIDTH), APART)
    out[1:, 1:] = cell.reshape(4, 4)
    return out


def persons(seen: NDArray[np.uint32], cells: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(seen & np.uint32(sum(1 << int(c) for c in np.flatnonzero(cells)))))


@given(crowds())
@settings(max_examples=40, deadline=None)
def test_every_released_cell_and_every_difference_stands_for_k_persons_or_nobody(
    crowd: tuple[Ints, NDArray[np.uint32]],
) -> None:
    counts, seen = crowd
    place = placed(pool_cells(counts[1:, 1:], Tally.of(seen), K))
    for released in set(place.ravel().tolist()) - {APART}:
        assert persons(seen, place == released) in (0, *range(K, len(seen) + 1))
    if (place == APART).all():
        return
    for axis, (low, high) in product((0, 1), combinations(range(1, WIDTH + 1), 2)):
        inside = np.isin(np.indices(place.shape)[axis], np.arange(low, high))
        cells = set(place[inside].tolist()) - {REST, APART}
        if not cells or any(not inside[place == cell].all() for cell in cells):
            continue
        # the marginal less the shown cells: what is hidden, and what lacks the other end
        told = persons(seen, inside & ((place == REST) | (place == APART)))
        assert told >= K or not persons(seen, inside & (place == REST))


@given(crowds())
@settings(max_examples=40, deadline=None)
def test_exact_marginals_and_exact_cells_together_fix_no_hidden_count(
    crowd: tuple[Ints, NDArray[np.uint32]],
) -> None:
    """A set of cells is fixed if no two tables agree in all that is told and differ in its sum."""
    counts, seen = crowd
    place = placed(pool_cells(counts[1:, 1:], Tally.of(seen), K))
    if not (place == APART).all():
        assert fixed_sets_of_few(place, counts, seen) == []


@given(crowds(), st.data())
@settings(max_examples=60, deadline=None)
def test_both_checks_find_a_thin_set_where_there_is_one_and_only_there(
    crowd: tuple[Ints, NDArray[np.uint32]], data: st.DataObject
) -> None:
    """Of tables that are pooled anyhow, so that many of them must not be released."""
    counts, seen = crowd
    runs = [np.repeat(np.arange(len(r := data.draw(st.sampled_from(RUNS)))), r) for _ in range(2)]
    cell = np.array([runs[0].searchsorted(a) * 4 + runs[1].searchsorted(b) for a in runs[0] for b in runs[1]])
    hidden = data.draw(st.sets(st.sampled_from(cell.tolist())))
    cell = np.where(np.isin(cell, list(hidden)), REST, cell).astype(np.uint8)
    place = placed(cell)
    thin = fixed_sets_of_few(place, counts, seen)
    assert _Crowd(Tally.of(seen), K).tells_of_few(cell) == bool(thin)
    filled = [int(c) for c in np.unique(cell) if counts[place == c].any()]
    who, one = (seen >> np.arange(WIDTH**2)[:, None] & 1) == 1, np.ones(len(seen), dtype=np.int64)
    least = min((n for _, n in _table_cells(cell, filled, who, one)), default=K)
    assert (least < K) == bool(thin)
    if thin:
        assert least == min(persons(seen, members.reshape(WIDTH, WIDTH)) for members in thin)


def test_a_set_that_two_rows_less_a_column_give_is_found() -> None:
    """Rows 1 and 2, less column 1 without its shown cells, are two cells of 4 persons."""
    who = np.zeros((WIDTH, WIDTH), dtype=int)
    who[1:, 1:] = [[60, 2, 0, 0], [70, 2, 0, 0], [80, 90, 0, 0], [80, 90, 0, 0]]
    cell = np.full((4, 4), REST, dtype=np.uint8)
    cell[2:, 0] = (8, 12)
    seen = np.left_shift(1, np.repeat(np.arange(WIDTH**2), who.ravel())).astype(np.uint32)
    assert not any(0 < who[line].sum() < K for line in (1, 2, 3, 4))
    assert _Crowd(Tally.of(seen), K).tells_of_few(cell.ravel())
    who, one = (seen >> np.arange(WIDTH**2)[:, None] & 1) == 1, np.ones(len(seen), dtype=np.int64)
    told = dict(_table_cells(cell.ravel(), [8, 12, REST], who, one))
    assert min(told.values()) == 4


def fixed_sets_of_few(place: Ints, counts: Ints, seen: NDArray[np.uint32]) -> list[NDArray[np.bool_]]:
    """bool[25], each set of under k persons, some with both ends, that is fixed."""
    told = [np.indices(place.shape)[axis] == code for axis in (0, 1) for code in range(WIDTH)]
    told += [place == released for released in np.unique(place)]
    known = np.array([t.ravel() for t in told], dtype=float)
    nobody = counts.ravel() == 0
    # how far a count of 0 can grow while all that is told stays: not at all where it is told to be 0
    free = [(0, 1) if none else (None, None) for none in nobody]
    grown = linprog(-nobody.astype(float), A_eq=known, b_eq=np.zeros(len(known)), bounds=free).x
    open_ = ~nobody | (grown > 1e-9)
    _, size, basis = np.linalg.svd(known[:, open_])
    direction = np.zeros((WIDTH**2, 25))
    direction[open_, : open_.sum() - (size > 1e-9).sum()] = basis[(size > 1e-9).sum() :].T
    thin = [int(c) for c in np.flatnonzero(open_) if persons(seen, one_cell(c)) < K]
    assume(len(thin) <= 10)
    kinds, many = np.unique(seen, return_counts=True)
    sums, bits = np.zeros((1, 25)), np.zeros(1, dtype=np.uint32)
    for c in thin:
        sums = np.vstack([sums, sums + direction[c]])
        bits = np.concatenate([bits, bits | np.uint32(1 << c)])
    fixed = bits[np.abs(sums).max(axis=1) < 1e-9]
    both = np.uint32(sum(1 << int(c) for c in np.flatnonzero((place.ravel() != APART) & ~nobody)))
    fixed = fixed[(fixed & both) != 0]
    fixed = fixed[((kinds & fixed[:, None]) != 0) @ many < K]
    return [(b >> np.arange(WIDTH**2) & 1) == 1 for b in fixed]


def one_cell(place: int) -> NDArray[np.bool_]:
    return (np.arange(WIDTH**2) == place).reshape(WIDTH, WIDTH)


def test_an_interaction_in_a_thin_table_survives_by_merging() -> None:
    """Most cells alone are too thin; halves are not."""
    rng = np.random.default_rng(1)
    first = rng.integers(1, 5, 400)
    second = np.where(rng.random(400) < 0.3, first, rng.integers(1, 5, 400))
    seen = np.left_shift(1, first * WIDTH + second).astype(np.uint32)
    counts = np.bincount(first * WIDTH + second, minlength=WIDTH**2).reshape(WIDTH, WIDTH)
    shown = set(pool_cells(counts[1:, 1:], Tally.of(seen), K).tolist()) - {REST, APART}
    assert len(shown) >= 3


@dataclass(frozen=True)
class Made:
    """Tables, and the raw rows that they come from."""

    tables: Tables
    grouped: Grouped

    def coarse(self, component: int, label: int) -> NDArray[np.uint8]:
        codes = self.grouped.binned.codes[component, self.grouped.frame.rows_of(label)]
        return coarse_codes(self.tables.scales[component], codes)

    def persons(self, rows: NDArray[np.bool_], label: int) -> int:
        return len(np.unique(self.grouped.frame.unit[self.grouped.frame.rows_of(label)][rows]))


@pytest.fixture(scope="module")
def made(make_world: MakeWorld) -> Made:
    """Of a history in which many nodes lack in a few orders."""
    table = make_world(4, 3_000, 1_000, 900, 320)
    rng = np.random.default_rng(9)
    lacks = (rng.random(table.states.shape) < 0.02) & (table.states == State.PRESENT)
    states = np.where(lacks, np.uint8(State.NOT_DELIVERED), table.states)
    values = np.where(lacks[:, np.array(catalog().component_node)], np.float32(np.nan), table.components)
    table = replace(table, states=states, components=values)
    frame = build_frame(table, admit(table, until=UNTIL, policy=Policy.default()), find_units(table), K)
    grouped = group_rows(frame, K, np.random.default_rng(3))
    return Made(build_tables(grouped, K, np.random.default_rng(4))[0], grouped)


def marginal(tables: Tables, component: int, label: int) -> NDArray[np.float64]:
    """float64[5]: rows with each coarse code of a component, from R3 and R2; code 0 has none."""
    groups, shape = tables.groups, tables.shapes[component]
    node = catalog().component_node[component]
    mine = groups.label == label
    rows = float((groups.rows[mine] * groups.presence[mine, node]).sum())
    coarse = tables.scales[component].coarse[shape.bin] + 1
    return rows * np.bincount(coarse, shape.share[label], WIDTH)


def differences(made: Made, label: int) -> Iterator[tuple[float, int, int]]:
    """Each count that subtraction gives: what it gives, the rows that are there, and their persons."""
    tables = made.tables
    lines: dict[int, list[tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.uint8]]]] = {}
    for p, ends in enumerate(pair_ends().tolist()):
        codes = [made.coarse(end, label) for end in ends]
        place, total = placed(tables.pairs.cell[label, p]), tables.pairs.total[label, p]
        if (place == APART).all():
            continue
        row_cell = place[codes[0], codes[1]]
        for axis in (0, 1):
            alone = marginal(tables, ends[axis], label)
            for low, high in combinations(range(1, WIDTH + 1), 2):
                inside = np.isin(np.indices(place.shape)[axis], np.arange(low, high))
                whole = [c for c in set(place[inside].tolist()) if c < REST and inside[place == c].all()]
                left = np.isin(codes[axis], np.arange(low, high)) & ~np.isin(row_cell, whole)
                given = alone[low:high].sum() - total[whole].sum()
                yield given, int(left.sum()), made.persons(left, label)
        lacking = (codes[0] > 0) != (codes[1] > 0)
        for axis in (0, 1):
            left = lacking & (codes[axis] > 0)
            given = marginal(tables, ends[axis], label).sum() - total[:APART].sum()
            yield given, int(left.sum()), made.persons(left, label)
            lines.setdefault(ends[axis], []).append((total, codes[axis], codes[1 - axis]))
    for tables_of_end in lines.values():
        for (first, own, beside), (second, _, other) in combinations(tables_of_end, 2):
            left = (own > 0) & (beside > 0) & (other == 0)
            if not ((own > 0) & (beside == 0)).any():
                given = first[:APART].sum() - second[:APART].sum()
                yield given, int(left.sum()), made.persons(left, label)


def test_no_difference_of_released_counts_tells_how_many_rows_a_few_persons_have(made: Made) -> None:
    for label in (0, 1):
        error = np.array([told - rows for told, rows, who in differences(made, label) if 0 < who < K])
        assert len(error) > 200
        assert np.abs(error).min() > 1e-4
        assert np.sqrt(np.mean(error**2)) > NOISE_SD
        # what noise of sd 5 alone would do
        assert np.mean(np.abs(error) < 1) < 0.16


def test_the_size_of_a_table_says_nothing_that_the_groups_do_not_say(made: Made) -> None:
    total = made.tables.pairs.total
    told = total[:, :, :APART].sum(axis=2)
    expected = np.where(told > 0, rows_with_both(made.tables.groups), 0.0)
    assert np.allclose(told, expected)
    for label in (0, 1):
        rows = made.tables.groups.rows[made.tables.groups.label == label].sum()
        assert np.allclose(total[label].sum(axis=1), rows)


def test_shares_of_bins_are_no_fractions_of_the_rows_that_have_a_component(made: Made) -> None:
    """Exact fractions would tell their denominator, and so how many rows lack the component."""
    for label in (0, 1):
        for j, (shape, support) in enumerate(
            zip(made.tables.shapes, made.grouped.binned.support, strict=True)
        ):
            codes = made.grouped.binned.codes[j, made.grouped.frame.rows_of(label)]
            rows = np.bincount(codes, minlength=len(support.rows[label]) + 1)[1:]
            exact = rows / max(1, rows.sum())
            told = np.bincount(shape.bin, shape.share[label], len(exact))
            if len(exact) > 1 and support.holders.min() >= K:
                assert not np.allclose(told, exact, atol=1e-9), catalog().components[j]
