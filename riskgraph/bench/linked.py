"""Whether linked scores pay: the champion's form with and without them, on families training never saw.

Simulated, and on raw rows alone: a release has no such components, so this tells what they could gain before
adopting them costs a new catalogue.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph import bootstrap
from riskgraph.bench import Figure
from riskgraph.bench.new_families import UNTIL, Ground
from riskgraph.bench.pair_weight import entering
from riskgraph.bench.real import Sets
from riskgraph.core.catalog import catalog
from riskgraph.core.table import OrderTable
from riskgraph.core.verdict import Thresholds
from riskgraph.eval.linked import LINKS, linked_scores
from riskgraph.eval.model_table import Judged, judge, model_table
from riskgraph.models.binning import fit_edges
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import Tables, sigmoid, table_logits
from riskgraph.models.fit import Fit, class_indexes, fit_order2
from riskgraph.models.layout import Layout
from riskgraph.models.rows import Rows, split
from riskgraph.ports import Progress
from riskgraph.sandbox import ReleaseRequest
from riskgraph.sandbox.choice import window

NAME = "linked_scores_gain"
CROSS_ORDER = ("B131", "B132", "B133", "B134", "B135", "B136", "B137")
# Nothing is decided here: orders are ranked, and flagged at a threshold frozen on earlier days.
_NEVER = Thresholds(review=1.0, reject=1.0)


@dataclass(frozen=True, eq=False)
class Ranking:
    """A fitted network as it ranks orders; it carries no thresholds of its own."""

    fit: Fit
    versions: Mapping[str, str]
    provenance: str = "simulated"

    def score_batch(
        self, components: NDArray[np.float32], availability: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        tables = self.fit.tables
        bias = np.array([self.fit.bias[name] for name in AVAILABILITY_CLASSES])
        wide = components[:, : len(tables.edges.layout.components)]
        logit = table_logits(tables.flat(), tables.edges, wide) + bias[class_indexes(availability)]
        return logit, sigmoid(logit)

    def thresholds(self, availability: str) -> Thresholds:
        return _NEVER


def figures(sets: Sets) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        return [measure(Ground.make(Path(folder), None, sets.progress), sets.seeds, sets.progress)]


def measure(ground: Ground, seeds: int, progress: Progress) -> Figure:
    """What recall for unseen families gains by linked scores, with its interval."""
    judged = [_judged(ground, left, s, progress) for s in range(seeds) for left in ground.parts()]
    table = model_table(*judged)
    gain = table.gaps("plain")["linked"]
    said = {name: row.figures["novelty"] for name, row in table.rows.items()}
    recalls = "; ".join(
        f"{name}: unseen {new['recall_score']['value']:.4f}, known {known['recall_score']['value']:.4f}, "
        f"false positives {table.rows[name].figures['overall']['score']['fpr']['value']:.5f}"
        for name, (new, known) in said.items()
    )
    note = f"simulated, raw rows; recall at the frozen score, with minus without; {recalls}"
    return Figure(NAME, gain["value"], "1", note, gain["lower"], gain["upper"])


def _judged(ground: Ground, left_out: Sequence[str], seed: int, progress: Progress) -> Judged:
    table = window(ground.table.take(~np.isin(ground.family, list(left_out))), UNTIL)
    request = ReleaseRequest(UNTIL, seed, "simulated", time.time(), bootstrap.code_version())
    rows, places = entering(table, request)
    plain = _fitted(rows, Layout.of_catalog(), seed, progress)
    # A service would have logged scores of an earlier model: none is scored by one that was fitted on it.
    half = table.account % 2
    halves = [
        _fitted(rows.take(half[places] == mine), Layout.of_catalog(), seed, progress) for mine in (1, 0)
    ]
    first, second = (order_only(fit.tables, table.components) for fit in halves)
    early = linked_scores(table, np.where(half == 0, first, second))
    late = linked_scores(ground.late, order_only(plain.tables, ground.late.components))
    wide = replace(rows, components=np.concatenate([rows.components, early[places]], axis=1))
    linked = _fitted(wide, with_links(Layout.of_catalog()), seed, progress)
    contest = ground.contest(left_out, seed)
    # The plain one reads the first 259 columns alone.
    contest = replace(contest, table=_wide(ground.late, late))
    scorers: dict[str, Any] = {
        name: Ranking(fit, {"model": name}) for name, fit in (("plain", plain), ("linked", linked))
    }
    return judge(scorers, contest, progress=progress)


def _fitted(rows: Rows, layout: Layout, seed: int, progress: Progress) -> Fit:
    training, held_out = split(rows, seed)
    edges = fit_edges(training.components, training.label, training.weight, layout)
    return fit_order2(training, held_out, seed=seed, edges=edges, progress=progress)


def _wide(table: OrderTable, further: NDArray[np.float32]) -> OrderTable:
    return replace(table, components=np.concatenate([table.components, further], axis=1))


def order_only(tables: Tables, components: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits float64[N] without the terms of cross-order nodes, offset left out."""
    layout = tables.edges.layout
    cross = np.array([catalog()[node].index for node in CROSS_ORDER])
    own, pairs = tables.own.copy(), tables.pairs.copy()
    own[np.isin(layout.node, cross)] = 0.0
    pairs[np.isin(layout.ends, cross).any(axis=1)] = 0.0
    return table_logits(replace(tables, own=own, pairs=pairs).flat(), tables.edges, components)


def with_links(layout: Layout) -> Layout:
    """The layout with six further components, two of each of the three nodes; pairs stay."""
    names = [f"{node}.linked_{kind}" for _, node in LINKS for kind in ("mean", "most")]
    node = np.repeat([catalog()[name].index for _, name in LINKS], 2)
    count = len(names)
    hidden = np.concatenate([layout.hidden, np.zeros((2, count), dtype=np.bool_)], axis=1)
    return replace(
        layout,
        components=(*layout.components, *names),
        node=np.concatenate([layout.node, node]),
        words=np.concatenate([layout.words, np.zeros(count, dtype=np.int64)]),
        ordered=np.concatenate([layout.ordered, np.ones(count, dtype=np.bool_)]),
        signs=np.concatenate([layout.signs, np.ones(count, dtype=np.int8)]),
        never_raise=np.concatenate([layout.never_raise, np.zeros(count, dtype=np.bool_)]),
        optional=np.concatenate([layout.optional, np.zeros(count)]),
        hidden=hidden,
    )


PARTS = {figures: (NAME,)}
