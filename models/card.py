"""The model card: what a model is, where it comes from, how it was calibrated, what it is not for."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from riskgraph.core.canonical import canonical_json
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, ModelUnavailable
from riskgraph.core.verdict import Thresholds
from riskgraph.models.kinds import COMPILED, CONSTRAINED

CARD_FILE = "card.json"
CARD_SCHEMA = "model_card/1"
PROVENANCES = ("simulated", "merchant")
PHASES = ("pre_auth", "post_auth")
SOURCES = ("front_end", "no_front_end", "refused")
AVAILABILITY_CLASSES = tuple(f"{phase}/{source}" for phase in PHASES for source in SOURCES)
LIMITS = (
    "The score is one input of a decision with human review; it is not a finding about a person.",
    "A node that is absent adds exactly zero; fewer nodes mean less evidence, not innocence.",
)
HELD_OUT_LIMIT = (
    "Figures on held-out rows say that training went well, and no more: those rows are drawn from the same "
    "groups as the rows trained on, and decided when to stop and where thresholds lie. How much "
    "fraud the model finds, and how many honest orders it stops, only a backtest says."
)
SIMULATED_LIMIT = (
    "Trained on simulated orders. Not for enforcing on real shoppers: it may only observe until a "
    "model trained on the merchant's own release is promoted."
)

PLAYER_LIMIT = (
    "An absent node gets no share of the score, but this kind learns from which nodes are there as well as "
    "from their values; fewer nodes mean less evidence, not innocence."
)
FREE_LIMIT = (
    "The catalogue's demands (directions of nodes, nodes that may not raise the score alone, the neutrality "
    "of consent) bind the kinds order2 and additive only; this kind need not keep them."
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Offset and thresholds of one availability class, and in words how they were obtained."""

    offset: float
    thresholds: Thresholds
    how: str


