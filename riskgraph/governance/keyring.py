"""The key that signs reports and tree heads, and the public keys of those that it followed.

It is another key than the one of releases and promotions: from that one the sandbox derives what no
rotation may change (see ``sandbox.ledger``). Retired private keys are gone; their public keys stay in the
folder ``retired``, so that whatever they signed can be checked for as long as anyone keeps it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Invalid
from riskgraph.core.locks import locked
from riskgraph.governance.signing import (
    Ed25519Signer,
    Ed25519Verifier,
    parse_public_key,
    read_or_create_secret,
    read_public_key,
    sync_folder,
)

KEY_FILE = "report.key"
LOCK_FILE = ".lock"
RETIRED = "retired"
SCHEMA = "riskgraph.key_handover/1"
_Identity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signed here. ``retired_at`` is ISO 8601 in UTC; None for the one that signs now."""

    key_id: str
    pem: str
    retired_at: str | None = None
    successor: str | None = None

    def to_json(self) -> dict[str, Any]:
        told = {"key_id": self.key_id, "algorithm": "Ed25519", "public_key": self.pem}
        return told | {"retired_at": self.retired_at, "successor": self.successor}


class KeyRing:
    """Signs with the newest key, and verifies with each that ever signed here.

    The folder is read again when the key file is another one, so a rotation reaches running processes with
    their next signature.

    Args:
        folder: The secrets folder; the key is made at the first use (mode 0600).

    Raises:
        Invalid: If the key file holds no key.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signer = Ed25519Signer(read_or_create_secret(folder / KEY_FILE))
        self._read_as = self._identity()
        self._retired = self._read_retired()

    def _identity(self) -> _Identity:
        found = (self._folder / KEY_FILE).stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read_retired(self) -> dict[str, Ed25519Verifier]:
        keys = [read_public_key(path) for path in sorted((self._folder / RETIRED).glob("*.pem"))]
        return {key.key_id: key for key in keys}

    @property
    def signer(self) -> Ed25519Signer:
        """The key that signs now: one object, so that its id and its signature belong together."""
        identity = self._identity()
        if identity != self._read_as:
            self._signer = Ed25519Signer(read_or_create_secret(self._folder / KEY_FILE))
            self._read_as, self._retired = identity, self._read_retired()
        return self._signer

    @property
    def key_id(self) -> str:
        """Id of the key that signs now."""
        return self.signer.key_id

    def sign(self, data: bytes) -> bytes:
        """Signature by the key that signs now."""
        return self.signer.sign(data)

    def verifier(self, key_id: str) -> Ed25519Verifier | None:
        """The key of an id; None for one that never signed here."""
        signer = self.signer
        return signer if key_id == signer.key_id else self._retired.get(key_id)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether any key of this installation made a signature."""
        return any(key.verify(data, signature) for key in (self.signer, *self._retired.values()))

    def signs_now(self, data: bytes, signature: bytes) -> bool:
        """Whether the key that signs now made a signature of a tree head.

        Of the key before it, the one head that its handover names stands too: a rotation that was cut off
        before the log was signed anew leaves that. So does what was signed by a key whose public half was put
        into the folder by hand, after its private half was lost: that one named no last head.

        Raises:
            Invalid: If a handover was altered.
        """
        signer = self.signer
        if signer.verify(data, signature):
            return True
        for key_id, key in self._retired.items():
            if key.verify(data, signature):
                told = self._handover(key_id)
                return not told or self._is_last(signature, signer.key_id)
        return False

    def _is_last(self, signature: bytes, successor: str) -> bool:
        handovers = map(self._handover, self._retired)
        heads = [told["tree_head"] for told in handovers if told and told["successor"] == successor]
        return any(head is not None and head["signature"] == signature.hex() for head in heads)

    def retired_at(self, key_id: str) -> str | None:
        """When a key was retired, ISO 8601 in UTC; None for the one that signs now, or where nobody said."""
        return self._handover(key_id).get("at") if key_id in self._retired else None

    def public_keys(self) -> list[PublicKey]:
        """The key that signs now, then those before it, newest first."""
        signer = self.signer
        retired = []
        for key_id, key in self._retired.items():
            told = self._handover(key_id)
            retired.append(PublicKey(key_id, key.public_pem.decode(), told.get("at"), told.get("successor")))
        retired.sort(key=lambda key: key.retired_at or "", reverse=True)
        return [PublicKey(signer.key_id, signer.public_pem.decode()), *retired]

    def _handover(self, key_id: str) -> Mapping[str, Any]:
        path = self._folder / RETIRED / f"{key_id}.json"
        return check_handover(path.read_bytes(), self._retired[key_id]) if path.exists() else {}

    def rotate(self, now: datetime | None = None, tree_head: Mapping[str, Any] | None = None) -> PublicKey:
        """Retire the key that signs and make another; returns the retired one.

        Args:
            now: When; the present moment without it.
            tree_head: The log's head, as JSON: from now on the only one of the old key that stands.

        A process that dies in between leaves the old key signing, or the new one with the old one retired.
        """
        # Two rotations at once would lose the key of one of them.
        with locked(self._folder / LOCK_FILE):
            return self._rotate(now or datetime.now(UTC), tree_head)

    def _rotate(self, now: datetime, tree_head: Mapping[str, Any] | None) -> PublicKey:
        old, new, at = self.signer, Ed25519Signer.generate(), now.isoformat(timespec="seconds")
        handover = {
            "schema": SCHEMA,
            "at": at,
            "key_id": old.key_id,
            "successor": new.key_id,
            "successor_public_key": new.public_pem.decode(),
            "tree_head": tree_head,
        }
        told = {**handover, "signature": old.sign(canonical_json(handover)).hex()}
        retired = self._folder / RETIRED
        retired.mkdir(mode=0o700, exist_ok=True)
        # The old public key is safe before the old private key is gone.
        replace_file(retired / f"{old.key_id}.json", json.dumps(told, indent=1).encode())
        replace_file(retired / f"{old.key_id}.pem", old.public_pem)
        replace_file(self._folder / KEY_FILE, new.secret_bytes)
        return PublicKey(old.key_id, old.public_pem.decode(), at, new.key_id)


def check_handover(body: bytes, old: Ed25519Verifier) -> Mapping[str, Any]:
    """What a retired key said of its successor, if it signed that.

    Raises:
        Invalid: If it is no handover, or the signature is not the old key's.
    """
    try:
        told = json.loads(body)
        signature = bytes.fromhex(told.pop("signature"))
        named = (told["schema"], told["key_id"]) == (SCHEMA, old.key_id) and "tree_head" in told
        new = parse_public_key(told["successor_public_key"].encode())
        fits = named and new.key_id == told["successor"] and old.verify(canonical_json(told), signature)
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise Invalid(f"this is no handover of key {old.key_id}: {wrong}", field="retired") from wrong
    if not fits:
        raise Invalid(f"the handover of key {old.key_id} is not signed by it", field="retired")
    return told  # type: ignore[no-any-return]


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, mode 0600, also after a power cut."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)
