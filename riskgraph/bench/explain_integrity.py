"""Whether an altered bit in log or reports is found, and whether an erased person leaves a byte behind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw

from riskgraph.bench import Figure
from riskgraph.bench.explain_ground import Ground
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.ports import Entry, Progress, ShadowScore
from riskgraph.stores import Secrets, SqliteStore
from riskgraph.stores.crash import synthetic_entry, synthetic_order, synthetic_secrets
from riskgraph.stores.verify import verify

FLIPS, FLIPPED_DECISIONS = 10_000, 24
PEOPLE, ORDERS_EACH, ERASED = 40, 4, 10
SHORTEST, PIECE = 8, 32
# What the check of the log stands for; orders, events and meter are no part of log or reports.
AUDITED = {
    "log": ("hash",),
    "log_tiles": ("hash",),
    "log_records": ("body",),
    "tree_head": ("body",),
    "subject_keys": ("wrapped",),
    "decisions": (
        "decision_id", "key", "trace_id", "idempotency_key", "body_sha256", "merchant_id", "verdict",
        "subject", "sealed",
    ),
}  # fmt: skip


def tampering(ground: Ground) -> list[Figure]:
    """Flip one bit of a stored value, check the log, put it back; again and again."""
    path, secrets = ground.folder / "tampering.db", synthetic_secrets()
    fill(path, secrets, FLIPPED_DECISIONS)
    with_log_records(path, secrets)
    missed = [told for told in flips(path, secrets, FLIPS, 1, ground.progress) if told]
    note = f"{FLIPS} random one-bit edits in {FLIPPED_DECISIONS} decisions' log and reports, simulated"
    return [
        Figure(
            "tamper_detected",
            1 - len(missed) / FLIPS,
            "1",
            note + (f"; missed: {missed[0]}" if missed else ""),
        )
    ]


def fill(path: Path, secrets: Secrets, count: int) -> None:
    """A store of synthetic decisions."""
    store = SqliteStore(path, secrets)
    for number in range(count):
        # Ids far apart: a flipped bit must not give that of another, which the file would refuse.
        store.append(synthetic_entry(synthetic_order(f"o-{number}", number), _id("decision", number)))
    store.close()


def with_log_records(path: Path, secrets: Secrets) -> None:
    """Erase the third order, so that the log says so."""
    store = SqliteStore(path, secrets)
    order = synthetic_order("o-2", 2)
    store.subjects.erase((), (order.key,), order.placed_at)
    store.close()


def flips(path: Path, secrets: Secrets, count: int, seed: int, progress: Progress) -> Iterator[str]:
    """For each flip an empty text if the check found it, else where it was."""
    chance = random.Random(seed)
    # In memory, so that thousands of edits write no file.
    connection = apsw.Connection(":memory:")
    with connection.backup("main", apsw.Connection(str(path)), "main") as backup:
        backup.step()
    places = list(_places(connection))
    assert not verify(secrets, connection).problems
    for number in range(count):
        table, column, where, value = chance.choice(places)
        bit = chance.randrange(8 * len(value))
        altered = bytearray(value)
        altered[bit // 8] ^= 1 << bit % 8
        connection.execute("SAVEPOINT flip")
        _write(connection, table, column, where, bytes(altered))
        found = bool(verify(secrets, connection).problems)
        connection.execute("ROLLBACK TO flip; RELEASE flip")
        if number % 500 == 0 or number == count - 1:
            progress("flipping bits", number + 1, count)
        yield "" if found else f"bit {bit} of {table}.{column} where {where}"


_Place = tuple[str, str, str, bytes]


def _places(connection: apsw.Connection) -> Iterator[_Place]:
    """Every stored value that can be flipped: table, column, condition that finds the row, bytes."""
    for table, columns in AUDITED.items():
        keys = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
        found = ", ".join(f"quote({key})" for key in keys)
        for column in columns:
            query = f"SELECT CAST({column} AS BLOB), {found} FROM {table}"
            for value, *at in connection.execute(query):
                yield table, column, " AND ".join(f"{k}={v}" for k, v in zip(keys, at, strict=True)), value


def _write(connection: apsw.Connection, table: str, column: str, where: str, value: bytes) -> None:
    # Kept as the type that it had.
    typed = f"CASE typeof({column}) WHEN 'text' THEN CAST(?1 AS TEXT) ELSE ?1 END"
    connection.execute(f"UPDATE {table} SET {column}={typed} WHERE {where}", (value,))


def leftovers(ground: Ground) -> list[Figure]:
    """Erase people one after another from a store that goes on working, and search its files for them."""
    folder = ground.folder / "leftovers"
    folder.mkdir()
    store = populated(folder / "store.db", synthetic_secrets())
    occurrences = erased = 0
    for person in range(ERASED):
        ground.progress("erasing people", person + 1, ERASED)
        told = needles(store, person)
        store.subjects.erase((_account(person),), (), _order(person, 0).placed_at)
        occurrences += count_in_files(told, folder)
        erased += len(told)
        # Work goes on: nothing of an erased person may come back from a cache.
        store.append(entry(PEOPLE + person, 0))
        occurrences += count_in_files(told, folder)
    store.close()
    found = verify_closed(folder / "store.db")
    note = f"{erased} keys and values of {ERASED} simulated people among {PEOPLE}, in all files of the store"
    note += "; the log verifies" if not found else f"; THE LOG DOES NOT VERIFY: {found}"
    return [Figure("erasure_leftovers", float(occurrences) if not found else None, "occurrences", note)]


def verify_closed(path: Path) -> str:
    """The first problem of the log, if any."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    problems = verify(synthetic_secrets(), connection).problems
    connection.close()
    return problems[0].problem if problems else ""


