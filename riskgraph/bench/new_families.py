"""Fraud of families that training never saw: the champion's form, raw rows, other kinds of model.

Simulated. Training orders come from one certified configuration, judged orders from another. The families of
fraud are left out of training in turn, a part of them at a time, before anything enters the sandbox; each
is judged by the models that never saw it. What is left out are orders with their labels; the history that
context nodes of the other orders count stays whole.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray

from riskgraph import bootstrap, chain
from riskgraph.bench import Figure
from riskgraph.bench.pair_weight import entering, train_raw
from riskgraph.bench.real import Sets
from riskgraph.core.table import OrderTable
from riskgraph.eval import worlds
from riskgraph.eval.backtest import BatchScorer, Verdicts
from riskgraph.eval.metrics import REFERENCE
from riskgraph.eval.model_page import write_tables
from riskgraph.eval.model_table import RANKED, Contest, Judged, ModelTable, judge, model_table
from riskgraph.eval.rules import FlatRules
from riskgraph.eval.window import Truth, Window, join
from riskgraph.eval.worlds.writer import quiet
from riskgraph.models import load_model
from riskgraph.models.fitters import DEEP_ROWS, Means
from riskgraph.models.kinds import DEEP, Kind
from riskgraph.models.train import train
from riskgraph.ports import Progress
from riskgraph.sandbox import Policy, Release, ReleaseRequest, write_release
from riskgraph.sandbox.choice import window
from riskgraph.sandbox.scratch import stoppable
from riskgraph.settings import Settings

TRAINED_ON, JUDGED_ON = ("world-1", 771), ("world-2", 871)
# A release holds orders that are 70 days old, so this one ends on 25 November, two weeks after the last sale
# of the first world; a month before the second world begins.
UNTIL = date(2025, 2, 3)
FOLDS = 3
CHAMPION: Kind = "order2"
# Deep kinds take minutes each: one part of the families in the bench, all of them in tables.
KINDS: tuple[Kind, ...] = (CHAMPION, "additive", "logistic", "gbdt", "xgbgraph")
# Trees take longest of the others; DEEP kinds have a limit of their own.
ROWS = {"gbdt": 60_000, "xgbgraph": 60_000}
# Days before anything is scored, since context looks back so far, and days on which thresholds are frozen.
WARM_UP, FROZEN = 30, 70
_NOBODY = {"value": None, "lower": None, "upper": None, "honest_type": "nobody has enough orders"}
NAMES = (
    "new_family_recall", "new_family_fpr", "new_family_recall_reject", "new_family_recall_flagged",
    "gap_to_best", "gap_to_raw", "honest_review_share", "slice_fpr_max",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ground:
    """Both worlds: one to train on, one to be judged on.

    Attributes:
        table: Orders of the first, labels as known at the cut.
        family: object[N], of fraud orders of ``table``, ``honest`` of others.
        late, truth: Orders of the second with the oracle.
        kinds: Kinds of fraud of each family, of both worlds.
    """

    settings: Settings
    table: OrderTable
    family: NDArray[np.object_]
    late: OrderTable
    truth: Truth
    kinds: Mapping[str, frozenset[str]]

    @classmethod
    def make(cls, folder: Path, orders: int | None, progress: Progress) -> Ground:
        settings = bootstrap.simulated_settings(folder / "home")
        # Made once, before processes share it.
        bootstrap.open_signer(settings)
        tables, oracles, door = [], [], bootstrap.open_door(settings)
        for (config, seed), known_at in ((TRAINED_ON, chain.midnight(UNTIL)), (JUDGED_ON, float("inf"))):
            world = folder / config
            chain.simulate(config, seed=seed, orders=orders, out=world, progress=progress)
            opened = chain.open_world(world)
            tables.append(chain.world_table(opened, known_at, door, progress))
            oracles.append(worlds.read_oracle(opened))
        place, _ = join(tables[0].order_id, oracles[0].order_id)
        pairs = {
            (f, k)
            for o in oracles
            for f, k in zip(o.family[o.is_fraud], o.archetype[o.is_fraud], strict=True)
        }
        kinds = {f: frozenset(k for family, k in pairs if family == f) for f, _ in pairs}
        truth = worlds.truth_of(chain.open_world(folder / JUDGED_ON[0]))
        return cls(settings, tables[0], oracles[0].family[place], tables[1], truth, kinds)

    def parts(self) -> list[list[str]]:
        """The families in parts, the largest in different ones."""
        names, counts = np.unique(self.family[self.family != "honest"].astype(str), return_counts=True)
        ranked = names[np.argsort(-counts, kind="stable")].tolist()
        return [ranked[i::FOLDS] for i in range(FOLDS)]

    def contest(self, left_out: Sequence[str], seed: int) -> Contest:
        """The judged world, where kinds of these families count as new."""
        # The same days in every time zone.
        start, last = (
            datetime.fromtimestamp(int(at) / 1e6, UTC).date() for at in self.late.placed_at[[0, -1]]
        )
        first = start + timedelta(days=WARM_UP)
        middle = first + timedelta(days=FROZEN)
        new = frozenset().union(*(self.kinds[name] for name in left_out))
        frozen, judged = Window(first, middle), Window(middle + timedelta(days=1), last)
        return Contest(self.late, self.truth, frozen, judged, new, seed=seed)


@dataclass(frozen=True)
class Field:
    """Who runs, and how often.

    Attributes:
        kinds: Models trained on each release.
        deep: In how many of the parts deep networks run too.
        seeds: Training seeds; each has a release of its own.
        orders: Size of both worlds; their own if left out.
        workers: Processes that take parts and seeds in turn; each holds up to 4 GB.
    """

    kinds: tuple[Kind, ...] = KINDS
    deep: int = 1
    seeds: int = 1
    orders: int | None = None
    workers: int = 1


def figures(sets: Sets) -> list[Figure]:
    """The figures of new families, in a folder that goes afterwards."""
    # Deep networks take long: in a plain run they have the first part alone.
    whole = Field(deep=1 if sets.seeds == 1 else FOLDS, seeds=sets.seeds, workers=sets.workers)
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        made = measure(Path(folder), sets.progress, whole, sets.out)
    return made if sets.seeds > 1 else [_quoting(figure) for figure in made]


def _quoting(figure: Figure) -> Figure:
    """With what ``make tables`` found over three seeds beside it."""
    tables = json.loads(resources.files("riskgraph.bench").joinpath("tables.json").read_text("utf-8"))
    (kept,) = [row for row in tables["figures"] if row["name"] == figure.name]
    told = f"make tables, three seeds: {_said(kept)}, table SHA-256 {tables['sha256']['models.json'][:16]}"
    return replace(figure, note=f"{figure.note}; {told}")


def measure(folder: Path, progress: Progress, field: Field, out: Path | None = None) -> list[Figure]:
    """The figures of new families; with ``out`` the whole tables are written there too.

    Args:
        folder: Where worlds, releases and models go.
        progress: Told of each step.
        field: Who runs.
        out: Folder for ``models.json`` and ``models.md``.
    """
    ground = Ground.make(folder, field.orders, progress)
    judged = _every(ground, field, folder, progress)
    whole, first = model_table(*judged), model_table(judged[0])
    where = _where(ground, field)
    if out is not None:
        facts = {"where": where, "parts": ground.parts(), "reference_not_ours": dict(REFERENCE)}
        write_tables(out, facts, {"all parts": whole, "first part": first}, CHAMPION, field.seeds)
    return _told(whole, first, where, field.seeds)


def _every(ground: Ground, field: Field, folder: Path, progress: Progress) -> list[Judged]:
    """Each part of the families with each seed, seed by seed."""
    parts = ground.parts()
    runs = [
        (left_out, field.kinds + (DEEP if place < field.deep else ()), seed)
        for seed in range(field.seeds)
        for place, left_out in enumerate(parts)
    ]
    # Bars do not cross to another process; how many runs are done does.
    told = progress if field.workers == 1 else quiet
    judged = []
    with _workers_end_too():
        made = Parallel(n_jobs=field.workers, return_as="generator")(
            delayed(_run)(ground, *run, folder, told) for run in runs
        )
        for run in made:
            judged.append(run)
            progress("models without some families", len(judged), len(runs))
    return judged


@contextmanager
def _workers_end_too() -> Iterator[None]:
    """Nothing trains on where a run is stopped, or waits for more work where it is done."""
    with stoppable():
        try:
            yield
        finally:
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _run(
    ground: Ground, left_out: Sequence[str], kinds: Sequence[str], seed: int, folder: Path, progress: Progress
) -> Judged:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        return _judged(ground, left_out, kinds, seed, Path(scratch), progress)


def _judged(
    ground: Ground, left_out: Sequence[str], kinds: Sequence[str], seed: int, folder: Path, progress: Progress
) -> Judged:
    """Release and train without some families, and judge."""
    table = ground.table.take(~np.isin(ground.family, list(left_out)))
    request = ReleaseRequest(UNTIL, seed, "simulated", time.time(), bootstrap.code_version())
    signer = bootstrap.open_signer(ground.settings)
    made = write_release(
        table, folder / "release", request, signer, policy=Policy.default(), progress=progress
    )
    scorers: dict[str, Any] = {kind: _trained(made, folder / kind, kind, seed, progress) for kind in kinds}
    even = _trained(made, folder / "balanced", CHAMPION, seed, progress, Means(balance=True))
    champion = scorers[CHAMPION]
    # Raw rows train a model inside the bench alone: it is scored here, and gone with the folder.
    rows, _ = entering(window(table, UNTIL), request)
    scorers["raw"] = train_raw(rows, folder / "raw", seed, None, progress)
    scorers["order2_balanced"] = even
    scorers["flat_rules"] = FlatRules()
    verdicts: dict[str, Verdicts] = {
        CHAMPION: chain.TreeVerdicts(champion, bootstrap.load_tree(ground.settings))
    }
    return judge(scorers, ground.contest(left_out, seed), verdicts, progress)


def _trained(
    release: Release, out: Path, kind: Any, seed: int, progress: Progress, means: Means | None = None
) -> BatchScorer:
    train([release], out, kind=kind, seed=seed, rows=ROWS.get(kind), progress=progress, means=means)
    return load_model(out)


def _where(ground: Ground, field: Field) -> str:
    parts = "; ".join(", ".join(part) for part in ground.parts())
    size = "" if field.orders is None else f", {field.orders:,} orders"
    return (
        f"simulated; trained on a release of {TRAINED_ON[0]} seed {TRAINED_ON[1]}, judged on {JUDGED_ON[0]} "
        f"seed {JUDGED_ON[1]}{size}; families left out in turn: {parts}; {field.seeds} training seed(s)"
    )


def _told(whole: ModelTable, first: ModelTable, where: str, seeds: int) -> list[Figure]:
    mine = whole.rows[CHAMPION].figures
    new = mine["novelty"][0]
    orders = len(np.unique(whole.orders.order_id[whole.new]))
    reference = f"reference, not ours: {REFERENCE['recall']:.1%} at {REFERENCE['fpr']:.2%}"
    base = f"{reference}; {orders:,} fraud orders of {new['gangs']} gangs; {where}"
    others = ", ".join(f"{n} {_said(_recall(whole, n))}{_at(whole, n)}" for n in whole.rows if n != CHAMPION)
    alone = ", ".join(f"{row['recall_new']:.4f}" for row in whole.by_seed(seeds)[CHAMPION])
    fpr, slices = mine["overall"]["score"]["fpr"], mine["slice_fpr_max"]
    # Of a few orders no kind of honest person has enough.
    worst = max((row for row in slices.values() if row), key=lambda row: row["value"], default=_NOBODY)
    return [
        _figure("new_family_recall", new["recall_score"], f"by seed {alone}; others: {others}; {base}"),
        _figure("new_family_fpr", fpr, f"ask: at most {REFERENCE['fpr']}, frozen on earlier days; {where}"),
        _figure("new_family_recall_reject", new["recall_reject"], _beside(mine, "reject")),
        _figure(
            "new_family_recall_flagged", new["recall_reject_or_review"], _beside(mine, "reject_or_review")
        ),
        _best(whole, first),
        _figure(
            "gap_to_raw", whole.gaps(CHAMPION)["raw"],
            "ask: at most .03; recall of the same model trained on the raw rows of the release, minus ours",
        ),
        _figure("honest_review_share", mine["honest_review_share"], "ask: at most .01"),
        _figure("slice_fpr_max", worst, f"ask: at most .02; {worst['honest_type']}, worst of all readings"),
    ]  # fmt: skip


def _best(whole: ModelTable, first: ModelTable) -> Figure:
    """How far the best other model trained on releases is ahead; deep ones by the parts in which they ran."""
    aside = {"raw", "flat_rules"}
    gaps = {name: ("", gap) for name, gap in whole.gaps(CHAMPION).items() if name not in aside}
    only = {n: (" (first part only)", g) for n, g in first.gaps(CHAMPION).items() if n not in {*aside, *gaps}}
    name, (note, gap) = max({**gaps, **only}.items(), key=lambda item: item[1][1]["value"])
    told = ", ".join(f"{n}{word} {g['value']:+.4f}" for n, (word, g) in {**gaps, **only}.items())
    same = ", ".join(f"{n} {g['value']:+.4f}" for n, g in whole.gaps(CHAMPION, RANKED).items())
    fewer = ", ".join(
        f"{kind} {count:,}" for kind, count in {**ROWS, **dict.fromkeys(DEEP, DEEP_ROWS)}.items()
    )
    return _figure(
        "gap_to_best", gap,
        f"ask: at most .01; best is {name}{note}; each minus ours: {told}; where as many honest orders "
        f"of the judged days are flagged by each: {same}; fitted on at most so many rows "
        f"of a release, others on all: {fewer}",
    )  # fmt: skip


def _recall(table: ModelTable, name: str) -> Mapping[str, float]:
    found: Mapping[str, float] = table.rows[name].figures["novelty"][0]["recall_score"]
    return found


def _at(table: ModelTable, name: str) -> str:
    """The false positives that a recall was had at: a threshold frozen earlier need not hold them."""
    return f" at {table.rows[name].figures['overall']['score']['fpr']['value']:.2%}"


def _beside(mine: Mapping[str, Any], reading: str) -> str:
    row = mine["overall"][reading]
    return (
        f"at the model's own thresholds, gates included; false positives {_said(row['fpr'])}, precision "
        f"{_said(row['precision'])} at a base rate of {row['base_rate']:.3f}"
    )


def _said(share: Mapping[str, float]) -> str:
    return f"{share['value']:.4f} ({share['lower']:.4f} to {share['upper']:.4f})"


def _figure(name: str, share: Mapping[str, Any], note: str) -> Figure:
    return Figure(name, share["value"], "1", note, share["lower"], share["upper"])


PARTS = {figures: NAMES}
