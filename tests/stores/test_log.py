"""Every decision is a leaf of a signed log, and whatever was altered in log or reports is named."""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from dataclasses import replace

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.bench.explain_integrity import fill, flips, with_log_records
from riskgraph.core.errors import Conflict, StorageUnavailable
from riskgraph.core.merkle import included
from riskgraph.core.tree_head import TreeHead
from riskgraph.stores import Secrets, SqliteStore
from riskgraph.stores.crash import synthetic_entry, synthetic_order, synthetic_secrets
from riskgraph.stores.log import leaf_ranges
from riskgraph.stores.verify import verify_file
from tests.stores.builders import an_order

SECRETS = synthetic_secrets()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    with closing(SqliteStore(path, SECRETS)) as opened:
        yield opened


def entry(name, **given):
    return synthetic_entry(an_order(name, **given), f"d-{name}")


def edit(path, *statements):
    with closing(apsw.Connection(str(path))) as connection:
        for statement in statements:
            connection.execute(statement)


def first_problem(path):
    found = verify_file(path, SECRETS)
    return found.to_json()["first"]


def test_each_decision_is_a_leaf_under_a_signed_head(store):
    for name in "abc":
        store.append(entry(name))
    found = store.verify()
    assert (found.decisions, found.erased, found.problems) == (3, 0, ())
    assert found.head.size == 3
    assert SECRETS.signer.verify(found.head.signed, found.head.signature)


def test_a_proof_leads_from_a_decision_to_the_head(store):
    for number in range(300):
        store.submit(synthetic_entry(synthetic_order(f"o{number}", number), f"d{number}"))
    store.append(entry("last"))
    for name in ("d0", "d255", "d256", "d-last"):
        proof = store.proof(name)
        head = TreeHead.of(proof["tree_head"])
        path = [bytes.fromhex(node) for node in proof["inclusion_proof"]]
        leaf = bytes.fromhex(proof["leaf_hash"])
        assert included(leaf, proof["leaf_index"], head.size, path, head.root)
    assert store.proof("nobody") is None


def test_refused_decisions_leave_no_gap_in_the_log(store):
    store.append(entry("a"))
    waiting = [store.submit(entry(name)) for name in ("b", "a", "c", "a", "d")]
    failures = [future.exception() for future in waiting]
    assert [isinstance(f, Conflict) for f in failures] == [False, True, False, True, False]
    found = store.verify()
    assert (found.decisions, found.head.size, found.problems) == (4, 4, ())
    assert [store.proof(f"d-{name}")["leaf_index"] for name in "abcd"] == [0, 1, 2, 3]


def test_a_failed_batch_leaves_nothing_in_the_log(store):
    store.append(entry("a"))
    store._writer.call(lambda connection, after: connection.execute("PRAGMA max_page_count=1")).result()
    failures = [store.submit(entry(f"full-{i}")).exception() for i in range(60)]
    assert any(isinstance(error, StorageUnavailable) for error in failures)
    store._writer.call(lambda connection, after: connection.execute("PRAGMA max_page_count=100000")).result()
    store.append(entry("b"))
    found = store.verify()
    assert found.problems == ()
    assert found.head.size == 2 + sum(error is None for error in failures)


def test_a_log_goes_on_after_another_process_has_appended(store, path):
    store.append(entry("a"))
    with closing(SqliteStore(path, SECRETS)) as other:
        other.append(entry("b"))
        store.append(entry("c"))
        other.append(entry("d"))
    assert (store.verify().problems, store.verify().head.size) == ((), 4)


def test_reports_answers_and_keys_do_not_lie_open_in_the_file(store, path):
    made = entry("a")
    store.append(made)
    store.close()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert made.decision.report.phi[:32] not in content
    assert made.answer not in content


