"""Erased is erased: in rows, files and memory, with the log still whole; and what may be kept is kept."""

from __future__ import annotations

import json
from contextlib import closing
from hashlib import sha256

import apsw
import pytest

from riskgraph.bench.explain_integrity import count_in_files, entry, needles, populated
from riskgraph.core.errors import Conflict
from riskgraph.ports import ShadowScore
from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.erasure import REQUEST
from riskgraph.stores.verify import verify_file
from tests.stores.builders import NOW, an_order, an_outcome, digest

SECRETS = synthetic_secrets()
ANN, BOB = digest("account", "ann"), digest("account", "bob")


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)) as opened:
        yield opened


def add(store, name, **given):
    made = synthetic_entry(an_order(name, **given), f"d-{name}")
    store.append(made)
    return made


def table(store, query, *args):
    return store._fetch(query, *args)


def test_a_person_is_taken_out_of_every_table_and_others_stay(store):
    add(store, "a1", device="d", address="x", bands=tuple(range(16)))
    add(store, "a2", ago=5.0)
    add(store, "b1", account="bob", device="d")
    store.append_outcomes([an_outcome("a1", "chargeback_fraud"), an_outcome("b1", "paid")])
    store.append_shadow([ShadowScore("d-a1", "m", "00", 0.5, "review", None)])
    done = store.subjects.erase((ANN,), (), NOW)
    assert (done["orders"], done["decisions"], done["outcomes"], done["wiped"]) == (2, 2, 1, True)
    assert [row["decision_id"] for row in store.decisions()] == ["d-b1"]
    assert table(store, "SELECT key FROM orders") == [("m|web|b1",)]
    for name in ("outcomes", "oe"):
        assert "ann" not in str(table(store, f"SELECT * FROM {name}"))
    for name in ("spellings", "shadow_scores", "fraud_orders"):
        assert table(store, f"SELECT * FROM {name}") == []
    assert table(store, "SELECT subject FROM subject_keys") == [(BOB,)]
    assert store.read_record("d-a1") is None
    assert store.read_record("d-b1").report.decision_id == "d-b1"


def test_no_byte_of_an_erased_person_is_left_in_any_file(tmp_path):
    with closing(populated(tmp_path / "store.db", SECRETS)) as store:
        mine = needles(store, 0)
        assert count_in_files(mine, tmp_path) > 0
        account = entry(0, 0).order.entities.account
        store.subjects.erase((account,), (), NOW)
        assert count_in_files(mine, tmp_path) == 0
        store.append(entry(99, 0))
    assert count_in_files(mine, tmp_path) == 0
    assert verify_file(tmp_path / "store.db", SECRETS).problems == ()


def test_what_was_erased_before_a_kill_is_wiped_at_the_next_start(tmp_path):
    with closing(populated(tmp_path / "store.db", SECRETS)) as store:
        mine = needles(store, 0)
        account = entry(0, 0).order.entities.account
        assert store.subjects.erase((account,), (), NOW, wipe=False)["wiped"] is False
        assert count_in_files(mine, tmp_path) > 0
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)):
        assert count_in_files(mine, tmp_path) == 0


def test_the_log_still_verifies_and_says_what_was_erased(store):
    for name in ("a1", "a2", "b1"):
        add(store, name, account="bob" if name == "b1" else "ann")
    store.subjects.erase((ANN,), (), NOW)
    found = store.verify()
    assert (found.decisions, found.erased, found.records, found.problems) == (1, 2, 1, ())
    (body,) = table(store, "SELECT body FROM log_records")[0]
    told = json.loads(body)
    assert (told["event"], told["ground"], told["leaves"]) == ("erased", REQUEST, [[0, 1]])


def test_a_decision_brought_back_after_its_erasure_is_found(store, tmp_path):
    add(store, "a1")
    row = table(store, "SELECT * FROM decisions")[0]
    store.subjects.erase((ANN,), (), NOW)
    store.close()
    connection = apsw.Connection(str(tmp_path / "store.db"))
    connection.execute(f"INSERT INTO decisions VALUES({','.join('?' * len(row))})", row)
    connection.close()
    (problem,) = verify_file(tmp_path / "store.db", SECRETS).problems
    assert (problem.seq, problem.decision_id) == (0, "d-a1")
    assert "still there" in problem.problem


def test_erasing_twice_changes_nothing_more(store):
    add(store, "a1")
    store.subjects.erase((ANN,), (), NOW)
    events, head = store.events(), store.verify().head
    done = store.subjects.erase((ANN,), ("m|web|a1",), NOW)
    assert (done["orders"], done["decisions"], done["events"]) == (0, 0, 0)
    assert (store.events(), store.verify().head) == (events, head)


