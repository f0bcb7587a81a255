"""Training in a process of its own, where raw data cannot be read.

The child gets verified releases, a public key and a folder of its own, and nothing else: no environment
that points to data, keys or a store, no inherited descriptor but its three pipes, and, where root asks,
another operating-system user. What it may open is watched by ``riskgraph.sandbox.tripwire``. The parent
relays progress and errors, and puts the model in its place only once it is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from riskgraph.core import errors
from riskgraph.core.errors import CheckFailed, Invalid, RiskgraphError
from riskgraph.kept_checkpoint import CHECKPOINT, Kept, copy_plain

if TYPE_CHECKING:
    from riskgraph.governance.signing import Ed25519Verifier
    from riskgraph.ports import Progress

# Who trains when root asks and names nobody: the first that there is.
OWN_USERS = ("riskgraph-train", "nobody")
# Size of thread pools, language and where libraries lie; nothing that tells where data is.
_KEPT = (
    *("LANG", "LC_ALL", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    "CUDA_VISIBLE_DEVICES",
)
_PATHS = "import json, sys; sys.path[:] = json.loads(sys.argv[1])"
_TRAIN = f"{_PATHS}; from riskgraph.training_process import run_child; run_child()"
_TRY = f"{_PATHS}; import numpy, riskgraph.core.errors"
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS, linux/prctl.h


@dataclass(frozen=True)
class Account:
    """An operating-system user that trains."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Job:
    """What to train, as the child is told it."""

    releases: tuple[str, ...]
    out: str
    kind: str
    seed: int
    public_key: str
    rows: int | None = None
    workers: int = 1
    device: str = "auto"
    checkpoint: str = ""
    balance: bool = False


@dataclass(frozen=True)
class Trained:
    """The card, and what whoever asked for it should know besides."""

    card: dict[str, Any]
    notes: tuple[str, ...]


def train(
    releases: Sequence[Path], out: Path, kind: str, seed: int, verifier: Ed25519Verifier,
    progress: Progress | None = None, as_user: str | None = None, rows: int | None = None,
    workers: int = 1, device: str = "auto", resume: bool = False, balance: bool = False,
) -> Trained:  # fmt: skip
    """Train on releases in a separate process and put the model into ``out``.

    Args:
        releases: Folders of releases; the child verifies them, as :meth:`Release.open` does.
        out: Folder of the model; untouched unless training ends well.
        kind: One of :data:`riskgraph.models.kinds.KINDS`.
        seed: See :func:`riskgraph.models.train.train`.
        verifier: Checks the releases' signatures; only its public key is handed over.
        progress: Told what the child tells.
        as_user: Operating-system user that trains. By default the own one, and for root one of
            ``OWN_USERS`` that can run Python.
        rows: See :func:`riskgraph.models.train.train`.
        workers: See :class:`riskgraph.models.fitters.Means`.
        device: See :class:`riskgraph.models.fitters.Means`.
        balance: See :class:`riskgraph.models.fitters.Means`.
        resume: Go on where a run into the same folder with the same releases and options was stopped. What
            is kept for that lies beside ``out`` and goes when training ends well.

    Raises:
        Invalid: If the user is unknown, or cannot be changed to; if the kind knows no such option; or if
            what was kept is of another run.
        RiskgraphError: As training raises it, or if the child ended without a result.
        OSError: As the system refused it.
    """
    kept = Kept.beside(out)
    started = kept.check(kind, workers, device, resume)
    with _scratch() as scratch:
        account, notes = choose_account(as_user, scratch)
        work = scratch / "work"
        work.mkdir(0o700)
        made, key = work / "model", work / "signer.pem"
        key.write_bytes(verifier.public_pem)
        key.chmod(0o644)
        handed = [path.resolve() for path in releases]
        if resume:
            kept.hand(work, None if account is None else (account.uid, account.gid))
        if account is not None:
            handed = [_copy(p, work / str(n), verifier, account) for n, p in enumerate(handed)]
            # The folder around it stays root's: what lies in a folder of its own, that user can rename.
            scratch.chmod(0o711)
            # Last: from here on that user could lead a file that root writes elsewhere, by a link.
            os.chown(work, account.uid, account.gid)
        job = Job(
            tuple(map(str, handed)), str(made), kind, seed, str(key), rows, workers, device,
            str(work / CHECKPOINT), balance,
        )  # fmt: skip
        refused = _run(job, work, account, progress, kept)
        card = _place(_fetch(made, scratch / "fetched"), out)
        kept.path.unlink(missing_ok=True)
    told = [f"the tripwire around training refused {count} x {rule}" for rule, count in refused.items()]
    return Trained(card, (*notes, *started, *told))