@pytest.mark.parametrize(
    ("statement", "seq", "told"),
    [
        ("DELETE FROM decisions WHERE seq=1", 1, "missing, and no record"),
        ("DELETE FROM log WHERE leaf=1", 1, "the leaf is missing"),
        ("UPDATE log SET hash=zeroblob(32) WHERE leaf=2", 2, "does not fit its leaf"),
        ("UPDATE log SET hash='x' WHERE leaf=2", 2, "no hash"),
        ("UPDATE decisions SET verdict='reject' WHERE seq=1", 1, "altered"),
        ("UPDATE decisions SET sealed=(SELECT sealed FROM decisions WHERE seq=0) WHERE seq=2", 2, "altered"),
        ("DELETE FROM subject_keys", 0, "key of its subject is missing"),
        ("INSERT INTO log_records VALUES(1, '{}')", 1, "both a decision"),
        ("INSERT INTO log_tiles VALUES(1, 0, zeroblob(32))", None, "has no leaves"),
        ("DELETE FROM tree_head", None, "head is missing"),
        ("UPDATE tree_head SET body='{}'", None, "cannot be read"),
        ("INSERT INTO decisions SELECT 9, 'x', key, '', 'y', '', '', 0, '', x'', x'' FROM decisions LIMIT 1",
         9, "not in the log"),
    ],
)  # fmt: skip
def test_what_was_altered_is_named_with_its_place(path, statement, seq, told):
    fill(path, SECRETS, 3)
    assert first_problem(path) is None
    edit(path, statement)
    found = first_problem(path)
    assert (found["seq"], told in found["problem"]) == (seq, True), found


def test_the_decision_of_a_bad_record_is_named(path):
    fill(path, SECRETS, 3)
    edit(path, "UPDATE decisions SET trace_id='other' WHERE seq=1")
    found = first_problem(path)
    assert len(found["decision_id"]) == 32


def test_a_store_whose_log_was_altered_is_not_signed_again(path):
    fill(path, SECRETS, 3)
    edit(path, "DELETE FROM decisions WHERE seq=2", "DELETE FROM log WHERE leaf=2")
    with pytest.raises(StorageUnavailable, match="audit verify"):
        SqliteStore(path, SECRETS)


def test_a_leaf_behind_a_full_tile_is_for_the_check_and_does_not_stop_signing(path):
    fill(path, SECRETS, 257)
    edit(path, "UPDATE log SET hash=zeroblob(32) WHERE leaf=5")
    with closing(SqliteStore(path, SECRETS)) as store:
        store.append(entry("later"))
    assert first_problem(path)["seq"] == 5
    edit(path, "UPDATE log SET hash=zeroblob(32) WHERE leaf=256")
    with pytest.raises(StorageUnavailable, match="audit verify"):
        SqliteStore(path, SECRETS)


class OtherSigner:
    key_id = "other"

    def sign(self, data: bytes) -> bytes:
        return b"x" * 64

    def verify(self, data: bytes, signature: bytes) -> bool:
        return signature == self.sign(data)

    signs_now = verify


def test_a_head_of_a_stranger_is_refused_and_found(path):
    fill(path, SECRETS, 3)
    stranger = replace(SECRETS, signer=OtherSigner())
    with pytest.raises(StorageUnavailable, match="key public, which is not known"):
        SqliteStore(path, stranger)
    (problem,) = verify_file(path, stranger).problems
    assert "not signed by a key of this installation" in problem.problem


def test_another_wrapping_key_is_refused_before_anything_is_sealed_under_it(path):
    fill(path, SECRETS, 1)
    with pytest.raises(StorageUnavailable, match=r"wrapping\.key"):
        SqliteStore(path, Secrets(b"w" * 32, SECRETS.signer))


def test_a_kept_head_shows_that_the_log_was_put_back(path):
    fill(path, SECRETS, 3)
    kept = verify_file(path, SECRETS).head
    earlier = path.read_bytes()
    with closing(SqliteStore(path, SECRETS)) as store:
        store.append(entry("later"))
    later = verify_file(path, SECRETS).head
    assert verify_file(path, SECRETS, kept).problems == ()
    for beside in path.parent.glob("store.db-*"):
        beside.unlink()
    path.write_bytes(earlier)
    (problem,) = verify_file(path, SECRETS, later).problems
    assert "shortened" in problem.problem


