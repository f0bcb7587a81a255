"""The figures of training, on a few rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph import bootstrap
from riskgraph.bench import training
from riskgraph.sandbox import Release
from riskgraph.settings import Settings


def test_training_is_measured_over_growing_rows_and_says_what_they_are(chain: Path, tmp_path: Path) -> None:
    settings = Settings(home=chain / "home")
    rows = Release.open(chain / "release", bootstrap.open_verifier(settings)).rows
    told: list[tuple[object, ...]] = []
    seconds, memory = training.measure(
        tmp_path, rows, lambda *step: told.append(step), growth=(400, 900), epochs=1
    )
    assert (seconds.name, seconds.unit, memory.name, memory.unit) == ("train_1m_s", "s", "train_1m_mb", "MB")
    assert seconds.value is not None
    assert seconds.value > 0
    assert memory.value is not None
    assert 100 < memory.value < 3000
    assert told == [("train", 1, 2), ("train", 2, 2)]
    for word in ("400 rows", "900 rows", "1 epochs", "drawn with replacement", "simulated", "at most 900"):
        assert word in seconds.note


def test_seconds_that_grow_with_rows_are_of_power_one() -> None:
    runs = [
        training.Trained(n, 0.002 * n * epochs, 1.0, epochs) for n, epochs in ((100, 7), (200, 40), (400, 9))
    ]
    assert training._exponent(runs) == pytest.approx(1.0)
    runs = [training.Trained(n, 1e-6 * n**2, 1.0, 1) for n in (100, 200, 400)]
    assert training._exponent(runs) == pytest.approx(2.0)


def test_resampled_rows_are_whole_rows_of_the_release(chain: Path) -> None:
    settings = Settings(home=chain / "home")
    rows = Release.open(chain / "release", bootstrap.open_verifier(settings)).rows
    drawn = training._resampled(rows, 50)
    known = {(r.tobytes(), w) for r, w in zip(rows.components, rows.weight.tolist(), strict=True)}
    assert {(r.tobytes(), w) for r, w in zip(drawn.components, drawn.weight.tolist(), strict=True)} <= known
    assert len(drawn) == len(drawn.states) == 50
    assert np.isin(drawn.label, (0, 1)).all()
