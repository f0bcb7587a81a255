"""What a release costs, wired with the project's own fitters."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from riskgraph import cost
from riskgraph.commands.sandbox_cost import show_cost
from riskgraph.core.table import OrderTable
from riskgraph.eval.window import Truth
from riskgraph.sandbox import Policy
from riskgraph.sandbox.published import least, told
from riskgraph.sandbox.utility import Cell, Cost, CostRequest, Judged, Loss, measure_cost
from tests.sandbox.conftest import UNTIL, build_world
from tests.sandbox.test_utility import two_times
from tests.support.cli import riskgraph


def _cell(model: str, kind: str, unseen: bool, auc: float, recall: float) -> Cell:
    losses = (Loss(0.9, 0.9 - x, x, x - 0.01, x + 0.01) for x in (auc, recall))
    return Cell(model, kind, unseen, 80, 60, *losses)


COST = Cost(
    {
        f"{w}_{c}_{n}": 100
        for w in ("train", "test")
        for c in ("fraud", "honest")
        for n in ("orders", "units")
    },
    (
        _cell("trees", "all", False, 0.01, 0.02),
        _cell("network", "all", False, 0.001, 0.03),
        _cell("network", "farm", False, 0.001, 0.05),
        _cell("network", "all", True, 0.002, 0.01),
        _cell("network", "takeover", True, 0.002, 0.07),
    ),
)


def test_figures_take_the_larger_of_known_and_unseen_kinds() -> None:
    found = cost.figures(COST)
    assert found["auc_loss_trees"] == 0.01
    assert found["auc_loss_network"] == 0.002
    assert found["recall_loss_network"] == 0.03
    assert set(cost.ASKS) <= set(found)
    held = {"auc_loss_trees": False, "auc_loss_network": True, "recall_loss_network": False}
    assert cost.held(found) == held


def test_the_worst_kind_is_named_and_whether_it_was_seen() -> None:
    assert cost.worst(COST, "network")["kind"] == "takeover"
    assert cost.worst(COST, "network")["unseen"] is True
    assert cost.worst(COST, "trees") == {}


@given(st.data(), st.integers(50, 3000), st.integers(1, 5), st.integers(50, 300))
def test_a_recorded_recall_fits_each_number_of_orders_that_the_told_one_leaves_open(
    data: st.DataObject, orders: int, seeds: int, k: int
) -> None:
    found = [data.draw(st.integers(0, orders * seeds)) / (orders * seeds) for _ in range(2)]
    cell = _cell("network", "all", False, 0.0, 0.0)
    loss = Loss(*found, found[0] - found[1], found[0] - found[1] - 0.02, found[0] - found[1] + 0.02)
    recall = cost.on_record({**asdict(cell), "orders": orders, "recall": asdict(loss)}, k)["recall"]
    fewest = max(least(told(orders, k)), 50)
    for name, exact in zip(("raw", "release"), found, strict=True):
        assert abs(recall[name] - exact) <= 0.5 / fewest + 1e-5
        for n in range(fewest, max(fewest, orders) + k):
            assert abs(round(recall[name] * n) / n - recall[name]) <= 0.5 / fewest + 1e-5
        steps = recall[name] * fewest
        assert steps == pytest.approx(round(steps), abs=1e-5 * fewest)
    assert recall["loss"] == pytest.approx(recall["raw"] - recall["release"], abs=2e-5)
    assert recall["lower"] <= recall["loss"] <= recall["upper"]
    assert recall["lower"] - 1e-5 <= loss.lower
    assert loss.upper <= recall["upper"] + 1e-5


def test_truth_is_joined_by_order_and_what_it_does_not_know_is_not_judged() -> None:
    table = build_world(1, honest=30, fraud=10, honest_people=10, fraud_people=5)
    names = table.order_id[::-1][:35]
    fraud, kind = np.arange(35) % 2 == 0, np.array(["farm"] * 35, dtype=object)
    none, nan = np.full(35, None, dtype=object), np.full(35, np.nan)
    judged = cost.by_truth(table, Truth(names, fraud, none, kind, nan, none))
    assert judged.label[::-1][:35].tolist() == fraud.astype(int).tolist()
    assert (judged.label[:5] == -1).all()


def _result(found: Cost) -> dict[str, Any]:
    return {
        "provenance": "simulated",
        "judged_by": "truth",
        "figures": cost.figures(found),
        "asks": cost.ASKS,
        "held": cost.held(cost.figures(found)),
        "models": list(cost.FITTERS),
        "worst": {model: cost.worst(found, model) for model in cost.FITTERS},
        **found.to_json(),
    }


def test_the_page_names_each_figure_and_whether_the_ask_holds() -> None:
    console = Console(width=80, file=io.StringIO())
    show_cost(console, json.loads(json.dumps(_result(COST))))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "auc_loss_network 0.0020, asked at most 0.002: holds" in text
    assert "recall_loss_network 0.0300, asked at most 0.02: DOES NOT HOLD" in text
    assert "takeover, unseen" in text
    assert "…" not in text


@pytest.mark.parametrize(("trees", "code"), [(0.01, 3), (0.005, 0)])
def test_an_ask_that_is_missed_ends_with_three_after_everything_is_told(
    trees: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Cost(
        COST.counts, (_cell("trees", "all", False, trees, 0.02), _cell("network", "all", False, 0.0, 0.0))
    )
    monkeypatch.setattr(cost, "measure", lambda *_: _result(found))
    out = tmp_path / "cost.json"
    asked = ("sandbox", "cost", "--world", tmp_path, "--until", "2026-06-30", "--out", out, "--json")
    ran = riskgraph(*asked, home=tmp_path / "home")
    assert ran.code == code, ran.err
    told = json.loads(ran.out)
    assert told == json.loads(out.read_text()) == _result(found)
    assert told["held"]["auc_loss_trees"] is (code == 0)
    assert ("auc_loss_trees 0.01, at most 0.005" in ran.err) is (code == 3)


def test_the_record_of_a_run_rounds_what_the_run_tells_exactly(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "measure_cost", lambda *_, **__: COST)
    home = tmp_path / "home"
    ran = riskgraph("sandbox", "cost", "--world", tiny_world, "--until", "2026-06-30", "--json", home=home)
    assert ran.code == 3, ran.err
    told = json.loads(ran.out)
    record = riskgraph("sandbox", "audit", "--json", home=home).json()[-1]
    assert (told["cells"][0]["orders"], record["utility"][0]["fraud_orders"]) == (80, 50)
    assert told["cells"][0]["recall"]["release"] == 0.9 - 0.02
    assert record["utility"][0]["recall_at_fpr"]["release"] == 44 / 50
    assert record["utility"][0]["recall_at_fpr"]["loss"] == 1 / 50
    assert "80" not in json.dumps(record["utility"])
    assert "counts" not in json.dumps(record)


@pytest.mark.slow
def test_trees_and_network_fit_in_the_locked_process() -> None:
    early = build_world(3, honest=2400, fraud=700, honest_people=900, fraud_people=240)
    late = build_world(4, honest=1200, fraud=500, honest_people=500, fraud_people=200)
    table: OrderTable = two_times(early, late)
    judged = Judged(table.label, np.full(len(table), "fraud", dtype=object))
    request = CostRequest(UNTIL, seeds=1, folds=0, reps=20)
    found = measure_cost(table, judged, cost.FITTERS, request, None, cost.LIBRARIES, policy=Policy.default())
    for model in cost.FITTERS:
        cell = found.cell(model)
        assert cell is not None
        assert min(cell.auc.raw, cell.auc.release) > 0.7
