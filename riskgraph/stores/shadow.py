"""Scores of challengers, one row a decision and model.

The table is made with the first row: a store that never had a challenger is as it was before there were any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

import apsw

from riskgraph.ports import ShadowScore
from riskgraph.stores.graph import After

_TABLE = """CREATE TABLE IF NOT EXISTS shadow_scores(decision_id TEXT, model TEXT NOT NULL, model_sha256 TEXT,
    score REAL, verdict TEXT, error TEXT, PRIMARY KEY(decision_id, model_sha256)) WITHOUT ROWID"""
_COLUMNS = ", ".join(spec.name for spec in fields(ShadowScore))
COMPARED = ("model", "model_sha256", "champion_verdict", "verdict", "error", "orders")


def write(rows: Sequence[ShadowScore], connection: apsw.Connection, after: After) -> None:
    """Keep scores; a decision that a model has scored already keeps the first, and one erased none."""
    connection.execute(_TABLE)
    places = ", ".join(f"?{place}" for place in range(1, len(fields(ShadowScore)) + 1))
    query = (
        f"INSERT OR IGNORE INTO shadow_scores({_COLUMNS}) SELECT {places} "
        "WHERE EXISTS(SELECT 1 FROM decisions WHERE decision_id=?1)"
    )
    connection.executemany(query, [astuple(row) for row in rows])


def of_decision(decision_id: str, connection: apsw.Connection) -> list[ShadowScore]:
    """What challengers said of one decision, by model."""
    query = f"SELECT {_COLUMNS} FROM shadow_scores WHERE decision_id=? ORDER BY model_sha256"
    return [ShadowScore(*row) for row in _rows(connection, query, decision_id)]


def compared(connection: apsw.Connection) -> list[dict[str, Any]]:
    """How many orders each challenger judged how, beside the verdict that was answered."""
    query = (
        "SELECT s.model, s.model_sha256, d.verdict, s.verdict, s.error, count(*) FROM shadow_scores s "
        "JOIN decisions d ON d.decision_id = s.decision_id GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    )
    return [dict(zip(COMPARED, row, strict=True)) for row in _rows(connection, query)]


def _rows(connection: apsw.Connection, query: str, *args: Any) -> list[Any]:
    made = connection.execute("SELECT 1 FROM sqlite_master WHERE name='shadow_scores'").get
    return list(connection.execute(query, args)) if made else []
