from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from riskgraph.chain import orders_of
from riskgraph.core.errors import Invalid
from riskgraph.eval.window import (
    Window,
    choose_labelled,
    choose_simulated,
    gang_codes,
    label_tiers,
    linked_groups,
)
from tests.eval.backtest_toy import KNOWN_AT, WINDOW, Toy


def test_both_ends_of_a_window_are_inside():
    window = Window.parse("2026-07-01", "2026-07-02")
    first = datetime(2026, 7, 1, tzinfo=UTC)
    moments = [first - timedelta(microseconds=1), first, first + timedelta(days=2, microseconds=-1)]
    moments.append(first + timedelta(days=2))
    placed = np.array([round(m.timestamp() * 1e6) for m in moments], dtype=np.int64)
    assert window.mask(placed).tolist() == [False, True, True, False]


@pytest.mark.parametrize(("start", "end"), [("2026-07-02", "2026-07-01"), ("July", "2026-07-01")])
def test_a_window_that_ends_before_it_starts_or_is_no_date_is_refused(start, end):
    with pytest.raises(Invalid):
        Window.parse(start, end)


def test_truth_is_joined_by_order_id_and_not_by_place(toy: Toy):
    chosen = choose_simulated(toy.table, toy.truth, WINDOW, KNOWN_AT)
    fraud = dict(zip(toy.truth.order_id, toy.truth.is_fraud, strict=True))
    assert chosen.is_fraud.tolist() == [fraud[i] for i in chosen.table.order_id]
    assert chosen.rows["used"] == len(chosen.table)


def test_orders_that_the_oracle_does_not_know_are_left_out_and_counted(toy: Toy):
    known = toy.truth.order_id != toy.table.order_id[WINDOW.mask(toy.table.placed_at)][0]
    truth = replace(toy.truth, **{k: getattr(toy.truth, k)[known] for k in vars(toy.truth)})
    chosen = choose_simulated(toy.table, truth, WINDOW, KNOWN_AT)
    assert {"reason": "not in the oracle", "count": 1} in chosen.rows["excluded"]
    assert chosen.rows["used"] == chosen.rows["in_window"] - 1


def test_every_order_is_used_or_left_out_for_exactly_one_reason(toy: Toy):
    for chosen in (
        choose_simulated(toy.table, toy.truth, WINDOW, KNOWN_AT),
        choose_labelled(toy.table, WINDOW, KNOWN_AT),
    ):
        left_out = sum(e["count"] for e in chosen.rows["excluded"])
        assert chosen.rows["used"] + left_out == chosen.rows["in_table"] == len(toy.table)


def test_orders_of_another_merchant_do_not_count_and_are_history_all_the_same(toy: Toy):
    counted = np.arange(len(toy.table)) % 2 == 0
    labelled = choose_labelled(toy.table, WINDOW, KNOWN_AT, counted)
    everyone = choose_labelled(toy.table, WINDOW, KNOWN_AT)
    among = np.isin(everyone.table.order_id, toy.table.order_id[counted])
    assert 0 < len(labelled.table) < len(everyone.table)
    assert labelled.table.order_id.tolist() == everyone.table.order_id[among].tolist()
    # Gangs and persons are those of all orders: what links two may lie at another merchant.
    assert labelled.gang.tolist() == everyone.gang[among].tolist()
    assert labelled.seen_before.tolist() == everyone.seen_before[among].tolist()
    assert labelled.persons is not None
    assert everyone.persons is not None
    assert labelled.persons.person.tolist() == everyone.persons.person[among].tolist()
    simulated = choose_simulated(toy.table, toy.truth, WINDOW, KNOWN_AT, counted)
    assert set(simulated.table.order_id) <= set(toy.table.order_id[counted])
    for chosen in (labelled, simulated):
        assert chosen.rows["excluded"][0]["reason"] == "outside the window or of another merchant"
        left_out = sum(e["count"] for e in chosen.rows["excluded"])
        assert chosen.rows["used"] + left_out == chosen.rows["in_table"] == len(toy.table)


