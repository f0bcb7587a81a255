"""Figures on real data: the champion's network, trees beside it, on sets that are no orders.

Everything is chosen on training and held-out rows; test rows are measured once, at the end. An interval
is that of the mean over splits or seeds (Student's t); they share rows, so it is too short, if anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from riskgraph.bench import Figure
from riskgraph.eval.metrics import auc, average_precision
from riskgraph.eval.real import Fold, amazon, by_class, delbot, dsjtzs, insurance, tolokers
from riskgraph.eval.real.mouse import Measured, components
from riskgraph.models.bagging import Candidate, fit_bagged, plain_rows
from riskgraph.models.distill import TreeRecipe, distil, fit_trees
from riskgraph.models.fit import Recipe
from riskgraph.models.layout import Layout
from riskgraph.ports import Progress

Floats = NDArray[np.float64]
T = TypeVar("T")
Measure = Callable[[Floats, NDArray[np.bool_]], float]

PAIRS = 60
BEST_GNN = 0.8378
BOTS_AT, DELBOT_AT, DELBOT_SEEDS = 6, 2, 5
BAGS = 4
PLAIN_TREES = TreeRecipe(rate=0.1, share=1.0, seeds=1, rounds=500, patience=20)
# The whole of few rows at each step: cheaper and steadier than parts of them. No pairs: what is usual for
# two components together, few people can tell.
_WHOLE = Recipe(epochs=120, patience=15, steps=1, batch=1_000_000, rate=0.05, own_shrink=0.3)
CIRCLES = (Candidate(0, _WHOLE),)


@dataclass(frozen=True)
class Sets:
    """Where the sets lie, how long to measure, and whom to tell.

    Attributes:
        data: Folder of the sets; None takes the one that the environment names.
        seeds: How often what is drawn is drawn anew.
        out: Folder for whole tables; None writes none.
        workers: Processes that share parts and seeds of unseen families.
        measured: Makes components of recorded mouse movements.
    """

    data: Path | None
    progress: Progress
    seeds: int = 1
    out: Path | None = None
    workers: int = 1
    measured: Measured = components


@dataclass(frozen=True, eq=False)
class Scored:
    """Logits of one fold, all rows: of the network, and of what ran beside it."""

    fold: Fold
    network: Floats
    trees: Floats

    def measured(self, measure: Measure, rows: NDArray[np.intp]) -> Floats:
        """A measure of network and trees, float64[2], on some rows."""
        label = self.fold.label[rows]
        return np.array([measure(logits[rows], label) for logits in (self.network, self.trees)])


def tolokers_figures(sets: Sets) -> list[Figure]:
    """Ranking of banned workers, mean over the ten given splits."""
    scored = [_taught(fold) for fold in _told(sets, "tolokers", tolokers.folds(sets.data), 10)]
    note = "Tolokers, 10 given splits; order-2 network taught by trees, beside those trees; ask: at most "
    ranking, precision = (_over(scored, measure) for measure in (auc, average_precision))
    figures = [
        _beside("tolokers_auroc", ranking, f"{note}.003 below them"),
        _beside("tolokers_auprc", precision, f"{note}.007 below them"),
    ]
    chosen, picked = _best_on_held_out(scored)
    rank, found = (_over(picked, measure)[:, 0] for measure in (auc, average_precision))
    told = f"ask: at least .853, AUPRC .601; here AUPRC {found.mean():.4f}; {chosen}, chosen on validation "
    told += "masks; training labels of neighbours are components; baseline: AUROC of the best network in the "
    told += "set's own paper (GAT-sep)"
    return [*figures, _mean("tolokers_best", rank, told, BEST_GNN)]


def amazon_figures(sets: Sets) -> list[Figure]:
    """Ranking of fraudulent reviewers, mean over drawn splits."""
    seeds = range(5 * sets.seeds)
    drawn = amazon.folds(sets.data, seeds)
    scored = [_taught(fold) for fold in _told(sets, "amazon", drawn, len(seeds))]
    note = f"Amazon U-P-U, 40/20/40, {len(seeds)} seeds"
    chosen, picked = _best_on_held_out(scored)
    both = _over(scored, average_precision)
    best = _over(picked, average_precision)[:, 0]
    told = f"ask: at least .900; {note}; {chosen}, chosen on held-out rows; baseline: the order-2 network"
    return [
        _mean("amazon_auprc", best, told, float(both[:, 0].mean())),
        _beside(
            "amazon_order2_auprc", both, f"no ask of its own; {note}; taught by trees, beside those trees"
        ),
    ]


def insurance_figures(sets: Sets) -> list[Figure]:
    """Ranking of claims of each quarter by models of the quarters before it."""
    quarters = list(insurance.folds(sets.data))
    scored = [_taught(fold) for fold in _told(sets, "insurance", quarters, len(quarters))]
    both = _over(scored, auc)
    by_quarter = ", ".join(f"{s.fold.name} {a:.3f}/{b:.3f}" for s, (a, b) in zip(scored, both, strict=True))
    note = "ask: above the trees; mean of 7 quarters, each by all before it, no sex, marital status or age; "
    note += f"order-2 network and trees on the same rows, AUROC by quarter: {by_quarter}"
    return [_beside("insurance_auroc", both, note)]


def dsjtzs_figures(sets: Sets) -> list[Figure]:
    """Bots missed where few people are taken for bots, over ten folds."""
    drawn = []
    for seed in range(sets.seeds):
        folds = dsjtzs.folds(sets.data, seed, measured=sets.measured)
        scored = [_taught(fold) for fold in _told(sets, "dsjtzs", folds, dsjtzs.FOLDS)]
        label, out = scored[0].fold.label, np.empty((2, len(scored[0].fold.label)))
        for one in scored:
            out[:, one.fold.test] = one.network[one.fold.test], one.trees[one.fold.test]
        drawn.append(out)
    people = int((~label).sum())
    missed = np.array([[_missed(one, label, BOTS_AT) for one in out] for out in drawn], dtype=np.float64)
    made = "counted here as the SDK counts" if sets.measured is components else "from the SDK's own flushes"
    note = f"components {made}, one threshold over 10 folds, "
    note += f"{sets.seeds} drawing(s); beside trees"
    told = (
        f"ask: at most 2 of {int(label.sum())} bots at {BOTS_AT} of {people} people; {note}; missed in each "
    )
    told += ", ".join(f"{m:g}" for m, _ in missed)
    ranks = np.array([[auc(one, label) for one in out] for out in drawn])
    families = "the set names no families of bots, so none is left out"
    return [
        _beside("dsjtzs_missed", missed, told, unit="bots"),
        _beside("dsjtzs_auc", ranks, f"no ask; {note}; {families}"),
        *(
            _beside(name, _recalls(drawn, label, allowed), f"no ask; at {allowed} of {people} people; {note}")
            for name, allowed in (("dsjtzs_recall_1pct", people // 100), ("dsjtzs_recall_2fp", 2))
        ),
    ]


def _recalls(drawn: Iterable[Floats], label: NDArray[np.bool_], allowed: int) -> Floats:
    """Share of what is looked for above the threshold that ``allowed`` others exceed, float64[S, 2]."""
    return np.array([[1 - _missed(one, label, allowed) / label.sum() for one in out] for out in drawn])


def delbot_figures(sets: Sets) -> list[Figure]:
    """Bots of an unseen family among people on an unseen device."""
    ranks, recalls, strict = [], [], []
    seeds = DELBOT_SEEDS * sets.seeds
    for seed in _told(sets, "delbot", range(seeds), seeds):
        for fold in delbot.folds(sets.data, seed, measured=sets.measured):
            one = _outside_usual(fold)
            label, both = fold.label[fold.test], np.stack([one.network, one.trees])[:, fold.test]
            ranks.append(one.measured(auc, fold.test))
            counts = DELBOT_AT, int((~label).sum()) // 100
            recalls.append([_recalls([both], label, allowed)[0] for allowed in counts])
    plain = delbot.folds(sets.data, 0, strict=True, measured=sets.measured)
    for fold in _told(sets, "delbot without a baseline", plain, 4):
        strict.append(_taught(fold).measured(auc, fold.test))
    names = [fold.name for fold in delbot.folds(sets.data, 0, measured=sets.measured)]
    return _delbot(names, np.array(ranks), np.array(recalls), np.array(strict), seeds)


def _delbot(names: Sequence[str], ranks: Floats, recalls: Floats, strict: Floats, seeds: int) -> list[Figure]:
    """Figures of values float64[seeds * 4, 2] of network and trees, recalls with an axis of thresholds."""

    def each(values: Floats) -> str:
        table = values[:, 0].reshape(-1, len(names)).mean(axis=0)
        return ", ".join(f"{name} {value:.3f}" for name, value in zip(names, table, strict=True))

    def by_seed(values: Floats) -> Floats:
        means: Floats = values.reshape(seeds, len(names), 2).mean(axis=1)
        return means

    note = f"mean of 4 ways and {seeds} drawings of the baseline; components as distances from a baseline of "
    note += "people on the unseen device, unlabelled and none of them scored; beside trees"

    def recall(name: str, found: Floats, at: str) -> Figure:
        spread = f"from {found[:, 0].min():.3f} to {found[:, 0].max():.3f}"
        return _beside(name, by_seed(found), f"{at}; {note}; {spread}: {each(found)}")

    return [
        _beside("delbot_auc", by_seed(ranks), f"ask: at least .95; {note}; {each(ranks)}"),
        recall("delbot_recall_2fp", recalls[:, 0], f"at {DELBOT_AT} false positives"),
        recall("delbot_recall_1pct", recalls[:, 1], "at 1 % of the people scored, rounded down"),
        _beside("delbot_auc_no_baseline", strict, f"no ask; the same without any baseline: {each(strict)}"),
    ]


def _taught(fold: Fold) -> Scored:
    """Trees on the labels, and the network on the trees.

    A graph is given whole, so the network learns from all its nodes what the trees make of them. Else it
    sees training rows alone.
    """
    trees = _trees(fold, TreeRecipe() if len(fold.held_out) else PLAIN_TREES)
    layout = Layout.plain(fold.components, words=fold.words)
    rows = np.arange(len(fold.label)) if len(fold.held_out) else fold.train
    network, values = distil(fold.values, trees, layout, fold.train, rows, pairs=PAIRS)
    return Scored(fold, network.logits(values), trees)


def _trees(fold: Fold, recipe: TreeRecipe) -> Floats:
    """Logits of all rows; without held-out rows, parts of the training rows take turns in being them."""
    train = fold.train
    if len(fold.held_out):
        return fit_trees(fold.values, fold.label, train, fold.held_out, recipe)
    logits = np.zeros(len(fold.label))
    for part in by_class(fold.label[train], (1 / BAGS,) * (BAGS - 1), 0):
        rest = np.setdiff1d(np.arange(len(train)), part)
        logits += fit_trees(fold.values, fold.label, train[rest], train[part], recipe) / BAGS
    return logits


def _outside_usual(fold: Fold) -> Scored:
    """Network and trees on distances from a baseline: a larger one may only raise the network's score."""
    label = fold.label[fold.train]
    # Both classes alike: what is ranked does not depend on how many of each were collected.
    weight = np.where(label, 0.5 / label.mean(), 0.5 / (1 - label.mean()))
    rising = np.ones(len(fold.components), dtype=np.int8)
    layout = replace(Layout.plain(fold.components), signs=rising)
    rows = plain_rows(fold.values[fold.train], label.astype(np.int8), weight)
    network = fit_bagged(rows, layout, CIRCLES, bags=BAGS)
    return Scored(fold, network.logits(fold.values), _trees(fold, PLAIN_TREES))


