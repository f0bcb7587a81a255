"""A command in a process of its own: how long it took, and the most memory that it held."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from riskgraph.core.errors import CheckFailed

_POLL_S = 0.05
# Linux counts in KiB, macOS in bytes (getrusage(2)).
_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ran:
    """Wall-clock seconds, and the peak of the resident set in MB (10^6 bytes)."""

    seconds: float
    peak_mb: float


def run(*arguments: object, poll: Callable[[], None] = lambda: None) -> Ran:
    """Run ``riskgraph ARGUMENTS``; ``poll`` is called while it runs.

    Raises:
        CheckFailed: If it ends with another code than 0, with its last words.
    """
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        command = [sys.executable, "-m", "riskgraph", *map(str, arguments)]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        # Not resource.getrusage: that is the most of all children so far, not of this one.
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        while not pid:
            time.sleep(_POLL_S)
            poll()
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip()
            raise CheckFailed(f"riskgraph {arguments[0]} ended with {child.returncode}: {words[-300:]}")
    return Ran(seconds, usage.ru_maxrss * _UNIT / 1e6)
