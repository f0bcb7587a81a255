"""What the figures of explanations share: a simulated world, and its orders as the service judges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from riskgraph import bootstrap, chain
from riskgraph.bench.speed import order_of
from riskgraph.core.order import parse_order
from riskgraph.core.report import DecisionReport
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import DecisionTree, OrderScore, Verdict, Walk
from riskgraph.eval import worlds
from riskgraph.explainers.counterfactual import find_counterfactual
from riskgraph.explainers.games import AnyExplainer
from riskgraph.models import Model
from riskgraph.ports import Progress
from riskgraph.settings import Settings
from riskgraph.writing import MerchantReportWriter

CONFIG, SEED, ORDERS = "world-2", 893, 20_000
ISSUED = "bench"


@dataclass(frozen=True, eq=False)
class Judged:
    """One order with its score and its way through the tree; histograms without their shares."""

    order_id: str
    subgraph: OrderSubgraph
    score: OrderScore
    walk: Walk

    @property
    def flagged(self) -> bool:
        return self.walk.verdict is not Verdict.ACCEPT


@dataclass(frozen=True)
class Ground:
    """Shared ground: a folder, and what is made in it on first use.

    Attributes:
        orders: Of the simulated world.
    """

    folder: Path
    progress: Progress
    orders: int = ORDERS

    @cached_property
    def settings(self) -> Settings:
        return bootstrap.simulated_settings(self.folder / "home")

    @cached_property
    def model(self) -> Model:
        return bootstrap.serving_model(self.settings)[0]

    @cached_property
    def tree(self) -> DecisionTree:
        return bootstrap.load_tree(self.settings)

    @cached_property
    def world(self) -> worlds.World:
        path = self.folder / "world"
        chain.simulate(CONFIG, seed=SEED, orders=self.orders, out=path, progress=self.progress)
        return chain.open_world(path)

    @cached_property
    def judged(self) -> Sequence[Judged]:
        """Every order of the world that is flagged, and as many that are accepted."""
        door = bootstrap.open_door(self.settings)
        table = chain.world_table(self.world, float("inf"), door, self.progress)
        probability = self.model.score_batch(table.components, table.availability)[1]
        review = np.array([self.model.thresholds(str(name)).review for name in table.availability])
        flagged = np.flatnonzero(probability >= review)
        accepted = np.flatnonzero(probability < review)[:: max(1, len(table) // max(1, len(flagged)))]
        made = []
        for row in np.sort(np.concatenate([flagged, accepted])).tolist():
            order = order_of(table, row)
            score = self.model.score(order, str(table.availability[row]))
            made.append(Judged(str(table.order_id[row]), order, score, self.tree.walk(score)))
        return made

    @cached_property
    def flagged(self) -> Sequence[Judged]:
        return [judged for judged in self.judged if judged.flagged]

    @cached_property
    def _records(self) -> dict[int, Sequence[DecisionReport]]:
        return {}

    def records(self, count: int) -> Sequence[DecisionReport]:
        """Reports as they are committed, of half flagged and half accepted orders, evenly spread."""
        if count not in self._records:
            self._records[count] = self._written(count)
        return self._records[count]

    def _written(self, count: int) -> list[DecisionReport]:
        chosen = [
            judged
            for kind in (True, False)
            for judged in spread([j for j in self.judged if j.flagged is kind], (count + 1) // 2)
        ]
        wanted = {judged.order_id: judged for judged in chosen}
        door, clock = bootstrap.open_door(self.settings), bootstrap.SystemClock()
        writer = MerchantReportWriter(bootstrap.demo_profile(), self.tree, clock, self.model)
        explainer = AnyExplainer()
        made: list[DecisionReport] = []
        for body in worlds.requests(self.world):
            judged = wanted.get(body["order_id"])
            if judged is None:
                continue
            order, score, walk = parse_order(body, door), judged.score, judged.walk
            action, mode = writer.action_for(order, walk, degraded=False)
            found = find_counterfactual(judged.subgraph, score, walk, self.model, self.tree)
            attribution = explainer.explain(score)
            name = f"{ISSUED}-{len(made)}"
            made.append(
                writer.write(
                    order, judged.subgraph, score, walk, attribution, name, action, mode, None, "local", found
                )
            )
        return made


def spread(judged: Sequence[Judged], count: int) -> list[Judged]:
    """So many of them, from the first to the last."""
    if len(judged) <= count:
        return list(judged)
    return [judged[i] for i in np.linspace(0, len(judged) - 1, count).astype(int).tolist()]
