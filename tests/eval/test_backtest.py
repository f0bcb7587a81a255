from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.eval.backtest import BacktestResult, Origin
from riskgraph.eval.rules import RULES, FlatRules
from riskgraph.eval.window import Window
from tests.eval.backtest_toy import KNOWN_AT, WINDOW, Toy, ToyScorer, backtest, bands


def expected(toy: Toy) -> tuple[np.ndarray, np.ndarray]:
    """Probability and truth of the window, computed plainly."""
    inside = WINDOW.mask(toy.table.placed_at)
    fraud = dict(zip(toy.truth.order_id, toy.truth.is_fraud, strict=True))
    _, probability = ToyScorer().score_batch(toy.table.components[inside], None)
    return probability, np.array([fraud[i] for i in toy.table.order_id[inside]])


def test_the_area_of_the_report_is_that_of_scikit_learn(toy: Toy, report_once: BacktestResult):
    probability, fraud = expected(toy)
    area = report_once.report["metrics"]["ranking"]["auc"]
    assert area["value"] == pytest.approx(roc_auc_score(fraud, probability), abs=1e-12)
    assert area["lower"] < area["value"] < area["upper"]


def test_counts_at_the_frozen_thresholds_are_those_of_the_verdicts(toy: Toy, report_once: BacktestResult):
    probability, fraud = expected(toy)
    frozen = report_once.report["metrics"]["frozen"]
    for kind, limit in (("reject", 0.9), ("reject_or_review", 0.6)):
        assert frozen[kind]["tp"] == (fraud & (probability >= limit)).sum()
        assert frozen[kind]["fp"] == (~fraud & (probability >= limit)).sum()
        assert frozen[kind]["recall"]["value"] == pytest.approx((probability[fraud] >= limit).mean())
    review = (~fraud & (probability >= 0.6) & (probability < 0.9)).sum() / (~fraud).sum()
    assert report_once.report["metrics"]["review_share_honest"]["value"] == pytest.approx(review)


def test_a_gate_that_softens_rejects_changes_the_verdicts_and_is_counted(toy: Toy, tmp_path: Path):
    def gated(table: Any, probability: Any) -> Any:
        verdict = bands(table, probability)
        verdict[(verdict == "reject") & (probability < 0.97)] = "review"
        return verdict

    probability, fraud = expected(toy)
    metrics = backtest(toy, tmp_path / "r", verdicts=gated, reps=20).report["metrics"]
    softened = (probability >= 0.9) & (probability < 0.97)
    assert metrics["softened_by_a_gate"]["fraud"] == (softened & fraud).sum() > 0
    assert metrics["frozen"]["reject"]["tp"] == (fraud & (probability >= 0.97)).sum()


def test_a_report_on_simulated_orders_says_so(report_once: BacktestResult):
    assert report_once.report["simulated"] is True
    assert report_once.report["notice"].startswith("Simulated")
    assert "SIMULATED" in (report_once.path / "report.html").read_text("utf-8")


def test_slices_add_up_to_the_whole(report_once: BacktestResult):
    report = report_once.report
    slices, metrics = report["slices"], report["metrics"]
    assert sum(r["orders"] for r in slices["archetype"]) == metrics["fraud"]
    assert sum(r["orders"] for r in slices["camouflage"]) == metrics["fraud"]
    assert sum(r["orders"] for r in slices["honest_type"]) == metrics["honest"]
    assert sum(r["orders"] for r in slices["gang_novelty"]) == metrics["fraud"]
    for name in ("availability", "week"):
        assert sum(r["orders"] for r in slices[name]) == report["rows"]["used"]
        assert sum(r["fraud"] for r in slices[name]) == metrics["fraud"]


def test_recall_falls_as_camouflage_grows(report_once: BacktestResult):
    steps = report_once.report["slices"]["camouflage"]
    assert [s["mean"] for s in steps] == sorted(s["mean"] for s in steps)
    assert steps[0]["recall_reject"]["value"] > 0.9
    assert steps[-1]["recall_reject"]["value"] < 0.3


def test_weeks_start_on_monday(report_once: BacktestResult):
    weeks = [date.fromisoformat(r["week"]) for r in report_once.report["slices"]["week"]]
    assert {w.weekday() for w in weeks} == {0}
    assert weeks == sorted(set(weeks))


def test_a_baseline_as_good_as_the_model_is_not_said_to_be_beaten(toy: Toy, tmp_path: Path):
    others = {"gbdt": ToyScorer(name="gbdt-1"), "poor": ToyScorer(noise=6.0)}
    result = backtest(toy, tmp_path / "r", baselines=others)
    outcome = {b["name"]: b["outcome"] for b in result.report["baselines"]}
    assert outcome == {"flat_rules": "model_beats", "gbdt": "no_difference_shown", "poor": "model_beats"}
    assert "The model does not beat gbdt" in (result.path / "report.html").read_text("utf-8")


def test_a_model_that_is_beaten_is_said_to_be_beaten(toy: Toy, tmp_path: Path):
    result = backtest(toy, tmp_path / "r", scorer=ToyScorer(noise=6.0), baselines={"gbdt": ToyScorer()})
    outcome = {b["name"]: b["outcome"] for b in result.report["baselines"]}
    assert outcome["gbdt"] == "model_is_beaten"


