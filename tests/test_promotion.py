"""Promotions: what they ask for, what they sign, and that they survive a kill at any point."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph import bootstrap, promotion
from riskgraph.core.errors import CheckFailed, Invalid, ModelUnavailable
from riskgraph.eval.backtest import Origin
from riskgraph.models import load_model, registry
from riskgraph.models.card import read_card
from riskgraph.models.compiled import write_card
from riskgraph.models.parity import PARITY_FILE, read_parity, write_parity
from riskgraph.reports import ModelOrigins
from tests.eval.backtest_toy import KNOWN_AT, bands, make_toy
from tests.models.helpers import random_tree_model
from tests.support.promoting import RELEASE, Case, passed_backtest, released

pytest.importorskip("pyarrow", reason="a backtest needs the extra lab")
pytest.importorskip("matplotlib", reason="a backtest needs the extra lab")
KILLED = """
import functools, os, shutil, signal, sys
from pathlib import Path
from riskgraph import promotion
from riskgraph.models import registry
from riskgraph.settings import Settings

def die(source, target):
    if moment == "copy":
        shutil.copy2(source, target)
    os.kill(os.getpid(), signal.SIGKILL)

moment, *folders = sys.argv[1:]
model, report, home = map(Path, folders)
if moment == "copy":
    registry.shutil.copytree = functools.partial(shutil.copytree, copy_function=die)
else:
    registry.settle = die
