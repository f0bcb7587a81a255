"""Retention by the periods that the merchant states (GDPR Art. 5(1)(e), 13(2)(a); PIPL Art. 19)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from riskgraph.core.errors import Invalid
from riskgraph.core.order import JURISDICTIONS
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.ports import Clock
from riskgraph.stores import SqliteStore
from riskgraph.stores.retention import CLASSES, Due, Periods
from riskgraph.stores.sessions import SessionStore

MOST_DAYS = 36_500


def periods_of(profile: MerchantProfile) -> Periods:
    """Days by class and jurisdiction, as ``merchant.toml`` states them beside the texts of the reports.

    Raises:
        Invalid: If one is missing or no number of days; the field is named.
    """
    return {
        name: {j: _days(profile, f"retention.{j}.{name}.days") for j in JURISDICTIONS} for name in CLASSES
    }


def _days(profile: MerchantProfile, field: str) -> int:
    days = profile.get(field)
    if type(days) is not int or not 1 <= days <= MOST_DAYS:
        raise Invalid(f"merchant.toml: {field} must be a whole number from 1 to {MOST_DAYS}", field=field)
    return days


def run(
    store: SqliteStore, sessions: SessionStore, profile: MerchantProfile, clock: Clock, *, dry_run: bool
) -> dict[str, Any]:
    """Find what is due, and take it out unless it is a dry run; the log still verifies afterwards.

    Returns:
        ``due`` by class and jurisdiction, what stays since it is ``held`` or ``in_review``, ``removed`` by
        class (None in a dry run), the first day that is kept of each class and jurisdiction, and how many
        ``sessions``, ``prints`` and ``withdrawn`` consents of the browser SDK had reached their fixed ends.

    Raises:
        Invalid: If a period is missing.
        StorageUnavailable: If a record cannot be opened, or a step was not committed.
    """
    periods, now = periods_of(profile), clock.now()
    due = store.retention.due(periods, now)
    behavior = sessions.due(now) if dry_run else sessions.purge(now)
    if not dry_run:
        sessions.wipe()
    return {
        "dry_run": dry_run,
        "at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "kept_from": {
            name: {j: _kept_from(now, days) for j, days in rows.items()} for name, rows in periods.items()
        },
        **_told(due),
        "removed": None if dry_run else store.retention.remove(due, now),
        "behavior": behavior,
    }


def _kept_from(now: float, days: int) -> str:
    return str(datetime.fromtimestamp(now, UTC).date() - timedelta(days=days))


def _told(due: Due) -> dict[str, Any]:
    return {
        "over": due.counts,
        "due": {
            "report": len(due.reports),
            "contract_record": len(due.orders),
            "optional": len(due.optional),
        },
        "held": due.held,
        "in_review": due.in_review,
    }
