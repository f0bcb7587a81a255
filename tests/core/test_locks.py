"""What one process holds, another waits for or is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from riskgraph.core.locks import locked

TRY = """
import sys
from pathlib import Path
from riskgraph.core.locks import locked
try:
    with locked(Path(sys.argv[1]), wait=False):
        sys.exit(0)
except BlockingIOError:
    sys.exit(7)
"""


def tried(path: Path) -> int:
    return subprocess.run([sys.executable, "-c", TRY, str(path)], check=False).returncode


@pytest.mark.skipif(os.name != "posix", reason="without POSIX locks nobody is held back")
def test_another_process_is_refused_while_it_is_held_and_not_afterwards(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path):
        assert tried(path) == 7
    assert tried(path) == 0


def test_it_is_let_go_when_the_block_fails_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with pytest.raises(ValueError, match="broken"), locked(path):
        raise ValueError("broken")
    with locked(path, wait=False):
        assert path.stat().st_mode & 0o077 == 0
