"""The embedded store when things go wrong, and what it keeps besides orders."""

from __future__ import annotations

import stat
import time
from contextlib import closing
from functools import partial
from threading import Event, Thread

import apsw
import pytest

from riskgraph.core.errors import Invalid, StorageUnavailable
from riskgraph.core.past import PastOrder
from riskgraph.ports import ShadowScore
from riskgraph.stores import open_store, reads, shadow
from riskgraph.stores.codec import encode_past
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.insert import insert, present
from riskgraph.stores.schema import check_sqlite
from riskgraph.stores.sqlite import SqliteStore
from tests.stores.builders import DAY, an_order, an_outcome, digest

KEY = {"key_id": "k1", "hash": "00", "roles": ["checkout"], "org": "m", "region": [], "line": [],
       "purpose": [], "limits": {"per_second": 50}, "expires": None}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    opened = SqliteStore(path, synthetic_secrets())
    yield opened
    opened.close()


def entry(name, **given):
    return synthetic_entry(an_order(name, **given), f"d-{name}")


def on_writer(store, sql):
    """Run a statement on the writing connection."""
    store._writer.call(lambda connection, after: connection.execute(sql).get).result()


def test_a_full_disk_commits_nothing_and_the_store_works_again_after_it(store):
    store.append(entry("a"))
    on_writer(store, "PRAGMA max_page_count=1")
    failures = [store.submit(entry(f"full-{i}")).exception() for i in range(100)]
    refused = [i for i, error in enumerate(failures) if isinstance(error, StorageUnavailable)]
    assert refused
    assert "FullError" in str(failures[refused[0]])
    assert all(store.read_record(f"d-full-{i}") is None for i in refused)
    on_writer(store, "PRAGMA max_page_count=100000")
    store.append(entry(f"full-{refused[0]}"))
    assert store.read_record(f"d-full-{refused[0]}") is not None
    assert store.integrity_problems() == []


def test_scores_of_challengers_that_cannot_be_kept_take_no_decision_with_them(store):
    on_writer(store, "CREATE TABLE shadow_scores(decision_id TEXT)")
    busy = Event()
    store._writer.call(lambda connection, after: busy.wait(5))
    # All in one batch, since the writer is held up until they are queued.
    before = store.submit(entry("before"))
    row = ShadowScore("d-before", "other", "00", 0.5, "review", None)
    kept = store._writer.call(partial(shadow.write, (row,)))
    after = store.submit(entry("after"))
    busy.set()
    assert isinstance(kept.exception(), StorageUnavailable)
    assert (before.exception(), after.exception()) == (None, None)
    assert len(store.decisions()) == 2


def test_a_read_only_disk_is_an_error_that_passes(store):
    on_writer(store, "PRAGMA query_only=1")
    with pytest.raises(StorageUnavailable, match="ReadOnlyError"):
        store.append(entry("a"))
    assert store.context(an_order(card="c")).values["B133"]["orders_30d"] == 0
    # Inside the writer's transaction nothing can be begun for writing, so it is lifted from outside.
    store._writer._connection.execute("PRAGMA query_only=0")
    store.append(entry("a"))
    assert store.decisions()


def test_a_failed_batch_leaves_no_trace_in_memory(store):
    on_writer(store, "PRAGMA query_only=1")
    store.submit(entry("a", account="bob")).exception()
    assert store._indexes.activity.first("m") is None


