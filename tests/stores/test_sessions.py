"""Sessions of the browser SDK: counted once, bound to one order, forgotten in time, and never replayed."""

from __future__ import annotations

import json
import stat
import threading
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.collecting import Collecting
from riskgraph.core.behavior import MAP, Flush, evidence_bits
from riskgraph.core.door import Door
from riskgraph.core.errors import Conflict, Forbidden, SessionExpired, StorageUnavailable
from riskgraph.stores.replays import LEFT_AT_ONCE, LEFT_BY_FLUSHES, PRINT_BYTES, REPLAY_BITS
from riskgraph.stores.sessions import (
    DAY_S,
    EXPIRES_S,
    KEPT_S,
    MAX_FLUSHES,
    PRINTS_S,
    WITHDRAWN_S,
    Session,
    SessionStore,
    _connect,
    hashed,
    order_name,
    used_bytes,
)

NOW = 1_790_000_000.0
DOOR = Door(bytes(range(32)))
GOLDEN = Flush.parse(json.loads((Path(__file__).parents[1] / "golden/flush.json").read_text()))
TOKEN, NONCE = "token-LOOK-FOR-ME", "nonce-LOOK-FOR-ME"


@pytest.fixture
def store(tmp_path):
    with closing(SessionStore(tmp_path / "riskgraph.db-sessions")) as opened:
        yield opened


def session(token=TOKEN, consent="c", at=NOW, given_at=NOW - 60, merchant="m-17", shared=False):
    return Session(
        token=hashed(token),
        nonce=hashed(NONCE),
        merchant=merchant,
        origin="https://shop.example",
        key_id="k",
        consent=DOOR.digest("session.consent", consent),
        consent_at=given_at,
        purposes={"behavior": True, "device": True},
        shared=shared,
        opened=at,
        expires=at + EXPIRES_S,
    )


def opened(store, token=TOKEN, **kwargs):
    store.open(session(token, **kwargs))
    return store.find(token)


def prints(flush, merchant="m-17"):
    return Collecting(None, None, DOOR, None)._prints(merchant, flush.histograms)


NAMES = [key for key in MAP["histograms"] if key.split(".")[0] in ("any", "address", "browse")]


def drawn(seed, shape):
    """A flush of a visitor with habits of their own; small ``shape`` makes few bins hold nearly all."""
    random = np.random.default_rng(seed)
    shares = {name: random.dirichlet([shape] * 16) for name in NAMES}
    bins = {
        name: tuple(map(int, random.multinomial(random.integers(20, 400), share)))
        for name, share in shares.items()
    }
    return replace(GOLDEN, histograms=bins)


# Half a minute of movements, of which chance makes no copy.
LONG = drawn(7, 1.0)


def count(store, token=TOKEN, seq=1, flush=GOLDEN, at=NOW + 1):
    return store.count(store.find(token), replace(flush, seq=seq), prints(flush), at)


def test_a_flush_counts_once_whenever_it_comes_and_in_whatever_order(store):
    opened(store)
    assert [count(store, seq=seq) for seq in (7, 3, 7, 3)] == [True, True, False, False]
    sums = store.find(TOKEN).sums
    assert sums.counters["keys"] == 2 * GOLDEN.counters["keys"]
    assert sums.histograms["any.key_gap"] == [2 * n for n in GOLDEN.histograms["any.key_gap"]]


def test_two_processes_add_to_the_same_sums(store):
    opened(store)
    with closing(SessionStore(store.path)) as other:
        work = [
            threading.Thread(target=lambda s=s, first=first: [count(s, seq=first + i) for i in range(20)])
            for first, s in ((0, store), (100, other))
        ]
        [one.start() for one in work]
        [one.join() for one in work]
        assert other.find(TOKEN).sums.counters["keys"] == 40 * GOLDEN.counters["keys"]


def test_only_its_owner_can_read_the_file_and_nothing_raw_lies_in_it(store):
    opened(store, consent="consent-LOOK-FOR-ME")
    store.bind(TOKEN, order_name(DOOR, "m-17|own_web|order-LOOK-FOR-ME"), "m-17")
    store.close()
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert b"LOOK-FOR-ME" not in store.path.read_bytes()


def test_no_flush_counts_once_the_session_is_over(store):
    opened(store)
    with pytest.raises(SessionExpired) as gone:
        count(store, at=NOW + EXPIRES_S)
    assert gone.value.code == "session_expired"


def test_a_session_takes_so_many_flushes_and_no_more(store, monkeypatch):
    monkeypatch.setattr("riskgraph.stores.sessions.MAX_FLUSHES", 3)
    opened(store)
    for seq in range(3):
        count(store, seq=seq)
    with pytest.raises(Conflict) as full:
        count(store, seq=3)
    assert full.value.code == "session_full"
    assert MAX_FLUSHES >= EXPIRES_S / 10