def test_a_window_inside_the_training_time_is_refused(toy: Toy, tmp_path: Path):
    origin = Origin("simulated", KNOWN_AT, trained_until=date(2026, 7, 1))
    with pytest.raises(Invalid, match="out of time"):
        backtest(toy, tmp_path / "r", origin=origin)
    assert list(tmp_path.iterdir()) == []


def test_a_report_without_a_training_cut_off_does_not_claim_to_be_out_of_time(toy: Toy, tmp_path: Path):
    result = backtest(toy, tmp_path / "r", origin=Origin("simulated", KNOWN_AT), reps=20)
    assert result.report["out_of_time"] == {"trained_until": None, "shown": False}
    assert "does not show it to be out of time" in (result.path / "report.html").read_text("utf-8")


def test_a_merchants_history_is_judged_by_labels_and_gives_no_scores(toy: Toy, tmp_path: Path):
    origin = Origin("merchant", KNOWN_AT, trained_until=date(2026, 6, 30))
    result = backtest(toy, tmp_path / "r", truth=None, origin=origin, reps=50)
    assert result.report["simulated"] is False
    assert "SIMULATED" not in (result.path / "report.html").read_text("utf-8")
    assert not (result.path / "scores.parquet").exists()
    assert result.report["rows"]["excluded"][-1]["count"] > 0
    assert "archetype" not in result.report["slices"]


def test_of_real_people_no_slice_tells_a_share_of_fewer_than_fifty(toy: Toy, tmp_path: Path):
    def told(origin: Origin, **given: object) -> list[tuple[int, bool]]:
        report = backtest(toy, tmp_path / origin.provenance, origin=origin, reps=50, **given).report
        rows = report["slices"]["availability"] + report["slices"]["week"]
        return [(row["fraud"], row["recall_reject"]["value"] is not None) for row in rows]

    real = told(Origin("merchant", KNOWN_AT, trained_until=date(2026, 6, 30)), truth=None)
    # so few orders of fraud cannot be of fifty persons
    assert not any(said for fraud, said in real if fraud < 50)
    simulated = told(Origin("simulated", KNOWN_AT, trained_until=date(2026, 6, 30)))
    assert any(said for fraud, said in simulated if 0 < fraud < 50)


@pytest.mark.parametrize("provenance", ["simulated", "merchant", "other"])
def test_truth_must_fit_the_provenance(toy: Toy, tmp_path: Path, provenance):
    truth = None if provenance == "simulated" else toy.truth
    with pytest.raises(Invalid) as refused:
        backtest(toy, tmp_path / "r", truth=truth, origin=Origin(provenance, KNOWN_AT))
    assert refused.value.field == "provenance"


def test_a_window_without_orders_is_refused(toy: Toy, tmp_path: Path):
    with pytest.raises(Invalid, match="needs both"):
        backtest(toy, tmp_path / "r", window=Window(date(2027, 1, 1), date(2027, 1, 2)))


def test_a_label_cut_off_without_a_time_zone_is_refused(toy: Toy, tmp_path: Path):
    with pytest.raises(Invalid, match="time zone"):
        backtest(toy, tmp_path / "r", origin=Origin("simulated", datetime(2026, 11, 1)))


def test_verdicts_that_are_not_verdicts_stop_the_backtest(toy: Toy, tmp_path: Path):
    with pytest.raises(CheckFailed, match="verdicts"):
        backtest(
            toy, tmp_path / "r", verdicts=lambda table, probability: np.full(len(table), "maybe", object)
        )
    with pytest.raises(CheckFailed, match="verdicts"):
        backtest(toy, tmp_path / "r", verdicts=lambda table, probability: np.full(3, "accept", object))


def test_a_language_that_is_not_there_is_refused(toy: Toy, tmp_path: Path):
    with pytest.raises(Invalid, match="'fr'"):
        backtest(toy, tmp_path / "r", lang="fr")


def test_headings_come_in_chinese(toy: Toy, tmp_path: Path):
    page = (backtest(toy, tmp_path / "r", lang="zh", reps=20).path / "report.html").read_text("utf-8")
    assert '<html lang="zh-CN">' in page
    assert "冻结阈值下的决策" in page
    assert "模拟数据" in page


def test_flat_rules_name_real_components_and_add_their_points():
    row = np.full((2, len(catalog().components)), np.nan, dtype=np.float32)
    for name, limit, _ in RULES:
        words = catalog()[name.split(".")[0]].words
        value = words.index(limit) if isinstance(limit, str) else limit
        row[1, catalog().component_index[name]] = value
    points, probability = FlatRules().score_batch(row, np.full(2, "pre_auth/front_end", dtype=object))
    # Two rules each read the number class and the network class: only one of a pair can hold.
    both = 1 + 1
    assert points.tolist() == [0.0, float(sum(worth for _, _, worth in RULES) - both)]
    assert 0.0 == probability[0] < FlatRules().thresholds("any").review < probability[1] < 1.0
