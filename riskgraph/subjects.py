"""A person's data across the store: who is meant, what is given out, what is taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from riskgraph.core.door import DIGEST_BYTES, Door
from riskgraph.core.errors import Invalid, NotFound
from riskgraph.core.order import order_key
from riskgraph.core.reader import Reader
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.ports import Clock
from riskgraph.stores import SqliteStore
from riskgraph.stores.erasure import GROUNDS
from riskgraph.stores.reads import StoredDecision
from riskgraph.stores.sessions import Session, SessionStore, order_name
from riskgraph.stores.subjects import node_values, plain

SCHEMA = "riskgraph.subject_export/1"
WIPED_AT_ONCE_BYTES = 256 * 1024 * 1024
FIELDS = ("account", "account_digest", "order")
_DIGEST = re.compile(f"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
# GDPR Art. 15(4), Recital 63; PIPL Art. 18, 50. The report says the same field by field.
_WITHHELD_ANSWER = ("score", "path", "stage_ms")
_WITHHELD_TABLES = {
    "shadow_scores": "trade_secret",
    "reviews": "third_party",
    "review_events": "third_party",
}
# ``(content, media type)`` of a decision's report for its subject, by decision id and language.
ReportFor = Callable[[str, str], tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class Who:
    """Whose data are meant: digests of accounts, and order keys."""

    accounts: tuple[bytes, ...] = ()
    keys: tuple[str, ...] = ()


def who_is(body: Mapping[str, Any], door: Door) -> Who:
    """Read whose data are meant, from what an operator has.

    Args:
        body: One of ``account`` (as the shop sends it; hashed here and dropped), ``account_digest`` (hex, as
            events and exports name it) and ``order`` (``merchant_id``, ``channel_code``, ``order_id``).
        door: Hashes accounts as it does in orders.

    Raises:
        Invalid: If none or several of them are given, or one cannot be read.
    """
    unknown = set(body) - set(FIELDS)
    if unknown or len(body) != 1:
        raise Invalid(f"name the subject by exactly one of {', '.join(FIELDS)}", field="subject")
    read = Reader(body)
    if "order" in body:
        order = read.child("order")
        parts = [
            order.text(name, required=True) or "" for name in ("merchant_id", "channel_code", "order_id")
        ]
        return Who(keys=(order_key(*parts),))
    if "account" in body:
        return Who(accounts=(door.digest("account", read.text("account", required=True) or ""),))
    digest = read.text("account_digest", required=True) or ""
    if not _DIGEST.fullmatch(digest):
        raise Invalid(f"account_digest must be {2 * DIGEST_BYTES} hex digits", field="account_digest")
    return Who(accounts=(bytes.fromhex(digest),))


@dataclass(frozen=True)
class Subjects:
    """Rights of data subjects over one store.

    Attributes:
        sessions: What the browser SDK gathered, which the store does not hold.
        report: Renders the subject's report of a decision.
    """

    store: SqliteStore
    sessions: SessionStore
    door: Door
    clock: Clock
    report: ReportFor

    def erase(self, who: Who, *, wipe: bool | None = None) -> dict[str, Any]:
        """Take a person out of the store (GDPR Art. 17; PIPL Art. 47); a second time finds nothing.

        Args:
            who: Whose data.
            wipe: Rewrite both files at once, which holds up decisions and sessions meanwhile; None does so
                up to 256 MiB each.

        Returns:
            How much was taken out, ``wiped``, and ``order_ids``, which ``riskgraph sandbox erase`` takes.

        Raises:
            Conflict: If a hold keeps the data.
            StorageUnavailable: If the store's data stay, or its file could not be wiped yet: ask again.
        """
        now = self.clock.now()
        keys = self.store.subjects.extent(who.accounts, who.keys).keys
        self.store.subjects.refuse_held(who.accounts, who.keys, now)
        # Before the orders: without them nobody could tell any more which sessions were theirs.
        at_once = [_at_once(path, wipe) for path in (self.sessions.path, self.store.path)]
        sessions = self.sessions.erase(self._named(keys), wipe=at_once[0])
        erased = self.store.subjects.erase(who.accounts, who.keys, now, wipe=at_once[1])
        wiped = erased["wiped"] and (at_once[0] or not sessions)
        return {
            **erased,
            "wiped": wiped,
            "sessions": sessions,
            "order_ids": sorted(key.split("|", 2)[2] for key in keys),
        }

    def hold(self, who: Who, ground: str, by: str, until: float | None) -> int:
        """Keep a person's data against erasure and retention; returns how many subjects these are.

        Raises:
            Invalid: If the ground is unknown or nobody is named.
            NotFound: If nothing is held about that person.
        """
        if ground not in GROUNDS:
            raise Invalid(f"ground must be one of {', '.join(GROUNDS)}", field="ground")
        if not by.strip():
            raise Invalid("name who orders the hold", field="by")
        count = self.store.subjects.hold(who.accounts, who.keys, ground, by, self.clock.now(), until)
        if not count:
            raise NotFound("nothing is held about that subject", field="subject")
        return count

    def release(self, who: Who) -> int:
        """End the holds on a person's data; returns how many there were."""
        return self.store.subjects.release(who.accounts, who.keys, self.clock.now())

    def export(self, who: Who) -> dict[str, Any]:
        """Everything held about a person, as JSON (GDPR Art. 15, 20; PIPL Art. 45).

        Raises:
            NotFound: If nothing is held.
        """
        held = self.store.subjects.held(who.accounts, who.keys, self.clock.now())
        keys = self.store.subjects.extent(who.accounts, who.keys).keys
        if not any((held.orders, held.outcomes, held.decisions, held.events)):
            raise NotFound("nothing is held about that subject", field="subject")
        others = {
            table: rows if table not in _WITHHELD_TABLES else len(rows) for table, rows in held.others.items()
        }
        return {
            "schema": SCHEMA,
            "made_at": datetime.fromtimestamp(self.clock.now(), UTC).isoformat(timespec="seconds"),
            "accounts": held.accounts,
            "holds": held.holds,
            "orders": held.orders,
            "outcomes": held.outcomes,
            "decisions": [self._decision(found) for found in held.decisions],
            "events": held.events,
            "billed_calls": held.calls,
            "behavior_sessions": [_session(found) for found in self.sessions.of_orders(self._named(keys))],
            **others,
            "withheld": _withheld(held.others),
        }

    def _named(self, keys: Sequence[str]) -> list[bytes]:
        return [order_name(self.door, key) for key in keys]

    def _decision(self, found: StoredDecision) -> dict[str, Any]:
        """Row, answer, facts of the order, values that it rests on, and the report for its subject."""
        record = found.report
        answer = {
            key: value for key, value in json.loads(found.answer).items() if key not in _WITHHELD_ANSWER
        }
        lang = "zh" if str(record.order.get("lang", "")).startswith("zh") else "en"
        return {
            "decision_id": found.decision_id,
            "order_key": found.order_key,
            "idempotency_key": found.idempotency_key,
            "body_sha256": found.body_sha256,
            "placed_at": found.at,
            "issued_at": record.issued_at,
            "answer": answer,
            "order": {key: plain(value) for key, value in record.order.items()},
            "nodes": node_values(OrderSubgraph.unpack(record.subgraph)) if record.subgraph else {},
            "report": json.loads(self.report(found.decision_id, lang)[0]),
        }


def _at_once(path: Path, wipe: bool | None) -> bool:
    """Whether a file is rewritten while somebody waits for it."""
    if wipe is None:
        return not path.exists() or path.stat().st_size <= WIPED_AT_ONCE_BYTES
    return wipe


def _session(found: Session) -> dict[str, Any]:
    """A session of the browser SDK with the sums that are still kept; of its secrets not even the hashes."""
    return {
        "origin": found.origin,
        "opened_at": found.opened,
        "expires_at": found.expires,
        "purposes": dict(found.purposes),
        "consent_at": found.consent_at,
        "withdrawn": found.withdrawn,
        "sums": None if found.sums is None else asdict(found.sums),
    }


def _withheld(others: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, str]]:
    """What the export leaves out, and on which ground; only its number stands in the place of a table."""
    fields = {f"decisions.answer.{name}": "trade_secret" for name in _WITHHELD_ANSWER}
    fields["decisions.contributions"] = "trade_secret"
    fields |= {table: ground for table, ground in _WITHHELD_TABLES.items() if others.get(table)}
    return [{"field": field, "ground": ground} for field, ground in fields.items()]
