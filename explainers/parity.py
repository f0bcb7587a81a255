"""What is on file about honest orders that refuse: the false-positive parity, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskgraph.explainers.sections import View
from riskgraph.explainers.values import number, spaced

# A share is told of so many orders: errors are rare, and nobody reads 0.0004.
OF = 10_000


def parity(view: View, refused: bool) -> dict[str, Any]:
    """The comparison on file for orders of this class (GDPR Art. 5(2), 7(4); PIPL Art. 16, 24(1)).

    Measured beforehand on honest orders, each as it was and with everything optional refused. What was not
    measured is said to be not on file.
    """
    facts: Mapping[str, Any] | None = view.record.score.get("parity")
    kind = str(view.record.score.get("availability")).rpartition("/")[2]
    measured = facts is not None and kind in ("front_end", "refused")
    if not measured or facts is None:
        key = "nothing_to_refuse" if kind == "no_front_end" else "not_on_file"
        return _told(view, False, view.say(f"parity.{key}"))
    parts = [
        view.say(f"parity.test_{facts['provenance']}", date=facts["measured"], orders=f"{facts['honest']:,}")
    ]
    parts += [rates(view, name, facts[name]) for name in ("rejected", "reviewed")]
    if refused and kind == "front_end":
        parts.append(view.say("parity.partly"))
    text = ("" if view.lang == "zh" else " ").join(parts)
    return {**_told(view, True, text), **({"facts": dict(facts)} if view.compliance else {})}


def _told(view: View, on_file: bool, statement: str) -> dict[str, Any]:
    return {"on_file": on_file, "statement": spaced(statement, view.lang)}


def rates(view: View, name: str, row: Mapping[str, Any]) -> str:
    """Rates of the same orders in both ways, their ratio, and whether that misses the aim."""
    granted, refused = (of_many(row[key][0]) for key in ("granted", "refused"))
    parts = [view.say(f"parity.{name}", granted=granted, refused=refused)]
    if row["ratio"] is None:
        parts.append(view.say("parity.no_ratio"))
    else:
        value, lower, upper = (number(part) for part in row["ratio"])
        parts.append(view.say("parity.ratio", ratio=value, lower=lower, upper=upper))
        parts += missed(view, row["ratio"])
    return ("" if view.lang == "zh" else " ").join(parts)


def missed(view: View, ratio: list[float]) -> list[str]:
    """That the aim of equal rates is missed, and which way: where the interval leaves out 1."""
    _, lower, upper = ratio
    return (
        [view.say(f"parity.missed_{'more' if lower > 1.0 else 'less'}")] if not lower <= 1.0 <= upper else []
    )


def of_many(share: float) -> str:
    """How many of 10,000; a share below one of them is no zero."""
    return number(OF * share) if share == 0 or OF * share >= 1 else "<1"
