"""Replaying stored decisions: finding their versions, and computing them again with these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import msgspec

from riskgraph import bootstrap
from riskgraph.core.baseline_view import Views
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import NotFound
from riskgraph.core.report import Counterfactual, DecisionReport
from riskgraph.core.verdict import Verdict
from riskgraph.explainers.acts import acts_sha256
from riskgraph.explainers.counterfactual import find_counterfactual
from riskgraph.explainers.games import explainer_of
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.models.registry import promotions, shipped_champion
from riskgraph.pipeline import Line
from riskgraph.recorded import (
    Given,
    check_catalog,
    enforced_for,
    recorded_model,
    recorded_profile,
    recorded_tree,
    recorded_view,
)
from riskgraph.replay import as_of_context, replay
from riskgraph.settings import Settings
from riskgraph.stores import SqliteStore
from riskgraph.writing import MerchantReportWriter

__all__ = ["Given", "replay_stored"]
_NOTHING = Given()


def replay_stored(
    store: SqliteStore,
    profile: MerchantProfile,
    settings: Settings,
    decision_id: str,
    merchant: str | None = None,
    given: Given = _NOTHING,
) -> dict[str, Any]:
    """Compute a stored decision again with the versions that it recorded.

    Args:
        store: Where it is on record.
        profile: The merchant's profile that serves.
        settings: Where models and tree lie.
        decision_id: Which one.
        merchant: The only merchant whose decisions may be seen; None for all.
        given: Where old versions lie now.

    Raises:
        NotFound: If this merchant has no such decision.
        Conflict: If a recorded version is not here any more.
    """
    found = store.read_record(decision_id)
    if found is None or merchant not in (None, found.merchant_id):
        raise NotFound(f"no decision {decision_id[:64]}", field="decision_id")
    check_catalog(msgspec.json.decode(found.answer)["versions"]["catalog"])
    result = replay(found.report, found.answer, _line(found.report, store, profile, settings, given))
    return {
        "decision_id": decision_id,
        "matches": not result.differences,
        "first_difference": asdict(result.differences[0]) if result.differences else None,
        "differences": len(result.differences),
        "same_bytes": result.same_bytes,
        "verdict": result.decision.verdict.value,
        "path": list(result.decision.path),
        "context": as_of_context(found.report),
        "counterfactual": _compared(found.report),
        "versions": {"catalog": catalog().version, **found.report.versions},
        "code": bootstrap.code_version(),
    }


def _line(
    record: DecisionReport, store: SqliteStore, profile: MerchantProfile, settings: Settings, given: Given
) -> Line:
    """The line as it stood; the door and the ledger are there, but nothing goes through them."""
    versions, folder = record.versions, bootstrap.models_folder(settings)
    near = [path for path in (given.model, settings.model) if path is not None]
    scorer, place = recorded_model(versions, [*near, shipped_champion(), folder]) or (None, None)
    views = Views(recorded_view(record, place, [given.baseline, settings.baseline]))
    paths = (given.tree, settings.tree, None)
    tree = recorded_tree(versions, [bootstrap.load_tree(replace(settings, tree=path)) for path in paths])
    older = [MerchantProfile.load(given.merchant)] if given.merchant else []
    profile = recorded_profile(versions, [*older, profile, bootstrap.demo_profile()])
    enforces = frozenset[str]()
    if scorer is None and record.score["mode"] == "enforce":
        # The record of promotions may be what was wrong, so the mode is taken as it was.
        enforces = frozenset({record.order["merchant_id"]})
    elif record.score["mode"] == "enforce" and not profile.simulated:
        history = promotions(folder, bootstrap.open_verifier(settings))
        enforces = enforced_for(history, versions["model_sha256"], record.issued_at)
    clock = bootstrap.SystemClock()
    # The file beside the model may have been measured anew since, so its facts are taken as they were.
    on_file = record.score.get("parity")
    parity = {} if on_file is None else {record.order["phase"]: on_file}
    return Line(
        door=bootstrap.simulated_door(),
        store=store,
        ledger=store,
        scorer=scorer,
        explainer=explainer_of(record, settings.permutation_pairs),
        tree=tree,
        writer=MerchantReportWriter(profile, tree, clock, scorer, enforces, parity, views),
        clock=clock,
        find_counterfactual=_finder(record),
        views=views,
    )


def _compared(record: DecisionReport) -> str:
    """Whether the counterfactual was sought again, or was of another table of acts and taken as stored."""
    stored = record.score.get("counterfactual")
    if stored is None:
        return "none"
    return "sought_again" if stored.get("table") == acts_sha256() else "as_stored"


def _finder(record: DecisionReport) -> Callable[..., Counterfactual | None] | None:
    """Sought again where it was, and in the same table of acts; of another table the stored one stands."""
    stored = record.score.get("counterfactual")
    if stored is None:
        return None
    if stored.get("table") == acts_sha256():
        return find_counterfactual
    verdict = None if stored["verdict"] is None else Verdict(stored["verdict"])
    kept = Counterfactual(**{**stored, "acts": tuple(stored["acts"]), "verdict": verdict})
    return lambda *_: kept
