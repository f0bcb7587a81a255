import json
import multiprocessing
from pathlib import Path

import pytest

from riskgraph.core.errors import Conflict, Invalid, ModelUnavailable, NotFound
from riskgraph.governance.signing import Ed25519Signer
from riskgraph.models import registry
from riskgraph.models.card import read_card
from riskgraph.models.registry import Champion, list_models, shipped_champion
from tests.models.helpers import random_model

AT, LATER = "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"
SIGNER = Ed25519Signer(bytes(range(32)))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    random_model(tmp_path / "a", 1)
    random_model(tmp_path / "b", 2)
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_models_are_listed_with_their_cards(models: Path) -> None:
    assert [(f.name, c.name) for f, c in list_models(models)] == [("a", "random-1"), ("b", "random-2")]


def promote(models: Path, folder: str, *, by: str, at: str, mode: str = "observe") -> Champion:
    digest = read_card(models / folder).digest if (models / folder / "card.json").is_file() else ""
    name = {"a": "random-1", "b": "random-2"}.get(folder, folder)
    merchants = ("m-17",) if mode == "enforce" else ()
    entry = Champion(name, folder, digest, ("5e",), "7e", mode, merchants, by, at)
    return registry.promote(models, models / folder, entry, SIGNER)


def champion(models: Path) -> Champion | None:
    return registry.champion(models, SIGNER)


def back(models: Path) -> Champion:
    return registry.rollback(models, by="cy", at=LATER, tree_sha256="7e", signer=SIGNER)[0]


def promote_often(model: Path, models: Path, name: str, times: int) -> None:
    """Promote a model a number of times, as a process beside others does."""
    for number in range(times):
        entry = Champion(name, "c", read_card(model).digest, ("5e",), "7e", "observe", (), name, str(number))
        registry.promote(models, model, entry, SIGNER)


def test_promotion_and_rollback_move_the_pointer(models: Path) -> None:
    assert champion(models) is None
    promote(models, "a", by="ann", at=AT)
    second = promote(models, "b", by="bo", at=AT, mode="enforce")
    assert champion(models) == second
    assert (second.name, second.mode) == ("random-2", "enforce")
    entry = back(models)
    assert champion(models) == entry
    assert (entry.folder, entry.mode, entry.event) == ("a", "observe", "rollback")
    assert (entry.by, entry.at) == ("cy", LATER)


def test_the_first_champion_cannot_be_rolled_back(models: Path) -> None:
    with pytest.raises(NotFound):
        back(models)
    promote(models, "a", by="ann", at=AT)
    with pytest.raises(Conflict, match="random-1"):
        back(models)
    assert champion(models).event == "promote"  # type: ignore[union-attr]


def test_a_second_rollback_goes_further_back_and_not_forward_again(models: Path) -> None:
    for folder in ("a", "b", "a"):
        promote(models, folder, by="ann", at=AT)
    assert [back(models).folder, back(models).folder] == ["b", "a"]
    with pytest.raises(Conflict):
        back(models)
    promote(models, "b", by="ann", at=AT)
    assert back(models).folder == "a"


def test_a_rollback_takes_nothing_off_the_record(models: Path) -> None:
    promote(models, "a", by="ann", at=AT)
    promote(models, "b", by="bo", at=AT, mode="enforce")
    back(models)
    record = json.loads((models / "champion.json").read_text())["champions"]
    assert [(e["event"], e["folder"], e["by"]) for e in record] == [
        ("promote", "a", "ann"), ("promote", "b", "bo"), ("rollback", "a", "cy"),
    ]  # fmt: skip


def test_a_record_of_an_earlier_version_has_to_be_made_again(models: Path) -> None:
    old = {"name": "random-1", "folder": "a", "at": AT, "by": "ann", "mode": "observe"}
    (models / "champion.json").write_text(json.dumps({"champions": [old]}))
    with pytest.raises(ModelUnavailable, match=r"champion\.json: no signed record .*promote again"):
        champion(models)


