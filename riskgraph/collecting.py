"""Behavior that the browser SDK gathers under consent: sessions, flushes, withdrawal, an order's nodes.

GDPR Art. 6(1)(a), 7, 25; ePrivacy Directive Art. 5(3); PIPL Art. 13-16. A publishable key stands in every
page of the shop, so nothing here rests on it alone: a session is of one origin, and only who has its nonce
adds to it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from riskgraph.core.behavior import PURPOSES, Flush, Sums, evidence_bits, refuse_ungranted
from riskgraph.core.behavior_nodes import NOTHING, SessionNodes, nodes, refused
from riskgraph.core.door import Door
from riskgraph.core.errors import Forbidden, Invalid, UnknownField
from riskgraph.core.order import PURPOSES as ALL_PURPOSES
from riskgraph.core.order import Order
from riskgraph.core.reader import Reader
from riskgraph.governance.keys import ApiKey, Authenticator
from riskgraph.governance.limits import RateLimiter
from riskgraph.ports import Clock
from riskgraph.stores.replays import PRINT_BITS, Print
from riskgraph.stores.sessions import (
    EXPIRES_S,
    KEPT_S,
    WITHDRAWN_S,
    Session,
    SessionStore,
    expired,
    hashed,
    order_name,
    withdrawn,
)

_LOG = logging.getLogger("riskgraph.collecting")
TOKEN_BYTES = 18
MAX_ID = 200
# Four a second; a page that is left sends what waits at once.
FLUSHES, FLUSH_WINDOW_S = 20, 5.0
DEFAULT_PER_SECOND = 50
CLOCK_SKEW_S = 300.0
# Ids that the SDK makes of a TCF string (sdk_js/src/addons/tcf.ts): shoppers who chose alike on one day share
# id and time.
SHARED_RECORDS = "tcf-"
_OPENING = ("v", "key", "consent")
_CONSENT = ("record_id", "policy_version", "at", "purposes")


@dataclass(frozen=True)
class Collecting:
    """What the SDK's calls and an order's session come down to."""

    store: SessionStore
    authenticator: Authenticator
    door: Door
    clock: Clock
    limiter: RateLimiter = field(default_factory=RateLimiter)

    def open(self, body: Mapping[str, Any], origin: str | None) -> dict[str, Any]:
        """Open a session under a consent; returns what the SDK keeps in its tab.

        Raises:
            Unauthenticated: No valid publishable key.
            Forbidden: The origin is not one of the key's, or this consent was withdrawn.
            TooManyRequests: The key's limit is used up.
            Invalid: A field is wrong, unknown or missing, or the consent is stale or opens nothing.
            StorageUnavailable: If nothing was kept.
        """
        _closed(body, _OPENING, "")
        read, now = Reader(body), self.clock.now()
        if type(body.get("v")) is not int or body["v"] != 1:
            raise Invalid("v must be 1", field="v")
        key = self.authenticator.publishable(read.text("key", required=True) or "", now)
        if origin is None or origin not in key.origins:
            raise Forbidden(
                "this key is not for pages of that origin", field="key", code="origin_not_allowed"
            )
        self._limit(key, "sessions")
        consent = read.child("consent")
        _closed(consent.body, _CONSENT, "consent.")
        record = consent.text("record_id", required=True, most=MAX_ID) or ""
        consent.text("policy_version", required=True, most=MAX_ID)
        token, nonce = secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES)
        session = Session(
            token=hashed(token),
            nonce=hashed(nonce),
            merchant=key.org,
            origin=origin,
            key_id=key.key_id,
            consent=self._consent(key.org, record),
            consent_at=_given_at(consent, now),
            shared=record.startswith(SHARED_RECORDS),
            purposes=_purposes(consent),
            opened=now,
            expires=now + EXPIRES_S,
        )
        self.store.open(session)
        return {"session": token, "nonce": nonce, "expires_in": int(EXPIRES_S)}

    def take(self, body: Mapping[str, Any], origin: str | None) -> bool:
        """Count a flush; False if it came before.

        Raises:
            Invalid: A field is wrong, or its purpose is not granted.
            Forbidden: Unknown session or wrong nonce; another origin; or the consent was withdrawn.
            SessionExpired: The session has expired.
            TooManyRequests: More than four a second of one session, or the key's limit is used up.
            Conflict: Another session sent these histograms.
            StorageUnavailable: If nothing was counted.
        """
        flush = Flush.parse(body)
        session = self._session(flush.session, flush.nonce, origin)
        if session.consent != self._consent(session.merchant, flush.consent_id):
            raise _unknown()
        now = self.clock.now()
        key = self.authenticator.by_id(session.key_id, now)
        if key is None:
            raise _unknown()
        if session.withdrawn:
            raise withdrawn()
        if now >= session.expires:
            raise expired()
        at = self.clock.monotonic()
        self.limiter.check(f"session {session.sid}", FLUSHES, at, FLUSH_WINDOW_S)
        self._limit(key, "flushes")
        refuse_ungranted(flush, session.granted())
        return self.store.count(session, flush, self._prints(session.merchant, flush.histograms), now)

    def withdraw(self, token: str, body: Mapping[str, Any], origin: str | None) -> None:
        """Forget all that was gathered under the consent of a session (GDPR Art. 7(3), 17; PIPL Art. 15, 47).

        Of a record that shoppers may share (:data:`SHARED_RECORDS`) only this session's.

        Raises:
            Invalid: A field is wrong.
            Forbidden: Unknown session or wrong nonce, or another origin.
            TooManyRequests: More than four a second of one session.
            StorageUnavailable: If nothing was forgotten.
        """
        _closed(body, ("nonce",), "")
        nonce = Reader(body).text("nonce", required=True, most=MAX_ID) or ""
        session = self._session(token, nonce, origin)
        # Counted apart from flushes: however many came, a withdrawal must not wait behind them.
        name = f"withdrawal {session.sid}"
        self.limiter.check(name, FLUSHES, self.clock.monotonic(), FLUSH_WINDOW_S)
        if not session.withdrawn:
            self.store.withdraw(session, self.clock.now())

    def purge(self) -> None:
        """Take out what is over its time, whether anybody opens a session or not.

        Raises:
            StorageUnavailable: If it stays.
        """
        self.store.purge(self.clock.now())

    async def nodes(self, order: Order) -> SessionNodes:
        """What the order's session tells of its nodes; see ``ports.BehaviorSource``."""
        return await asyncio.to_thread(self._nodes, order)

    def _nodes(self, order: Order) -> SessionNodes:
        name = order_name(self.door, order.key)
        session = self.store.bind(order.session or "", name, order.merchant_id)
        if session is None:
            _LOG.warning("an order names a session that is not there or was another order's: it goes without")
            return NOTHING
        if session.withdrawn:
            return SessionNodes({}, refused(session.purposes))
        now, sums = self.clock.now(), session.sums or Sums()
        if now >= session.expires + KEPT_S:
            return NOTHING
        if not self.store.vouch(session, self._prints(session.merchant, sums.histograms), now):
            _LOG.warning("an order names a session with another one's counts: it goes without")
            return NOTHING
        stated = order.consent.purposes
        granted = [purpose for purpose in session.granted() if stated.get(purpose, True)]
        declined = [
            purpose for purpose, given in session.purposes.items() if not (given or purpose in stated)
        ]
        told = nodes(sums, granted)
        return SessionNodes(told.values, {**told.absent, **refused(declined)})

    def _session(self, token: str, nonce: str, origin: str | None) -> Session:
        session = self.store.find(token)
        # Compared even so: how long it takes must not tell which sessions there are.
        same = hmac.compare_digest(hashed(nonce), session.nonce if session else bytes(32))
        if session is None or not same or origin not in (None, session.origin):
            raise _unknown()
        return session

    def _limit(self, key: ApiKey, what: str) -> None:
        per_second = key.limits.get("per_second", DEFAULT_PER_SECOND)
        self.limiter.check(f"{key.key_id} {what}", per_second, self.clock.monotonic())

    def _consent(self, merchant: str, record: str) -> bytes:
        return self.door.digest("session.consent", f"{merchant}\0{record}")

    def _prints(self, merchant: str, histograms: Mapping[str, Sequence[int]]) -> list[Print]:
        found = ((key, tuple(counts), evidence_bits(counts)) for key, counts in histograms.items())
        return [
            Print(self.door.digest("session.print", f"{merchant}\0{key}\0{counts}"), key.split(".")[1], bits)
            for key, counts, bits in found
            if bits >= PRINT_BITS
        ]


