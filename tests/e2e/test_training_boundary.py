"""Training in its own process: what it gets, what it cannot reach, and how it ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from riskgraph import bootstrap, training_process
from riskgraph.core import errors
from riskgraph.core.errors import CheckFailed, Invalid, RiskgraphError
from riskgraph.models import load_model
from riskgraph.models.registry import shipped_champion
from riskgraph.training_process import Account, choose_account, start
from tests.models.helpers import random_subgraph
from tests.support.cli import riskgraph
from tests.support.training import PATHS, keep_children, needs_torch, settings, train

pytest.importorskip("pyarrow", reason="training needs the extra lab")
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can change to another operating-system user")
HERE = Path(__file__).parents[2]


def child_says(code: str, folder: Path, account: Account | None = None) -> Any:
    """What a process prints as JSON that starts as training does."""
    with start(PATHS + code, folder, account, subprocess.PIPE) as child:
        out, err = child.communicate()
    assert child.returncode == 0, err.decode()
    return json.loads(out)


def in_process(chain: Path, release: Path, out: Path, kind: Any, progress: Any = lambda *_: None) -> None:
    """Training without a process of its own."""
    from riskgraph.models.train import train as train_here
    from riskgraph.sandbox import Release

    opened = Release.open(release, bootstrap.open_verifier(settings(chain)))
    train_here([opened], out, kind=kind, progress=progress)


SURROUNDINGS = """
import os
opened = []
for n in range(256):
    try:
        os.fstat(n)
        opened.append(n)
    except OSError:
        pass
print(json.dumps([dict(os.environ), os.getcwd(), os.umask(0), opened]))
"""


def test_the_child_finds_nothing_of_its_parents_environment_or_files(scratch, tmp_path, monkeypatch):
    for name in ("RISKGRAPH_HOME", "RISKGRAPH_SECRETS", "NEO4J_PASSWORD", "PYTHONPATH", "AWS_SECRET"):
        monkeypatch.setenv(name, "raw")
    raw = tmp_path / "raw"
    with raw.open("w") as opened:
        os.set_inheritable(opened.fileno(), True)
        environment, folder, mask, descriptors = child_says(SURROUNDINGS, scratch)
    assert "raw" not in environment.values()
    assert not [name for name in environment if name.startswith(("RISKGRAPH", "NEO4J", "PYTHON"))]
    assert Path(folder) == scratch
    assert mask == 0o077
    assert descriptors == [0, 1, 2]


# A child that gets as far as its first epoch and no further.
WAITING = PATHS + "print(json.dumps({'progress': ['train', 1, 40]}), flush=True); sys.stdin.read()"


def test_ctrl_c_leaves_no_model_no_child_and_no_copy(chain, tmp_path, temporary, monkeypatch):
    children = keep_children(monkeypatch, WAITING)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(chain, tmp_path / "model", progress=interrupt)
    assert not (tmp_path / "model").exists()
    assert children[-1].returncode == -signal.SIGKILL
    assert list(temporary.iterdir()) == []


def test_a_child_that_the_system_kills_is_told_and_the_model_before_stays(
    chain, tmp_path, temporary, monkeypatch
):
    children, out = keep_children(monkeypatch, WAITING), tmp_path / "model"
    shutil.copytree(str(shipped_champion()), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def kill(*_: object) -> None:
        children[-1].kill()

    with pytest.raises(RiskgraphError, match="SIGKILL.*too little memory.*no model was written") as told:
        train(chain, out, progress=kill)
    assert told.value.exit_code == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert list(temporary.iterdir()) == []


def test_a_child_that_fails_shows_why_on_stderr(chain, tmp_path, monkeypatch, capsys):
    keep_children(monkeypatch, PATHS + "raise ValueError('a bug')")
    with pytest.raises(RiskgraphError, match=r"exit code 1\); no model was written"):
        train(chain, tmp_path / "model")
    assert "ValueError: a bug" in capsys.readouterr().err


# Training that looks around first: what is loaded, and what it may open.
CURIOUS = """
import riskgraph.models.train
from riskgraph.training_process import run_child
def look(releases, out, **options):
    print(*[type(r).__name__ for r in releases], *sys.modules, file=sys.stderr)
    open({raw!r})
