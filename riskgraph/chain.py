"""The offline chain, wired: world → replay → sandbox → train → backtest.

Beside ``bootstrap`` the only module that names concrete classes; it needs the extra ``lab``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph import auditing, bootstrap
from riskgraph.core.catalog import BIN_COUNT, catalog
from riskgraph.core.door import Door
from riskgraph.core.errors import CheckFailed, Invalid, SensitiveField
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.table import OrderTable
from riskgraph.core.verdict import DecisionTree, Verdict
from riskgraph.eval import worlds
from riskgraph.eval.backtest import Issue, Origin, Trial, run_backtest
from riskgraph.eval.backtest_report import check_free, verify_report
from riskgraph.eval.window import Window
from riskgraph.eval.worlds import gates, pictures, placing, reference
from riskgraph.eval.worlds.writer import new_folder
from riskgraph.models import Model
from riskgraph.models.card import Card
from riskgraph.models.reference import open_seeing
from riskgraph.ports import Progress
from riskgraph.releasing import history_folder, open_source, table_of
from riskgraph.sandbox import Chunking, check_fields, write_release
from riskgraph.sandbox.scratch import stoppable
from riskgraph.settings import Settings

ENRICHED = "fraud is enriched in this simulated world; precision at natural base rates stands beside"
PLACED = (
    "this simulated world holds fraud ({families}) placed where the model with the SHA-256 {model} finds it"
    " least: it measures that model's blind spots, and must not be used to compare models"
)
BODY_BYTES = 2_000
Scores = NDArray[np.float64]


def midnight(day: date) -> float:
    """Start of a day, epoch seconds UTC."""
    return datetime.combine(day, clock_time(), UTC).timestamp()


def open_world(path: Path) -> worlds.World:
    return worlds.World.open(path)


def simulate(
    config: str,
    *,
    seed: int | None,
    orders: int | None,
    out: Path,
    progress: Progress,
    families: Path | None = None,
) -> None:
    """Simulate a world of a named configuration, with the kinds of fraud of a folder beside its own.

    Raises:
        Invalid: If there is no configuration of that name, or a family file is wrong.
    """
    further = worlds.load_families(families) if families else ()
    worlds.simulate(_preset(config).scaled(orders=orders, seed=seed), seed, out, progress, further)


def _preset(config: str) -> worlds.WorldConfig:
    if config not in worlds.PRESETS:
        raise Invalid(
            f"--config must be one of {', '.join(worlds.PRESETS)}, got {config!r}", field="--config"
        )
    return worlds.preset(config)


def own_seed(config: str) -> int:
    """The first of the seeds that a configuration is certified over.

    Raises:
        Invalid: If there is no configuration of that name.
    """
    return _preset(config).seed


def certify(
    config: str, seeds: Sequence[int], *, orders: int | None, out: Path | None, progress: Progress
) -> dict[str, Any]:  # fmt: skip
    """Simulate a configuration over several seeds and read the eight gates.

    Worlds stay in ``out``, one folder a seed, and are read where they are there already; without
    ``out`` they are thrown away. ``certificate`` is what ``certified.json`` takes: only when all gates
    hold and the size is the configuration's own.

    Raises:
        Invalid: If there is no configuration of that name.
        Conflict: If ``out`` holds a world of another configuration.
    """
    chosen = _preset(config)
    sized = chosen.scaled(orders=orders)
    with tempfile.TemporaryDirectory() as spare:
        # Which spellings look alike depends on the key: with a known one anybody gets the same table.
        door = bootstrap.open_door(bootstrap.simulated_settings(Path(spare) / "home"))
        figures = list(gates.certify(sized, seeds, out or Path(spare), door, progress))
    held = gates.holds(figures)
    whole = all(held.values()) and sized.sha256 == chosen.sha256
    return {
        "config": config,
        "config_sha256": chosen.sha256,
        "reference_sha256": reference.digest(),
        "orders": sized.orders,
        "seeds": list(seeds),
        "gates": [{"gate": g, "asks": asks, "held": held[g]} for g, asks in gates.GATES.items()],
        "figures": [gates.row(f) for f in figures],
        "certificate": asdict(gates.certificate(chosen, seeds, figures)) if whole else None,
    }


def replay(world: Path, settings: Settings, progress: Progress) -> Path:
    """Compute the nodes that follow from earlier orders."""
    return worlds.replay(open_world(world), bootstrap.open_door(settings), progress)


def describe(world: Path, *, oracle: bool = False, behavior: bool = False) -> dict[str, Any]:
    return worlds.describe(open_world(world), oracle=oracle, behavior=behavior)


def draw_world(world: Path, out: Path, settings: Settings, progress: Progress) -> list[Path]:
    """Draw the pictures of a simulated world as SVG files.

    Raises:
        NotFound: If the world has no oracle.
    """
    return pictures.draw(open_world(world), out, bootstrap.open_door(settings), progress)


def import_ndjson(source: Path, out: Path, progress: Progress) -> None:
    """Turn NDJSON bodies into a world."""
    size = sum(path.stat().st_size for path in source.glob("*.ndjson"))
    worlds.import_ndjson(source, out, progress, workers=worlds.workers_for(size))


def export_ndjson(world: Path, out: Path, progress: Progress) -> dict[str, Any]:
    """Turn a world into NDJSON bodies; returns what was written."""
    opened = open_world(world)
    rows = worlds.row_counts(opened)
    workers = worlds.workers_for(rows["orders"] * BODY_BYTES)
    worlds.export_ndjson(opened, out, progress, workers=workers)
    return {"path": str(out), "provenance": opened.manifest["provenance"], **rows}


def calls(world: Path) -> tuple[Iterator[worlds.Event], dict[str, int]]:
    """A world as calls in order of time, and how many there are by path."""
    opened = open_world(world)
    rows = worlds.row_counts(opened)
    return worlds.events(opened), {worlds.DECISIONS: rows["orders"], worlds.OUTCOMES: rows["outcomes"]}


def world_table(world: worlds.World, known_at: float, door: Door, progress: Progress) -> OrderTable:
    """All orders of a world as arrays, labels as known at ``known_at``."""
    worlds.replay(world, door, progress)
    return world.table(known_at, door, progress)


def release(
    world: Path, out: Path, *, until: date, k: int, seed: int, settings: Settings, progress: Progress,
    tell: Callable[[str], None] | None = None, chunking: Chunking | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Release a world's training window; the audit record goes into the release and into the home."""
    source = open_source(world, until=until, k=k, seed=seed, settings=settings, progress=progress)
    with stoppable(), history_folder(source, chunking) as folder:
        made = write_release(
            # held by nobody else, so that it can go before rows are drawn
            table_of(source, bootstrap.open_door(settings), progress, folder),
            out,
            # The moment at which the map of rows to groups is destroyed is counted from here.
            replace(source.asked, now=time.time()),
            bootstrap.open_signer(settings),
            progress=progress,
            # In the home too: a refusal leaves no release to lie in, and is on record all the same.
            audit_log=auditing.log_path(settings),
            ledger=auditing.ledger_path(settings),
            policy=source.policy,
            found=source.found,
            tell=tell,
            chunking=chunking,
        )
    return {
        "release_id": made.release_id,
        "path": str(out),
        "k": made.k,
        "provenance": made.provenance,
        "units": made.manifest["input"]["classes"],
        "dropped": made.manifest["input"]["dropped"],
        "certificate": dict(made.certificate),
        "rows": len(made.stored.label),
        "timings": made.manifest["timings"],
    }