def test_the_first_order_of_the_merchant_has_the_session_and_no_other(store):
    opened(store)
    first, second = (order_name(DOOR, f"m-17|own_web|{n}") for n in "12")
    assert store.bind(TOKEN, first, "m-99") is None
    assert store.bind("unknown", first, "m-17") is None
    assert store.bind(TOKEN, first, "m-17").sid == store.bind(TOKEN, first, "m-17").sid
    assert store.bind(TOKEN, second, "m-17") is None


def test_a_withdrawal_takes_out_what_every_session_of_the_consent_gathered(store):
    for token in ("a", "b"):
        opened(store, token)
    opened(store, "other", consent="another")
    count(store, "a")
    count(store, "b", flush=replace(GOLDEN, histograms={}))
    store.withdraw(store.find("a"), NOW + 5)
    assert [store.find(t).withdrawn for t in ("a", "b", "other")] == [True, True, False]
    assert [store.find(t).sums for t in ("a", "b")] == [None, None]
    for refused in (lambda: count(store, "b", seq=9), lambda: opened(store, "c")):
        with pytest.raises(Forbidden) as wrong:
            refused()
        assert wrong.value.code == "consent_withdrawn"


@pytest.mark.parametrize("given_at", [NOW - 61, NOW - 59.999])
def test_a_withdrawal_is_of_one_record_and_not_of_all_that_share_its_id(store, given_at):
    opened(store)
    opened(store, "another shopper", given_at=given_at)
    count(store, "another shopper")
    store.withdraw(store.find(TOKEN), NOW + 5)
    assert count(store, "another shopper", seq=2)
    assert opened(store, "later", given_at=given_at)


def test_nobody_withdraws_for_others_who_share_the_record(store):
    for shopper in ("alice", "bob"):
        opened(store, shopper, shared=True)
        count(store, shopper, flush=replace(GOLDEN, histograms={}))
    store.withdraw(store.find("alice"), NOW + 5)
    alice, bob = store.find("alice"), store.find("bob")
    assert (alice.withdrawn, alice.sums) == (True, None)
    assert not bob.withdrawn
    assert bob.sums.counters == GOLDEN.counters
    with pytest.raises(Forbidden):
        count(store, "alice", seq=2)
    assert count(store, "bob", seq=2)
    assert opened(store, "carol", shared=True)


def test_no_byte_of_the_sums_is_left_after_a_withdrawal(store):
    opened(store)
    for seq in range(5):
        count(store, seq=seq)
    store.withdraw(store.find(TOKEN), NOW + 5)
    assert not traces(store)


class CountedFile(apsw.VFSFile):
    def xSync(self, flags):
        CountedSyncs.logs += self.is_log
        return super().xSync(flags)


class CountedSyncs(apsw.VFS):
    """The system's files, with a count of how often a write-ahead log was sent to the disk."""

    logs = 0

    def xOpen(self, name, flags):
        file = CountedFile("", name, flags)
        file.is_log = str(name).endswith("-wal")
        return file


def test_a_withdrawal_is_on_the_disk_though_a_reader_keeps_the_log_from_being_emptied(tmp_path, monkeypatch):
    files = CountedSyncs("counted", "")
    monkeypatch.setattr(apsw, "Connection", partial(apsw.Connection, vfs="counted"))
    with (
        closing(SessionStore(tmp_path / "riskgraph.db-sessions")) as store,
        closing(_connect(store.path)) as reader,
    ):
        opened(store)
        store._connection.set_busy_timeout(0)
        store.purge(NOW)  # so that the reader has all that it reads in the file itself
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM sessions").get == 1
        count(store, seq=1)
        before = files.logs
        count(store, seq=2)
        assert files.logs == before
        store.withdraw(store.find(TOKEN), NOW + 5)
        after = files.logs
        assert after > before
        assert opened(store, "next", consent="another")
        assert files.logs == after


def traces(store):
    """Files in which bytes of sums lie."""
    return [file.name for file in store.path.parent.iterdir() if b'"any.ptr_speed"' in file.read_bytes()]


def test_an_erasure_takes_out_all_sessions_under_the_consent_of_the_order_and_no_others(store):
    names = [order_name(DOOR, f"m-17|own_web|{n}") for n in "12"]
    for token, name in zip("ab", names, strict=True):
        opened(store, token, consent=f"of {token}")
        store.bind(token, name, "m-17")
    opened(store, "a, another tab", consent="of a")
    for token in ("a", "a, another tab"):
        count(store, token, flush=GOLDEN if token == "a" else replace(GOLDEN, histograms={}))
    assert traces(store)
    assert len(store.of_orders(names)) == 2
    assert (store.erase([names[0]]), store.erase([names[0]])) == (2, 0)
    assert store.find("a") is None
    assert store.find("a, another tab") is None
    assert store.find("b") is not None
    assert not traces(store)


