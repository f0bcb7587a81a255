"""Objections and cases in the store: one transaction each, a history that grows, erasure that is whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from riskgraph.core import review
from riskgraph.core.errors import Conflict
from riskgraph.core.review import Case, Ruling, Stands
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.reviews import Contest, Step
from riskgraph.stores.sqlite import SqliteStore
from tests.stores.builders import DAY, NOW, an_order

CASE = Case("d-a", "m", "m|web|a", "EU", "reviewer", NOW, Stands("reject", "block", "enforce"))
WORDS = "words-of-the-shopper"
CONTEST = Contest("view", WORDS, "en", "page", NOW, NOW + 30 * DAY)


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "store.db", synthetic_secrets())
    yield opened
    opened.close()


@pytest.fixture
def decided(store):
    """The store with the decisions that are objected to."""
    for name in "ab":
        store.append(synthetic_entry(an_order(name), f"d-{name}"))
    return store


def claim(who: str) -> Step:
    return Step("claimed", who, NOW, partial(review.claim, who=who), {})


def decide(who: str) -> Step:
    ruling = Ruling("overturn", "r", ("e",), "accept")
    change = partial(review.rule, who=who, ruling=ruling, at=NOW)
    return Step("decided", who, NOW, change, {"outcome": "overturn"})


def test_a_case_survives_a_restart_with_its_history(decided):
    decided.reviews.file(CASE, CONTEST)
    case = decided.reviews.step(CASE, claim("ann"))
    decided.close()
    again = SqliteStore(decided.path, synthetic_secrets())
    assert again.reviews.case("d-a") == case
    assert [row["kind"] for row in again.reviews.history("d-a")] == ["contested", "claimed"]
    assert again.reviews.contests("d-a")[0]["text"] == WORDS
    again.close()


def test_of_many_who_claim_at_once_one_gets_the_case(decided):
    def tried(number: int) -> bool:
        try:
            decided.reviews.step(CASE, claim(f"r{number}"))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(tried, range(40)))
    assert sum(won) == 1
    assert decided.reviews.case("d-a").claimed_by == f"r{won.index(True)}"
    assert len(decided.reviews.history("d-a")) == 1


def test_of_many_who_send_the_same_words_at_once_one_is_kept(decided):
    with ThreadPoolExecutor(8) as pool:
        filed = list(pool.map(lambda _: decided.reviews.file(CASE, CONTEST), range(20)))
    assert sum(f.new for f in filed) == 1
    assert len({f.contest_id for f in filed}) == 1


def test_a_step_that_is_refused_leaves_no_trace(decided):
    decided.reviews.step(CASE, claim("ann"))
    before = decided.reviews.history("d-a"), decided.reviews.case("d-a"), decided.events()
    with pytest.raises(Conflict):
        decided.reviews.step(CASE, decide("bob"))
    assert (decided.reviews.history("d-a"), decided.reviews.case("d-a"), decided.events()) == before


def test_the_event_of_a_closed_review_names_the_subject_of_the_order(store):
    store.append(synthetic_entry(an_order("a"), "d-a"))
    store.reviews.step(CASE, claim("ann"))
    store.reviews.step(CASE, decide("ann"))
    made, closed = store.events()
    assert (closed["type"], closed["decision_id"]) == ("review.closed", "d-a")
    assert closed["subject_key"] == made["subject_key"] is not None
    assert WORDS not in str(closed)


def test_a_decision_that_holds_an_order_opens_its_case_in_the_same_transaction(store):
    entry = synthetic_entry(an_order("a"), "d-a")
    report = replace(entry.decision.report, issued_at="2026-11-11T04:03:05.000+00:00")
    held = replace(
        entry, decision=replace(entry.decision, action="hold", report=report), review_due=NOW + DAY
    )
    store.append(held)
    with pytest.raises(Conflict):
        store.append(held)
    (case,) = store.reviews.queue(("open",), None, 10)
    assert (case.decision_id, case.origin, case.due_at) == ("d-a", "hold", NOW + DAY)
    assert [row["kind"] for row in store.reviews.history("d-a")] == ["opened"]


def test_what_is_forgotten_is_gone_from_every_table(decided):
    decided.reviews.file(CASE, CONTEST)
    other = replace(CASE, decision_id="d-b")
    decided.reviews.file(other, replace(CONTEST, text="other"))
    assert decided.reviews.forget(["d-a", "d-none"]) == 1
    assert decided.reviews.case("d-a") is None
    assert decided.reviews.contests("d-a") == decided.reviews.history("d-a") == []
    assert len(decided.reviews.contests("d-b")) == 1
    assert decided.reviews.counts(None, NOW) == {"pending": 1, "overdue": 0}
