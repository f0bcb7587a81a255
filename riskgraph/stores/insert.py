"""Many rows to a statement, with few different statements, so that all stay prepared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import apsw

_MAX_ROWS = 64
T = TypeVar("T")


def _halving(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut into pieces of 64, 32, 16 ... rows."""
    start, size = 0, _MAX_ROWS
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        yield rows[start : start + size]
        start += size


@lru_cache(maxsize=64)
def _insert(target: str, width: int, rows: int, tail: str) -> str:
    one = "(" + ",".join("?" * width) + ")"
    return f"INSERT INTO {target} VALUES {','.join([one] * rows)} {tail}"


def insert(
    connection: apsw.Connection, target: str, rows: Sequence[tuple[Any, ...]], tail: str = ""
) -> list[tuple[Any, ...]]:
    """Insert rows into ``table(columns)``; return what ``tail`` asks to return."""
    found: list[tuple[Any, ...]] = []
    for part in _halving(rows):
        values = [value for row in part for value in row]
        found += connection.execute(_insert(target, len(part[0]), len(part), tail), values)
    return found


def insert_new(
    connection: apsw.Connection, target: str, rows: Sequence[tuple[Any, ...]], returning: str
) -> list[tuple[Any, ...]]:
    """Insert those rows that no unique column refuses; return ``returning`` of each."""
    return insert(connection, target, rows, f"ON CONFLICT DO NOTHING RETURNING {returning}")


def select_in(
    connection: apsw.Connection, query: str, names: Sequence[str | bytes]
) -> Iterator[tuple[Any, ...]]:
    """Rows of ``query``, whose last words must be ``IN``, for the given values."""
    for part in _halving(names):
        yield from connection.execute(f"{query} ({','.join('?' * len(part))})", tuple(part))


def present(connection: apsw.Connection, table: str, column: str, names: Sequence[str]) -> set[str]:
    """Those of ``names`` that a unique column already holds."""
    return {row[0] for row in select_in(connection, f"SELECT {column} FROM {table} WHERE {column} IN", names)}
