"""What compliance and reviewers read beyond the subject's report (tier 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import FAMILIES, catalog
from riskgraph.core.report import CLOSED_FORM, Attribution
from riskgraph.core.subgraph import State
from riskgraph.explainers.accuracy import fidelity, stability
from riskgraph.explainers.consent import without_consent_data
from riskgraph.explainers.sections import TAG, View, family
from riskgraph.explainers.shapley import REFERENCE
from riskgraph.explainers.texts import table
from riskgraph.explainers.trajectories import baseline
from riskgraph.explainers.values import label, spaced, value_text
from riskgraph.explainers.withheld import withheld_from_subject

TOP_NODES = 20
_FAMILY = np.array([list(FAMILIES).index(node.family) for node in catalog()])


def compliance(view: View, attribution: Attribution | None) -> dict[str, Any]:
    """Scores, contributions, path and versions (GDPR Art. 5(2), 30, 35; PIPL Art. 51, 54-56)."""
    record, facts = view.record, view.record.score
    return {
        "score": None if attribution is None else score(view),
        "attribution": None if attribution is None else contributions(view, attribution),
        "stability": None if attribution is None else stability(attribution),
        "fidelity": None if attribution is None else fidelity(view, attribution),
        "optional_data": None if attribution is None else without_consent_data(view, attribution),
        "path": list(facts["path"]),
        "context": facts["context"],
        "degraded_cause": facts["degraded_cause"],
        "nodes": nodes(view, attribution),
        "blind_spots": blind_spots(view),
        "entity_context": [
            {"kind": kind, "pseudonym": tag} for kind, tag in sorted(record.order["entities"].items())
        ],
        "versions": dict(record.versions),
        "model": model(view),
        "baseline": baseline(view),
        "assessments": {
            key: view.merchant.text(f"assessment.{key}", view.lang) for key in ("dpia_ref", "pipia_ref")
        },
        "review_log": [dict(entry) for entry in view.after.log],
        "withheld_from_subject": withheld_from_subject(view),
        "merchant_problems": view.merchant.problems(),
    }


def model(view: View) -> dict[str, Any] | None:
    """Where the model comes from: releases, certificates, promotions (GDPR Art. 30; PIPL Art. 55).

    None where the model that decided is not at hand any more.
    """
    card = view.standing.model
    if card is None:
        return None
    return {
        **{key: card[key] for key in ("name", "kind", "provenance", "created")},
        "releases": [
            {
                "release_id": release["release_id"],
                "k": release.get("k"),
                "min_units": (release.get("certificate") or {}).get("min_units"),
                "until": (card.get("window", {}).get(release["release_id"]) or {}).get("until"),
            }
            for release in card.get("releases", ())
        ],
        "limits": [limit(text, view.lang) for text in card.get("limits", ())],
        "approvals": [dict(entry) for entry in view.standing.approvals],
    }


def limit(text: str, lang: str) -> dict[str, str]:
    """A limit from a card, which is English; in Chinese where it is one of those that models share."""
    known = {row["en"]: row["zh"] for row in table("texts")["card_limits"].values()}
    if lang == "zh" and text in known:
        return {"text": known[text], "lang": TAG["zh"]}
    return {"text": text, "lang": TAG["en"]}


def score(view: View) -> dict[str, Any]:
    facts = view.record.score
    keys = ("availability", "offset", "logit", "probability")
    return {**{key: facts[key] for key in keys}, "thresholds": dict(facts["thresholds"])}


def contributions(view: View, attribution: Attribution) -> dict[str, Any]:
    """Values on the logit, by which method and with which error (GDPR Art. 5(2); PIPL Art. 24(1), 51)."""
    groups = np.bincount(_FAMILY, weights=attribution.phi, minlength=len(FAMILIES))
    pairs = catalog().pairs
    return {
        "method": method_text(view, attribution),
        "method_id": attribution.how.method,
        "reference_id": REFERENCE,
        "base_value": view.record.score["offset"],
        "value": view.record.score["logit"],
        "additivity_gap": attribution.gap,
        "seed": attribution.how.seed,
        "evaluations": attribution.how.evaluations,
        "error": None if attribution.how.error is None else errors(attribution.how.error),
        "group_phi": [
            {"family": code, "label": family(code, view.lang), "phi": float(groups[i])}
            for i, code in enumerate(FAMILIES)
        ],
        "pair_phi": [
            {
                "nodes": [catalog().nodes[pairs[i].a].id, catalog().nodes[pairs[i].b].id],
                "types": list(pairs[i].types),
                "g": float(attribution.pairs[i]),
            }
            for i in np.argsort(-np.abs(attribution.pairs), kind="stable").tolist()
            if attribution.pairs[i] != 0.0
        ],
        "top_nodes": [
            catalog().nodes[i].id
            for i in np.argsort(-np.abs(attribution.phi), kind="stable")[:TOP_NODES].tolist()
            if attribution.phi[i] != 0.0
        ],
    }


def method_text(view: View, attribution: Attribution) -> str:
    """The method in words; exact ones say so, an estimate says how far off it may be."""
    largest = 0.0 if attribution.how.error is None else float(attribution.how.error.max())
    return view.say(
        f"method.{attribution.how.method}",
        seed=attribution.how.seed,
        evaluations=attribution.how.evaluations,
        error=f"{largest:.1e}" if largest else "0",
    )


def errors(error: NDArray[np.float64]) -> dict[str, Any]:
    """Standard errors of the estimated contributions, the largest first."""
    ranked = [i for i in np.argsort(-error, kind="stable").tolist() if error[i] > 0.0]
    return {
        "largest": float(error.max()),
        "nodes": [{"node": catalog().nodes[i].id, "standard_error": float(error[i])} for i in ranked],
    }


def nodes(view: View, attribution: Attribution | None) -> list[dict[str, Any]]:
    """All 137 nodes: state, value, contribution, class and basis (GDPR Art. 30; PIPL Art. 54)."""
    rows = []
    # Only a sum of terms has terms: elsewhere a node counts for what it adds to the others.
    own = attribution.own if attribution and attribution.how.method == CLOSED_FORM else None
    for node in catalog():
        state, value = view.subgraph.state(node.id), view.subgraph.value(node.id)
        shown = None if value is None else spaced(value_text(node, value, view.lang, exact=True), view.lang)
        rows.append(
            {
                "node": node.id,
                "name": node.name,
                "label": label(node, view.lang),
                "family": node.family,
                "state": state.word,
                "value": shown,
                "phi": None if attribution is None else float(attribution.phi[node.index]),
                "own": None if own is None else float(own[node.index]),
                "pipl_class": node.pipl_class,
                "basis": [node.lawful_basis(j) for j in view.jurisdictions],
            }
        )
    return rows


def blind_spots(view: View) -> list[dict[str, Any]]:
    """Nodes that nothing delivered, by source: what the decision could not see.

    ``connected`` tells a source that this merchant delivers at all from one that it never does.
    """
    connected = view.merchant.get("delivered_sources") or []
    missing: dict[str, list[str]] = {}
    for node in catalog():
        if view.subgraph.state(node.id) is State.NOT_DELIVERED:
            missing.setdefault(node.source, []).append(node.id)
    return [
        {
            "source": source,
            "text": view.say(f"source.{source}"),
            "connected": source in connected,
            "nodes": ids,
        }
        for source, ids in missing.items()
    ]
