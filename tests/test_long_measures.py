"""Attack and cost take minutes and go on record: a record that could not be written is told first."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from riskgraph import attacks, cost
from riskgraph.core.errors import CheckFailed
from riskgraph.sandbox.utility import CostRequest
from riskgraph.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation whose audit log an earlier version began."""
    (tmp_path / "sandbox-audit.jsonl").write_text('{"event": "release"}\n', encoding="utf-8")
    return Settings(home=tmp_path)


def silent(step: str, done: int, total: int) -> None:
    raise AssertionError(f"work was begun: {step}")


def test_an_attack_that_could_not_be_recorded_is_not_begun(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="earlier version"):
        attacks.attack(
            tmp_path / "no-world", until=date(2026, 6, 30), seed=0, k=50, kind="none", splits=1,
            out=None, settings=settings, progress=silent,
        )  # fmt: skip


def test_a_cost_that_could_not_be_recorded_is_not_measured(settings: Settings, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the network needs the extra train")
    with pytest.raises(CheckFailed, match="earlier version"):
        cost.measure(tmp_path / "no-world", CostRequest(date(2026, 6, 30)), settings, silent)
