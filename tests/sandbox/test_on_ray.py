"""The work of a large release on a Ray cluster gives what one process gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from riskgraph import releasing
from riskgraph.core.errors import ExtraMissing, Invalid
from riskgraph.sandbox import Chunking, Policy, ReleaseRequest, on_ray, write_release
from riskgraph.sandbox.files import TABLES
from tests.sandbox.conftest import UNTIL, FakeSigner, MakeWorld

IN_TURN = Chunking(above=0, rows=2500, bucket=900)
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray: riskgraph[ray]")


@pytest.fixture(scope="module")
def two_workers() -> Iterator[None]:
    with on_ray.cluster(workers=2):
        yield


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
    with pytest.raises(Exception, match="chunk 1 is broken"):
        list(on_ray.run_on_ray(_breaks, [0, 1, 2]))


def _breaks(chunk: int) -> int:
    if chunk == 1:
        raise ValueError(f"chunk {chunk} is broken")
    return chunk


def test_what_ends_early_waits_for_its_turn() -> None:
    rows = [{"place": place, "told": on_ray.pickle.dumps(place * 10)} for place in (2, 0, 3, 1)]
    assert list(on_ray._in_order(iter(rows))) == [0, 10, 20, 30]


def test_another_cluster_needs_a_folder_that_it_sees() -> None:
    with pytest.raises(Invalid, match="folder") as caught, releasing.chunking("ray://elsewhere:10001", None):
        pass
    assert caught.value.field == "scratch"


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match=r"riskgraph\[ray\]"), releasing.chunking("local", None):
        pass
