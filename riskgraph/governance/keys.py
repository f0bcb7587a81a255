"""API keys: shown once, stored hashed, scoped, expiring, revocable."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from riskgraph.core.errors import Forbidden, Invalid, Unauthenticated

PREFIX = "rk"
# Such a key stands in a shop's pages, where everybody can read it.
PUBLISHABLE, PUBLISHABLE_PREFIX = "publishable", "pk"
ROLES: dict[str, frozenset[str]] = {
    "checkout": frozenset({"decide", "read_own", "outcome", "contest"}),
    "compliance": frozenset(
        {"read_own", "report_compliance", "search", "contest", "review_list", "subjects", "audit"}
    ),
    "reviewer": frozenset({"read_own", "report_compliance", "contest", "review_list", "review"}),
    "auditor": frozenset({"read_own", "report_compliance", "report_authority"}),
    "fraud_team": frozenset({"read_own", "report_fraud_team"}),
    PUBLISHABLE: frozenset({"collect"}),
    "admin": frozenset(
        {
            "decide", "read_own", "outcome", "report_compliance", "report_authority", "report_fraud_team",
            "search", "keys", "contest", "review_list", "review", "subjects", "audit",
        }
    ),
}  # fmt: skip
_ORIGIN = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key: everything but the secret (contracts, section 6).

    ``expires`` is in epoch seconds: from then on the key is refused. ``origins`` are those whose pages may
    use a publishable key; other keys have none.
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
    origins: tuple[str, ...] = ()

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
    origins: Iterable[str] = (),
) -> str:
    """Make and store a key; return the text to show once, ``rk_<id>_<secret>``.

    The text of a publishable key begins with ``pk_``.

    Args:
        store: Where keys are kept.
        roles: Names out of ``ROLES``.
        org: The merchant the key may act for, or ``*`` for all.
        per_second: Calls allowed per second.
        expires: Epoch seconds from which on it is refused, or None for never.
        origins: Where the pages are that use a publishable key, ``https://shop.example``.

    Raises:
        Invalid: If a role is unknown, no merchant is named, or the origins do not go with the roles.
    """
    roles, origins = tuple(roles), tuple(dict.fromkeys(origins))
    _check_roles(roles, org)
    _check_origins(roles, org, origins)
    secret = secrets.token_urlsafe(32)
    key = ApiKey(
        key_id=secrets.token_hex(6),
        hash=hash_secret(secret),
        roles=roles,
        org=org,
        limits={"per_second": per_second},
        expires=expires,
        origins=origins,
    )
    store.put_key(asdict(key))
    return f"{_prefix_of(key)}_{key.key_id}_{secret}"


def _check_roles(roles: tuple[str, ...], org: str) -> None:
    if not roles or set(roles) - set(ROLES):
        got = ", ".join(roles) or "none"
        raise Invalid(f"roles must be out of {', '.join(ROLES)}; got {got}", field="roles")
    # Every order names its merchant, so such a key could never act.
    if not org.strip():
        raise Invalid("name the merchant that the key may act for, or * for all", field="merchant")


def _check_origins(roles: tuple[str, ...], org: str, origins: tuple[str, ...]) -> None:
    if PUBLISHABLE not in roles:
        if origins:
            raise Invalid(f"origins go with the role {PUBLISHABLE} alone", field="origins")
        return
    if len(roles) > 1:
        raise Invalid("everybody can read a publishable key: it can have no other role", field="roles")
    if org == "*":
        raise Invalid("a publishable key is of one merchant, not of all", field="merchant")
    if not origins:
        raise Invalid(
            "name the origins whose pages may use the key, such as https://shop.example", field="origins"
        )
    for origin in origins:
        found = _ORIGIN.fullmatch(origin)
        if found is None or _DEFAULT_PORTS[found[1]] == found[3]:
            raise Invalid(
                f"an origin is scheme://host or scheme://host:port, in lower case, with no path, no * and no "
                f"default port; got {origin!r:.80}",
                field="origins",
            )


def _prefix_of(key: ApiKey) -> str:
    return PUBLISHABLE_PREFIX if PUBLISHABLE in key.roles else PREFIX


class Authenticator:
    """Checks bearer keys against the store on every call, so that a revocation works within a second."""

    def __init__(self, store: KeyStore) -> None:
        self.store = store

    def authenticate(self, header: str | None, now: float) -> ApiKey:
        """The key behind an ``Authorization`` header; a publishable one opens nothing here.

        Raises:
            Unauthenticated: One message for every cause, so that nothing can be probed.
        """
        scheme, _, token = (header or "").partition(" ")
        key = self._find(token.strip(), PREFIX, now) if scheme.lower() == "bearer" else None
        if key is None:
            raise Unauthenticated("send a valid key: Authorization: Bearer rk_…", field="Authorization")
        return key

    def publishable(self, token: str, now: float) -> ApiKey:
        """The publishable key of this text.

        Raises:
            Unauthenticated: One message for every cause; a secret key is refused too.
        """
        key = self._find(token, PUBLISHABLE_PREFIX, now)
        if key is None:
            raise Unauthenticated("send a valid publishable key: pk_…", field="key")
        return key

    def by_id(self, key_id: str, now: float) -> ApiKey | None:
        """A key that is still valid, by its id."""
        row = self.store.get_key(key_id)
        key = None if row is None else ApiKey.of(row)
        return key if key is not None and key.valid(now) else None

    def origins(self, now: float) -> frozenset[str]:
        """Every origin whose pages may use some publishable key."""
        keys = [ApiKey.of(row) for row in self.store.list_keys() if row.get("origins")]
        return frozenset(origin for key in keys if key.valid(now) for origin in key.origins)

    def _find(self, token: str, prefix: str, now: float) -> ApiKey | None:
        # At most two cuts: the secret itself may hold underscores.
        parts = token.split("_", 2)
        if len(parts) != 3 or parts[0] != prefix:
            return None
        row = self.store.get_key(parts[1])
        # An unknown id is compared too: how long the answer takes must not tell which ids there are.
        same = hmac.compare_digest(hash_secret(parts[2]), row["hash"] if row else "0" * 64)
        if row is None or not same:
            return None
        key = ApiKey.of(row)
        return key if key.valid(now) and _prefix_of(key) == prefix else None


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
