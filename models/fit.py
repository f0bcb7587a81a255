"""Fitting the graph-additive network on released rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from riskgraph.models.binning import BinEdges, edges_of
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import Tables
from riskgraph.models.layout import WIDTH
from riskgraph.models.network import Constraints, GraphAdditiveNetwork
from riskgraph.models.rows import BinnedRows, Rows
from riskgraph.ports import Progress

_EVAL_ROWS = 16384
# Radius of the rounding at zero, and where the penalty bends over; both in logits.
_ROUND = 0.05
_BEND = 0.5


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters.

    Attributes:
        steps: Least number of steps an epoch, where rows are enough for batches of 256.
        rate: Adam's step at the start; it falls along a cosine.
        own_shrink: Pull of a whole table of own terms to zero, in units of what pure noise would
            push it away (``sqrt(sum (weight * residual)^2)``).
        pair_shrink: The same for a pair table; larger, so that a pair has to earn its place.
        listed_shrink: The same for a pair that experts listed (of the catalogue: causal, corroborates,
            consistency): it is there for a reason, so it has less to prove.
        ridge: Prior precision of each single cell.
        smooth: Prior precision of the difference between neighbouring bins of a number.
        hide_consent: Share of each batch shown once more as if consent had been refused.
        hide_sdk: Share of each batch shown once more as if there were no front end.
        threads: Of torch; more than one gains little here, and loses much on a busy machine.
    """

    epochs: int = 40
    patience: int = 4
    batch: int = 4096
    steps: int = 16
    rate: float = 0.01
    own_shrink: float = 1.25
    pair_shrink: float = 1.75
    listed_shrink: float = 0.25
    ridge: float = 2.0
    smooth: float = 4.0
    hide_consent: float = 0.1
    hide_sdk: float = 0.05
    threads: int = 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted network: tables, one raw offset per class, and the held-out loss per epoch."""

    tables: Tables
    bias: dict[str, float]
    losses: list[float] = field(default_factory=list)
    network: GraphAdditiveNetwork | None = None


@dataclass(frozen=True, eq=False)
class Batchable:
    """Rows as tensors, their components in bins."""

    bins: Tensor
    classes: Tensor
    label: Tensor
    weight: Tensor

    @classmethod
    def of(cls, rows: Rows | BinnedRows, edges: BinEdges) -> Batchable:
        return cls(
            torch.from_numpy(edges.of_rows(rows.components)),
            torch.from_numpy(class_indexes(rows.availability)),
            torch.from_numpy(rows.label.astype(np.float64)),
            # Mean 1, so that the penalties do not depend on how a release scales its weights.
            torch.from_numpy(rows.weight / rows.weight.mean()),
        )


def _honest_weight(data: Batchable, network: GraphAdditiveNetwork) -> tuple[Tensor, Tensor]:
    """Honest weight in each bin, float64[259, 13], and in each pair of bins, float64[284, 13, 13]."""
    weight = data.weight * (1 - data.label)
    own = torch.stack([torch.bincount(b, weight, WIDTH) for b in data.bins.t().long()])
    stand_in = data.bins.t().long()[network.stand_in]
    cells = [
        torch.bincount(stand_in[a] * WIDTH + stand_in[b], weight, WIDTH * WIDTH)
        for a, b in network.edges.layout.ends.tolist()
    ]
    # A layout may have no pair at all, and nothing cannot be stacked.
    flat = torch.stack(cells) if cells else weight.new_empty(0)
    return own, flat.view(-1, WIDTH, WIDTH)


def class_indexes(availability: NDArray[np.object_]) -> NDArray[np.int64]:
    """Place of each availability class in ``AVAILABILITY_CLASSES``, int64[N]."""
    names, place = np.unique(availability.astype(str), return_inverse=True)
    indexes = np.array([AVAILABILITY_CLASSES.index(str(n)) for n in names], dtype=np.int64)
    return np.asarray(indexes[place], dtype=np.int64)


def fit_order2(
    train: Rows | BinnedRows, held_out: Rows | BinnedRows, *, seed: int, edges: BinEdges | None = None,
    recipe: Recipe | None = None, progress: Progress | None = None,
) -> Fit:  # fmt: skip
    """Minimise the weighted logistic loss, stop early on the held-out rows.

    The same seed on the same rows gives the same tables, bit for bit.

    Args:
        train: Rows to fit tables on.
        held_out: Rows that decide when to stop.
        seed: Of the order of rows and of what is hidden.
        edges: Bins to fit tables on, of any layout; if left out, bins of the catalogue's components are
            fitted first.
        recipe: Hyperparameters, the defaults if left out.
        progress: Told after each epoch.
    """
    recipe = recipe or Recipe()
    edges = edges_of(train, edges)
    with torch_threads(recipe.threads):
        return _Fitting(train, held_out, edges, seed, recipe).run(progress)


class _Fitting:
    def __init__(
        self,
        train: Rows | BinnedRows,
        held_out: Rows | BinnedRows,
        edges: BinEdges,
        seed: int,
        recipe: Recipe,
    ) -> None:
        self.recipe = recipe
        self.data, self.check = Batchable.of(train, edges), Batchable.of(held_out, edges)
        self.random = torch.Generator().manual_seed(seed)
        self.network = GraphAdditiveNetwork(edges)
        # From the base rate on: a wrong offset would be learned first, and the tables against it.
        self.network.bias.data.fill_(math.log(train.fraud_rate / (1 - train.fraud_rate)))
        self.constraints = Constraints(edges, _honest_weight(self.data, self.network))
        self.neighbours = torch.from_numpy(_neighbour_mask(edges))
        self.listed = torch.from_numpy(edges.layout.listed.copy())
        self.hidden = [torch.from_numpy(gone.copy()) for gone in edges.layout.hidden]
        residual = self.data.weight * (self.data.label - train.fraud_rate)
        # How far pure noise would push a table: the unit of the shrinkage, so that it needs no tuning to
        # size.
        self.noise = float(residual.square().sum().sqrt())
        # Small releases get about 16 steps an epoch too; with one, 40 epochs would be 40 steps.
        self.batch = min(recipe.batch, max(256, len(train) // recipe.steps))

    def run(self, progress: Progress | None) -> Fit:
        recipe = self.recipe
        optimizer = torch.optim.Adam(self.network.parameters(), lr=recipe.rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs, recipe.rate / 20)
        best, losses = self._snapshot(), [self._held_out_loss()]
        for epoch in range(recipe.epochs):
            for rows in torch.randperm(len(self.data.label), generator=self.random).split(self.batch):
                optimizer.zero_grad()
                self._loss(rows).backward()
                optimizer.step()
                # After every step: a demand that is imposed only at the end would undo what the fit relied
                # on.
                self.constraints.project(self.network)
            schedule.step()
            losses.append(self._held_out_loss())
            if losses[-1] == min(losses):
                best = self._snapshot()
            if progress:
                progress("train", epoch + 1, recipe.epochs)
            if len(losses) - 1 - int(np.argmin(losses)) >= recipe.patience:
                break
        # The last epochs only showed that the loss no longer falls.
        self.network.load_state_dict(best)
        bias = dict(zip(AVAILABILITY_CLASSES, self.network.bias.detach().tolist(), strict=True))
        return Fit(self.network.tables(), bias, losses, self.network)

    def _loss(self, rows: Tensor) -> Tensor:
        bins, classes = self.data.bins[rows].long(), self.data.classes[rows]
        shares = (self.recipe.hide_consent, self.recipe.hide_sdk)
        bins, classes, again = hide_sources(bins, classes, self.hidden, shares, self.random)
        label, weight = self.data.label[rows], self.data.weight[rows]
        label, weight = torch.cat([label, label[again]]), torch.cat([weight, weight[again]])
        loss = log_loss(self.network(bins, classes), label, weight)
        # The loss is a mean over rows, so the penalty of the whole is divided by their number.
        return loss + self._penalty() / len(self.data.label)

    def _penalty(self) -> Tensor:
        own, pairs, recipe = self.network.own_table, self.network.pair_table, self.recipe
        steps = (own[:, 2:] - own[:, 1:-1]) * self.neighbours
        shrink = torch.where(self.listed, recipe.listed_shrink, recipe.pair_shrink)
        blocks = (
            recipe.own_shrink * _bent_lengths(own).sum() + (shrink * _bent_lengths(pairs.flatten(1))).sum()
        )
        ridge = 0.5 * recipe.ridge * (own.square().sum() + pairs.square().sum())
        return self.noise * blocks + ridge + 0.5 * recipe.smooth * steps.square().sum()

    def _held_out_loss(self) -> float:
        parts = torch.arange(len(self.check.label)).split(_EVAL_ROWS)
        with torch.no_grad():
            logits = [self.network(self.check.bins[p].long(), self.check.classes[p]) for p in parts]
            return float(log_loss(torch.cat(logits), self.check.label, self.check.weight))

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.network.state_dict().items()}


def hide_sources(
    bins: Tensor, classes: Tensor, hidden: Sequence[Tensor], shares: tuple[float, float],
    random: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Append some front-end rows as orders with a source gone, in the class they then have.

    Args:
        bins: int64[B, C].
        classes: int64[B], place of the availability class.
        hidden: Components that vanish when consent is refused, and without a front end; bool[C] each.
        shares: Of the front-end rows that are shown so.
        random: Draws them.

    Returns:
        Bins, classes, and which rows were appended.
    """
    # Classes stand in the order front_end, no_front_end, refused within each phase.
    front = (classes % 3 == 0).nonzero().squeeze(-1)
    # One draw for both, so that no row is shown with both sources gone.
    draw = torch.rand(len(front), generator=random)
    first, second = shares[0], shares[0] + shares[1]
    refused, missing = front[draw < first], front[(draw >= first) & (draw < second)]
    bare = [bins[rows].masked_fill(gone, 0) for rows, gone in zip((refused, missing), hidden, strict=True)]
    shifted = [classes[refused] + 2, classes[missing] + 1]
    return torch.cat([bins, *bare]), torch.cat([classes, *shifted]), torch.cat([refused, missing])


def _bent_lengths(blocks: Tensor) -> Tensor:
    """A length of each row that grows slower the longer it is.

    Rounded off at zero so that a gradient exists there; bent (log penalty, Candes et al. 2008) so
    that tables without use go to zero and useful ones are not pulled down.
    """
    lengths = (blocks.square().sum(1) + _ROUND**2).sqrt()
    return _BEND * torch.log1p(lengths / _BEND)


def log_loss(logit: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Mean weighted logistic loss."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    return (loss * weight).sum() / weight.sum()


def _neighbour_mask(edges: BinEdges) -> NDArray[np.float64]:
    """float64[259, 11]: 1 between two used bins of a number; words of a class have no order."""
    # Column 0 is absent and has no neighbour; the first difference is between bins 1 and 2.
    used = np.arange(2, 13) <= edges.counts[:, None]
    return np.asarray(used & edges.layout.ordered[:, None], dtype=np.float64)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """At most so many threads of torch inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(count, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