def refused_field() -> str:
    """What the sandbox says to a column that asks for special-category data."""
    try:
        check_fields([*catalog().components, "religion"])
    except SensitiveField as refused:
        return refused.message
    raise CheckFailed("the sandbox took a column that asks for special-category data")


@dataclass(frozen=True)
class TreeVerdicts:
    """What the service would answer: bands and, for would-be rejects, the single-node gate."""

    model: Model
    tree: DecisionTree

    def __call__(self, table: OrderTable, probability: Scores) -> NDArray[np.object_]:
        """Verdict words, one a row."""
        verdicts = np.full(len(table), Verdict.ACCEPT.value, dtype=object)
        # The gate reads states and components only; a table of orders holds no shares of bins.
        shares = np.zeros((catalog().histogram_count, BIN_COUNT), dtype=np.uint8)
        for name in np.unique(table.availability.astype(str)):
            limits = self.model.thresholds(name)
            mine = table.availability == name
            verdicts[mine & (probability >= limits.review)] = Verdict.REVIEW.value
            # Only would-be rejects: a gate can soften a reject and nothing else, and walking is slow.
            for row in np.flatnonzero(mine & (probability >= limits.reject)):
                subgraph = OrderSubgraph(table.states[row], table.components[row], shares)
                verdicts[row] = self.tree.walk(self.model.score(subgraph, name)).verdict.value
        return verdicts


def verdict_model(
    model: Path | None, settings: Settings, *, simulated: bool = True, merchants: Sequence[str] = ()
) -> Model:
    """The model in a folder, or the one that serves, as it sees the orders of such merchants.

    One trained on merchants' own releases sees them as if it were promoted for them.

    Raises:
        ModelUnavailable: If the folder holds no sound model.
        Invalid: If the configured baseline holds for some of the merchants only.
    """
    folder = bootstrap.serving_folder(settings)[0] if model is None else model
    return open_seeing(folder, settings.baseline, simulated, merchants)


