"""Several models side by side on one later window of a simulated world (contracts, section 8).

Each model is read in four ways: by its score alone, at a threshold frozen on an earlier window where at most
0.38 % of honest orders reach it; at one that so many of the judged honest orders reach, to compare rankings;
by what it rejects; and by what it rejects or sends to review, at the thresholds that it carries. But for the
second, nothing is tuned on the window that is judged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import Invalid
from riskgraph.core.table import OrderTable
from riskgraph.core.verdict import Verdict
from riskgraph.eval.backtest import BatchScorer, Verdicts, band_verdicts, probabilities
from riskgraph.eval.intervals import REPS, cluster_orders, difference_interval
from riskgraph.eval.metrics import FLAGGED, REFERENCE, Bools, Confusion, Floats, flagged
from riskgraph.eval.slices import JUDGED_FROM, Scored, by_camouflage, gang_decisions
from riskgraph.eval.window import Chosen, Truth, Window, choose_simulated
from riskgraph.ports import Progress

FPR = REFERENCE["fpr"]
# How a model can be read; the first is the score at the frozen threshold, the second at one that the same
# share of judged honest orders reaches: no service could set it, but it compares rankings where cuts drift.
RANKED = "ranked"
READINGS = ("score", RANKED, *FLAGGED)


@dataclass(frozen=True)
class Contest:
    """What models are compared on.

    Attributes:
        table: All orders of the world.
        truth: Its oracle.
        frozen_on: Days on which score thresholds are set.
        judged_on: Later days that count.
        new: Kinds of fraud that no training has seen.
        reps: Bootstrap draws.
        seed: Seed of the bootstrap.

    Raises:
        Invalid: If the judged window does not lie after the other, or holds no order of one class.
    """

    table: OrderTable
    truth: Truth
    frozen_on: Window
    judged_on: Window
    new: Collection[str]
    reps: int = REPS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.judged_on.start <= self.frozen_on.end:
            raise Invalid(
                f"thresholds are frozen up to {self.frozen_on.end}, so orders count from the next day on, "
                f"got {self.judged_on.start}",
                field="judged_on",
            )


@dataclass(frozen=True, eq=False)
class Hand:
    """One model on the judged orders.

    Attributes:
        versions: Of the model.
        threshold: Probability from which an order is flagged by score alone.
        rows: The orders with its probabilities and verdicts.
    """

    versions: Mapping[str, str]
    threshold: float
    rows: Scored


@dataclass(frozen=True, eq=False)
class Judged:
    """Models on the judged orders of one contest, before anything is counted.

    Attributes:
        orders: The judged orders; scores and verdicts are those of no model.
        new: bool[N], fraud of a kind that is new.
        hands: By model.
    """

    orders: Scored
    new: Bools
    hands: Mapping[str, Hand]


@dataclass(frozen=True, eq=False)
class Row:
    """One model's figures.

    Attributes:
        name: Of the model.
        hits: Flagged orders of the judged window, bool[N] by reading.
        figures: As JSON; shares are fractions with their intervals, NaN where there is nothing to divide by.
    """

    name: str
    hits: Mapping[str, Bools]
    figures: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ModelTable:
    """All models on the same orders.

    Attributes:
        orders: The judged orders; scores and verdicts are those of no model.
        new: bool[N], fraud of a kind that is new.
        rows: One per model, by name.
    """

    orders: Scored
    new: Bools
    rows: Mapping[str, Row]

    def gaps(self, champion: str, reading: str = "score") -> dict[str, dict[str, float]]:
        """Recall of each other model for new kinds minus the champion's, in pairs, with intervals."""
        mine = self.rows[champion].hits[reading]
        return {
            name: asdict(
                difference_interval(
                    row.hits[reading], mine, self.new, self.orders.clusters,
                    reps=self.orders.reps, seed=self.orders.seed,
                )
            )
            for name, row in self.rows.items()
            if name != champion
        }  # fmt: skip

    def by_seed(self, seeds: int) -> dict[str, list[dict[str, float]]]:
        """Recall for new kinds and honest orders flagged, at the frozen score, of each training seed.

        Args:
            seeds: How many; their contests stand one after the other, as many for each.
        """
        honest = ~self.orders.is_fraud
        return {
            name: [
                {"recall_new": float(hit[new].mean()), "fpr": float(hit[fair].mean())}
                for hit, new, fair in zip(
                    *(np.split(each, seeds) for each in (row.hits["score"], self.new, honest)), strict=True
                )
            ]
            for name, row in self.rows.items()
        }


