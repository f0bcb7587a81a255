"""``riskgraph model parity``: false positives of honest orders that refuse, put on file beside a model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from riskgraph import bootstrap
from riskgraph.bench.refusal import CONFIG, ORDERS, SEED, Ground, Judge
from riskgraph.core.errors import Invalid
from riskgraph.eval.intervals import Interval
from riskgraph.eval.refusal import Refusal, TwoRates
from riskgraph.models.card import PHASES
from riskgraph.models.parity import write_parity
from riskgraph.ports import Progress
from riskgraph.settings import Settings


def put_on_file(
    model: Path | None,
    settings: Settings,
    progress: Progress,
    *,
    config: str = CONFIG,
    seed: int = SEED,
    orders: int = ORDERS,
) -> dict[str, Any]:
    """Judge honest orders of a simulated world as they are and refusing, by phase, and file the rates.

    Args:
        model: Model folder; None for the model that serves.
        settings: Their tree judges.
        progress: Told of each step.
        config: Configuration of the world.
        seed: Of the world; take one that the model was not trained on.
        orders: Size of the world.

    Raises:
        Invalid: If the world has no honest order of which a front end measured something.
    """
    folder = model or bootstrap.serving_folder(settings)[0]
    judge = Judge.of(folder, settings)
    with tempfile.TemporaryDirectory(prefix="riskgraph-parity-") as place:
        ground = Ground.make(Path(place), orders, progress, config=config, seed=seed)
        phases = _phases(ground, judge)
    if not phases:
        raise Invalid("the world has no honest order with a front end; ask for more", field="orders")
    measured = {
        "model": judge.model.card.name,
        "model_sha256": judge.model.card.digest,
        "tree_sha256": bootstrap.load_tree(settings).sha256,
        "measured": datetime.now(UTC).date().isoformat(),
        "world": config,
        "seed": seed,
        "orders": orders,
        "provenance": bootstrap.SIMULATED,
        "phases": phases,
    }
    return {"path": str(write_parity(folder, measured)), **measured}


def _phases(ground: Ground, judge: Judge) -> dict[str, Any]:
    rows, table = ground.honest, ground.chosen.table
    refusal, clusters = Refusal.of(table.take(rows), judge), ground.clusters(rows)
    phase_of = np.array([word.split("/")[0] for word in table.availability[rows].astype(str)])
    found: dict[str, Any] = {}
    for phase in PHASES:
        among = phase_of == phase
        if among.any():
            rates = {
                name: refusal.compare((verdict,), clusters, among)
                for name, verdict in (("rejected", "reject"), ("reviewed", "review"))
            }
            found[phase] = {
                "honest": int(among.sum()),
                **{
                    name: {"granted": _ends(r.granted), "refused": _ends(r.refused), "ratio": _ratio(r)}
                    for name, r in rates.items()
                },
            }
    return found


def _ratio(rates: TwoRates) -> list[float] | None:
    """The ratio, where orders were stopped in both ways: to or from nothing, draws know no interval."""
    return _ends(rates.ratio) if rates.granted.value > 0 and rates.refused.value > 0 else None


def _ends(figure: Interval) -> list[float] | None:
    ends = [figure.value, figure.lower, figure.upper]
    return ends if np.isfinite(ends).all() else None


def rows(phases: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Phase, verdict, orders, rate as they are, rate refusing and ratio, in words."""
    told = []
    for phase, row in phases.items():
        for verdict in ("rejected", "reviewed"):
            figures = [_said(row[verdict][rate]) for rate in ("granted", "refused", "ratio")]
            told.append((phase, verdict, f"{row['honest']:,}", *figures))
    return told


def _said(ends: list[float] | None) -> str:
    return "–" if ends is None else f"{ends[0]:.4g} ({ends[1]:.4g} to {ends[2]:.4g})"
