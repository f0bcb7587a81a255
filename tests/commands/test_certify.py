"""``riskgraph simulate --certify``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from riskgraph.commands.certify import show_gates
from tests.support.cli import riskgraph

pytest.importorskip("pyarrow", reason="certifying needs the extra lab")


def test_one_seed_is_refused_since_it_cannot_be_told_from_another(tmp_path: Path) -> None:
    ran = riskgraph("simulate", "--certify", "--seeds", 1, home=tmp_path)
    assert ran.code == 2
    assert "--seeds" in ran.err


def test_certifying_needs_no_folder_but_a_known_configuration(tmp_path: Path) -> None:
    ran = riskgraph("simulate", "--certify", "--config", "nowhere", home=tmp_path)
    assert ran.code == 2
    assert "--config" in ran.err


def test_a_world_too_small_to_judge_fails_with_code_3_and_a_whole_table(tmp_path: Path) -> None:
    arguments = ("simulate", "--certify", "--orders", 600, "--seeds", 2, "--out", tmp_path / "worlds")
    ran = riskgraph(*arguments, "--json", home=tmp_path / "home")
    assert ran.code == 3
    assert "gates do not hold" in ran.error
    result = json.loads(ran.out)
    assert [g["gate"] for g in result["gates"]] == list(range(1, 9))
    assert {f["seed"] for f in result["figures"]} == {7, 8}
    assert {f["gate"] for f in result["figures"]} == set(range(1, 9))
    assert result["certificate"] is None
    assert sorted(p.name for p in (tmp_path / "worlds").iterdir()) == ["seed-7", "seed-8"]
    told = Console(record=True, width=200, file=io.StringIO())
    show_gates(told, result)
    assert "DOES NOT HOLD" in told.export_text()
