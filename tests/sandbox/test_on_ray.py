"""The work of a large release on a Ray cluster gives what one process gives."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from riskgraph import releasing
from riskgraph.core.errors import ExtraMissing, Invalid, Unavailable
from riskgraph.sandbox import Chunking, Policy, ReleaseRequest, on_ray, write_release
from riskgraph.sandbox.files import TABLES
from tests.sandbox.conftest import UNTIL, FakeSigner, MakeWorld

IN_TURN = Chunking(above=0, rows=2500, bucket=900)
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray: riskgraph[ray]")


@pytest.fixture(scope="module")
def spill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spill")


@pytest.fixture(scope="module")
def two_workers(spill: Path) -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    with on_ray.cluster(workers=2, scratch=spill):
        assert signal.getsignal(signal.SIGTERM) == handler
        yield
    assert list(spill.iterdir()) == []


@needs_ray
@pytest.mark.slow
# Ray warns of its own parts that it has outlived
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("two_workers")
def test_a_release_on_ray_has_the_same_bytes_as_one_in_this_process(
    make_world: MakeWorld, signer: FakeSigner, tmp_path: Path
) -> None:
    table = make_world(honest=5000, fraud=1000, honest_people=2200, fraud_people=350)
    request = ReleaseRequest(until=UNTIL, seed=7, provenance="simulated", now=1_782_800_000.0, code="test")
    here = write_release(table, tmp_path / "here", request, signer, policy=Policy.default(), chunking=IN_TURN)
    spread = replace(IN_TURN, run=on_ray.run_on_ray)
    there = write_release(
        table, tmp_path / "there", request, signer, policy=Policy.default(), chunking=spread
    )
    for name in TABLES:
        assert (here.path / name).read_bytes() == (there.path / name).read_bytes(), name
    assert here.certificate == there.certificate


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("two_workers")
def test_what_a_task_raises_comes_through() -> None:
    with pytest.raises(ValueError, match="chunk 1 is broken"):
        list(on_ray.run_on_ray(_breaks, [0, 1, 2]))


def _breaks(chunk: int) -> int:
    if chunk == 1:
        raise ValueError(f"chunk {chunk} is broken")
    return chunk


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("two_workers")
def test_a_task_that_ends_its_worker_again_and_again_ends_the_run() -> None:
    with pytest.raises(Unavailable, match="--ray: the cluster could not do the work") as caught:
        list(on_ray.run_on_ray(_dies, [0, 1]))
    assert caught.value.field == "ray"


def _dies(chunk: int) -> int:
    if chunk == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return chunk


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("two_workers")
def test_what_a_cluster_spills_lies_where_only_its_owner_reads_and_nobody_enters_without_a_token(
    spill: Path,
) -> None:
    import ray

    folder, lock = sorted(spill.iterdir())
    assert folder.stat().st_mode & 0o077 == 0
    assert lock.name == f"{folder.name}.lock"
    spills = json.loads(ray._private.worker.global_worker.node._get_object_spilling_config())
    assert spills["params"]["directory_path"] == str(folder)
    ((mode, token, mask),) = on_ray.run_on_ray(_sees, [0])
    assert mode == "token"
    assert token == os.environ["RAY_AUTH_TOKEN"]
    assert mask == 0o077


def _sees(_: object) -> tuple[str, str, int]:
    mask = os.umask(0o077)
    return os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"], mask


def test_what_ends_early_waits_for_its_turn() -> None:
    rows = [{"place": place, "told": pickle.dumps((place * 10, None))} for place in (2, 0, 3, 1)]
    assert list(on_ray._in_order(rows)) == [0, 10, 20, 30]


@needs_ray
def test_no_cluster_is_started_before_there_is_work(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    @contextmanager
    def cluster(**_: object) -> Iterator[None]:
        seen.append("started")
        yield
        seen.append("left")

    monkeypatch.setattr(on_ray, "cluster", cluster)
    monkeypatch.setattr(on_ray, "run_on_ray", lambda task, over: map(task, over))
    with releasing.chunking("local", None) as how:
        assert seen == []
        assert list(how.run(str, [1])) == list(how.run(str, [1])) == ["1"]
        assert seen == ["started"]
    assert seen == ["started", "left"]


def test_a_cluster_that_would_let_anybody_in_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(Unavailable, match="RAY_AUTH_MODE"), on_ray.cluster(scratch=tmp_path):
        pass


@needs_ray
def test_an_address_where_nobody_listens_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(Unavailable, match="--ray") as caught, releasing.chunking(address, tmp_path):
            pass
        assert caught.value.field == "ray"


def test_another_cluster_needs_a_folder_that_it_sees() -> None:
    with pytest.raises(Invalid, match="folder") as caught, releasing.chunking("ray://elsewhere:10001", None):
        pass
    assert caught.value.field == "scratch"


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match=r"riskgraph\[ray\]"), releasing.chunking("local", None):
        pass
