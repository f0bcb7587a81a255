"""Training: from releases to a model folder. It can see nothing else than releases."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from riskgraph.core.errors import ExtraMissing, Invalid
from riskgraph.models.boosting import fit_forest
from riskgraph.models.calibration import RawLogits, calibrate
from riskgraph.models.card import (
    AVAILABILITY_CLASSES,
    HELD_OUT_LIMIT,
    LIMITS,
    SIMULATED_LIMIT,
    Calibration,
    Card,
)
from riskgraph.models.compiled import Tables, sigmoid, table_logits, write_model
from riskgraph.models.rows import Rows, split, stack
from riskgraph.models.trees import Forest, write_forest
from riskgraph.ports import Progress

if TYPE_CHECKING:
    from riskgraph.sandbox import Release

Kind = Literal["order2", "gbdt"]
# What a reader of a card has to know of a release without having it.
_CERTIFICATE = ("k", "groups", "min_units", "min_components", "min_rows", "max_unit_share")
_WINDOW = ("until", "records", "accepted")


@dataclass(frozen=True, eq=False)
class Fitted:
    """What either kind of training hands to calibration and card."""

    model: Tables | Forest
    raw: RawLogits
    bias: Mapping[str, float]
    recipe: Mapping[str, Any]


def train(
    releases: Sequence[Release], out: Path, *, kind: Kind = "order2", seed: int = 0,
    epochs: int | None = None, progress: Progress | None = None,
) -> Card:  # fmt: skip
    """Train a model on releases and write it to a folder.

    Args:
        releases: Verified releases; their rows are stacked.
        out: Folder of the model; its files are replaced.
        kind: ``order2`` for the served network, ``gbdt`` for trees.
        seed: The same seed on the same releases gives the same model.
        epochs: Upper limit (of trees for ``gbdt``); training stops when held-out loss no longer falls.
        progress: Told after each epoch.

    Returns:
        The card as written.

    Raises:
        TypeError: If anything but a ``Release`` is passed.
        Invalid: If the kind is unknown or the releases hold too few rows.
        ExtraMissing: If torch is not installed (extra ``train``).
    """
    _check_releases(releases)
    return _train_rows(
        [r.rows for r in releases], describe(releases), out,
        kind=kind, seed=seed, epochs=epochs, progress=progress,
    )  # fmt: skip


def _train_rows(
    sources: Sequence[Any], origin: Mapping[str, Any], out: Path, *, kind: Kind = "order2",
    seed: int = 0, epochs: int | None = None, progress: Progress | None = None,
) -> Card:  # fmt: skip
    """The part of :func:`train` below the check for releases.

    Private, since whoever calls it with rows of another origin trains past the sandbox; tests do.

    Args:
        sources: Objects with the columns of :class:`riskgraph.models.rows.Rows`.
        origin: ``provenance``, ``releases`` and ``window`` for the card.
        out: As in :func:`train`, and so are the others.
        kind: See ``train``.
        seed: See ``train``.
        epochs: See ``train``.
        progress: See ``train``.
    """
    fitting, held_out = split(stack(sources), seed)
    fit = _fit(kind, fitting, held_out, seed, epochs, progress)
    # Thresholds come from rows that training has not fitted: on its own rows every model looks sharper.
    classes = calibrate(fit.raw, fit.bias, held_out)
    recipe = {**fit.recipe, "seed": seed, "rows": len(fitting), "held_out_rows": len(held_out)}
    card = _card(kind, origin, classes, recipe, held_out_metrics(fit.raw, classes, held_out))
    if isinstance(fit.model, Forest):
        return write_forest(out, fit.model, card)
    return write_model(out, fit.model, card)


def load_libraries(kind: str) -> None:
    """Import what training needs, for who refuses to open any further library afterwards.

    Raises:
        ExtraMissing: If torch is not installed (extra ``train``).
    """
    for name in ("sklearn.ensemble", "sklearn.metrics", "threadpoolctl"):
        import_module(name)
    if kind == "order2":
        _torch_fit()


def _check_releases(releases: Sequence[Release]) -> None:
    from riskgraph.sandbox import Release

    for release in releases:
        if not isinstance(release, Release):
            raise TypeError(f"training takes releases only, got {type(release).__name__}; see Release.open")
    if not releases:
        raise Invalid("training needs at least one release", field="release")


def _fit(
    kind: str, train_rows: Rows, held_out: Rows, seed: int, epochs: int | None, progress: Progress | None
) -> Fitted:
    if kind == "order2":
        return _fit_order2(train_rows, held_out, seed, epochs, progress)
    if kind == "gbdt":
        forest, recipe = fit_forest(train_rows, held_out, seed=seed, trees=epochs or 400)
        # The trees have no offset per class; calibration finds all of it.
        no_bias = dict.fromkeys(AVAILABILITY_CLASSES, 0.0)
        return Fitted(forest, forest.logits, no_bias, recipe)
    raise Invalid(f"unknown kind {kind!r}; known: order2, gbdt", field="kind")


def _fit_order2(
    train_rows: Rows, held_out: Rows, seed: int, epochs: int | None, progress: Progress | None
) -> Fitted:
    fitting = _torch_fit()
    recipe = fitting.Recipe() if epochs is None else fitting.Recipe(epochs=epochs)
    fit = fitting.fit_order2(train_rows, held_out, seed=seed, recipe=recipe, progress=progress)
    flat, edges = fit.tables.flat(), fit.tables.edges
    used = {**recipe.to_json(), "epochs_run": len(fit.losses) - 1}
    return Fitted(fit.tables, lambda components: table_logits(flat, edges, components), fit.bias, used)


def _torch_fit() -> Any:
    """``riskgraph.models.fit``, imported late since it needs torch."""
    try:
        from riskgraph.models import fit
    except ModuleNotFoundError as missing:
        # Only a missing torch is the missing extra; any other import that fails is a fault of ours.
        if str(missing.name).split(".")[0] not in ("torch", "torch_geometric"):
            raise
        raise ExtraMissing("training an order2 model", "train") from missing
    return fit


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
        limits=[*LIMITS, HELD_OUT_LIMIT, *([SIMULATED_LIMIT] if simulated else [])],
    )


def held_out_metrics(raw: RawLogits, classes: Mapping[str, Calibration], rows: Rows) -> dict[str, Any]:
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
