"""What refusing costs is measured on the same orders, and over HTTP the service answers as the batch does."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the bench needs the extra lab")

from riskgraph.bench.refusal import NAMES, measure


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