riskgraph.models.train.train = look
run_child()
"""


def test_training_that_opens_a_raw_file_fails_the_check_and_has_no_store_loaded(
    chain, tmp_path, monkeypatch, capsys
):
    raw = chain / "world/manifest.json"
    keep_children(monkeypatch, PATHS + CURIOUS.format(raw=str(raw)))
    with pytest.raises(CheckFailed, match="tripwire.*'files'") as told:
        train(chain, tmp_path / "model", "gbdt")
    assert told.value.exit_code == 3
    assert "manifest" not in told.value.message
    looked = capsys.readouterr().err.split()
    assert looked[0] == "Release"
    assert not {"riskgraph.stores", "riskgraph.eval", "riskgraph.chain", "riskgraph.bootstrap"} & set(looked)
    assert not (tmp_path / "model").exists()


# A child that has a model at once, and a library that tried what it may not.
READY = """
import select
import shutil
job = json.loads(sys.stdin.readline())
shutil.copytree({model!r}, job["out"], ignore=shutil.ignore_patterns("__*", "refusal*", "baseline*"))
print(json.dumps({{"refused": {{"network": 2}}}}))
"""


def test_what_a_library_tried_in_vain_is_told_beside_the_model(chain, tmp_path, monkeypatch):
    keep_children(monkeypatch, PATHS + READY.format(model=str(shipped_champion())))
    asked = ("train", "--release", chain / "release", "--kind", "gbdt", "--out", tmp_path / "model", "--json")
    ran = riskgraph(*asked, home=chain / "home")
    assert ran.json()["kind"] == "order2"
    assert "note: the tripwire around training refused 2 x network" in ran.err
    assert (tmp_path / "model/tables.npy").is_file()


def test_a_child_whose_parent_is_gone_ends_and_takes_its_copies_along(chain, scratch):
    with start(training_process._TRAIN, scratch, None, subprocess.DEVNULL) as child:
        assert child.stdin is not None
        job = {"releases": [], "out": str(scratch / "model"), "kind": "gbdt", "seed": 0, "public_key": ""}
        (scratch / "copy").write_text("of a release")
        child.stdin.write(json.dumps(job).encode() + b"\n")
        child.stdin.close()
        assert child.wait(timeout=60) == 1
    assert not (scratch / "copy").exists()


@pytest.mark.parametrize(
    "kind", ["logistic", "xgbgraph", pytest.param("gatv2", marks=[needs_torch, pytest.mark.slow])]
)
def test_alternatives_are_trained_in_the_same_process_of_their_own(kind, chain, tmp_path):
    made = train(chain, tmp_path / "model", kind, rows=300)
    assert (made.card["kind"], made.card["recipe"]["rows"]) == (kind, 300)
    assert not [note for note in made.notes if "tripwire" in note]
    model = load_model(tmp_path / "model")
    assert model.score(random_subgraph(1), "pre_auth/front_end").probability < 1


def spoil(release: Path) -> None:
    data = bytearray((release / "rows.parquet").read_bytes())
    data[100] ^= 1
    (release / "rows.parquet").write_bytes(data)


def add_raw(release: Path) -> None:
    (release / "orders.parquet").write_text("raw")


@pytest.mark.parametrize(("change", "named"), [(spoil, "rows.parquet"), (add_raw, "orders.parquet")])
def test_a_release_that_does_not_hold_is_refused_in_the_same_words_as_in_one_process(
    change, named, chain, tmp_path
):
    release = tmp_path / "release"
    shutil.copytree(chain / "release", release)
    change(release)
    with pytest.raises(CheckFailed, match=named) as told:
        in_process(chain, release, tmp_path / "model", "gbdt")
    ran = riskgraph(
        "train", "--release", release, "--kind", "gbdt", "--out", tmp_path / "model", home=chain / "home"
    )
    assert (ran.code, ran.error) == (3, f"error: {told.value.message}")
    assert not (tmp_path / "model").exists()


def test_a_release_that_another_installation_signed_is_refused(chain, tmp_path):
    release = ("--release", chain / "release")
    ran = riskgraph("train", *release, "--kind", "gbdt", "--out", tmp_path / "m", home=tmp_path / "home")
    assert ran.code == 3
    assert "signature" in ran.error


def test_whoever_has_the_public_key_alone_can_train_and_no_key_is_made(chain, tmp_path, monkeypatch):
    key, home = tmp_path / "riskgraph.pem", tmp_path / "home"
    assert riskgraph("keys", "public", "--out", key, home=chain / "home").code == 0
    keep_children(
        monkeypatch,
        PATHS + "print(open(json.loads(sys.stdin.readline())['public_key']).read(), file=sys.stderr)",
    )
    asked = ("train", "--release", chain / "release", "--public-key", key, "--kind", "gbdt")
    ran = riskgraph(*asked, "--out", tmp_path / "model", home=home)
    assert key.read_text() in ran.err
    assert not home.with_name("home-secrets").exists()


@pytest.mark.parametrize("kind", errors.RiskgraphError.__subclasses__() + errors.Invalid.__subclasses__())
def test_every_error_of_the_child_is_the_same_error_in_the_parent(kind):
    error = kind.__new__(kind)
    RiskgraphError.__init__(error, "what is wrong", field="release")
    raised = training_process._raised(json.loads(json.dumps(training_process._told(error))))
    assert type(raised) is kind
    assert (raised.message, raised.field, raised.exit_code) == ("what is wrong", "release", kind.exit_code)


def test_an_error_of_the_system_keeps_its_file():
    told = training_process._told(FileNotFoundError(2, "No such file or directory", "rows.parquet"))
    raised = training_process._raised(json.loads(json.dumps(told)))
    assert isinstance(raised, FileNotFoundError)
    assert raised.filename == "rows.parquet"


def link_beside(made: Path, raw: Path) -> None:
    (made / "more.npy").symlink_to(raw)


def link_instead(made: Path, raw: Path) -> None:
    (made / "tables.npy").unlink()
    (made / "tables.npy").symlink_to(raw)


def file_beside(made: Path, raw: Path) -> None:
    shutil.copy(raw, made / "more.npy")


def pipe_beside(made: Path, raw: Path) -> None:
    os.mkfifo(made / "more.npy")


def second_name(made: Path, raw: Path) -> None:
    (made / "tables.npy").unlink()
    os.link(raw, made / "tables.npy")


def folder_of_another(made: Path, raw: Path) -> None:
    made.rename(made.with_name("elsewhere"))
    made.symlink_to(made.with_name("elsewhere"))


CHANGES = [link_beside, link_instead, file_beside, pipe_beside, second_name, folder_of_another]


@pytest.mark.parametrize("change", CHANGES)
def test_a_child_cannot_have_its_parent_fetch_other_files_than_the_model(change, tmp_path):
    made, raw, out = tmp_path / "made", tmp_path / "raw", tmp_path / "out"
    shutil.copytree(str(shipped_champion()), made, ignore=shutil.ignore_patterns("__*", "refusal*"))
    raw.write_text("raw")
    change(made, raw)
    with pytest.raises(CheckFailed, match="other files"):
        training_process._place(training_process._fetch(made, tmp_path / "fetched"), out)
    assert not out.exists()


def test_the_folder_that_a_user_trains_in_lies_in_one_that_it_cannot_rename(chain, tmp_path, monkeypatch):
    seen: list[tuple[int, int, int]] = []
    run = training_process._run

    def look(job, work, account, *rest):
        around = work.parent.stat()
        seen.append((around.st_uid, around.st_mode & 0o022, Path(job.out).is_relative_to(work)))
        return run(job, work, account, *rest)

    monkeypatch.setattr(training_process, "_run", look)
    train(chain, tmp_path / "model", "gbdt")
    assert seen == [(os.geteuid(), 0, True)]


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are watched by pidfd, which Linux has")
def test_what_the_child_leaves_running_is_ended(tmp_path):
    code = (
        "import subprocess, sys; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=-3, stdin=-3); "
        "print(p.pid, flush=True)"
    )
    child = training_process.start(f"import json; {code}", tmp_path, None, subprocess.DEVNULL)
    watched = select.poll()
    watched.register(os.pidfd_open(int(child.communicate()[0])), select.POLLIN)
    assert watched.poll(0) == []
    training_process._end_session(child.pid)
    assert watched.poll(60_000) != []


def test_a_user_that_is_not_there_is_wrong_input(chain, tmp_path):
    asked = ("--out", tmp_path / "model", "--kind", "gbdt", "--as-user", "no-such-user")
    ran = riskgraph("train", "--release", chain / "release", *asked, home=chain / "home")
    assert ran.code == 2
    assert "no-such-user" in ran.error


@pytest.mark.skipif(ROOT, reason="root can change to every user")
def test_only_root_can_train_as_another_user(scratch):
    with pytest.raises(Invalid, match="only root"):
        choose_account("root", scratch)


def test_the_own_user_needs_no_change(scratch):
    pwd = pytest.importorskip("pwd")
    assert choose_account(pwd.getpwuid(os.geteuid()).pw_name, scratch) == (None, [])


@pytest.fixture
def stranger(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A user that can run this Python; where it lies in a private folder, another of the same version."""
    account = training_process._account("nobody")
    if account is None:
        pytest.skip("there is no user nobody")
    if not training_process._can_run(account, scratch):
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        other = shutil.which(name, path="/usr/bin:/usr/local/bin")
        if other is None:
            pytest.skip("nobody cannot reach this Python, nor is there another of its version")
        asked = [other, "-I", "-c", "import json, sys; print(json.dumps(sys.path))"]
        own = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
        packages = [p for p in sys.path if p.endswith("-packages")]
        monkeypatch.setattr(sys, "executable", other)
        monkeypatch.setattr(sys, "path", [str(HERE), *own, *packages])
        if not training_process._can_run(account, scratch):
            pytest.skip("nobody can reach neither this Python nor its packages")
    return account


