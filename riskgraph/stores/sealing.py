"""Reports at rest are sealed under a key of their subject: what is left of an erased one opens no more.

The key of a subject lies wrapped in ``subject_keys``, and so in every copy of the whole file too: an erasure
reaches no backup. What wraps it lies in the secrets folder, never beside the store. AES-256-GCM (NIST SP
800-38D) with a random 96-bit nonce. What a row says beside the sealed bytes is authenticated with them:
another row's bytes, or an edited verdict, do not open.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from riskgraph.core.errors import CheckFailed, StorageUnavailable
from riskgraph.ports import LogSigner
from riskgraph.stores.codec import decode_plain, encode_row
from riskgraph.stores.insert import insert, select_in

KEY_BYTES, NONCE_BYTES = 32, 12
_MOST_CIPHERS = 8_192


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a store needs of the secrets folder.

    Attributes:
        wrapping_key: 32 bytes that wrap the keys of subjects.
        signer: Signs tree heads; it verifies those of earlier keys of this installation too.
    """

    wrapping_key: bytes = field(repr=False)
    signer: LogSigner


@dataclass(frozen=True, slots=True)
class Opened:
    """What was sealed: the leaf's nonce, the report record's bytes and the answer's."""

    nonce: bytes
    record: bytes
    answer: bytes


def _encrypt(cipher: AESGCM, data: bytes, beside: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, beside)


def _decrypt(cipher: AESGCM, sealed: bytes, beside: bytes) -> bytes:
    return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], beside)


class Vault:
    """Keys of subjects, by the thread that uses it; ``seal`` is for the writing thread alone."""

    def __init__(self, wrapping_key: bytes) -> None:
        self._wrapping = AESGCM(wrapping_key)
        # By wrapped key and never by subject: of an erased subject nothing must come from here.
        self._ciphers: dict[bytes, AESGCM] = {}

    def ciphers(self, subjects: Iterable[bytes], connection: apsw.Connection) -> dict[bytes, AESGCM]:
        """Ciphers of subjects; the key of one that is new is made and inserted."""
        wanted = list(dict.fromkeys(subjects))
        query = "SELECT subject, wrapped FROM subject_keys WHERE subject IN"
        found = {
            subject: self._cipher(subject, wrapped)
            for subject, wrapped in select_in(connection, query, wanted)
        }
        made = []
        for subject in wanted:
            if subject not in found:
                key = os.urandom(KEY_BYTES)
                found[subject] = AESGCM(key)
                made.append((subject, _encrypt(self._wrapping, key, subject)))
        insert(connection, "subject_keys(subject, wrapped)", made)
        return found

    def _cipher(self, subject: bytes, wrapped: bytes) -> AESGCM:
        cipher = self._ciphers.get(wrapped)
        if cipher is None:
            if len(self._ciphers) >= _MOST_CIPHERS:
                self._ciphers.clear()
            cipher = self._ciphers[wrapped] = self._unwrap(subject, wrapped)
        return cipher

    def _unwrap(self, subject: bytes, wrapped: bytes) -> AESGCM:
        try:
            return AESGCM(_decrypt(self._wrapping, wrapped, subject))
        except (InvalidTag, ValueError) as wrong:
            raise CheckFailed("the key of a subject does not open: it or wrapping.key was altered") from wrong

    def seal(self, cipher: AESGCM, plain: bytes, row: Sequence[Any]) -> bytes:
        """Sealed bytes of a decision whose row is ``row``."""
        return _encrypt(cipher, plain, encode_row(row))

    def open(self, sealed: bytes, row: Sequence[Any], subject: bytes, wrapped: bytes | None) -> Opened:
        """Inverse of :meth:`seal`.

        Raises:
            CheckFailed: If the key is gone, or key, row or bytes are not as they were sealed.
        """
        if wrapped is None:
            raise CheckFailed("the key of its subject is missing")
        cipher = self._unwrap(subject, wrapped)
        try:
            return Opened(*decode_plain(_decrypt(cipher, sealed, encode_row(row))))
        except (InvalidTag, ValueError) as wrong:
            raise CheckFailed("row or sealed bytes were altered") from wrong

    def check(self, connection: apsw.Connection) -> None:
        """Refuse a wrapping key that is not this store's, before anything is sealed under it.

        Raises:
            StorageUnavailable: If a key on record does not open.
        """
        row = connection.execute("SELECT subject, wrapped FROM subject_keys LIMIT 1").fetchone()
        if row is None:
            return
        try:
            self._unwrap(*row)
        except CheckFailed as wrong:
            raise StorageUnavailable(
                "the store was sealed under another wrapping.key: restore the one of its secrets folder"
            ) from wrong
