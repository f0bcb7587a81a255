"""What anonymity costs: models trained on raw rows beside models trained on the release of them.

The one place where arrays are fitted on raw rows. It is a process of its own (``utility_process``)
that gets its fitters injected, can write nothing and register no model, and answers with numbers
of a closed list: counts, AUC and recall of cells of at least 50 persons.

Training sees orders before the cut, with labels as known then. Test are later orders of components
that no training order belongs to, so that no person and nobody linked to one stands on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import CheckFailed, Invalid, Unavailable
from riskgraph.core.table import OrderTable
from riskgraph.core.units import LEAST_K, Units, find_units
from riskgraph.ports import Fitter, Progress
from riskgraph.sandbox.choice import choose_rows
from riskgraph.sandbox.intake import microseconds
from riskgraph.sandbox.partition import MIN_GROUPS, too_few
from riskgraph.sandbox.policy import Policy, objectors
from riskgraph.sandbox.units import count_units
from riskgraph.sandbox.utility_process import ALL, OTHER, Answer, Job, Work, answer_of, serve

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True)
class CostRequest:
    """What is measured.

    Attributes:
        until: The cut: labels as known on this day; training orders end 70 days earlier.
        seed: Of the split, the releases and the fits.
        seeds: Training seeds; each has a release of its own.
        folds: Kinds of fraud are left out of training in so many parts in turn; 0 leaves none out.
        hold_out: Share of components that are kept for the test.
        k: Persons per group.
        reps: Bootstrap draws.

    Raises:
        Invalid: If a number is out of range; the field is named.
    """

    until: date
    seed: int = 0
    seeds: int = 3
    folds: int = 4
    hold_out: float = 0.2
    k: int = LEAST_K
    reps: int = 400

    def __post_init__(self) -> None:
        limits = {"seeds": (1, 20), "folds": (0, 20), "hold_out": (0, 0.9), "reps": (10, 10_000)}
        for name, (low, high) in {**limits, "k": (LEAST_K, 10_000)}.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise Invalid(f"{name} must be {low} to {high}, got {value}", field=name)


@dataclass(frozen=True, eq=False)
class Judged:
    """What the test orders are judged by, one entry an order of the table.

    Attributes:
        label: int8[N], 1 fraud, 0 honest, -1 not judged.
        kind: object[N], kind of fraud as a word; ignored for honest orders.
    """

    label: NDArray[np.int8]
    kind: NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Loss:
    """A figure on raw rows, on the release, and the difference with its 95 % interval."""

    raw: float
    release: float
    loss: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the result: fraud of a kind in the test, of at least 50 persons.

    ``unseen``: its kind was left out of training. ``kind`` is ``all``, ``other`` (kinds of under 50
    persons together) or a word of ``Judged.kind``.
    """

    model: str
    kind: str
    unseen: bool
    orders: int
    units: int
    auc: Loss
    recall: Loss


@dataclass(frozen=True)
class Cost:
    """What was counted, by name, and the cells."""

    counts: Mapping[str, int]
    cells: tuple[Cell, ...]

    def cell(self, model: str, kind: str = "all", *, unseen: bool = False) -> Cell | None:
        """The cell of a model and kind, None where there is none."""
        found = (c for c in self.cells if (c.model, c.kind, c.unseen) == (model, kind, unseen))
        return next(found, None)

    def to_json(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "cells": [asdict(c) for c in self.cells]}


def measure_cost(
    table: OrderTable,
    judged: Judged,
    fitters: Mapping[str, Fitter],
    request: CostRequest,
    progress: Progress | None = None,
    libraries: Sequence[str] = (),
    *,
    policy: Policy,
) -> Cost:
    """Train on raw rows and on their release, in a process of its own, and compare on later orders.

    Args:
        table: All orders, before and after the cut; labels as known at the cut.
        judged: What the test goes by.
        fitters: By model name; functions of a module, since they go to the process by name.
        request: What is asked for.
        progress: Told after each model.
        libraries: Modules that the fitters need and that must be loaded before the process locks itself.
        policy: What an order may give.

    Raises:
        Invalid: If columns differ in length, or no fitter is given.
        CheckFailed: If there are too few persons to release or to test, or a fit fails.
        Unavailable: If the process ends without an answer.
    """
    if not fitters or any(len(c) != len(table) for c in (judged.label, judged.kind)):
        raise Invalid("a cost needs a fitter, and one label and kind per order", field="judged")
    job, kinds = _job(table, judged, tuple(fitters.values()), request, policy)
    models, longest = len(fitters), job.longest_message(len(kinds))

    def read(message: bytes) -> Answer | tuple[int, int]:
        return answer_of(message, models, len(kinds))

    answer = ask(job, read, longest, "models", progress, tuple(libraries))
    names = {ALL: "all", OTHER: "other", **dict(enumerate(kinds))}
    listed = list(fitters)
    cells = tuple(
        Cell(listed[c.model], names[c.kind], c.unseen, c.orders, c.units, Loss(*c.auc), Loss(*c.recall))
        for c in answer.cells
    )
    return Cost(_counts(job), cells)