def test_the_orders_of_a_merchant_are_found_across_the_files_of_a_world():
    pa = pytest.importorskip("pyarrow")

    def part(*merchants: str) -> Any:
        at = pa.array([datetime(2026, 7, 1, tzinfo=UTC)] * len(merchants), pa.timestamp("us", "UTC"))
        return pa.table({"merchant_id": pa.array(merchants), "placed_at": at})

    world = SimpleNamespace(parts=lambda columns: iter([part("a", "b"), part("b"), part("c", "a", "b")]))
    window = Window(date(2026, 7, 1), date(2026, 7, 1))
    assert orders_of(world, "b", window).tolist() == [False, True, True, False, False, True]
    with pytest.raises(Invalid, match="known: a, b, c"):
        orders_of(world, "d", window)


def test_a_merchants_young_orders_and_unlabelled_orders_do_not_count(toy: Toy):
    chosen = choose_labelled(toy.table, WINDOW, KNOWN_AT)
    youngest = KNOWN_AT.timestamp() * 1e6 - chosen.table.placed_at.max()
    assert youngest >= timedelta(days=60).total_seconds() * 1e6
    assert (chosen.table.label >= 0).all()
    assert chosen.is_fraud.tolist() == (chosen.table.label == 1).tolist()
    assert not chosen.from_oracle


def test_gangs_are_known_before_when_they_placed_an_order_before_the_window(toy: Toy):
    chosen = choose_simulated(toy.table, toy.truth, WINDOW, KNOWN_AT)
    gang = dict(zip(toy.truth.order_id, toy.truth.gang_id, strict=True))
    early = {gang[i] for i in toy.table.order_id[toy.table.placed_at < WINDOW.start_us]} - {""}
    expected = [gang[i] in early for i in chosen.table.order_id]
    assert chosen.seen_before.tolist() == expected
    assert any(expected)


def test_no_gang_is_written_as_minus_one_whatever_the_type():
    assert gang_codes(np.array([4, -1, 4, 2])).tolist() == [2, -1, 2, 1]
    codes = gang_codes(np.array(["g1", "", None, "g1"], dtype=object))
    assert codes[1] == codes[2] == -1
    assert codes[0] == codes[3] >= 0


def test_orders_are_linked_over_a_chain_of_shared_entities(toy: Toy):
    few = toy.table.take(np.arange(5))
    none = np.full(5, -1, dtype=np.int64)
    linked = replace(
        few,
        account=np.array([1, 1, 2, 3, 4]),
        device=np.array([-1, 9, 9, -1, -1]),
        card=np.array([-1, -1, 5, 5, -1]),
        address=none,
    )
    groups = linked_groups(linked)
    assert len(set(groups[:4].tolist())) == 1
    assert groups[4] != groups[0]


def test_label_tiers_follow_the_age_at_the_cut_off(toy: Toy):
    ages = np.array([10.0, 29.9, 30.1, 59.9, 60.1])
    rows = toy.table.take(np.arange(5))
    placed = (KNOWN_AT.timestamp() * 1e6 - ages * 86_400e6).astype(np.int64)
    labels = np.array([1, -1, -1, 0, 1], dtype=np.int8)
    tiers = label_tiers(replace(rows, placed_at=placed, label=labels), KNOWN_AT, np.ones(5, dtype=bool))
    assert {t["tier"]: t["orders"] for t in tiers} == {"mature": 1, "maturing": 2, "immature": 2}
    immature = next(t for t in tiers if t["tier"] == "immature")
    assert (immature["labelled_fraud"], immature["unlabelled"], immature["true_fraud"]) == (1, 1, 2)


def test_two_rows_of_one_order_in_the_oracle_are_refused(toy: Toy):
    doubled = replace(toy.truth, order_id=np.full(len(toy.table), "o-1", dtype=object))
    with pytest.raises(Invalid, match="not unique"):
        choose_simulated(toy.table, doubled, Window(date(2026, 7, 1), date(2026, 7, 2)), KNOWN_AT)
