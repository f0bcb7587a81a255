from pathlib import Path

import pytest

from riskgraph.core.errors import Conflict, Invalid, ModelUnavailable, NotFound
from riskgraph.models.registry import champion, list_models, promote, rollback, shipped_champion
from tests.models.helpers import random_model

AT = "2026-07-01T00:00:00Z"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    random_model(tmp_path / "a", 1)
    random_model(tmp_path / "b", 2)
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_models_are_listed_with_their_cards(models: Path) -> None:
    assert [(f.name, c.name) for f, c in list_models(models)] == [("a", "random-1"), ("b", "random-2")]


def test_promotion_and_rollback_move_the_pointer(models: Path) -> None:
    assert champion(models) is None
    promote(models, "a", by="ann", at=AT)
    second = promote(models, "b", by="bo", at=AT, mode="enforce")
    assert champion(models) == second
    assert (second.name, second.mode) == ("random-2", "enforce")
    back = rollback(models)
    assert champion(models) == back
    assert (back.folder, back.by, back.mode) == ("a", "ann", "observe")


def test_the_first_champion_cannot_be_rolled_back(models: Path) -> None:
    with pytest.raises(NotFound):
        rollback(models)
    promote(models, "a", by="ann", at=AT)
    with pytest.raises(Conflict, match="random-1"):
        rollback(models)


def test_a_damaged_model_is_not_promoted(models: Path) -> None:
    promote(models, "a", by="ann", at=AT)
    (models / "b" / "tables.npy").write_bytes(b"")
    with pytest.raises(ModelUnavailable, match=r"tables\.npy"):
        promote(models, "b", by="bo", at=AT)
    assert champion(models).folder == "a"  # type: ignore[union-attr]


@pytest.mark.parametrize(("folder", "mode"), [("a", "block"), ("../a", "observe"), ("x/../a", "observe")])
def test_odd_modes_and_folders_are_refused(models: Path, folder: str, mode: str) -> None:
    with pytest.raises(Invalid):
        promote(models, folder, by="ann", at=AT, mode=mode)


def test_a_damaged_pointer_is_an_error_not_an_empty_registry(models: Path) -> None:
    (models / "champion.json").write_text("{")
    with pytest.raises(ModelUnavailable, match=r"champion\.json"):
        champion(models)


def test_the_shipped_champion_lies_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskgraph.models.registry.resources.files", lambda package: tmp_path)
    with pytest.raises(ModelUnavailable, match="ships no model"):
        shipped_champion()
    random_model(tmp_path / "champion", 1)
    assert shipped_champion() == tmp_path / "champion"