def test_a_kept_head_shows_that_an_empty_log_was_put_in_place(path, tmp_path):
    fill(path, SECRETS, 3)
    fill(tmp_path / "new.db", SECRETS, 0)
    kept = verify_file(path, SECRETS).head
    (problem,) = verify_file(tmp_path / "new.db", SECRETS, kept).problems
    assert "is empty" in problem.problem


def test_a_kept_head_of_another_log_is_told(path, tmp_path):
    fill(path, SECRETS, 3)
    fill(tmp_path / "other.db", SECRETS, 2)
    kept = verify_file(tmp_path / "other.db", SECRETS).head
    (problem,) = verify_file(path, SECRETS, kept).problems
    assert "does not go on" in problem.problem


LAST = "(SELECT decision_id FROM decisions WHERE seq >= 5)"


def cut_back(path, head, *more):
    """Take away the decisions behind the fifth and put back the signed head from before them."""
    with closing(apsw.Connection(str(path))) as connection:
        for statement in (*more, "DELETE FROM decisions WHERE seq >= 5", "DELETE FROM log WHERE leaf >= 5"):
            connection.execute(statement)
        connection.execute("UPDATE tree_head SET body=?", (head,))


def head_of(path):
    with closing(apsw.Connection(str(path))) as connection:
        return connection.execute("SELECT body FROM tree_head").get


@contextmanager
def grown(path):
    """A store that went from five decisions to eight, and the head from before."""
    fill(path, SECRETS, 5)
    head = head_of(path)
    with closing(SqliteStore(path, SECRETS)) as store:
        for name in "abc":
            store.append(entry(name))
        yield store, head


def test_a_log_cut_back_to_an_earlier_head_is_betrayed_by_bill_and_events(path):
    with grown(path) as (_, head):
        pass
    cut_back(path, head)
    told = [(p.decision_id, p.problem) for p in verify_file(path, SECRETS).problems]
    assert [name for name, _ in told] == ["d-a", "d-b", "d-c"] * 2
    assert ["billed" in why for _, why in told] == [True] * 3 + [False] * 3


def test_a_service_that_runs_does_not_go_on_from_an_earlier_head(path):
    with grown(path) as (store, head):
        # Whoever cuts bill and events too leaves nothing in the file that tells it.
        cut_back(path, head, f"DELETE FROM meter WHERE decision_id IN {LAST}",
                 f"DELETE FROM outbox WHERE decision_id IN {LAST}")  # fmt: skip
        assert verify_file(path, SECRETS).problems == ()
        with pytest.raises(StorageUnavailable, match="put back"):
            store.append(entry("d"))
        assert head_of(path) == head


def test_a_service_that_runs_does_not_go_on_from_another_log(path, tmp_path):
    fill(path, SECRETS, 3)
    fill(tmp_path / "other.db", SECRETS, 4)
    with closing(SqliteStore(path, SECRETS)) as store:
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
            for table in ("log", "log_tiles", "log_records", "tree_head"):
                connection.execute(
                    f"DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM other.{table}"
                )
        with pytest.raises(StorageUnavailable, match="put back"):
            store.append(entry("d"))


@settings(max_examples=10)
@given(seed=st.integers(0, 10**9))
def test_no_bit_of_log_or_reports_can_be_flipped_unnoticed(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("flips") / "store.db"
    fill(path, SECRETS, 5)
    with_log_records(path, SECRETS)
    assert set(flips(path, SECRETS, 60, seed, lambda *_: None)) == {""}


@given(st.sets(st.integers(0, 60)))
def test_leaves_are_named_by_their_runs(leaves):
    runs = leaf_ranges(leaves)
    assert [leaf for first, last in runs for leaf in range(first, last + 1)] == sorted(leaves)
    assert all(later[0] > earlier[1] + 1 for earlier, later in zip(runs, runs[1:], strict=False))


def test_a_signed_head_is_canonical_json_with_the_id_of_its_key(store, path):
    store.append(entry("a"))
    with closing(apsw.Connection(str(path))) as connection:
        told = json.loads(connection.execute("SELECT body FROM tree_head").get)
    assert set(told) == {"schema", "size", "root", "at", "key_id", "signature"}
    assert told["key_id"] == SECRETS.signer.key_id
