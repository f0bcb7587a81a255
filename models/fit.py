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

from riskgraph.core.errors import Invalid
from riskgraph.models.binning import BinEdges, edges_of
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.checkpoint import Arrays, Checkpoint
from riskgraph.models.compiled import Tables
from riskgraph.models.layout import WIDTH
from riskgraph.models.network import Constraints, GraphAdditiveNetwork
from riskgraph.models.rows import BinnedRows, Rows
from riskgraph.models.share import Share
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
    """Rows as tensors, their components in bins, and the weighted share of fraud."""

    bins: Tensor
    classes: Tensor
    label: Tensor
    weight: Tensor
    fraud_rate: float

    @classmethod
    def of(cls, rows: Rows | BinnedRows, edges: BinEdges) -> Batchable:
        return cls(
            torch.from_numpy(edges.of_rows(rows.components)),
            torch.from_numpy(class_indexes(rows.availability)),
            torch.from_numpy(rows.label.astype(np.float64)),
            # Mean 1, so that the penalties do not depend on how a release scales its weights.
            torch.from_numpy(rows.weight / rows.weight.mean()),
            rows.fraud_rate,
        )

    def to(self, device: torch.device) -> Batchable:
        bins, classes, label, weight = (
            array.to(device) for array in (self.bins, self.classes, self.label, self.weight)
        )
        return Batchable(bins, classes, label, weight, self.fraud_rate)

    def __len__(self) -> int:
        return len(self.label)


def _honest_weight(data: Batchable, network: GraphAdditiveNetwork, share: Share) -> tuple[Tensor, Tensor]:
    """Honest weight in each bin, float64[259, 13], and in each pair of bins, float64[284, 13, 13]."""
    # One line per component: whole columns are counted.
    bins = share.of(data.bins).t().contiguous()
    weight = share.of(data.weight * (1 - data.label))
    own = torch.stack([torch.bincount(b.long(), weight, WIDTH) for b in bins])
    stand_in = network.stand_in.tolist()
    cells = [
        torch.bincount(bins[stand_in[a]].long() * WIDTH + bins[stand_in[b]].long(), weight, WIDTH * WIDTH)
        for a, b in network.edges.layout.ends.tolist()
    ]
    # A layout may have no pair at all, and nothing cannot be stacked.
    flat = torch.stack(cells) if cells else weight.new_empty(0)
    return share.total(own), share.total(flat).view(-1, WIDTH, WIDTH)


