"""What happens after the order: payment, delivery, refunds, and labels that come late, or never, or wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.parcels import BLANK, FORMAT, REUSED
from riskgraph.eval.worlds.shop import DAY
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick, stream
from riskgraph.eval.worlds.visits import Visits

REFUND_REASONS = ("quality", "not_received", "wrong_item", "no_reason", "refund_only")
_SIGMA, _LONGEST_DAYS = 0.8, 120.0


class Events:
    """Outcome rows, collected kind by kind and sorted by report time at the end."""

    def __init__(self) -> None:
        self.parts: list[tuple[Any, str, Floats, Floats, Any, str]] = []

    def add(
        self, rows: Any, kind: str, effective: Floats, reported: Floats, reason: Any, source: str
    ) -> None:
        """Outcomes of one kind for the orders ``rows``; ``reason`` is None or a text per row."""
        self.parts.append(
            (rows, kind, effective[rows], np.maximum(reported, effective)[rows], reason, source)
        )

    def table(self) -> dict[str, list[Any]]:
        """Columns in order of report time (ties by order, then kind), without ids."""
        rows = np.concatenate([p[0] for p in self.parts])
        kinds = [p[1] for p in self.parts for _ in p[0]]
        effective = np.round(np.concatenate([p[2] for p in self.parts]), 3)
        reported = np.round(np.concatenate([p[3] for p in self.parts]), 3)
        reasons = [r for p in self.parts for r in (p[4] if p[4] is not None else [None] * len(p[0]))]
        sources = [p[5] for p in self.parts for _ in p[0]]
        # Ties have a fixed order, or the same seed would not give the same bytes.
        order = np.lexsort((np.array(kinds), rows, reported))
        return {
            "row": rows[order].tolist(),
            "kind": [kinds[i] for i in order],
            "reason": [reasons[i] for i in order],
            "effective_at": effective[order].tolist(),
            "reported_at": reported[order].tolist(),
            "source": [sources[i] for i in order],
        }


def lognormal_days(rng: np.random.Generator, median: Floats | float, n: int) -> Floats:
    """Seconds of a lognormal delay with the given median in days, cut at 120 days."""
    days = np.asarray(median) * np.exp(rng.normal(0, _SIGMA, n))
    return np.asarray(np.minimum(days, _LONGEST_DAYS) * DAY, dtype=np.float64)


def _fraud(rng: np.random.Generator, config: WorldConfig, visits: Visits, events: Events) -> Bools:
    """Report a gang's orders at its own share and delay; returns which orders were stopped."""
    n, t = len(visits), visits["t"]
    stopped = np.zeros(n, dtype=np.bool_)
    gangs = int(visits["gang"].max(initial=-1)) + 1
    # One draw a gang: how much of it is ever reported is a trait of the gang, not of each order.
    quota = rng.random(max(1, gangs))[np.maximum(visits["gang"], 0)]
    for code, family in enumerate(visits.families, start=1):
        kind = family.archetype
        mine = visits["kind"] == code
        low, high = kind.reported
        found = mine & chance(rng, low + (high - low) * quota, n)
        wrong = found & chance(rng, config.wrong_clean_labels, n)
        # Late and uneven, so that recent fraud is mostly unlabelled.
        delay = lognormal_days(rng, kind.delay_days, n)
        # What the shop stops is never delivered, so it can get no clean label.
        stopped |= mine & chance(rng, family.stopped, n)
        for rows, word in ((found & ~wrong, kind.report), (wrong, "confirmed_good")):
            source = "issuer" if word == "chargeback_fraud" else "review"
            events.add(np.flatnonzero(rows), word, t, t + delay, None, source)
    return stopped


def _delivery(
    rng: np.random.Generator, config: WorldConfig, visits: Visits, stopped: Bools, events: Events
) -> None:
    n, t = len(visits), visits["t"]
    paid = chance(rng, 0.985, n)
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
    words = np.array(REFUND_REASONS)[pick(rng, (0.25, 0.35, 0.05, 0.05, 0.3), n)]
    when = delivered_at + lognormal_days(rng, 2.0, n)
    for kind, rows in zip(("refund", "claim"), _halves(rng, back), strict=True):
        events.add(rows, kind, when, when + 0.5 * DAY, words[rows].tolist(), "shop")
    waits = shipped & (visits["parcel"] > 0) & (visits["victim"] | (visits["kind"] == 0))
    missing = np.flatnonzero(waits & chance(rng, 0.55, n))
    late = delivered_at + lognormal_days(rng, 8.0, n)
    events.add(missing, "claim", late, late + DAY, ["not_received"] * len(missing), "shop")


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
    words = np.array(REFUND_REASONS)[pick(rng, (0.3, 0.1, 0.15, 0.4, 0.05), n)]
    events.add(np.flatnonzero(refunds), "refund", when, when + 0.5 * DAY, words[refunds].tolist(), "shop")
    claims = shipped & ~refunds & chance(rng, 0.008, n)
    events.add(np.flatnonzero(claims), "claim", when, when + DAY, words[claims].tolist(), "shop")
    moved = shipped & chance(rng, np.where(honest, 0.012, 0.035), n)
    on_way = delivered_at - 0.6 * DAY
    events.add(np.flatnonzero(moved), "reroute", on_way, on_way + 900.0, None, "carrier")
    # Disputes about goods: a chargeback alone must not mean fraud.
    dispute = shipped & honest & chance(rng, 0.0015, n)
    late = delivered_at + lognormal_days(rng, 14.0, n)
    events.add(np.flatnonzero(dispute), "chargeback_other", late, late + DAY, None, "issuer")


def outcomes(config: WorldConfig, visits: Visits) -> dict[str, list[Any]]:
    """All outcomes of a world, those reported after its last order included.

    Returns:
        Columns ``row`` (place of the order), ``kind``, ``reason``, ``effective_at``,
        ``reported_at``, ``source``.
    """
    rng = stream(config.seed, "outcomes")
    events = Events()
    n, t = len(visits), visits["t"]
    stopped = _fraud(rng, config, visits, events)
    _delivery(rng, config, visits, stopped, events)
    honest = visits["kind"] == 0
    mistaken = honest & chance(rng, config.wrong_fraud_labels, n)
    events.add(
        np.flatnonzero(mistaken), "chargeback_fraud", t, t + lognormal_days(rng, 20.0, n), None, "issuer"
    )
    reviewed = honest & ~mistaken & chance(rng, 0.006, n)
    events.add(np.flatnonzero(reviewed), "confirmed_good", t, t + lognormal_days(rng, 2.0, n), None, "review")
    return events.table()
