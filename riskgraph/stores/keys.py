"""API keys in the store: everything but the secret (contracts, section 6)."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from riskgraph.stores.graph import After


def put(key: dict[str, Any], connection: apsw.Connection, after: After) -> None:
    """Store a key under its ``key_id``."""
    body = msgspec.json.encode({"revoked": False, **key})
    connection.execute("INSERT OR REPLACE INTO keys VALUES(?, ?)", (key["key_id"], body))


def get(key_id: str, connection: apsw.Connection) -> dict[str, Any] | None:
    """A key, revoked or not."""
    body = connection.execute("SELECT body FROM keys WHERE key_id=?", (key_id,)).get
    return None if body is None else msgspec.json.decode(body)


def every(connection: apsw.Connection) -> list[dict[str, Any]]:
    """All keys by id."""
    return [
        msgspec.json.decode(row[0]) for row in connection.execute("SELECT body FROM keys ORDER BY key_id")
    ]


def revoke(key_id: str, connection: apsw.Connection, after: After) -> bool:
    """Mark a key revoked; it stays, so that its past calls can be accounted for."""
    found = get(key_id, connection)
    if found is None:
        return False
    put({**found, "revoked": True}, connection, after)
    return True
