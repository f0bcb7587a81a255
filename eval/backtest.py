"""The out-of-time backtest: score a later window, decide as the service would, measure, sign.

Thresholds are those that the model carries, frozen on an earlier window; nothing is tuned here.
The verdict of every order comes from the caller, who knows the decision tree and its gates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.core.table import OrderTable
from riskgraph.core.units import LEAST_K, MAX_COMPONENT_SHARE, MIN_COMPONENTS
from riskgraph.core.verdict import Thresholds, Verdict
from riskgraph.eval.backtest_report import check_extras, check_free, write_report
from riskgraph.eval.cells import FEW, NO_CURVE, RULE, Persons, Told, answers, at_least
from riskgraph.eval.comparison import Ranked, baseline_entry, ranking
from riskgraph.eval.intervals import REPS, cluster_orders
from riskgraph.eval.metrics import (
    FLAGGED,
    REFERENCE,
    Bools,
    Floats,
    Ints,
    Roc,
    brier,
    calibration_gap,
    reliability,
    reliability_of,
)
from riskgraph.eval.rules import FlatRules
from riskgraph.eval.slices import (
    Scored,
    by_archetype,
    by_availability,
    by_camouflage,
    by_honest_type,
    by_novelty,
    by_week,
    decisions,
)
from riskgraph.eval.window import Chosen, Truth, Window, choose_labelled, choose_simulated
from riskgraph.ports import Progress, Signer

SCHEMA = "backtest_report/1"
# Scored in parts, so that memory does not grow with the history and the bar moves.
CHUNK_ROWS = 16_384
# Calibration of real people is told in as many bins at most.
BINS = 15
SIMULATED_NOTICE = (
    "Simulated: every order, person and gang in this report comes from a simulator. The figures "
    "say how the model does on that simulation, not how it does in a shop."
)
LANGUAGES = ("en", "zh")
Verdicts = Callable[[OrderTable, Floats], NDArray[np.object_]]


class BatchScorer(Protocol):
    """A model that scores many orders and carries frozen thresholds."""

    @property
    def versions(self) -> dict[str, str]: ...

    @property
    def provenance(self) -> str: ...

    def score_batch(
        self, components: NDArray[np.float32], availability: NDArray[np.object_]
    ) -> tuple[Floats, Floats]: ...

    def thresholds(self, availability: str) -> Thresholds: ...


@dataclass(frozen=True)
class Origin:
    """Where the data come from, recorded in the report.

    Attributes:
        provenance: ``simulated`` or ``merchant``, of the orders (not of the model).
        labels_known_at: Cut-off of the reported labels, with a time zone.
        data: SHA-256 of each data file, by its name.
        tree_sha256: Digest of the decision tree behind the verdicts.
        seeds: Seeds of the world.
        trained_until: Last day the model learned from; None where it is not known.
        notes: Sentences a reader must know, for instance that fraud is enriched.
        merchants: Whose orders in the window may count, by ``merchant_id``.
    """

    provenance: str
    labels_known_at: datetime
    data: Mapping[str, str] = field(default_factory=dict)
    tree_sha256: str = ""
    seeds: Mapping[str, int] = field(default_factory=dict)
    trained_until: date | None = None
    notes: tuple[str, ...] = ()
    merchants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """What a backtest measures, and against what.

    Attributes:
        table: All orders; those before the window tell which gangs were active already.
        truth: The oracle of a simulated world; None for a merchant's own history.
        scorer: The champion, with its frozen thresholds.
        verdicts: What the service would answer, gates included, for rows and their probabilities.
        window: Days to count.
        counted: Orders that may count, bool[N], as where one merchant is measured; all where it is None.
        origin: Where data and model come from.
        baselines: Other scorers by name; the flat rules are always there.
        reps: Bootstrap draws.
        seed: Seed of the bootstrap.
    """

    table: OrderTable
    truth: Truth | None
    scorer: BatchScorer
    verdicts: Verdicts
    window: Window
    origin: Origin
    baselines: Mapping[str, BatchScorer] = field(default_factory=dict)
    counted: Bools | None = None
    reps: int = REPS
    seed: int = 0


@dataclass(frozen=True)
class Issue:
    """Who issues the report, when, and in which language.

    Attributes:
        signer: Signs ``report.json``.
        now: Time of issue, with a time zone.
        code: What made the report, for instance ``{"version": …, "commit": …}``.
        lang: Language of the page's headings, ``en`` or ``zh``.

    Raises:
        Invalid: If there are no headings in that language.
    """

    signer: Signer
    now: datetime
    code: Mapping[str, str]
    lang: str = "en"

    def __post_init__(self) -> None:
        if self.lang not in LANGUAGES:
            raise Invalid(f"a report is in {' or '.join(LANGUAGES)}, not {self.lang!r}", field="lang")


@dataclass(frozen=True)
class BacktestResult:
    """The folder of the report and what ``report.json`` in it says."""

    path: Path
    report: Mapping[str, Any]


def run_backtest(trial: Trial, out: Path, issue: Issue, progress: Progress | None = None) -> BacktestResult:
    """Run a backtest and write its signed report.

    Args:
        trial: What to measure.
        out: Folder to make; must not exist or be empty.
        issue: Who signs the report, and when.
        progress: Told how far scoring and bootstrap are.

    Raises:
        Conflict: If ``out`` holds something.
        ExtraMissing: If pyarrow or matplotlib is missing.
        Invalid: If the window is not out of time, has no order of one class, or truth and
            provenance disagree.
        CheckFailed: If the verdicts are not those of orders.
    """
    # Scoring takes minutes: what would stop the report from being written is found before it.
    check_free(out)
    check_extras()
    chosen = _choose(trial)
    rows = _scored(chosen, trial, progress)
    figures, ranked = _figures(rows, chosen, trial, progress)
    report = {**_header(trial, chosen, issue, rows.told), **figures}
    return BacktestResult(out, write_report(out, report, rows, ranked, issue.signer, lang=issue.lang))


def _figures(
    rows: Scored, chosen: Chosen, trial: Trial, progress: Progress | None
) -> tuple[dict[str, Any], dict[str, Ranked]]:
    # Always beside the model: what it adds to rules that a shop writes by hand is the first question.
    others: dict[str, BatchScorer] = {"flat_rules": FlatRules(), **trial.baselines}
    seen = {name: _with_bands(rows, chosen.table, s, name, progress) for name, s in others.items()}
    ranked = ranking({"model": rows, **seen}, progress)
    bands = {name: trial.scorer.thresholds(name) for name in sorted(set(chosen.table.availability))}
    figures = {
        **_threshold_entry(bands),
        "bootstrap": _bootstrap_entry(rows),
        "metrics": _metrics(rows, ranked["model"], bands),
        "roc": _roc_entry(ranked["model"].roc),
        "slices": _slices(rows, chosen, bands),
        "baselines": [baseline_entry(n, s.versions, seen[n], ranked) for n, s in others.items()],
    }
    return figures, ranked


def _choose(trial: Trial) -> Chosen:
    truth, window, origin = trial.truth, trial.window, trial.origin
    if origin.labels_known_at.tzinfo is None:
        raise Invalid("the label cut-off needs a time zone", field="labels_known_at")
    if origin.trained_until is not None and window.start <= origin.trained_until:
        raise Invalid(
            f"the window starts on {window.start}, but the model learned from orders up to "
            f"{origin.trained_until}: this would not be out of time",
            field="from",
        )
    if origin.provenance == "simulated" and truth is not None:
        chosen = choose_simulated(trial.table, truth, window, origin.labels_known_at, trial.counted)
    elif origin.provenance == "merchant" and truth is None:
        chosen = choose_labelled(trial.table, window, origin.labels_known_at, trial.counted)
    else:
        raise Invalid("simulated orders need an oracle; a merchant's have none", field="provenance")
    fraud = int(chosen.is_fraud.sum())
    if not 0 < fraud < len(chosen.is_fraud):
        raise Invalid(
            f"the window has {fraud} fraudulent and {len(chosen.is_fraud) - fraud} honest orders that "
            "count; a backtest needs both",
            field="from",
        )
    if chosen.persons is not None:
        _check_crowds(chosen, chosen.persons)
    return chosen


def _check_crowds(chosen: Chosen, persons: Persons) -> None:
    for name, rows in (("fraudulent", chosen.is_fraud), ("honest", ~chosen.is_fraud)):
        if not persons.crowd(rows):
            raise Invalid(
                f"the {name} orders that count are of {FEW}, or of too few that are not linked: "
                "nothing can be told of them; take a longer window",
                field="from",
            )


def probabilities(
    scorer: BatchScorer, table: OrderTable, name: str, progress: Progress | None = None
) -> Floats:
    """Calibrated probabilities float64[N] of the orders of a table.

    Raises:
        CheckFailed: If one is not a number.
    """
    parts = []
    for start in range(0, len(table), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        parts.append(scorer.score_batch(table.components[part], table.availability[part])[1])
        if progress is not None:
            progress(f"score {name}", min(start + CHUNK_ROWS, len(table)), len(table))
    probability = np.concatenate(parts).astype(np.float64)
    # A comparison with NaN is false, so such an order would count as accepted without a sign.
    if not np.isfinite(probability).all():
        raise CheckFailed(f"{name} gives probabilities that are not numbers")
    return probability


def _scored(chosen: Chosen, trial: Trial, progress: Progress | None) -> Scored:
    table = chosen.table
    probability = probabilities(trial.scorer, table, "model", progress)
    verdict = np.array([str(v) for v in trial.verdicts(table, probability)], dtype=object)
    if len(verdict) != len(table) or not set(verdict) <= set(Verdict):
        raise CheckFailed("the verdicts must be accept, review or reject, one for each order")
    bands = {name: trial.scorer.thresholds(name) for name in sorted(set(table.availability))}
    softened = _softened(table.availability, probability, verdict, bands)
    return Scored(
        table.order_id, table.placed_at, table.availability, probability, verdict, chosen.is_fraud,
        chosen.gang, chosen.archetype, chosen.camouflage, chosen.honest_type,
        cluster_orders(chosen.is_fraud, chosen.gang, table.account), trial.reps, trial.seed,
        _told(chosen.persons, chosen.is_fraud, answers(verdict, softened), probability, bands.values()),
    )  # fmt: skip


def _softened(
    availability: NDArray[np.object_], probability: Floats, verdict: NDArray[np.object_],
    bands: Mapping[str, Thresholds],
) -> Bools:  # fmt: skip
    """Reviews, bool[N], that only a gate can have made: by their score alone they would be rejects."""
    limit = np.array([bands[name].reject for name in availability])
    return np.asarray((probability >= limit) & (verdict == Verdict.REVIEW))


def _told(
    persons: Persons | None, is_fraud: Bools, answer: Ints, probability: Floats, bands: Iterable[Thresholds]
) -> Told | None:
    if persons is None:
        return None
    marks = {limit for band in set(bands) for limit in (band.review, band.reject)}
    return Told.of(persons, is_fraud, answer, probability, sorted(marks))


def _with_bands(
    rows: Scored, table: OrderTable, scorer: BatchScorer, name: str, progress: Progress | None
) -> Scored:
    """The same orders under another scorer: verdicts by its bands alone, no gate."""
    probability = probabilities(scorer, table, name, progress)
    bands = {name: scorer.thresholds(name) for name in sorted(set(table.availability))}
    verdict = band_verdicts(table.availability, probability, bands)
    persons = rows.told.persons if rows.told else None
    told = _told(persons, rows.is_fraud, answers(verdict), probability, bands.values())
    return replace(rows.with_verdicts(verdict, probability), told=told)


def band_verdicts(
    availability: NDArray[np.object_], probability: Floats, bands: Mapping[str, Thresholds]
) -> NDArray[np.object_]:
    """Verdict words, object[N], by the thresholds of each availability class alone, no gate."""
    verdict = np.full(len(probability), str(Verdict.ACCEPT), dtype=object)
    for name, limits in bands.items():
        inside = availability == name
        verdict[inside & (probability >= limits.review)] = str(Verdict.REVIEW)
        verdict[inside & (probability >= limits.reject)] = str(Verdict.REJECT)
    return verdict


def _header(trial: Trial, chosen: Chosen, issue: Issue, told: Told | None) -> dict[str, Any]:
    scorer, origin, window = trial.scorer, trial.origin, trial.window
    simulated = origin.provenance == "simulated"
    until = origin.trained_until
    return {
        "schema": SCHEMA,
        "provenance": origin.provenance,
        "merchants": list(origin.merchants),
        "simulated": simulated,
        "notice": SIMULATED_NOTICE if simulated else None,
        "notes": list(origin.notes),
        "issued_at": issue.now.astimezone(UTC).isoformat(timespec="seconds"),
        "window": {"from": window.start.isoformat(), "to": window.end.isoformat()},
        "out_of_time": {
            "trained_until": until.isoformat() if until else None,
            "shown": until is not None,
        },
        "truth": "oracle" if simulated else "labels as known at the cut-off",
        "gangs_are": "oracle gangs" if simulated else "fraud linked by account, device, card or address",
        "labels_known_at": origin.labels_known_at.astimezone(UTC).isoformat(timespec="seconds"),
        "label_tiers": chosen.tiers,
        "rows": chosen.rows,
        "data": dict(origin.data),
        "code": dict(issue.code),
        "model": {**scorer.versions, "provenance": scorer.provenance},
        "tree_sha256": origin.tree_sha256,
        "seeds": dict(origin.seeds),
        **_rule_entry(told),
    }


def _rule_entry(told: Told | None) -> dict[str, Any]:
    """What is told of real people, and what a longer window would tell in addition."""
    if told is None:
        return {}
    steps = len(told.floor)
    rule = {"persons": LEAST_K, "components": MIN_COMPONENTS, "largest_component": MAX_COMPONENT_SHARE}
    return {"cells": {**rule, "roc_steps": steps, "notes": [RULE] if steps > 1 else [RULE, NO_CURVE]}}


def _threshold_entry(bands: Mapping[str, Thresholds]) -> dict[str, Any]:
    values = {name: asdict(t) for name, t in bands.items()}
    return {"thresholds": values, "thresholds_sha256": hashlib.sha256(canonical_json(values)).hexdigest()}


def _bootstrap_entry(rows: Scored) -> dict[str, Any]:
    fraud = int(rows.clusters.is_fraud.sum())
    honest = len(rows.clusters.is_fraud) - fraud
    if rows.told is not None:
        fraud, honest = at_least(fraud), at_least(honest)
    return {
        "kind": "stratified cluster bootstrap, percentile intervals",
        "level": 0.95,
        "draws": rows.reps,
        "seed": rows.seed,
        "fraud_clusters": fraud,
        "honest_clusters": honest,
    }


def _metrics(rows: Scored, ranked: Ranked, bands: Mapping[str, Thresholds]) -> dict[str, Any]:
    softened = _softened(rows.availability, rows.probability, rows.verdict, bands)
    return {
        "fraud": int(rows.is_fraud.sum()),
        "honest": int((~rows.is_fraud).sum()),
        "frozen": {kind: decisions(rows, kind) for kind in FLAGGED},
        "review_share_honest": rows.share("review", ~rows.is_fraud),
        "softened_by_a_gate": {
            "fraud": int((softened & rows.is_fraud).sum()) if rows.tells("softened", True) else None,
            "honest": int((softened & ~rows.is_fraud).sum()) if rows.tells("softened", False) else None,
        },
        "ranking": ranked.entry,
        "calibration": _calibration(rows),
        "reference_not_ours": dict(REFERENCE),
    }


def _calibration(rows: Scored) -> dict[str, Any]:
    if rows.told is None:
        bins = reliability(rows.probability, rows.is_fraud, BINS)
        loss = brier(rows.probability, rows.is_fraud)
    else:
        # Whole steps of the curve, so that nothing new is counted.
        step = rows.told.step
        sizes = np.bincount(step)
        middle = np.cumsum(sizes) - sizes / 2
        place = (BINS * middle / len(step)).astype(np.int64)[step]
        places = [np.flatnonzero(place == b) for b in range(BINS - 1, -1, -1)]
        bins = reliability_of(places, rows.probability, rows.is_fraud)
        # Of a model with few scores a mean of all digits gives how many orders have which.
        bins = [{**b, "probability": float(f"{b['probability']:.3g}")} for b in bins]
        loss = float(f"{brier(rows.probability, rows.is_fraud):.3g}")
    return {"brier": loss, "ece": calibration_gap(bins), "bins": bins}


def _roc_entry(roc: Roc) -> dict[str, Any]:
    return {
        "fraud": roc.fraud,
        "honest": roc.honest,
        "points": {
            "fp": roc.fp.tolist(),
            "tp": roc.tp.tolist(),
            "threshold": [None, *roc.threshold[1:].tolist()],
        },
    }


def _slices(rows: Scored, chosen: Chosen, bands: Mapping[str, Thresholds]) -> dict[str, Any]:
    tables = {"availability": by_availability(rows, bands), "week": by_week(rows)}
    tables["gang_novelty"] = by_novelty(rows, chosen.seen_before)
    if chosen.from_oracle:
        tables["archetype"] = by_archetype(rows)
        tables["honest_type"] = by_honest_type(rows)
        tables["camouflage"] = by_camouflage(rows)
    return tables
