"""Stores: where orders, decisions and outcomes are kept. ``open_store`` picks one by its URL."""

from __future__ import annotations

from pathlib import Path

from riskgraph.core.errors import Invalid
from riskgraph.stores.sealing import Secrets
from riskgraph.stores.sqlite import SqliteStore

__all__ = ["Secrets", "SqliteStore", "open_store", "store_path"]

SCHEME = "sqlite:///"


def open_store(url: str, secrets: Secrets, *, wipe: bool = True) -> SqliteStore:
    """Open the store behind a URL.

    Args:
        url: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.
        secrets: Keys that reports are sealed and the log is signed with.
        wipe: See :class:`SqliteStore`.

    Raises:
        Invalid: If the scheme is unknown or the path is missing.
        StorageUnavailable: If the store cannot be opened.
    """
    return SqliteStore(store_path(url), secrets, wipe=wipe)


def store_path(url: str) -> Path:
    """The file behind a URL.

    Raises:
        Invalid: If the scheme is unknown or the path is missing.
    """
    if not url.startswith(SCHEME):
        raise Invalid(
            f"unknown store scheme {url.partition(':')[0]!r}; this release knows {SCHEME}PATH",
            field="store_url",
        )
    path = url.removeprefix(SCHEME)
    if not path or path == ":memory:":
        raise Invalid(f"{SCHEME} needs the path of a file", field="store_url")
    return Path(path)