def choose_account(name: str | None, scratch: Path) -> tuple[Account | None, list[str]]:
    """The user to change to, None for the own one, and what to tell about it.

    Raises:
        Invalid: If a user that was named is unknown, or cannot be changed to or run Python.
    """
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if name is None:
        if not root:
            return None, []
        found = (known for known in map(_account, OWN_USERS) if known is not None)
        own = next((known for known in found if _can_run(known, scratch)), None)
        if own is None:
            return None, [_AS_ROOT]
        return own, [] if own.name == OWN_USERS[0] else [_SHARED_USER.format(name=own.name)]
    account = _account(name)
    if account is None:
        raise Invalid(f"--as-user: there is no user {name!r}", field="--as-user")
    if account.uid == os.geteuid():
        return None, []
    if not root:
        raise Invalid("--as-user: only root can train as another user", field="--as-user")
    if not _can_run(account, scratch):
        raise Invalid(
            f"--as-user: {name} cannot run {sys.executable} with riskgraph in {scratch.parent}; "
            "install both, and set TMPDIR, where all users may read",
            field="--as-user",
        )
    return account, []


_SHARED_USER = (
    "trained as {name}, which other services may run as too and could have reached into training; "
    "docs/operations.md says how to make a user for it"
)
_AS_ROOT = (
    f"root trained, who can read everything: none of {', '.join(OWN_USERS)} can run this Python; "
    "docs/operations.md says how to train as a user of its own"
)


def _account(name: str) -> Account | None:
    try:
        import pwd  # not on every system

        entry = pwd.getpwnam(name)
    except (ImportError, KeyError):
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)


def _can_run(account: Account, scratch: Path) -> bool:
    """Whether a user can reach Python and the package; ``scratch`` must be reachable as well."""
    with tempfile.TemporaryDirectory(dir=scratch.parent) as own:
        os.chown(own, account.uid, account.gid)
        try:
            with start(_TRY, Path(own), account, subprocess.DEVNULL) as child:
                child.communicate()
        except PermissionError:
            return False
    return child.returncode == 0


