"""A measurement that is asked to end leaves no process behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import until

pytest.importorskip("torch")
pytest.importorskip("pyarrow")

_WORKER = """
import os, signal, sys
from pathlib import Path
here = Path(sys.argv[1])

def never_ends(*_):
    (here / str(os.getpid())).touch()
    signal.pause()
"""
_FAMILIES = """
from riskgraph.bench import new_families as bench

class Ground:
    def parts(self):
        return [["a"], ["b"]]

bench._run = never_ends
bench._every(Ground(), bench.Field(workers=2), here, lambda *_: None)
"""
_TRAINING = """
from riskgraph.bench import training

if __name__ == "__main__":
    training._train = never_ends
    training._alone(here, 1, None)
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize(("script", "children"), [(_FAMILIES, 2), (_TRAINING, 1)])
def test_nothing_trains_on_where_a_measurement_is_stopped(tmp_path: Path, script: str, children: int) -> None:
    code, marks = tmp_path / "measure.py", tmp_path / "marks"
    code.write_text(_WORKER + script)
    marks.mkdir()
    run = subprocess.Popen([sys.executable, str(code), str(marks)], stderr=subprocess.DEVNULL)
    until(lambda: len(list(marks.iterdir())) == children, run, "all work has begun")
    pids = [int(mark.name) for mark in marks.iterdir()]
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=60) == 143
    assert [pid for pid in pids if running(pid)] == []
