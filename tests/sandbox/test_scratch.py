"""Raw rows that lay on disk while a release was made are gone after it, and after a run that was killed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from riskgraph import chain
from riskgraph.core.errors import StorageUnavailable
from riskgraph.sandbox.scratch import enough_room, raw_folder, stoppable, sweep
from riskgraph.settings import Settings

HELD = """
import sys
from pathlib import Path
from riskgraph.sandbox.scratch import raw_folder, stoppable
with stoppable(), raw_folder(Path(sys.argv[1])) as folder:
    (folder / "rows").write_bytes(b"raw")
    print(folder, flush=True)
    sys.stdin.read()
"""


def other_run(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    run = subprocess.Popen(
        [sys.executable, "-c", HELD, str(parent)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert run.stdout is not None
    return run, Path(run.stdout.readline().strip())


def test_only_the_owner_may_enter_the_folder_and_it_is_gone_at_the_end(tmp_path: Path) -> None:
    with raw_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "rows").write_bytes(b"raw")
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_error(tmp_path: Path) -> None:
    def fails() -> None:
        with raw_folder(tmp_path) as folder:
            (folder / "rows").write_bytes(b"raw")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fails()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_taken_away_by_the_next_run(tmp_path: Path) -> None:
    run, folder = other_run(tmp_path)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert (folder / "rows").exists()
    with raw_folder(tmp_path) as mine:
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, f"{mine.name}.lock"}
    assert list(tmp_path.iterdir()) == []


def cannot_remove(folder: Path, *, ignore_errors: bool = False) -> None:
    if not ignore_errors:
        raise PermissionError(folder)


def test_what_cannot_be_removed_is_told_stops_nothing_and_is_taken_away_by_a_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", cannot_remove)
        with pytest.warns(UserWarning, match="raw rows are left") as told, raw_folder(tmp_path) as folder:
            (folder / "rows").write_bytes(b"raw")
        assert str(folder) in str(told[0].message)
    assert (folder / "rows").exists()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_removal_left_is_taken_away_by_a_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path, *, ignore_errors: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt), raw_folder(tmp_path) as folder:
            pass
    assert folder.exists()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_asked_to_end_takes_its_folder_away(tmp_path: Path) -> None:
    run, folder = other_run(tmp_path)
    assert (folder / "rows").exists()
    run.send_signal(signal.SIGTERM)
    run.communicate()
    assert run.returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_a_release_that_is_asked_to_end_takes_its_folder_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(chain, "open_source", lambda *_, **__: None)
    monkeypatch.setattr(chain, "history_folder", lambda *_: raw_folder(tmp_path / "scratch"))
    monkeypatch.setattr(chain, "table_of", stopped)
    (tmp_path / "scratch").mkdir()
    settings = Settings.from_environment({"RISKGRAPH_HOME": str(tmp_path / "home")})
    asked = {"until": date(2026, 6, 30), "k": 50, "seed": 1, "settings": settings, "progress": quiet}
    with pytest.raises(SystemExit) as ended:
        chain.release(tmp_path, tmp_path / "out", **asked)  # type: ignore[arg-type]
    assert ended.value.code == 143
    assert list((tmp_path / "scratch").iterdir()) == []


def quiet(*_: object) -> None:
    pass


def test_who_asks_it_to_end_afterwards_finds_what_was_there_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="--scratch") as caught, raw_folder(tmp_path / "none"):
        pass
    assert caught.value.field == "scratch"


def test_a_full_disk_is_an_error_that_says_how_much_room_is_needed(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match=r"No space left .* 2000000 orders need about 5.6 GB"):
        with enough_room(tmp_path, 2_000_000):
            raise OSError(errno.ENOSPC, "No space left on device")


def test_what_another_run_works_on_stays(tmp_path: Path) -> None:
    run, folder = other_run(tmp_path)
    with raw_folder(tmp_path):
        assert (folder / "rows").read_bytes() == b"raw"
    run.communicate()
    assert run.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_that_name_that_has_no_lock_is_not_touched(tmp_path: Path) -> None:
    """It may be anybody's; a run never leaves one."""
    other = tmp_path / "riskgraph-raw-mine"
    other.mkdir()
    with raw_folder(tmp_path):
        assert other.exists()
    assert other.exists()