def test_an_erasure_takes_out_only_the_session_of_the_order_where_others_share_the_record(store):
    name = order_name(DOOR, "m-17|own_web|1")
    for token in ("alice", "bob"):
        opened(store, token, shared=True)
    store.bind("alice", name, "m-17")
    assert store.erase([name]) == 1
    assert store.find("bob") is not None


def test_a_large_file_is_rewritten_when_nobody_waits(store):
    for i in range(200):
        opened(store, f"t{i}", consent=f"c{i}")
        count(store, f"t{i}")
        store.bind(f"t{i}", order_name(DOOR, f"m-17|own_web|{i}"), "m-17")
    before = store.path.stat().st_size
    assert store.erase([order_name(DOOR, f"m-17|own_web|{i}") for i in range(150)], wipe=False) == 150
    assert store.path.stat().st_size >= before
    store.wipe()
    assert store.path.stat().st_size < before / 2
    assert store.find("t199") is not None


@pytest.mark.parametrize(
    ("table", "kept_s"), [("sessions", EXPIRES_S + KEPT_S), ("prints", PRINTS_S), ("withdrawn", WITHDRAWN_S)]
)
def test_what_is_over_its_time_goes_and_not_earlier(store, table, kept_s):
    opened(store)
    count(store, at=NOW)
    store.withdraw(store.find(TOKEN), NOW)
    assert store.due(NOW + kept_s)[table] == 0
    assert store.due(NOW + kept_s + 1)[table] > 0
    before = store.due(NOW + kept_s + 1)
    assert store.purge(NOW + kept_s + 1) == before
    assert not any(store.due(NOW + kept_s + 1).values())


@pytest.mark.parametrize("how", ["purged", "erased"])
def test_numbers_of_flushes_go_with_their_session(store, how):
    opened(store)
    name = order_name(DOOR, "m-17|own_web|1")
    count(store)
    store.bind(TOKEN, name, "m-17")
    if how == "purged":
        store.purge(NOW + EXPIRES_S + KEPT_S + 1)
    else:
        store.erase([name])
    with store._opened() as connection:
        assert connection.execute("SELECT count(*) FROM flushes").get == 0


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "riskgraph.db-sessions"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE mine(a)")
    connection.close()
    with closing(SessionStore(path)) as store, pytest.raises(StorageUnavailable, match="move it away"):
        store.find(TOKEN)


def test_a_damaged_file_is_told_when_it_is_needed_and_not_at_a_start(tmp_path):
    path = tmp_path / "riskgraph.db-sessions"
    path.write_bytes(b"no database" * 1000)
    with closing(SessionStore(path)) as store, pytest.raises(StorageUnavailable):
        store.find(TOKEN)


def test_a_flush_that_another_session_sent_is_refused_and_nothing_of_it_counts(store):
    opened(store, "a")
    opened(store, "b", consent="another")
    count(store, "a", flush=LONG)
    with pytest.raises(Conflict) as replayed:
        count(store, "b", flush=LONG)
    assert replayed.value.code == "behavior_replayed"
    assert store.find("b").sums is None
    # In its own session the same counts may come again: another seq is another flush.
    assert count(store, "a", seq=2, flush=LONG)


def test_a_moment_of_typing_is_no_evidence_of_a_replay(store):
    opened(store, "a")
    opened(store, "b", consent="another")
    assert count(store, "a")
    assert count(store, "b")


def test_counts_that_many_sessions_have_had_are_no_sign_of_a_copy(store, monkeypatch):
    monkeypatch.setattr("riskgraph.stores.replays.COMMON", 2)
    few = {name: bins for name, bins in LONG.histograms.items() if evidence_bits(bins) < REPLAY_BITS}
    parts = [replace(LONG, histograms={name: bins}) for name, bins in few.items()]
    for i in range(3):
        opened(store, f"t{i}", consent=f"c{i}")
        for seq, part in enumerate(parts):
            assert count(store, f"t{i}", seq=seq, flush=part)
    opened(store, "last", consent="last")
    assert count(store, "last", flush=replace(LONG, histograms=few))


def test_the_same_movements_of_another_merchants_shopper_are_not_compared(store):
    opened(store, "a")
    opened(store, "b", consent="another", merchant="m-18")
    assert store.count(store.find("a"), LONG, prints(LONG), NOW)
    assert store.count(store.find("b"), LONG, prints(LONG, "m-18"), NOW)


def test_a_replay_is_found_after_its_source_was_withdrawn_and_not_after_30_days(store):
    opened(store, "a")
    count(store, "a", flush=LONG)
    store.withdraw(store.find("a"), NOW + 5)
    opened(store, "b", consent="another")
    with pytest.raises(Conflict):
        count(store, "b", flush=LONG)
    later = NOW + PRINTS_S + DAY_S
    store.purge(later)
    opened(store, "c", consent="third", at=later)
    assert count(store, "c", at=later + 1, flush=LONG)


