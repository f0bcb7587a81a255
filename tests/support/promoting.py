"""Models that may be promoted, and backtests that they have passed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from riskgraph import bootstrap
from riskgraph.core.catalog import catalog
from riskgraph.core.verdict import DecisionTree
from riskgraph.eval.backtest import Origin
from riskgraph.models.card import Card, read_card
from riskgraph.settings import Settings
from tests.eval.backtest_toy import KNOWN_AT, Toy, ToyScorer, backtest, make_toy
from tests.models.helpers import random_card

RELEASE = {
    "release_id": "rel-1",
    "provenance": "merchant",
    "k": 50,
    "certificate": {"k": 50, "min_units": 50},
}


def released(**changes: Any) -> dict[str, Any]:
    """Fields of the card of a model of a merchant's own release."""
    return {"provenance": "merchant", "releases": [RELEASE]} | changes


def card_of_release(seed: int = 0, **changes: Any) -> Card:
    return replace(random_card(seed), **released(**changes))


def _many_persons() -> Toy:
    """A shop of so many persons, a third of the gangs so like honest people, that the curve has points."""
    toy = make_toy(16_000, gangs=1_200)
    components = toy.table.components.copy()
    components[toy.table.device % 3 == 0, catalog().component_index["B069.value"]] -= 5.0
    return replace(toy, table=replace(toy.table, components=components))


def passed_backtest(
    model: Path,
    out: Path,
    settings: Settings,
    *,
    provenance: str = "merchant",
    noise: float = 0.0,
    merchants: tuple[str, ...] = ("m-17",),
    **changes: Any,
) -> Path:
    """A signed report on toy orders, of the model in a folder; ``changes`` are of its trial."""
    toy, card = _many_persons(), read_card(model)
    scorer = ToyScorer(noise)
    scorer.versions, scorer.provenance = card.versions, card.provenance
    if provenance == "merchant":
        changes = {"truth": None} | changes
    tree: DecisionTree = bootstrap.load_tree(settings)
    origin = Origin(
        provenance, KNOWN_AT, tree_sha256=tree.sha256, trained_until=date(2026, 6, 30), merchants=merchants
    )
    given = {"scorer": scorer, "origin": origin, "signer": bootstrap.open_signer(settings)} | changes
    return backtest(toy, out, **given).path
