"""A world's entities through the door, each distinct one hashed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riskgraph.core.door import Door, address_normality
from riskgraph.core.order import Entities


@dataclass
class EntityHasher:
    """Does what the door of the service does to raw or opaque entities, with a memory.

    Attributes:
        door: Keyed hashing.
        kinds: Entity kind to ``raw`` or ``opaque``, from the world's manifest.
    """

    door: Door
    kinds: Mapping[str, str]
    known: dict[tuple[str, str], Any] = field(default_factory=dict)

    def _once(self, kind: str, text: str | None, make: Any) -> Any:
        if not text:
            return None
        # Hashing an address takes many times a lookup, and a world repeats its entities.
        key = (kind, text)
        if key not in self.known:
            self.known[key] = make(text)
        return self.known[key]

    def plain(self, kind: str, text: str | None) -> bytes | None:
        """Account, device and card tokens: hashed whole, opaque or not."""
        found: bytes | None = self._once(kind, text, lambda t: self.door.digest(kind, t))
        return found

    def address(self, text: str | None) -> tuple[bytes | None, tuple[int, ...], float | None]:
        """Digest, MinHash bands and completeness; the latter two only for raw text."""
        if self.kinds.get("address") != "raw":
            return self.plain("address", text), (), None
        door = self.door
        found = self._once("address", text, lambda t: (*door.address(t), address_normality(t)))
        return found or (None, (), None)

    def phone(self, text: str | None, jurisdiction: str) -> tuple[bytes | None, str | None]:
        """Digest and number class; the class only for raw numbers."""
        if self.kinds.get("phone") != "raw":
            return self.plain("phone", text), None
        door = self.door
        found = self._once(
            f"phone {jurisdiction}", text, lambda t: (door.phone(t), door.phone_class(t, jurisdiction))
        )
        return found or (None, None)

    def network(self, text: str | None) -> bytes | None:
        if self.kinds.get("ip") != "raw":
            return self.plain("ip", text)
        found: bytes | None = self._once("ip", text, self.door.network)
        return found

    def entities(self, row: Mapping[str, Any]) -> Entities:
        """Entities of one row; the device only with its purpose granted."""
        address, bands, normality = self.address(row["address"])
        phone, phone_class = self.phone(row["phone"], row["jurisdiction"])
        return Entities(
            account=self.plain("account", row["account"]),
            # As at the door: without its purpose the device does not exist.
            device=self.plain("device", row["device"]) if row["consent_device"] else None,
            card=self.plain("card", row["card"]),
            card_bin=row["card_bin"],
            address=address,
            phone=phone,
            ip=self.network(row["ip"]),
            bands=bands,
            phone_class=phone_class,
            address_normality=normality,
        )
