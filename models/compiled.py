"""The served model: lookup tables, read without torch, of every kind that is a sum of terms.

``logit = offset[class] + sum of F[component][bin] + sum of G[pair][bin_a][bin_b]``; bin 0 is
absent and every table is exactly 0.0 there (order-2 graph-additive network, compiled; kinds without pairs
have G = 0).
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import RiskScore, Scale, Thresholds
from riskgraph.models.binning import BinEdges
from riskgraph.models.card import CARD_FILE, Card, calibration_of, card_text, read_card
from riskgraph.models.kinds import COMPILED
from riskgraph.models.layout import MAX_BINS, WIDTH, Layout

TABLES_FILE = "tables.npy"
CHUNK_ROWS = 4096
# One order is scored in microseconds; looking these up on an object would show.
_CATALOG = Layout.of_catalog()
_PAIR_COUNT = len(_CATALOG.ends)
_OWN_OFFSET: NDArray[np.intp] = _CATALOG.own_offset
_PAIR_OFFSET: NDArray[np.intp] = _CATALOG.pair_offset
_ENDS: NDArray[np.intp] = np.concatenate([_CATALOG.pair_a, _CATALOG.pair_b])


@dataclass(frozen=True, eq=False)
class Tables:
    """Bins and tables of an order-2 model.

    Attributes:
        edges: Hard bin edges.
        own: float64[259, 13], own term per component and bin.
        pairs: float64[284, 13, 13], pair term per template pair and both bins.

    Raises:
        ValueError: If a shape is wrong, a value is not finite, or an absent bin is not exactly 0.
    """

    edges: BinEdges
    own: NDArray[np.float64]
    pairs: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, table, shape in (
            ("F", self.own, (len(self.edges.inner), WIDTH)),
            ("G", self.pairs, (len(self.edges.layout.ends), WIDTH, WIDTH)),
        ):
            if table.shape != shape:
                raise ValueError(f"{name} has shape {table.shape}, expected {shape}")
            if not np.isfinite(table).all():
                raise ValueError(f"{name} holds a value that is not finite")
        if self.own[:, 0].any() or self.pairs[:, 0].any() or self.pairs[:, :, 0].any():
            raise ValueError("a table is not exactly zero where a node is absent")

    def flat(self) -> NDArray[np.float64]:
        return np.concatenate([self.own.ravel(), self.pairs.ravel()]).astype(np.float64)


class CompiledModel:
    """A loaded model of tables; safe to share between threads, it holds no mutable state."""

    def __init__(self, card: Card, tables: Tables, flat: NDArray[np.float64]) -> None:
        self.card = card
        self.tables = tables
        self.versions = card.versions
        self._flat = flat
        self._matrix = tables.edges.matrix
        self._classes = {name: Scale(c.offset, c.thresholds) for name, c in card.classes.items()}

    @classmethod
    def load(cls, folder: Path | str) -> CompiledModel:
        """Open ``MODEL/{tables.npy, card.json}``; the tables stay memory-mapped.

        Raises:
            ModelUnavailable: If a file is missing, truncated or altered, or was made for another
                catalogue; the message names the file and what is wrong.
        """
        folder = Path(folder)
        card = read_card(folder)
        if card.kind not in COMPILED:
            known = " or ".join(COMPILED)
            raise ModelUnavailable(
                f"{folder / CARD_FILE}: kind {card.kind!r} has no tables, expected {known}"
            )
        path = folder / TABLES_FILE
        check_file(path, card)
        try:
            flat = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as wrong:
            raise ModelUnavailable(f"{path}: truncated or not an array ({wrong})") from wrong
        # A plain view: np.memmap's own methods cost microseconds per call.
        vector: NDArray[np.float64] = flat.view(np.ndarray)
        return cls(card, _tables(card, vector, folder), vector)

    @property
    def provenance(self) -> str:
        return self.card.provenance

    def thresholds(self, availability: str) -> Thresholds:
        """Frozen thresholds of an availability class.

        Raises:
            Invalid: If the model has no such class.
        """
        return calibration_of(self._classes, availability).thresholds

    def scale(self, availability: str) -> Scale | None:
        """What a class is judged on; None for one that the model does not know."""
        return self._classes.get(availability)

    def score(self, subgraph: OrderSubgraph, availability: str) -> RiskScore:
        """Score one order.

        Raises:
            Invalid: If the model has no such availability class; the class is named.
        """
        scale = calibration_of(self._classes, availability)
        offset, thresholds = scale.offset, scale.thresholds
        hits = (self._matrix <= subgraph.components).view(np.uint8)
        bins = np.add.reduce(hits, axis=0, dtype=np.uint8).astype(np.intp)
        ends = bins.take(_ENDS)
        a, b = ends[:_PAIR_COUNT], ends[_PAIR_COUNT:]
        a *= WIDTH
        a += b
        a += _PAIR_OFFSET
        bins += _OWN_OFFSET
        component_terms, pair_terms = self._flat.take(bins), self._flat.take(a)
        logit = offset + float(np.add.reduce(component_terms)) + float(np.add.reduce(pair_terms))
        return RiskScore(
            availability, offset, logit, _probability(logit), thresholds, component_terms, pair_terms
        )

    def score_batch(
        self, components: NDArray[np.float32], availability: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score many orders.

        Args:
            components: float32[N, 259], NaN where absent.
            availability: Availability class of each order, object[N].

        Returns:
            Logits float64[N] and probabilities float64[N].

        Raises:
            Invalid: If an availability class is unknown; the class is named.
        """
        logit = class_offsets(self.card, availability)
        logit += table_logits(self._flat, self.tables.edges, components)
        return logit, sigmoid(logit)