NATIVE = """
import subprocess, sys
def tried(read):
    try:
        read()
        return "read"
    except Exception as error:
        return type(error).__name__
def lightgbm():
    import lightgbm
    lightgbm.Dataset(path).construct()
def arrow():
    import pyarrow
    pyarrow.OSFile(path).read()
def native():
    import ctypes
    if ctypes.CDLL(None).open(path.encode(), 0) < 0:
        raise PermissionError
told = []
for path in {paths}:
    told.append([
        tried(lambda: open(path).read()),
        tried(lambda: subprocess.run(["cat", path], check=True, capture_output=True)),
        tried(native), tried(arrow), tried(lightgbm),
    ])
print(json.dumps(told))
"""


@needs_root
def test_another_user_reads_a_private_folder_by_no_route_at_all(scratch, stranger):
    """Python, a subprocess, the C library, pyarrow, and LightGBM where it is installed."""
    paths = []
    for name, mode in (("raw", 0o700), ("shared", 0o755)):
        (scratch / name).mkdir(mode=mode)
        (scratch / name / "orders.csv").write_text("".join(f"{i % 2},{i},{i * i % 7}\n" for i in range(200)))
        (scratch / name / "orders.csv").chmod(0o644)
        paths.append(str(scratch / name / "orders.csv"))
    private, shared = child_says(NATIVE.replace("{paths}", repr(paths)), scratch, stranger)
    assert "read" not in private
    # The same routes work where they may, so that it is the folder that stops them.
    assert shared[:3] == ["read"] * 3
    assert [route for route in shared if route != "ModuleNotFoundError"] == ["read"] * (
        len(shared) - shared.count("ModuleNotFoundError")
    )