def corrupt(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def filled(path):
    store = SqliteStore(path, synthetic_secrets())
    for i in range(40):
        store.append(entry(f"o{i}"))
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize(("at", "data"), [(0, b"nothing like a database"), (4096 * 3, b"\xff" * 4096 * 6)])
def test_a_corrupt_file_is_refused_and_kept_as_it_was(path, at, data):
    filled(path)
    corrupt(path, at, data)
    before = path.read_bytes()
    with pytest.raises(StorageUnavailable, match=str(path)):
        SqliteStore(path, synthetic_secrets())
    assert path.read_bytes() == before


def test_a_truncated_file_is_refused(path):
    whole = filled(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageUnavailable):
        SqliteStore(path, synthetic_secrets())
    assert path.read_bytes() == whole[: len(whole) // 2]


def test_a_foreign_database_is_refused(path):
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE orders(x)")
    connection.close()
    with pytest.raises(StorageUnavailable, match="not a riskgraph store"):
        SqliteStore(path, synthetic_secrets())


def test_a_store_of_another_version_is_refused(path):
    filled(path)
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StorageUnavailable, match="schema 99"):
        SqliteStore(path, synthetic_secrets())


@pytest.mark.parametrize(
    ("version", "good"), [("3.51.2", False), ("3.40.1", False), ("3.51.3", True), ("3.54.1", True)]
)
def test_sqlite_versions_with_the_wal_reset_bug_are_refused(version, good):
    if good:
        check_sqlite(version)
    else:
        with pytest.raises(StorageUnavailable, match=version):
            check_sqlite(version)


def test_commits_are_synced_to_the_disk(store):
    assert store._writer._connection.pragma("synchronous") == 2
    assert store._writer._connection.pragma("journal_mode") == "wal"


def test_only_the_owner_may_read_the_file(store, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_closed_store_says_so(path):
    store = SqliteStore(path, synthetic_secrets())
    store.close()
    store.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        store.append(entry("a"))
    with pytest.raises(StorageUnavailable, match="closed"):
        store.context(an_order())


def test_a_caller_that_gave_up_before_the_write_is_not_written_and_harms_nobody(store):
    started, gate = Event(), Event()
    busy = store._writer.call(lambda connection, after: started.set() or gate.wait(10))
    assert started.wait(10)
    given_up, other = store.submit(entry("gone")), store.submit(entry("next"))
    assert given_up.cancel()
    gate.set()
    assert busy.result() is True
    assert other.exception() is None
    assert store.read_record("d-gone") is None
    assert store.read_record("d-next") is not None


def test_failing_work_does_not_take_others_down(store):
    def refuse(connection, after):
        connection.execute("INSERT INTO merchants VALUES('x', 1)")
        raise Invalid("no")

    failing, good = store._writer.call(refuse), store.submit(entry("a"))
    assert isinstance(failing.exception(), Invalid)
    assert good.exception() is None
    assert store._fetch("SELECT count(*) FROM merchants WHERE merchant='x'") == [(0,)]


def test_events_come_in_order_with_their_subjects_hash_only(store):
    store.append(entry("a", account="ann"))
    store.append_outcomes([an_outcome("a", "refund", reason="quality"), an_outcome("b", "paid")])
    decision, refund, paid = store.events()
    assert decision["type"] == "decision.recorded"
    assert decision["decision_id"] == "d-a"
    assert decision["payload"]["verdict"] == "accept"
    assert decision["subject_key"] == refund["subject_key"] == digest("account", "ann").hex()
    assert refund["type"] == "outcome.recorded"
    assert refund["payload"]["reason"] == "quality"
    assert paid["subject_key"] is None
    assert store.events(after=refund["seq"]) == [paid]
    assert store.events(limit=1) == [decision]


def test_the_meter_counts_decisions_by_merchant_and_key(store):
    for name, ago in (("a", 0), ("b", 2 * DAY)):
        store.append(entry(name, ago=ago))
    store.append(entry("c", merchant_id="other"))
    assert store.metered() == {("m", "key-1"): 2, ("other", "key-1"): 1}
    assert store.metered(since=an_order(ago=DAY).placed_at) == {("m", "key-1"): 1, ("other", "key-1"): 1}


def test_decisions_are_listed_newest_first_by_merchant(store):
    for name in ("a", "b", "c"):
        store.append(entry(name, merchant_id="m2" if name == "c" else "m"))
    assert [row["decision_id"] for row in store.decisions("m", limit=5)] == ["d-b", "d-a"]
    assert [row["decision_id"] for row in store.decisions(limit=1)] == ["d-c"]


def test_keys_are_stored_listed_replaced_and_revoked(store):
    store.put_key(KEY)
    assert store.get_key("k1") == {**KEY, "revoked": False}
    store.put_key({**KEY, "org": "*"})
    assert [key["org"] for key in store.list_keys()] == ["*"]
    assert store.revoke_key("k1") is True
    assert store.get_key("k1")["revoked"] is True
    assert store.revoke_key("k2") is False
    assert store.get_key("k2") is None


def test_a_key_revoked_by_another_process_is_refused_within_a_second(store, monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    store.put_key(KEY)
    assert not store.get_key("k1")["revoked"]
    with closing(SqliteStore(store.path, synthetic_secrets())) as other:
        assert other.revoke_key("k1")
    now += 1.0
    assert store.get_key("k1")["revoked"]


def test_a_store_is_opened_by_its_url(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/deep/er/store.db", synthetic_secrets())
    assert (tmp_path / "deep/er/store.db").exists()
    store.close()


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("redis://x", "redis"),
        ("store.db", "store.db"),
        ("sqlite:///", "path"),
        ("sqlite:///:memory:", "path"),
    ],
)
def test_an_unusable_store_url_is_named(url, names):
    with pytest.raises(Invalid, match=names):
        open_store(url, synthetic_secrets())


def test_a_path_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageUnavailable):
        SqliteStore(tmp_path / "file" / "store.db", synthetic_secrets())


@pytest.mark.parametrize("count", [0, 1, 3, 64, 200])
def test_rows_are_inserted_and_found_in_pieces_of_any_size(count):
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t(name TEXT, n INT)")
    names = [f"n{i}" for i in range(count)]
    insert(connection, "t(name, n)", [(name, i) for i, name in enumerate(names)])
    assert connection.execute("SELECT count(*), coalesce(sum(n), 0) FROM t").fetchone() == (
        count,
        sum(range(count)),
    )
    assert present(connection, "t", "name", [*names, "other"]) == set(names)


def test_a_store_closes_while_a_thread_reads_it(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synthetic_secrets())
    reading, go_on, told = Event(), Event(), []

    def hold(*_):
        reading.set()
        go_on.wait()

    def work(connection):
        connection.create_scalar_function("hold", hold)
        return connection.execute("SELECT hold()").get

    def read():
        try:
            store._read(work)
        except StorageUnavailable as wrong:
            told.append(wrong)

    thread = Thread(target=read)
    thread.start()
    try:
        assert reading.wait(60)
        store.close()
        assert not store._writer._thread.is_alive()
    finally:
        go_on.set()
        thread.join()
        store._writer.close()
    assert len(told) == 1


def test_an_order_that_was_read_before_shows_what_was_reported_since(store):
    store.append(entry("a", ago=DAY))
    later = an_order("b")
    before = store.context(later)
    assert store.context(later).values == before.values
    store.append_outcomes([an_outcome("a", "confirmed_fraud", ago=60.0)])
    assert (before.values["B136"], store.context(later).values["B136"]) == ("3+", "1")


def test_orders_that_are_kept_decoded_are_told_by_their_bytes_and_stay_few(monkeypatch):
    monkeypatch.setattr(reads, "DECODED", 2)
    kept = reads.Decoded()
    facts = {name: encode_past(PastOrder.of(an_order(name))) for name in "abc"}
    first = kept.get(1, facts["a"])
    assert kept.get(1, facts["a"]) is first
    assert kept.get(1, facts["b"]).key != first.key
    kept.get(2, facts["b"])
    kept.get(3, facts["c"])
    assert kept.get(1, facts["a"]) is not first
