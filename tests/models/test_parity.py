"""What is on file about honest orders that refuse: of this model, this tree, undamaged, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from riskgraph.models.parity import PARITY_FILE, read_parity, write_parity

MODEL, TREE = "a" * 64, "b" * 64


def measured(**changes: Any) -> dict[str, Any]:
    rates = {"granted": [0.01, 0.005, 0.02], "refused": [0.0, 0.0, 0.001], "ratio": None}
    row = {"honest": 1000, "rejected": rates, "reviewed": rates}
    return {
        "model": "m",
        "model_sha256": MODEL,
        "tree_sha256": TREE,
        "measured": "2026-11-27",
        "world": "world-2",
        "seed": 881,
        "orders": 8000,
        "provenance": "simulated",
        "phases": {"pre_auth": row},
    } | changes


def test_what_was_measured_is_on_file_by_phase(tmp_path: Path) -> None:
    write_parity(tmp_path, measured())
    found = read_parity(tmp_path, MODEL, TREE)
    assert set(found) == {"pre_auth"}
    assert found["pre_auth"]["honest"] == 1000
    assert found["pre_auth"]["rejected"]["granted"] == [0.01, 0.005, 0.02]
    assert found["pre_auth"]["rejected"]["ratio"] is None
    assert found["pre_auth"]["measured"] == "2026-11-27"


def test_nothing_is_on_file_of_another_model_or_tree(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_parity(tmp_path, MODEL, TREE) == {}
    write_parity(tmp_path, measured())
    assert read_parity(tmp_path, "c" * 64, TREE) == {}
    assert read_parity(tmp_path, MODEL, "c" * 64) == {}
    assert "another model or decision tree" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["phases"]["pre_auth"].update(honest=7),
        lambda data: data.update(provenance="merchant"),
        lambda data: data.update(schema="refusal_parity/2"),
        lambda data: data.pop("phases"),
    ],
)
def test_an_altered_file_counts_as_none(tmp_path: Path, change: Any) -> None:
    data = json.loads(write_parity(tmp_path, measured()).read_text("utf-8"))
    change(data)
    (tmp_path / PARITY_FILE).write_text(json.dumps(data), "utf-8")
    assert read_parity(tmp_path, MODEL, TREE) == {}


def test_figures_without_a_proper_interval_count_as_none(tmp_path: Path) -> None:
    wrong = {"granted": [0.01, 0.02, 0.03], "refused": [0.0, 0.0, 0.1], "ratio": None}
    row = {"honest": 10, "rejected": wrong, "reviewed": wrong}
    write_parity(tmp_path, measured(phases={"pre_auth": row}))
    assert read_parity(tmp_path, MODEL, TREE) == {}