def test_readers_of_the_outbox_are_told_without_being_told_who(store):
    add(store, "a1")
    last = store.events()[-1]["seq"]
    store.subjects.erase((ANN,), (), NOW)
    (event,) = store.events()
    assert event["seq"] > last
    assert (event["type"], event["subject_key"], event["decision_id"]) == ("subject.erased", None, None)
    assert event["payload"]["subject_sha256"] == [sha256(ANN).hexdigest()]
    assert event["payload"]["decision_sha256"] == [sha256(b"d-a1").hexdigest()]


def test_an_order_leads_to_the_person_behind_it(store):
    add(store, "a1")
    add(store, "a2")
    done = store.subjects.erase((), ("m|web|a1",), NOW)
    assert done["decisions"] == 2


def test_a_guest_is_the_one_order(store):
    add(store, "g1", account=None, phone="p")
    add(store, "g2", account=None, phone="p")
    assert store.subjects.erase((), ("m|web|g1",), NOW)["decisions"] == 1
    assert [row["decision_id"] for row in store.decisions()] == ["d-g2"]
    assert store.verify().problems == ()


def test_all_attempts_of_an_order_go_together(store):
    add(store, "a1")
    store.append(synthetic_entry(an_order("a1", attempt=2), "d-a1-again"))
    assert store.subjects.erase((ANN,), (), NOW)["decisions"] == 2
    assert store.decisions() == []


def test_outcomes_of_an_order_that_was_never_filed_go_too(store):
    store.append_outcomes([an_outcome("lost", "chargeback_fraud")])
    assert store.subjects.erase((), ("m|web|lost",), NOW)["outcomes"] == 1
    assert "lost" not in str(store.events())


def test_later_decisions_know_nothing_of_an_erased_person(store):
    add(store, "a1", ago=3600.0, card="c")
    store.append_outcomes([an_outcome("a1", "chargeback_fraud", ago=60.0)])
    before = store.context(an_order("now", account="bob", card="c")).values
    assert (before["B136"], before["B133"]["orders_30d"]) == ("1", 1)
    store.subjects.erase((ANN,), (), NOW)
    after = store.context(an_order("now", account="bob", card="c")).values
    assert (after["B136"], after["B133"]["orders_30d"]) == ("3+", 0)


def test_a_service_takes_over_what_another_process_has_erased(store, tmp_path):
    add(store, "a1", ago=3600.0, card="c")
    store.append_outcomes([an_outcome("a1", "chargeback_fraud", ago=60.0)])
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)) as other:
        other.subjects.erase((ANN,), (), NOW)
    add(store, "a9", ago=10.0)
    assert store.context(an_order("now", account="bob", card="c")).values["B136"] == "3+"
    assert store.read_record("d-a9") is not None
    assert store.verify().problems == ()


def test_the_bill_keeps_the_call_and_loses_the_order(store):
    add(store, "a1")
    store.subjects.erase((ANN,), (), NOW)
    assert store.metered() == {("m", "key-1"): 1}
    ((at, decision_id),) = table(store, "SELECT ts, decision_id FROM meter")
    assert (at % 86_400, decision_id) == (0, "")


def test_an_order_sent_again_after_an_erasure_is_a_new_one(store):
    add(store, "a1")
    store.subjects.erase((ANN,), (), NOW)
    add(store, "a1")
    assert store.verify().problems == ()
    assert [row["decision_id"] for row in store.decisions()] == ["d-a1"]


def test_what_is_held_is_kept_and_says_by_whom(store):
    add(store, "a1")
    assert store.subjects.hold((ANN,), (), "legal_claim", "counsel", NOW, NOW + 10.0) == 1
    with pytest.raises(Conflict, match="counsel") as refused:
        store.subjects.erase((ANN,), (), NOW)
    assert refused.value.code == "legal_hold"
    assert len(store.decisions()) == 1
    assert store.subjects.erase((ANN,), (), NOW + 10.0)["decisions"] == 1
    assert table(store, "SELECT * FROM holds") == []


def test_a_hold_ends_when_it_is_released(store):
    add(store, "a1")
    store.subjects.hold((), ("m|web|a1",), "legal_duty", "counsel", NOW, None)
    assert store.subjects.release((ANN,), (), NOW) == 1
    assert store.subjects.erase((ANN,), (), NOW)["decisions"] == 1


def test_every_table_that_hangs_on_decisions_is_reached(store):
    statement = "CREATE TABLE notes(decision_id TEXT, words TEXT); INSERT INTO notes VALUES('d-a1', 'x')"
    store._writer.call(lambda connection, after: connection.execute(statement)).result()
    add(store, "a1")
    assert store.subjects.held((ANN,), (), NOW).others["notes"] == [{"decision_id": "d-a1", "words": "x"}]
    store.subjects.erase((ANN,), (), NOW)
    assert table(store, "SELECT * FROM notes") == []
