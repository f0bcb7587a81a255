"""Links by which a shopper may object: signed, for one decision, for a time, without a login."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

from riskgraph.core.errors import NotFound
from riskgraph.governance.signing import read_or_create_secret

KEY_FILE = "contest.key"
EXPIRED = "link_expired"
MAX_TOKEN = 160
_TOKEN = re.compile(r"([0-9A-Za-z_-]{1,64})\.([0-9]{1,12})\.([0-9A-Za-z_-]{43})", re.ASCII)


class ContestLinks:
    """Makes and checks tokens ``DECISION.EXPIRES.MAC``; the MAC is HMAC-SHA-256 over the two before it.

    The same decision and time give the same token, so a report that is rendered again says the same. Whoever
    deletes the key file takes back every link at once.

    Args:
        secret: 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def open(cls, secrets: Path) -> ContestLinks:
        """With the key in the folder of secrets, made at the first call (mode 0600)."""
        return cls(read_or_create_secret(secrets / KEY_FILE))

    def token(self, decision_id: str, expires_at: float) -> str:
        """Token for one decision; ``expires_at`` in epoch seconds, rounded down to whole ones."""
        named = f"{decision_id}.{int(expires_at)}"
        return f"{named}.{self._mac(named)}"

    def decision(self, token: str, now: float) -> str:
        """The decision that a token is for.

        Raises:
            NotFound: If it was not made with this key, in one message for every cause; with the code
                ``link_expired`` if it was and its time is over.
        """
        found = _TOKEN.fullmatch(token) if len(token) <= MAX_TOKEN else None
        named, _, mac = token.rpartition(".")
        # Compared before anything in it is believed, and for nonsense too, so that all take the same time.
        if not hmac.compare_digest(self._mac(named).encode(), mac.encode(errors="replace")) or found is None:
            raise NotFound("this link is not valid", field="token")
        if now >= int(found[2]):
            raise NotFound("this link has expired", field="token", code=EXPIRED)
        return found[1]

    def _mac(self, named: str) -> str:
        digest = hmac.new(
            self._secret, b"riskgraph-contest/1|" + named.encode(errors="replace"), sha256
        ).digest()
        return urlsafe_b64encode(digest).decode().rstrip("=")