def table_logits(
    flat: NDArray[np.float64], edges: BinEdges, components: NDArray[np.float32] | NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Sum of all table terms, float64[N], of components float32[N, 259] or their bins uint8; no offset."""
    layout = edges.layout
    out = np.empty(len(components), dtype=np.float64)
    for start in range(0, len(components), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        bins = edges.of_rows(components[part]).astype(np.intp)
        out[part] = flat.take(bins + layout.own_offset).sum(axis=1)
        cells = bins[:, layout.pair_a] * WIDTH + bins[:, layout.pair_b] + layout.pair_offset
        out[part] += flat.take(cells).sum(axis=1)
    return out


def class_offsets(card: Card, availability: NDArray[np.object_]) -> NDArray[np.float64]:
    """Offset of each order's class, float64[N].

    Raises:
        Invalid: If a class is unknown; the class is named.
    """
    names, place = np.unique(availability.astype(str), return_inverse=True)
    offsets = np.array([calibration_of(card.classes, str(n)).offset for n in names], dtype=np.float64)
    return np.asarray(offsets[place], dtype=np.float64)


def sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability float64[N] of logits, without overflow."""
    small = np.exp(-np.abs(logit))
    return np.asarray(np.where(logit >= 0, 1.0, small) / (1.0 + small), dtype=np.float64)


def write_model(folder: Path | str, tables: Tables, card: Card) -> Card:
    """Write a model; an open model and a crash half way are both safe.

    Each file is replaced in one step, the card last, so that a reader sees a whole model or one
    whose digests do not fit, which it refuses.

    Returns:
        The card as stored, with layout and digests.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".npy", delete=False) as file:
        np.save(file, tables.flat(), allow_pickle=False)
    digest = hashlib.sha256(Path(file.name).read_bytes()).hexdigest()
    settle(Path(file.name), folder / TABLES_FILE)
    sealed = card.sealed({TABLES_FILE: digest}, _layout(tables))
    write_card(folder, sealed)
    return sealed


def write_card(folder: Path, card: Card) -> None:
    """Replace ``card.json`` in one step."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".json", delete=False) as file:
        file.write(card_text(card))
    settle(Path(file.name), folder / CARD_FILE)


def settle(temporary: Path, final: Path) -> None:
    """Flush a finished temporary file and move it into place."""
    flush(temporary)
    temporary.chmod(0o644)
    temporary.replace(final)


def flush(path: Path) -> None:
    """Have a file on the disk before anything points to it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def check_file(path: Path, card: Card) -> None:
    """Compare a model file with the digest on its card.

    Raises:
        ModelUnavailable: If it is missing or its digest differs.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as missing:
        raise ModelUnavailable(f"{path}: the file is missing") from missing
    except OSError as wrong:
        raise ModelUnavailable(f"{path}: cannot be read ({wrong.strerror})") from wrong
    if digest != card.files.get(path.name):
        raise ModelUnavailable(f"{path}: truncated or altered (its SHA-256 is not the one on the card)")


def _layout(tables: Tables) -> dict[str, Any]:
    layout = tables.edges.layout
    names = layout.components
    return {
        "bins": MAX_BINS,
        "components": list(names),
        "edges": [[float(e) for e in edges] for edges in tables.edges.inner],
        "pairs": [[names[a], names[b]] for a, b in zip(layout.pair_a, layout.pair_b, strict=True)],
        "F": {"start": 0, "shape": [len(names), WIDTH]},
        "G": {"start": layout.own_size, "shape": [len(layout.ends), WIDTH, WIDTH]},
    }


def _tables(card: Card, flat: NDArray[np.float64], folder: Path) -> Tables:
    """Views of the vector as tables, checked against the layout of the card."""
    path = folder / TABLES_FILE
    if flat.dtype != np.float64 or flat.shape != (_CATALOG.size,):
        raise ModelUnavailable(
            f"{path}: got {flat.dtype}{list(flat.shape)}, expected float64[{_CATALOG.size}]"
        )
    own = flat[: _CATALOG.own_size].reshape(-1, WIDTH)
    pairs = flat[_CATALOG.own_size :].reshape(-1, WIDTH, WIDTH)
    try:
        edges = BinEdges.of(card.layout["edges"])
        tables = Tables(edges, own, pairs)
    except (KeyError, TypeError) as wrong:
        raise ModelUnavailable(f"{folder / CARD_FILE}: the layout has no usable bin edges") from wrong
    except ValueError as wrong:
        raise ModelUnavailable(f"{path}: {wrong}") from wrong
    if dict(card.layout) != _layout(tables):
        raise ModelUnavailable(f"{folder / CARD_FILE}: the layout is not that of this installation")
    return tables


def _probability(logit: float) -> float:
    small = math.exp(-abs(logit))
    return (1.0 if logit >= 0 else small) / (1.0 + small)