def _unknown() -> Forbidden:
    """One answer for every cause, so that nobody can probe for sessions."""
    return Forbidden("no session of this token and nonce here", field="session", code="unknown_session")


def _closed(body: Mapping[str, Any], known: tuple[str, ...], path: str) -> None:
    for name in body:
        if name not in known:
            raise UnknownField(f"{path}{name:.80} is not expected here", field=f"{path}{name}")


def _given_at(consent: Reader, now: float) -> float:
    """When the consent was given.

    Raises:
        Invalid: If that is to come, or so long ago that its withdrawal would be forgotten.
    """
    at = consent.stamp("at")
    if at is None or not now - WITHDRAWN_S < at <= now + CLOCK_SKEW_S:
        raise Invalid(
            f"consent.at must be a time in the last {WITHDRAWN_S / 86_400:.0f} days", field="consent.at"
        )
    return at


def _purposes(consent: Reader) -> dict[str, bool]:
    """What the record states of the purposes that matter here.

    Raises:
        Invalid: If one is unknown or none is granted.
    """
    stated = consent.child("purposes").body
    for name, given in stated.items():
        if name not in ALL_PURPOSES or not isinstance(given, bool):
            where = f"consent.purposes.{name:.80}"
            raise Invalid(f"{where} must be true or false and one of {', '.join(PURPOSES)}", field=where)
    found = {name: stated[name] for name in PURPOSES if name in stated}
    if not any(found.values()):
        raise Invalid("the consent opens no purpose: there is nothing to gather", field="consent.purposes")
    return found