def _job(
    table: OrderTable, judged: Judged, fitters: Sequence[Fitter], request: CostRequest, policy: Policy
) -> tuple[Job, list[str]]:
    """Divide components between training and test, and kinds between folds."""
    units = find_units(table)
    # here, where the whole history is known: an objection counts for all orders of its person
    table = replace(table, objected=objectors(table, units.unit))
    history = table.placed_at < microseconds(request.until)
    keeps = history & ~_held_out(units.component, request)[units.component]
    others = {"held_out": ~keeps}
    picked = choose_rows(table, units, until=request.until, k=request.k, policy=policy, barred=others)
    trained = np.isin(np.arange(len(table)), picked.rows)
    known = np.zeros(int(units.component.max(initial=-1)) + 1, dtype=np.bool_)
    known[units.component[trained]] = True
    may = ~table.objected & ~policy.gives_nothing(policy.codes(table))
    test = ~history & ~known[units.component] & may & (judged.label >= 0)
    _check(units, table.label, trained, request.k, "training")
    _check(units, judged.label, test, LEAST_K, "the test")
    fraud = judged.label == 1
    kinds, kind = np.unique(judged.kind[fraud].astype(str), return_inverse=True)
    code = np.full(len(table), -1, dtype=np.int64)
    code[fraud] = kind
    sizes = np.bincount(code[trained & fraud], minlength=len(kinds))
    job = Job(
        # Nobody has to know an order's name to fit a model.
        table=replace(table, order_id=np.full(len(table), "", dtype=object)),
        label=judged.label,
        kind=code,
        fold=_folds(sizes, request.folds),
        train=keeps,
        trained=trained,
        test=test,
        unit=units.unit,
        component=units.component,
        fitters=tuple(fitters),
        request=request,
        policy=policy,
    )
    return job, [str(k) for k in kinds]


def _held_out(component: Ints, request: CostRequest) -> Bools:
    """bool[components]: kept for the test. The largest never is: it would take a class along."""
    size = np.bincount(component, minlength=1)
    rng = np.random.default_rng(request.seed)
    held = rng.random(len(size)) < request.hold_out
    held[int(np.argmax(size))] = False
    return np.asarray(held, dtype=np.bool_)


def _folds(sizes: Ints, folds: int) -> Ints:
    """Fold of each kind, -1 for none: the largest kinds go to different folds."""
    out = np.full(len(sizes), -1, dtype=np.int64)
    # With one kind there would be no fraud left to learn.
    if folds and len(sizes) > 1:
        out[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes)) % min(folds, len(sizes))
    return out


def _check(units: Units, label: NDArray[np.int8], rows: Bools, k: int, where: str) -> None:
    mine = Units(units.unit[rows], units.component[rows])
    for count in count_units(mine, label[rows]):
        if where == "training" and count.units < MIN_GROUPS * k:
            missing = MIN_GROUPS * k - count.units
            raise too_few(count.label, count.units, count.components, 0, k, missing)
        if count.units < k:
            kind = "fraud" if count.label else "honest"
            raise CheckFailed(
                f"{where} has {count.units} {kind} units after the cut outside of the training components;"
                f" at least {k} are needed: take an earlier day or hold out more",
                field="until",
            )


def _counts(job: Job) -> dict[str, int]:
    """Orders, units and components by class, of training and test."""
    out: dict[str, int] = {}
    for where, rows, label in (("train", job.trained, job.table.label), ("test", job.test, job.label)):
        mine = Units(job.unit[rows], job.component[rows])
        for count in count_units(mine, label[rows]):
            name = f"{where}_{'fraud' if count.label else 'honest'}"
            out |= {f"{name}_orders": count.orders, f"{name}_units": count.units}
            out[f"{name}_components"] = count.components
    return out


@contextmanager
def _process(libraries: tuple[str, ...]) -> Iterator[tuple[Connection, SpawnProcess]]:
    """The process, waiting for its job; ended when the caller is done with it."""
    # A fresh interpreter: a forked one would have the caller's memory, open files and keys.
    context = get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=serve, args=(its, libraries), daemon=True)
    process.start()
    its.close()
    try:
        yield mine, process
    finally:
        mine.close()
        process.kill()
        process.join()


def ask(
    work: Work,
    read: Callable[[bytes], T | tuple[int, int]],
    longest: int,
    step: str,
    progress: Progress | None,
    libraries: tuple[str, ...],
) -> T:
    """Start the process, send the work and read numbers until the answer comes.

    Args:
        work: Goes to the process.
        read: Checks a message: the answer, or how far the process is.
        longest: Bytes of the longest answer that makes sense.
        step: What progress is called.
        progress: Told as it goes.
        libraries: Loaded before the process locks itself.
    """
    with _process(libraries) as (pipe, process):
        try:
            pipe.send(work)
            while True:
                got = read(pipe.recv_bytes(longest))
                if not isinstance(got, tuple):
                    return got
                if progress is not None:
                    progress(step, *got)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            process.join()
            raise Unavailable(
                f"the utility process ended with code {process.exitcode} and without an answer; systems"
                " stop processes when memory runs out"
            ) from None
        except OSError:
            raise CheckFailed(
                "the utility process sent more than any answer holds", field="utility"
            ) from None