@needs_root
def test_another_user_has_no_groups_of_root_and_no_way_back(scratch, stranger):
    code = (
        "import os\n"
        "try:\n    os.setuid(0)\n    back = True\nexcept PermissionError:\n    back = False\n"
        "print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), back]))"
    )
    users, groups, more, back = child_says(code, scratch, stranger)
    assert users == [stranger.uid] * 3
    assert groups == [stranger.gid] * 3
    assert set(more) <= {stranger.gid}
    assert not back


@needs_torch
@pytest.mark.slow
def test_the_model_and_its_progress_are_those_of_training_in_one_process(chain, tmp_path):
    steps: dict[str, list[tuple[object, ...]]] = {"one": [], "two": []}
    alone = tmp_path / "one"
    in_process(chain, chain / "release", alone, "order2", lambda *s: steps["one"].append(s))
    card = train(chain, tmp_path / "two", progress=lambda *s: steps["two"].append(s)).card
    assert steps["one"] == steps["two"]
    assert (alone / "tables.npy").read_bytes() == (tmp_path / "two/tables.npy").read_bytes()
    assert card.items() <= json.loads((tmp_path / "two/card.json").read_text()).items()
    assert (tmp_path / "two/card.json").stat().st_mode == (alone / "card.json").stat().st_mode


@needs_root
@needs_torch
@pytest.mark.slow
def test_another_user_trains_a_whole_model_of_a_release_that_it_cannot_read(chain, tmp_path, stranger):
    made = train(chain, tmp_path / "model", as_user=stranger.name)
    assert made.notes == ()
    assert (tmp_path / "model/tables.npy").stat().st_uid == 0
    assert load_model(tmp_path / "model").card.name == made.card["name"]
