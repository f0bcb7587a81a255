"""What is over its period goes, and only that; the log still verifies, and no byte is left in the file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph import retention
from riskgraph.core.errors import Invalid
from riskgraph.core.past import PastOrder
from riskgraph.core.review import BY_CONTEST, Case, Stands
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.reviews import Contest
from riskgraph.stores.sessions import SessionStore
from tests.stores.builders import DAY, NEEDED, NOW, OPTIONAL, an_order, an_outcome, digest

SECRETS = synthetic_secrets()
PERIODS = {
    "report": {"CN": 100, "EU": 50, "other": 100},
    "contract_record": {"CN": 80, "EU": 60, "other": 80},
    "optional": {"CN": 30, "EU": 20, "other": 30},
}


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)) as opened:
        yield opened


def add(store, name, days, jurisdiction="CN", **given):
    """A decision of an order placed and issued ``days`` before NOW."""
    order = an_order(name, ago=days * DAY, jurisdiction=jurisdiction, **given)
    graph = OrderSubgraph.build({OPTIONAL: 1, NEEDED: 1}, {})
    made = synthetic_entry(order, f"d-{name}", graph)
    issued = datetime.fromtimestamp(order.placed_at, UTC).isoformat()
    told = {**made.decision.report.order, "jurisdiction": jurisdiction}
    report = replace(made.decision.report, issued_at=issued, order=told)
    store.append(replace(made, decision=replace(made.decision, report=report)))


def run(store, at=NOW):
    due = store.retention.due(PERIODS, at)
    return due, store.retention.remove(due, at)


def sessions_of(store):
    return SessionStore(store.path.with_name("riskgraph.db-sessions"))


def reports(store):
    return {row["decision_id"] for row in store.decisions()}


def orders(store):
    return {key.split("|")[2] for (key,) in store._fetch("SELECT key FROM orders")}


def test_each_class_goes_at_the_end_of_its_own_period_by_jurisdiction(store):
    add(store, "new", 1)
    add(store, "optional", 40)
    add(store, "eu", 55, "EU")
    add(store, "contract", 90)
    add(store, "all", 120)
    due, removed = run(store)
    assert removed == {"report": 2, "contract_record": 2, "optional": 2}
    assert reports(store) == {"d-new", "d-optional", "d-contract"}
    assert orders(store) == {"new", "optional", "eu"}
    assert due.counts["report"] == {"EU": 1, "CN": 1}
    found = store.verify()
    assert found.problems == ()
    assert (found.decisions, found.erased) == (3, 2)


def test_a_second_run_finds_nothing(store):
    for days in (10, 40, 90, 120):
        add(store, f"o{days}", days, account=f"a{days}", device=f"v{days}")
    run(store)
    size = store.verify().head.size
    due, removed = run(store)
    assert set(removed.values()) == {0}
    assert (due.reports, due.orders, due.optional) == ([], [], [])
    assert store.verify().head.size == size


def test_optional_values_and_the_device_leave_the_history_and_the_rest_stays(store):
    add(store, "o", 40, device="d", address="x")
    before = store._fetch("SELECT facts FROM orders")[0][0]
    assert digest("device", "d") in before
    run(store)
    graph = store.subgraph("m|web|o")
    assert graph.state(OPTIONAL).word == "not_delivered"
    assert graph.state(NEEDED).word == "present"
    (facts,) = store._fetch("SELECT facts FROM orders")[0]
    assert digest("device", "d") not in facts
    assert digest("address", "x") in facts
    kinds = {kind for (kind,) in store._fetch("SELECT kind FROM oe")}
    assert 1 not in kinds
    assert store.read_record("d-o") is not None


def test_a_dry_run_changes_no_byte(store):
    add(store, "o", 120)
    before = store._fetch("SELECT * FROM orders"), store._fetch("SELECT * FROM decisions")
    told = retention.run(store, sessions_of(store), profile(), Now(), dry_run=True)
    assert told["removed"] is None
    assert told["due"] == {"report": 1, "contract_record": 1, "optional": 0}
    assert (store._fetch("SELECT * FROM orders"), store._fetch("SELECT * FROM decisions")) == before


def test_the_nightly_job_rewrites_the_file_of_sessions_and_a_dry_run_does_not(store, monkeypatch):
    wiped = []
    monkeypatch.setattr(SessionStore, "wipe", lambda sessions: wiped.append(sessions.path.name))
    retention.run(store, sessions_of(store), profile(), Now(), dry_run=True)
    assert wiped == []
    retention.run(store, sessions_of(store), profile(), Now(), dry_run=False)
    assert wiped == ["riskgraph.db-sessions"]


def test_what_somebody_ordered_to_keep_stays_until_that_ends(store):
    add(store, "a", 120)
    add(store, "b", 120, account="bob")
    store.subjects.hold((digest("account", "ann"),), (), "legal_claim", "counsel", NOW, NOW + DAY)
    due, _ = run(store)
    assert due.held == 2
    assert reports(store) == {"d-a"}
    run(store, NOW + 2 * DAY)
    assert reports(store) == set()
    assert store.verify().problems == ()


def test_a_hold_that_comes_after_the_search_is_kept_too(store):
    add(store, "a", 120)
    due = store.retention.due(PERIODS, NOW)
    store.subjects.hold((digest("account", "ann"),), (), "legal_claim", "counsel", NOW, None)
    assert set(store.retention.remove(due, NOW).values()) == {0}
    assert reports(store) == {"d-a"}


def test_a_decision_stays_while_a_person_reviews_it(store):
    add(store, "o", 120)
    case = Case("d-o", "m", "m|web|o", "CN", BY_CONTEST, NOW, Stands("accept", "none", "observe"))
    store.reviews.file(case, Contest("person", "", "en", "page", NOW, NOW + DAY))
    due, removed = run(store)
    assert (due.in_review, removed["report"]) == (1, 0)
    assert reports(store) == {"d-o"}


def test_no_byte_of_what_is_over_is_left_in_any_file(tmp_path):
    path = tmp_path / "store.db"
    with closing(SqliteStore(path, SECRETS)) as store:
        add(store, "gone-order-name", 120, account="gone", device="d")
        add(store, "o", 1, account="bob")
        store.append_outcomes([an_outcome("gone-order-name", "paid", ago=110 * DAY)])
        run(store)
        files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        for needle in (
            b"gone-order-name",
            digest("account", "gone"),
            digest("account", "gone").hex().encode(),
        ):
            assert needle not in files
        assert b"d-o" in files
    with closing(SqliteStore(path, SECRETS)) as store:
        assert store.verify().problems == ()


def test_an_order_of_the_history_without_a_decision_goes_by_the_longest_period(store):
    for name, days in (("kept", 70), ("gone", 81)):
        past = an_order(name, ago=days * DAY, account=name)
        store.load([past], [], lambda *_: None)
        assert PastOrder.of(past).key in {key for (key,) in store._fetch("SELECT key FROM orders")}
    due, _ = run(store)
    assert orders(store) == {"kept"}
    assert due.counts["contract_record"] == {"unknown": 1}


@given(st.integers(0, 200), st.sampled_from(["CN", "EU", "other"]))
def test_a_report_is_over_the_day_after_its_last_one(tmp_path_factory, days, jurisdiction):
    with closing(SqliteStore(tmp_path_factory.mktemp("r") / "s.db", SECRETS)) as store:
        add(store, "o", days, jurisdiction)
        due = store.retention.due(PERIODS, NOW)
    assert bool(due.reports) == (days > PERIODS["report"][jurisdiction])
    assert bool(due.orders) == (days > PERIODS["contract_record"][jurisdiction])


class Now:
    def now(self):
        return NOW

    def monotonic(self):
        return 0.0


def profile(**changes):
    data = dict(MerchantProfile.demo().data)
    rows = {j: {c: {"days": PERIODS[c][j]} for c in PERIODS} for j in ("CN", "EU", "other")}
    return MerchantProfile(data | {"retention": rows} | changes)


@pytest.mark.parametrize("days", [None, 0, -1, 2.5, "90", True])
def test_a_period_that_is_no_number_of_days_is_named(store, days):
    rows = dict(profile().data["retention"])
    rows["EU"] = {**rows["EU"], "report": {"days": days}}
    with pytest.raises(Invalid) as failure:
        retention.run(store, sessions_of(store), profile(retention=rows), Now(), dry_run=True)
    assert failure.value.field == "retention.EU.report.days"