promotion.promote(model, "me", [report], (), Settings(home=home))
"""


def test_a_promoted_model_observes_until_it_is_promoted_to_enforce(case: Case) -> None:
    assert case.promote()["mode"] == "observe"
    assert case.modes("m-17") == ["observe"]
    entry = case.promote("m-17")
    assert (entry["mode"], entry["merchants"], entry["by"]) == ("enforce", ("m-17",), "counsel")
    assert case.modes("m-17") == ["enforce"]


def test_a_model_enforces_for_the_merchants_that_were_named_and_no_other(case: Case) -> None:
    case.promote("m-17", "m-18", reports=[case.report, case.report_of("m-18")])
    assert case.modes("m-17", "m-18", "m-99") == ["enforce", "enforce", "observe"]


def test_what_was_measured_on_several_merchants_together_lets_nobody_enforce(case: Case) -> None:
    both = case.report_of("m-17", "m-18")
    with pytest.raises(CheckFailed, match=r"no backtest is of m-17 alone .*; no backtest is of m-18 alone"):
        case.promote("m-17", "m-18", reports=[both])
    assert case.promote(reports=[both])["mode"] == "observe"


def test_what_is_on_file_beside_a_model_goes_with_it_and_its_reports_name_who_promoted_it(case: Case) -> None:
    card, tree = read_card(case.model), bootstrap.load_tree(case.settings).sha256
    rates = {"granted": [0.01, 0.0, 0.02], "refused": [0.0, 0.0, 0.02], "ratio": None}
    phases = {"pre_auth": {"honest": 100, "rejected": rates, "reviewed": rates}}
    about = {"model_sha256": card.digest, "tree_sha256": tree, "provenance": "simulated"}
    write_parity(
        case.model, {**about, "measured": "2026-11-27", "world": "world-2", "seed": 1, "phases": phases}
    )
    case.promote()
    assert read_parity(case.folder, card.digest, tree)["pre_auth"]["honest"] == 100
    origins = ModelOrigins(
        bootstrap.models_folder(case.settings), None, lambda: bootstrap.open_verifier(case.settings)
    )
    facts = origins.facts(card.digest)
    assert facts is not None
    assert facts["name"] == card.name
    assert [(entry["by"], entry["mode"]) for entry in origins.approvals(card.digest)] == [
        ("counsel", "observe")
    ]
    assert origins.facts("f" * 64) is None
    assert origins.approvals("f" * 64) == ()


def test_what_was_measured_after_a_promotion_goes_with_the_next(case: Case) -> None:
    case.promote()
    (case.folder / PARITY_FILE).write_text("older")
    case.promote()
    assert (case.folder / PARITY_FILE).read_text() == "older"
    (case.model / PARITY_FILE).write_text("newer")
    case.promote()
    assert (case.folder / PARITY_FILE).read_text() == "newer"
    (case.folder / PARITY_FILE).write_text("newest")
    case.promote(model=case.folder)
    assert (case.folder / PARITY_FILE).read_text() == "newest"


def test_a_damaged_copy_stands_in_the_way_and_it_is_said_what_to_do(case: Case) -> None:
    case.promote()
    (case.folder / "trees.npz").write_bytes(b"")
    with pytest.raises(
        ModelUnavailable, match=rf"trees\.npz: truncated .*; remove {case.folder} and promote again"
    ):
        case.promote()
    shutil.rmtree(case.folder)
    case.promote()
    assert bootstrap.serving_folder(case.settings)[0] == case.folder


def test_of_several_backtests_each_must_be_passed(case: Case) -> None:
    unfit(case)
    with pytest.raises(CheckFailed, match=r"of another model \(random-5\) \[report\]"):
        case.promote("m-18", reports=[case.report, case.report_of("m-18")])
    assert case.champion() is None


def test_a_promotion_without_a_backtest_is_refused(case: Case) -> None:
    with pytest.raises(Invalid, match="--backtest must name"):
        case.promote(reports=[])


def test_what_is_signed_names_model_reports_tree_mode_merchants_person_and_time(case: Case) -> None:
    entry = case.promote("m-17")
    told = json.loads(case.pointer.read_text())
    assert told["champions"] == [json.loads(json.dumps(entry))]
    assert (entry["model_sha256"], entry["tree_sha256"]) == (
        load_model(case.model).card.digest, bootstrap.load_tree(case.settings).sha256,
    )  # fmt: skip
    digest = hashlib.sha256((case.report / "report.json").read_bytes()).hexdigest()
    assert (entry["reports_sha256"], entry["merchants"], entry["by"]) == ((digest,), ("m-17",), "counsel")
    assert told["key_id"] == bootstrap.open_signer(case.settings).key_id


def test_going_back_brings_back_whom_the_earlier_promotion_was_for(case: Case) -> None:
    case.promote("m-17")
    case.promote("m-18", reports=[case.report_of("m-18")])
    promotion.rollback("counsel", case.settings)
    assert case.modes("m-17", "m-18") == ["enforce", "observe"]


def test_there_is_no_going_back_to_a_model_that_was_replaced(case: Case) -> None:
    case.promote("m-17")
    before = case.folder
    random_tree_model(case.model, 7, **released())
    shutil.rmtree(case.report)
    case.promote("m-18", reports=[case.report_of("m-18")])
    random_tree_model(before, 4, **released())
    with pytest.raises(ModelUnavailable, match="another model was promoted"):
        promotion.rollback("counsel", case.settings)
    assert case.modes("m-17", "m-18") == ["observe", "enforce"]


@pytest.mark.parametrize("merchants", [("",), ("m-17", " m-18"), ("m-17\n",), ("a|b",)])
def test_a_merchant_id_that_cannot_be_meant_is_refused(case: Case, merchants: tuple[str, ...]) -> None:
    with pytest.raises(Invalid, match="--enforce must be a merchant_id"):
        case.promote(*merchants)
    assert case.champion() is None


def test_a_promotion_says_who(case: Case) -> None:
    with pytest.raises(Invalid, match="--by must say who"):
        promotion.promote(case.model, " ", [case.report], (), case.settings)
    with pytest.raises(Invalid, match="--by must say who"):
        promotion.rollback("", case.settings)


@pytest.mark.parametrize("name", ["../../outside/x", "/x", "..", ".x", "", "a b", "x\0"])
def test_a_name_that_leads_out_of_the_models_folder_is_refused(case: Case, name: str) -> None:
    write_card(case.model, replace(read_card(case.model), name=name))
    shutil.rmtree(case.report)
    passed_backtest(case.model, case.report, case.settings)
    before = set(case.model.parent.rglob("*"))
    with pytest.raises(CheckFailed, match="cannot be that of a folder"):
        case.promote()
    assert set(case.model.parent.rglob("*")) == before


def unfit(case: Case, **card: Any) -> Path:
    """Another model, and its own backtest in the place of the case's."""
    other = case.model.with_name("other")
    random_tree_model(other, 5, **released(**card))
    shutil.rmtree(case.report)
    passed_backtest(other, case.report, case.settings)
    return other


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"releases": []}, "names no release"),
        (
            {"releases": [RELEASE, RELEASE | {"release_id": "rel-2", "k": 20}]},
            "rel-2 has no certificate of k",
        ),
        ({"releases": [RELEASE | {"certificate": {}}]}, "rel-1 has no certificate"),
        ({"provenance": "simulated"}, "may only observe"),
    ],
)
def test_a_model_not_of_certified_releases_is_refused_by_name(case: Case, card: Any, message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        case.promote("m-17", model=unfit(case, **card))
    assert case.champion() is None


def test_a_model_of_simulated_releases_may_observe(case: Case) -> None:
    assert case.promote(model=unfit(case, provenance="simulated"))["mode"] == "observe"
    assert case.modes("m-17") == ["observe"]


def test_a_backtest_of_another_model_is_refused(case: Case) -> None:
    random_tree_model(case.model, 6, **released())
    with pytest.raises(CheckFailed, match="of another model"):
        case.promote()


def test_a_backtest_that_was_changed_is_refused(case: Case) -> None:
    (case.report / "report.html").write_text("better")
    with pytest.raises(CheckFailed, match=r"does not verify: report\.html was changed"):
        case.promote()


def origin(case: Case, **changes: Any) -> Origin:
    tree = bootstrap.load_tree(case.settings).sha256
    told = {"provenance": "merchant", "tree_sha256": tree, "trained_until": date(2026, 6, 30)}
    return Origin(labels_known_at=KNOWN_AT, **told | {"merchants": ("m-17",)} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": 12.0}, r"false-positive rate at reject may be .* %, at most 0.38 % is asked.*area"),
        ({"tree_sha256": "other"}, "another decision tree"),
        ({"trained_until": None}, "out of time"),
        ({"provenance": "simulated"}, "say nothing of a shop"),
        ({"merchants": ("M-17",)}, "of m-17 alone"),
        ({"merchants": ()}, "of m-17 alone"),
    ],
)
def test_a_backtest_that_is_not_passed_is_refused_by_name(case: Case, changes: Any, message: str) -> None:
    out, noise = case.report.with_name("second"), changes.pop("noise", 0.0)
    told: dict[str, Any] = {"origin": origin(case, **changes)}
    if changes.get("provenance") == "simulated":
        told = {"provenance": "simulated"}
    passed_backtest(case.model, out, case.settings, noise=noise, **told)
    with pytest.raises(CheckFailed, match=message):
        case.promote("m-17", reports=[out])