@contextmanager
def _scratch() -> Iterator[Path]:
    """The child's own folder, mode 0700: its working directory, temporary files, releases, output."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-train-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _copy(path: Path, into: Path, verifier: Ed25519Verifier, account: Account) -> Path:
    """A verified release where the other user can read it, who then needs no right to any other folder."""
    from riskgraph.sandbox import Release
    from riskgraph.sandbox.release import MANIFEST, SIGNATURE

    # Verified first: a raw table that lies in the folder of a release must not be handed over.
    names = [MANIFEST, SIGNATURE, *Release.open(path, verifier).manifest["files"]]
    copied = into / path.name
    copied.mkdir(parents=True)
    for name in names:
        shutil.copyfile(path / name, copied / name)
        os.chown(copied / name, account.uid, account.gid)
    for folder in (into, copied):
        os.chown(folder, account.uid, account.gid)
    return copied


def environment(scratch: Path) -> dict[str, str]:
    """All that the child finds in its environment."""
    own = dict.fromkeys(("HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR"), str(scratch))
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | own | {"PATH": os.defpath}


def start(
    code: str, scratch: Path, account: Account | None, stderr: BinaryIO | int
) -> subprocess.Popen[bytes]:
    """Start Python code where training runs: clean environment, own folder, own session, other user.

    The user is changed between fork and exec (setgroups, setgid, setuid), before Python starts.

    Args:
        code: Run with the import path as its one argument.
        scratch: Working directory.
        account: User to change to; None stays.
        stderr: Where its errors go; stdin and stdout are pipes.
    """
    other: dict[str, Any] = {}
    if account is not None:
        other = {"user": account.uid, "group": account.gid, "extra_groups": []}
    paths = json.dumps([entry for entry in sys.path if os.path.isabs(entry)])
    # Isolated (-I): no PYTHON* variable, no user's folder, nothing from the working directory. No .pyc (-B).
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", code, paths],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=scratch,
        env=environment(scratch), close_fds=True, start_new_session=True, umask=0o077, **other,
    )  # fmt: skip


def _run(
    job: Job, scratch: Path, account: Account | None, progress: Progress | None, kept: Kept
) -> dict[str, int]:
    """Run the child to its end; returns how often each rule of the tripwire refused something."""
    refused: dict[str, int] | None = None
    with tempfile.TemporaryFile() as stderr, start(_TRAIN, scratch, account, stderr) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            _tell(child.stdin, vars(job))
            for line in child.stdout:
                message = json.loads(line)
                if "progress" in message and progress is not None:
                    progress(*message["progress"])
                if "checkpoint" in message:
                    kept.keep(scratch)
                if "error" in message:
                    raise _raised(message["error"])
                refused = message.get("refused", refused)
        except BaseException:
            # Ctrl-C too, which reaches the parent alone.
            child.kill()
            raise
        finally:
            child.wait()
            _end_session(child.pid)
            stderr.seek(0)
            sys.stderr.write(stderr.read().decode("utf-8", "replace"))
    if refused is None or child.returncode != 0:
        raise RiskgraphError(_how_it_ended(child.returncode))
    return refused


def _end_session(leader: int) -> None:
    """End what the child has started and left behind: it could still change the model."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _tell(pipe: BinaryIO | Any, message: Mapping[str, Any]) -> None:
    try:
        pipe.write(json.dumps(message).encode() + b"\n")
        pipe.flush()
    except BrokenPipeError:
        # It ended before it listened; how, its exit code tells.
        pass


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"training ended without a result (exit code {code}); no model was written"
    cause = "; the usual cause is too little memory" if -code == signal.SIGKILL else ""
    return f"training was ended by {signal.Signals(-code).name}{cause}; no model was written"


def _raised(told: Mapping[str, Any]) -> Exception:
    """The child's error as the parent raises it."""
    if "errno" in told:
        return OSError(told["errno"], told["message"], told["filename"])
    kind = getattr(errors, told["class"])
    error: RiskgraphError = kind.__new__(kind)
    # Past the constructors of subclasses, which word their messages themselves.
    RiskgraphError.__init__(error, told["message"], field=told["field"])
    return error


def _fetch(made: Path, into: Path) -> Path:
    """The child's files as the parent's own; checks are made on these, which nobody else can change.

    A link would have the parent, who may read everything, put raw data into the model's folder. So no link
    is followed, and a file with a second name is none of the child's.

    Raises:
        CheckFailed: If anything but plain files lies there.
    """
    into.mkdir(0o700)
    try:
        folder = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for name in os.listdir(folder):
                with (into / name).open("wb") as copy:
                    copy_plain(name, folder, copy)
        finally:
            os.close(folder)
    except OSError as error:
        raise CheckFailed("training left other files than its card names", field="out") from error
    return into


def _place(made: Path, out: Path) -> dict[str, Any]:
    """Move a whole model into place, the card last; what the child left besides is refused.

    Raises:
        CheckFailed: If files and card do not belong together.
    """
    from riskgraph.models.card import CARD_FILE, read_card
    from riskgraph.models.compiled import check_file, settle

    card = read_card(made)
    names = [*card.files, CARD_FILE]
    if {path.name for path in made.iterdir()} != set(names):
        raise CheckFailed("training left other files than its card names", field="out")
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name != CARD_FILE:
            check_file(made / name, card)
        with tempfile.NamedTemporaryFile(dir=out, suffix=Path(name).suffix, delete=False) as file:
            file.write((made / name).read_bytes())
        settle(Path(file.name), out / name)
    return card.to_json()


