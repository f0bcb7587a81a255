"""A store of schema 3 is brought up to date whole, or stays as it was."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from hashlib import sha256

import apsw
import pytest

from riskgraph.bench.explain_integrity import count_in_files
from riskgraph.core.door import DIGEST_BYTES
from riskgraph.core.order import Entities
from riskgraph.explainers.record import PSEUDONYM_BYTES
from riskgraph.stores import SqliteStore
from riskgraph.stores.codec import encode_record
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.verify import verify_file
from tests.stores.builders import NOW, an_order, digest

SECRETS = synthetic_secrets()
DECISIONS_3 = """CREATE TABLE decisions(seq INTEGER PRIMARY KEY, decision_id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL, trace_id TEXT NOT NULL, idempotency_key TEXT NOT NULL UNIQUE,
    body_sha256 TEXT NOT NULL, merchant_id TEXT NOT NULL, ts REAL NOT NULL, verdict TEXT NOT NULL,
    answer BLOB NOT NULL, record BLOB NOT NULL)"""
NEW_TABLES = (
    "decisions", "subject_keys", "holds", "purge_due", "log", "log_tiles", "log_records", "tree_head",
    "reviews", "review_events", "contests",
)  # fmt: skip


def store_of_schema_3(path, count):
    """A file as the release before wrote it: reports and answers in the open."""
    made = [
        synthetic_entry(an_order(f"o{i}", account=None if i % 5 == 0 else f"a{i % 3}"), f"d-{i}")
        for i in range(count)
    ]
    return store_of(path, made)


def hashed(account):
    """Other than those of ``builders``, these differ in their first bytes."""
    return None if account is None else sha256(account.encode()).digest()[:DIGEST_BYTES]


def attempt(number, account, order_id="same"):
    """An attempt at one order, with what a record tells of who made it."""
    order = an_order(order_id, attempt=number, entities=Entities(account=hashed(account)))
    entry = synthetic_entry(order, f"d-{order_id}-{number}")
    who = {} if account is None else {"account": hashed(account)[:PSEUDONYM_BYTES].hex()}
    report = entry.decision.report
    report = replace(report, order=report.order | {"entities": who})
    return replace(entry, decision=replace(entry.decision, report=report))


def store_of(path, made):
    with closing(SqliteStore(path, SECRETS)) as store:
        for entry in made:
            store.append(entry)
        rows = store._fetch("SELECT * FROM decisions ORDER BY seq")
    with closing(apsw.Connection(str(path))) as connection:
        for table in NEW_TABLES:
            connection.execute(f"DROP TABLE {table}")
        connection.execute(DECISIONS_3)
        for row, entry in zip(rows, made, strict=True):
            # Numbers as there were, from 1 and with gaps.
            values = (2 * row[0] + 1, *row[1:9], entry.answer, encode_record(entry.decision.report))
            connection.execute(f"INSERT INTO decisions VALUES({','.join('?' * len(values))})", values)
        connection.execute("PRAGMA user_version=3")
    return made


@pytest.mark.parametrize("count", [0, 1, 12, 600])
def test_reports_are_sealed_and_enter_the_log_in_their_order(tmp_path, count):
    made = store_of_schema_3(tmp_path / "store.db", count)
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)) as store:
        found = store.verify()
        assert (found.decisions, found.problems) == (count, ())
        for leaf, entry in enumerate(made[:12]):
            kept = store.read_record(f"d-{leaf}")
            assert (kept.answer, kept.report) == (entry.answer, entry.decision.report)
            assert store.replay(entry.idempotency_key) == (entry.body_sha256, entry.answer)
            assert store.proof(f"d-{leaf}")["leaf_index"] == leaf
        store.append(synthetic_entry(an_order("later"), "d-later"))
        assert store.verify().problems == ()
        assert store.reviews.case("d-1") is None


def test_nothing_of_the_open_reports_is_left_in_the_file(tmp_path):
    made = store_of_schema_3(tmp_path / "store.db", 12)
    told = {entry.answer for entry in made} | {entry.decision.report.phi[:32] for entry in made}
    assert count_in_files(told, tmp_path) > 0
    SqliteStore(tmp_path / "store.db", SECRETS).close()
    assert count_in_files(told, tmp_path) == 0


def test_decisions_belong_to_their_account_afterwards(tmp_path):
    store_of_schema_3(tmp_path / "store.db", 12)
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)) as store:
        assert store.subjects.erase((digest("account", "a1"),), (), NOW)["decisions"] == 3
        assert store.verify().problems == ()


@pytest.mark.parametrize(
    ("first", "second", "account", "others"),
    [
        ("ann", "bob", "bob", ["d-same-1"]),
        ("ann", "bob", "ann", ["d-bobs-1", "d-same-2"]),
        (None, "bob", "bob", ["d-same-1"]),
        ("bob", None, "bob", ["d-same-2"]),
        ("bob", "bob", "bob", []),
    ],
)
def test_each_attempt_belongs_to_the_account_that_made_it(tmp_path, first, second, account, others):
    path = tmp_path / "store.db"
    store_of(path, [attempt(1, first), attempt(2, second), attempt(1, "bob", "bobs")])
    with closing(SqliteStore(path, SECRETS)) as store:
        query = "SELECT decision_id FROM decisions WHERE subject <> ? ORDER BY 1"
        assert [name for (name,) in store._fetch(query, hashed(account))] == others
        assert store.verify().problems == ()


def test_an_attempt_whose_account_is_not_known_stands_alone(tmp_path):
    path = tmp_path / "store.db"
    store_of(path, [attempt(1, "ann"), attempt(2, "eve")])
    with closing(SqliteStore(path, SECRETS)) as store:
        subjects = {row[0] for row in store._fetch("SELECT subject FROM decisions")}
    assert hashed("ann") in subjects
    assert hashed("eve") not in subjects
    assert len(subjects) == 2


class Dying:
    """A signer whose process ends just before the commit."""

    key_id = "dying"

    def sign(self, data: bytes) -> bytes:
        raise KeyboardInterrupt

    def verify(self, data: bytes, signature: bytes) -> bool:
        return False


def test_a_migration_that_is_cut_off_leaves_the_file_as_it_was(tmp_path):
    store_of_schema_3(tmp_path / "store.db", 12)
    with pytest.raises(KeyboardInterrupt):
        SqliteStore(tmp_path / "store.db", replace(SECRETS, signer=Dying()))
    with closing(apsw.Connection(str(tmp_path / "store.db"))) as connection:
        assert connection.pragma("user_version") == 3
        assert connection.execute("SELECT count(*) FROM decisions WHERE length(record) > 0").get == 12
    with closing(SqliteStore(tmp_path / "store.db", SECRETS)) as store:
        assert store.verify().problems == ()


def test_a_store_of_schema_3_is_not_verified_before_it_was_opened(tmp_path):
    store_of_schema_3(tmp_path / "store.db", 1)
    with pytest.raises(Exception, match="open it with riskgraph serve first"):
        verify_file(tmp_path / "store.db", SECRETS)
