"""Training in a process of its own, and children that stand in for it."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

from riskgraph import bootstrap, training_process
from riskgraph.settings import Settings
from riskgraph.training_process import start

TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not TORCH, reason="an order2 model is trained with torch (extra train)")
PATHS = "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"


def settings(chain: Path) -> Settings:
    return Settings(home=chain / "home")


def train(chain: Path, out: Path, kind: str = "order2", **options: Any) -> training_process.Trained:
    verifier = bootstrap.open_verifier(settings(chain))
    return training_process.train([chain / "release"], out, kind, 0, verifier, **options)


def keep_children(monkeypatch: pytest.MonkeyPatch, code: str) -> list[subprocess.Popen[bytes]]:
    """Have children run other code, and list them."""
    children: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(training_process, "_TRAIN", code)

    def kept(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        children.append(start(*arguments, **options))
        return children[-1]

    monkeypatch.setattr(training_process, "start", kept)
    return children
