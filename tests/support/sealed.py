"""Altering what a store has sealed, as only somebody with its wrapping key could."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw

from riskgraph.core.report import DecisionReport
from riskgraph.stores.codec import decode_record, encode_plain, encode_record
from riskgraph.stores.reads import SEALED_SELECT
from riskgraph.stores.sealing import Secrets, Vault


def reseal(
    path: Path,
    secrets: Secrets,
    decision_id: str,
    *,
    record: Callable[[DecisionReport], DecisionReport] = lambda kept: kept,
    answer: Callable[[bytes], bytes] = lambda kept: kept,
) -> None:
    """Put another report or answer in the place of a committed one; the log keeps the leaf of the first."""
    vault = Vault(secrets.wrapping_key)
    with closing(apsw.Connection(str(path))) as connection:
        *row, sealed, wrapped = connection.execute(
            f"{SEALED_SELECT} WHERE decision_id=?", (decision_id,)
        ).fetchone()
        subject = row[-1]
        found = vault.open(sealed, row, subject, wrapped)
        altered = encode_record(record(decode_record(found.record)))
        plain = encode_plain(found.nonce, altered, answer(found.answer))
        cipher = vault.ciphers([subject], connection)[subject]
        made = vault.seal(cipher, plain, row)
        connection.execute("UPDATE decisions SET sealed=? WHERE decision_id=?", (made, decision_id))
