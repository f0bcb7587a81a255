"""Ways to leave a row behind, each tried by a process that locked itself as the utility process does."""

from __future__ import annotations

import _posixsubprocess
import fcntl
import ftplib
import http.client
import os
import pty
import resource
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import syslog
import tempfile
import urllib.request
import webbrowser
from collections.abc import Callable
from multiprocessing import resource_tracker, shared_memory, util
from multiprocessing.connection import Connection
from pathlib import Path

from riskgraph.sandbox.utility_process import lock

SECRET = "secret"
CHILD = (b"/bin/sh", [b"sh", b"-c", b"echo secret"])


def files(folder: Path) -> dict[str, Callable[[], object]]:
    """What leaves bytes, a name or an attribute in a folder that holds ``file`` and ``empty/``."""
    file, new = folder / "file", folder / SECRET
    here = os.open(file, os.O_RDONLY)
    ways: dict[str, Callable[[], object]] = {
        "open": lambda: new.write_text(SECRET),
        "os.open": lambda: os.open(new, os.O_CREAT | os.O_WRONLY),
        "append": lambda: file.open("a"),
        "chmod": lambda: os.chmod(file, 0o600),
        "fchmod": lambda: os.fchmod(here, 0o600),
        "chown": lambda: os.chown(file, 1234, 1234),
        "utime": lambda: os.utime(file, (1, 1)),
        "truncate": lambda: os.truncate(file, 0),
        "ftruncate": lambda: os.ftruncate(here, 0),
        "link": lambda: os.link(file, new),
        "symlink": lambda: os.symlink(SECRET, new),
        "rename": lambda: os.rename(file, new),
        "replace": lambda: os.replace(file, new),
        "remove": lambda: os.remove(file),
        "rmdir": lambda: os.rmdir(folder / "empty"),
        "mkdir": lambda: new.mkdir(),
        "mkfifo": lambda: os.mkfifo(new),
        "mknod": lambda: os.mknod(new),
        "chdir": lambda: os.chdir(folder),
        "copy": lambda: shutil.copyfile(file, new),
        "move": lambda: shutil.move(file, new),
        "copymode": lambda: shutil.copymode(folder, file),
        "rmtree": lambda: shutil.rmtree(folder / "empty"),
        "mkstemp": lambda: tempfile.mkstemp(prefix=SECRET, dir=folder),
        "mkdtemp": lambda: tempfile.mkdtemp(prefix=SECRET, dir=folder),
        "sqlite": lambda: sqlite3.connect(new),
        "lockf": lambda: fcntl.lockf(here, fcntl.LOCK_SH),
        "flock": lambda: fcntl.flock(here, fcntl.LOCK_EX),
        "shared memory": lambda: shared_memory.SharedMemory(SECRET, create=True, size=8),
        "size limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (99, 99)),
    }
    if hasattr(os, "setxattr"):
        ways["setxattr"] = lambda: os.setxattr(file, "user.row", SECRET.encode())
        ways["removexattr"] = lambda: os.removexattr(file, "user.row")
        ways["os.lockf"] = lambda: os.lockf(here, os.F_TEST, 0)
    return ways


def processes() -> dict[str, Callable[[], object]]:
    """What starts another process, or speaks to one."""
    path, arguments = CHILD
    return {
        "system": lambda: os.system("echo secret"),
        "subprocess": lambda: subprocess.run(arguments, check=True),
        "subprocess inside": lambda: subprocess._fork_exec(),  # type: ignore[attr-defined]
        "fork_exec": lambda: _posixsubprocess.fork_exec(),  # type: ignore[call-arg]
        "multiprocessing": lambda: util.spawnv_passfds(path, arguments, []),  # type: ignore[attr-defined]
        "exec": lambda: os.execv(path, arguments),
        "spawn": lambda: os.spawnv(os.P_NOWAIT, path, arguments),
        "posix_spawn": lambda: os.posix_spawn(path, arguments, {}),
        "fork": os.fork,
        "forkpty": os.forkpty,
        "pty": lambda: pty.spawn(["sh"]),
        "kill": lambda: os.kill(os.getppid(), 0),
        "thread signal": lambda: signal.pthread_kill(0, 0),
        "ioctl": lambda: fcntl.ioctl(0, 0),
        "syslog": lambda: syslog.syslog(SECRET),
        "browser": lambda: webbrowser.GenericBrowser("sh").open("http://secret.invalid"),
    }


def network() -> dict[str, Callable[[], object]]:
    """What asks or tells another machine."""
    return {
        "getaddrinfo": lambda: socket.getaddrinfo("secret.invalid", 1),
        "gethostbyname": lambda: socket.gethostbyname("secret.invalid"),
        "gethostbyaddr": lambda: socket.gethostbyaddr("127.0.0.1"),
        "getnameinfo": lambda: socket.getnameinfo(("127.0.0.1", 1), 0),
        "sethostname": lambda: socket.sethostname(SECRET),
        "socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "connect": lambda: socket.create_connection(("127.0.0.1", 1)),
        "urllib": lambda: urllib.request.urlopen("http://127.0.0.1:1"),
        "http": lambda: http.client.HTTPConnection("127.0.0.1", 1).request("GET", "/"),
        "ftp": lambda: ftplib.FTP("127.0.0.1"),
        "smtp": lambda: smtplib.SMTP("127.0.0.1", 1),
    }


def try_all(pipe: Connection, folder: Path) -> None:
    """Send the ways that were not refused, and the descriptors left open."""
    sys.stderr.flush()
    lock(pipe.fileno())
    let = []
    for name, way in (files(folder) | processes() | network()).items():
        try:
            way()
        except PermissionError as refused:
            if "the utility process" in str(refused):
                continue
        except BaseException:
            pass
        let.append(name)
    try:
        resource_tracker.register("/secret", "shared_memory")
        let.append("tracker")
    except OSError:
        pass
    pipe.send(let)
    pipe.close()


def open_descriptors(pipe: Connection) -> None:
    """Send what is open after locking, but for the three that lead nowhere and the pipe."""
    lock(pipe.fileno())
    found = set()
    for descriptor in range(3, 1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.add(descriptor)
    pipe.send(sorted(found - {pipe.fileno()}))
    pipe.close()
