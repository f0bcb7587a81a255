"""A label exists from its report on, never before."""

from __future__ import annotations

import pytest

from riskgraph.core.outcome import CLEAN_AFTER_S, Outcome, label_at

DAY = 86_400.0


def outcome(kind, reported, *, effective=None, name="o-1", reverses=None):
    return Outcome(
        name, "m|c|o", kind, reported if effective is None else effective, reported, reverses=reverses
    )


@pytest.mark.parametrize("kind", ["chargeback_fraud", "confirmed_fraud"])
def test_a_fraud_label_exists_from_its_report_on(kind):
    facts = [outcome(kind, 10 * DAY, effective=1 * DAY)]
    assert label_at(facts, 10 * DAY - 1) is None
    assert label_at(facts, 10 * DAY) == 1


def test_a_delivered_order_is_clean_after_sixty_quiet_days():
    facts = [outcome("paid", 0), outcome("delivered", 2 * DAY, name="o-2")]
    assert label_at(facts, 2 * DAY + CLEAN_AFTER_S - 1) is None
    assert label_at(facts, 2 * DAY + CLEAN_AFTER_S) == 0


@pytest.mark.parametrize("kind", ["refund", "claim", "chargeback_other"])
def test_a_disputed_order_stays_unlabelled(kind):
    facts = [outcome("paid", 0), outcome("delivered", DAY, name="o-2"), outcome(kind, 3 * DAY, name="o-3")]
    assert label_at(facts, 400 * DAY) is None


def test_a_reversed_outcome_counts_only_until_its_reversal_is_reported():
    facts = [
        outcome("chargeback_fraud", DAY),
        outcome("chargeback_fraud", 5 * DAY, name="o-2", reverses="o-1"),
    ]
    assert label_at(facts, 2 * DAY) == 1
    assert label_at(facts, 5 * DAY) is None


def test_an_order_without_outcomes_has_no_label():
    assert label_at([], 1e12) is None
