"""Promotions survive a kill at any point."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from riskgraph import promotion
from riskgraph.models.compiled import CompiledModel
from riskgraph.models.registry import champion, shipped_champion
from riskgraph.settings import Settings

KILLED_AFTER_ONE_FILE = """
import functools, os, shutil, signal, sys
from pathlib import Path
from riskgraph import promotion
from riskgraph.settings import Settings

def die(source, target):
    shutil.copy2(source, target)
    os.kill(os.getpid(), signal.SIGKILL)

promotion.shutil.copytree = functools.partial(shutil.copytree, copy_function=die)
promotion.promote(Path(sys.argv[1]), "me", "observe", Settings(home=Path(sys.argv[2])))
"""


def test_a_promotion_that_was_killed_half_way_can_be_done_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_AFTER_ONE_FILE, str(shipped_champion()), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    settings = Settings(home=tmp_path)
    models = tmp_path / "models"
    assert champion(models) is None
    assert len(promotion.list_models(settings)) == 1
    entry = promotion.promote(shipped_champion(), "me", "observe", settings)
    assert CompiledModel.load(models / entry["folder"]).card.name == entry["name"]
    assert len(promotion.list_models(settings)) == 2


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OSError, match="No space left"):
        promotion.promote(shipped_champion(), "me", "observe", Settings(home=tmp_path))
    assert list((tmp_path / "models").iterdir()) == []
