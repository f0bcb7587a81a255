"""Training: from releases to a model folder. It can see nothing else than releases."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from riskgraph.core.baseline import Baseline
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.models.calibration import RawLogits, calibrate
from riskgraph.models.card import HELD_OUT_LIMIT, SIMULATED_LIMIT, Calibration, Card, limits_of
from riskgraph.models.compiled import sigmoid
from riskgraph.models.fitters import Means, Task, fit_kind
from riskgraph.models.kinds import DEEP, Kind, extra_to_train
from riskgraph.models.libraries import torch_module
from riskgraph.models.reference import seen_by_reference, write_reference
from riskgraph.models.rows import BinnedRows, Rows, split, stack
from riskgraph.ports import Progress, TrainingColumns

if TYPE_CHECKING:
    from riskgraph.sandbox import Release

# What a reader of a card has to know of a release without having it.
_CERTIFICATE = ("k", "groups", "min_units", "min_components", "min_rows", "max_unit_share")
_WINDOW = ("until", "records", "accepted")


def train(
    releases: Sequence[Release], out: Path, *, kind: Kind = "order2", seed: int = 0,
    epochs: int | None = None, rows: int | None = None, progress: Progress | None = None,
    means: Means | None = None,
) -> Card:  # fmt: skip
    """Train a model on releases and write it to a folder.

    Args:
        releases: Verified releases; their rows are stacked.
        out: Folder of the model; its files are replaced.
        kind: One of :data:`riskgraph.models.kinds.KINDS`.
        seed: The same seed on the same releases gives the same model.
        epochs: Upper limit (of trees for trees); training stops when held-out loss no longer falls.
        rows: Fit on at most so many rows; all if left out, for deep kinds 30,000.
        progress: Told after each epoch.
        means: Workers, device, and the checkpoint to keep or to go on from, of which what is asked for here
            is filled in.

    Returns:
        The card as written.

    Raises:
        TypeError: If anything but a ``Release`` is passed.
        Invalid: If the kind is unknown, a release is of another catalogue, they hold too few rows, or a
            checkpoint is of another run.
        CheckFailed: If a checkpoint is damaged, or a release changes while it is read.
        ExtraMissing: If a library that the kind needs is not installed.
    """
    _check_releases(releases)
    return _train_rows(
        [r.stored for r in releases], describe(releases), out,
        kind=kind, seed=seed, epochs=epochs, rows=rows, progress=progress, means=means,
        baselines=_baselines(releases),
    )  # fmt: skip


def _train_rows(
    sources: Sequence[TrainingColumns], origin: Mapping[str, Any], out: Path, *, kind: Kind = "order2",
    seed: int = 0, epochs: int | None = None, rows: int | None = None, progress: Progress | None = None,
    means: Means | None = None, baselines: Sequence[Baseline] = (),
) -> Card:  # fmt: skip
    """The part of :func:`train` below the check for releases.

    Private, since whoever calls it with rows of another origin trains past the sandbox; tests do.

    Args:
        sources: Where the rows lie.
        origin: ``provenance``, ``releases`` and ``window`` for the card.
        out: As in :func:`train`, and so are the others.
        kind: See ``train``.
        seed: See ``train``.
        epochs: See ``train``.
        rows: See ``train``.
        progress: See ``train``.
        means: See ``train``.
        baselines: Of each source, then the pooled one, which becomes the model's reference; none: rows are
            fitted as they are.
    """
    means = means or Means()
    if means.checkpoint:
        asked = {"releases": origin["releases"], "kind": kind, "seed": seed, "rows": rows}
        means = replace(means, checkpoint=means.checkpoint.of(**asked))
    if baselines:
        sources = seen_by_reference(sources, baselines[:-1], baselines[-1])
    fitting, held_out = split(stack(sources), seed)
    fit = fit_kind(kind, Task(fitting, held_out, held_out, seed, epochs, progress, means), rows)
    # Thresholds come from rows that training has not fitted: on its own rows every model looks sharper.
    classes = calibrate(fit.raw, fit.bias, fit.judged)
    recipe = {**fit.recipe, "seed": seed, "rows": fit.rows, "held_out_rows": len(held_out)}
    card = _card(kind, origin, classes, recipe, held_out_metrics(fit.raw, classes, fit.judged))
    return fit.write(out, write_reference(out, baselines[-1], card) if baselines else card)


def load_libraries(kind: str) -> None:
    """Import what training needs, for who refuses to open any further library afterwards.

    Raises:
        ExtraMissing: If torch is not installed (extra ``train``).
    """
    for name in ("scipy.optimize", "sklearn.ensemble", "sklearn.metrics", "threadpoolctl"):
        import_module(name)
    # scikit-learn asks how many cores there are when it first fits, and joblib starts a process to count them
    import_module("joblib").cpu_count(only_physical_cores=True)
    if extra_to_train(kind) == "train":
        torch_module("fit_graph" if kind in DEEP else "fit", f"training a model of kind {kind}")


def _baselines(releases: Sequence[Release]) -> list[Baseline]:
    """The baseline of each release, and of all: what is not calibrated in its own is not trained on."""
    from riskgraph.sandbox import human_baseline

    pooled = human_baseline(releases)
    own = [human_baseline([release]) for release in releases] if len(releases) > 1 else [pooled]
    return [*own, pooled]


def _check_releases(releases: Sequence[Release]) -> None:
    from riskgraph.sandbox import Release

    for release in releases:
        if not isinstance(release, Release):
            raise TypeError(f"training takes releases only, got {type(release).__name__}; see Release.open")
        made_for = release.manifest["catalog"]
        if made_for["sha256"] != catalog().sha256:
            raise Invalid(
                f"release {release.release_id} was made for catalogue version {made_for['version']}, this "
                f"installation has another ({catalog().version}): its rows keep other pairs; release again",
                field="release",
            )
    if not releases:
        raise Invalid("training needs at least one release", field="release")


def describe(releases: Sequence[Release]) -> dict[str, Any]:
    """Provenance, releases and window for the card.

    One simulated release makes the model simulated: such a model may not enforce on real shoppers.
    """
    merchant = all(r.provenance == "merchant" for r in releases)
    listed = [
        {
            "release_id": r.release_id,
            "provenance": r.provenance,
            "k": r.k,
            "digests": {n: f["sha256"] for n, f in r.manifest["files"].items()},
            "certificate": {n: r.certificate[n] for n in _CERTIFICATE},
        }
        for r in releases
    ]
    inputs = {r.release_id: r.manifest["input"] for r in releases}
    window = {name: {n: given[n] for n in _WINDOW} for name, given in inputs.items()}
    return {"provenance": "merchant" if merchant else "simulated", "releases": listed, "window": window}


def _card(
    kind: str, origin: Mapping[str, Any], classes: Mapping[str, Calibration],
    recipe: Mapping[str, Any], metrics: Mapping[str, Any],
) -> Card:  # fmt: skip
    simulated = origin["provenance"] != "merchant"
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Card(
        name=f"{kind}-{created[:10]}-seed{recipe['seed']}",
        version="1",
        kind=kind,
        provenance=origin["provenance"],
        created=created,
        classes=classes,
        releases=origin["releases"],
        window=origin["window"],
        recipe=recipe,
        metrics=metrics,
        limits=[*limits_of(kind), HELD_OUT_LIMIT, *([SIMULATED_LIMIT] if simulated else [])],
    )


def held_out_metrics(
    raw: RawLogits, classes: Mapping[str, Calibration], rows: Rows | BinnedRows
) -> dict[str, Any]:
    """AUROC, AUPRC and log loss on held-out released rows, all weighted; not a backtest.

    These rows come from the same groups as the rows trained on, and decided when to stop: the figures say
    that training went well. Recall and false-positive rate of the thresholds are left out: the thresholds
    were cut on these very rows, so the rate would be what was asked for by construction.
    """
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    used = [classes[name] for name in rows.availability]
    score = sigmoid(raw(rows.components) + np.array([c.offset for c in used]))
    return {
        "auroc": float(roc_auc_score(rows.label, score, sample_weight=rows.weight)),
        "auprc": float(average_precision_score(rows.label, score, sample_weight=rows.weight)),
        "log_loss": float(log_loss(rows.label, score, sample_weight=rows.weight, labels=[0, 1])),
        "fraud_rows": int(rows.fraud.sum()),
        "honest_rows": int((~rows.fraud).sum()),
        "fraud_rate": rows.fraud_rate,
    }
