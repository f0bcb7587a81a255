"""Another key for the log: its head is signed anew at once, so that the old key is worth nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from riskgraph.ports import LogSigner
from riskgraph.stores.log import Log
from riskgraph.stores.schema import SCHEMA_VERSION, connect, storage_errors

WAIT_MS = 60_000
T = TypeVar("T")


def rotate_under(path: Path, signer: LogSigner, rotate: Callable[[Mapping[str, Any] | None], T]) -> T:
    """Replace the key that signs while nobody else can sign, and sign the stored head with the new one.

    Args:
        path: The store; where there is none, or one of an earlier release without a log, only the key
            changes.
        signer: Signs with the old key before ``rotate``, and with the new one after it.
        rotate: Replaces the key; is given the newest head as JSON, the last that the old key has signed.

    Raises:
        StorageUnavailable: If the log does not fit its head, or somebody writes for longer than a minute; the
            key is then the old one.
    """
    if not path.exists() or path.stat().st_size == 0:
        return rotate(None)
    with storage_errors(f"cannot sign the log of {path} anew"):
        connection = connect(path, write=True)
        connection.set_busy_timeout(WAIT_MS)
        try:
            if connection.pragma("user_version") != SCHEMA_VERSION:
                return rotate(None)
            connection.execute("BEGIN IMMEDIATE")
            log = Log(signer)
            log.refresh(connection)
            head = log.head
            done = rotate(None if head is None else head.to_json())
            if head is not None:
                log.sign_anew(connection)
            connection.execute("COMMIT")
            return done
        finally:
            # What was not committed is rolled back.
            connection.close()