def place_family(
    family: str, model: Path | None, config: str, *, starts: date, tries: int, seed: int, orders: int,
    out: Path, settings: Settings, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Place a new family where a model finds it least, and write its file for ``simulate`` into ``out``.

    Raises:
        Invalid: Naming the family, configuration, date, model or number of tries that is wrong.
        NotFound: If no variant is found less than the family as it is.
        Conflict: If ``out`` is not empty.
    """
    sized = _preset(config).scaled(orders=orders)
    base = placing.newcomer(placing.base_family(family, sized), sized, starts)
    scorer, tree = verdict_model(model, settings), bootstrap.load_tree(settings)
    _check_new(starts, scorer.card)
    against = placing.Against(scorer.card.name, scorer.card.digest, scorer.provenance, tree.sha256)
    with new_folder(out) as folder, tempfile.TemporaryDirectory() as spare:
        # A known door key, so that anybody gets the same file (see ``certify``).
        door = bootstrap.open_door(bootstrap.simulated_settings(Path(spare) / "home"))
        ground = placing.Ground(sized, scorer, TreeVerdicts(scorer, tree), door)
        days = placing.days_left(sized, starts)
        placed = placing.place(base, ground, tries=tries, seed=seed, days=days, progress=progress)
        text = placing.family_text(placed, against, sized, Path(family) if base.source else None)
        name = f"{placed.family.name}.py"
        (folder / name).write_text(text, encoding="utf-8")
        # Before it takes its place: a file that cannot be loaded must not be handed out.
        worlds.load_families(folder)
    facts = {"path": str(out / name), "model": asdict(against), "config": config, "orders": orders}
    return {**facts, **placed.to_json(), "notice": " ".join(placing.NOTICE)}


def _check_new(starts: date, card: Card) -> None:
    until = trained_until(card)
    if until is not None and starts <= until:
        raise Invalid(
            f"--starts must lie after {until}, got {starts}: the model learned from orders up to that day,"
            " so the family would not be new to it",
            field="--starts",
        )


def backtest(
    world: Path,
    model: Path | None,
    first: date,
    last: date,
    out: Path,
    settings: Settings,
    progress: Progress,
    baselines: Mapping[str, Path] | None = None,
    merchant: str | None = None,
) -> dict[str, Any]:
    """Backtest a model (default: the one that serves) on a world, out of time.

    With a merchant its orders alone are counted; those of others remain history.

    Raises:
        Invalid: Before anything is computed, if the window ends before it starts or holds no order of the
            merchant.
        Conflict: Before anything is computed, if ``out`` holds anything.
    """
    window = Window(first, last)
    check_free(out)
    opened = open_world(world)
    counted = None if merchant is None else orders_of(opened, merchant, window)
    simulated = opened.manifest["provenance"] == bootstrap.SIMULATED
    whose = [merchant] if merchant is not None else merchants_of(opened, window)
    chosen = verdict_model(model, settings, simulated=simulated, merchants=whose)
    tree, now = bootstrap.load_tree(settings), datetime.now(UTC)
    origin = origin_of(opened, chosen.card, tree, now, window)
    trial = Trial(
        table=world_table(opened, now.timestamp(), bootstrap.open_door(settings), progress),
        truth=worlds.truth_of(opened) if opened.simulated else None,
        scorer=chosen,
        verdicts=TreeVerdicts(chosen, tree),
        window=window,
        origin=origin if merchant is None else replace(origin, merchants=(merchant,)),
        baselines={
            name: verdict_model(path, settings, simulated=simulated, merchants=whose)
            for name, path in (baselines or {}).items()
        },
        counted=counted,
    )
    issue = Issue(bootstrap.open_signer(settings), now, {"version": bootstrap.code_version()})
    result = run_backtest(trial, out, issue, progress)
    return summarise(result.path, result.report)


def origin_of(world: worlds.World, card: Card, tree: DecisionTree, now: datetime, window: Window) -> Origin:
    """Where the orders, the model and the verdicts of a backtest come from."""
    seed = world.manifest.get("seed")
    return Origin(
        provenance=world.manifest["provenance"],
        labels_known_at=now,
        data=dict(world.manifest.get("files", {})),
        tree_sha256=tree.sha256,
        seeds={} if seed is None else {"world": int(seed)},
        trained_until=trained_until(card),
        notes=notes_of(world),
        merchants=merchants_of(world, window),
    )


def merchants_of(world: worlds.World, window: Window) -> tuple[str, ...]:
    """Whose orders a world has in a window, in order."""
    first, end = np.datetime64(window.start), np.datetime64(window.end + timedelta(days=1))
    found: set[str] = set()
    for part in world.parts(["merchant_id", "placed_at"]):
        at = part.column("placed_at").to_numpy()
        found.update(part.filter((at >= first) & (at < end)).column("merchant_id").unique().to_pylist())
    return tuple(sorted(found))


def orders_of(world: worlds.World, merchant: str, window: Window) -> NDArray[np.bool_]:
    """Which orders of a world are of a merchant, bool[N] in time order.

    Raises:
        Invalid: If none of them lies in the window.
    """
    parts = [p.column("merchant_id").to_numpy() == merchant for p in world.parts(["merchant_id"])]
    there = merchants_of(world, window)
    if merchant not in there:
        shown = ", ".join(there[:5]) + (", …" if len(there) > 5 else "")
        raise Invalid(
            f"--merchant {merchant!r} has no order from {window.start} to {window.end}; known: {shown}",
            field="--merchant",
        )
    return np.concatenate(parts)


def notes_of(world: worlds.World) -> tuple[str, ...]:
    """What a reader of a backtest on the world must know."""
    placed: dict[str, str] = world.manifest.get("placed_against", {})
    against = {model: [name for name, other in placed.items() if other == model] for model in placed.values()}
    warned = [PLACED.format(families=", ".join(names), model=model) for model, names in against.items()]
    return (*([ENRICHED] if world.enriched else []), *warned)


def trained_until(card: Card) -> date | None:
    """Last day of labels that a model learned from, over all its releases."""
    days = [window["until"] for window in card.window.values() if "until" in window]
    return max(date.fromisoformat(day) for day in days) if days else None


def summarise(path: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of contracts section 8 in one list, with intervals."""
    metrics = report["metrics"]
    frozen = metrics["frozen"]
    picked = {"auc": metrics["ranking"]["auc"]}
    for flagged, entry in frozen.items():
        for name in ("recall", "fpr", "precision", "gang_recall"):
            if name in entry:
                picked[f"{name} ({flagged.replace('_', ' ')})"] = entry[name]
    picked["honest orders sent to review"] = metrics["review_share_honest"]
    figures = [{"name": name, **interval} for name, interval in picked.items()]
    base = metrics["fraud"] / (metrics["fraud"] + metrics["honest"])
    figures.append({"name": "base rate", "value": base, "lower": None, "upper": None})
    return {"path": str(path), "provenance": report["provenance"], "figures": figures}


def verify(report: Path, settings: Settings, public_key: Path | None = None) -> list[str]:
    """Problems of a backtest report, by default against the own key; none when it holds."""
    return verify_report(report, bootstrap.open_verifier(settings, public_key))


def load_history(world: Path, settings: Settings, progress: Progress, *, before: float = float("inf")) -> int:
    """Load a world's orders placed before a time, and the outcomes reported by then, into the store."""
    opened, door = open_world(world), bootstrap.open_door(settings)
    # Without signals, which context nodes never read.
    orders = [o for o in opened.orders(door, signals=False) if o.placed_at < before]
    outcomes = [o for o in opened.outcomes() if o.reported_at < before]
    with bootstrap.open_keys(settings) as store:
        store.load(orders, outcomes, progress)
    return len(orders)


@dataclass(frozen=True)
class HeldOut:
    """Orders of a world as request bodies, in time order, and the time up to which all is history."""

    since: float
    requests: list[dict[str, Any]]


def held_out(world: Path, count: int, first: date | None = None) -> HeldOut:
    """``count`` orders as a checkout would send them: the first from a day on, or the world's last.

    Fewer if the world holds no more.
    """
    opened = open_world(world)
    if first is not None:
        since = midnight(first)
        return HeldOut(since, list(islice(worlds.requests(opened, since=since), count)))
    times = [part.column("placed_at").to_numpy() for part in opened.parts(["placed_at"])]
    since = float(np.concatenate(times)[-count:][0].astype("datetime64[us]").astype(np.int64)) / 1e6
    return HeldOut(since, list(worlds.requests(opened, since=since)))


def seed_cases(world: Path, held: HeldOut) -> dict[str, worlds.SeedCase]:
    """Held-out orders that were sent far by a device that gave no position, by order id, in time order."""
    orders = {body["order_id"] for body in held.requests}
    cases = worlds.seed_cases(open_world(world), held.since)
    return {case.order_id: case for case in cases if case.order_id in orders}