def _id(*of: object) -> str:
    return sha256(str(of).encode()).hexdigest()[:32]


def _account(person: int) -> bytes:
    return sha256(b"account of %d" % person).digest()[:16]


def _order(person: int, number: int) -> Order:
    """People share devices, cards and addresses in pairs; account and phone are their own."""
    order = synthetic_order(f"order-{person}-{number}", 1000 * number + person)
    shared = synthetic_order("", person // 2).entities
    phone = sha256(b"phone of %d" % person).digest()[:16]
    who = replace(
        shared, account=_account(person), phone=phone, bands=tuple(range(person // 2, person // 2 + 16))
    )
    return replace(order, entities=who, amount=1234.5 + person + number / 7)


def entry(person: int, number: int) -> Entry:
    """A decision on an order of a person."""
    order = _order(person, number)
    graph = OrderSubgraph.build({"B093": 40.0 + person}, {})
    return synthetic_entry(order, _id(person, number), graph)


def populated(path: Path, secrets: Secrets) -> SqliteStore:
    """A store in which people have bought several times, with outcomes and scores of a challenger."""
    store = SqliteStore(path, secrets)
    for number in range(ORDERS_EACH):
        for person in range(PEOPLE):
            made = entry(person, number)
            store.append(made)
            at = made.order.placed_at
            kind = "chargeback_fraud" if person % 5 == 0 else "refund"
            store.append_outcomes(
                [Outcome(f"outcome-{person}-{number}", made.order.key, kind, at, at + person)]
            )
            score = ShadowScore(made.decision.decision_id, "other", "00", 0.5 + person / 1e6, "review", None)
            store.append_shadow([score])
    return store


def needles(store: SqliteStore, person: int) -> set[bytes]:
    """Keys of a person, and whatever of eight bytes or more stands in rows of theirs alone.

    A longer value lies in parts on its pages, so each 32 bytes of it are looked for.
    """
    account = _account(person)
    orders = [_order(person, number) for number in range(ORDERS_EACH)]
    names = [text for o in orders for text in (o.key, o.order_id, o.trace_id)]
    names += [_id(person, number) for number in range(ORDERS_EACH)]
    keys = {account, account.hex().encode(), orders[0].entities.phone or account}
    keys |= {name.encode() for name in names}
    theirs, others = set[bytes](), set[bytes]()
    connection = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)
    for table in _tables(connection):
        for row in connection.execute(f"SELECT * FROM {table}"):
            values = {value for value in map(_bytes, row) if len(value) >= SHORTEST}
            mine = any(key in value for key in keys for value in values)
            (theirs if mine else others).update(values)
    connection.close()
    everyone = b"\0".join(others)
    return keys | {piece for value in theirs for piece in _pieces(value) if piece not in everyone}


def _tables(connection: apsw.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b""


def count_in_files(needles: Iterable[bytes], folder: Path) -> int:
    """How often any of the needles stands in any file of a folder."""
    files = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    return sum(content.count(needle) for content in files for needle in needles)


def _pieces(value: bytes) -> Iterator[bytes]:
    if len(value) <= PIECE:
        yield value
    yield from (value[at : at + PIECE] for at in range(0, len(value) - PIECE, PIECE))


PARTS: dict[Callable[[Any], list[Figure]], tuple[str, ...]] = {
    tampering: ("tamper_detected",),
    leftovers: ("erasure_leftovers",),
}
