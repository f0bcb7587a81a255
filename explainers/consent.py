"""The consent gate of a report: a refusal counted for nothing, and that is checked again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.order import PURPOSES
from riskgraph.core.report import Attribution
from riskgraph.core.subgraph import State
from riskgraph.explainers.parity import parity
from riskgraph.explainers.sections import View

_SCORED = frozenset(node.purpose for node in catalog() if node.consent_needed)
_CONSENT = np.array([node.consent_needed for node in catalog()])
_PAIR_ENDS = np.array([(p.a, p.b) for p in catalog().pairs])


def gate(view: View, attribution: Attribution | None) -> dict[str, Any]:
    """Statement on refusals, re-checked on the stored contributions, and the parity on file.

    GDPR Art. 7(4), 25; PIPL Art. 16; 必要个人信息范围规定 Art. 4. The subject reads which purposes
    were refused and that this counted for nothing; the refused nodes are listed for compliance only.
    """
    nodes = np.flatnonzero(view.subgraph.states == State.REFUSED)
    refused = refused_purposes(view)
    total = 0.0 if attribution is None else float(np.abs(touching(attribution, nodes)).sum())
    names = ("、" if view.lang == "zh" else ", ").join(view.say(f"purpose.{key}") for key in refused)
    own_scale = str(view.record.score.get("availability")).endswith("/refused")
    # Where no terms show that an absence adds zero, no more is said than holds of any model.
    model = "_joint" if "explained" in view.record.score else ""
    told = ("refused_class" if own_scale else "refused") + model
    told = told if attribution is not None else "refused_unscored"
    key = "broken" if total else told if refused else "nothing_refused"
    out: dict[str, Any] = {
        "refused_purposes": refused,
        "features": None,
        "added_zero": None if attribution is None else total == 0.0,
        "flipped": None if attribution is None else total != 0.0,
        "action": "person_decides" if total else "none",
        "statement": view.say(f"gate.{key}", purposes=names) if key == told else view.say(f"gate.{key}"),
        "checked": view.say(f"gate.check_{_checked(attribution is not None, bool(refused), total)}"),
        "parity": parity(view, refuses_data(view)),
    }
    if view.compliance:
        out["features"] = [catalog().nodes[int(i)].id for i in nodes]
        out["contribution_of_refused"] = total
    return out


def _checked(scored: bool, any_refused: bool, total: float) -> str:
    if not scored:
        return "none"
    return "failed" if total else "zero" if any_refused else "nothing"


def refused_purposes(view: View) -> list[str]:
    """Purposes refused as such, and those of single nodes that were (a permission denied at the device)."""
    purposes = view.record.order["consent"]["purposes"]
    nodes = np.flatnonzero(view.subgraph.states == State.REFUSED)
    denied = {catalog().nodes[int(i)].purpose for i in nodes}
    return [key for key in PURPOSES if purposes.get(key) is False or key in denied]


def refuses_data(view: View) -> bool:
    """Whether anything was refused that a score could have used; use for training is no such thing."""
    return not _SCORED.isdisjoint(refused_purposes(view))


def touching(attribution: Attribution, nodes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Own terms of the nodes and the pair terms that touch one of them."""
    pairs = attribution.pairs[np.isin(_PAIR_ENDS, nodes).any(axis=1)]
    return np.concatenate([attribution.own[nodes], pairs])


def without_consent_data(view: View, attribution: Attribution) -> dict[str, Any] | None:
    """The score had the shopper refused all optional data (PIPL Art. 16; GDPR Art. 7(4)).

    Every consent-based node is taken away, and the order is judged on the scale of such orders.
    Bands only, without the tree's gates: it answers whether optional data decided the outcome. None
    where the model knows no such scale.
    """
    facts = view.record.score
    bare = facts["bare"]
    if bare is None:
        return None
    # All trajectory nodes need consent, so what the model did not see of them it did not use.
    unseen = facts.get("baseline", {"unseen": ()})["unseen"]
    removed = attribution.how.optional
    if removed is None:
        removed = float(touching(attribution, np.flatnonzero(_CONSENT)).sum())
    logit = float(facts["logit"]) - float(facts["offset"]) - removed + float(bare["offset"])
    probability = 1.0 / (1.0 + float(np.exp(-logit)))
    word = band(probability, bare["thresholds"])
    return {
        "nodes_used": int((_CONSENT & view.subgraph.present).sum()) - len(unseen),
        "contribution": removed,
        "probability": probability,
        "band": word,
        "flips": word != band(float(facts["probability"]), facts["thresholds"]),
    }


def band(probability: float, thresholds: dict[str, float]) -> str:
    if probability >= thresholds["reject"]:
        return "reject"
    return "review" if probability >= thresholds["review"] else "accept"
