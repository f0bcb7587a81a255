"""The compact report record that is committed with every decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.order import Order
from riskgraph.core.report import CLOSED_FORM, Attribution, Counterfactual, DecisionReport, Explained
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import OrderScore, Scale, Thresholds, Walk
from riskgraph.explainers.reasons import Chosen, choose_reasons
from riskgraph.explainers.shapley import pair_sums

PSEUDONYM_BYTES = 6
_NO_REASONS = Chosen((), (), 0.0)


def build_report(
    order: Order,
    subgraph: OrderSubgraph,
    *,
    walk: Walk,
    score: OrderScore | None,
    attribution: Attribution | None,
    decision_id: str,
    issued_at: str,
    action: str,
    mode: str,
    versions: Mapping[str, str],
    provenance: str,
    degraded_cause: str | None = None,
    context: str = "none",
    bare: Scale | None = None,
    parity: Mapping[str, Any] | None = None,
    counterfactual: Counterfactual | None = None,
    baseline: Mapping[str, Any] | None = None,
) -> DecisionReport:
    """Write the record from which every audience's report is rendered later.

    Without a score or an explanation the decision must be degraded, and says so. ``issued_at`` is
    ISO 8601 in UTC; ``action`` is what the checkout was told, which in observe mode differs from the
    leaf's; ``provenance`` is the model's; ``bare`` is the scale of orders without optional data;
    ``parity`` is what was on file, when the order was decided, about honest orders that refuse;
    ``counterfactual`` is left out where none was sought; ``baseline`` is what the model saw trajectories by.

    Raises:
        ValueError: If a verdict that is not degraded lacks its score or explanation.
    """
    facts = _verdict_facts(walk, action, mode, degraded_cause, context)
    chosen, phi, pairs = _NO_REASONS, b"", b""
    if degraded_cause is None:
        if score is None or attribution is None:
            raise ValueError("a verdict without score and explanation must be degraded")
        facts |= _score_facts(score, attribution, bare)
        if parity is not None:
            facts["parity"] = dict(parity)
        if baseline is not None:
            facts["baseline"] = dict(baseline)
        if counterfactual is not None:
            facts["counterfactual"] = _otherwise(counterfactual)
        chosen = choose_reasons(attribution, subgraph, walk.verdict)
        phi, pairs = _shares(attribution)
    packed, why = subgraph.pack(), (chosen.reasons, chosen.mitigating, chosen.other_share)
    order_facts, versions = _order_facts(order), dict(versions)
    return DecisionReport(
        decision_id, issued_at, order_facts, packed, facts, phi, pairs, *why, versions, provenance
    )


def _shares(attribution: Attribution) -> tuple[bytes, bytes]:
    """Contributions of nodes and pairs; a model without terms has none of pairs."""
    pairs = attribution.pairs.tobytes() if attribution.how.method == CLOSED_FORM else b""
    return attribution.phi.tobytes(), pairs


def _verdict_facts(
    walk: Walk, action: str, mode: str, degraded_cause: str | None, context: str
) -> dict[str, Any]:
    return {
        "verdict": str(walk.verdict),
        "action": action,
        "mode": mode,
        "path": list(walk.path),
        "degraded_cause": degraded_cause,
        "context": context,
    }


def _score_facts(score: OrderScore, attribution: Attribution, bare: Scale | None) -> dict[str, Any]:
    facts = {
        "availability": score.availability,
        "offset": score.offset,
        "logit": score.logit,
        "probability": score.probability,
        "thresholds": _thresholds(score.thresholds),
        "bare": None if bare is None else {"offset": bare.offset, "thresholds": _thresholds(bare.thresholds)},
        "gap": attribution.gap,
    }
    # Records of a sum of terms are as they were before there were other models.
    how = attribution.how
    return facts if how.method == CLOSED_FORM else facts | {"explained": _explained(how)}


def _otherwise(found: Counterfactual) -> dict[str, Any]:
    verdict = None if found.verdict is None else str(found.verdict)
    return {**asdict(found), "acts": list(found.acts), "verdict": verdict}


def _explained(how: Explained) -> dict[str, Any]:
    """How a model without terms was explained, and what only the model could have told later."""
    return {**asdict(how), "error": None if how.error is None else how.error.tolist()}


def _thresholds(thresholds: Thresholds) -> dict[str, float]:
    return {"review": thresholds.review, "reject": thresholds.reject}


def _order_facts(order: Order) -> dict[str, Any]:
    """Facts that the reports show; entities only as short pseudonyms (GDPR Art. 4(5), 5(1)(c))."""
    consent = order.consent
    return {
        "merchant_id": order.merchant_id,
        "order_id": order.order_id,
        "trace_id": order.trace_id,
        "channel_code": order.channel_code,
        "attempt": order.attempt,
        "phase": order.phase,
        "placed_at": order.placed_text,
        "amount": order.amount,
        "currency": order.currency,
        "jurisdiction": order.jurisdiction,
        "lang": order.lang,
        "entities": {kind: digest[:PSEUDONYM_BYTES].hex() for kind, digest in order.entities.items()},
        "consent": {
            "record_id": consent.record_id,
            "policy_version": consent.policy_version,
            "at": consent.at,
            "purposes": dict(consent.purposes),
        },
    }


def attribution_of(record: DecisionReport) -> Attribution | None:
    """The attribution stored in a record; None for a degraded decision."""
    if not record.phi:
        return None
    phi: NDArray[np.float64] = np.frombuffer(record.phi, dtype=np.float64)
    gap, told = float(record.score["gap"]), record.score.get("explained")
    if told is not None:
        error = None if told["error"] is None else np.array(told["error"])
        how = Explained(**{**told, "error": error})
        return Attribution(phi, phi, np.zeros(len(catalog().pairs)), gap, how)
    stored = np.frombuffer(record.pairs, dtype=np.float64)
    # A decision from before a pair was adopted knows nothing of it; adopted pairs stand last.
    pairs: NDArray[np.float64] = np.pad(stored, (0, len(catalog().pairs) - len(stored)))
    own = phi - 0.5 * pair_sums(pairs)
    return Attribution(phi, own, pairs, gap)
