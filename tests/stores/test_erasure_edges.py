"""Erasure where persons share an order, where data come late, and where others hold what is to go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from riskgraph.core.errors import Conflict, NotFound
from riskgraph.core.review import BY_CONTEST, Case, Stands
from riskgraph.ports import ShadowScore
from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.reviews import Contest, Step
from tests.stores.builders import DAY, NOW, an_order, an_outcome, digest
from tests.stores.test_retention import add as add_issued

SECRETS = synthetic_secrets()
ANN, BOB = digest("account", "ann"), digest("account", "bob")
PERIODS = {name: {"CN": 1, "EU": 1, "other": 1} for name in ("report", "contract_record", "optional")}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)) as opened:
        yield opened


def add(store: SqliteStore, name: str, **given: Any) -> str:
    decision = f"d-{name}-{given.get('attempt', 1)}"
    store.append(synthetic_entry(an_order(name, **given), decision))
    return decision


def events(store: SqliteStore) -> list[str]:
    return [json.loads(body)["event"] for (body,) in store._fetch("SELECT body FROM log_records ORDER BY 1")]


def test_a_guest_who_logs_in_for_a_second_attempt_is_erased_by_order_with_all_orders(
    store: SqliteStore,
) -> None:
    add(store, "other")
    add(store, "shared", account=None)
    add(store, "shared", attempt=2)
    assert store.subjects.erase((), ("m|web|shared",), NOW)["decisions"] == 3
    assert store.decisions() == []
    assert store.verify().problems == ()


def test_the_other_person_of_a_shared_order_keeps_further_decisions_readable(store: SqliteStore) -> None:
    mine = add(store, "mine")
    add(store, "shared")
    add(store, "shared", attempt=2, account="bob")
    store.subjects.erase((BOB,), (), NOW)
    assert [row["decision_id"] for row in store.decisions()] == [mine]
    assert store.read_record(mine) is not None
    assert store.verify().problems == ()


def test_an_order_that_retention_took_first_still_leads_to_its_person(store: SqliteStore) -> None:
    add(store, "old", ago=1 * DAY)
    add(store, "new")
    writer = store._writer
    writer.call(lambda connection, _: connection.execute("DELETE FROM orders WHERE ts < ?", (NOW,))).result()
    assert store.subjects.erase((), ("m|web|old",), NOW)["decisions"] == 2
    assert store.verify().problems == ()


def test_nothing_can_be_added_to_a_decision_that_was_erased(store: SqliteStore) -> None:
    name = add(store, "late")
    store.append_shadow([ShadowScore(name, "other", "00", 0.5, "review", None)])
    opening = Case(name, "m", "m|web|late", "CN", BY_CONTEST, NOW, Stands("review", "hold", "enforce"))
    contest = Contest("person", "look again", "en", "link", NOW, NOW + DAY)
    store.subjects.erase((ANN,), (), NOW)
    store.append_shadow([ShadowScore(name, "other", "00", 0.5, "review", None)])
    with pytest.raises(NotFound):
        store.reviews.file(opening, contest)
    with pytest.raises(NotFound):
        store.reviews.step(opening, Step("noted", "r-1", NOW, lambda case: case, {}))
    for table in ("shadow_scores", "contests", "reviews", "review_events"):
        assert store._fetch(f"SELECT * FROM {table}") == []


def test_retention_takes_what_hangs_on_decisions_that_are_gone(store: SqliteStore) -> None:
    connection = apsw.Connection(str(store.path))
    connection.execute(
        "CREATE TABLE notes(decision_id TEXT, words TEXT); INSERT INTO notes VALUES('d-gone', 'x')"
    )
    connection.close()
    store.retention.remove(store.retention.due(PERIODS, NOW), NOW)
    assert store._fetch("SELECT * FROM notes") == []


def test_a_hold_on_a_guests_order_keeps_order_outcomes_and_report_against_retention(
    store: SqliteStore,
) -> None:
    for name in ("kept", "gone"):
        add_issued(store, name, days=9, account=None)
    store.append_outcomes([an_outcome("kept", "paid"), an_outcome("gone", "paid")])
    store.subjects.hold((), ("m|web|kept",), "legal_claim", "counsel", NOW, None)
    later = NOW + 300 * DAY
    store.retention.remove(store.retention.due(PERIODS, later), later)
    assert store._fetch("SELECT key FROM orders") == [("m|web|kept",)]
    assert store._fetch("SELECT order_key FROM outcomes") == [("m|web|kept",)]
    assert [row["decision_id"] for row in store.decisions()] == ["d-kept"]


def test_a_command_beside_a_service_does_not_rewrite_the_file_at_its_opening(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteStore(path, SECRETS)) as store:
        add(store, "a1")
        store.subjects.erase((ANN,), (), NOW, wipe=False)
    with closing(SqliteStore(path, SECRETS, wipe=False)) as store:
        assert store._fetch("SELECT count(*) FROM purge_due") == [(1,)]
    with closing(SqliteStore(path, SECRETS)) as store:
        assert store._fetch("SELECT count(*) FROM purge_due") == [(0,)]


def test_another_process_forgets_a_person_of_whom_no_decision_was_held(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteStore(path, SECRETS)) as one:
        one.load([an_order("past", ago=DAY, address="x")], [], lambda *_: None)
        with closing(SqliteStore(path, SECRETS)) as two:
            forgotten: list[str] = []
            two.when_erased.append(lambda: forgotten.append("all"))
            one.subjects.erase((ANN,), (), NOW)
            add(two, "next", account="bob")
            assert forgotten == ["all"]
    assert events_of(path) == ["erased"]


def events_of(path: Path) -> list[str]:
    with closing(SqliteStore(path, SECRETS)) as store:
        return events(store)


def test_holds_their_end_and_refused_erasures_are_on_record_without_a_name(store: SqliteStore) -> None:
    add(store, "a1")
    store.subjects.hold((ANN,), (), "legal_claim", "counsel", NOW, None)
    with pytest.raises(Conflict):
        store.subjects.erase((ANN,), (), NOW)
    store.subjects.release((ANN,), (), NOW)
    assert sorted(events(store)) == ["erasure_refused", "held", "released"]
    assert all(b"ann" not in body for (body,) in store._fetch("SELECT body FROM log_records"))
    assert store.verify().problems == ()
