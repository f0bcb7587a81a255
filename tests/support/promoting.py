"""Models that may be promoted, and backtests that they have passed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from secrets import token_hex
from typing import Any

from riskgraph import bootstrap, promotion
from riskgraph.core.catalog import catalog
from riskgraph.core.verdict import DecisionTree
from riskgraph.eval.backtest import Origin
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.models.card import Card, read_card
from riskgraph.models.registry import Champion, champion
from riskgraph.pipeline import decide
from riskgraph.settings import Settings
from tests.eval.backtest_toy import KNOWN_AT, Toy, ToyScorer, backtest, make_toy
from tests.models.helpers import random_card, random_tree_model

REAL = MerchantProfile(dict(bootstrap.demo_profile().data) | {"provenance": "merchant"})
ORDER = Path(__file__).parents[1] / "golden/order.json"
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


class Case:
    """A model, its passed backtest on orders of m-17, and where it would be promoted."""

    def __init__(self, folder: Path) -> None:
        self.model, self.report = folder / "model", folder / "report"
        self.settings = Settings(home=folder / "home", deadline_ms=60_000)

    def make(self) -> None:
        random_tree_model(self.model, 3, **released())
        passed_backtest(self.model, self.report, self.settings)

    def promote(self, *merchants: str, **changes: Any) -> dict[str, Any]:
        given = {"model": self.model, "reports": [self.report]} | changes
        return promotion.promote(given["model"], "counsel", given["reports"], merchants, self.settings)

    def champion(self) -> Champion | None:
        return champion(self.settings.home / "models", bootstrap.open_verifier(self.settings))

    @property
    def folder(self) -> Path:
        entry = self.champion()
        assert entry is not None
        return self.settings.home / "models" / entry.folder

    @property
    def pointer(self) -> Path:
        return self.settings.home / "models/champion.json"

    def edit(self, **change: Any) -> None:
        """Change the last entry of the record."""
        data = json.loads(self.pointer.read_text())
        data["champions"][-1] |= change
        self.pointer.write_text(json.dumps(data))

    def report_of(self, *merchants: str) -> Path:
        return passed_backtest(
            self.model, self.report.with_name("-".join(merchants)), self.settings, merchants=merchants
        )

    def decide(self, profile: MerchantProfile = REAL, **changes: Any) -> tuple[str, str]:
        """Action and mode of an order of 99,999 CNY of m-17, unless ``changes`` say otherwise."""
        large = {"amount": {"value": "99999.00", "currency": "CNY"}, "order_id": token_hex(8)}
        body = json.loads(ORDER.read_text()) | large | changes
        service = bootstrap.open_service(self.settings, profile)
        given = {"key_id": "test", "idempotency_key": token_hex(8), "body_sha256": "0" * 64}
        try:
            decision = asyncio.run(decide(body, service.line, **given)).decision
        finally:
            service.close()
        return decision.action, decision.mode

    def problems(self) -> list[str]:
        """What keeps a real shop from being ready."""
        service = bootstrap.open_service(self.settings, REAL)
        service.close()
        return service.problems()

    def modes(self, *merchants: str) -> list[str]:
        """Mode of each merchant in a real shop that serves what was promoted."""
        service = bootstrap.open_service(self.settings, REAL)
        service.close()
        return [service.line.writer.mode(merchant) for merchant in merchants]
