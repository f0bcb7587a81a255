"""What happens after the order: payment, delivery, refunds, and labels that come late, or never, or wrong."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.outcome import KINDS
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.parcels import BLANK, FORMAT, REUSED
from riskgraph.eval.worlds.shop import DAY
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick, stream
from riskgraph.eval.worlds.visits import Visits

REFUND_REASONS = ("quality", "not_received", "wrong_item", "no_reason", "refund_only")
# In the order of their letters, by which ties are broken.
WORDS = tuple(sorted(KINDS))
SOURCES = ("gateway", "carrier", "shop", "issuer", "review")
_NOT_RECEIVED = REFUND_REASONS.index("not_received")
# Stopped by mistake among honest orders, and let pass among those to be stopped, to learn from them.
_WRONGLY_STOPPED, _EXPLORED = 0.002, 0.02
_REVIEW_DAYS = 2.0
_SIGMA, _LONGEST_DAYS = 0.8, 120.0


@dataclass(frozen=True)
class Reports:
    """M outcomes in order of report, as codes: a large world has millions.

    Attributes:
        row: int64[M] place of the order.
        kind: int8[M] index into ``WORDS``.
        reason: int8[M] index into ``REFUND_REASONS``, -1 for none.
        source: int8[M] index into ``SOURCES``.
        effective_at, reported_at: float64[M] epoch seconds.
    """

    row: Ints
    kind: NDArray[np.int8]
    reason: NDArray[np.int8]
    source: NDArray[np.int8]
    effective_at: Floats
    reported_at: Floats

    def __len__(self) -> int:
        return len(self.row)

    def rows(self, index: slice | Ints) -> Reports:
        """Some of the outcomes."""
        return Reports(*(getattr(self, f.name)[index] for f in fields(self)))


class Events:
    """Outcome rows, collected kind by kind and sorted by report time at the end."""

    def __init__(self) -> None:
        self.parts: list[Reports] = []

    def add(
        self, rows: Ints, kind: str, effective: Floats, reported: Floats, reason: Ints | None, source: str
    ) -> None:
        """Outcomes of one kind for the orders ``rows``; ``reason`` is None or an index per row."""
        n = len(rows)
        self.parts.append(
            Reports(
                rows,
                np.full(n, WORDS.index(kind), dtype=np.int8),
                np.full(n, -1, dtype=np.int8) if reason is None else reason.astype(np.int8),
                np.full(n, SOURCES.index(source), dtype=np.int8),
                np.asarray(np.round(effective[rows], 3)),
                np.asarray(np.round(np.maximum(reported, effective)[rows], 3)),
            )
        )

    def reports(self) -> Reports:
        """All of them in order of report time (ties by order, then kind)."""
        names = [f.name for f in fields(Reports)]
        whole = Reports(*(np.concatenate([getattr(part, name) for part in self.parts]) for name in names))
        self.parts.clear()
        # Ties have a fixed order, or the same seed would not give the same bytes.
        return whole.rows(np.lexsort((whole.kind, whole.row, whole.reported_at)))


def lognormal_days(rng: np.random.Generator, median: Floats | float, n: int) -> Floats:
    """Seconds of a lognormal delay with the given median in days, cut at 120 days."""
    days = np.asarray(median) * np.exp(rng.normal(0, _SIGMA, n))
    return np.asarray(np.minimum(days, _LONGEST_DAYS) * DAY, dtype=np.float64)


def _fraud(rng: np.random.Generator, config: WorldConfig, visits: Visits, events: Events) -> Bools:
    """Report a gang's orders at its own share and delay; returns which orders were stopped."""
    n, t = len(visits), visits["t"]
    stopped = np.zeros(n, dtype=np.bool_)
    decisions = stream(config.seed, "decisions")
    gangs = int(visits["gang"].max(initial=-1)) + 1
    # One draw a gang: how much of it is ever reported is a trait of the gang, not of each order.
    quota = rng.random(max(1, gangs))[np.maximum(visits["gang"], 0)]
    for code, family in enumerate(visits.families, start=1):
        kind = family.archetype
        mine = visits["kind"] == code
        low, high = kind.reported
        found = mine & chance(rng, low + (high - low) * quota, n)
        mistaken = chance(rng, config.wrong_clean_labels, n)
        # Late and uneven, so that recent fraud is mostly unlabelled.
        delay = lognormal_days(rng, kind.delay_days, n)
        # What the shop stops is never delivered, so it can get no clean label.
        halted = mine & chance(rng, family.stopped, n)
        seen = np.zeros(n, dtype=np.bool_)
        if config.reviews is not None:
            halted &= ~chance(decisions, _EXPLORED, n)
            seen = halted & chance(decisions, config.reviews, n)
            found = np.where(halted, seen, found)
            delay = np.where(halted, lognormal_days(decisions, _REVIEW_DAYS, n), delay)
        stopped |= halted
        wrong = found & mistaken
        for rows, word in (
            (found & ~wrong & ~seen, kind.report),
            (found & ~wrong & seen, "confirmed_fraud"),
            (wrong, "confirmed_good"),
        ):
            source = "issuer" if word == "chargeback_fraud" else "review"
            events.add(np.flatnonzero(rows), word, t, t + delay, None, source)
    return stopped


