"""``riskgraph world place``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from riskgraph.models.registry import shipped_champion
from tests.support.cli import riskgraph

pytest.importorskip("pyarrow", reason="placing simulates worlds and needs the extra lab")

SMALL = ("--starts", "2026-06-01", "--tries", 1, "--orders", 1000)


def test_a_family_is_placed_against_the_model_that_serves_and_can_be_simulated(tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "mine"
    ran = riskgraph("world", "place", "account_takeover", *SMALL, "--out", out, "--json", home=home)
    result = ran.json()
    before, after, before_check, after_check = result["found"]
    assert after["flagged"] < before["flagged"]
    assert [row["seed"] for row in result["found"]] == [7, 7, 8, 8]
    assert {before_check["of"], after_check["of"]} == {"base", "placed"}
    assert "Never compare" in result["notice"]
    assert result["path"] == str(out / "account_takeover_placed.py")
    assert result["model"]["model_sha256"] in (out / "account_takeover_placed.py").read_text("utf-8")
    world = ("simulate", "--orders", 400, "--families", out, "--out", tmp_path / "w")
    assert riskgraph(*world, home=home).code == 0


def test_the_model_may_be_named_and_a_person_is_shown_a_table(tmp_path: Path) -> None:
    model = shutil.copytree(shipped_champion(), tmp_path / "model")
    place = ("world", "place", "account_takeover", *SMALL, "--model", model, "--out", tmp_path / "mine")
    ran = riskgraph(*place, home=tmp_path / "home")
    assert ran.code == 0, ran.err
    shown = ran.out.decode()
    assert "account_takeover_placed, placed against" in shown
    assert "Never compare" in shown
    assert "worlds" in ran.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nobody", "--starts", "2026-06-01"), "FAMILY"),
        (("card_testing",), "--starts"),
        (("card_testing", "--starts", "soon"), "--starts"),
        (("card_testing", "--starts", "2027-06-01"), "starts must lie between 2026-01-01 and 2026-09-26"),
        (("card_testing", "--starts", "2025-06-01", "--config", "champion"), "must lie after 2026-02-02"),
        (("card_testing", "--starts", "2026-06-01", "--config", "nowhere"), "--config"),
        (("card_testing", "--starts", "2026-06-01", "--model", "no-such-folder"), "--model"),
        (("card_testing", "--starts", "2026-06-01", "--tries", "0"), "--tries"),
        (("card_testing", "--starts", "2026-06-01", "--orders", "10"), "--orders"),
    ],
    ids=lambda value: " ".join(value)[12:] if isinstance(value, tuple) else value,
)  # fmt: skip
def test_wrong_usage_is_named_before_any_world_is_made(
    arguments: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    ran = riskgraph("world", "place", *arguments, "--out", tmp_path / "mine", home=tmp_path / "home")
    assert (ran.code, named in ran.error) == (2, True), ran.err
    assert not (tmp_path / "mine").exists()


def test_a_folder_without_a_model_and_a_folder_that_is_taken_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("kept")
    place = ("world", "place", "card_testing", *SMALL, "--out", tmp_path / "mine")
    no_model = riskgraph(*place, "--model", tmp_path / "empty", home=tmp_path / "home")
    assert (no_model.code, "card.json" in no_model.error) == (1, True)
    taken = riskgraph(*place, home=tmp_path / "home")
    assert (taken.code, "is not empty" in taken.error) == (1, True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["note.txt"]
