"""The offline chain on a shop's own history, which our simulator has not written."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from riskgraph import bootstrap
from tests.support.cli import riskgraph
from tests.support.history import HONEST, THIEVES, write_history
from tests.support.once import made_once

TORCH = importlib.util.find_spec("torch") is not None
KINDS = ("gbdt", "order2") if TORCH else ("gbdt",)
TEST = ("--from", "2026-08-20", "--to", "2026-09-20")
UNTIL = "2026-08-15"

pytest.importorskip("pyarrow", reason="the offline chain needs the extra lab")


def _make(folder: Path) -> None:
    def run(name: str, *arguments: object) -> None:
        ran = riskgraph(*arguments, "--json", home=folder / "home")
        assert ran.code == 0, ran.err
        (folder / f"{name}.json").write_bytes(ran.out)

    # its door key is not drawn, so that which neighbours' addresses look alike is the same in every run
    bootstrap.simulated_settings(folder / "home")
    write_history(folder / "bodies")
    world, release = folder / "world", folder / "release"
    run("import", "world", "import", folder / "bodies", "--out", world)
    run("replay", "world", "replay", world)
    run("release", "sandbox", "release", "--world", world, "--until", UNTIL, "--k", 50, "--out", release)
    for kind in KINDS:
        run(kind, "train", "--release", release, "--kind", kind, "--out", folder / f"model-{kind}")
    run("backtest", "backtest", "--world", world, *TEST, "--out", folder / "report")
    for kind in KINDS:
        model, report = folder / f"model-{kind}", folder / f"report-{kind}"
        run(f"own-{kind}", "backtest", "--world", world, "--model", model, *TEST, "--out", report)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "merchant-chain", _make)


def printed(shop: Path, name: str) -> Any:
    return json.loads((shop / f"{name}.json").read_text("utf-8"))


def test_the_imported_world_is_the_merchants_and_complete(shop):
    world = printed(shop, "import")
    assert world["provenance"] == "merchant"
    assert world["orders"] == 2 * (HONEST + THIEVES)
    assert world["outcomes"] == 2 * (2 * HONEST + 3 * THIEVES)


def test_the_replay_computes_nodes_that_nobody_delivered(shop):
    parquet = pytest.importorskip("pyarrow.parquet")
    (path,) = Path(printed(shop, "replay")["derived"]).glob("orders-*.parquet")
    table = parquet.read_table(path)
    assert table.num_rows == 2 * (HONEST + THIEVES)
    filled = [name for name in table.column_names if table[name].null_count < table.num_rows]
    assert len(filled) > 20


def test_the_release_counts_persons_and_says_whose_orders_they_are(shop):
    made = printed(shop, "release")
    assert made["provenance"] == "merchant"
    assert made["certificate"]["independent"]["min_units"] >= 50
    fraud = next(row for row in made["units"] if row["label"] == 1)
    assert 100 <= fraud["units"] < THIEVES


def test_no_identifier_of_the_shop_leaves_the_sandbox(shop):
    for path in (shop / "release").iterdir():
        data = path.read_bytes()
        for word in ("浙江省", "u-17", "tok-17", "+86138", "198.51.", "H-17"):
            assert word.encode() not in data, (path.name, word)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_the_merchants_release_is_the_merchants(shop, kind):
    card = printed(shop, kind)
    assert (card["kind"], card["provenance"]) == (kind, "merchant")
    assert card["releases"][0]["release_id"] == printed(shop, "release")["release_id"]
    assert card["metrics"]["auroc"] > 0.8


def test_a_backtest_on_labels_works_without_an_oracle(shop):
    result = printed(shop, "backtest")
    assert result["provenance"] == "merchant"
    assert not (shop / "report/scores.parquet").exists()
    verified = riskgraph("backtest", "verify", shop / "report", "--json", home=shop / "home")
    assert verified.json() == {"problems": []}


@pytest.mark.parametrize("kind", KINDS)
def test_of_eighty_frauds_a_backtest_tells_no_curve_and_says_so(shop, kind):
    figures = {row["name"]: row for row in printed(shop, f"own-{kind}")["figures"]}
    assert figures["auc"]["value"] is None
    assert figures["auc"]["withheld"] == "fewer than 50 persons"
    report = json.loads((shop / f"report-{kind}/report.json").read_bytes())
    assert report["metrics"]["fraud"] == 80
    assert any("longer window" in note for note in report["cells"]["notes"])


@pytest.mark.parametrize("kind", KINDS)
def test_so_few_honest_orders_cannot_pass_for_promotion(shop, kind):
    """A few hundred orders without a false positive do not show a rate below 0.38 %."""
    asked = ("--by", "counsel", "--backtest", shop / f"report-{kind}", "--enforce", "m-1")
    refused = riskgraph("model", "promote", shop / f"model-{kind}", *asked, home=shop / "home")
    assert refused.code == 3
    assert "false-positive rate at reject may be" in refused.error
    assert "at most 0.38 % is asked" in refused.error


def test_trees_that_were_trained_on_a_release_decide_on_an_order_with_reasons(shop, tmp_path):
    order = Path(__file__).parents[1] / "golden/order.json"
    shown = riskgraph("score", order, "--model", shop / "model-gbdt", "--json", home=tmp_path).json()
    assert (shown["degraded"], shown["versions"]["model"]) == (False, printed(shop, "gbdt")["name"])
    assert shown["reasons"]
