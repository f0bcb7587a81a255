"""A tripwire around training: what the trainer's own process refuses to do.

``arm`` sets a hook on Python's audit events (PEP 578) that cannot be taken off again. It refuses to open a
file outside an allow-list, and databases, other processes and the network altogether. Every path is
resolved first, so a relative path or a link leads to the file that it means.

It is a tripwire and no wall: it stops and counts accidents and careless code. It does **not** stop

- native readers: pyarrow, LightGBM or ``torch.from_file`` open files in C, which raises no event;
- ctypes, which can call ``open`` of the C library, or any other;
- a program that native code, or Python's private ``_posixsubprocess``, starts by fork and exec;
- a link that is exchanged between the check and the opening;
- what was opened, imported or loaded before it was armed.

What does stop these is an operating-system user of its own that has no right to raw data
(``riskgraph.training_process``, docs/operations.md).
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskgraph.core.errors import CheckFailed

RULES: Mapping[str, str] = {
    "files": "training opens releases, its output, its libraries and its own temporary folder only",
    "writing": "training writes into its output and its own temporary folder only",
    "links": "training gives no file a second name",
    "databases": "training opens no database",
    "processes": "training starts no other process",
    "network": "training has no network",
    "imports": "training loads no store, no world and no driver of a database",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FAMILIES = {
    "sqlite3.": "databases",
    "socket.": "network",
    "subprocess.": "processes",
    "pty.": "processes",
    "os.exec": "processes",
    "os.fork": "processes",
    "os.posix_spawn": "processes",
    "os.spawn": "processes",
    "os.system": "processes",
    "os.startfile": "processes",
    "os.link": "links",
}
_MODULES = (
    *("apsw", "neo4j", "sqlite3", "_sqlite3", "_dbm", "_gdbm"),
    *("riskgraph.stores", "riskgraph.eval", "riskgraph.chain", "riskgraph.bootstrap"),
)
# What Python and its libraries ask of the system itself.
_SYSTEM = (
    *("/dev/urandom", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
    *("/sys/devices/system/cpu", "/sys/fs/cgroup", "/usr/share/zoneinfo", "/etc/localtime"),
)


class Refused(CheckFailed, PermissionError):
    """The tripwire refused something; ``rule`` is the key in ``RULES``.

    Neither path nor address is in it: a name in a folder of raw data can be a person's. An ``OSError``
    too, so that a library which only probes goes on without what it asked for.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(f"refused by the tripwire around training, rule {rule!r}: {RULES[rule]}")
        self.rule = rule


@dataclass(frozen=True)
class Allowed:
    """Folders and files, resolved, each with all that lies below it."""

    read: tuple[str, ...]
    write: tuple[str, ...]

    @classmethod
    def of(cls, *, read: Iterable[Path | str], write: Iterable[Path | str]) -> Allowed:
        """An allow-list; what may be written may be read, and the system's own files too."""
        writable = (*write, os.devnull)
        return cls(_resolved((*read, *_SYSTEM, *writable)), _resolved(writable))


def arm(allowed: Allowed) -> Callable[[], dict[str, int]]:
    """Set the hook for the rest of the process's life.

    Returns:
        A function that tells how often each rule refused something up to now.
    """
    refused: Counter[str] = Counter()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        rule = broken_rule(event, arguments, allowed)
        if rule is not None:
            refused[rule] += 1
            raise Refused(rule)

    sys.addaudithook(hook)
    return lambda: dict(refused)


def broken_rule(event: str, arguments: tuple[Any, ...], allowed: Allowed) -> str | None:
    """The rule that an audit event breaks, None if it may go on."""
    if event == "open":
        path, _, flags = arguments
        # A number is a descriptor that some earlier opening got past the hook.
        return None if isinstance(path, int) else _file_rule(path, flags, allowed)
    if event == "import":
        name = str(arguments[0])
        return "imports" if any(name == m or name.startswith(f"{m}.") for m in _MODULES) else None
    if event == "os.rename":
        inside = all(_within(path, allowed.write) for path in arguments[:2])
        return None if inside else "writing"
    return next((rule for family, rule in _FAMILIES.items() if event.startswith(family)), None)


def _file_rule(path: str | bytes, flags: int, allowed: Allowed) -> str | None:
    if not _within(path, allowed.read):
        return "files"
    return "writing" if flags & _WRITING and not _within(path, allowed.write) else None


def _within(path: str | bytes, places: tuple[str, ...]) -> bool:
    real = os.path.realpath(os.fsdecode(path))
    return any(real == place or real.startswith(place.rstrip(os.sep) + os.sep) for place in places)


def _resolved(paths: Iterable[Path | str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.realpath(path) for path in paths))