def _stopped_honest(config: WorldConfig, visits: Visits, events: Events) -> Bools:
    """Honest orders that the shop stops by mistake; a review clears some of them."""
    n, t = len(visits), visits["t"]
    if config.reviews is None:
        return np.zeros(n, dtype=np.bool_)
    rng = stream(config.seed, "mistakes")
    stopped: Bools = (visits["kind"] == 0) & chance(rng, _WRONGLY_STOPPED, n)
    cleared = np.flatnonzero(stopped & chance(rng, config.reviews, n))
    events.add(cleared, "confirmed_good", t, t + lognormal_days(rng, _REVIEW_DAYS, n), None, "review")
    return stopped


def _delivery(
    rng: np.random.Generator, config: WorldConfig, visits: Visits, stopped: Bools, events: Events
) -> None:
    n, t = len(visits), visits["t"]
    paid = chance(rng, 0.985, n) | visits["paid_first"]
    shipped_at = t + np.exp(rng.normal(0, 0.5, n)) * 0.9 * DAY
    delivered_at = shipped_at + np.exp(rng.normal(0, 0.45, n)) * 2.4 * DAY
    soon = np.exp(rng.normal(4.0, 1.0, n))
    shipped = paid & ~stopped
    claims = stream(config.seed, "claims")
    reported = shipped & ~chance(rng, config.never_delivered_report, n)
    # A number that no carrier knows never becomes a delivery; one that was used before does at once.
    flaw = visits["parcel"]
    reported &= ~np.isin(flaw, (BLANK, FORMAT))
    delivered_at = np.where(flaw == REUSED, shipped_at + claims.random(n) * 0.5 * DAY, delivered_at)
    events.add(np.flatnonzero(paid), "paid", t + 20.0, t + 20.0 + soon, None, "gateway")
    events.add(np.flatnonzero(shipped), "shipped", shipped_at, shipped_at + soon * 20, None, "carrier")
    events.add(np.flatnonzero(reported), "delivered", delivered_at, delivered_at + soon * 60, None, "carrier")
    _after(rng, visits, shipped, delivered_at, events)
    _pretexts(claims, visits, shipped, delivered_at, events)


def _pretexts(
    rng: np.random.Generator, visits: Visits, shipped: Bools, delivered_at: Floats, events: Events
) -> None:
    """Orders claimed back on a pretext, and honest people who claim what never came."""
    n = len(visits)
    back = shipped & chance(rng, visits.trait("refunded"), n)
    reason = pick(rng, (0.25, 0.35, 0.05, 0.05, 0.3), n)
    when = delivered_at + lognormal_days(rng, 2.0, n)
    for kind, rows in zip(("refund", "claim"), _halves(rng, back), strict=True):
        events.add(rows, kind, when, when + 0.5 * DAY, reason[rows], "shop")
    waits = shipped & (visits["parcel"] > 0) & (visits["victim"] | (visits["kind"] == 0))
    missing = np.flatnonzero(waits & chance(rng, 0.55, n))
    late = delivered_at + lognormal_days(rng, 8.0, n)
    events.add(missing, "claim", late, late + DAY, np.full(len(missing), _NOT_RECEIVED), "shop")


def _halves(rng: np.random.Generator, rows: Bools) -> tuple[Ints, Ints]:
    first = chance(rng, 0.5, len(rows))
    return np.flatnonzero(rows & first), np.flatnonzero(rows & ~first)


def _after(
    rng: np.random.Generator, visits: Visits, shipped: Bools, delivered_at: Floats, events: Events
) -> None:
    """Refunds, claims, reroutes and disputes that have nothing to do with fraud."""
    n, honest = len(visits), visits["kind"] == 0
    refunds = shipped & chance(rng, np.where(honest, 0.055, 0.03), n)
    when = delivered_at + lognormal_days(rng, 5.0, n)
    reason = pick(rng, (0.3, 0.1, 0.15, 0.4, 0.05), n)
    events.add(np.flatnonzero(refunds), "refund", when, when + 0.5 * DAY, reason[refunds], "shop")
    claims = shipped & ~refunds & chance(rng, 0.008, n)
    events.add(np.flatnonzero(claims), "claim", when, when + DAY, reason[claims], "shop")
    moved = shipped & chance(rng, np.where(honest, 0.012, 0.035), n)
    on_way = delivered_at - 0.6 * DAY
    events.add(np.flatnonzero(moved), "reroute", on_way, on_way + 900.0, None, "carrier")
    # Disputes about goods: a chargeback alone must not mean fraud.
    dispute = shipped & honest & chance(rng, 0.0015, n)
    late = delivered_at + lognormal_days(rng, 14.0, n)
    events.add(np.flatnonzero(dispute), "chargeback_other", late, late + DAY, None, "issuer")


def outcomes(config: WorldConfig, visits: Visits) -> Reports:
    """All outcomes of a world, those reported after its last order included."""
    rng = stream(config.seed, "outcomes")
    events = Events()
    n, t = len(visits), visits["t"]
    stopped = _fraud(rng, config, visits, events) | _stopped_honest(config, visits, events)
    _delivery(rng, config, visits, stopped, events)
    honest = (visits["kind"] == 0) & ~stopped
    mistaken = honest & chance(rng, config.wrong_fraud_labels, n)
    events.add(
        np.flatnonzero(mistaken), "chargeback_fraud", t, t + lognormal_days(rng, 20.0, n), None, "issuer"
    )
    reviewed = honest & ~mistaken & chance(rng, 0.006, n)
    events.add(np.flatnonzero(reviewed), "confirmed_good", t, t + lognormal_days(rng, 2.0, n), None, "review")
    return events.reports()
