"""How far a report is to be trusted: error rates in words, limits of the model, fidelity of the reasons."""

from __future__ import annotations

from typing import Any

import numpy as np

from riskgraph.core.catalog import catalog
from riskgraph.core.report import CLOSED_FORM, Attribution
from riskgraph.explainers.consent import band, refuses_data, touching
from riskgraph.explainers.parity import of_many
from riskgraph.explainers.sections import View
from riskgraph.explainers.values import spaced

_COLUMN = {"front_end": "granted", "refused": "refused"}


def accuracy_and_limits(view: View) -> str:
    """Error rates and limits in words (GDPR Art. 5(1)(d), Recital 71; PIPL Art. 24(1)).

    The merchant's own statement comes first, if there is one. Rates are those on file for honest orders like
    this one; figures on rows held out from training are none.
    """
    if view.degraded:
        return view.say("accuracy.degraded")
    parts = [view.merchant.text("accuracy", view.lang) or view.say("accuracy.general")]
    parts += [error_rates(view), view.say("accuracy.no_finding"), view.say("accuracy.absent")]
    if view.record.provenance == "simulated":
        parts.append(view.say("accuracy.simulated"))
    return spaced(("" if view.lang == "zh" else " ").join(parts), view.lang)


def error_rates(view: View) -> str:
    """How many honest orders of this kind are stopped, where that was measured on new orders."""
    facts = view.record.score.get("parity")
    kind = str(view.record.score.get("availability")).rpartition("/")[2]
    column = _COLUMN.get(kind)
    # Orders that refuse a part only were not measured on their own.
    partly = kind == "front_end" and refuses_data(view)
    if facts is None or column is None or partly:
        return view.say("accuracy.no_rates")
    rejected, reviewed = (of_many(facts[key][column][0]) for key in ("rejected", "reviewed"))
    key = f"accuracy.rates_{facts['provenance']}"
    orders = f"{facts['honest']:,}"
    return view.say(key, date=facts["measured"], orders=orders, rejected=rejected, reviewed=reviewed)


def stability(attribution: Attribution) -> dict[str, Any]:
    """Whether another run could give other contributions (GDPR Art. 5(2), Recital 71; PIPL Art. 24(1))."""
    error = attribution.how.error
    return {
        "exact": error is None,
        "largest_standard_error": None if error is None else float(error.max(initial=0.0)),
    }


def fidelity(view: View, attribution: Attribution) -> dict[str, Any] | None:
    """What the order would have come to without the nodes that the reasons name (GraphFramEx: fid+).

    Bands only, without the tree's gates. None where no terms tell it, or no reason was named.
    """
    facts, named = view.record.score, {key for reason in view.record.reasons for key in reason.nodes}
    if attribution.how.method != CLOSED_FORM or not named:
        return None
    removed = touching(attribution, np.array([catalog()[key].index for key in sorted(named)])).sum()
    probability = 1.0 / (1.0 + float(np.exp(float(removed) - float(facts["logit"]))))
    word = band(probability, facts["thresholds"])
    return {
        "probability": probability,
        "band": word,
        "flips": word != band(float(facts["probability"]), facts["thresholds"]),
    }
