"""Composition: a record enters one release only, and an erased one none."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.errors import CheckFailed, Conflict, Invalid
from riskgraph.core.table import OrderTable
from riskgraph.sandbox import (
    Ledger,
    Policy,
    Release,
    ReleaseRequest,
    check_ledger,
    verify_audit,
    write_release,
)
from riskgraph.sandbox import ledger as module

MakeWorld = Callable[..., OrderTable]
EARLY, LATE = date(2026, 6, 1), date(2026, 6, 30)
AT = "2026-07-01T00:00:00.000+00:00"
pytestmark = pytest.mark.usefixtures("without_pairs")


@dataclass(frozen=True)
class Home:
    """Log and ledger of one installation."""

    folder: Path
    signer: Any

    @property
    def log(self) -> Path:
        return self.folder / "audit.jsonl"

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder / "ledger", self.log, self.signer, "test", AT)

    @property
    def records(self) -> list[dict[str, Any]]:
        return verify_audit(self.log, self.signer)

    def release(
        self, table: OrderTable, name: str, until: date = LATE, provenance: str = "merchant"
    ) -> Release:
        request = ReleaseRequest(until=until, seed=7, provenance=provenance, now=1_782_800_000.0, code="test")
        out, places = self.folder / name, {"audit_log": self.log, "ledger": self.folder / "ledger"}
        return write_release(table, out, request, self.signer, **places, policy=Policy.default())

    def reserve(self, orders: list[str], name: str = "rel-1") -> Path:
        """What a release leaves that was killed just before it took its place; its unfinished folder."""
        folder = self.folder / f".{name}-x"
        folder.mkdir()
        with self.ledger.locked():
            self.ledger.reserve(name, np.sort(self.ledger.digests(orders)), folder, self.folder / name)
        return folder


@pytest.fixture
def home(tmp_path: Path, signer: Any) -> Home:
    return Home(tmp_path, signer)


@pytest.fixture(scope="module")
def table(make_world: MakeWorld) -> OrderTable:
    return make_world(4, 3_200, 1_500, 1_400, 560)


@pytest.fixture(scope="module")
def twice(table: OrderTable, signer: Any, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two releases of one history, the second with a later end."""
    home = Home(tmp_path_factory.mktemp("twice"), signer)
    home.release(table, "first", EARLY)
    home.release(table, "second", LATE)
    return home


def test_what_an_earlier_release_holds_does_not_enter_a_later_one(twice: Home, table: OrderTable) -> None:
    first, second = twice.records
    used = first["composition"]["ledger"]["records"]
    assert first["input"]["dropped"]["already_released"] == "<50"
    assert second["input"]["dropped"]["already_released"] == used - used % 50 >= 1_000
    assert second["composition"]["earlier_releases"] == [first["output"]["release_id"]]
    assert second["composition"]["records_already_released"] == 0
    a, b = (twice.ledger.of_release(r["output"]["release_id"]) for r in (first, second))
    assert (len(a), len(b)) == (used, second["composition"]["ledger"]["records"])
    assert len(np.intersect1d(a, b)) == 0
    assert len(np.setdiff1d(np.concatenate([a, b]), twice.ledger.digests(table.order_id))) == 0


def test_a_release_carries_the_very_line_of_the_log(twice: Home) -> None:
    lines = twice.log.read_bytes().splitlines(keepends=True)
    assert (twice.folder / "first/audit.jsonl").read_bytes() == lines[0]
    assert (twice.folder / "second/audit.jsonl").read_bytes() == lines[1]
    assert json.loads(lines[1])["prev_hash"] == json.loads(lines[0])["hash"]


def test_the_ledger_is_compact_and_names_nobody(twice: Home, table: OrderTable, signer: Any) -> None:
    files = sorted((twice.folder / "ledger").glob("rel-*"))
    records = sum(r["composition"]["ledger"]["records"] for r in twice.records)
    assert sum(path.stat().st_size for path in files) == 16 * records
    for path in files:
        digests = twice.ledger.of_release(path.stem)
        assert (digests[:-1] < digests[1:]).all()
    whole = b"".join(p.read_bytes() for p in (*files, twice.log))
    assert not any(order.encode() in whole for order in table.order_id[:200] if len(order) > 3)
    other = dataclasses.replace(signer, key=b"x" * 32)
    theirs = Ledger(twice.folder, twice.log, other, "test", AT).digests(table.order_id[:9])
    assert len(np.intersect1d(theirs, twice.ledger.digests(table.order_id[:9]))) == 0


def test_a_history_that_was_released_is_refused_and_told_why(
    twice: Home, table: OrderTable, tmp_path: Path
) -> None:
    home = Home(tmp_path, twice.signer)
    shutil.copytree(twice.folder / "ledger", tmp_path / "ledger")
    shutil.copy(twice.log, home.log)
    with pytest.raises(
        CheckFailed, match=r"class has \d+ persons.*orders were left out, for earlier releases"
    ):
        home.release(table, "third")
    refusal = home.records[-1]
    assert (refusal["event"], refusal["verdict"]) == ("refusal", "refused")
    assert refusal["input"]["dropped"]["already_released"] > 0
    assert re.search(r"\d+ persons|missing", refusal["refused_reasons"][0]["message"]) is None
    assert not (tmp_path / "third").exists()


