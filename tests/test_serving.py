"""What serves after a promotion, and whom it acts for, also where record, model or tree do not fit."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from riskgraph import bootstrap, promotion
from riskgraph.core.errors import ModelUnavailable
from riskgraph.replaying import replay_stored
from riskgraph.settings import Settings
from tests.models.helpers import random_tree_model
from tests.support.promoting import REAL, Case, released

pytest.importorskip("pyarrow", reason="a backtest needs the extra lab")
pytest.importorskip("matplotlib", reason="a backtest needs the extra lab")


HELD, LET_GO = ("hold", "enforce"), ("none", "observe")


def damage(case: Case, what: str) -> None:
    """Something that lets no model serve."""
    if what == "folder":
        shutil.rmtree(case.folder)
    elif what == "card":
        (case.folder / "card.json").unlink()
    elif what == "trees":
        (case.folder / "trees.npz").write_bytes(b"")
    elif what == "tree":
        tree = dict(bootstrap.load_tree(case.settings).data) | {"version": "8"}
        changed = case.settings.home / "tree.json"
        changed.write_text(json.dumps(tree))
        case.settings = replace(case.settings, tree=changed)
    elif what == "record":
        case.edit(by="somebody else")


@pytest.mark.parametrize("what", ["folder", "card", "trees", "tree"])
def test_where_the_promoted_model_cannot_serve_the_degraded_policy_acts_for_whoever_was_promoted_for(
    case: Case, what: str
) -> None:
    case.promote("m-17")
    damage(case, what)
    assert case.decide() == HELD
    assert case.decide(amount={"value": "1.00", "currency": "CNY"}) == ("none", "enforce")
    assert case.decide(merchant_id="m-99") == LET_GO


def test_where_the_record_does_not_verify_whoever_was_enforced_last_stays_so_and_nobody_else(
    case: Case,
) -> None:
    case.promote("m-17")
    assert case.decide()[1] == "enforce"
    assert case.decide(merchant_id="m-99") == LET_GO
    damage(case, "record")
    assert case.decide() == case.decide() == HELD
    assert case.decide(merchant_id="m-99") == case.decide(merchant_id="m-100") == LET_GO


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("folder", "card.json: the file is missing"),
        ("trees", "trees.npz: truncated or altered"),
        ("tree", "promoted to enforce under another decision tree"),
        ("record", "champion.json: the signature does not fit"),
    ],
)
def test_why_no_model_serves_is_told_once_with_folders_and_to_everybody_without(
    case: Case, what: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    case.promote("m-17")
    damage(case, what)
    unready, reason = case.problems()
    assert unready == "no sound model: every order is reviewed"
    assert why in reason
    assert str(case.settings.home) not in reason
    (logged,) = [record.getMessage() for record in caplog.records if record.name == "riskgraph.bootstrap"]
    assert why in logged
    assert what == "tree" or str(case.settings.home) in logged


def test_of_a_configured_folder_too_only_the_name_is_told_to_everybody(case: Case, tmp_path: Path) -> None:
    case.settings = replace(case.settings, model=tmp_path / "nowhere" / "mine")
    assert any("mine/card.json" in told and str(tmp_path) not in told for told in case.problems())


@pytest.mark.parametrize("what", ["tree", "record"])
def test_a_decision_that_degraded_policy_acted_on_comes_out_again(case: Case, what: str) -> None:
    case.promote("m-17")
    case.decide()
    damage(case, what)
    assert case.decide() == HELD
    told = again(case)
    assert (told["matches"], told["versions"]["model"]) == (True, "none")


def again(case: Case) -> dict[str, Any]:
    """The newest decision, replayed."""
    with bootstrap.open_keys(case.settings) as store:
        return replay_stored(store, REAL, case.settings, store.decisions(limit=1)[0]["decision_id"])


def test_what_was_enforced_comes_out_after_a_rollback_and_not_under_a_record_begun_anew(
    case: Case,
) -> None:
    case.promote()
    case.promote("m-17")
    assert case.decide()[1] == "enforce"
    promotion.rollback("counsel", case.settings)
    assert again(case)["matches"]
    case.pointer.unlink()
    case.promote()
    told = again(case)
    assert not told["matches"]
    assert told["first_difference"]["field"] == "score.mode"


def test_a_shop_that_was_only_observed_last_is_not_held_by_an_altered_record(case: Case) -> None:
    case.promote("m-17")
    case.decide()
    case.promote()
    assert case.decide() == LET_GO
    case.edit(mode="enforce", merchants=["m-17"])
    assert case.decide() == LET_GO


def test_what_a_simulated_shop_enforced_holds_no_real_order(case: Case) -> None:
    assert case.decide(bootstrap.demo_profile())[1] == "enforce"
    case.promote()
    damage(case, "record")
    assert case.decide() == LET_GO


def test_a_damaged_decision_alone_holds_no_order(case: Case) -> None:
    assert case.decide() == LET_GO
    with closing(sqlite3.connect(case.settings.home / "riskgraph.db")) as store, store:
        store.execute("UPDATE decisions SET sealed = zeroblob(length(sealed))")
    assert case.decide() == LET_GO


def test_a_record_that_is_gone_lets_no_order_go_that_was_enforced_and_is_told(case: Case) -> None:
    case.promote("m-17")
    case.decide()
    case.pointer.unlink()
    assert case.decide() == HELD
    assert case.decide(merchant_id="m-99") == LET_GO
    assert any("the record of promotions is gone" in told for told in case.problems())
    shutil.rmtree(case.pointer.parent)
    assert case.decide() == HELD
    case.promote()
    assert case.decide() == LET_GO
    assert case.problems() == []


def test_models_without_a_record_of_promotions_are_told_and_the_model_that_ships_observes(case: Case) -> None:
    assert case.problems() == []
    case.promote()
    case.decide()
    case.pointer.unlink()
    assert case.decide() == LET_GO
    (told,) = case.problems()
    assert "the record of promotions is gone" in told
    case.settings = replace(case.settings, model=case.model)
    assert case.problems() == []


@pytest.mark.parametrize(
    "change",
    [
        {"by": "somebody else"},
        {"at": "2020-01-01T00:00:00+00:00"},
        {"mode": "enforce"},
        {"merchants": ["m-17", "m-99"]},
        {"tree_sha256": "00"},
        {"reports_sha256": []},
    ],
)
def test_an_altered_promotion_serves_nothing(case: Case, change: dict[str, Any]) -> None:
    case.promote()
    case.edit(**change)
    with pytest.raises(ModelUnavailable, match="signature does not fit"):
        bootstrap.serving_model(case.settings)
    service = bootstrap.open_service(case.settings, REAL)
    assert service.line.scorer is None
    assert any("no sound model" in problem for problem in service.problems())
    service.close()


@pytest.mark.parametrize("left", [slice(0, 1), slice(1, 2), slice(None, None, -1)])
def test_a_record_that_lost_an_entry_or_its_order_serves_nothing(case: Case, left: slice) -> None:
    case.promote("m-17")
    case.promote()
    data = json.loads(case.pointer.read_text())
    data["champions"] = data["champions"][left]
    case.pointer.write_text(json.dumps(data))
    with pytest.raises(ModelUnavailable, match="signature does not fit"):
        bootstrap.serving_model(case.settings)


def test_a_tree_that_changed_after_the_promotion_enforces_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.promote("m-17")
    tree = bootstrap.load_tree(case.settings)
    other = replace(tree, sha256="5e" * 32)
    monkeypatch.setattr(bootstrap, "load_tree", lambda settings: other)
    with pytest.raises(ModelUnavailable, match="under another decision tree .*promote it again"):
        bootstrap.serving_model(case.settings)


def test_a_model_that_only_observes_serves_under_a_changed_tree(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.promote()
    tree = bootstrap.load_tree(case.settings)
    other = replace(tree, sha256="5e" * 32)
    monkeypatch.setattr(bootstrap, "load_tree", lambda settings: other)
    assert bootstrap.serving_model(case.settings)[1] == frozenset()


def test_another_model_in_the_place_of_the_promoted_one_is_found(case: Case) -> None:
    case.promote()
    random_tree_model(case.folder, 4, **released())
    with pytest.raises(ModelUnavailable, match="another model was promoted"):
        bootstrap.serving_model(case.settings)


def test_another_installation_does_not_trust_the_signature(case: Case, tmp_path: Path) -> None:
    case.promote("m-17")
    shutil.copytree(case.settings.home, tmp_path / "elsewhere")
    with pytest.raises(ModelUnavailable, match="another installation"):
        bootstrap.serving_model(Settings(home=tmp_path / "elsewhere"))
