"""The reference baseline of a model: that of the releases that it was trained on, beside its card.

Training rows of a release are seen by the release's own baseline against it, as orders are when the model
serves; so bins, tables and thresholds are all on one scale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.baseline import BASELINE_FILE, DEVICE_NODE, Baseline
from riskgraph.core.baseline_view import BaselineView, Views, devices_of
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import OrderScore, Scale, Thresholds
from riskgraph.models.card import Card, read_card
from riskgraph.models.compiled import check_file
from riskgraph.ports import TrainingColumns

if TYPE_CHECKING:
    from riskgraph.models import Model

_DEVICE = catalog().component_index[f"{DEVICE_NODE}.value"]


def write_reference(folder: Path, reference: Baseline, card: Card) -> Card:
    """Put a reference into a model's folder before the model; returns the card that vouches for it."""
    folder.mkdir(parents=True, exist_ok=True)
    data = reference.to_bytes()
    (folder / BASELINE_FILE).write_bytes(data)
    files = {**card.files, BASELINE_FILE: hashlib.sha256(data).hexdigest()}
    return replace(card, files=files)


def read_reference(folder: Path, card: Card) -> Baseline | None:
    """The reference of a model; None for one that was trained without.

    A file that the card does not name is taken as well, by its own id: made of the same releases later.

    Raises:
        ModelUnavailable: If the card names one, and it is not there or was altered; or a file is no baseline.
    """
    path = folder / BASELINE_FILE
    if BASELINE_FILE in card.files:
        check_file(path, card)
    elif not path.is_file():
        return None
    try:
        return Baseline.load(path)
    except Invalid as wrong:
        raise ModelUnavailable(wrong.message) from wrong


def trained_by(card: Card) -> bool:
    """Whether the model saw its training rows by its reference, and so nothing that is not calibrated."""
    return BASELINE_FILE in card.files


def views_in_force(
    card: Card,
    reference: Baseline | None,
    configured: Path | None,
    simulated: bool,
    merchants: Iterable[str] = (),
) -> Views:
    """How a model sees the orders of an installation's merchants, each by a baseline of its own shoppers.

    In force is the configured baseline, for those that it names; for others, where the model was trained
    on merchants' own releases, the model's reference, for those that it or the promotion names; else none,
    and no trajectory node is seen. A simulated shop goes by either, whatever its id is.

    Args:
        card: The model's.
        reference: The baseline that the model was trained by.
        configured: File of the merchants' baseline, ``RISKGRAPH_BASELINE``.
        simulated: Whether the merchant is.
        merchants: For whom the model was promoted, or is measured.

    Raises:
        Invalid: If a baseline is configured and cannot be read, or names no merchant.
    """
    chosen = None if configured is None else _configured(configured, simulated)
    if simulated:
        if chosen is not None:
            return Views(BaselineView(chosen, reference))
        # Nobody stands behind it, so a model may see there whatever it was trained on.
        abstain = trained_by(card)
        return Views() if reference is None else Views(BaselineView(reference, reference, abstain=abstain))
    named: dict[str, BaselineView] = {}
    if reference is not None and card.provenance == "merchant":
        named |= dict.fromkeys([*reference.merchants, *merchants], BaselineView(reference, reference))
    if chosen is not None:
        named |= dict.fromkeys(chosen.merchants, BaselineView(chosen, reference))
    return Views(BaselineView(None, reference), named)


def _configured(path: Path, simulated: bool) -> Baseline:
    try:
        chosen = Baseline.load(path)
    except Invalid as wrong:
        raise Invalid(wrong.message, field="RISKGRAPH_BASELINE") from wrong
    if not simulated and not chosen.merchants:
        told = f"{path} names no merchant: make it again, riskgraph sandbox baseline --merchant ID"
        raise Invalid(told, field="RISKGRAPH_BASELINE")
    return chosen


def views_of(folder: Path, configured: Path | None, simulated: bool, merchants: Iterable[str] = ()) -> Views:
    """The same for a model that lies in a folder.

    Raises:
        ModelUnavailable: If its reference is damaged.
        Invalid: If a baseline is configured and cannot be read, or names no merchant.
    """
    card = read_card(folder)
    return views_in_force(card, read_reference(folder, card), configured, simulated, merchants)


def open_seeing(
    folder: Path, configured: Path | None, simulated: bool, merchants: Sequence[str] = ()
) -> Model:
    """A model that looks at what is stored by the baseline in force; raises what loading and viewing do.

    Args:
        folder: The model's.
        configured: File of the merchants' baseline.
        simulated: Whether the merchants are.
        merchants: Whose orders it looks at; an order that it is shown names none.

    Raises:
        Invalid: Also if the baseline holds for some of these merchants only.
    """
    from riskgraph.models import load_model

    model, views = load_model(folder), views_of(folder, configured, simulated, merchants)
    view, *others = {id(view): view for view in map(views.of, merchants or [""])}.values()
    if others:
        told = "the baseline holds for some of these merchants only: take one at a time, --merchant ID"
        raise Invalid(told, field="RISKGRAPH_BASELINE")
    return model if view is None else SeeingModel(model, view)


class SeenColumns:
    """Training rows of one release, as the model will see orders."""

    def __init__(self, rows: TrainingColumns, own: Baseline, reference: Baseline) -> None:
        self._rows, self._view = rows, BaselineView(own, reference)

    @cached_property
    def _devices(self) -> NDArray[np.intp]:
        return devices_of(self._rows.columns(slice(_DEVICE, _DEVICE + 1))[:, 0])

    def columns(self, part: slice) -> NDArray[np.float32]:
        return self._view.see_columns(self._rows.columns(part), part, self._devices)

    @property
    def availability(self) -> NDArray[np.object_]:
        return self._rows.availability

    @property
    def label(self) -> NDArray[np.int8]:
        return self._rows.label

    @property
    def weight(self) -> NDArray[np.float64]:
        return self._rows.weight

    @property
    def cluster(self) -> NDArray[np.int32]:
        return self._rows.cluster


def seen_by_reference(
    sources: Sequence[TrainingColumns], own: Sequence[Baseline], reference: Baseline
) -> list[TrainingColumns]:
    """Each release's rows by its own baseline against the pooled one."""
    return [SeenColumns(rows, baseline, reference) for rows, baseline in zip(sources, own, strict=True)]


class SeeingModel:
    """A model that is shown what is stored and looks at it by a merchant's baseline."""

    def __init__(self, model: Model, view: BaselineView) -> None:
        self._model, self._view = model, view

    @property
    def card(self) -> Card:
        return self._model.card

    @property
    def versions(self) -> dict[str, str]:
        return self._model.versions

    @property
    def provenance(self) -> str:
        return self._model.provenance

    def thresholds(self, availability: str) -> Thresholds:
        return self._model.thresholds(availability)

    def scale(self, availability: str) -> Scale | None:
        return self._model.scale(availability)

    def score(self, subgraph: OrderSubgraph, availability: str) -> OrderScore:
        return self._model.score(self._view.see(subgraph), availability)

    def score_batch(
        self, components: NDArray[np.float32], availability: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        every = slice(0, components.shape[1])
        seen = self._view.see_columns(components, every, devices_of(components[:, _DEVICE]))
        return self._model.score_batch(seen, availability)
