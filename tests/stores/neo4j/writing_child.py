"""A process that records orders beside a Neo4j until it is killed, and says how far its feed is.

Run as ``python -m tests.stores.neo4j.writing_child JOURNAL ROUND`` with ``NEO4J_URI``, ``NEO4J_USER`` and
``NEO4J_PASSWORD``. It writes ``recorded DECISION`` once a decision is committed, and ``fed SEQ`` whenever the
feed has moved; orders and their facts follow from their numbers, so whoever reads the journal knows them.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from riskgraph.core.order import Order
from riskgraph.stores.crash import synthetic_secrets
from riskgraph.stores.neo4j.connect import Connection, parse_url
from riskgraph.stores.neo4j.store import Neo4jOptions, Neo4jStore
from tests.stores.model import decided, pooled_order, pooled_outcome
from tests.support.neo4j_server import Server

ORDERS = 60
KINDS = ("confirmed_fraud", "paid")


def order_of(key: str) -> Order:
    """The order of a key."""
    return pooled_order(int(key.rpartition("o")[2]))


def open_store(server: Server, path: Path) -> Neo4jStore:
    credentials = (server.user, server.password) if server.user else None
    connection = Connection(parse_url(f"{server.uri}?journal={path}"), credentials)
    return Neo4jStore(path, synthetic_secrets(), connection, Neo4jOptions(days=3650))


def say(what: str, name: object) -> None:
    sys.stdout.write(f"{what} {name}\n")
    sys.stdout.flush()


def watch(store: Neo4jStore) -> None:
    told = 0
    while True:
        far = store.feed.status.packed + store.feed.status.nodes
        if far > told:
            say("fed", far)
            told = far
        time.sleep(0.001)


def main(path: Path, number: int) -> None:
    server = Server(os.environ["NEO4J_URI"], os.environ["NEO4J_USER"], os.environ["NEO4J_PASSWORD"])
    store = open_store(server, path)
    threading.Thread(target=watch, args=(store,), daemon=True).start()
    for n in range(ORDERS):
        which = ORDERS * number + n
        store.append(decided(pooled_order(which), f"d{which}", flagged=n % 3 == 0))
        say("recorded", f"d{which}")
        kind = n % len(KINDS)
        store.append_outcomes([pooled_outcome(pooled_order(which + n % 4), kind, KINDS[kind], None)])
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
