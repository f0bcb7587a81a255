"""Keys of an installation are made once, whoever asks at the same time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from riskgraph.core.errors import Invalid
from riskgraph.governance import signing
from riskgraph.governance.signing import read_or_create_secret


def test_whoever_asks_while_a_key_is_made_gets_the_same_whole_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, others = tmp_path / "signing.key", []
    draw = os.urandom

    def meanwhile(size: int) -> bytes:
        monkeypatch.setattr(os, "urandom", draw)
        others.append(read_or_create_secret(path))
        return draw(size)

    monkeypatch.setattr(os, "urandom", meanwhile)
    assert read_or_create_secret(path) == others[0] == path.read_bytes()
    assert len(others[0]) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_is_cut_short_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    path.write_bytes(b"short")
    with pytest.raises(Invalid, match=r"signing\.key holds 5 bytes"):
        read_or_create_secret(path)
    assert path.read_bytes() == b"short"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o440, 0o602])
def test_a_key_that_others_can_reach_is_refused_and_named(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "signing.key"
    made = read_or_create_secret(path)
    path.chmod(mode)
    with pytest.raises(Invalid, match=rf"signing\.key has mode {mode:04o}.*0600"):
        read_or_create_secret(path)
    path.chmod(0o400)
    link = tmp_path / "mounted.key"
    link.symlink_to(path)
    assert read_or_create_secret(path) == read_or_create_secret(link) == made


def test_the_name_of_a_new_key_is_on_the_disk_before_it_is_used(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        signing, "sync_folder", lambda folder: synced.append((folder, list(folder.iterdir())))
    )
    path = tmp_path / "signing.key"
    read_or_create_secret(path)
    read_or_create_secret(path)
    assert synced == [(tmp_path, [path])]