def judge(
    scorers: Mapping[str, BatchScorer],
    contest: Contest,
    verdicts: Mapping[str, Verdicts] | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Let several models judge the same orders.

    Args:
        scorers: By name.
        contest: On which orders.
        verdicts: What the service would answer with a model, gates included; a model that is not named
            decides by its own thresholds alone.
        progress: Told how far scoring is.

    Raises:
        Invalid: If a window holds too few orders of a class.
        CheckFailed: If a model gives probabilities that are not numbers.
    """
    early, late = (_chosen(contest, window) for window in (contest.frozen_on, contest.judged_on))
    fraud = int(late.is_fraud.sum())
    if not 0 < fraud < len(late.is_fraud):
        raise Invalid(
            f"the window holds {fraud} fraudulent and {len(late.is_fraud) - fraud} honest orders; both are "
            "needed",
            field="judged_on",
        )
    orders = _orders(late, contest)
    honest = early.table.take(~early.is_fraud)
    hands = {}
    for name, scorer in scorers.items():
        threshold = freeze(probabilities(scorer, honest, name, progress))
        probability = probabilities(scorer, late.table, name, progress)
        decide = (verdicts or {}).get(name, _bands(scorer))
        rows = orders.with_verdicts(decide(late.table, probability), probability)
        hands[name] = Hand(dict(scorer.versions), threshold, rows)
    return Judged(orders, late.is_fraud & np.isin(late.archetype, sorted(contest.new)), hands)


def model_table(*parts: Judged) -> ModelTable:
    """Count what models got right, over one contest or several on the same orders.

    With several, each with kinds of its own left out of training, an order counts once in each; a gang or an
    account is drawn with all its orders in all of them. Models that do not stand in all of them are left out.

    Raises:
        Invalid: If the contests judge different orders.
    """
    first = parts[0].orders
    if any(not np.array_equal(p.orders.order_id, first.order_id) for p in parts):
        raise Invalid("contests on different orders make no table together", field="judged_on")
    new = np.concatenate([p.new for p in parts])
    names = [name for name in parts[0].hands if all(name in p.hands for p in parts)]
    rows = {name: _row(name, [p.hands[name] for p in parts], new) for name in names}
    return ModelTable(_joined([p.orders for p in parts]), new, rows)


def _joined(parts: Sequence[Scored]) -> Scored:
    """The same orders several times, with the scores and verdicts of each."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {
        f.name: np.concatenate([getattr(p, f.name) for p in parts])
        for f in fields(Scored)
        if isinstance(getattr(parts[0], f.name), np.ndarray)
    }
    clusters = parts[0].clusters
    return replace(parts[0], **columns, clusters=replace(clusters, code=np.tile(clusters.code, len(parts))))


def freeze(honest: Floats, fpr: float = FPR) -> float:
    """The lowest threshold that at most ``fpr`` of honest orders reach.

    Raises:
        Invalid: If there are so few orders that none may reach it.
    """
    allowed = int(fpr * len(honest))
    if not allowed:
        raise Invalid(
            f"{len(honest)} honest orders are too few to set a threshold at {fpr:.2%} of them",
            field="frozen_on",
        )
    # Just above the highest score that may no longer be flagged, so that ties stay below together.
    return float(np.nextafter(np.sort(honest)[-allowed - 1], np.inf))


def _chosen(contest: Contest, window: Window) -> Chosen:
    return choose_simulated(
        contest.table, contest.truth, window, datetime.combine(window.end, time(), UTC)
    )  # fmt: skip


def _orders(late: Chosen, contest: Contest) -> Scored:
    table, count = late.table, len(late.table)
    return Scored(
        table.order_id, table.placed_at, table.availability, np.zeros(count),
        np.full(count, str(Verdict.ACCEPT), dtype=object), late.is_fraud, late.gang, late.archetype,
        late.camouflage, late.honest_type, cluster_orders(late.is_fraud, late.gang, table.account),
        contest.reps, contest.seed,
    )  # fmt: skip


def _bands(scorer: BatchScorer) -> Verdicts:
    def decide(table: OrderTable, probability: Floats) -> NDArray[np.object_]:
        bands = {name: scorer.thresholds(name) for name in set(table.availability)}
        return band_verdicts(table.availability, probability, bands)

    return decide


