"""What refusing consent costs honest shoppers, and finds less of gangs: a simulated world, and HTTP."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph import bootstrap, chain
from riskgraph.bench import Figure
from riskgraph.bench.real import Sets
from riskgraph.bench.server import running
from riskgraph.core.errors import CheckFailed
from riskgraph.core.table import NODE_PURPOSES, OrderTable
from riskgraph.eval import worlds
from riskgraph.eval.intervals import Clusters, Interval, cluster_orders
from riskgraph.eval.refusal import Refusal, TwoRates, refusing, with_front_end
from riskgraph.eval.window import Chosen, Window, choose_simulated
from riskgraph.models import Model
from riskgraph.ports import Progress
from riskgraph.settings import Settings

CONFIG, SEED, ORDERS = "world-2", 881, 140_000
# Before that too little has happened for the history to tell anything.
WARM_UP_DAYS = 14
HONEST, OVER_HTTP = 50_000, 1_000
# The rounding of a score in an answer.
_ROUNDED = 5e-5
# Bench servers share a machine: no answer is to be a degraded one.
_PATIENCE_MS = 60_000
FLAGGED = ("reject", "review")
NAMES = ("refusal_fpr_ratio", "refusal_review_ratio", "refused_recall", "refusal_http_equal")


@dataclass(frozen=True)
class Judge:
    """The verdicts that the service would give, and the calibrated probabilities."""

    model: Model
    verdicts: chain.TreeVerdicts

    @classmethod
    def of(cls, folder: Path | None, settings: Settings) -> Judge:
        """The model in a folder, or the one that serves, under the tree of this installation."""
        model = chain.verdict_model(folder, settings)
        return cls(model, chain.TreeVerdicts(model, bootstrap.load_tree(settings)))

    def probability(self, table: OrderTable) -> NDArray[np.float64]:
        return self.model.score_batch(table.components, table.availability)[1]

    def __call__(self, table: OrderTable) -> NDArray[np.object_]:
        return self.verdicts(table, self.probability(table))


@dataclass(frozen=True, eq=False)
class Ground:
    """A simulated world and those of its orders of which a front end measured something, with the truth."""

    world: Path
    settings: Settings
    chosen: Chosen

    @classmethod
    def make(
        cls, folder: Path, orders: int, progress: Progress, *, config: str = CONFIG, seed: int = SEED
    ) -> Ground:
        settings = bootstrap.simulated_settings(folder / "home")
        world = folder / "refusal-world"
        chain.simulate(config, seed=seed, orders=orders, out=world, progress=progress)
        opened = chain.open_world(world)
        table = chain.world_table(opened, float("inf"), bootstrap.open_door(settings), progress)
        days = table.placed_at.astype("datetime64[us]").astype("datetime64[D]")
        window = Window((days[0] + WARM_UP_DAYS).astype(object), days[-1].astype(object))
        all_known = days[-1].astype("datetime64[us]").astype(object)
        return cls(world, settings, choose_simulated(table, worlds.truth_of(opened), window, all_known))

    @property
    def honest(self) -> NDArray[np.intp]:
        """Places of the first honest orders with a front end."""
        mine = with_front_end(self.chosen.table) & ~self.chosen.is_fraud
        return np.flatnonzero(mine)[:HONEST]

    @property
    def fraud(self) -> NDArray[np.intp]:
        return np.flatnonzero(with_front_end(self.chosen.table) & self.chosen.is_fraud)

    def clusters(self, rows: NDArray[np.intp]) -> Clusters:
        chosen = self.chosen
        return cluster_orders(chosen.is_fraud[rows], chosen.gang[rows], chosen.table.account[rows])


def figures(sets: Sets) -> list[Figure]:
    """The figures of refusal, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        return measure(Path(folder), sets.progress)


def measure(
    folder: Path, progress: Progress, orders: int = ORDERS, over_http: int = OVER_HTTP
) -> list[Figure]:
    """The figures of refusal.

    Args:
        folder: Where the world and the services' stores go.
        progress: Told of each step.
        orders: Size of the world.
        over_http: Honest orders that are sent over HTTP, as they are and refusing.
    """
    ground = Ground.make(folder, orders, progress)
    judge = Judge.of(None, ground.settings)
    honest, fraud = ground.honest, ground.fraud
    table = ground.chosen.table
    kept = Refusal.of(table.take(honest), judge)
    gangs = Refusal.of(table.take(fraud), judge)
    where = f"simulated {CONFIG}, seed {SEED}; champion {judge.model.card.name}, trained on other seeds"
    base = f"{len(honest):,} honest orders twice; {where}"
    return [
        _ratio("refusal_fpr_ratio", kept.compare(("reject",), ground.clusters(honest)), "rejected", base),
        _ratio("refusal_review_ratio", kept.compare(("review",), ground.clusters(honest)), "reviewed", base),
        _recall(gangs, ground.clusters(fraud), f"{len(fraud):,} fraud orders with a front end; {where}"),
        _over_http(ground, judge, over_http, progress),
    ]


