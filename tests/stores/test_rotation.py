"""After a rotation the old key is worth nothing for the log, and a kill within one loses nothing."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import apsw
import pytest

from riskgraph.bench.explain_integrity import fill
from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import StorageUnavailable
from riskgraph.core.tree_head import TreeHead
from riskgraph.governance.keyring import KeyRing
from riskgraph.governance.signing import Ed25519Signer
from riskgraph.stores import Secrets, SqliteStore
from riskgraph.stores.crash import synthetic_entry
from riskgraph.stores.rotation import rotate_under
from riskgraph.stores.verify import verify_file
from tests.stores.builders import an_order


@pytest.fixture
def ring(tmp_path):
    (tmp_path / "secrets").mkdir()
    return KeyRing(tmp_path / "secrets")


@pytest.fixture
def secrets(ring):
    return Secrets(bytes(32), ring)


@pytest.fixture
def path(tmp_path, secrets):
    fill(tmp_path / "store.db", secrets, 3)
    return tmp_path / "store.db"


def rotate(path, ring):
    return rotate_under(path, ring, lambda head: ring.rotate(tree_head=head))


def stored_head(path):
    with closing(apsw.Connection(str(path))) as connection:
        return TreeHead.of(json.loads(connection.execute("SELECT body FROM tree_head").get))


def put_head(path, head, signer):
    """What a thief of a key does who has altered the log: sign it again."""
    head = replace(head, key_id=signer.key_id)
    signed = replace(head, signature=signer.sign(head.signed))
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE tree_head SET body=?", (canonical_json(signed.to_json()),))


def append(path, secrets, name):
    with closing(SqliteStore(path, secrets)) as store:
        store.append(synthetic_entry(an_order(name), f"d-{name}"))


def test_a_rotation_signs_the_log_anew_at_once(path, ring, secrets):
    before = stored_head(path)
    retired = rotate(path, ring)
    after = stored_head(path)
    assert (after.size, after.root) == (before.size, before.root)
    assert (before.key_id, after.key_id) == (retired.key_id, retired.successor)
    assert verify_file(path, secrets).problems == ()
    append(path, secrets, "later")


def test_a_service_that_runs_goes_on_after_a_rotation(path, ring, secrets):
    with closing(SqliteStore(path, secrets)) as store:
        rotate(path, KeyRing(path.parent / "secrets"))
        store.append(synthetic_entry(an_order("later"), "d-later"))
        assert store.verify().problems == ()
    assert stored_head(path).key_id == ring.key_id


@pytest.mark.parametrize("rotations", [1, 2])
def test_a_retired_key_cannot_sign_a_log_any_more(path, ring, secrets, rotations):
    stolen, at = Ed25519Signer(ring.signer.secret_bytes), "2020-01-01T00:00:00.000+00:00"
    running = SqliteStore(path, secrets)
    for _ in range(rotations):
        rotate(path, ring)
    put_head(path, replace(stored_head(path), at=at), stolen)
    (problem,) = verify_file(path, secrets).problems
    assert f"key {stolen.key_id} after that was retired" in problem.problem
    with closing(running), pytest.raises(StorageUnavailable, match="after that was retired"):
        running.append(synthetic_entry(an_order("later"), "d-later"))
    with pytest.raises(StorageUnavailable, match="after that was retired"):
        SqliteStore(path, secrets)


def test_a_rotation_that_dies_before_the_log_is_signed_leaves_a_log_that_opens(path, ring, secrets):
    before = stored_head(path)

    def die(head):
        ring.rotate(tree_head=head)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_under(path, ring, die)
    assert stored_head(path) == before
    assert before.key_id != ring.key_id
    assert verify_file(path, secrets).problems == ()
    append(path, secrets, "later")
    assert stored_head(path).key_id == ring.key_id
    # The head with which the old key ended holds for the log of its time alone.
    assert verify_file(path, secrets).problems == ()


def test_only_the_last_head_of_the_old_key_stands_after_such_a_death(path, ring, secrets):
    stolen, before = Ed25519Signer(ring.signer.secret_bytes), stored_head(path)
    ring.rotate(tree_head=before.to_json())
    assert verify_file(path, secrets).problems == ()
    put_head(path, replace(before, at="2020-01-01T00:00:00.000+00:00"), stolen)
    assert "after that was retired" in verify_file(path, secrets).problems[0].problem


def test_a_log_that_was_altered_is_not_signed_anew(path, ring):
    key_id = ring.key_id
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE log SET hash=zeroblob(32) WHERE leaf=1")
    with pytest.raises(StorageUnavailable, match="altered or damaged"):
        rotate(path, ring)
    assert ring.key_id == key_id


def test_without_a_store_only_the_key_changes(tmp_path, ring):
    old = ring.key_id
    assert rotate(tmp_path / "none.db", ring).key_id == old
    assert ring.key_id != old
    assert not (tmp_path / "none.db").exists()


def test_a_log_whose_key_was_lost_opens_once_its_public_key_is_in_the_folder(path, ring, secrets, tmp_path):
    (tmp_path / "secrets" / "retired").mkdir()
    pem = ring.signer.public_pem
    (tmp_path / "secrets" / "report.key").unlink()
    with pytest.raises(StorageUnavailable, match="not known here"):
        SqliteStore(path, Secrets(bytes(32), KeyRing(tmp_path / "secrets")))
    (tmp_path / "secrets" / "retired" / "lost.pem").write_bytes(pem)
    append(path, Secrets(bytes(32), KeyRing(tmp_path / "secrets")), "later")
