"""A signed tree head: how many leaves a log has, their root, when, and whose signature that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Invalid

SCHEMA = "riskgraph.tree_head/1"


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What RFC 9162, section 4.10 calls a signed tree head, as JSON.

    Attributes:
        size: Leaves of the log.
        root: Root hash over them.
        at: When it was made, ISO 8601 in UTC.
        key_id: Of the key that signed it.
        signature: Ed25519 over :attr:`signed`.
    """

    size: int
    root: bytes
    at: str
    key_id: str
    signature: bytes = b""

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is made over: canonical JSON (RFC 8785)."""
        return canonical_json(self._body())

    def _body(self) -> dict[str, Any]:
        told = {"size": self.size, "root": self.root.hex(), "at": self.at, "key_id": self.key_id}
        return {"schema": SCHEMA, **told}

    def to_json(self) -> dict[str, Any]:
        return {**self._body(), "signature": self.signature.hex()}

    @classmethod
    def of(cls, value: Any) -> TreeHead:
        """Inverse of :meth:`to_json`.

        Raises:
            Invalid: If it is none.
        """
        try:
            if not isinstance(value, Mapping) or value["schema"] != SCHEMA:
                raise ValueError("another schema")
            size, texts = value["size"], [value[name] for name in ("root", "at", "key_id", "signature")]
            if type(size) is not int or size < 0 or not all(isinstance(text, str) for text in texts):
                raise ValueError("a field of another type")
            root, at, key_id, signature = texts
            return cls(size, bytes.fromhex(root), at, key_id, bytes.fromhex(signature))
        except (KeyError, ValueError) as wrong:
            raise Invalid(f"this is no tree head ({SCHEMA}): {wrong}", field="tree_head") from wrong
