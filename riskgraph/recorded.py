"""Finding the versions that a stored decision names: model, tree, catalogue and the merchant's profile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from riskgraph.core.baseline import Baseline
from riskgraph.core.baseline_view import BaselineView
from riskgraph.core.canonical import canonical_json
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Conflict, ModelUnavailable
from riskgraph.core.report import DecisionReport
from riskgraph.core.verdict import DecisionTree
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.models import load_model
from riskgraph.models.card import CARD_FILE, read_card
from riskgraph.models.reference import read_reference
from riskgraph.models.registry import Champion
from riskgraph.ports import Scorer

NONE = "none"


@dataclass(frozen=True, slots=True)
class Given:
    """Where old versions lie that are no longer in their place; None: look only there."""

    model: Path | None = None
    tree: Path | None = None
    merchant: Path | None = None
    baseline: Path | None = None


def recorded_model(versions: Mapping[str, str], places: Iterable[Path]) -> tuple[Scorer, Path] | None:
    """The model with the recorded digest and its folder; None if the decision was made without one.

    Args:
        versions: As recorded with the decision.
        places: Model folders to look at, and folders that hold model folders.

    Raises:
        Conflict: If none of them has that digest, or the one that has is damaged or for another catalogue.
    """
    if versions["model"] == NONE:
        return None
    sought, why = versions["model_sha256"], "no models folder has it"
    for folder in _folders(places):
        with suppress(ModelUnavailable):
            # A damaged card of another model is no reason to stop looking.
            if read_card(folder).digest != sought:
                continue
            try:
                return load_model(folder), folder
            except ModelUnavailable as wrong:
                why = wrong.message
    raise missing("model", f"model {versions['model']} with digest {sought[:12]}…, {why}")


def recorded_view(
    record: DecisionReport, folder: Path | None, places: Iterable[Path | None]
) -> BaselineView | None:
    """The view by the recorded baseline; None if the decision was made without.

    Args:
        record: As stored with the decision.
        folder: Of the model that decided; None where none did.
        places: Files of baselines to look at, beside the model's own.

    Raises:
        Conflict: If the merchant's baseline or the model's reference is not among them.
    """
    sought = record.versions.get("baseline")
    if sought is None:
        return None
    reference = None if folder is None else read_reference(folder, read_card(folder))
    told = record.score.get("baseline", {"abstains": True})
    known = NONE if reference is None else reference.baseline_id
    if told.get("reference", known) != known:
        raise missing("model", f"the reference baseline {told['reference'][:12]}… of its model")
    if sought == NONE:
        return BaselineView(None, reference)
    near = [Baseline.load(path) for path in places if path is not None]
    for found in [*near, *([reference] if reference else [])]:
        if found.baseline_id == sought:
            return BaselineView(found, reference, abstain=told["abstains"])
    raise missing("baseline", f"baseline {sought[:12]}…")


def _folders(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if (place / CARD_FILE).is_file():
            yield place
        yield from sorted(card.parent for card in place.glob(f"*/{CARD_FILE}"))


def recorded_tree(versions: Mapping[str, str], trees: Sequence[DecisionTree]) -> DecisionTree:
    """The tree with the recorded digest.

    Raises:
        Conflict: If it is not among them.
    """
    for tree in trees:
        if tree.sha256 == versions["tree_sha256"]:
            return tree
    raise missing("tree", f"tree {versions['tree']} with digest {versions['tree_sha256'][:12]}…")


def recorded_profile(versions: Mapping[str, str], profiles: Sequence[MerchantProfile]) -> MerchantProfile:
    """The merchant.toml with the recorded digest: what it says decides the action.

    Raises:
        Conflict: If it is not among them.
    """
    for profile in profiles:
        if policy_digest(profile) == versions["policy"]:
            return profile
    raise missing("merchant", f"the merchant.toml with digest {versions['policy']}")


def policy_digest(profile: MerchantProfile) -> str:
    """Digest of a merchant's profile: what the reports state is versioned too."""
    return hashlib.sha256(canonical_json(profile.data)).hexdigest()[:12]


def check_catalog(recorded: str) -> None:
    """Node values mean something in their catalogue only.

    Raises:
        Conflict: If the decision was made under another one.
    """
    if recorded != catalog().version:
        raise Conflict(
            f"the decision was made under catalogue {recorded}, this installation has {catalog().version}: "
            "replay it where that catalogue is installed",
            field="versions.catalog",
            code="version_missing",
        )


def enforced_for(promotions: Sequence[Champion], model_sha256: str, issued_at: str) -> frozenset[str]:
    """Merchants that a model was promoted to enforce for by then (ISO 8601, UTC).

    Promotions gone back from by then are among them: what a service started with it serves until its end, and
    when it started no record says.
    """
    return frozenset(
        merchant
        for entry in promotions
        if entry.model_sha256 == model_sha256 and entry.at[:19] <= issued_at[:19]
        for merchant in entry.merchants
    )


def missing(what: str, said: str) -> Conflict:
    """The error for a recorded version that cannot be found."""
    told = f"what decided is not there any more: {said}; riskgraph report replay takes it with --{what}"
    return Conflict(told, field=f"versions.{what}", code="version_missing")
