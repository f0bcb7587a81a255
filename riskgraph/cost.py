"""What a release costs, wired: world → sandbox's utility process, with the project's own fitters.

Beside ``chain``; it needs the extras ``lab`` and, for the network, ``train``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from riskgraph import auditing, bootstrap
from riskgraph.core.table import OrderTable
from riskgraph.core.units import LEAST_K
from riskgraph.eval import worlds
from riskgraph.eval.window import Truth, join
from riskgraph.models.arrays import fit_scorer
from riskgraph.ports import ArrayScorer, Fitter, Progress, TrainingRows
from riskgraph.releasing import training_policy
from riskgraph.sandbox.intake import microseconds
from riskgraph.sandbox.published import least, told
from riskgraph.sandbox.scratch import sweep
from riskgraph.sandbox.utility import Cell, Cost, CostRequest, Judged, measure_cost
from riskgraph.settings import Settings

# The asks of the figures that a bench prints.
ASKS = {"auc_loss_trees": 0.005, "auc_loss_network": 0.002, "recall_loss_network": 0.02}


def fit_trees(rows: TrainingRows, seed: int) -> ArrayScorer:
    """The project's gradient-boosted trees."""
    return fit_scorer(rows, seed, kind="gbdt")


def fit_network(rows: TrainingRows, seed: int) -> ArrayScorer:
    """The network that serves."""
    return fit_scorer(rows, seed, kind="order2")


FITTERS: dict[str, Fitter] = {"trees": fit_trees, "network": fit_network}
# Adam loads torch._dynamo when it is first made, and that looks for a temporary folder.
LIBRARIES = ("sklearn.ensemble", "torch._dynamo")


def measure(world: Path, request: CostRequest, settings: Settings, progress: Progress) -> dict[str, Any]:
    """Measure on a world what training on its release costs.

    Returns:
        JSON: ``figures`` by name with ``asks`` and whether each was ``held``, ``worst`` kind by model,
        ``counts``, ``cells``, what the test was ``judged_by``. Counts are exact: they stay with who asked.

    Raises:
        Invalid: If the world holds a wrong value.
        CheckFailed: If there are too few persons to release or to test.
        ExtraMissing: If torch is not installed.
    """
    bootstrap.require_extra("riskgraph sandbox cost", "train")
    sweep()
    auditing.check_log(settings)
    opened, door = worlds.World.open(world), bootstrap.open_door(settings)
    worlds.replay(opened, door, progress)
    cut = microseconds(request.until) / 1e6
    table = auditing.without_erased(opened.table(cut, door, progress), settings)
    if opened.simulated:
        judged, by = by_truth(table, worlds.truth_of(opened)), "the truth of the simulated world"
    else:
        latest = auditing.without_erased(opened.table(time.time(), door, progress), settings)
        judged, by = Judged(latest.label, np.full(len(latest), "fraud", object)), "labels as known today"
    policy = training_policy(settings)
    cost = measure_cost(table, judged, FITTERS, request, progress, LIBRARIES, policy=policy)
    facts = {"provenance": opened.manifest["provenance"], "judged_by": by}
    asked = {**asdict(request), "until": request.until.isoformat()}
    found = figures(cost)
    result = {
        "world": str(world),
        **facts,
        "request": asked,
        "figures": found,
        "asks": ASKS,
        "held": held(found),
        "models": list(FITTERS),
        "worst": {model: worst(cost, model) for model in FITTERS},
        **cost.to_json(),
    }
    recorded = [on_record(cell, request.k) for cell in result["cells"]]
    auditing.log_cost({**result, "cells": recorded}, settings)
    return result


def on_record(cell: Mapping[str, Any], k: int) -> dict[str, Any]:
    """A cell as the audit log gets it: recall in steps of one order of as many as are told.

    A recall of n orders is a fraction of n, and four of them in five digits give n away. In steps of
    one of the told number each n from there on fits.
    """
    orders, recall = max(least(told(cell["orders"], k)), LEAST_K), cell["recall"]
    raw, release = (round(recall[name] * orders) for name in ("raw", "release"))
    loss = raw - release
    lower, upper = math.floor(recall["lower"] * orders), math.ceil(recall["upper"] * orders)
    steps = {"raw": raw, "release": release, "loss": loss}
    steps |= {"lower": min(lower, loss), "upper": max(upper, loss)}
    return {**cell, "recall": {name: round(value / orders, 5) for name, value in steps.items()}}


def by_truth(table: OrderTable, truth: Truth) -> Judged:
    """The truth of a simulated world, order by order; the sandbox gets plain words and never reads it."""
    place, known = join(table.order_id, truth.order_id)
    label = np.where(known, truth.is_fraud[place].astype(np.int8), np.int8(-1))
    return Judged(label.astype(np.int8), truth.archetype[place])


def figures(cost: Cost) -> dict[str, float]:
    """The figures that the asks name, and what they are made of.

    ``recall_loss_network`` is the larger of known and unseen kinds of fraud.
    """
    out = {}
    for model in FITTERS:
        for unseen, suffix in ((False, "known"), (True, "unseen")):
            cell = cost.cell(model, unseen=unseen)
            if cell is not None:
                out[f"auc_loss_{model}_{suffix}"] = cell.auc.loss
                out[f"recall_loss_{model}_{suffix}"] = cell.recall.loss
        for figure in ("auc", "recall"):
            losses = (out.get(f"{figure}_loss_{model}_{s}") for s in ("known", "unseen"))
            out[f"{figure}_loss_{model}"] = max(loss for loss in losses if loss is not None)
    return out


def held(found: Mapping[str, float]) -> dict[str, bool]:
    """Whether each figure that is asked for is at most what is asked."""
    return {name: found[name] <= ask for name, ask in ASKS.items()}


def worst(cost: Cost, model: str) -> dict[str, Any]:
    """The kind of fraud whose recall a model loses most of, known or unseen; empty where none is apart."""
    kinds = [c for c in cost.cells if c.model == model and c.kind != "all"]
    if not kinds:
        return {}
    most: Cell = max(kinds, key=lambda c: c.recall.loss)
    return {"kind": most.kind, "unseen": most.unseen, "recall_loss": most.recall.loss, "orders": most.orders}
