"""Rate limits of keys and of persons."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from riskgraph.core.errors import TooManyRequests
from riskgraph.core.order import Entities
from riskgraph.core.report import Counterfactual, DecisionReport
from riskgraph.core.verdict import Verdict, Walk
from riskgraph.governance.limits import HOUR_S, SUBJECT_REPORTS, SubjectReports
from tests.explainers.helpers import some_order, some_record

REVIEWED = Walk(Verdict.REVIEW, "hold", ("leaf:review",))
TOLD = Counterfactual(("card_details",), Verdict.ACCEPT, "exact", 1)


class Time(SimpleNamespace):
    at = 0.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


def report(account: bytes | None, told: Counterfactual | None = TOLD, seed: int = 0) -> DecisionReport:
    order = some_order(entities=Entities(account=account))
    return some_record(seed, order=order, walk=REVIEWED, counterfactual=told)


def test_a_person_is_told_what_would_have_changed_a_decision_so_often_an_hour() -> None:
    time = Time()
    reports = SubjectReports(time)
    for seed in range(SUBJECT_REPORTS):
        reports.count(report(b"a" * 32, seed=seed % 3))
    with pytest.raises(TooManyRequests, match="20 calls in 3600 s") as refused:
        reports.count(report(b"a" * 32, seed=9))
    assert 0 < refused.value.retry_after_s <= HOUR_S
    reports.count(report(b"b" * 32))
    time.at += refused.value.retry_after_s
    reports.count(report(b"a" * 32, seed=9))


def test_reports_without_a_counterfactual_are_not_counted() -> None:
    reports = SubjectReports(Time())
    for _ in range(3 * SUBJECT_REPORTS):
        reports.count(report(b"a" * 32, told=None))
    reports.count(report(b"a" * 32))


def test_an_order_without_any_entity_has_a_bucket_of_its_own() -> None:
    reports = SubjectReports(Time())
    for seed in range(2 * SUBJECT_REPORTS):
        reports.count(report(None, seed=seed))
    for _ in range(SUBJECT_REPORTS - 1):
        reports.count(report(None, seed=0))
    with pytest.raises(TooManyRequests):
        reports.count(report(None, seed=0))