@dataclass(frozen=True)
class Card:
    """Contents of ``card.json`` (contracts, section 6).

    Attributes:
        kind: One of :data:`riskgraph.models.kinds.KINDS`: lookup tables that are explained exactly, trees
            (``gbdt`` exactly, leaf by leaf), or a deep network.
        provenance: ``simulated`` or ``merchant``; follows from the releases.
        created: ISO 8601, UTC.
        releases: Per release id, digests, k and certificate minima.
        window: Training window in the words of the releases.
        recipe: Seed, epochs and hyperparameters.
        metrics: Figures on released rows held out from training, of the same groups as those trained
            on: no measure of new orders.
        classes: One :class:`Calibration` per availability class.
        layout: Where what lies in the model file.
        files: SHA-256 of each other file of the model.
    """

    name: str
    version: str
    kind: str
    provenance: str
    created: str
    classes: Mapping[str, Calibration]
    releases: Sequence[Mapping[str, Any]] = ()
    window: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    limits: Sequence[str] = LIMITS
    layout: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    catalog_version: str = field(default_factory=lambda: catalog().version)
    catalog_sha256: str = field(default_factory=lambda: catalog().sha256)

    def to_json(self) -> dict[str, Any]:
        """The card as it is stored, without its own digest."""
        classes = {
            name: {
                "offset": c.offset,
                "review": c.thresholds.review,
                "reject": c.thresholds.reject,
                "how": c.how,
            }
            for name, c in self.classes.items()
        }
        return {
            "schema": CARD_SCHEMA,
            "name": self.name,
            "version": self.version,
            "kind": self.kind,
            "provenance": self.provenance,
            "created": self.created,
            "catalog": {"version": self.catalog_version, "sha256": self.catalog_sha256},
            "releases": [dict(r) for r in self.releases],
            "window": dict(self.window),
            "recipe": dict(self.recipe),
            "metrics": dict(self.metrics),
            "classes": classes,
            "limits": list(self.limits),
            "layout": dict(self.layout),
            "sha256": dict(self.files),
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical card; it covers the model file through its digest."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()

    @property
    def versions(self) -> dict[str, str]:
        return {"model": self.name, "model_sha256": self.digest}

    def sealed(self, files: Mapping[str, str], layout: Mapping[str, Any]) -> Card:
        """The same card with file digests, beside those that it has, and layout filled in."""
        return replace(self, files={**self.files, **files}, layout=layout)


def limits_of(kind: str) -> tuple[str, ...]:
    """What holds of every model of a kind."""
    first = LIMITS if kind in COMPILED else (LIMITS[0], PLAYER_LIMIT)
    return first if kind in CONSTRAINED else (*first, FREE_LIMIT)


def calibration_of(classes: Mapping[str, T], availability: str) -> T:
    """Look an availability class up.

    Raises:
        Invalid: If the model has no such class; the class is named.
    """
    try:
        return classes[availability]
    except KeyError:
        known = ", ".join(classes)
        raise Invalid(
            f"unknown availability class {availability!r}; the model knows {known}", field="availability"
        ) from None


def read_card(folder: Path) -> Card:
    """Read and check ``card.json``.

    Raises:
        ModelUnavailable: If it is missing, unreadable, incomplete, altered, or made for another
            catalogue; the message names the file and what is wrong.
    """
    path = folder / CARD_FILE
    data = _read_json(path)
    try:
        card = _parse(data)
    except KeyError as missing:
        raise ModelUnavailable(f"{path}: the field {missing} is missing") from missing
    except (TypeError, ValueError, AttributeError, Invalid) as wrong:
        raise ModelUnavailable(f"{path}: {wrong}") from wrong
    try:
        digest = card.digest
    except (TypeError, ValueError, RecursionError) as wrong:
        raise ModelUnavailable(f"{path}: has no canonical form ({wrong})") from wrong
    # Over the parsed card: a card that was only laid out anew is still the same card.
    if data.get("card_sha256") != digest:
        raise ModelUnavailable(f"{path}: the card was altered after it was written (digest mismatch)")
    # Bins and tables go by position: a model for other nodes would score nonsense without an error.
    known = catalog()
    for what, got, expected in (
        ("version", card.catalog_version, known.version),
        ("digest", card.catalog_sha256, known.sha256),
    ):
        if got != expected:
            raise ModelUnavailable(
                f"{path}: made for catalogue {what} {got}, this installation has {expected}; train again"
            )
    return card


def card_text(card: Card) -> bytes:
    """The bytes of ``card.json``, digest included."""
    data = {**card.to_json(), "card_sha256": card.digest}
    return (json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as missing:
        raise ModelUnavailable(
            f"{path}: the file is missing; train a model or name another folder"
        ) from missing
    except OSError as wrong:
        raise ModelUnavailable(f"{path}: cannot be read ({wrong.strerror})") from wrong
    except (ValueError, RecursionError) as wrong:
        raise ModelUnavailable(f"{path}: truncated or not JSON ({wrong})") from wrong
    if not isinstance(data, dict):
        raise ModelUnavailable(f"{path}: not a JSON object")
    return data


def _parse(data: Mapping[str, Any]) -> Card:
    if data["schema"] != CARD_SCHEMA:
        raise ValueError(f"schema is {data['schema']!r}, expected {CARD_SCHEMA!r}")
    # Whatever is not simulated counts as a merchant's own, so a word spelt otherwise must not pass.
    if data["provenance"] not in PROVENANCES:
        raise ValueError(f"provenance is {data['provenance']!r}, expected {' or '.join(PROVENANCES)}")
    return Card(
        name=_typed(data, "name", str),
        version=_typed(data, "version", str),
        kind=_typed(data, "kind", str),
        provenance=_typed(data, "provenance", str),
        created=_typed(data, "created", str),
        classes={name: _calibration(name, c) for name, c in _typed(data, "classes", dict).items()},
        releases=_typed(data, "releases", list),
        window=_typed(data, "window", dict),
        recipe=_typed(data, "recipe", dict),
        metrics=_typed(data, "metrics", dict),
        limits=_typed(data, "limits", list),
        layout=_typed(data, "layout", dict),
        files=_typed(data, "sha256", dict),
        catalog_version=data["catalog"]["version"],
        catalog_sha256=data["catalog"]["sha256"],
    )


def _typed(data: Mapping[str, Any], key: str, kind: type) -> Any:
    value = data[key]
    if not isinstance(value, kind):
        raise ValueError(f"{key} is {type(value).__name__}, expected {kind.__name__}")
    return value


def _calibration(name: str, data: Mapping[str, Any]) -> Calibration:
    if name not in AVAILABILITY_CLASSES:
        raise ValueError(f"unknown availability class {name!r}")
    offset = float(data["offset"])
    if not math.isfinite(offset):
        raise ValueError(f"the offset of {name} is not finite")
    return Calibration(offset, Thresholds(float(data["review"]), float(data["reject"])), str(data["how"]))