def _best_on_held_out(scored: Sequence[Scored]) -> tuple[str, list[Scored]]:
    """Network, trees or the mean of both, whichever ranks held-out rows best over all folds."""
    ways = {
        "the order-2 network": [s.network for s in scored],
        "the trees": [s.trees for s in scored],
        "the mean of network and trees": [(s.network + s.trees) / 2 for s in scored],
    }
    tried = {
        way: [Scored(s.fold, logits, logits) for s, logits in zip(scored, found, strict=True)]
        for way, found in ways.items()
    }

    def held_out(way: str) -> float:
        return float(sum(_over(tried[way], m, "held_out").mean() for m in (auc, average_precision)))

    best = max(tried, key=held_out)
    return best, tried[best]


def _over(scored: Iterable[Scored], measure: Measure, part: str = "test") -> Floats:
    """A measure of network and trees in each fold, float64[F, 2]."""
    return np.array([one.measured(measure, getattr(one.fold, part)) for one in scored])


def _missed(logits: Floats, wanted: NDArray[np.bool_], false_positives: int) -> int:
    """How many wanted rows lie at or below the threshold that so many others exceed."""
    others = np.sort(logits[~wanted])[::-1]
    return int((logits[wanted] <= others[min(false_positives, len(others) - 1)]).sum())


