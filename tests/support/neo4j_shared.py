"""One server for all processes of a test run; it ends with the last of them, however they end.

Whoever uses it holds a shared lock on the file ``users``. A keeper, ``python -m tests.support.neo4j_shared``,
has started it, waits for the lock to be free and kills it then. The system frees locks of killed processes.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.neo4j_jars import ROOT, Refused, Unavailable, locked
from tests.support.neo4j_server import Server, Wanted, kill, of_folder, start, stop


def keep(folder: Path) -> None:
    """Start the server, write ``told`` with it or why there is none, and kill it when nobody uses it."""
    told, home = folder / "told", folder / "server"
    with (folder / "users").open() as users:
        try:
            server = start(home, Wanted(tied=True))
        except (Unavailable, Refused) as wrong:
            told.write_text(json.dumps({type(wrong).__name__: str(wrong)}))
            return
        told.write_text("{}")
        _say_done()
        fcntl.flock(users, fcntl.LOCK_EX)
        # Nothing of it is wanted any more, so it need not end in order.
        told.unlink()
        kill(server, signal.SIGKILL)
        stop(home)
        shutil.rmtree(home)


def _say_done() -> None:
    sys.stdout.write("started\n")
    sys.stdout.flush()


def _start_keeper(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.neo4j_shared", str(folder)]
    with (folder / "keeper.log").open("w") as log:
        keeper = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, start_new_session=True
        )
    assert keeper.stdout is not None
    with keeper.stdout:
        keeper.stdout.readline()
    return keeper


@contextmanager
def shared(folder: Path) -> Iterator[Server]:
    """Join the server of that folder, or start it.

    Raises:
        Unavailable: If this machine can have none; found out once a folder.
        Refused: If one could be had, and something is wrong with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keeper = None
    try:
        with (folder / "users").open("w") as users:
            with locked(folder / "starting"):
                fcntl.flock(users, fcntl.LOCK_SH)  # waits for a keeper that is killing the server just now
                if not (folder / "told").exists():
                    keeper = _start_keeper(folder)
            yield _told(folder)
    finally:
        if keeper is not None:
            keeper.wait()


def _told(folder: Path) -> Server:
    told = folder / "told"
    if not told.exists():
        raise Refused(f"the keeper of the server ended: {(folder / 'keeper.log').read_text()}")
    match json.loads(told.read_text()):
        case {"Unavailable": why}:
            raise Unavailable(why)
        case {"Refused": why}:
            raise Refused(why)
    if (server := of_folder(folder / "server")) is None:
        raise Refused(f"the server of {folder} has ended")
    return server


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
