"""The seed's case in three forms: the default demo's own order, service and reports."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from riskgraph import bootstrap
from riskgraph.settings import Settings
from tests.support.once import made_once

pytest.importorskip("pyarrow", reason="the demo needs the extra lab")

from riskgraph import chain
from riskgraph.commands.demo import SEED
from riskgraph.commands.demo_steps import Demo, get_report, running_service, show_case, step_decisions

PAIR = {"B110", "B085"}
CODE = "far_address_location_unconfirmed"
# The clear case is among the first of them.
SENT = 8_800
FORMS = ("far_unconfirmed", "far_refused", "near_confirmed")


def _make(folder: Path) -> None:
    """The demo past the seed's case, which is sent in its turn; a slow machine degrades nothing."""
    said = io.StringIO()
    settings = replace(bootstrap.simulated_settings(folder / "home"), deadline_ms=60_000)
    show = Demo(folder, settings, Console(file=said, width=200), lambda *_: None)
    chain.simulate("demo", seed=SEED, orders=None, out=folder / "world", progress=show.progress)
    with running_service(show) as shop:
        answers, _ = step_decisions(show, replace(shop, requests=shop.requests[:SENT]))
        with shop.client() as client:
            for name, answer in answers.items():
                read = [get_report(client, answer, who, "en", "json") for who in ("subject", "compliance")]
                told = {"answer": answer, "subject": json.loads(read[0]), "compliance": json.loads(read[1])}
                (folder / f"{name}.json").write_text(json.dumps(told), "utf-8")
    (folder / "result.json").write_text(json.dumps({**show.result, "said": said.getvalue()}), "utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "seed-case", _make)


def told(folder: Path, form: str) -> dict[str, Any]:
    """``answer``, and the reports for ``subject`` and ``compliance``."""
    found: dict[str, Any] = json.loads((folder / f"{form}.json").read_text("utf-8"))
    return found


def pair_term(compliance: dict[str, Any]) -> float:
    """The pair's exact term on the logit; 0 where it took no part."""
    pairs = compliance["attribution"]["pair_phi"]
    return sum(row["g"] for row in pairs if set(row["nodes"]) == PAIR)


def of_node(compliance: dict[str, Any], node: str) -> dict[str, Any]:
    (row,) = (row for row in compliance["nodes"] if row["node"] == node)
    return row


def test_the_default_demo_holds_the_clear_case_and_says_so(folder):
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert result["seed_case_holds"] is True
    assert "names the pair" in result["said"]
    assert "no clear case" not in result["said"]
    assert set(result["seed_case"]) == set(FORMS)


@pytest.mark.parametrize(
    ("far", "near", "code", "nodes", "told"),
    [
        ("accept", "accept", CODE, ["B110", "B085"], "does not name the pair"),
        ("review", "accept", "B001", ["B001"], "does not name the pair"),
        ("review", "accept", CODE, ["B110", "B085", "B100"], "does not name the pair"),
        ("review", "review", CODE, ["B110", "B085"], "names the pair"),
    ],
)
def test_the_demo_says_when_its_case_is_not_clear(far, near, code, nodes, told):
    said = io.StringIO()
    show = Demo(Path(), Settings(), Console(file=said, width=200), lambda *_: None)
    verdicts = dict(zip(FORMS, (far, "accept", near), strict=True))
    reasons = [{"code": code, "nodes": nodes, "band": "slight"}]
    answers = {
        form: {"trace_id": "o-1.own_web.x", "verdict": v, "score": 0.1, "reasons": reasons}
        for form, v in verdicts.items()
    }
    show_case(show, answers)
    assert "no clear case" in said.getvalue()
    assert told in said.getvalue()


def test_far_from_home_without_a_position_is_stopped_and_the_pair_is_named(folder):
    case = told(folder, "far_unconfirmed")
    assert case["answer"]["verdict"] in ("review", "reject")
    (reason,) = (r for r in case["answer"]["reasons"] if r["code"] == CODE)
    assert (set(reason["nodes"]), reason["direction"]) == (PAIR, "risk")
    assert CODE in [r["code"] for r in case["subject"]["reasons"]]
    states = {node: of_node(case["compliance"]["compliance"], node) for node in PAIR}
    assert states["B110"]["value"].endswith(("[km200]", "[km1000]"))
    assert states["B085"]["value"].endswith("[unavailable]")
    assert pair_term(case["compliance"]["compliance"]) > 0


def test_a_refused_position_silences_the_pair_and_counts_for_nothing(folder):
    case = told(folder, "far_refused")
    assert CODE not in [r["code"] for r in case["answer"]["reasons"]]
    compliance = case["compliance"]["compliance"]
    assert pair_term(compliance) == 0
    position = of_node(compliance, "B085")
    assert (position["state"], position["phi"], position["own"]) == ("refused", 0, 0)
    assert of_node(compliance, "B110")["value"].endswith(("[km200]", "[km1000]"))
    gate = case["compliance"]["consent_gate"]
    assert (gate["contribution_of_refused"], gate["flipped"]) == (0, False)
    stated = case["subject"]["consent_gate"]
    assert stated["refused_purposes"] == ["location"]
    assert "The refusal counted for nothing" in stated["statement"]


def test_a_refusal_is_never_worse_than_a_position_that_failed(folder):
    far, refused = (told(folder, form)["answer"]["score"] for form in FORMS[:2])
    assert refused < far


def test_the_same_order_to_the_usual_address_is_accepted(folder):
    case = told(folder, "near_confirmed")
    assert case["answer"]["verdict"] == "accept"
    compliance = case["compliance"]["compliance"]
    assert of_node(compliance, "B110")["value"].endswith("[km0]")
    assert of_node(compliance, "B085")["value"].endswith("[granted]")


@pytest.mark.parametrize("form", FORMS)
def test_the_contributions_add_up_to_the_score(folder, form):
    case = told(folder, form)
    assert not case["answer"]["degraded"]
    compliance = case["compliance"]["compliance"]
    exact = compliance["attribution"]
    total = exact["base_value"] + sum(row["phi"] for row in compliance["nodes"])
    assert total == pytest.approx(exact["value"], abs=1e-6)
    halves = exact["base_value"] + sum(row["own"] for row in compliance["nodes"])
    halves += sum(row["g"] for row in exact["pair_phi"])
    assert halves == pytest.approx(exact["value"], abs=1e-6)
