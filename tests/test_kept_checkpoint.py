"""What lies beside a model's folder is handed to a child, and replaced, only as a plain file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from riskgraph.core.errors import CheckFailed
from riskgraph.kept_checkpoint import CHECKPOINT, Kept

pytest.importorskip("numpy")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    (tmp_path / "work").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "secret").write_text("secret")
    return Kept.beside(tmp_path / "shared/model")


def link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def second_name(path: Path, secret: Path) -> None:
    os.link(secret, path)


def pipe(path: Path, secret: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("lay", [link, second_name, pipe])
def test_nothing_but_a_plain_file_is_handed_to_the_child(lay, kept, tmp_path):
    lay(kept.path, tmp_path / "secret")
    with pytest.raises(CheckFailed, match="no plain file; take it away") as told:
        kept.hand(tmp_path / "work", None)
    assert told.value.field == "--resume"
    assert "secret" not in "".join(path.read_text() for path in (tmp_path / "work").iterdir())


def test_a_link_in_the_way_of_a_checkpoint_leads_nowhere(kept, tmp_path):
    kept.path.with_name(f"{kept.path.name}.part").symlink_to(tmp_path / "secret")
    (tmp_path / "work" / CHECKPOINT).write_text("state")
    kept.keep(tmp_path / "work")
    assert (tmp_path / "secret").read_text() == "secret"
    assert kept.path.read_text() == "state"
    assert not kept.path.is_symlink()
    assert [path.name for path in kept.path.parent.iterdir()] == [kept.path.name]


def test_what_was_kept_is_handed_to_the_next_child(kept, tmp_path):
    (tmp_path / "work" / CHECKPOINT).write_text("state")
    kept.keep(tmp_path / "work")
    (tmp_path / "next").mkdir()
    kept.hand(tmp_path / "next", (os.geteuid(), os.getegid()))
    assert (tmp_path / "next" / CHECKPOINT).read_text() == "state"


def test_without_a_checkpoint_nothing_is_handed(kept, tmp_path):
    kept.hand(tmp_path / "work", None)
    assert list((tmp_path / "work").iterdir()) == []
