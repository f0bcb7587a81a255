"""What an authority, a court or an auditor reads beyond compliance (tier 3): enough to decide again."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import numpy as np

from riskgraph.core.catalog import catalog
from riskgraph.core.report import Attribution
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.sections import View
from riskgraph.explainers.shapley import REFERENCE


def authority(view: View, attribution: Attribution | None) -> dict[str, Any]:
    """Vector, reference order, digests and what a replay needs (GDPR Art. 5(2), 31, 58(1); PIPL Art. 63)."""
    return {
        "vector": vector(view.subgraph),
        "reference": reference(view),
        "hashes": hashes(view),
        "replay": replay(view, attribution),
    }


def vector(subgraph: OrderSubgraph) -> list[dict[str, Any]]:
    """All 137 nodes as they are stored: state and components, null where absent.

    The model saw trajectory nodes by the baseline that ``replay.versions`` names.
    """
    names, book = catalog().components, catalog()
    return [
        {
            "node": node.id,
            "state": subgraph.state(node.id).word,
            "components": {
                names[i]: None if np.isnan(subgraph.components[i]) else float(subgraph.components[i])
                for i in range(part.start, part.stop)
            },
        }
        for node, part in zip(book, book.component_slices, strict=True)
    ]


def reference(view: View) -> dict[str, Any]:
    """The order that contributions are measured against: every node absent."""
    return {
        "id": REFERENCE,
        "text": view.say("label.reference_text"),
        "subgraph_sha256": _sha256(OrderSubgraph.build({}, {}).pack()),
        "logit": view.record.score.get("offset"),
    }


def hashes(view: View) -> dict[str, str | None]:
    """SHA-256 of what was scored, of what was found, and of what decided."""
    record, versions = view.record, view.record.versions
    return {
        "subgraph": _sha256(record.subgraph),
        "phi": _sha256(record.phi) if record.phi else None,
        "pairs": _sha256(record.pairs) if record.pairs else None,
        "catalog": catalog().sha256,
        "model": versions.get("model_sha256") or None,
        "tree": versions.get("tree_sha256"),
        "baseline": _digest_or_none(versions.get("baseline")),
        "policy": versions.get("policy"),
    }


def _digest_or_none(baseline_id: str | None) -> str | None:
    return None if baseline_id == "none" else baseline_id


def replay(view: View, attribution: Attribution | None) -> dict[str, Any]:
    """Inputs of the decision, and what must come out of them again."""
    record, facts = view.record, view.record.score
    how = None if attribution is None else attribution.how
    return {
        "subgraph_base64": base64.b64encode(record.subgraph).decode(),
        "availability": facts.get("availability"),
        "context": facts["context"],
        "versions": dict(record.versions),
        "explanation": None
        if how is None
        else {"method": how.method, "seed": how.seed, "evaluations": how.evaluations},
        "expected": {
            **{key: facts[key] for key in ("verdict", "action", "mode")},
            **{key: facts.get(key) for key in ("logit", "probability")},
            "path": list(facts["path"]),
            "reasons": [reason.code for reason in record.reasons],
        },
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