def _ratio(name: str, rates: TwoRates, word: str, base: str) -> Figure:
    rate = f"{word} as they are {_said(rates.granted)}, refusing {_said(rates.refused)}"
    note = f"ask: at most 1.2; {rate}; {base}"
    if np.isnan(rates.ratio.value):
        return Figure(name, None, "1", f"none is {word} as they are, so there is no ratio; {note}")
    return Figure(name, rates.ratio.value, "1", note, rates.ratio.lower, rates.ratio.upper)


def _recall(gangs: Refusal, clusters: Clusters, base: str) -> Figure:
    reject, both = (gangs.compare(words, clusters) for words in (("reject",), FLAGGED))
    note = (
        f"beside granted {_said(both.granted)}; rejected alone {_said(reject.refused)} refusing, "
        f"{_said(reject.granted)} granted; {base}"
    )
    told = both.refused
    return Figure(
        "refused_recall", told.value, "1", note, told.lower, told.upper, baseline=both.granted.value
    )


def _said(share: Interval) -> str:
    return f"{share.value:.5f} ({share.lower:.5f} to {share.upper:.5f})"


def _over_http(ground: Ground, judge: Judge, count: int, progress: Progress) -> Figure:
    """Whether the service answers as the batch does, to some orders as they are and refusing."""
    rows = ground.honest[-count:]
    table = ground.chosen.table.take(rows)
    equal = 0
    for kind, orders, refuse in (("as given", table, False), ("refusing", refusing(table), True)):
        home = ground.settings.home.parent / f"home-{kind.replace(' ', '-')}"
        answers = _ask(ground, home, table, refuse, f"http, {kind}", progress)
        for order, verdict, score in zip(
            orders.order_id.tolist(), judge(orders).tolist(), judge.probability(orders).tolist(), strict=True
        ):
            said = answers[order]
            # a degraded answer has no score, and is no equal one
            near = said["score"] is not None and abs(said["score"] - score) <= _ROUNDED + 1e-9
            equal += near and said["verdict"] == verdict
    note = (
        f"ask: 1; verdict and score of {len(rows):,} orders as they are and refusing, over HTTP and in batch"
    )
    return Figure("refusal_http_equal", equal / (2 * len(rows)), "1", note)


def _ask(
    ground: Ground, home: Path, wanted: OrderTable, refuse: bool, step: str, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Answers to wanted orders, by id, of a service that has all earlier orders and gets the others too."""
    settings = bootstrap.simulated_settings(home)
    since = int(wanted.placed_at[0]) / 1e6
    chain.load_history(ground.world, settings, progress, before=since)
    names = set(wanted.order_id.tolist())
    answers: dict[str, dict[str, Any]] = {}
    with _client(home) as client:
        for event in worlds.events(chain.open_world(ground.world), since):
            body = event.body
            order = json.loads(body)
            mine = event.path == worlds.DECISIONS and order["order_id"] in names
            if mine and refuse:
                body = json.dumps(_refusing(order)).encode()
            said = client.post(event.path, content=body)
            if said.status_code >= 300:
                raise CheckFailed(f"the service answered {said.status_code}: {said.text[:200]}")
            if mine:
                answers[order["order_id"]] = said.json()
                progress(step, len(answers), len(names))
            if len(answers) == len(names):
                break
    return answers


def _refusing(order: dict[str, Any]) -> dict[str, Any]:
    """The order as a shopper sends it who refuses all that the door may drop; the door does the rest."""
    purposes = {**order["consent"]["purposes"], **dict.fromkeys(NODE_PURPOSES, False)}
    return {**order, "consent": {**order["consent"], "purposes": purposes}}


@contextmanager
def _client(home: Path) -> Iterator[Any]:
    import httpx2

    with running(home, _PATIENCE_MS) as (url, key):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        with httpx2.Client(base_url=url, headers=headers, timeout=60) as client:
            yield client


PARTS = {figures: NAMES}