def test_few_false_positives_count_as_many_as_they_can_be(case: Case) -> None:
    def wrongs(table: Any, probability: Any) -> Any:
        verdict = bands(table, probability)
        verdict[np.flatnonzero(table.label == 0)[:5]] = "reject"
        return verdict

    out = passed_backtest(case.model, case.report.with_name("second"), case.settings, verdicts=wrongs)
    rate = json.loads((out / "report.json").read_bytes())["metrics"]["frozen"]["reject"]["fpr"]
    assert rate["value"] is None
    with pytest.raises(
        CheckFailed, match=rf"false-positive rate at reject may be {100 * rate['upper']:.2f} %"
    ):
        case.promote("m-17", reports=[out])


def test_a_curve_that_is_withheld_is_no_passed_backtest(case: Case) -> None:
    # Of so few persons that there is no curve.
    few = passed_backtest(case.model, case.report.with_name("few"), case.settings, table=make_toy().table)
    with pytest.raises(CheckFailed, match=r"area under the ROC curve is withheld .*longer window"):
        case.promote("m-17", reports=[few])


@pytest.mark.parametrize(
    ("recall", "rate", "passes"), [(0.9, 0.003, True), (0.79, 0.003, False), (None, 0.003, False)]
)
def test_without_a_curve_a_recall_that_is_high_enough_bounds_the_area(
    recall: float | None, rate: float, passes: bool
) -> None:
    kind = {"recall": {"lower": recall}, "fpr": {"upper": rate, "value": 0.0}}
    area = {"value": None, "lower": None, "upper": None, "withheld": "fewer than 50 persons"}
    metrics = {"frozen": {"reject": kind, "reject_or_review": kind}, "ranking": {"auc": area}}
    assert (promotion._figure_problems(metrics) == []) is passes


def test_all_that_fails_is_named_at_once(case: Case) -> None:
    other = unfit(case, releases=[], provenance="simulated")
    with pytest.raises(CheckFailed, match="no release.*may only observe"):
        case.promote("m-17", model=other)


def test_a_configured_folder_never_enforces(case: Case) -> None:
    case.promote("m-17")
    case.settings = replace(case.settings, model=case.model)
    assert case.modes("m-17") == ["observe"]


def kill_at(moment: str, case: Case) -> None:
    """Promote in a process that is killed."""
    folders = map(str, (case.model, case.report, case.settings.home))
    command = [sys.executable, "-c", KILLED, moment, *folders]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_a_promotion_that_is_killed_before_its_record_is_in_place_changes_nothing(case: Case) -> None:
    entry, record = case.promote("m-17"), case.pointer.read_bytes()
    kill_at("record", case)
    assert case.pointer.read_bytes() == record
    assert (case.pointer.parent / ".champion.json").is_file()
    assert case.modes("m-17") == ["enforce"]
    again = case.promote("m-17")
    assert [e.at for e in registry.promotions(case.pointer.parent, bootstrap.open_signer(case.settings))] == [
        entry["at"], again["at"],
    ]  # fmt: skip
    assert {path.name for path in case.pointer.parent.glob("*.json")} == {"champion.json"}


def test_a_first_promotion_that_is_killed_before_its_record_is_told_and_can_be_done_again(case: Case) -> None:
    kill_at("record", case)
    assert case.champion() is None
    assert any("the record of promotions is gone" in told for told in case.problems())
    case.promote()
    assert case.problems() == []


def test_a_promotion_that_was_killed_half_way_can_be_done_again(case: Case) -> None:
    home = case.settings.home
    kill_at("copy", case)
    assert case.champion() is None
    assert len(promotion.list_models(case.settings)) == 1
    entry = case.promote()
    assert load_model(home / "models" / entry["folder"]).card.name == entry["name"]
    assert len(promotion.list_models(case.settings)) == 2


def test_only_the_files_of_the_model_are_copied(case: Case) -> None:
    (case.model / "secret.txt").write_text("beside it by chance")
    (case.model / "folder").mkdir()
    case.promote()
    assert {path.name for path in case.folder.iterdir()} == {"card.json", "trees.npz"}


def test_a_copy_that_fails_leaves_nothing_behind(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OSError, match="No space left"):
        case.promote()
    assert [path.name for path in (case.settings.home / "models").iterdir()] == [".lock"]