def run_child() -> None:
    """The child: read the job, load libraries, arm the tripwire, train, tell."""
    # Libraries print; what the parent reads must be nothing but messages.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _give_up_privileges()
    job = Job(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        refused = _train(job, lambda message: _tell(channel, message))
        _tell(channel, {"refused": refused})
    except (RiskgraphError, OSError) as error:
        _tell(channel, {"error": _told(error)})


def _train(job: Job, tell: Callable[[dict[str, Any]], None]) -> dict[str, int]:
    import pyarrow.parquet  # noqa: F401  # else loaded at the first release, when the tripwire is armed

    from riskgraph.models.train import load_libraries

    load_libraries(job.kind)
    with ExitStack() as stack:
        if job.workers > 1:
            from riskgraph.models.workers import cluster

            # Before the tripwire is armed, which would refuse its processes and its network.
            stack.enter_context(cluster(job.workers))
        return _train_watched(job, tell)


def _train_watched(job: Job, tell: Callable[[dict[str, Any]], None]) -> dict[str, int]:
    from riskgraph.governance.signing import read_public_key
    from riskgraph.models.checkpoint import Checkpoint
    from riskgraph.models.fitters import Means
    from riskgraph.models.kinds import CONSTRAINED
    from riskgraph.models.train import train
    from riskgraph.sandbox import Release
    from riskgraph.sandbox.tripwire import Allowed, arm

    verifier = read_public_key(Path(job.public_key))
    # Before the first release is opened, so that all that follows is watched.
    refused = arm(Allowed.of(read=(*libraries(), *job.releases), write=(Path.cwd(),)))
    opened = [Release.open(Path(path), verifier) for path in job.releases]
    checkpoint = Checkpoint(Path(job.checkpoint), {}, lambda: tell({"checkpoint": True}))
    train(
        opened, Path(job.out), kind=job.kind, seed=job.seed, rows=job.rows,  # type: ignore[arg-type]
        progress=lambda *step: tell({"progress": step}),
        means=Means(
            job.workers, job.device, checkpoint if job.kind in CONSTRAINED else None, arm_worker, job.balance
        ),
    )  # fmt: skip
    return refused()


def arm_worker(folder: Path) -> None:
    """Arm the tripwire in a worker of Ray Train, which may read libraries and the folder of bins alone."""
    from riskgraph.sandbox.tripwire import Allowed, arm

    arm(Allowed.of(read=(*libraries(), folder), write=(folder,)))


def libraries() -> list[str]:
    """Folders of Python and of what it imports; of a checkout the packages only: worlds may lie in it."""
    import sysconfig
    from importlib.util import find_spec

    spec = find_spec("riskgraph")
    own = [str(p) for p in (spec.submodule_search_locations or ())] if spec else []
    parts = [str(p.resolve()) for folder in own for p in Path(folder).iterdir() if p.is_dir()]
    paths = [p for p in sys.path if not Path(p, "pyproject.toml").is_file()]
    # What an editable install leaves in a checkout; libraries look for entry points there.
    listed = [str(p) for folder in own for p in Path(folder).parent.glob("*.egg-info")]
    listed += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [*listed, *own, *parts, *paths]


def _told(error: RiskgraphError | OSError) -> dict[str, Any]:
    """An error as the parent is told it."""
    if isinstance(error, RiskgraphError):
        # The nearest class that the parent knows too.
        known = next(c for c in type(error).__mro__ if c.__module__ == errors.__name__)
        return {"class": known.__name__, "message": error.message, "field": error.field}
    name = None if error.filename is None else os.fsdecode(error.filename)
    return {"errno": error.errno, "message": error.strerror or str(error), "filename": name}


def _give_up_privileges() -> None:
    """Never gain any by a set-user-ID program either (``PR_SET_NO_NEW_PRIVS``)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def _end_with_parent() -> None:
    """Wait until the parent has gone, then leave nothing behind: nobody is there to take the model."""
    while os.read(0, 4096):
        pass
    shutil.rmtree(Path.cwd(), ignore_errors=True)
    os._exit(1)
