"""Tables of models for people: every line has one cell a model, and no slice is put into another's line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from riskgraph.eval.model_page import write_tables
from riskgraph.eval.model_table import Contest, ModelTable, judge, model_table
from riskgraph.eval.window import Truth, Window
from tests.eval.backtest_toy import ToyScorer, make_toy

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def table() -> ModelTable:
    """Two contests; all gangs are camouflaged so alike that steps read the same in two digits."""
    toy = make_toy(orders=8_000)
    early, late = (
        Window.parse(*days) for days in (("2026-05-01", "2026-07-31"), ("2026-08-01", "2026-10-31"))
    )
    close = np.where(toy.truth.is_fraud, 0.5 + toy.truth.camouflage / 1e3, np.nan)
    names = ("order_id", "is_fraud", "gang_id", "archetype", "honest_type")
    truth = Truth(**{name: getattr(toy.truth, name) for name in names}, camouflage=close)
    scorers = {"mine": ToyScorer(), "poor": ToyScorer(noise=6.0)}
    parts = [
        Contest(toy.table, truth, early, late, {kind}, reps=50) for kind in ("card_testing", "proxy_buying")
    ]
    return model_table(*(judge(scorers, part) for part in parts))


def lines(text: str, title: str) -> list[list[str]]:
    """Cells of the lines below a title."""
    rows = text.split(f"### {title}\n")[1].split("###")[0].strip().splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.fixture(scope="module")
def text(table: ModelTable, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("tables")
    write_tables(out, {"where": "simulated, a toy"}, {"all": table}, "mine")
    body = json.loads((out / "models.json").read_text())
    assert set(body["tables"]["all"]) == {"mine", "poor"}
    assert set(body["recall_for_new_minus_champion"]["all"]) == {"poor"}
    assert (out / "camouflage.svg").is_file()
    return (out / "models.md").read_text()


def test_every_line_has_as_many_cells_as_its_head(text: str) -> None:
    titles = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    assert len(titles) == 7
    for title in titles:
        assert len({len(row) for row in lines(text, title)}) == 1


def test_steps_that_read_the_same_are_lines_of_their_own(text: str, table: ModelTable) -> None:
    steps = table.rows["mine"].figures["camouflage"]
    rows = lines(text, "Recall of reject or review against camouflage")[2:]
    assert len(rows) == len(steps) > 1
    assert {row[0] for row in rows} == {"from 0.50"}


def test_a_kind_stands_once_where_it_was_left_out_and_once_where_it_was_not(text: str) -> None:
    names = [row[0] for row in lines(text, "Recall by kind of fraud")[2:]]
    assert names == [
        "card testing, left out of training", "card testing",
        "proxy buying, left out of training", "proxy buying",
    ]  # fmt: skip


def test_the_page_says_that_it_is_simulated_and_whose_verdicts_have_gates(text: str) -> None:
    head = text.split("##")[0] + text.split("\n\n")[1]
    assert "simulated, a toy" in head
    assert "of mine are those of the service, gates included" in head