def _row(name: str, hands: Sequence[Hand], new: Bools) -> Row:
    rows = _joined([hand.rows for hand in hands])
    scores = [hand.rows.probability for hand in hands]
    hits = {"score": np.concatenate([s >= hand.threshold for s, hand in zip(scores, hands, strict=True)])}
    hits[RANKED] = np.concatenate(
        [s >= freeze(s[~hand.rows.is_fraud]) for s, hand in zip(scores, hands, strict=True)]
    )
    hits |= {kind: flagged(rows.verdict, kind) for kind in FLAGGED}
    slices = _by_honest_type(rows, hits)
    figures = {
        "versions": [dict(hand.versions) for hand in hands],
        "thresholds": [hand.threshold for hand in hands],
        "honest_review_share": rows.ratio(rows.verdict == Verdict.REVIEW, ~rows.is_fraud),
        "overall": {reading: _overall(rows, hit) for reading, hit in hits.items()},
        "novelty": _by_novelty(rows, hits, new),
        "archetype": _by_archetype(rows, hits, new),
        "availability": _by_availability(rows, hits),
        "honest_type": slices,
        "slice_fpr_max": _worst_slice(slices),
        "camouflage": by_camouflage(rows),
    }
    return Row(name, hits, figures)


def _by_novelty(rows: Scored, hits: Mapping[str, Bools], new: Bools) -> list[dict[str, Any]]:
    parts = (("new", new), ("known", rows.is_fraud & ~new))
    return [{"kinds": word, **_recalls(rows, hits, inside)} for word, inside in parts]


def _by_archetype(rows: Scored, hits: Mapping[str, Bools], new: Bools) -> list[dict[str, Any]]:
    """By kind of fraud; a kind that some contests left out of training and others did not stands twice."""
    return [
        {"archetype": kind, "new": left_out, **_recalls(rows, hits, part)}
        for kind, inside in _groups(rows.archetype, rows.is_fraud)
        for left_out, part in ((True, inside & new), (False, inside & ~new))
        if part.any()
    ]


def _by_availability(rows: Scored, hits: Mapping[str, Bools]) -> list[dict[str, Any]]:
    table = []
    for name, inside in _groups(rows.availability, np.ones(len(rows), dtype=bool)):
        fraud, honest = inside & rows.is_fraud, inside & ~rows.is_fraud
        table.append({"availability": name, **_recalls(rows, hits, fraud), **_fprs(rows, hits, honest)})
    return table


def _by_honest_type(rows: Scored, hits: Mapping[str, Bools]) -> list[dict[str, Any]]:
    """By kind of honest person; several contests on the same orders do not make a thin slice a thick one."""
    return [
        {
            "honest_type": kind,
            **_fprs(rows, hits, inside),
            "judged": len(np.unique(rows.order_id[inside])) >= JUDGED_FROM,
        }
        for kind, inside in _groups(rows.honest_type, ~rows.is_fraud)
    ]


def _overall(rows: Scored, hit: Bools) -> dict[str, Any]:
    counts = Confusion.of(hit, rows.is_fraud)
    return {
        **asdict(counts),
        "recall": rows.ratio(hit, rows.is_fraud),
        "fpr": rows.ratio(hit, ~rows.is_fraud),
        "precision": rows.ratio(rows.is_fraud, hit),
        "base_rate": counts.base_rate,
        "gangs": gang_decisions(rows, hit),
    }


def _groups(words: NDArray[np.object_], among: Bools) -> list[tuple[str, Bools]]:
    return [(str(word), among & (words == word)) for word in sorted(set(words[among]))]


def _recalls(rows: Scored, hits: Mapping[str, Bools], fraud: Bools) -> dict[str, Any]:
    gangs = len(np.unique(rows.gang[fraud & (rows.gang >= 0)]))
    shares = {f"recall_{reading}": rows.ratio(hit, fraud) for reading, hit in hits.items()}
    return {"fraud": int(fraud.sum()), "gangs": gangs, **shares}


def _fprs(rows: Scored, hits: Mapping[str, Bools], honest: Bools) -> dict[str, Any]:
    shares = {f"fpr_{reading}": rows.ratio(hit, honest) for reading, hit in hits.items()}
    return {"honest": int(honest.sum()), **shares}


def _worst_slice(slices: list[dict[str, Any]]) -> dict[str, Any]:
    """Highest false-positive rate of a kind of honest person with enough orders, by reading."""
    judged = [row for row in slices if row["judged"]]
    worst = {}
    for reading in READINGS:
        row = max(judged, key=lambda r: r[f"fpr_{reading}"]["value"], default=None)
        worst[reading] = row and {"honest_type": row["honest_type"], **row[f"fpr_{reading}"]}
    return worst
