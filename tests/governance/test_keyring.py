"""The key that signs reports can be rotated; whatever an earlier one signed can still be checked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from riskgraph.core.errors import Invalid
from riskgraph.core.locks import locked
from riskgraph.governance import keyring
from riskgraph.governance.keyring import KEY_FILE, LOCK_FILE, RETIRED, KeyRing, check_handover
from riskgraph.governance.signing import read_public_key

AT = datetime(2026, 11, 11, tzinfo=UTC)


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    first = KeyRing(tmp_path)
    assert KeyRing(tmp_path).key_id == first.key_id
    first.rotate(AT)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o600}
    assert (tmp_path / RETIRED).stat().st_mode & 0o777 == 0o700


def test_what_each_earlier_key_signed_still_verifies(tmp_path):
    ring, signed = KeyRing(tmp_path), {}
    for data in (b"one", b"two", b"three"):
        signer = ring.signer
        signed[signer.key_id] = (data, signer.sign(data))
        ring.rotate(AT)
    assert len(signed) == 3
    for known in (ring, KeyRing(tmp_path)):
        for key_id, (data, signature) in signed.items():
            assert known.verify(data, signature)
            assert known.verifier(key_id).verify(data, signature)
            assert not known.signer.verify(data, signature)
            assert not known.verify(data + b"x", signature)
    assert ring.verifier("0" * 16) is None


def test_a_rotation_reaches_a_ring_that_is_open_already(tmp_path):
    serving, old = KeyRing(tmp_path), KeyRing(tmp_path).key_id
    retired = KeyRing(tmp_path).rotate(AT)
    assert (retired.key_id, retired.successor) == (old, serving.key_id)
    signer = serving.signer
    assert KeyRing(tmp_path).verifier(signer.key_id).verify(b"x", signer.sign(b"x"))
    assert serving.verifier(old) is not None


def test_the_old_key_names_its_successor_and_signs_that(tmp_path):
    ring = KeyRing(tmp_path)
    retired = ring.rotate(AT)
    folder = tmp_path / RETIRED
    old = read_public_key(folder / f"{retired.key_id}.pem")
    body = (folder / f"{retired.key_id}.json").read_bytes()
    told = check_handover(body, old)
    assert (told["successor"], told["at"]) == (ring.key_id, AT.isoformat(timespec="seconds"))
    assert told["successor_public_key"] == ring.signer.public_pem.decode()


@pytest.mark.parametrize("name", ["at", "key_id", "successor", "successor_public_key", "signature", "schema"])
def test_a_handover_that_was_altered_is_refused(tmp_path, name):
    retired = KeyRing(tmp_path).rotate(AT)
    path = tmp_path / RETIRED / f"{retired.key_id}.json"
    told = json.loads(path.read_bytes())
    told[name] = told[name].replace("a", "b") if "a" in told[name] else told[name] + "0"
    path.write_text(json.dumps(told))
    with pytest.raises(Invalid):
        KeyRing(tmp_path).public_keys()


def test_public_keys_are_listed_newest_first_without_anything_secret(tmp_path):
    ring = KeyRing(tmp_path)
    secrets = [ring.signer.secret_bytes]
    ring.rotate(AT)
    secrets.append(ring.signer.secret_bytes)
    ring.rotate(AT.replace(day=12))
    listed = [key.to_json() for key in ring.public_keys()]
    assert [key["retired_at"] for key in listed] == [
        None,
        "2026-11-12T00:00:00+00:00",
        "2026-11-11T00:00:00+00:00",
    ]
    assert listed[1]["successor"] == listed[0]["key_id"]
    kept = b"".join(path.read_bytes() for path in (tmp_path / RETIRED).iterdir())
    assert all(secret not in kept and secret.hex().encode() not in kept for secret in secrets)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_process_that_dies_within_a_rotation_loses_no_key(tmp_path, monkeypatch, step):
    ring = KeyRing(tmp_path)
    signature, old = ring.sign(b"before"), ring.key_id
    replace, done = Path.replace, []

    def die(self: Path, target: Path) -> Path:
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        ring.rotate(AT)
    monkeypatch.undo()
    after = KeyRing(tmp_path)
    assert after.key_id == old
    assert after.verify(b"before", signature)
    assert after.rotate(AT).key_id == old
    assert after.key_id != old
    assert after.verify(b"before", signature)


def test_a_rotation_waits_for_another_one(tmp_path, monkeypatch):
    held: list[bool] = []
    replace_file = keyring.replace_file

    def watched(path, content):
        with pytest.raises(BlockingIOError), locked(tmp_path / LOCK_FILE, wait=False):
            pass
        held.append(True)
        replace_file(path, content)

    monkeypatch.setattr(keyring, "replace_file", watched)
    KeyRing(tmp_path).rotate(AT)
    assert held == [True] * 3
    with locked(tmp_path / LOCK_FILE, wait=False):
        pass


def test_a_key_file_that_holds_no_key_is_refused(tmp_path):
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(Invalid, match="32-byte"):
        KeyRing(tmp_path)