def test_a_record_of_another_installation_is_not_trusted(models: Path) -> None:
    promote(models, "a", by="ann", at=AT)
    with pytest.raises(ModelUnavailable, match="another installation"):
        registry.champion(models, Ed25519Signer(bytes(32)))


def test_a_rollback_of_nothing_is_no_history(models: Path) -> None:
    promote(models, "a", by="ann", at=AT)
    pointer = models / "champion.json"
    data = json.loads(pointer.read_text())
    data["champions"][0]["event"] = "rollback"
    pointer.write_text(json.dumps(data))
    with pytest.raises(ModelUnavailable, match="no signed record"):
        champion(models)


def test_there_is_no_going_back_to_a_damaged_model(models: Path) -> None:
    promote(models, "a", by="ann", at=AT)
    promote(models, "b", by="bo", at=AT)
    (models / "a" / "tables.npy").write_bytes(b"")
    with pytest.raises(ModelUnavailable, match=r"tables\.npy"):
        back(models)
    assert champion(models).folder == "b"  # type: ignore[union-attr]


def test_promotions_of_several_processes_at_once_all_go_on_record(models: Path, tmp_path: Path) -> None:
    home, start = tmp_path / "home", multiprocessing.get_context("spawn")
    who = {name: start.Process(target=promote_often, args=(models / "a", home, name, 20)) for name in "xyz"}
    for process in who.values():
        process.start()
    for process in who.values():
        process.join()
    assert [process.exitcode for process in who.values()] == [0, 0, 0]
    record = registry.promotions(home, SIGNER)
    assert len(record) == 60
    for name in who:
        assert [entry.at for entry in record if entry.by == name] == [str(n) for n in range(20)]


def test_a_damaged_model_is_not_promoted(models: Path) -> None:
    promote(models, "a", by="ann", at=AT)
    (models / "b" / "tables.npy").write_bytes(b"")
    with pytest.raises(ModelUnavailable, match=r"tables\.npy"):
        promote(models, "b", by="bo", at=AT)
    assert champion(models).folder == "a"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("folder", "mode"), [("a", "block"), ("../a", "observe"), ("x/../a", "observe"), ("..", "observe")]
)
def test_odd_modes_and_folders_are_refused(models: Path, folder: str, mode: str) -> None:
    with pytest.raises(Invalid):
        promote(models, folder, by="ann", at=AT, mode=mode)


@pytest.mark.parametrize(
    "change",
    [
        {"folder": 5},
        {"folder": "../a"},
        {"folder": ".."},
        {"mode": "block"},
        {"merchants": "m-17"},
        {"by": "\ud800"},
        {"merchants": ["\udfff"]},
    ],
)
def test_a_pointer_that_leads_elsewhere_is_damaged(models: Path, change: dict[str, object]) -> None:
    promote(models, "a", by="ann", at=AT)
    pointer = models / "champion.json"
    data = json.loads(pointer.read_text())
    data["champions"][0] |= change
    pointer.write_text(json.dumps(data))
    with pytest.raises(ModelUnavailable, match=r"champion\.json: no signed record"):
        champion(models)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        pytest.param("[" * 200_000, id="deep"),
        pytest.param("9" * 5_000, id="long"),
        '{"schema": "model_promotions/1", "champions": 5, "signature": ""}',
        '{"champions": [{"name": "x"}]}',
        '{"schema": "model_promotions/1"}',
    ],
)
def test_a_damaged_pointer_is_an_error_not_an_empty_registry(models: Path, text: str) -> None:
    (models / "champion.json").write_text(text)
    with pytest.raises(ModelUnavailable, match=r"champion\.json"):
        champion(models)


def test_the_shipped_champion_lies_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskgraph.models.registry.resources.files", lambda package: tmp_path)
    with pytest.raises(ModelUnavailable, match="ships no model"):
        shipped_champion()
    random_model(tmp_path / "champion", 1)
    assert shipped_champion() == tmp_path / "champion"
