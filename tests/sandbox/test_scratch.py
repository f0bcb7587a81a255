"""Raw rows that lay on disk while a release was made are gone after it, and after a run that was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from riskgraph.sandbox.scratch import raw_folder

HELD = """
import sys
from pathlib import Path
from riskgraph.sandbox.scratch import raw_folder
with raw_folder(Path(sys.argv[1])) as folder:
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
