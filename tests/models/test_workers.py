"""Several workers that share each batch end in the tables of one, and a worker may use its folder alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph.core.errors import ExtraMissing, Invalid
from riskgraph.models.fitters import Means
from riskgraph.models.layout import Layout
from tests.models.helpers import planted_rows

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph.models import workers  # noqa: E402
from riskgraph.models.binning import fit_edges  # noqa: E402
from riskgraph.models.checkpoint import Checkpoint  # noqa: E402
from riskgraph.models.fit import Batchable, Recipe, fit_batches  # noqa: E402
from riskgraph.models.share import Share  # noqa: E402

ADDITIVE = Layout.of_catalog().with_pairs([])
# Sums of doubles in another order; tables are of size 1.
TOLERANCE = 1e-9


def joined(rank: int, size: int, config: dict[str, Any]) -> None:
    """A worker as Ray Train would start it, joined through a file."""
    meeting = f"file://{config['folder']}/meeting"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    workers.work(config, Share(rank, size))
    torch.distributed.destroy_process_group()


def run_without_ray(config: dict[str, Any], size: int) -> None:
    torch.multiprocessing.spawn(joined, (size, config), nprocs=size)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "layout"), [(2, Layout.of_catalog()), (3, ADDITIVE)])
def test_workers_that_share_each_batch_end_in_the_tables_of_one(size, layout, monkeypatch):
    monkeypatch.setattr(workers, "_run", run_without_ray)
    monkeypatch.setattr(workers, "cluster", lambda workers: nullcontext())
    train, held_out = planted_rows(2501, 3)[0], planted_rows(701, 4)[0]
    edges = fit_edges(train.components, train.label, train.weight, layout)
    given = (*(Batchable.of(rows, edges) for rows in (train, held_out)), edges, 1, Recipe(epochs=3))
    told: list[int] = []
    alone = fit_batches(*given)
    spread = workers.fit_spread(*given, workers=size, progress=lambda _, done, __: told.append(done))
    np.testing.assert_allclose(spread.tables.flat(), alone.tables.flat(), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(spread.losses, alone.losses, rtol=0, atol=TOLERANCE)
    assert spread.bias == pytest.approx(alone.bias, abs=TOLERANCE)
    # Not by chance the same: the order of adding shows somewhere.
    assert (spread.tables.flat() != alone.tables.flat()).any()
    assert told == [1, 2, 3]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_row_of_a_batch_is_exactly_one_workers(size):
    rows = torch.randperm(100)
    shares = [Share(rank, size).of(rows) for rank in range(size)]
    assert sorted(torch.cat(shares).tolist()) == list(range(100))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_several_workers_without_ray_name_the_extra(monkeypatch):
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match=r"several workers needs .*riskgraph\[ray\]"), workers.cluster(2):
        pass


def test_lines_are_taken_when_they_are_whole(tmp_path):
    lines, path = workers._Lines(tmp_path / "told"), tmp_path / "told"
    assert lines.new() == []
    seen = []
    for text in ('{"a": 1}\n{"a"', ": 2}", '\n{"a": 3}\n', ""):
        with path.open("a") as file:
            file.write(text)
        seen += lines.new()
    assert seen == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_a_checkpoint_that_could_not_be_kept_does_not_go_unnoticed(tmp_path):
    def full() -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "checkpoint").write_bytes(b"state")
    (tmp_path / workers._TOLD).write_text('{"saved": true}\n')
    kept = Checkpoint(tmp_path / "kept", {}, full)
    with pytest.raises(OSError, match="No space"), workers._relayed(tmp_path, None, kept):
        pass


@pytest.mark.slow
def test_a_cluster_that_the_environment_names_gets_no_rows(monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(os, "environ", os.environ | {"RAY_ADDRESS": "192.0.2.1:6379"})
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "init", lambda **asked: started.append(asked))
    with workers.cluster(2):
        pass
    assert [asked["address"] for asked in started] == ["local"]


@pytest.mark.parametrize(
    ("means", "named"),
    [(Means(workers=0), "--workers"), (Means(device="tpu"), "--device"), (Means(2, "cuda"), "--device")],
)
def test_means_that_make_no_sense_are_wrong_input(means, named):
    with pytest.raises(Invalid) as told:
        means.check("order2")
    assert told.value.field == named


ARMED = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
from riskgraph.training_process import arm_worker
own, release = Path(sys.argv[2]), Path(sys.argv[3])
arm_worker(own)
said = {}
for name, path, mode in (("own", own / "bins", "w"), ("release", release, "r")):
    try:
        open(path, mode).close()
        said[name] = "opened"
    except PermissionError as error:
        said[name] = error.rule
import subprocess
try:
    subprocess.run(["true"])
except PermissionError as error:
    said["process"] = error.rule
print(json.dumps(said))
"""


def test_an_armed_worker_opens_its_folder_and_no_release(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "rows.parquet").write_text("a release")
    command = [sys.executable, "-c", ARMED, json.dumps(sys.path), tmp_path / "own", tmp_path / "rows.parquet"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == {"own": "opened", "release": "files", "process": "processes"}


def test_a_recipe_travels_to_workers_as_it_is() -> None:
    assert Recipe(**asdict(Recipe(epochs=3))) == Recipe(epochs=3)
