"""API keys: shown once, stored hashed, scoped, expiring, revocable."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from riskgraph.core.errors import Forbidden, Invalid, Unauthenticated

PREFIX = "rk"
ROLES: dict[str, frozenset[str]] = {
    "checkout": frozenset({"decide", "read_own", "outcome", "contest"}),
    "compliance": frozenset(
        {"read_own", "report_compliance", "search", "contest", "review_list", "subjects", "audit"}
    ),
    "reviewer": frozenset({"read_own", "report_compliance", "contest", "review_list", "review"}),
    "auditor": frozenset({"read_own", "report_compliance", "report_authority"}),
    "fraud_team": frozenset({"read_own", "report_fraud_team"}),
    "admin": frozenset(
        {
            "decide", "read_own", "outcome", "report_compliance", "report_authority", "report_fraud_team",
            "search", "keys", "contest", "review_list", "review", "subjects", "audit",
        }
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key: everything but the secret (contracts, section 6).

    ``expires`` is in epoch seconds: from then on the key is refused.
    """

    key_id: str
    hash: str
    roles: tuple[str, ...]
    org: str
    region: tuple[str, ...] = ()
    line: tuple[str, ...] = ()
    purpose: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    expires: float | None = None
    revoked: bool = False

    def allows(self, permission: str) -> bool:
        return any(permission in ROLES[role] for role in self.roles)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ApiKey:
        """A key as the store gives it back: JSON knows no tuples."""
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in row.items()}
        return cls(**values)

    def valid(self, now: float) -> bool:
        return not self.revoked and (self.expires is None or now < self.expires)


class KeyStore(Protocol):
    def put_key(self, key: dict[str, Any]) -> None: ...
    def get_key(self, key_id: str) -> dict[str, Any] | None: ...
    def list_keys(self) -> list[dict[str, Any]]: ...
    def revoke_key(self, key_id: str) -> bool: ...


def hash_secret(secret: str) -> str:
    """SHA-256: the secret has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_key(
    store: KeyStore,
    *,
    roles: Iterable[str],
    org: str,
    per_second: int = 50,
    expires: float | None = None,
) -> str:
    """Make and store a key; return the text to show once, ``rk_<id>_<secret>``.

    Args:
        store: Where keys are kept.
        roles: Names out of ``ROLES``.
        org: The merchant the key may act for, or ``*`` for all.
        per_second: Calls allowed per second.
        expires: Epoch seconds from which on it is refused, or None for never.

    Raises:
        Invalid: If a role is unknown, or no merchant is named.
    """
    roles = tuple(roles)
    if not roles or set(roles) - set(ROLES):
        got = ", ".join(roles) or "none"
        raise Invalid(f"roles must be out of {', '.join(ROLES)}; got {got}", field="roles")
    # Every order names its merchant, so such a key could never act.
    if not org.strip():
        raise Invalid("name the merchant that the key may act for, or * for all", field="merchant")
    secret = secrets.token_urlsafe(32)
    key = ApiKey(
        key_id=secrets.token_hex(6),
        hash=hash_secret(secret),
        roles=roles,
        org=org,
        limits={"per_second": per_second},
        expires=expires,
    )
    store.put_key(asdict(key))
    return f"{PREFIX}_{key.key_id}_{secret}"


class Authenticator:
    """Checks bearer keys against the store on every call, so that a revocation works within a second."""

    def __init__(self, store: KeyStore) -> None:
        self.store = store

    def authenticate(self, header: str | None, now: float) -> ApiKey:
        """The key behind an ``Authorization`` header.

        Raises:
            Unauthenticated: One message for every cause, so that nothing can be probed.
        """
        scheme, _, token = (header or "").partition(" ")
        # At most two cuts: the secret itself may hold underscores.
        parts = token.strip().split("_", 2)
        if scheme.lower() != "bearer" or len(parts) != 3 or parts[0] != PREFIX:
            raise _refusal()
        row = self.store.get_key(parts[1])
        # An unknown id is compared too: how long the answer takes must not tell which ids there are.
        same = hmac.compare_digest(hash_secret(parts[2]), row["hash"] if row else "0" * 64)
        if row is None or not same:
            raise _refusal()
        key = ApiKey.of(row)
        if not key.valid(now):
            raise _refusal()
        return key


def _refusal() -> Unauthenticated:
    return Unauthenticated("send a valid key: Authorization: Bearer rk_…", field="Authorization")


def require(key: ApiKey, permission: str) -> None:
    """Deny by default.

    Raises:
        Forbidden: Naming the permission and the roles that the key has.
    """
    if not key.allows(permission):
        raise Forbidden(f"this key ({', '.join(key.roles)}) lacks the permission {permission!r}")


def may_see(key: ApiKey, merchant_id: str) -> bool:
    """Rows of other organisations are absent for this key (404 before 403)."""
    return key.org in ("*", merchant_id)