def _told(sets: Sets, what: str, parts: Iterable[T], count: int) -> Iterator[T]:
    """The parts, with progress before each and at the end."""
    for done, part in enumerate(parts):
        sets.progress(what, done, count)
        yield part
    sets.progress(what, count, count)


def _beside(name: str, both: Floats, note: str, unit: str = "1") -> Figure:
    """Mean of the network with its interval, the trees as baseline, and the paired difference."""
    off = both[:, 0] - both[:, 1]
    note += f"; network less trees {off.mean():+.4f}"
    if len(off) > 1:
        note += " ({:+.4f} to {:+.4f})".format(*_interval(off))
    return _mean(name, both[:, 0], note, float(both[:, 1].mean()), unit)


def _mean(name: str, values: Floats, note: str, baseline: float, unit: str = "1") -> Figure:
    """A mean with its interval; a single value has none."""
    middle = float(values.mean())
    if len(values) < 2:
        return Figure(name, middle, unit, note, baseline=baseline)
    return Figure(name, middle, unit, f"{note}; sd {values.std(ddof=1):.4f}", *_interval(values), baseline)


def _interval(values: Floats) -> tuple[float, float]:
    """95 % interval of a mean of at least two values (Student's t)."""
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


# A part and the names of its figures.
PARTS: dict[Callable[[Sets], list[Figure]], tuple[str, ...]] = {
    tolokers_figures: ("tolokers_auroc", "tolokers_auprc", "tolokers_best"),
    amazon_figures: ("amazon_auprc", "amazon_order2_auprc"),
    insurance_figures: ("insurance_auroc",),
    dsjtzs_figures: ("dsjtzs_missed", "dsjtzs_auc", "dsjtzs_recall_1pct", "dsjtzs_recall_2fp"),
    delbot_figures: ("delbot_auc", "delbot_recall_2fp", "delbot_recall_1pct", "delbot_auc_no_baseline"),
}
