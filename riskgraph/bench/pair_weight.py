"""How much of an interaction that exists only in fraud a model keeps when it is trained on a release.

The same network is trained twice: inside the sandbox's walls on raw rows, and on the release of these
rows. Nothing of the raw training leaves this module but one number per planted pair.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.table import OrderTable
from riskgraph.models import CompiledModel
from riskgraph.models.rows import Rows
from riskgraph.models.train import _train_rows
from riskgraph.ports import Progress, Signer, TrainingRows
from riskgraph.sandbox import Policy, ReleaseRequest, write_release
from riskgraph.sandbox.choice import choose, window

# Three of the front end, one across, four of the rest; ends that are nearly independent in simulated
# histories, so that the weight is the planted one's; no node twice, so that all can be planted at once.
PAIRS = (
    ("B001", "B002"), ("B005", "B006"), ("B071", "B072"), ("B077", "B131"),
    ("B086", "B088"), ("B103", "B107"), ("B110", "B112"), ("B113", "B132"),
)  # fmt: skip
SHARE = 0.6
_HIGH = 0.4
_ORIGIN = {"provenance": "simulated", "releases": [], "window": {}}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PairWeight:
    """Weight of one planted pair.

    Attributes:
        pair: Its node ids. seed: Of planting, release and training.
        raw, released: Contrast in logits of the network trained on either.
    """

    pair: tuple[str, str]
    seed: int
    raw: float
    released: float

    @property
    def kept(self) -> float:
        return self.released / self.raw


def pair_index(pair: tuple[str, str]) -> int:
    """Place of a template pair in the catalogue.

    Raises:
        Invalid: If the catalogue has no such pair.
    """
    ends = [catalog()[node].index for node in pair]
    for place, known in enumerate(catalog().pairs):
        if [known.a, known.b] == ends:
            return place
    raise Invalid(f"{pair[0]} and {pair[1]} are no template pair", field="pair")


def _ends(pair: tuple[str, str]) -> list[int]:
    return [catalog().component_index[f"{n}.{catalog()[n].pair_component}"] for n in pair]


def plant(table: OrderTable, pairs: Iterable[tuple[str, str]], share: float, seed: int) -> OrderTable:
    """Couple both ends of each pair in a share of the fraud orders, and in no other.

    The values of the second end change places among these orders until they rise with the first: what
    each end shows alone stays exactly the same, so only a pair term can learn it.

    Args:
        table: Labelled orders.
        pairs: Node ids of template pairs.
        share: Of the fraud orders that have both ends.
        seed: Of the choice of orders.
    """
    rng, values = np.random.default_rng(seed), table.components.copy()
    for pair in pairs:
        a, b = _ends(pair)
        both = np.flatnonzero((table.label == 1) & ~np.isnan(values[:, [a, b]]).any(axis=1))
        rows = both[rng.random(len(both)) < share]
        by_a, by_b = (np.lexsort((rng.random(len(rows)), values[rows, end])) for end in (a, b))
        values[rows[by_a], b] = values[rows[by_b], b]
    return replace(table, components=values)


def contrast(
    model: CompiledModel, pair: tuple[str, str], components: Floats, label: NDArray[np.int8]
) -> float:
    """What a pair term adds when both ends are high or both low, in logits.

    ``sum over bins of g(i, j) (P(i | high) - P(i | low)) (Q(j | high) - Q(j | low))``, with the bins as
    the 50/50 mix of both classes shows them: an effect of one end alone, wherever the network put it,
    cancels.

    Args:
        model: A trained network.
        pair: Node ids.
        components: float32[N, 259], raw orders.
        label: 1 fraud, 0 honest.
    """
    ends = _ends(pair)
    both = ~np.isnan(components[:, ends]).any(axis=1)
    part, fraud = components[both], label[both] == 1
    weight = np.where(fraud, 0.5 / fraud.sum(), 0.5 / (~fraud).sum())
    bins = model.tables.edges.apply(part)
    sides = []
    for end in ends:
        value = part[:, end]
        order = np.argsort(value)
        cut = value[order][np.searchsorted(np.cumsum(weight[order]), 1 - _HIGH)]
        high = value > cut if (value > cut).any() else value == cut
        shares = [np.bincount(bins[m, end], weight[m], 13) / weight[m].sum() for m in (high, ~high)]
        sides.append(shares[0] - shares[1])
    return float(sides[0] @ model.tables.pairs[pair_index(pair)] @ sides[1])


def measure_pairs(
    table: OrderTable,
    pairs: Sequence[tuple[str, str]],
    request: ReleaseRequest,
    signer: Signer,
    *,
    share: float = SHARE,
    epochs: int | None = None,
    progress: Progress | None = None,
) -> list[PairWeight]:
    """Plant pairs, train on raw rows and on their release, and compare.

    Args:
        table: Orders of a simulated history, with labels as known.
        pairs: Node ids of template pairs that share no node.
        request: Of the release; its seed is also that of planting and training.
        signer: Signs the release.
        share: Of the fraud orders that are coupled.
        epochs: Of training, the usual number if left out.
        progress: Told of releases and epochs.
    """
    planted = window(plant(table, pairs, share, request.seed), request.until)
    raw, _ = entering(planted, request)
    with tempfile.TemporaryDirectory() as folder:
        made = write_release(
            planted, Path(folder) / "release", request, signer, progress=progress, policy=Policy.default()
        )
        models = [
            train_raw(source, Path(folder) / name, request.seed, epochs, progress)
            for name, source in (("raw", raw), ("released", made.rows))
        ]
        found = [[contrast(m, p, raw.components, raw.label) for m in models] for p in pairs]
    return [PairWeight(p, request.seed, *weights) for p, weights in zip(pairs, found, strict=True)]


def entering(history: OrderTable, request: ReleaseRequest) -> tuple[Rows, NDArray[np.intp]]:
    """The very rows that enter a release of a history, as they are, and their places in it."""
    taken, _ = choose(history, until=request.until, k=request.k, policy=Policy.default())
    rows = Rows(
        components=np.ascontiguousarray(taken.values),
        availability=taken.availability,
        label=history.label[taken.rows],
        weight=np.ones(len(taken.rows)),
        cluster=np.full(len(taken.rows), -1, dtype=np.int32),
    )
    return rows, taken.rows


def train_raw(
    rows: TrainingRows, out: Path, seed: int, epochs: int | None, progress: Progress | None
) -> CompiledModel:
    # the private part of training on purpose: both sides must go through the very same code
    _train_rows([Rows.of(rows)], _ORIGIN, out, seed=seed, epochs=epochs, progress=progress)
    return CompiledModel.load(out)