def test_histograms_of_one_signal_in_two_zones_count_as_evidence_once(store):
    any_speed = LONG.histograms["any.ptr_speed"]
    both = {"any.ptr_speed": any_speed, "address.ptr_speed": any_speed, "any.ptr_gap": any_speed}
    both = replace(LONG, histograms=both)
    left = prints(both)
    assert [one.name for one in left] == ["ptr_speed", "ptr_speed", "ptr_gap"]
    assert sum(one.bits for one in left) >= REPLAY_BITS > sum(one.bits for one in left[1:])
    opened(store, "a")
    opened(store, "b", consent="another")
    assert count(store, "a", flush=both)
    assert count(store, "b", flush=both)


def left(store):
    with store._opened() as connection:
        return connection.execute("SELECT count(*) FROM prints").get


def test_a_flush_leaves_a_few_prints_and_a_session_no_more_than_so_many(store):
    opened(store)
    count(store, flush=drawn(0, 1.0))
    assert len(prints(drawn(0, 1.0))) > left(store) == LEFT_AT_ONCE
    for seq in range(2, LEFT_BY_FLUSHES // LEFT_AT_ONCE + 9):
        assert count(store, seq=seq, flush=drawn(seq, 1.0))
    assert left(store) == LEFT_BY_FLUSHES == store.find(TOKEN).printed


def test_a_print_takes_no_more_room_than_is_reckoned(store):
    for i in range(40):
        opened(store, f"t{i}", consent=f"c{i}")
        for seq in range(25):
            count(store, f"t{i}", seq=seq, flush=replace(drawn(100 * i + seq, 1.0), counters={}))
    with store._opened() as connection:
        connection.execute("VACUUM")
        before = used_bytes(connection)
        prints_left = connection.execute("SELECT count(*) FROM prints").get
        connection.execute("DELETE FROM prints")
        connection.execute("VACUUM")
        assert PRINT_BYTES * 0.7 < (before - used_bytes(connection)) / prints_left <= PRINT_BYTES


def flood(store):
    for i in range(10_000):
        opened(store, f"t{i}", consent=f"c{i}")


def test_a_file_that_is_full_takes_no_more_and_still_serves_orders_and_withdrawals(tmp_path):
    with closing(SessionStore(tmp_path / "riskgraph.db-sessions", most_bytes=300_000)) as store:
        opened(store, "mine")
        with pytest.raises(StorageUnavailable, match="room"):
            flood(store)
        assert store.path.stat().st_size < 400_000
        with pytest.raises(StorageUnavailable, match="room"):
            count(store, "mine")
        assert store.bind("mine", order_name(DOOR, "m-17|own_web|1"), "m-17") is not None
        store.withdraw(store.find("mine"), NOW + 5)
        later = NOW + EXPIRES_S + KEPT_S + 1
        store.purge(later)
        assert opened(store, "later", at=later, consent="later")


def test_prints_have_half_of_the_file_and_the_oldest_go_first(tmp_path):
    with closing(SessionStore(tmp_path / "riskgraph.db-sessions", most_bytes=160_000)) as store:
        for i in range(45):
            opened(store, f"t{i}", consent=f"c{i}")
            for seq in range(2):
                count(store, f"t{i}", seq=seq, flush=drawn(2 * i + seq, 1.0), at=NOW + i)
            store.withdraw(store.find(f"t{i}"), NOW + i)
        assert store.purge(NOW + 60)["prints"] > 0
        assert 0 < left(store) <= 80_000 // PRINT_BYTES
        opened(store, "thief", consent="thief")
        with pytest.raises(Conflict):
            count(store, "thief", flush=drawn(2 * 44, 1.0))
        assert count(store, "thief", flush=drawn(0, 1.0))


@given(st.sets(st.integers(0, 2**32), min_size=2, max_size=4), st.sampled_from([0.05, 0.3, 1.0]))
def test_independent_visits_are_not_taken_for_replays_and_copies_are(tmp_path_factory, seeds, shape):
    with closing(SessionStore(tmp_path_factory.mktemp("sessions") / "riskgraph.db-sessions")) as store:
        flushes = [drawn(seed, shape) for seed in sorted(seeds)]
        for i, flush in enumerate(flushes):
            opened(store, f"t{i}", consent=f"c{i}")
            assert count(store, f"t{i}", flush=flush)
        opened(store, "thief", consent="thief")
        for flush in flushes:
            evidence: dict[str, float] = {}
            for one in prints(flush):
                evidence[one.name] = max(evidence.get(one.name, 0), one.bits)
            if sum(evidence.values()) >= REPLAY_BITS:
                with pytest.raises(Conflict):
                    count(store, "thief", flush=flush)