def device_of(name: str) -> str:
    """The device that ``auto``, ``cpu`` or ``cuda`` means here; ``auto`` takes a GPU where there is one.

    Raises:
        Invalid: If a GPU is asked for and torch sees none.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise Invalid("--device cuda: torch finds no GPU here; take --device cpu", field="--device")
    return "cuda" if there and name != "cpu" else "cpu"


def class_indexes(availability: NDArray[np.object_]) -> NDArray[np.int64]:
    """Place of each availability class in ``AVAILABILITY_CLASSES``, int64[N]."""
    names, place = np.unique(availability.astype(str), return_inverse=True)
    indexes = np.array([AVAILABILITY_CLASSES.index(str(n)) for n in names], dtype=np.int64)
    return np.asarray(indexes[place], dtype=np.int64)


def fit_order2(
    train: Rows | BinnedRows, held_out: Rows | BinnedRows, *, seed: int, edges: BinEdges | None = None,
    recipe: Recipe | None = None, progress: Progress | None = None, checkpoint: Checkpoint | None = None,
) -> Fit:  # fmt: skip
    """Minimise the weighted logistic loss, stop early on the held-out rows.

    The same seed on the same rows gives the same tables, bit for bit, on a CPU.

    Args:
        train: Rows to fit tables on.
        held_out: Rows that decide when to stop.
        seed: Of the order of rows and of what is hidden.
        edges: Bins to fit tables on, of any layout; if left out, bins of the catalogue's components are
            fitted first.
        recipe: Hyperparameters, the defaults if left out.
        progress: Told after each epoch.
        checkpoint: Saved after each epoch; if there is one, training goes on where it stands.

    Raises:
        CheckFailed: If the checkpoint is damaged.
        Invalid: If it is of another run.
    """
    recipe = recipe or Recipe()
    edges = edges_of(train, edges)
    data, check = Batchable.of(train, edges), Batchable.of(held_out, edges)
    return fit_batches(data, check, edges, seed, recipe, progress=progress, checkpoint=checkpoint)


def fit_batches(
    data: Batchable, check: Batchable, edges: BinEdges, seed: int, recipe: Recipe, *,
    progress: Progress | None = None, checkpoint: Checkpoint | None = None, device: str = "cpu",
    share: Share | None = None,
) -> Fit:  # fmt: skip
    """:func:`fit_order2` on rows in bins, on a device of torch, or as the worker that ``share`` names."""
    with torch_threads(recipe.threads):
        fitting = _Fitting(data, check, edges, seed, recipe, torch.device(device), share or Share())
        return fitting.run(progress, checkpoint)


class _Fitting:
    def __init__(
        self, data: Batchable, check: Batchable, edges: BinEdges, seed: int, recipe: Recipe,
        device: torch.device, share: Share,
    ) -> None:  # fmt: skip
        self.recipe, self.share, self.device = recipe, share, device
        # Batches are drawn on the CPU whatever the device is: the same seed draws the same ones everywhere.
        self.random = torch.Generator().manual_seed(seed)
        network = GraphAdditiveNetwork(edges)
        rate = data.fraud_rate
        # From the base rate on: a wrong offset would be learned first, and the tables against it.
        network.bias.data.fill_(math.log(rate / (1 - rate)))
        self.constraints = Constraints(edges, _honest_weight(data, network, share)).to(device)
        self.neighbours = torch.from_numpy(_neighbour_mask(edges)).to(device)
        self.listed = torch.from_numpy(edges.layout.listed.copy()).to(device)
        # Nothing, what a refusal takes away, and what a missing front end does.
        gone = [np.zeros_like(edges.layout.hidden[0]), *edges.layout.hidden]
        self.hidden = torch.from_numpy(np.stack(gone)).to(device)
        residual = data.weight * (data.label - rate)
        # How far pure noise would push a table: the unit of the shrinkage, so that it needs no tuning to
        # size.
        self.noise = float(residual.square().sum().sqrt())
        # Small releases get about 16 steps an epoch too; with one, 40 epochs would be 40 steps.
        self.batch = min(recipe.batch, max(256, len(data) // recipe.steps))
        self.network, self.drawn_from = network.to(device), data.classes
        self.data, self.check = data.to(device), check.to(device)
        self.forward = share.joined(self.network)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=recipe.rate, betas=(0.9, 0.99))
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, recipe.epochs, recipe.rate / 20
        )
        self.best: dict[str, Tensor] = {}
        self.losses: list[float] = []

    def run(self, progress: Progress | None, checkpoint: Checkpoint | None) -> Fit:
        saved = checkpoint.load() if checkpoint else None
        if saved:
            self._restore(saved)
        else:
            self._judge()
        while not self._done:
            self._epoch()
            if progress:
                told = f"train: held-out loss {self.losses[-1]:.5f}"
                progress(told, len(self.losses) - 1, self.recipe.epochs)
            if checkpoint and self.share.rank == 0:
                checkpoint.save(self._state())
        # The last epochs only showed that the loss no longer falls.
        self.network.load_state_dict(self.best)
        network = self.network.cpu()
        bias = dict(zip(AVAILABILITY_CLASSES, network.bias.detach().tolist(), strict=True))
        return Fit(network.tables(), bias, self.losses, network)

    @property
    def _done(self) -> bool:
        """Whether all epochs are over, or the last ones brought nothing."""
        epochs = len(self.losses) - 1
        return epochs >= self.recipe.epochs or epochs - int(np.argmin(self.losses)) >= self.recipe.patience

    def _epoch(self) -> None:
        for rows in torch.randperm(len(self.data), generator=self.random).split(self.batch):
            self.optimizer.zero_grad()
            self._loss(rows).backward()
            self.optimizer.step()
            # After every step: a demand that is imposed only at the end would undo what the fit relied
            # on.
            self.constraints.project(self.network)
        self.schedule.step()
        self._judge()

    def _judge(self) -> None:
        """Look at the held-out rows, and keep the network if it was never better."""
        self.losses.append(self._held_out_loss())
        if self.losses[-1] == min(self.losses):
            self.best = {name: value.clone() for name, value in self.network.state_dict().items()}

    def _loss(self, rows: Tensor) -> Tensor:
        """This worker's part of a batch's loss, times the number of workers: their mean is the loss."""
        share = self.share
        rows, classes, gone = _shown(rows, self.drawn_from[rows], self.recipe, self.random)
        whole = self.data.weight[rows.to(self.device)].sum()
        rows, classes, gone = (share.of(drawn).to(self.device) for drawn in (rows, classes, gone))
        bins = self.data.bins[rows].masked_fill(self.hidden[gone], 0).long()
        loss = _losses(self.forward(bins, classes), self.data.label[rows], self.data.weight[rows])
        # The loss is a mean over rows, so the penalty of the whole is divided by their number.
        return loss.sum() * share.size / whole + self._penalty() / len(self.data)

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
        mine = self.share.of(torch.arange(len(self.check)))
        with torch.no_grad():
            logits = [
                self.network(self.check.bins[p].long(), self.check.classes[p])
                for p in mine.to(self.device).split(_EVAL_ROWS)
            ]
            label, weight = self.share.of(self.check.label), self.share.of(self.check.weight)
            total = self.share.total(_losses(torch.cat(logits), label, weight).sum())
            return float(total / self.check.weight.sum())

    def _state(self) -> Arrays:
        """All that the next epoch depends on."""
        tensors: dict[str, Tensor] = {"random": self.random.get_state()}
        for name, value in self.network.named_parameters():
            moments = self.optimizer.state[value]
            tensors |= {f"{name}/{n}": m for n, m in moments.items()}
            tensors |= {f"{name}/now": value.detach(), f"{name}/best": self.best[name]}
        arrays = {name: value.cpu().numpy() for name, value in tensors.items()}
        rate = np.array(self.optimizer.param_groups[0]["lr"])
        return {**arrays, "losses": np.array(self.losses), "rate": rate}

    def _restore(self, arrays: Arrays) -> None:
        tensors = {name: torch.from_numpy(value).to(self.device) for name, value in arrays.items()}
        self.best = {name: value.clone() for name, value in self.network.state_dict().items()}
        for name, value in self.network.named_parameters():
            mine = {n.rpartition("/")[2]: t for n, t in tensors.items() if n.rpartition("/")[0] == name}
            value.data.copy_(mine.pop("now"))
            self.best[name].copy_(mine.pop("best"))
            # Adam counts its steps on the CPU, wherever its moments lie.
            self.optimizer.state[value] = {**mine, "step": mine["step"].cpu()}
        self.losses = arrays["losses"].tolist()
        self.random.set_state(tensors["random"].cpu())
        done = len(self.losses) - 1
        self.schedule.load_state_dict({"last_epoch": done, "_step_count": done + 1})
        self.optimizer.param_groups[0]["lr"] = float(arrays["rate"])


def _shown(
    rows: Tensor, classes: Tensor, recipe: Recipe, random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A batch with some of its rows shown once more: rows, classes, and what each hides (0 is nothing)."""
    refused, missing = draw_hidden(classes, (recipe.hide_consent, recipe.hide_sdk), random)
    gone = [torch.zeros_like(classes), torch.ones_like(refused), torch.full_like(missing, 2)]
    shifted = torch.cat([classes, classes[refused] + 2, classes[missing] + 1])
    return torch.cat([rows, rows[refused], rows[missing]]), shifted, torch.cat(gone)


def draw_hidden(
    classes: Tensor, shares: tuple[float, float], random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Which front-end rows of a batch are shown again with consent refused, and which without front end."""
    # Classes stand in the order front_end, no_front_end, refused within each phase.
    front = (classes % 3 == 0).nonzero().squeeze(-1)
    # One draw for both, so that no row is shown with both sources gone.
    draw = torch.rand(len(front), generator=random)
    first, second = shares[0], shares[0] + shares[1]
    return front[draw < first], front[(draw >= first) & (draw < second)]


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
    refused, missing = draw_hidden(classes, shares, random)
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
    return _losses(logit, label, weight).sum() / weight.sum()


def _losses(logit: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    return loss * weight


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
