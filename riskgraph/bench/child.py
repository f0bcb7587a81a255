"""A command in a process of its own: how long it took, and the most memory that it held."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from riskgraph.core.errors import CheckFailed, Unavailable

_POLL_S = 0.05


@dataclass(frozen=True)
class Ran:
    """Wall-clock seconds, and the peak of the resident set in MB (10^6 bytes)."""

    seconds: float
    peak_mb: float


def run(
    *arguments: object, poll: Callable[[], None] = lambda: None, environment: Mapping[str, str] | None = None
) -> Ran:
    """Run ``riskgraph ARGUMENTS``; ``poll`` is called while it runs, ``environment`` is added to its own.

    Raises:
        CheckFailed: If it ends with another code than 0, with its last words.
        Unavailable: If this system does not tell a process's memory (it has no ``/proc``).
    """
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        command = [sys.executable, "-m", "riskgraph", *map(str, arguments)]
        environment = {**os.environ, **(environment or {})}
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment)
        peak = 0.0
        try:
            while child.poll() is None:
                peak = max(peak, peak_mb(child.pid))
                poll()
                time.sleep(_POLL_S)
        finally:
            child.kill()
            child.wait()
        seconds = time.perf_counter() - start
        if child.returncode:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip()
            raise CheckFailed(f"riskgraph {arguments[0]} ended with {child.returncode}: {words[-300:]}")
    return Ran(seconds, peak)


def peak_mb(pid: int) -> float:
    """Peak resident set of a running process, 0 if it has just ended.

    Not ``ru_maxrss``: Linux carries the parent's over into what it starts.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        if not Path("/proc/self/status").exists():
            raise Unavailable("the memory of a process is read from /proc, which is not there") from error
        return 0.0
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
