"""Training that is stopped and goes on, by one worker or several, in its own process."""

from __future__ import annotations

import importlib.util
import subprocess

import numpy as np
import pytest

from riskgraph.core.errors import RiskgraphError
from tests.support.cli import riskgraph
from tests.support.training import PATHS, keep_children, needs_torch, train

pytest.importorskip("pyarrow", reason="training needs the extra lab")


@needs_torch
@pytest.mark.slow
def test_training_that_is_stopped_goes_on_to_the_same_bytes_and_leaves_no_checkpoint(chain, tmp_path):
    def stop(step, done, total):
        if done == 3:
            raise KeyboardInterrupt

    train(chain, tmp_path / "whole", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(chain, tmp_path / "model", device="cpu", progress=stop)
    assert [path.name for path in tmp_path.iterdir() if path.name != "whole"] == [".model.checkpoint"]
    told: list[int] = []
    made = train(
        chain, tmp_path / "model", device="cpu", resume=True, progress=lambda *step: told.append(step[1])
    )
    assert told[0] in (3, 4)
    assert not [note for note in made.notes if "anew" in note]
    assert (tmp_path / "model/tables.npy").read_bytes() == (tmp_path / "whole/tables.npy").read_bytes()
    assert not (tmp_path / ".model.checkpoint").exists()


@needs_torch
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="several workers need the extra ray")
def test_two_workers_of_ray_end_in_the_tables_of_one_and_leave_no_process(chain, tmp_path):
    told: list[int] = []
    train(chain, tmp_path / "one", device="cpu", rows=2000)
    made = train(chain, tmp_path / "two", workers=2, rows=2000, progress=lambda *step: told.append(step[1]))
    one, two = (np.load(tmp_path / name / "tables.npy") for name in ("one", "two"))
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-9)
    assert made.card["recipe"]["workers"] == 2
    assert told == list(range(1, made.card["recipe"]["epochs_run"] + 1))
    assert not [note for note in made.notes if "tripwire" in note]
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True, check=True)
    assert "riskgraph-train-" not in listed.stdout


# A child that saves a checkpoint and then does not come back.
SAVING = """
job = json.loads(sys.stdin.readline())
open(job["checkpoint"], "wb").write(b"state")
print(json.dumps({"checkpoint": True}), flush=True)
print(json.dumps({"progress": ["train", 1, 40]}), flush=True)
sys.stdin.read()
"""


def test_the_checkpoint_of_a_child_that_is_killed_stays_beside_the_folder_and_is_handed_to_the_next(
    chain, tmp_path, temporary, monkeypatch
):
    children = keep_children(monkeypatch, PATHS + SAVING)
    with pytest.raises(RiskgraphError, match="SIGKILL"):
        train(chain, tmp_path / "model", progress=lambda *_: children[-1].kill())
    assert (tmp_path / ".model.checkpoint").read_bytes() == b"state"
    assert list(temporary.iterdir()) == []
    look = "job = json.loads(sys.stdin.readline()); print(open(job['checkpoint']).read(), file=sys.stderr)"
    keep_children(monkeypatch, f"{PATHS}{look}; raise SystemExit(1)")
    with pytest.raises(RiskgraphError, match="exit code 1"):
        train(chain, tmp_path / "model", resume=True)


def test_a_child_cannot_have_its_parent_keep_another_file_than_a_checkpoint(chain, tmp_path, monkeypatch):
    (tmp_path / "raw").write_text("raw")
    link = f"import os; os.symlink({str(tmp_path / 'raw')!r}, job['checkpoint'])"
    keep_children(monkeypatch, PATHS + SAVING.replace('open(job["checkpoint"], "wb").write(b"state")', link))
    with pytest.raises(OSError, match="symbolic links"):
        train(chain, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_damaged_checkpoint_is_refused_with_exit_code_3(chain, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / ".model.checkpoint").write_bytes(b"x" * 500)
    asked = ("--release", chain / "release", "--out", tmp_path / "model", "--resume")
    ran = riskgraph("train", *asked, home=chain / "home")
    assert ran.code == 3
    assert "damaged; train without --resume" in ran.error


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("--resume",), "--resume"),
        (("--workers", 2), "--workers"),
        (("--device", "cuda"), "--device"),
        (("--balance-clusters",), "--balance-clusters"),
    ],
)
def test_options_that_a_kind_does_not_know_are_wrong_input(option, named, chain, tmp_path):
    asked = ("--release", chain / "release", "--out", tmp_path / "model", "--kind", "gbdt", *option)
    ran = riskgraph("train", *asked, home=chain / "home")
    assert ran.code == 2
    assert f"{named} is for kinds order2 and additive, not for gbdt" in ran.error
