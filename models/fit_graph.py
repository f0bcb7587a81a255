"""Fitting the deep graph networks on released rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from riskgraph.models.binning import BinEdges, fit_edges
from riskgraph.models.card import AVAILABILITY_CLASSES, Card
from riskgraph.models.fit import Batchable, hide_sources, log_loss, torch_threads
from riskgraph.models.graph_model import Weights, write_network
from riskgraph.models.graph_network import BehaviorGraphNetwork, Sizes, build, raw_logits
from riskgraph.models.layout import Layout
from riskgraph.models.rows import Rows
from riskgraph.ports import Progress

_EVAL_ROWS = 1024


@dataclass(frozen=True, slots=True)
class GraphRecipe:
    """Hyperparameters.

    Attributes:
        rate: Adam's step at the start; it falls along a cosine.
        decay: Weight decay, decoupled from the step.
        hide_consent: Share of each batch shown once more as if consent had been refused.
        hide_sdk: Share of each batch shown once more as if there were no front end.
        threads: Of torch.
        sizes: Shape of the network.
    """

    epochs: int = 12
    patience: int = 2
    batch: int = 256
    rate: float = 2e-3
    decay: float = 1e-2
    hide_consent: float = 0.1
    hide_sdk: float = 0.05
    threads: int = 1
    sizes: Sizes = Sizes()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class GraphFit:
    """A fitted network: stored form, one raw offset per class, and the held-out loss per epoch."""

    kind: str
    sizes: Sizes
    edges: BinEdges
    weights: Weights
    bias: dict[str, float]
    losses: list[float]

    @cached_property
    def _network(self) -> BehaviorGraphNetwork:
        return build(self.kind, self.sizes, self.weights)

    def raw(self, components: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits without offset, float64[N], as the stored model gives them."""
        return raw_logits(self._network, self.edges, components)

    def write(self, folder: Path, card: Card) -> Card:
        """Write the model; returns the card as stored."""
        return write_network(folder, self.edges, self.weights, asdict(self.sizes), card)


def fit_graph(
    kind: str, train: Rows, held_out: Rows, *, seed: int, recipe: GraphRecipe | None = None,
    progress: Progress | None = None,
) -> GraphFit:  # fmt: skip
    """Minimise the weighted logistic loss in mini-batches, stop early on the held-out rows.

    The same seed on the same rows gives the same weights on the same machine.

    Args:
        kind: ``rgcn`` or ``gatv2``.
        train: Rows to fit bins and weights on.
        held_out: Rows that decide when to stop.
        seed: Of the weights at the start, the order of rows, dropout, and what is hidden.
        recipe: Hyperparameters, the defaults if left out.
        progress: Told after each epoch.
    """
    recipe = recipe or GraphRecipe()
    edges = fit_edges(train.components, train.label, train.weight)
    # torch draws weights and dropout from one generator of the process; it is given back as it was.
    with torch_threads(recipe.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fitting = _Fitting(kind, Batchable.of(train, edges), Batchable.of(held_out, edges), seed, recipe)
        losses = fitting.run(progress)
    weights = {name: value.numpy() for name, value in fitting.best.items()}
    bias = dict(zip(AVAILABILITY_CLASSES, weights["bias"].tolist(), strict=True))
    return GraphFit(kind, recipe.sizes, edges, weights, bias, losses)


class _Fitting:
    def __init__(self, kind: str, data: Batchable, check: Batchable, seed: int, recipe: GraphRecipe) -> None:
        self.data, self.check, self.recipe = data, check, recipe
        self.random = torch.Generator().manual_seed(seed)
        self.network = BehaviorGraphNetwork(kind, recipe.sizes)
        rate = float((data.label * data.weight).sum() / data.weight.sum())
        # From the base rate on, so that the first steps are not spent on it.
        self.network.bias.data.fill_(math.log(rate / (1 - rate)))
        self.hidden = [torch.from_numpy(gone.copy()) for gone in Layout.of_catalog().hidden]
        # Small releases get about 32 steps an epoch too; with three, 12 epochs would be 36 steps.
        self.batch = min(recipe.batch, max(32, len(data.label) // 32))
        self.best: dict[str, Tensor] = {}

    def run(self, progress: Progress | None) -> list[float]:
        """Held-out loss before and after each epoch; what was best is in ``best``."""
        recipe = self.recipe
        optimizer = torch.optim.AdamW(self.network.parameters(), recipe.rate, weight_decay=recipe.decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs, recipe.rate / 20)
        losses = [self._held_out_loss()]
        self._keep()
        for epoch in range(recipe.epochs):
            self.network.train()
            for rows in torch.randperm(len(self.data.label), generator=self.random).split(self.batch):
                optimizer.zero_grad()
                self._loss(rows).backward()
                optimizer.step()
            schedule.step()
            losses.append(self._held_out_loss())
            if losses[-1] == min(losses):
                self._keep()
            if progress:
                progress("train", epoch + 1, recipe.epochs)
            if len(losses) - 1 - int(np.argmin(losses)) >= recipe.patience:
                break
        return losses

    def _loss(self, rows: Tensor) -> Tensor:
        bins, classes = self.data.bins[rows].long(), self.data.classes[rows]
        shares = (self.recipe.hide_consent, self.recipe.hide_sdk)
        bins, classes, again = hide_sources(bins, classes, self.hidden, shares, self.random)
        label, weight = self.data.label[rows], self.data.weight[rows]
        label, weight = torch.cat([label, label[again]]), torch.cat([weight, weight[again]])
        logit = self.network(bins) + self.network.bias[classes]
        return log_loss(logit, label.to(logit.dtype), weight.to(logit.dtype))

    def _held_out_loss(self) -> float:
        self.network.eval()
        check = self.check
        with torch.no_grad():
            logits = [
                self.network(check.bins[part].long()) + self.network.bias[check.classes[part]]
                for part in torch.arange(len(check.label)).split(_EVAL_ROWS)
            ]
            return float(log_loss(torch.cat(logits).double(), check.label, check.weight))

    def _keep(self) -> None:
        self.best = {name: value.clone() for name, value in self.network.state_dict().items()}
