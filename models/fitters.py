"""Fitting each kind of model; libraries that not every install has are imported when a kind needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from riskgraph.core.errors import Invalid
from riskgraph.models.binning import BinEdges, read_binned
from riskgraph.models.boosting import fit_forest
from riskgraph.models.calibration import RawLogits
from riskgraph.models.card import AVAILABILITY_CLASSES, Card
from riskgraph.models.checkpoint import Checkpoint
from riskgraph.models.compiled import Tables, table_logits, write_model
from riskgraph.models.kinds import CONSTRAINED, DEEP, KINDS
from riskgraph.models.layout import WIDTH, Layout
from riskgraph.models.libraries import torch_module
from riskgraph.models.logistic import fit_logistic
from riskgraph.models.neighbours import NeighbourInputs
from riskgraph.models.rows import MIN_ROWS, BinnedRows, ListedRows, Rows, balanced, some_of
from riskgraph.models.trees import write_forest
from riskgraph.ports import Progress

TREE_COUNT = 400
_LAYOUTS = {"order2": Layout.of_catalog(), "additive": Layout.of_catalog().with_pairs([])}
# Deep networks take about a hundred times as long a row; no other kind is capped unless asked.
DEEP_ROWS = 30_000


@dataclass(frozen=True)
class Means:
    """How ``order2`` and ``additive`` are fitted; other kinds know one way.

    Attributes:
        workers: Processes that share each batch.
        device: ``auto``, ``cpu`` or ``cuda``.
        checkpoint: Saved after each epoch; if there is one, training goes on where it stands.
        balance: Fraud clusters weigh alike, whatever their size.
        guard: Called in each of several workers before it opens anything, with the folder that it may use.
    """

    workers: int = 1
    device: str = "auto"
    checkpoint: Checkpoint | None = None
    guard: Callable[[Path], object] | None = None
    balance: bool = False

    def check(self, kind: str) -> None:
        """See that a kind can be fitted so.

        Raises:
            Invalid: If not; the option is named.
        """
        if self.workers < 1:
            raise Invalid(f"--workers must be at least 1, got {self.workers}", field="--workers")
        if self.device not in ("auto", "cpu", "cuda"):
            raise Invalid(f"--device must be auto, cpu or cuda, got {self.device!r}", field="--device")
        if self.workers > 1 and self.device == "cuda":
            raise Invalid("--device cuda takes one worker; several share a CPU", field="--device")
        asked = {
            "--workers": self.workers > 1,
            "--device": self.device == "cuda",
            "--resume": self.checkpoint is not None,
            "--balance-clusters": self.balance,
        }
        for option, given in asked.items():
            if given and kind not in CONSTRAINED:
                known = " and ".join(CONSTRAINED)
                raise Invalid(f"{option} is for kinds {known}, not for {kind}", field=option)


@dataclass(frozen=True, eq=False)
class Task:
    """What to fit, and how far.

    Attributes:
        train: Rows to fit on.
        held_out: Rows that decide when to stop.
        judged: Rows to calibrate on: all that were held out.
        seed: Of whatever is drawn.
        epochs: Upper limit (of trees for trees, of steps for logistic); the kind's own if left out.
        progress: Told as it goes.
        means: How a network is fitted.
    """

    train: ListedRows
    held_out: ListedRows
    judged: ListedRows
    seed: int
    epochs: int | None = None
    progress: Progress | None = None
    means: Means = Means()

    def load(self) -> tuple[Rows, Rows, Rows]:
        """All three with their values in memory, about 1 kB a row."""
        held_out = self.held_out.load()
        judged = held_out if self.judged is self.held_out else self.judged.load()
        return self.train.load(), held_out, judged


@dataclass(frozen=True, eq=False)
class Fitted:
    """What each kind hands to calibration and card.

    Attributes:
        raw: Logits without offset.
        bias: Offset of each availability class as training left it.
        recipe: For the card.
        write: Writes folder and card, and returns the card as stored.
        rows: How many rows it was fitted on.
        judged: Rows to calibrate on, as ``raw`` takes their components.
    """

    raw: RawLogits
    bias: Mapping[str, float]
    recipe: Mapping[str, Any]
    write: Callable[[Path, Card], Card]
    rows: int
    judged: Rows | BinnedRows


def fit_kind(kind: str, task: Task, rows: int | None = None) -> Fitted:
    """Fit a model of a kind.

    Args:
        kind: One of ``KINDS``.
        task: What to fit on.
        rows: Fit on at most so many rows, drawn by the seed; all if left out, for deep kinds 30,000.

    Raises:
        Invalid: If the kind is unknown, or fewer rows than 120 are asked for.
        ExtraMissing: If a library of the kind is not installed.
    """
    if kind not in KINDS:
        raise Invalid(f"unknown kind {kind!r}; known: {', '.join(KINDS)}", field="kind")
    task.means.check(kind)
    if rows is None and kind in DEEP:
        rows = DEEP_ROWS
    if rows is not None:
        if rows < MIN_ROWS:
            raise Invalid(f"training needs at least {MIN_ROWS} rows, got {rows}", field="rows")
        # In proportion, so that looking when to stop does not outlast the fit.
        checked = round(rows * len(task.held_out) / len(task.train))
        fitting, held_out = some_of(task.train, rows, task.seed), some_of(task.held_out, checked, task.seed)
        task = replace(task, train=fitting, held_out=held_out)
    return _FITTERS[kind](kind, task)


def _network(kind: str, task: Task) -> Fitted:
    fitting = torch_module("fit", f"training a model of kind {kind}")
    recipe = fitting.Recipe() if task.epochs is None else fitting.Recipe(epochs=task.epochs)
    edges, train, held_out, judged = _binned(task, _LAYOUTS[kind])
    means = task.means
    if means.balance:
        train = balanced(train)
    device = fitting.device_of("cpu" if means.workers > 1 else means.device)
    # Whatever a sum depends on: what runs elsewhere would not end in the same bytes.
    used = {**recipe.to_json(), **_where(means.workers, device)}
    used |= {"balanced_clusters": True} if means.balance else {}
    checkpoint = means.checkpoint and means.checkpoint.of(recipe=used, torch=fitting.torch.__version__)
    given = (*(fitting.Batchable.of(r, edges) for r in (train, held_out)), edges, task.seed, recipe)
    told = {"progress": task.progress, "checkpoint": checkpoint}
    if means.workers > 1:
        spread = torch_module("workers", "training with several workers")
        fit = spread.fit_spread(*given, workers=means.workers, guard=means.guard, **told)
    else:
        fit = fitting.fit_batches(*given, device=device, **told)
    used["epochs_run"] = len(fit.losses) - 1
    return _compiled(len(train), judged, _with_all_pairs(fit.tables), fit.bias, used)


def _binned(task: Task, layout: Layout) -> tuple[BinEdges, BinnedRows, BinnedRows, BinnedRows]:
    """Edges, and rows to fit on, held-out rows and rows to calibrate on in bins."""
    more = [] if task.judged is task.held_out else [task.judged]
    edges, (train, held_out, *judged) = read_binned(task.train, [task.held_out, *more], layout)
    return edges, train, held_out, judged[0] if judged else held_out


def _where(workers: int, device: str) -> dict[str, Any]:
    """What a card says of workers and GPU, nothing for one worker on a CPU."""
    return ({"workers": workers} if workers > 1 else {}) | ({"device": device} if device != "cpu" else {})


def _with_all_pairs(tables: Tables) -> Tables:
    """The same tables in the layout that serves, zero for pairs that they lack."""
    layout = Layout.of_catalog()
    if len(tables.pairs) == len(layout.ends):
        return tables
    return Tables(BinEdges(tables.edges.inner), tables.own, np.zeros((len(layout.ends), WIDTH, WIDTH)))


def _logistic(kind: str, task: Task) -> Fitted:
    edges, train, held_out, judged = _binned(task, Layout.of_catalog())
    fit = fit_logistic(train, held_out, edges, epochs=task.epochs, progress=task.progress)
    return _compiled(len(train), judged, fit.tables, fit.bias, fit.recipe)


def _compiled(
    rows: int, judged: BinnedRows, tables: Tables, bias: Mapping[str, float], recipe: Mapping[str, Any]
) -> Fitted:
    flat, edges = tables.flat(), tables.edges
    return Fitted(
        lambda components: table_logits(flat, edges, components), bias, recipe,
        lambda out, card: write_model(out, tables, card), rows, judged,
    )  # fmt: skip


def _trees(kind: str, task: Task) -> Fitted:
    train, held_out, judged = task.load()
    neighbours = NeighbourInputs.fit(train) if kind == "xgbgraph" else None
    forest, recipe = fit_forest(
        train, held_out, seed=task.seed, trees=task.epochs or TREE_COUNT, neighbours=neighbours
    )
    # The trees have no offset per class; calibration finds all of it.
    no_bias = dict.fromkeys(AVAILABILITY_CLASSES, 0.0)
    return Fitted(
        lambda components: forest.logits(components, neighbours), no_bias, recipe,
        lambda out, card: write_forest(out, forest, card, neighbours), len(train), judged,
    )  # fmt: skip


def _deep(kind: str, task: Task) -> Fitted:
    fitting = torch_module("fit_graph", f"training a model of kind {kind}")
    recipe = fitting.GraphRecipe() if task.epochs is None else fitting.GraphRecipe(epochs=task.epochs)
    train, held_out, judged = task.load()
    fit = fitting.fit_graph(kind, train, held_out, seed=task.seed, recipe=recipe, progress=task.progress)
    used = {**recipe.to_json(), "epochs_run": len(fit.losses) - 1}
    return Fitted(fit.raw, fit.bias, used, fit.write, len(train), judged)


_FITTERS: Mapping[str, Callable[[str, Task], Fitted]] = {
    "order2": _network,
    "additive": _network,
    "logistic": _logistic,
    "gbdt": _trees,
    "xgbgraph": _trees,
    "rgcn": _deep,
    "gatv2": _deep,
}
