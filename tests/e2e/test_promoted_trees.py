"""A promoted model of trees, from the command line to the reports over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.governance.keys import create_key
from riskgraph.settings import Settings
from tests.models.helpers import random_tree_model
from tests.support.cli import riskgraph
from tests.support.promoting import passed_backtest, released

pytest.importorskip("pyarrow", reason="a backtest needs the extra lab")
pytest.importorskip("matplotlib", reason="a backtest needs the extra lab")
ORDER = Path(__file__).parents[1] / "golden/order.json"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    random_tree_model(folder / "model", 3, **released())
    report = passed_backtest(folder / "model", folder / "report", Settings(home=folder / "home"))
    asked = ("model", "promote", folder / "model", "--by", "counsel", "--backtest", report)
    done = riskgraph(*asked, "--enforce", "m-17", "--json", home=folder / "home").json()
    assert (done["name"], done["mode"], done["merchants"]) == ("random-3", "enforce", ["m-17"])
    return folder / "home"


def test_the_list_says_which_kind_serves_and_how(home):
    (row,) = [row for row in riskgraph("model", "list", "--json", home=home).json() if row["champion"]]
    assert (row["name"], row["kind"], row["mode"]) == ("random-3", "gbdt", "enforce")


def test_an_order_is_scored_at_the_command_line_by_what_was_promoted(home):
    shown = riskgraph("score", ORDER, "--json", home=home).json()
    assert (shown["versions"]["model"], shown["degraded"]) == ("random-3", False)


def test_a_promoted_model_of_trees_decides_over_http_with_reports_in_both_languages(home):
    settings = Settings(home=home, deadline_ms=60_000)
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    with bootstrap.open_keys(settings) as store:
        keys = {role: create_key(store, roles=[role], org="m-17") for role in ("checkout", "compliance")}
    headers = {role: {"Authorization": f"Bearer {key}"} for role, key in keys.items()}
    with TestClient(create_app(service)) as client:
        assert client.get("/readyz").json()["problems"] == []
        body = json.loads(ORDER.read_text())
        answer = client.post("/v1/decisions", json=body, headers=headers["checkout"]).json()
        assert (answer["degraded"], answer["versions"]["model"]) == (False, "random-3")
        link = answer["report"]["json"].split("?")[0]
        for lang, exact in (("en", "exact Shapley values of trees"), ("zh", "树模型的精确 Shapley 值")):
            asked = {"audience": "compliance", "law": "both", "lang": lang}
            page = client.get(link, params=asked | {"format": "html"}, headers=headers["compliance"])
            assert exact in page.text
            told = client.get(link, params=asked, headers=headers["compliance"]).json()
            assert told["compliance"]["attribution"]["method_id"] == "trees"
            subject = client.get(link, params=asked | {"audience": "subject"}, headers=headers["compliance"])
            assert [r["code"] for r in subject.json()["reasons"]] == [r["code"] for r in answer["reasons"]]
