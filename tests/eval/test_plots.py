from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from riskgraph.core.errors import ExtraMissing
from riskgraph.eval import plots
from tests.eval.backtest_toy import Toy, backtest

MARK = np.array([0x9C, 0x2A, 0x00]) / 255


def marked(path: Path) -> bool:
    """Whether the badge's colour fills a patch of the picture's upper right corner."""
    corner = imread(path)[:60, -300:, :3]
    return bool((np.abs(corner - MARK).max(axis=2) < 0.02).sum() > 1_000)


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.random(500), rng.random(500) < 0.2


@pytest.mark.parametrize("simulated", [True, False])
def test_only_a_picture_of_simulated_orders_is_marked_simulated(tmp_path, scores, simulated):
    plots.plot_scores(tmp_path, *scores, "Scores", simulated)
    assert marked(tmp_path / "scores.png") is simulated


def test_every_picture_of_a_simulated_report_is_marked(report_once):
    pictures = sorted(report_once.path.glob("*.png"))
    assert len(pictures) == 3
    assert all(marked(p) for p in pictures)


def test_scores_of_exactly_nought_and_one_can_be_drawn(tmp_path):
    plots.plot_scores(tmp_path, np.array([0.0, 1.0]), np.array([False, True]), "Scores", True)
    assert (tmp_path / "scores.svg").stat().st_size > 1_000


@pytest.mark.parametrize("steps", [[0.9, 1e-8, 0.0], [1 - 1e-8, 0.0], [0.0]])
def test_steps_may_begin_beyond_where_the_picture_ends(
    tmp_path: Path, scores: tuple[np.ndarray, np.ndarray], steps: list[float]
) -> None:
    plots.plot_scores(tmp_path, *scores, "Scores", False, np.array(steps))
    assert (tmp_path / "scores.png").exists()


@pytest.mark.parametrize(("library", "what"), [("matplotlib", "pictures"), ("pyarrow", "scores")])
def test_a_missing_library_names_the_extra_before_any_work(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, what: str
):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ExtraMissing, match=rf"{what}.*riskgraph\[lab\]"):
        backtest(toy, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_the_package_of_pictures_loads_without_matplotlib():
    code = "import sys, riskgraph.eval.backtest; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