def test_simulated_orders_may_be_released_again_and_the_record_says_so(home: Home, table: OrderTable) -> None:
    first = home.release(table, "first", provenance="simulated")
    second = home.release(table, "second", provenance="simulated")
    assert first.release_id == second.release_id
    assert {r["composition"]["exempt"] for r in home.records} == {"simulated"}
    assert "exempt" in home.records[0]["not_measured"]["composition"]
    assert not (home.folder / "ledger").exists()


def test_an_erased_order_enters_no_later_release_and_no_release_changes(
    twice: Home, table: OrderTable, tmp_path: Path
) -> None:
    home = Home(tmp_path, twice.signer)
    for name in ("ledger", "first"):
        shutil.copytree(twice.folder / name, tmp_path / name)
    first = twice.records[0]["output"]["release_id"]
    (tmp_path / "ledger" / f"{twice.records[1]['output']['release_id']}.digests").unlink()
    home.log.write_bytes(twice.log.read_bytes().splitlines(keepends=True)[0])
    before = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    used = np.isin(home.ledger.digests(table.order_id), home.ledger.of_release(first))
    gone = [*table.order_id[used][:5], *table.order_id[~used & (table.label == 0)][:40]]
    event = home.ledger.erase(gone)
    assert event["composition"]["records_erased"] == 45
    assert event["composition"]["releases_holding"] == [{"release_id": first, "records": 5}]
    assert event["composition"]["releases_recomputed"] == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()} == before
    home.release(table, "second")
    record = home.records[-1]
    assert record["input"]["dropped"]["erased"] == "<50"
    entered = home.ledger.of_release(record["output"]["release_id"])
    assert len(np.intersect1d(entered, home.ledger.digests(gone))) == 0


def test_an_order_is_erased_once_however_often_it_is_asked(home: Home) -> None:
    assert home.ledger.erase(["a", "b", "a"])["composition"]["records_erased"] == 2
    again = home.ledger.erase(["b", "c"])["composition"]
    assert (again["records_asked"], again["records_erased"], again["ledger"]["records"]) == (2, 1, 3)
    check_ledger(home.folder / "ledger", home.records)


@given(st.lists(st.sets(st.integers(0, 30), min_size=1), max_size=4), st.sets(st.integers(0, 30), min_size=1))
@settings(max_examples=25, deadline=None)
def test_exactly_the_used_and_the_erased_are_barred(
    signer: Any, tmp_path_factory: pytest.TempPathFactory, releases: list[set[int]], erased: set[int]
) -> None:
    home = Home(tmp_path_factory.mktemp("home"), signer)
    used: set[int] = set()
    for number, orders in enumerate(releases):
        free = sorted(orders - used)
        digests = np.sort(home.ledger.digests(free))
        home.ledger.folder.mkdir(exist_ok=True)
        home.ledger.reserve(f"rel-{number}", digests, home.folder / "gone", home.folder / "out")
        home.ledger._end()
        used |= orders
    data = np.sort(home.ledger.digests(sorted(erased)))
    home.ledger.folder.mkdir(exist_ok=True)
    (home.ledger.folder / "erased.digests").write_bytes(data.tobytes())
    barred = home.ledger.barred(list(range(31)))
    assert set(np.flatnonzero(barred["already_released"])) == used
    assert set(np.flatnonzero(barred["erased"])) == erased
    for orders in (used, erased):
        if orders:
            with pytest.raises(CheckFailed, match="in an earlier one or erased"):
                home.ledger.reserve("rel-x", home.ledger.digests(orders), home.folder, home.folder)


@given(
    st.lists(st.binary(min_size=2, max_size=2), max_size=12),
    st.lists(st.binary(min_size=2, max_size=2), max_size=12),
    st.booleans(),
)
def test_digests_that_differ_in_one_half_only_are_told_apart(
    asked: list[bytes], known: list[bytes], late: bool
) -> None:
    def spread(parts: list[bytes]) -> Any:
        # either all first halves are the same, or all second halves
        whole = [b"\0" * 8 + p + b"\0" * 6 if late else p + b"\0" * 14 for p in parts]
        return np.frombuffer(b"".join(whole), dtype="S16")

    found = module._among(spread(asked), np.sort(spread(known)))
    assert found.tolist() == [part in known for part in asked]


def test_a_killed_release_is_taken_away_and_its_records_are_free_again(home: Home) -> None:
    folder = home.reserve(["a", "b"])
    with home.ledger.locked():
        assert not home.ledger.barred(["a", "b", "c"])["already_released"].any()
    assert not folder.exists()
    (record,) = home.records
    assert (record["event"], record["verdict"]) == ("refusal", "withdrawn")
    assert record["refused_reasons"][0]["code"] == "not_handed_over"
    assert home.ledger.releases() == []


def test_a_release_killed_after_it_took_its_place_keeps_its_records(home: Home) -> None:
    home.reserve(["a", "b"]).replace(home.folder / "rel-1")
    home.ledger.recover()
    assert home.ledger.barred(["a", "b", "c"])["already_released"].tolist() == [True, True, False]
    assert not (home.folder / "ledger/pending.json").exists()


