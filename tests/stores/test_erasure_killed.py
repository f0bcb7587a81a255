"""An erasure whose process is killed: all of the person is there or no byte is, and the log verifies."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from riskgraph.bench.explain_integrity import ORDERS_EACH, PEOPLE, count_in_files, entry, needles, populated
from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_secrets
from riskgraph.stores.verify import verify_file

SECRETS = synthetic_secrets()
ALL = PEOPLE * ORDERS_EACH


@dataclass(frozen=True)
class Before:
    """A store at rest, the person to be erased, and how many steps that takes."""

    path: Path
    account: bytes
    mine: set[bytes]
    steps: int


def child(path: Path, whose: str, *steps: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.stores.erasing_child", str(path), whose, *map(str, steps)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    path = tmp_path_factory.mktemp("rest") / "store.db"
    with closing(populated(path, SECRETS)) as store:
        mine = needles(store, 0)
    account = entry(0, 0).order.entities.account
    assert account is not None
    other = tmp_path_factory.mktemp("whole") / "store.db"
    shutil.copy(path, other)
    done = child(other, account.hex())
    assert done.returncode == 0, done.stderr
    return Before(path, account, mine, int(done.stdout))


def after_kill(before: Before, step: int, folder: Path) -> Mapping[str, int]:
    """What a start after the kill finds."""
    folder.mkdir()
    path = folder / "store.db"
    shutil.copy(before.path, path)
    assert child(path, before.account.hex(), step).returncode == -signal.SIGKILL
    with closing(SqliteStore(path, SECRETS)) as store:
        found = {
            "decisions": len(store.decisions(limit=ALL)),
            "bytes": count_in_files(before.mine, folder),
            "problems": len(store.integrity_problems()),
        }
        if found["bytes"]:
            store.subjects.erase((before.account,), (), 1_800_000_001.0)
    assert count_in_files(before.mine, folder) == 0
    assert verify_file(path, SECRETS).problems == ()
    shutil.rmtree(folder)
    return found


def check(before: Before, steps: list[int], folder: Path) -> None:
    seen = set()
    for step in steps:
        found = after_kill(before, step, folder / str(step))
        there = found["decisions"] == ALL
        assert there or found["decisions"] == ALL - ORDERS_EACH
        assert (found["bytes"] > 0) == there
        assert found["problems"] == 0
        seen.add(there)
    assert seen == {True, False}


def spread(steps: int, count: int) -> list[int]:
    return [1 + i * (steps - 1) // (count - 1) for i in range(count)]


def test_a_kill_leaves_all_of_a_person_or_no_byte(before: Before, tmp_path: Path) -> None:
    check(before, spread(before.steps, 6), tmp_path)


@pytest.mark.slow
def test_no_step_of_an_erasure_can_be_killed_so_that_a_part_stays(before: Before, tmp_path: Path) -> None:
    check(before, spread(before.steps, 150), tmp_path)
