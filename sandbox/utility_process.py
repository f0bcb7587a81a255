"""The utility process: fits on raw rows and on their release, and answers with numbers only.

It measures what a release costs (here) or looks for pairs of nodes (``proposal_process``).
It locks itself before it is sent a row (:func:`lock`): one pipe stays open, no file may grow, and an audit
hook refuses new files, names and attributes of files, other processes and network. What it sends are
lists of numbers of a fixed length, which the caller checks one by one.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import CheckFailed, RiskgraphError
from riskgraph.core.table import OrderTable
from riskgraph.core.units import LEAST_K
from riskgraph.ports import ArrayScorer, Fitter, TrainingRows
from riskgraph.sandbox.choice import choose
from riskgraph.sandbox.intake import Intake
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.utility_metrics import Ranking, Sample, Trials
from riskgraph.sandbox.write import release_rows

if TYPE_CHECKING:
    from riskgraph.sandbox.utility import CostRequest

ALL, OTHER = -1, -2
_PROGRESS, _ANSWER, _FAILED = 0, 1, 2
_COUNTS, _FIGURES = 5, 10
# Five digits say all that an interval can; more would only be room for something else.
_DIGITS = 5
RELEASING, FITTING, SCORING, SEARCHING = range(4)
_STAGES = ("making the release", "fitting", "scoring", "searching")

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


Tell = Callable[[int, int], None]


class Work(Protocol):
    """What the process can be asked."""

    def answer(self, tell: Tell) -> list[list[float]]:
        """Lines of numbers; may raise :class:`Stopped` and nothing else."""


@dataclass(frozen=True, eq=False)
class Job:
    """What the process is sent to measure a cost; columns of length N.

    Attributes:
        table: Orders without ids. label: int8[N], what the test goes by.
        kind: int64[N], code of the kind of fraud, -1 for honest. fold: int64[kinds], -1 for none.
        train, trained, test: bool[N]: orders that a release may read, those that train, those that test.
        unit, component: int64[N].
        fitters: What fits. request: What is measured. policy: What an order may give.
    """

    table: OrderTable
    label: NDArray[np.int8]
    kind: Ints
    fold: Ints
    train: Bools
    trained: Bools
    test: Bools
    unit: Ints
    component: Ints
    fitters: tuple[Fitter, ...]
    request: CostRequest
    policy: Policy

    @property
    def variants(self) -> tuple[int, ...]:
        """-1, with all kinds of fraud, then each fold that is left out."""
        return (-1, *sorted({int(f) for f in self.fold if f >= 0}))

    def answer(self, tell: Tell) -> list[list[float]]:
        return measure(self, tell)

    def longest_message(self, kinds: int) -> int:
        """Bytes of the longest answer that makes sense."""
        return 64 + len(self.fitters) * 2 * (kinds + 2) * (_COUNTS + _FIGURES) * 12


@dataclass(frozen=True)
class AnswerCell:
    """A cell as numbers; ``auc`` and ``recall``: raw, release, loss, lower, upper."""

    model: int
    kind: int
    unseen: bool
    orders: int
    units: int
    auc: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """All that ever comes back."""

    cells: tuple[AnswerCell, ...]


class Stopped(Exception):
    """Carries where it failed, and nothing of what was said there: messages can quote a row."""

    def __init__(self, stage: int, model: int = -1) -> None:
        super().__init__(stage, model)
        self.stage, self.model = stage, model


def answer_of(message: bytes, models: int, kinds: int) -> Answer | tuple[int, int]:
    """Read a message of a process that measures a cost; see :func:`lines_of`."""
    got = lines_of(message, models)
    return got if isinstance(got, tuple) else Answer(tuple(_cell(line, models, kinds) for line in got))


def lines_of(message: bytes, models: int) -> list[list[float]] | tuple[int, int]:
    """Read a message of the process: the lines of its answer, or how far it is.

    Raises:
        CheckFailed: If the process failed, or sent anything that is no list of numbers.
    """
    try:
        lines = json.loads(message)
    except (UnicodeDecodeError, json.JSONDecodeError):
        lines = None
    if not isinstance(lines, list) or not all(_is_numbers(line) for line in lines) or not lines:
        raise CheckFailed("the utility process sent something that is no list of numbers", field="utility")
    head, *rest = lines
    if head == [_ANSWER]:
        return rest
    if rest or len(head) != 3 or not all(isinstance(n, int) for n in head):
        raise CheckFailed("the utility process sent a message of an unknown kind", field="utility")
    if head[0] == _PROGRESS and 0 <= head[1] <= head[2] <= 10_000:
        return head[1], head[2]
    if head[0] == _FAILED and 0 <= head[1] < len(_STAGES) and -1 <= head[2] < models:
        which = f" model {head[2] + 1}" if head[2] >= 0 else ""
        raise CheckFailed(
            f"the utility process failed at {_STAGES[head[1]]}{which}; what was said there stays there,"
            " since it may quote a row",
            field="utility",
        )
    raise CheckFailed("the utility process sent a message of an unknown kind", field="utility")


def _is_numbers(line: Any) -> bool:
    return isinstance(line, list) and all(type(n) in (int, float) and math.isfinite(n) for n in line)


def _cell(line: list[float], models: int, kinds: int) -> AnswerCell:
    """A checked cell.

    Raises:
        CheckFailed: If a number is out of its range, or the cell stands for too few persons.
    """
    if len(line) != _COUNTS + _FIGURES or not all(isinstance(n, int) for n in line[:_COUNTS]):
        raise CheckFailed("the utility process sent a cell of another length", field="utility")
    model, kind, unseen, orders, units = (int(n) for n in line[:_COUNTS])
    figures = tuple(round(float(n), _DIGITS) for n in line[_COUNTS:])
    named = 0 <= model < models and (kind in (ALL, OTHER) or 0 <= kind < kinds) and unseen in (0, 1)
    if not named or not all(-1 <= n <= 1 for n in figures):
        raise CheckFailed("the utility process sent a cell out of range", field="utility")
    if not LEAST_K <= units <= orders:
        raise CheckFailed(
            f"the utility process sent a cell of {units} persons, at least {LEAST_K} are asked",
            field="utility",
        )
    return AnswerCell(model, kind, bool(unseen), orders, units, figures[:5], figures[5:])


def serve(pipe: Connection, libraries: tuple[str, ...]) -> None:
    """Body of the process: load libraries, lock, and only then take in rows.

    Some libraries cannot be loaded once no temporary file may be made.
    """
    for name in libraries:
        import_module(name)
    lock(pipe.fileno())

    def send(*lines: list[float]) -> None:
        pipe.send_bytes(json.dumps(lines).encode())

    try:
        work: Work = pipe.recv()
        lines = work.answer(lambda done, total: send([_PROGRESS, done, total]))
        send([_ANSWER], *lines)
    except Stopped as stop:
        send([_FAILED, stop.stage, stop.model])
    finally:
        pipe.close()


def lock(pipe: int) -> None:
    """Take from this process what it could carry rows out with.

    The operating system holds two of it, for native code too: every descriptor but the pipe is closed (one
    led to the tracker of shared memory, which prints names), and no file may grow. The rest is a
    tripwire for Python code: an audit hook, and for what raises no audit event a function that
    refuses. Native code (ctypes, an extension) could step around it, make a FIFO or an empty
    file, and so say something with its name. Reading stays allowed, since Python loads modules late.

    Args:
        pipe: Descriptor that stays open.
    """
    sys.dont_write_bytecode = True
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silent, stream)
    _close_all_but(pipe)
    try:
        import resource
    except ImportError:  # not on Windows
        pass
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for module, name in _WITHOUT_EVENT:
        with suppress(ImportError):  # each system has its own
            setattr(import_module(module), name, _refused)
    sys.addaudithook(_refuse)


def _close_all_but(pipe: int) -> None:
    if os.path.isdir("/dev/fd"):  # not on Windows
        for descriptor in {int(name) for name in os.listdir("/dev/fd")} - {0, 1, 2, pipe}:
            with suppress(OSError):  # the one that listed them is gone
                os.close(descriptor)


_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Beginnings of audit events (docs.python.org, "Audit events table"). Names, owners, modes, times, attributes
# and locks of a file carry data as well as its bytes do; so do signals, and a question to a name server.
_REFUSED = (
    "os.chdir", "os.chflags", "os.chmod", "os.chown", "os.link", "os.lockf", "os.mkdir", "os.remove",
    "os.rename", "os.rmdir", "os.setxattr", "os.symlink", "os.truncate", "os.utime",
    "fcntl.", "msvcrt.", "shutil.", "sqlite3.", "tempfile.", "winreg.",
    "os.exec", "os.fork", "os.kill", "os.posix_spawn", "os.spawn", "os.startfile", "os.system",
    "_posixsubprocess.", "_winapi.Create", "cpython.remote", "ensurepip.", "pty.", "resource.", "signal.",
    "subprocess.", "sys.remote", "webbrowser.",
    "ftplib.", "http.", "imaplib.", "nntplib.", "poplib.", "smtplib.", "socket.", "syslog.", "telnetlib.",
    "urllib.",
)  # fmt: skip
# What leaves something behind and raises no event.
_WITHOUT_EVENT = (
    *((module, name) for module in ("os", "posix") for name in ("mkfifo", "mknod")),
    ("_posixshmem", "shm_open"),
    ("_posixsubprocess", "fork_exec"),
    ("subprocess", "_fork_exec"),
)


def _refused(*_: object, **__: object) -> NoReturn:
    raise PermissionError("the utility process may not call this")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITES and path != os.devnull:
            raise PermissionError("the utility process writes no file")
    elif event.startswith(_REFUSED):
        raise PermissionError(f"the utility process may not call {event}")


def measure(job: Job, tell: Tell) -> list[list[float]]:
    """Fit all models and compare them; lines of numbers, see :func:`answer_of`."""
    scores = _scores(job, tell)
    is_fraud = job.label[job.test] == 1
    kind = job.kind[job.test][is_fraud]
    unit = job.unit[job.test][is_fraud]
    fold = job.fold[kind]
    cells = list(_cells(kind, unit, fold))
    sample = Sample(
        is_fraud=is_fraud,
        component=np.unique(job.component[job.test], return_inverse=True)[1].astype(np.int64),
        cells=np.stack([mask for _, _, mask in cells]),
        unseen=np.array([unseen for _, unseen, _ in cells]),
    )
    out: list[list[float]] = []
    for model in range(len(job.fitters)):
        ranks = [
            [[Ranking.of(s, is_fraud) for s in variants] for variants in seeds] for seeds in scores[model]
        ]
        known = [[variants[0] for variants in seeds] for seeds in ranks]
        unseen = [[variants[1:] for variants in seeds] for seeds in ranks]
        # The same draws for each model, so that models can be compared as well.
        rng = np.random.default_rng(job.request.seed)
        found = sample.compare(Trials(known, unseen, fold), job.request.reps, rng)
        for (code, new, mask), figures in zip(cells, found.reshape(len(cells), -1), strict=True):
            head = [model, code, int(new), int(mask.sum()), len(np.unique(unit[mask]))]
            out.append([*head, *(round(float(f), _DIGITS) for f in figures)])
    return out


def _scores(job: Job, tell: Tell) -> Floats:
    """float64[models, 2 sources, seeds, variants, tests]: raw is source 0, the release source 1."""
    request, models = job.request, len(job.fitters)
    shape = (models, 2, request.seeds, len(job.variants), int(job.test.sum()))
    out = np.empty(shape)
    components, availability = job.table.components[job.test], job.table.availability[job.test]
    done, total = 0, request.seeds * len(job.variants) * 2 * models
    for seed in range(request.seeds):
        for place, variant in enumerate(job.variants):
            for source, rows in enumerate(_both(job, variant, request.seed + seed)):
                for model in range(models):
                    tell(done, total)
                    score = _fit(job, model, rows, request.seed + seed)
                    out[model, source, seed, place] = _score(score, model, components, availability)
                    done += 1
    tell(done, total)
    return out


def _fit(job: Job, model: int, rows: TrainingRows, seed: int) -> ArrayScorer:
    try:
        return job.fitters[model](rows, seed)
    except Exception as error:
        raise Stopped(FITTING, model) from error


def _score(
    score: ArrayScorer, model: int, components: NDArray[np.float32], availability: NDArray[np.object_]
) -> Floats:
    try:
        found = np.asarray(score(components, availability), dtype=np.float64)
    except Exception as error:
        raise Stopped(SCORING, model) from error
    if found.shape != (len(components),) or not np.isfinite(found).all():
        raise Stopped(SCORING, model)
    return found


def _both(job: Job, variant: int, seed: int) -> Iterator[TrainingRows]:
    """The accepted raw rows of a variant, then the rows of their release."""
    left_out = (job.kind >= 0) & (variant >= 0) & (job.fold[job.kind] == variant)
    history = job.table.take(job.train & ~left_out)
    request = ReleaseRequest(
        until=job.request.until, seed=seed, provenance="simulated", now=0.0, code="", k=job.request.k
    )
    try:
        yield raw_rows(history, request, job.policy)
        yield release_rows(history, request, job.policy, np.random.default_rng(seed))
    except RiskgraphError as error:
        raise Stopped(RELEASING) from error


@dataclass(frozen=True, eq=False)
class RawRows:
    """Accepted rows as they are; see :class:`riskgraph.ports.TrainingRows` for shapes."""

    components: NDArray[np.float32]
    availability: NDArray[np.object_]
    label: NDArray[np.int8]
    weight: Floats
    cluster: NDArray[np.int32]

    @classmethod
    def of(cls, history: OrderTable, intake: Intake) -> RawRows:
        label = history.label[intake.rows]
        return cls(
            components=np.ascontiguousarray(intake.values),
            availability=intake.availability,
            label=label,
            weight=np.ones(len(label)),
            cluster=np.full(len(label), -1, dtype=np.int32),
        )


def raw_rows(history: OrderTable, request: ReleaseRequest, policy: Policy) -> RawRows:
    """The rows that a release would take in, each with weight one."""
    intake, _ = choose(history, until=request.until, k=request.k, policy=policy)
    return RawRows.of(history, intake)


def _cells(kind: Ints, unit: Ints, fold: Ints) -> Iterator[tuple[int, bool, Bools]]:
    """Cells of at least 50 persons: code of the kind, whether as unseen, bool[F] of the fraud orders.

    Kinds of fewer persons go together; the smallest larger kinds join them until they are enough, so
    that no difference of cells stands for fewer.
    """
    for unseen, among in ((False, np.ones(len(kind), np.bool_)), (True, fold >= 0)):
        if len(np.unique(unit[among])) < LEAST_K:
            continue
        yield ALL, unseen, among
        persons = {int(k): len(np.unique(unit[among & (kind == k)])) for k in np.unique(kind[among])}
        ranked = sorted(persons, key=lambda k: (persons[k], k))
        small = [k for k in ranked if persons[k] < LEAST_K]
        large = ranked[len(small) :]
        while small and large and len(np.unique(unit[among & np.isin(kind, small)])) < LEAST_K:
            small.append(large.pop(0))
        for k in sorted(large):
            yield k, unseen, among & (kind == k)
        if small and large:
            yield OTHER, unseen, among & np.isin(kind, small)
