"""Stores: where orders, decisions and outcomes are kept. ``open_store`` picks one by its URL."""

from __future__ import annotations

from pathlib import Path

from riskgraph.core.errors import Invalid
from riskgraph.stores.neo4j.connect import FORM, is_neo4j, parse_url
from riskgraph.stores.neo4j.store import Neo4jOptions, open_neo4j
from riskgraph.stores.sealing import Secrets
from riskgraph.stores.sqlite import SqliteStore

__all__ = ["Neo4jOptions", "Secrets", "SqliteStore", "open_store", "store_path"]

SCHEME = "sqlite:///"


def open_store(
    url: str, secrets: Secrets, *, wipe: bool = True, neo4j: Neo4jOptions | None = None
) -> SqliteStore:
    """Open the store behind a URL.

    Args:
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path``, or a Neo4j server beside such a file:
            ``neo4j://HOST[:PORT][/DATABASE]?journal=PATH``. The server need not be up.
        secrets: Keys that reports are sealed and the log is signed with.
        wipe: See :class:`SqliteStore`.
        neo4j: Who asks the server, and what is kept in it.

    Raises:
        Invalid: If the scheme is unknown, the path is missing, or the server is elsewhere and nobody asks.
        ExtraMissing: If the driver of Neo4j is not installed.
        StorageUnavailable: If the store cannot be opened.
    """
    if is_neo4j(url):
        return open_neo4j(parse_url(url), secrets, neo4j or Neo4jOptions(), wipe=wipe)
    return SqliteStore(store_path(url), secrets, wipe=wipe)


def store_path(url: str) -> Path:
    """The file behind a URL: of a Neo4j server, the journal beside it.

    Raises:
        Invalid: If the scheme is unknown or the path is missing.
    """
    if is_neo4j(url):
        return parse_url(url).journal
    if not url.startswith(SCHEME):
        told = f"unknown store scheme {url.partition(':')[0]!r}; this release knows {SCHEME}PATH and {FORM}"
        raise Invalid(told, field="store_url")
    path = url.removeprefix(SCHEME)
    if not path or path == ":memory:":
        raise Invalid(f"{SCHEME} needs the path of a file", field="store_url")
    return Path(path)
