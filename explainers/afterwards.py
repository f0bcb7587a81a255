"""What happened after a decision, as reports tell it: the way to object, and what a person made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from riskgraph.explainers.integrity import Evidence
from riskgraph.explainers.texts import say

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_NOTHING: Mapping[str, Any] = {"received": [], "answered": [], "stands": None, "due": None}


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What reports add to the record of a decision.

    Attributes:
        contest_url: Link to the page for objections; None where shoppers cannot reach it.
        link_end: Until when it works, epoch seconds.
        told: What the shopper may know of objections and reviews.
        log: The review log, for compliance.
        evidence: What its ``integrity`` is made of; None for a report that nobody signs.
    """

    contest_url: str | None = None
    link_end: float = 0.0
    told: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    log: tuple[Mapping[str, Any], ...] = ()
    evidence: Evidence | None = None


NOTHING_YET = Afterwards()


def human_review(after: Afterwards, lang: str, observed: bool) -> dict[str, Any]:
    """Objections, how to make one, and that a person looked (GDPR Art. 12(3), 22(3); PIPL Art. 24(3), 50).

    Never the shopper's words, nor who looked: that is for reviewers and compliance.
    """
    told, statement = after.told, None
    if told["due"] is not None:
        statement = words("report.waits", lang, due=day(told["due"], lang))
    elif not told["answered"]:
        statement = words("report.none", lang)
    end = day(after.link_end, lang)
    return {
        "url": after.contest_url,
        "link_text": words("report.link", lang) if after.contest_url else None,
        "link_until": words("report.link_until", lang, until=end) if after.contest_url else None,
        "statement": statement,
        "received": received(told, lang),
        "answered": answered(told, lang),
        "stands": stands(told, lang, observed) or None,
    }


def words(key: str, lang: str, **values: object) -> str:
    """A sentence of the page or of the reports about it, for instance ``words("text.send", "en")``."""
    return say(key, lang, "contest", **values)


def received(told: Mapping[str, Any], lang: str) -> list[str]:
    """What came in, one sentence each, with its deadline while it waits (GDPR Art. 12(3))."""
    return [
        words(
            "text.received_done" if row["answered"] else "text.received_row",
            lang,
            at=day(row["at"], lang),
            wish=words(f"text.{row['wish']}", lang),
            due=day(row["due"], lang),
        )
        for row in told["received"]
    ]


def answered(told: Mapping[str, Any], lang: str) -> list[str]:
    """That a person looked, when, and how it ended, one sentence a review."""
    return [
        words("text.answered_row", lang, at=day(row["at"], lang), outcome=outcome(row["outcome"], lang))
        for row in told["answered"]
    ]


def outcome(word: str, lang: str) -> str:
    """How a review ended."""
    return words(f"outcome.{word}", lang)


def stands(told: Mapping[str, Any], lang: str, observed: bool) -> str:
    """What holds since a person gave a verdict; empty while the system's holds.

    Args:
        told: What the shopper may know.
        lang: ``zh`` or ``en``.
        observed: Whether the decision was only recorded, so that no verdict does anything.
    """
    part = "stands_observed" if observed else "stands"
    return words(f"{part}.{told['stands']}", lang) if told["stands"] else ""


def day(at: float, lang: str) -> str:
    """The day of epoch seconds in UTC, in words that no line end cuts."""
    date = datetime.fromtimestamp(at, UTC)
    if lang == "zh":
        return f"{date.year}年{date.month}月{date.day}日"
    return f"{date.day}\u00a0{_MONTHS[date.month - 1]}\u00a0{date.year}"