def test_a_run_that_ends_before_the_release_is_in_place_gives_its_records_back(
    home: Home, table: OrderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def die(self: Path, target: Path) -> Path:
        if target == home.folder / "out":
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            home.release(table, "out")
    assert not (home.folder / "out").exists()
    assert [record["verdict"] for record in home.records] == ["released", "withdrawn"]
    assert home.release(table, "out").provenance == "merchant"
    assert len(home.ledger.releases()) == 1


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.sandbox.conftest import FakeSigner, build_world, nothing_told_of_pairs
from tests.sandbox.test_ledger import Home

home, replace = Home(Path(sys.argv[1]), FakeSigner()), Path.replace

def die(self, target):
    if target == home.folder / "out":
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = die
with nothing_told_of_pairs():
    home.release(build_world(4, 3_200, 1_500, 1_400, 560), "out")
"""


def test_a_run_killed_just_before_the_release_is_in_place_costs_no_record(
    home: Home, table: OrderTable
) -> None:
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(home.folder)], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    (unfinished,) = home.folder.glob(".out-*")
    assert (home.folder / "ledger/pending.json").exists()
    made = home.release(table, "out")
    assert not unfinished.exists()
    assert [record["verdict"] for record in home.records] == ["released", "withdrawn", "released"]
    assert home.ledger.releases() == [made.release_id]
    check_ledger(home.folder / "ledger", home.records)


def test_an_interrupt_after_the_release_is_in_place_leaves_its_records_used(
    home: Home, table: OrderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def die(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        if target == home.folder / "out":
            raise KeyboardInterrupt
        return moved

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            home.release(table, "out")
    made = Release.open(home.folder / "out", home.signer)
    with home.ledger.locked():
        assert home.ledger.releases() == [made.release_id]
    with pytest.raises(CheckFailed, match="earlier releases hold them"):
        home.release(table, "again")


@pytest.mark.parametrize("written", [True, False])
def test_a_killed_erasure_is_ended_or_never_was(
    home: Home, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.ledger.erase(["a"])

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if written:
            patch.setattr(module, "append_audit", die)
        else:
            patch.setattr(Ledger, "_begin", lambda self, what: (module_begin(self, what), die()))
        with pytest.raises(KeyboardInterrupt):
            home.ledger.erase(["b"])
    with home.ledger.locked():
        assert home.ledger.barred(["a", "b"])["erased"].tolist() == [True, written]
    assert len(home.records) == 1 + written
    home.ledger.erase(["b"])
    assert home.ledger.barred(["b"])["erased"].all()


module_begin = Ledger._begin


def test_two_releases_at_a_time_do_not_take_the_same_records(home: Home) -> None:
    with home.ledger.locked():
        with pytest.raises(Conflict, match="another release or erasure"), home.ledger.locked():
            pass
    with home.ledger.locked():
        pass


def _tamper(folder: Path, log: Path, how: str) -> None:
    (name,) = (path for path in folder.glob("rel-*"))
    if how == "lost":
        name.unlink()
    elif how == "emptied":
        name.write_bytes(b"")
    elif how == "log gone":
        log.unlink()
    else:
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("lost", "the ledger lacks rel-"),
        ("emptied", "is not what the log names"),
        ("log gone", "the log does not name"),
        ("log shortened", "the log does not name"),
    ],
)
def test_a_ledger_that_its_log_does_not_vouch_for_stops_every_release(
    twice: Home, table: OrderTable, tmp_path: Path, how: str, named: str
) -> None:
    home = Home(tmp_path, twice.signer)
    shutil.copytree(twice.folder / "ledger", tmp_path / "ledger")
    (tmp_path / "ledger" / f"{twice.records[1]['output']['release_id']}.digests").unlink()
    home.log.write_bytes(twice.log.read_bytes().splitlines(keepends=True)[0])
    _tamper(tmp_path / "ledger", home.log, how)
    with pytest.raises(CheckFailed, match=named):
        home.release(table, "out")
    assert not (tmp_path / "out").exists()


def test_a_ledger_without_a_log_is_no_proof(signer: Any, table: OrderTable, tmp_path: Path) -> None:
    request = ReleaseRequest(until=LATE, seed=7, provenance="merchant", now=1_782_800_000.0, code="test")
    with pytest.raises(Invalid, match="needs the audit log"):
        write_release(
            table, tmp_path / "out", request, signer, ledger=tmp_path / "ledger", policy=Policy.default()
        )


def test_without_a_ledger_a_merchants_record_says_that_nothing_is_known(
    signer: Any, table: OrderTable, tmp_path: Path
) -> None:
    request = ReleaseRequest(until=LATE, seed=7, provenance="merchant", now=1_782_800_000.0, code="test")
    write_release(table, tmp_path / "out", request, signer, policy=Policy.default())
    (record,) = verify_audit(tmp_path / "out/audit.jsonl", signer)
    assert record["composition"]["records_already_released"] is None
    assert "no ledger" in record["not_measured"]["composition"]
