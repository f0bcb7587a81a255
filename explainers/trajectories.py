"""What a report says of the merchant's baseline: by whose ways of moving the shopper's were judged."""

from __future__ import annotations

from typing import Any

from riskgraph.core.baseline import is_trajectory
from riskgraph.explainers.sections import View


def compared(view: View) -> str | None:
    """In plain words what ways of moving and typing were compared with (GDPR Art. 15(1)(h); PIPL Art. 24(1)).

    None where nothing was scored, where the order has no such value, and for decisions from before baselines.
    """
    told = view.record.score.get("baseline")
    there = [node.id for node in view.present() if is_trajectory(node)]
    if told is None or not there:
        return None
    if len(told["unseen"]) == len(there):
        return view.say("baseline.unseen")
    kind = "any" if told["device_class"] == "any" else "same"
    simulated = [view.say("baseline.simulated")] if told["provenance"] == "simulated" else []
    partly = [view.say("baseline.partly")] if told["unseen"] else []
    return ("" if view.lang == "zh" else " ").join([view.say(f"baseline.{kind}"), *simulated, *partly])


def baseline(view: View) -> dict[str, Any] | None:
    """Which baseline, which reference, which kind of device, and what the model did not see, for tier 2."""
    told = view.record.score.get("baseline")
    if told is None:
        return None
    keys = ("id", "reference", "provenance", "releases", "device_class", "unseen")
    return {key: told[key] for key in keys} | {"statement": compared(view)}
