"""API keys: who gets in, until when, and what a refusal tells."""

from __future__ import annotations

from typing import Any

import pytest

from riskgraph.core.errors import Invalid, Unauthenticated
from riskgraph.governance.keys import ROLES, Authenticator, create_key

NOW = 1_800_000_000.0


class Keys(dict[str, dict[str, Any]]):
    """A store in memory."""

    def put_key(self, key: dict[str, Any]) -> None:
        self[key["key_id"]] = key

    def get_key(self, key_id: str) -> dict[str, Any] | None:
        return self.get(key_id)

    def list_keys(self) -> list[dict[str, Any]]:
        return list(self.values())

    def revoke_key(self, key_id: str) -> bool:
        self[key_id]["revoked"] = True
        return True


def refusal(store: Keys, header: str | None, now: float = NOW) -> tuple[str, str | None]:
    with pytest.raises(Unauthenticated) as refused:
        Authenticator(store).authenticate(header, now)
    return refused.value.message, refused.value.field


def test_a_key_works_until_the_moment_it_expires_and_not_at_it():
    store = Keys()
    bearer = "Bearer " + create_key(store, roles=["checkout"], org="m", expires=NOW)
    key = Authenticator(store).authenticate(bearer, NOW - 0.001)
    assert (key.org, key.expires) == ("m", NOW)
    assert refusal(store, bearer, NOW)


def test_a_key_without_an_end_does_not_expire():
    store = Keys()
    bearer = "Bearer " + create_key(store, roles=["admin"], org="*")
    assert Authenticator(store).authenticate(bearer, NOW * 10).expires is None


@pytest.mark.parametrize("org", ["", " "])
def test_a_key_for_no_merchant_is_refused_and_not_stored(org):
    store = Keys()
    with pytest.raises(Invalid, match="name the merchant"):
        create_key(store, roles=["checkout"], org=org)
    assert not store


def test_every_refusal_says_the_same():
    store = Keys()
    expired, revoked, good = (
        create_key(store, roles=["checkout"], org="m", expires=end) for end in (NOW - 1, None, None)
    )
    store.revoke_key(revoked.split("_")[1])
    never = "rk_000000000000_never"
    wrong = [f"Bearer {key}" for key in (expired, revoked, never, good[:-1])]
    assert len({refusal(store, header) for header in (*wrong, good, "", None)}) == 1


def test_a_key_needs_a_role_that_exists():
    for roles in ([], ["king"], ["admin", "king"]):
        with pytest.raises(Invalid, match="roles must be out of checkout"):
            create_key(Keys(), roles=roles, org="m")


@pytest.mark.parametrize(
    ("role", "granted"),
    [
        ("checkout", set()),
        ("compliance", {"report_compliance"}),
        ("auditor", {"report_compliance", "report_authority"}),
        ("fraud_team", {"report_fraud_team"}),
        ("admin", {"report_compliance", "report_authority", "report_fraud_team"}),
    ],
)
def test_each_tier_of_the_report_needs_a_permission_of_its_own(role, granted):
    assert {name for name in ROLES[role] if name.startswith("report_")} == granted


ORIGIN = "https://shop.example"


def publishable(store: Keys, **changes: Any) -> str:
    return create_key(store, **{"roles": ["publishable"], "org": "m", "origins": [ORIGIN], **changes})


def test_a_publishable_key_is_known_by_its_prefix_and_opens_no_route_of_a_secret_one():
    store = Keys()
    text = publishable(store)
    assert text.startswith("pk_")
    key = Authenticator(store).publishable(text, NOW)
    assert (key.org, key.origins, key.allows("collect")) == ("m", (ORIGIN,), True)
    assert not any(key.allows(permission) for permission in ROLES["admin"])
    for bearer in (text, text.replace("pk_", "rk_", 1)):
        assert refusal(store, f"Bearer {bearer}")


def test_a_secret_key_is_refused_where_a_publishable_one_is_asked():
    store = Keys()
    secret = create_key(store, roles=["admin"], org="*")
    for text in (secret, secret.replace("rk_", "pk_", 1), "pk_unknown_x", "pk_", ""):
        with pytest.raises(Unauthenticated):
            Authenticator(store).publishable(text, NOW)


def test_an_expired_or_revoked_publishable_key_has_no_origins_any_more():
    store = Keys()
    publishable(store, expires=NOW)
    revoked = publishable(store, origins=["https://b.example"])
    kept = publishable(store, origins=["https://c.example", "https://c.example", "http://[::1]:8080"])
    store.revoke_key(revoked.split("_")[1])
    assert Authenticator(store).origins(NOW) == {"https://c.example", "http://[::1]:8080"}
    assert store[kept.split("_")[1]]["origins"] == ("https://c.example", "http://[::1]:8080")


@pytest.mark.parametrize(
    "origin",
    [
        "*", "https://*.shop.example", "shop.example", "https://shop.example/", "https://Shop.example",
        "https://shop.example:443", "http://shop.example:80", "https://shop.example:0", "ftp://shop.example",
        "https://user@shop.example", "https://", "null", "https://shop..example",
    ],
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused(origin):
    store = Keys()
    with pytest.raises(Invalid) as wrong:
        publishable(store, origins=[ORIGIN, origin])
    assert wrong.value.field == "origins"
    assert not store


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"origins": []}, "origins"),
        ({"org": "*"}, "merchant"),
        ({"roles": ["publishable", "checkout"]}, "roles"),
        ({"roles": ["checkout"]}, "origins"),
    ],
)
def test_a_publishable_key_is_of_one_merchant_and_has_origins_and_no_other_role(changes, field):
    store = Keys()
    with pytest.raises(Invalid) as wrong:
        publishable(store, **changes)
    assert wrong.value.field == field
    assert not store


def test_a_key_that_was_stored_before_there_were_origins_still_works():
    store = Keys()
    text = create_key(store, roles=["checkout"], org="m")
    del store[text.split("_")[1]]["origins"]
    assert Authenticator(store).authenticate(f"Bearer {text}", NOW).origins == ()
    assert Authenticator(store).origins(NOW) == frozenset()
