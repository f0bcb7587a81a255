"""What refusing costs is measured on the same orders, and over HTTP the service answers as the batch does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the bench needs the extra lab")

from riskgraph import bootstrap
from riskgraph.bench.parity import put_on_file, rows
from riskgraph.bench.refusal import NAMES, measure
from riskgraph.models.parity import read_parity


@pytest.mark.slow
def test_each_order_is_judged_twice_and_http_agrees_with_the_batch(tmp_path: Path) -> None:
    steps = set()
    figures = {
        f.name: f for f in measure(tmp_path, lambda step, *_: steps.add(step), orders=8_000, over_http=20)
    }
    assert tuple(figures) == NAMES
    assert figures["refusal_http_equal"].value == 1
    recall = figures["refused_recall"]
    assert recall.lower <= recall.value <= recall.upper
    assert 0 < recall.baseline <= 1
    for name in ("refusal_fpr_ratio", "refusal_review_ratio"):
        assert "refusing" in figures[name].note
        assert "simulated" in figures[name].note
    assert {"http, as given", "http, refusing"} <= steps


@pytest.mark.slow
def test_parity_is_measured_by_phase_and_put_on_file_beside_the_model(tmp_path: Path) -> None:
    folder = shutil.copytree(bootstrap.shipped_champion(), tmp_path / "model")
    settings = bootstrap.simulated_settings(tmp_path / "home")
    made = put_on_file(folder, settings, lambda *_: None, config="world-2", seed=5, orders=8_000)
    filed = read_parity(folder, made["model_sha256"], made["tree_sha256"])
    assert set(filed) == set(made["phases"])
    assert filed["pre_auth"]["provenance"] == "simulated"
    assert len(rows(made["phases"])) == 2 * len(filed)
    for row in filed.values():
        for verdict in ("rejected", "reviewed"):
            value, lower, upper = row[verdict]["granted"]
            assert lower <= value <= upper <= 1
            if row[verdict]["refused"][0] == 0:
                assert row[verdict]["ratio"] is None
