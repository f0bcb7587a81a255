"""Ed25519 signatures of this installation."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from riskgraph.core.errors import Invalid


class Ed25519Verifier:
    """Verifies with a public key, which anyone may have."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        self._public = public

    @property
    def public_bytes(self) -> bytes:
        return self._public.public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def public_pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM, as OpenSSL and others read it."""
        return self._public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """First 16 hex digits of SHA-256 of the public key."""
        # A name for the key in logs and records; only the signature itself proves anything.
        return hashlib.sha256(self.public_bytes).hexdigest()[:16]

    def verify(self, data: bytes, signature: bytes) -> bool:
        try:
            self._public.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class Ed25519Signer(Ed25519Verifier):
    """Signs and verifies with one private key, kept in a file that only its owner can read."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        super().__init__(self._private.public_key())

    @classmethod
    def open(cls, path: Path) -> Ed25519Signer:
        """Read the key at ``path``, or make one there (mode 0600).

        Raises:
            Invalid: If the file is not a 32-byte key.
        """
        secret = read_or_create_secret(path)
        return cls(secret)

    @classmethod
    def generate(cls) -> Ed25519Signer:
        private = Ed25519PrivateKey.generate()
        return cls(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))

    @property
    def secret_bytes(self) -> bytes:
        """The private key, 32 bytes, as its file holds it."""
        return self._private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)


def read_public_key(path: Path) -> Ed25519Verifier:
    """Read a public key that an installation has exported.

    Raises:
        Invalid: If the file holds no Ed25519 public key in PEM.
    """
    return parse_public_key(path.read_bytes(), str(path))


def parse_public_key(pem: bytes, name: str = "this") -> Ed25519Verifier:
    """A public key from its PEM; ``name`` is what errors call it.

    Raises:
        Invalid: If it is no Ed25519 public key in PEM.
    """
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as wrong:
        raise Invalid(f"{name} holds no public key in PEM", field="public_key") from wrong
    if not isinstance(public, Ed25519PublicKey):
        raise Invalid(f"{name} holds a public key of another kind than Ed25519", field="public_key")
    return Ed25519Verifier(public)


def read_or_create_secret(path: Path, secret: bytes | None = None) -> bytes:
    """32 random bytes at ``path``, created once with mode 0600, never overwritten.

    Args:
        path: Where they lie.
        secret: What to write when there is no file yet, instead of random bytes.

    Raises:
        Invalid: If the file holds anything but 32 bytes, or is not its owner's alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Mode 0600 from the start, whole before it has its name, and a link never takes another's place: of
        # two processes one makes the key, and neither reads half of it.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-") as made:
            made.write(secret or os.urandom(32))
            made.flush()
            os.fsync(made.fileno())
            with suppress(FileExistsError):
                os.link(made.name, path)
        sync_folder(path.parent)
    secret = path.read_bytes()
    # Never made anew: what was signed or hashed under the old one could no longer be checked or linked.
    if len(secret) != 32:
        raise Invalid(f"{path} holds {len(secret)} bytes, expected a 32-byte secret; restore or remove it")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Invalid(
            f"{path} has mode {mode:04o}, so that others may have it: make it 0600, or replace the key"
        )
    return secret


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
